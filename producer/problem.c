#include "producer/problem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_MAX 400                  /* bytes of a text before escaping; an escape has at most 6 for 1 */

static const struct {
    const char *name;
    unsigned int status;
    const char *title;
    bool retryable;
} problems[PAY_PROBLEM_COUNT] = {
    [PAY_PROBLEM_BAD_REQUEST] = {"bad_request", 400, "The HTTP request is malformed", false},
    [PAY_PROBLEM_MALFORMED_JSON] = {"malformed_json", 400, "The body isn't the JSON that is wanted", false},
    [PAY_PROBLEM_BAD_FIELD] = {"bad_field", 400, "A member is missing or wrong", false},
    [PAY_PROBLEM_ID_MISMATCH] = {"id_mismatch", 400, "Path, body and Idempotency-Key disagree", false},
    [PAY_PROBLEM_NOT_FOUND] = {"not_found", 404, "There is nothing here", false},
    [PAY_PROBLEM_METHOD_NOT_ALLOWED] = {"method_not_allowed", 405, "This method doesn't work here", false},
    [PAY_PROBLEM_TOO_LARGE] = {"too_large", 413, "The body is too large", false},
    [PAY_PROBLEM_UNSUPPORTED_MEDIA_TYPE] = {"unsupported_media_type", 415, "The body must be application/json", false},
    [PAY_PROBLEM_NOT_ACCEPTED] = {"not_accepted", 503, "Not accepted, certainly not stored", true},
    [PAY_PROBLEM_OUTCOME_UNKNOWN] = {"outcome_unknown", 504, "It isn't known whether the payment was stored", true},
};

unsigned int pay_problem_status(enum pay_problem_code code) {
    assert(code < PAY_PROBLEM_COUNT);
    return problems[code].status;
}

const char *pay_problem_name(enum pay_problem_code code) {
    assert(code < PAY_PROBLEM_COUNT);
    return problems[code].name;
}

/* JSON text of at most DETAIL_MAX bytes of `text`, cut between two characters. Details may quote what a client sent. */
static void escape(const char *text, char *ret_text) {
    size_t length = strlen(text);
    if (length > DETAIL_MAX) {
        length = DETAIL_MAX;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) length--;
    }
    char *at = ret_text;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            *at++ = '\\';
            *at++ = (char)c;
        } else if (c < ' ' || c == 0x7f) {
            at += sprintf(at, "\\u%04x", c);
        } else {
            *at++ = (char)c;
        }
    }
    *at = '\0';
}

size_t pay_problem_format(enum pay_problem_code code, const char *detail, const char *pointer, const char *request_id,
                          char buffer[PAY_PROBLEM_TEXT_MAX]) {
    char safe_detail[6 * DETAIL_MAX + 1], safe_pointer[6 * DETAIL_MAX + 1], errors[PAY_PROBLEM_TEXT_MAX] = "";
    assert(code < PAY_PROBLEM_COUNT);
    escape(detail, safe_detail);
    if (strlen(safe_detail) > DETAIL_MAX) strcpy(safe_detail, "See the code.");         /* mostly control characters: nothing worth quoting */
    if (pointer != NULL) {
        escape(pointer, safe_pointer);
        if (strlen(safe_pointer) > DETAIL_MAX) safe_pointer[0] = '\0';
        snprintf(errors, sizeof errors, ",\"errors\":[{\"pointer\":\"%s\",\"detail\":\"%s\"}]", safe_pointer, safe_detail);
    }
    int length = snprintf(buffer, PAY_PROBLEM_TEXT_MAX,
                          "{\"type\":\"urn:paybuf:problem:%s\",\"title\":\"%s\",\"status\":%u,\"detail\":\"%s\",\"code\":\"%s\","
                          "\"request_id\":\"%s\",\"retryable\":%s%s}",
                          problems[code].name, problems[code].title, problems[code].status, safe_detail, problems[code].name, request_id,
                          problems[code].retryable ? "true" : "false", errors);
    assert(length > 0 && length < PAY_PROBLEM_TEXT_MAX);
    return (size_t)length;
}
