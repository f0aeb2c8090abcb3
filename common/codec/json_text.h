/*
 * json_text.h - what jansson doesn't give: limits before it parses, a member's bytes as sent, whitespace removed. For the codec, and for
 * who shows members of what the codec accepted.
 *
 * jansson is the reference: it alone says what is JSON. Around it stand only
 *   - checks that refuse more: empty, byte order mark, NUL bytes, nesting beyond PAY_JSON_DEPTH_MAX;
 *   - one that refuses less: numbers too large for a machine number are JSON (RFC 8259), so they are a field's fault, or
 *     nobody's inside metadata, never the document's.
 *
 * Memory: the caller's bytes are only read. Threads: any.
 */
#ifndef PAY_CODEC_JSON_TEXT_H
#define PAY_CODEC_JSON_TEXT_H

#include "core/limits.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct pay_json_fault {
    const char *rule; /* what is wrong and what to do; static */
    int line, column; /* where parsing stopped; 0 when it never began */
};

/* The document, to be given to json_decref; NULL, and *ret_fault, when it is none. Asserts length <= PAY_VALUE_MAX. */
json_t *pay_json_load(const char *text, size_t length, struct pay_json_fault *ret_fault);

/* The bytes of a member's value, as they were sent; NULL: `text` is no object, or has none of that name. `text` must have been
   accepted (pay_json_load, or as a value inside). Finds it however its name is escaped. */
const char *pay_json_member(const char *text, size_t length, const char *name, size_t name_length, size_t *ret_length);

/* An accepted string with its quotes, its escapes undone; to be given to json_decref. */
json_t *pay_json_string(const char *bytes, size_t length);

/* Copies accepted JSON without insignificant whitespace: one line, at most `length` bytes. Answers the length. */
size_t pay_json_compact(const char *text, size_t length, char *buffer);

#endif
