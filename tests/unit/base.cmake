pay_test(test_config unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/test_config.c LINK pay_base)
pay_test(test_histogram unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/test_histogram.c LINK pay_base)
pay_test(test_kafka_statistics unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/test_kafka_statistics.c LINK pay_kafka)
