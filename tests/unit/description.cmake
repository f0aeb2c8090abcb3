# docs/openapi.yaml, docs/asyncapi.yaml and docs/schemas, held against the sources.
add_test(NAME unit/description COMMAND ${PAY_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/check_description.py ${CMAKE_SOURCE_DIR})
set_tests_properties(unit/description PROPERTIES LABELS unit TIMEOUT 60)
