# The core: one test program per file of common/core, named after it; handover puts claim, lane and reader together.
foreach(name outcome position request murmur2 decide answer reader claim batch lane handover retry)
  pay_test(test_${name} unit SOURCES test_${name}.c LINK pay_core)
endforeach()
