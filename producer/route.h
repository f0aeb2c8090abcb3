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
#include "producer/follower.h"
#include "producer/http.h"
#include "producer/order_token.h"
#include "producer/payment.h"
#include "producer/problem.h"
#include "producer/waiters.h"

#define PAY_REQUEST_ID_MAX 64

/* What came of a payment's `Prefer: wait`. */
enum pay_waited {
    PAY_WAITED_ANSWERED,  /* 200 */
    PAY_WAITED_OVER,      /* 202 after the whole time */
    PAY_WAITED_CUT_SHORT, /* 202 before it: shutting down, or the client has hung up */
    PAY_WAITED_REFUSED,   /* 202 at once: waiters_max, or the replies aren't followed just now */
    PAY_WAITED_MISSED,    /* 202 at once: the result came before the acknowledgement and isn't kept any more */
    PAY_WAITED_UNKNOWN,   /* 503 or 504 */
    PAY_WAITED_COUNT
};

/* What all routes share; one per intake. */
struct pay_service {
    const struct pay_config *config;
    struct pay_appender *appender;   /* NULL: closed already, while the last answers leave */
    struct pay_auth *auth;           /* NULL: no API keys; everybody is tenant "default" with every scope */
    struct pay_order_tokens *tokens; /* NULL: order ids carry no token */
    struct pay_follower *follower;   /* NULL: the replies aren't followed, nobody waits for one */
    struct pay_streams *streams;     /* NULL likewise, or after they were drained */
    struct pay_lookup *lookup;       /* NULL: no [producer] database */
    struct pay_waiters *waiters;     /* with it; every owner is a struct pay_exchange */
    uint64_t accepted;               /* payments acknowledged by the log in time, the lines of batches among them */
    uint64_t problems[PAY_PROBLEM_COUNT]; /* ... and not, by code, likewise */
    struct pay_histogram accepted_us;     /* body complete -> acknowledged */
    uint32_t batches;                     /* open now */
    uint64_t batches_total;
    uint64_t order_ids_total;
    uint64_t waits[PAY_WAITED_COUNT];  /* payments that were to wait for their result, by what came of it */
    uint64_t known_hits, known_misses; /* [producer] known_results */
};

struct pay_streams; /* streams.h */
struct pay_lookup;  /* lookup.h */
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
    struct pay_waiter *waiter; /* this and what follows to order_id: the handlers' own, too */
    struct pay_position position;
    bool bulk;      /* its records are very many (appender.h) */
    int32_t wait_s; /* 0: the client doesn't want to wait */
    enum pay_waited waited;
    int32_t attempt;
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
/* Counts it; not_accepted and unavailable get their Retry-After. */
void pay_exchange_problem(struct pay_exchange *exchange, const struct pay_problem *problem);

/* The log generation of what is appended to this partition now: the first number of its positions. */
int64_t pay_service_generation(const struct pay_service *service, int32_t partition);

/* 1..3 seconds, so that those who were refused together don't come back together. */
int pay_retry_after_s(void);

/* `owner` is an exchange whose answer is due: its client may be gone. For pay_waiters_cut. */
bool pay_exchange_has_hung_up(void *owner);

/* With [token] required: was this id issued here, for this tenant, and not too long ago? */
bool pay_exchange_judge_token(const struct pay_exchange *exchange, const char *order_id,
                              struct pay_payment_fault *ret_fault);
/* Gives the payment to the log, with the exchange's headers; true: `done` comes (appender.h). */
bool pay_exchange_append(struct pay_exchange *exchange, const struct pay_request *payment, void *owner,
                         pay_call_done *done, struct pay_call **ret_call, const char **ret_reason);

#endif
