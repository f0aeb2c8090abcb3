/*
 * json_opinion.h - a second opinion on JSON, written from RFC 8259 and 3629 alone: shares no code with jansson or the codec.
 *
 * Says whether bytes are JSON, what the codec refuses beyond that (duplicate members, \u0000, lone surrogates, depth), and what the
 * top-level members are, with names and strings decoded and each value's bytes as sent.
 * Memory: json_opinion_free. Threads: any.
 */
#ifndef PAY_TESTS_FUZZ_JSON_OPINION_H
#define PAY_TESTS_FUZZ_JSON_OPINION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_kind { KIND_NONE, KIND_NULL, KIND_BOOLEAN, KIND_INTEGER, KIND_REAL, KIND_STRING, KIND_ARRAY, KIND_OBJECT };

struct json_text { /* decoded, NUL behind it; may hold NULs only where nul_escape is true */
    char *bytes;
    size_t length;
};

struct json_member {
    struct json_text name;
    enum json_kind kind;
    const char *start; /* the value's bytes */
    size_t length;
    struct json_text string; /* of a string */
    bool truth;              /* of a boolean */
};

struct json_opinion {
    bool json;     /* RFC 8259 in UTF-8; without meaning where too_deep */
    bool too_deep; /* more than JSON_OPINION_DEPTH levels: not looked at further */
    bool duplicate, nul_escape, lone_surrogate;
    int depth;
    enum json_kind kind;
    struct json_member *members; /* of the top-level object */
    size_t count;
};

#define JSON_OPINION_DEPTH 64

void json_opinion_make(const char *text, size_t length, struct json_opinion *ret_opinion);
void json_opinion_free(struct json_opinion *opinion);

/* The codec must take it as a document: JSON, an object, nothing beyond RFC 8259 to refuse, at most `depth` levels. */
bool json_opinion_object(const struct json_opinion *opinion, int depth);

/* NULL: not there. */
const struct json_member *json_opinion_member(const struct json_opinion *opinion, const char *name);

/* An integer token, within 64 bits. False for every other value, and for NULL. */
bool json_member_integer(const struct json_member *member, int64_t *ret_number);
/* A string of exactly these bytes. */
bool json_member_is(const struct json_member *member, const char *text);
/* A string that is an id of the contract (1-64 of [A-Za-z0-9._:-]). */
bool json_member_is_id(const struct json_member *member);
bool opinion_is_id(const char *text, size_t length);

#endif
