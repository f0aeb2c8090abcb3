/*
 * payment.h - from a call's parts to the payment that is appended: body, path, Idempotency-Key and the headers worth keeping.
 * Pure. Memory: *ret's metadata points into the body. Threads: any, after pay_codec_init.
 */
#ifndef PAY_PRODUCER_PAYMENT_H
#define PAY_PRODUCER_PAYMENT_H

#include "codec/request_codec.h"
#include "producer/problem.h"

struct pay_payment_parts {
    const char *body;
    size_t body_length;
    const char *path_id;         /* PUT's order id; NULL with POST */
    const char *idempotency_key; /* NULL when not sent */
};

struct pay_payment_fault {
    enum pay_problem_code code;
    char pointer[96];
    bool has_pointer;
    char detail[256];
};

/* False: *ret_fault says what the client did wrong. */
bool pay_payment_read(const struct pay_payment_parts *parts, struct pay_request *ret_request,
                      struct pay_payment_fault *ret_fault);

/* W3C trace context, as far as it must be right to be passed on. */
bool pay_traceparent_valid(const char *text);
/* application/json, with charset=utf-8 or without parameters; application/x-ndjson or application/ndjson likewise. */
bool pay_content_type_is_json(const char *text);
bool pay_content_type_is_ndjson(const char *text);

#endif
