/* route_results.h - GET /v1/results: the replies as server-sent events (streams.h). */
#ifndef PAY_PRODUCER_ROUTE_RESULTS_H
#define PAY_PRODUCER_ROUTE_RESULTS_H

#include "producer/route.h"

extern const struct pay_handlers pay_results_handlers;

#endif
