/*
 * position.h - where a request record lies: log generation, partition, offset; written "g-p-o".
 * Threads: any. Memory: none.
 */
#ifndef PAY_CORE_POSITION_H
#define PAY_CORE_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pay_position {
    int64_t generation; /* >= 1; raised by `paybuf recover` when a loss is accepted */
    int32_t partition;  /* >= 0 */
    int64_t offset;     /* >= 0 */
};

#define PAY_POSITION_TEXT_MAX 56 /* two signed 64 bit numbers, one of 32, two dashes, NUL */

/* Writes "g-p-o" and a NUL; answers the length without the NUL. */
size_t pay_position_format(const struct pay_position *position, char text[PAY_POSITION_TEXT_MAX]);

/* Strict: three decimal numbers without sign or leading zeros, the first >= 1, nothing else. False, and *ret untouched, otherwise. */
bool pay_position_parse(const char *text, size_t length, struct pay_position *ret_position);

/* A record can lie there: generation from 1, partition and offset from 0. */
bool pay_position_possible(const struct pay_position *position);

bool pay_position_equal(const struct pay_position *a, const struct pay_position *b);

/* Decimal text of a number, as the log's headers carry it; room for 21 characters. Answers the length. */
size_t pay_decimal_format(int64_t number, char text[21]);

/* Strict decimal without sign or leading zeros, at most 2^63-1. */
bool pay_decimal_parse(const char *text, size_t length, int64_t *ret_number);

#endif
