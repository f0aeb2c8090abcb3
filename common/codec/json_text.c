#include "codec/json_text.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_OF_VALUE(value) #value
#define TEXT_OF(macro) TEXT_OF_VALUE(macro)

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The index behind the string that opens at `i`; `length` when it never closes. */
static size_t after_string(const char *text, size_t i, size_t length) {
    for (i++; i < length; i++) {
        if (text[i] == '"') return i + 1;
        if (text[i] == '\\') i++;
    }
    return length;
}

static size_t after_space(const char *text, size_t i, size_t length) {
    while (i < length && is_space(text[i])) i++;
    return i;
}

static int nesting_of(char c) { return c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0; }

/* The deepest nesting; exact for JSON, and some number for bytes that jansson refuses anyway. */
static int deepest(const char *text, size_t length) {
    int depth = 0, most = 0;
    for (size_t i = 0; i < length;) {
        depth += nesting_of(text[i]);
        if (depth > most) most = depth;
        i = text[i] == '"' ? after_string(text, i, length) : i + 1;
    }
    return most;
}

static const char *refused_before_parsing(const char *text, size_t length) {
    if (length == 0) return "it is empty; send one JSON object";
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) return "it starts with a byte order mark; leave that out";
    /* jansson steps over a NUL that follows a number or a word: {"amount_minor":1<NUL>} would be taken. */
    if (memchr(text, '\0', length) != NULL) return "it holds a NUL byte; leave that out";
    if (deepest(text, length) > PAY_JSON_DEPTH_MAX)
        return "it is nested more than " TEXT_OF(PAY_JSON_DEPTH_MAX) " levels deep; make it flatter";
    return NULL;
}

static const char *rule_of(enum json_error_code code) {
    switch (code) {
    case json_error_premature_end_of_input: return "it ends too early; send the whole object";
    case json_error_end_of_input_expected: return "bytes follow the object; send exactly one object";
    case json_error_invalid_utf8: return "these bytes aren't UTF-8; encode it as UTF-8";
    case json_error_duplicate_key: return "a member appears twice; send each member once";
    case json_error_null_character:
    case json_error_null_byte_in_key: return "\\u0000 isn't allowed; leave it out";
    default: return "this isn't JSON (RFC 8259); check quotes, commas and brackets";
    }
}

static size_t after_digits(const char *text, size_t i, size_t length) {
    while (i < length && is_digit(text[i])) i++;
    return i;
}

/* True for a whole number token that jansson may find too large: any real, or an integer beyond 64 bits.
   text[length] must be readable and no digit. */
static bool unwieldy_number(const char *text, size_t length) {
    size_t start = text[0] == '-';
    size_t end = after_digits(text, start, length);
    if (end == start || (text[start] == '0' && end > start + 1)) return false;
    if (end == length) {
        errno = 0;
        strtoll(text, NULL, 10);
        return errno == ERANGE;
    }
    if (text[end] == '.') {
        start = end + 1;
        end = after_digits(text, start, length);
        if (end == start) return false;
    }
    if (end < length && (text[end] == 'e' || text[end] == 'E')) {
        start = end + 1;
        if (start < length && (text[start] == '+' || text[start] == '-')) start++;
        end = after_digits(text, start, length);
        if (end == start) return false;
    }
    return end == length;
}

static size_t after_number(const char *text, size_t i, size_t length) {
    while (i < length && (is_digit(text[i]) || memchr("+-.eE", text[i], 5) != NULL)) i++;
    return i;
}

/*
 * Writes 0.000.. of the same length over each unwieldy number. What was no number stays none, and a real or an integer
 * beyond 64 bits is no valid member either way, so the only difference is that jansson can go on.
 * text[length] must be NUL.
 */
static void mask_unwieldy_numbers(char *text, size_t length) {
    for (size_t i = 0; i < length;) {
        if (text[i] == '"') {
            i = after_string(text, i, length);
            continue;
        }
        size_t end = after_number(text, i, length);
        if (end > i && unwieldy_number(text + i, end - i)) {
            memset(text + i, '0', end - i);
            text[i + 1] = '.';
        }
        i = end > i ? end : i + 1;
    }
}

static json_t *load_masked(const char *text, size_t length, json_error_t *error) {
    char masked[PAY_VALUE_MAX + 1];
    memcpy(masked, text, length);
    masked[length] = '\0';
    mask_unwieldy_numbers(masked, length);
    return json_loadb(masked, length, JSON_REJECT_DUPLICATES, error);
}

json_t *pay_json_load(const char *text, size_t length, struct pay_json_fault *ret_fault) {
    assert(length <= PAY_VALUE_MAX);
    const char *refused = refused_before_parsing(text, length);
    if (refused != NULL) {
        *ret_fault = (struct pay_json_fault){.rule = refused};
        return NULL;
    }
    json_error_t error;
    json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (document == NULL && json_error_code(&error) == json_error_numeric_overflow)
        document = load_masked(text, length, &error);
    if (document == NULL)
        *ret_fault = (struct pay_json_fault){rule_of(json_error_code(&error)), error.line, error.column};
    return document;
}

/* ---- finding: over accepted JSON, where each index stays within it whatever it is ---- */

static size_t after_value(const char *text, size_t i, size_t length) {
    int depth = 0;
    while (i < length && (depth > 0 || (memchr(",]}", text[i], 3) == NULL && !is_space(text[i])))) {
        depth += nesting_of(text[i]);
        i = text[i] == '"' ? after_string(text, i, length) : i + 1;
    }
    return i;
}

json_t *pay_json_string(const char *bytes, size_t length) {
    json_t *text = json_loadb(bytes, length, JSON_DECODE_ANY, NULL);
    assert(text != NULL); /* accepted before: memory ended */
    return text;
}

static bool named(const char *bytes, size_t length, const char *name, size_t name_length) {
    if (memchr(bytes, '\\', length) == NULL)
        return length == name_length + 2 && memcmp(bytes + 1, name, name_length) == 0;
    json_t *text = pay_json_string(bytes, length);
    bool same = json_string_length(text) == name_length && memcmp(json_string_value(text), name, name_length) == 0;
    json_decref(text);
    return same;
}

const char *pay_json_member(const char *text, size_t length, const char *name, size_t name_length, size_t *ret_length) {
    size_t i = after_space(text, 0, length);
    if (i == length || text[i] != '{') return NULL;
    i = after_space(text, i + 1, length);
    while (i < length && text[i] == '"') {
        size_t name_end = after_string(text, i, length);
        size_t start = after_space(text, after_space(text, name_end, length) + 1, length);
        size_t end = after_value(text, start, length);
        if (named(text + i, name_end - i, name, name_length)) {
            *ret_length = end - start;
            return text + start;
        }
        i = after_space(text, end, length);
        if (i < length && text[i] == ',') i = after_space(text, i + 1, length);
    }
    return NULL;
}

size_t pay_json_compact(const char *text, size_t length, char *buffer) {
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        size_t end = text[i] == '"' ? after_string(text, i, length) : i + 1;
        if (!is_space(text[i])) {
            memcpy(buffer + used, text + i, end - i);
            used += end - i;
        }
        i = end;
    }
    return used;
}
