# The intake's pure parts; its loop is tested on the mock cluster and on a real broker.
foreach(name http_head payment problem pending)
  pay_test(test_${name} unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/test_${name}.c LINK pay_producer)
endforeach()
