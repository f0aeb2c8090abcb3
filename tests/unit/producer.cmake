# The intake's pure parts; its loop is tested on the mock cluster and on a real broker.
foreach(name http_head payment problem pending auth order_token)
  pay_test(test_${name} unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/test_${name}.c LINK pay_producer)
endforeach()
# The routes between an HTTP server and a log that fake_intake.c plays.
foreach(name routes route_batch)
  pay_test(test_${name} unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/test_${name}.c ${CMAKE_SOURCE_DIR}/tests/unit/fake_intake.c LINK pay_producer)
endforeach()
