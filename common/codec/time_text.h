/*
 * time_text.h - times as RFC 3339 text in UTC, with microseconds: 2026-11-21T12:31:12.123456Z.
 *
 * Promises: every 64 bit number has a text of its own and comes back (years beyond 0000-9999 are written with sign and six
 * digits); no time zone, locale or libc state has a say. Threads: any. Memory: the caller's.
 */
#ifndef PAY_CODEC_TIME_TEXT_H
#define PAY_CODEC_TIME_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAY_TIME_TEXT_MAX 32

/* Always six digits of microseconds and Z, and a NUL; answers the length. */
size_t pay_time_format(int64_t microseconds_since_1970, char text[PAY_TIME_TEXT_MAX]);

/* Also takes none to five digits of a second. False, and *ret_microseconds untouched, for anything else (other zones, leap seconds). */
bool pay_time_parse(const char *text, size_t length, int64_t *ret_microseconds);

#endif
