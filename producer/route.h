/*
 * route.h - the seam between the dispatcher (routes.c) and the families of routes: what a family gets, and how it answers.
 *
 * To add a family: route_NAME.c with its handlers, declared as `extern const struct pay_handlers pay_NAME_handlers` in
 * route_NAME.h, and a line per method and path in the table of routes.c. When a handler is called, the dispatcher has found the
 * route, the key was good for the scope, quota was taken, the media type is right, and the exchange below is filled.
 *
 * Calling sequence: `head` (optional) once, before the body; `piece` as often as bytes come, only where it is not NULL (the body is
 * then collected nowhere); `complete` with the body's end; `gone` (optional) when it ends without an answer after `head` let it pass.
 * A handler answers at once or keeps the exchange and answers later, exactly once, through pay_exchange_answer or _problem. After that
 * the exchange is dead. What a handler allocates it keeps in `state` and frees when it answers or in `gone`.
 *
 * Records: give `owner` and `done` to pay_appender_submit (appender.h); `done` comes once unless pay_appender_forget was called.
 * Threads: one. Memory: the exchange lies in the request's room.
 */
#ifndef PAY_PRODUCER_ROUTE_H
#define PAY_PRODUCER_ROUTE_H

#include "base/config.h"
#include "base/histogram.h"
#include "producer/appender.h"
#include "producer/auth.h"
#include "producer/http.h"
#include "producer/order_token.h"
#include "producer/payment.h"
#include "producer/problem.h"

#define PAY_REQUEST_ID_MAX 64

/* What all routes share; one per intake. */
struct pay_service {
    const struct pay_config *config;
    struct pay_appender *appender;        /* NULL: closed already, while the last answers leave */
    struct pay_auth *auth;                /* NULL: no API keys; everybody is tenant "default" with every scope */
    struct pay_order_tokens *tokens;      /* NULL: order ids carry no token */
    uint64_t accepted;                    /* payments answered 202, the lines of batches among them */
    uint64_t problems[PAY_PROBLEM_COUNT]; /* ... and not, by code, likewise */
    struct pay_histogram accepted_us;     /* body complete -> acknowledged */
    uint32_t batches;                     /* open now */
    uint64_t batches_total;
    uint64_t order_ids_total;
};

struct pay_exchange;

struct pay_handlers {
    void (*head)(struct pay_exchange *exchange);
    bool (*piece)(struct pay_exchange *exchange, const char *bytes, size_t length); /* as in http.h */
    void (*complete)(struct pay_exchange *exchange);
    void (*gone)(struct pay_exchange *exchange);
};

enum pay_media { PAY_MEDIA_NONE, PAY_MEDIA_JSON, PAY_MEDIA_NDJSON, PAY_MEDIA_COUNT };

struct pay_route {
    const char *method;
    const char *path; /* one {name} may stand at the end, for one part that isn't empty */
    enum pay_scope scope;
    enum pay_media media; /* of the body */
    const struct pay_handlers *handlers;
};

/* One request, from its head to its answer. */
struct pay_exchange {
    struct pay_service *service;
    struct pay_http_request *request;
    const struct pay_route *route; /* NULL: refused before one was found */
    const char *path_part;         /* what {name} stands for; NULL: the route has none */
    struct pay_caller caller;      /* tenant, scopes, quota */
    void *state;                   /* the handlers' own; NULL at first */
    size_t body_max;
    int32_t attempt; /* this and order_id: the handlers' own, too */
    char order_id[PAY_ID_MAX + 1];
    char request_id[PAY_REQUEST_ID_MAX + 1];
    char traceparent[PAY_TRACEPARENT_MAX + 1];
};

/* In the request's room: fresh, with request_id and traceparent taken from its headers or made. */
struct pay_exchange *pay_exchange_begin(struct pay_service *service, struct pay_http_request *request);
struct pay_exchange *pay_exchange_of(struct pay_http_request *request);

/* Adds X-Request-Id and traceparent to the answer's headers (at most PAY_EXCHANGE_HEADERS_MAX of the caller's own). */
#define PAY_EXCHANGE_HEADERS_MAX 10
void pay_exchange_answer(struct pay_exchange *exchange, const struct pay_http_answer *answer);

struct pay_problem {
    enum pay_problem_code code;
    const char *detail;
    const char *pointer;                   /* or NULL */
    const struct pay_http_header *headers; /* more of them */
    size_t header_count;
};
/* Counts it; not_accepted gets its Retry-After. */
void pay_exchange_problem(struct pay_exchange *exchange, const struct pay_problem *problem);

/* 1..3 seconds, so that those who were refused together don't come back together. */
int pay_retry_after_s(void);

/* With [token] required: was this id issued here, for this tenant, and not too long ago? */
bool pay_exchange_judge_token(const struct pay_exchange *exchange, const char *order_id,
                              struct pay_payment_fault *ret_fault);
/* Gives the payment to the log, with the exchange's headers; true: `done` comes (appender.h). */
bool pay_exchange_append(struct pay_exchange *exchange, const struct pay_request *payment, void *owner,
                         pay_call_done *done, struct pay_call **ret_call, const char **ret_reason);

#endif
