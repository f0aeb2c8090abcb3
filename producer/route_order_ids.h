/* route_order_ids.h - POST /v1/order-ids {"count":n}: time-ordered ids, with tokens where [token] secrets is set (order_token.h). */
#ifndef PAY_PRODUCER_ROUTE_ORDER_IDS_H
#define PAY_PRODUCER_ROUTE_ORDER_IDS_H

#include "producer/route.h"

#define PAY_ORDER_IDS_MAX 1000 /* of one call */

extern const struct pay_handlers pay_order_ids_handlers;

#endif
