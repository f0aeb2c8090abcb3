# The reader's rule over a whole reply log; and libpaybuf-listener as its users meet it.
pay_test(test_listener_rule unit SOURCES test_listener_rule.c LINK pay_listener)
set(LISTENER_FLAGS "")
if(PAY_SANITIZE)
  set(LISTENER_FLAGS "-fsanitize=${PAY_SANITIZE}")
elseif(PAY_COVERAGE)
  set(LISTENER_FLAGS "--coverage")
endif()
add_test(NAME unit/listener_library
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/check_listener_library.sh ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR} "${LISTENER_FLAGS}")
set_tests_properties(unit/listener_library PROPERTIES LABELS unit TIMEOUT 60)
