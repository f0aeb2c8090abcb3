/*
 * append.h - writes text into a caller's buffer, piece by piece; private to the codec.
 *
 * Every value written is of a safe alphabet or already JSON, so nothing is escaped here.
 * When a piece doesn't fit, `full` is set and nothing is written from then on: one check at the end is enough.
 */
#ifndef PAY_CODEC_APPEND_H
#define PAY_CODEC_APPEND_H

#include "core/position.h"

#include <stdbool.h>
#include <string.h>

struct pay_append {
    char *buffer;
    size_t length, capacity;
    bool full;
};

static inline void pay_append_bytes(struct pay_append *out, const char *bytes, size_t length) {
    out->full = out->full || length > out->capacity - out->length;
    if (out->full) return;
    memcpy(out->buffer + out->length, bytes, length);
    out->length += length;
}

/* A string literal. */
#define PAY_APPEND(out, literal) pay_append_bytes((out), "" literal, sizeof(literal) - 1)

static inline void pay_append_quoted(struct pay_append *out, const char *safe_text) {
    PAY_APPEND(out, "\"");
    pay_append_bytes(out, safe_text, strlen(safe_text));
    PAY_APPEND(out, "\"");
}

static inline void pay_append_integer(struct pay_append *out, int64_t number) {
    char text[21];
    pay_append_bytes(out, text, pay_decimal_format(number, text));
}

#endif
