pay_test(test_request_codec unit SOURCES test_request_codec.c LINK pay_codec)
pay_test(test_request_scan unit SOURCES test_request_scan.c LINK pay_codec)
pay_test(test_reply_codec unit SOURCES test_reply_codec.c LINK pay_codec)
pay_test(test_reply_headers unit SOURCES test_reply_headers.c LINK pay_codec)
