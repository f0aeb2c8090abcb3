/*
 * problem.h - what is said when a call isn't accepted: RFC 9457 bodies with a stable code. One table: code, status, title, retryable.
 * Pure. Memory: the caller's buffer. Threads: any.
 */
#ifndef PAY_PRODUCER_PROBLEM_H
#define PAY_PRODUCER_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>

enum pay_problem_code {
    PAY_PROBLEM_BAD_REQUEST, /* the HTTP message itself */
    PAY_PROBLEM_MALFORMED_JSON,
    PAY_PROBLEM_BAD_FIELD,
    PAY_PROBLEM_BAD_PARAMETER, /* of the query */
    PAY_PROBLEM_ID_MISMATCH,   /* path, body and Idempotency-Key disagree */
    PAY_PROBLEM_UNAUTHORIZED,
    PAY_PROBLEM_FORBIDDEN,
    PAY_PROBLEM_TOKEN_INVALID, /* an order id that wasn't issued here */
    PAY_PROBLEM_TOKEN_EXPIRED,
    PAY_PROBLEM_NOT_FOUND,
    PAY_PROBLEM_METHOD_NOT_ALLOWED,
    PAY_PROBLEM_GONE, /* older than the reply log keeps */
    PAY_PROBLEM_TOO_LARGE,
    PAY_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
    PAY_PROBLEM_QUOTA_EXCEEDED,
    PAY_PROBLEM_INCONSISTENT,    /* the log lacks what the books say is there */
    PAY_PROBLEM_NOT_CONFIGURED,  /* this intake has no database, or follows no replies */
    PAY_PROBLEM_UNAVAILABLE,     /* a question that can't be answered just now; payments aren't touched by it */
    PAY_PROBLEM_NOT_ACCEPTED,    /* certainly not stored */
    PAY_PROBLEM_OUTCOME_UNKNOWN, /* may be stored; a retry with the same order_id is safe */
    PAY_PROBLEM_COUNT
};

unsigned int pay_problem_status(enum pay_problem_code code);
const char *pay_problem_name(enum pay_problem_code code);

#define PAY_PROBLEM_TEXT_MAX 2048

/* The body. `pointer` (a JSON pointer) makes an errors[] entry with the detail; NULL: none. Answers the length; text is cut, never the JSON. */
size_t pay_problem_format(enum pay_problem_code code, const char *detail, const char *pointer, const char *request_id,
                          char buffer[PAY_PROBLEM_TEXT_MAX]);

/* The members that a refused line of a batch ends with, without braces: "retryable", "detail", "errors". detail NULL: the title. */
size_t pay_problem_format_line(enum pay_problem_code code, const char *detail, const char *pointer,
                               char buffer[PAY_PROBLEM_TEXT_MAX]);

#endif
