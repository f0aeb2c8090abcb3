pay_test(test_config unit SOURCES test_config.c LINK pay_base)
pay_test(test_histogram unit SOURCES test_histogram.c LINK pay_base)
