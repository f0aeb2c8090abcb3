#include "codec/request_scan.h"

#include <string.h>

#define INTEGER_DIGITS_MAX 16  /* PAY_AMOUNT_MAX has as many */
#define METADATA_DIGITS_MAX 15 /* certainly no machine number's overflow */
#define METADATA_MEMBERS_MAX 8 /* each name is compared with those before it */

/* What is left of the text. */
struct scan {
    const char *at, *end;
};

struct slice {
    const char *start;
    size_t length;
};

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static void skip_space(struct scan *scan) {
    while (scan->at < scan->end && is_space(*scan->at)) scan->at++;
}

/* With the whitespace before it. */
static bool take(struct scan *scan, char c) {
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != c) return false;
    scan->at++;
    return true;
}

/* Printable ASCII between quotes, without escapes. */
static bool take_string(struct scan *scan, struct slice *ret_string) {
    if (!take(scan, '"')) return false;
    const char *start = scan->at;
    while (scan->at < scan->end && *scan->at >= 0x20 && *scan->at < 0x7f && *scan->at != '"' && *scan->at != '\\')
        scan->at++;
    if (scan->at == scan->end || *scan->at != '"') return false;
    *ret_string = (struct slice){start, (size_t)(scan->at - start)};
    scan->at++;
    return true;
}

/* A token of digits that isn't led by a zero; what follows it is the caller's to judge, so "1.0" ends at the dot and fails there. */
static bool take_digits(struct scan *scan, size_t digits_max, int64_t *ret_number) {
    skip_space(scan);
    const char *start = scan->at;
    *ret_number = 0;
    while (scan->at < scan->end && is_digit(*scan->at) && (size_t)(scan->at - start) < digits_max)
        *ret_number = *ret_number * 10 + (*scan->at++ - '0');
    return scan->at > start && *start != '0';
}

static bool take_word(struct scan *scan, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0) return false;
    scan->at += length;
    return true;
}

static bool take_plain_value(struct scan *scan) {
    struct slice text;
    int64_t number;
    skip_space(scan);
    if (scan->at == scan->end) return false;
    switch (*scan->at) {
    case '"': return take_string(scan, &text);
    case 't': return take_word(scan, "true");
    case 'f': return take_word(scan, "false");
    case 'n': return take_word(scan, "null");
    default: return take_digits(scan, METADATA_DIGITS_MAX, &number);
    }
}

static bool is_among(const struct slice *names, size_t count, const struct slice *name) {
    for (size_t i = 0; i < count; i++)
        if (names[i].length == name->length && memcmp(names[i].start, name->start, name->length) == 0) return true;
    return false;
}

static bool take_metadata(struct scan *scan, struct pay_request *request) {
    struct slice names[METADATA_MEMBERS_MAX];
    if (!take(scan, '{')) return false;
    const char *start = scan->at - 1;
    if (!take(scan, '}')) {
        size_t count = 0;
        do {
            if (count == METADATA_MEMBERS_MAX || !take_string(scan, &names[count])) return false;
            if (is_among(names, count, &names[count])) return false;
            count++;
            if (!take(scan, ':') || !take_plain_value(scan)) return false;
        } while (take(scan, ','));
        if (!take(scan, '}')) return false;
    }
    request->metadata = start;
    request->metadata_length = (size_t)(scan->at - start);
    return request->metadata_length <= PAY_METADATA_MAX;
}

static bool take_text(struct scan *scan, bool (*valid)(const char *text, size_t length), char *ret_text) {
    struct slice text;
    if (!take_string(scan, &text) || !valid(text.start, text.length)) return false;
    memcpy(ret_text, text.start, text.length);
    ret_text[text.length] = '\0';
    return true;
}

static bool take_integer(struct scan *scan, bool (*valid)(int64_t number), int64_t *ret_number) {
    return take_digits(scan, INTEGER_DIGITS_MAX, ret_number) && valid(*ret_number);
}

static bool take_attempt(struct scan *scan, struct pay_request *request) {
    int64_t attempt;
    if (!take_integer(scan, pay_attempt_valid, &attempt)) return false;
    request->attempt = (int32_t)attempt;
    return true;
}

static bool take_field(struct scan *scan, enum pay_field field, struct pay_request *request) {
    switch (field) {
    case PAY_FIELD_ORDER_ID: return take_text(scan, pay_id_valid, request->order_id);
    case PAY_FIELD_ATTEMPT: return take_attempt(scan, request);
    case PAY_FIELD_ACCOUNT_ID: return take_text(scan, pay_id_valid, request->account_id);
    case PAY_FIELD_AMOUNT_MINOR: return take_integer(scan, pay_amount_valid, &request->amount_minor);
    case PAY_FIELD_CURRENCY: return take_text(scan, pay_currency_valid, request->currency);
    default: return take_metadata(scan, request);
    }
}

static bool take_member(struct scan *scan, uint32_t *seen, struct pay_request *request) {
    struct slice name;
    enum pay_field field;
    if (!take_string(scan, &name) || !pay_field_from_name(name.start, name.length, &field)) return false;
    if ((*seen & 1u << field) != 0 || !take(scan, ':')) return false;
    *seen |= 1u << field;
    return take_field(scan, field, request);
}

static bool has_all(uint32_t seen) {
    const uint32_t required =
        1u << PAY_FIELD_ORDER_ID | 1u << PAY_FIELD_ACCOUNT_ID | 1u << PAY_FIELD_AMOUNT_MINOR | 1u << PAY_FIELD_CURRENCY;
    return (seen & required) == required;
}

bool pay_request_scan(const char *order_id, const char *text, size_t length, struct pay_request *ret_request) {
    struct scan scan = {text, text + length};
    uint32_t seen = 0;
    ret_request->attempt = 1;
    if (!take(&scan, '{')) return false;
    do {
        if (!take_member(&scan, &seen, ret_request)) return false;
    } while (take(&scan, ','));
    if (!take(&scan, '}')) return false;
    skip_space(&scan);
    if (order_id != NULL && (seen & 1u << PAY_FIELD_ORDER_ID) == 0) {
        memcpy(ret_request->order_id, order_id, strlen(order_id) + 1);
        seen |= 1u << PAY_FIELD_ORDER_ID;
    }
    return scan.at == scan.end && has_all(seen);
}
