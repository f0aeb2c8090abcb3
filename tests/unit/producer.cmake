# The intake's pure parts; its loop is tested on the mock cluster and on a real broker.
foreach(name http_head payment problem pending results waiters prefer query places reply_ring reply_search settled auth order_token)
  pay_test(test_${name} unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/test_${name}.c LINK pay_producer)
endforeach()
# The routes between an HTTP server and a log that fake_intake.c plays.
foreach(name routes route_batch route_payments route_results)
  pay_test(test_${name} unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/test_${name}.c ${CMAKE_SOURCE_DIR}/tests/unit/fake_intake.c
    ${CMAKE_SOURCE_DIR}/tests/unit/fake_follower.c
    ${CMAKE_SOURCE_DIR}/tests/lib/fake_http.c LINK pay_producer)
  target_include_directories(test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/lib)
endforeach()
