#include "producer/problem.h"

#include <assert.h>
#include <stdio.h>

#define ESCAPED_MAX 400 /* room for a text, escaped */

/* clang-format off */
static const struct {
    const char *name;
    unsigned int status;
    const char *title;
    bool retryable;
} problems[PAY_PROBLEM_COUNT] = {
    [PAY_PROBLEM_BAD_REQUEST] = {"bad_request", 400, "The HTTP request is malformed", false},
    [PAY_PROBLEM_MALFORMED_JSON] = {"malformed_json", 400, "The body isn't the JSON that is wanted", false},
    [PAY_PROBLEM_BAD_FIELD] = {"bad_field", 400, "A member is missing or wrong", false},
    [PAY_PROBLEM_BAD_PARAMETER] = {"bad_parameter", 400, "A query parameter or an event id is wrong", false},
    [PAY_PROBLEM_ID_MISMATCH] = {"id_mismatch", 400, "Path, body and Idempotency-Key disagree", false},
    [PAY_PROBLEM_UNAUTHORIZED] = {"unauthorized", 401, "An API key is needed", false},
    [PAY_PROBLEM_FORBIDDEN] = {"forbidden", 403, "This API key may not do this", false},
    [PAY_PROBLEM_TOKEN_INVALID] = {"token_invalid", 403, "The order id wasn't issued by this intake", false},
    [PAY_PROBLEM_TOKEN_EXPIRED] = {"token_expired", 403, "The order id's token has expired", false},
    [PAY_PROBLEM_NOT_FOUND] = {"not_found", 404, "There is nothing here", false},
    [PAY_PROBLEM_METHOD_NOT_ALLOWED] = {"method_not_allowed", 405, "This method doesn't work here", false},
    [PAY_PROBLEM_GONE] = {"gone", 410, "Older than what is kept", false},
    [PAY_PROBLEM_TOO_LARGE] = {"too_large", 413, "The body is too large", false},
    [PAY_PROBLEM_UNSUPPORTED_MEDIA_TYPE] = {"unsupported_media_type", 415, "The body isn't of the media type that is wanted", false},
    [PAY_PROBLEM_QUOTA_EXCEEDED] = {"quota_exceeded", 429, "The quota is used up for the moment", true},
    [PAY_PROBLEM_INCONSISTENT] = {"inconsistent", 500, "The reply is missing", false},
    [PAY_PROBLEM_NOT_CONFIGURED] = {"not_configured", 501, "This intake isn't set up for it", false},
    [PAY_PROBLEM_UNAVAILABLE] = {"unavailable", 503, "Can't be answered at the moment", true},
    [PAY_PROBLEM_NOT_ACCEPTED] = {"not_accepted", 503, "Not accepted, certainly not stored", true},
    [PAY_PROBLEM_OUTCOME_UNKNOWN] = {"outcome_unknown", 504, "It isn't known whether the payment was stored", true},
};
/* clang-format on */

unsigned int pay_problem_status(enum pay_problem_code code) {
    assert(code < PAY_PROBLEM_COUNT);
    return problems[code].status;
}

const char *pay_problem_name(enum pay_problem_code code) {
    assert(code < PAY_PROBLEM_COUNT);
    return problems[code].name;
}

/* Escaped for JSON, cut between two characters where the room ends. Details may quote what a client sent. */
static void escape(const char *text, char ret_text[ESCAPED_MAX]) {
    size_t length = 0;
    for (const char *at = text; *at != '\0' && length + 7 < ESCAPED_MAX; at++) { /* an escape has 6 characters */
        unsigned char c = (unsigned char)*at;
        if (c == '"' || c == '\\') {
            ret_text[length++] = '\\';
            ret_text[length++] = *at;
        } else if (c < ' ' || c == 0x7f) {
            length += (size_t)snprintf(ret_text + length, 7, "\\u%04x", c);
        } else {
            ret_text[length++] = *at;
            if ((c & 0xC0) == 0xC0 && length + 10 >= ESCAPED_MAX) { /* a character of several bytes that may not fit */
                length--;
                break;
            }
        }
    }
    ret_text[length] = '\0';
}

#define ERRORS_MAX (2 * ESCAPED_MAX + 64)

/* ,"errors":[..], or nothing. */
static void format_errors(const char *safe_detail, const char *pointer, char ret_errors[ERRORS_MAX]) {
    char safe_pointer[ESCAPED_MAX];
    ret_errors[0] = '\0';
    if (pointer == NULL) return;
    escape(pointer, safe_pointer);
    snprintf(ret_errors, ERRORS_MAX, ",\"errors\":[{\"pointer\":\"%s\",\"detail\":\"%s\"}]", safe_pointer, safe_detail);
}

size_t pay_problem_format_line(enum pay_problem_code code, const char *detail, const char *pointer,
                               char buffer[PAY_PROBLEM_TEXT_MAX]) {
    char safe_detail[ESCAPED_MAX], errors[ERRORS_MAX];
    assert(code < PAY_PROBLEM_COUNT);
    escape(detail != NULL ? detail : problems[code].title, safe_detail);
    format_errors(safe_detail, pointer, errors);
    int length = snprintf(buffer, PAY_PROBLEM_TEXT_MAX, "\"retryable\":%s,\"detail\":\"%s\"%s",
                          problems[code].retryable ? "true" : "false", safe_detail, errors);
    assert(length > 0 && length < PAY_PROBLEM_TEXT_MAX);
    return (size_t)length;
}

size_t pay_problem_format(enum pay_problem_code code, const char *detail, const char *pointer, const char *request_id,
                          char buffer[PAY_PROBLEM_TEXT_MAX]) {
    char safe_detail[ESCAPED_MAX], errors[ERRORS_MAX];
    assert(code < PAY_PROBLEM_COUNT);
    escape(detail, safe_detail);
    format_errors(safe_detail, pointer, errors);
    int length =
        snprintf(buffer, PAY_PROBLEM_TEXT_MAX,
                 "{\"type\":\"urn:paybuf:problem:%s\",\"title\":\"%s\",\"status\":%u,\"detail\":\"%s\",\"code\":\"%s\","
                 "\"request_id\":\"%s\",\"retryable\":%s%s}",
                 problems[code].name, problems[code].title, problems[code].status, safe_detail, problems[code].name,
                 request_id, problems[code].retryable ? "true" : "false", errors);
    assert(length > 0 && length < PAY_PROBLEM_TEXT_MAX);
    return (size_t)length;
}
