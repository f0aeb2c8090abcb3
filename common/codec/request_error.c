#include "codec/request_error.h"

#include "core/limits.h"

#include <stdio.h>
#include <string.h>

#define ID_RULE "must be a string of 1 to 64 characters out of A-Z a-z 0-9 . _ : -"

static const char *const rules[PAY_FIELD_COUNT] = {
    [PAY_FIELD_ORDER_ID] = ID_RULE,
    [PAY_FIELD_ATTEMPT] = "must be an integer from 1 to 99, or absent for 1",
    [PAY_FIELD_ACCOUNT_ID] = ID_RULE,
    [PAY_FIELD_AMOUNT_MINOR] = "must be an integer from 1 to 9007199254740991, in minor units (cents)",
    [PAY_FIELD_CURRENCY] = "must be a string of three letters A-Z, such as \"EUR\"",
    [PAY_FIELD_METADATA] = "must be an object of at most 2048 bytes, null or absent"};

_Static_assert(PAY_ID_MAX == 64 && PAY_ATTEMPT_MAX == 99 && PAY_AMOUNT_MAX == 9007199254740991LL &&
                   PAY_CURRENCY_LENGTH == 3 && PAY_METADATA_MAX == 2048,
               "the rules above say these numbers");

void pay_error_too_large(size_t length, struct pay_codec_error *ret_error) {
    *ret_error = (struct pay_codec_error){.reason = PAY_TOO_LARGE};
    snprintf(ret_error->detail, sizeof ret_error->detail,
             "the request must be at most %d bytes; got %zu; shorten metadata", PAY_VALUE_MAX, length);
}

void pay_error_malformed(const struct pay_json_fault *fault, struct pay_codec_error *ret_error) {
    *ret_error = (struct pay_codec_error){.reason = PAY_MALFORMED_JSON};
    int used = snprintf(ret_error->detail, sizeof ret_error->detail, "the request must be one JSON object; ");
    size_t rest = sizeof ret_error->detail - (size_t)used;
    if (fault->line > 0)
        snprintf(ret_error->detail + used, rest, "line %d, column %d: %s", fault->line, fault->column, fault->rule);
    else
        snprintf(ret_error->detail + used, rest, "%s", fault->rule);
}

static bool refused_character(char c) { return (unsigned char)c < 0x20 || c == 0x7f; }
static bool continues_character(char c) { return ((unsigned char)c & 0xc0) == 0x80; }

/* Control characters become '?': a pointer goes into logs and onto terminals. */
static void write_pointer(const char *name, char pointer[static 96]) {
    size_t i = 0, used = 0;
    pointer[used++] = '/';
    for (; name[i] != '\0'; i++) {
        bool escaped = name[i] == '~' || name[i] == '/';
        if (used + escaped + 1 >= 96) break;
        if (escaped) pointer[used++] = '~';
        pointer[used++] = name[i] == '~' ? '0' : name[i] == '/' ? '1' : refused_character(name[i]) ? '?' : name[i];
    }
    for (; continues_character(name[i]); i--) used--;
    pointer[used] = '\0';
}

static void describe_string(enum pay_field field, const json_t *value, char *text, size_t size) {
    size_t most = field == PAY_FIELD_CURRENCY ? PAY_CURRENCY_LENGTH : PAY_ID_MAX;
    size_t least = field == PAY_FIELD_CURRENCY ? PAY_CURRENCY_LENGTH : 1;
    size_t length = json_string_length(value);
    bool wants_string = field == PAY_FIELD_ORDER_ID || field == PAY_FIELD_ACCOUNT_ID || field == PAY_FIELD_CURRENCY;
    if (!wants_string)
        snprintf(text, size, "got a string");
    else if (length < least || length > most)
        snprintf(text, size, "got a string of %zu bytes", length);
    else
        snprintf(text, size, "got a string with other characters");
}

static void describe(enum pay_field field, const json_t *value, size_t length, char *text, size_t size) {
    if (value == NULL) {
        snprintf(text, size, "it is missing");
        return;
    }
    switch (json_typeof(value)) {
    case JSON_STRING: describe_string(field, value, text, size); return;
    case JSON_INTEGER: snprintf(text, size, "got %" JSON_INTEGER_FORMAT, json_integer_value(value)); return;
    case JSON_REAL: snprintf(text, size, "got a number with a fraction, an exponent or too many digits"); return;
    case JSON_OBJECT: snprintf(text, size, "got an object of %zu bytes", length); return;
    case JSON_ARRAY: snprintf(text, size, "got an array"); return;
    case JSON_NULL: snprintf(text, size, "got null"); return;
    default: snprintf(text, size, "got a boolean"); return;
    }
}

void pay_error_bad_field(enum pay_field field, const json_t *value, size_t length, struct pay_codec_error *ret_error) {
    char got[80];
    describe(field, value, length, got, sizeof got);
    *ret_error = (struct pay_codec_error){.reason = PAY_BAD_FIELD, .field = field};
    write_pointer(pay_field_name(field), ret_error->pointer);
    snprintf(ret_error->detail, sizeof ret_error->detail, "%s %s; %s", pay_field_name(field), rules[field], got);
}

/* Names are compared as people mix them up: orderId, order-id and ORDER_ID are all "orderid". */
#define PLAIN_MAX 24

static size_t plain_name(const char *name, char plain[static PLAIN_MAX]) {
    size_t length = 0;
    for (; *name != '\0' && length < PLAIN_MAX; name++) {
        char c = *name;
        if (c >= 'A' && c <= 'Z') c = (char)(c | 0x20);
        if (c != '_' && c != '-' && c != ' ') plain[length++] = c;
    }
    return length;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Levenshtein distance, one row at a time. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t row[PLAIN_MAX + 1];
    for (size_t j = 0; j <= b_length; j++) row[j] = j;
    for (size_t i = 0; i < a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_length; j++) {
            size_t replaced = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = smaller(replaced, smaller(row[j], row[j + 1]) + 1);
        }
    }
    return row[b_length];
}

static bool meant(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t common = smaller(a_length, b_length);
    if (common >= 3 && memcmp(a, b, common) == 0) return true;
    return common > 3 && distance(a, a_length, b, b_length) <= 2;
}

static const char *suggestion(const char *name) {
    char sent[PLAIN_MAX], known[PLAIN_MAX];
    size_t sent_length = plain_name(name, sent);
    for (enum pay_field field = PAY_FIELD_NONE + 1; field < PAY_FIELD_COUNT; field++) {
        size_t known_length = plain_name(pay_field_name(field), known);
        if (meant(sent, sent_length, known, known_length)) return pay_field_name(field);
    }
    return NULL;
}

void pay_error_unknown_member(const char *name, struct pay_codec_error *ret_error) {
    const char *close = suggestion(name);
    *ret_error = (struct pay_codec_error){.reason = PAY_BAD_FIELD};
    write_pointer(name, ret_error->pointer);
    snprintf(ret_error->detail, sizeof ret_error->detail,
             "there is no such member%s%s%s; a request has order_id, attempt, account_id, amount_minor, currency, "
             "metadata and nothing else",
             close != NULL ? " (did you mean " : "", close != NULL ? close : "", close != NULL ? "?)" : "");
}
