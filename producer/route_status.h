/*
 * route_status.h - GET /v1/payments/{order_id}?attempt=&position=&wait=: what became of a payment.
 *
 * With `position` the answer to that very record, byte for byte as listeners get it: from the follower's memory, else from the reply log.
 * Without, the decision on file: of that attempt, or of the latest one. 202 as long as there is none but may be (decision 031).
 */
#ifndef PAY_PRODUCER_ROUTE_STATUS_H
#define PAY_PRODUCER_ROUTE_STATUS_H

#include "producer/route.h"

extern const struct pay_handlers pay_status_handlers;

#endif
