/*
 * request_scan.h - reads the request that nearly everybody sends without building a document of it; private to the codec.
 *
 * jansson is the reference and says what is JSON; it costs 2 us, this a tenth. So this takes only what it understands completely:
 * the six members, each at most once, named without escapes, in any order and with any whitespace; good values; metadata one level
 * deep, of printable ASCII strings without escapes, integers of at most 15 digits, true, false and null. Whatever else comes (and
 * everything that has a fault) it hands over. What it takes jansson would have taken, with the same values: tests/fuzz/target_request
 * holds both against a third opinion, tests/unit/test_request_scan.c against each other.
 *
 * Memory: the caller's bytes are only read; metadata points into them. Threads: any.
 */
#ifndef PAY_CODEC_REQUEST_SCAN_H
#define PAY_CODEC_REQUEST_SCAN_H

#include "core/request.h"

/* `order_id`: as in pay_request_parse_for. False: not understood, ask jansson; *ret_request may be half written then. */
bool pay_request_scan(const char *order_id, const char *text, size_t length, struct pay_request *ret_request);

#endif
