/*
 * routes.h - what a call means: which path and method, what is wrong with it, what is appended for it, how it is answered.
 * Threads: one. Memory: one struct of counters; requests belong to http.h, calls on their way to appender.h.
 */
#ifndef PAY_PRODUCER_ROUTES_H
#define PAY_PRODUCER_ROUTES_H

#include "base/histogram.h"
#include "producer/appender.h"
#include "producer/http.h"
#include "producer/problem.h"

struct pay_routes {
    struct pay_appender *appender; /* set by the loop once it is open */
    uint64_t accepted;
    uint64_t problems[PAY_PROBLEM_COUNT];
    struct pay_histogram accepted_us; /* body complete -> acknowledged */
};

/* The callbacks of http.h and appender.h; `argument` is the struct pay_routes. */
void pay_routes_fault(void *argument, struct pay_http_request *request, enum pay_http_fault fault, const char *detail);
void pay_routes_head(void *argument, struct pay_http_request *request);
void pay_routes_complete(void *argument, struct pay_http_request *request);
void pay_routes_gone(void *argument, struct pay_http_request *request);
void pay_routes_done(void *argument, struct pay_call *call, const struct pay_position *position);

#endif
