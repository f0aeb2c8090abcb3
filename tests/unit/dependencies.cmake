# Who may include whom, and what the core's object code calls (check_dependencies.py says how); and that this check bites.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME unit/dependencies
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/check_dependencies.py ${CMAKE_SOURCE_DIR} --core-archive $<TARGET_FILE:pay_core>)
add_test(NAME unit/dependencies_check_bites
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/check_dependencies.py ${CMAKE_SOURCE_DIR} --self-test)
set_tests_properties(unit/dependencies unit/dependencies_check_bites PROPERTIES LABELS unit TIMEOUT 60)
