/*
 * routes.h - the table of routes, and what is judged the same way for all of them: path, method, key, scope, quota, media type.
 * In this order, so that a stranger learns nothing about the body's rules. What a call means is in route_*.c (route.h is the seam).
 * Threads: one. Needs no sockets: a test that plays http.h and appender.h can drive it.
 */
#ifndef PAY_PRODUCER_ROUTES_H
#define PAY_PRODUCER_ROUTES_H

#include "producer/http.h"
#include "producer/route.h"

/* The callbacks of http.h; `argument` is the struct pay_service. */
void pay_routes_fault(void *argument, struct pay_http_request *request, enum pay_http_fault fault, const char *detail);
void pay_routes_head(void *argument, struct pay_http_request *request);
bool pay_routes_piece(void *argument, struct pay_http_request *request, const char *bytes, size_t length);
void pay_routes_complete(void *argument, struct pay_http_request *request);
void pay_routes_gone(void *argument, struct pay_http_request *request);

#endif
