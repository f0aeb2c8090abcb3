# The core: one test program per file of common/core, named after it.
foreach(name outcome position request retry decide answer reader claim lane batch)
  pay_test(test_${name} unit SOURCES test_${name}.c LINK pay_core)
endforeach()
