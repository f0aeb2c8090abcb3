/* route_payments.h - POST /v1/payments and PUT /v1/payments/{order_id}: one payment, 202 when every in-sync replica has it. */
#ifndef PAY_PRODUCER_ROUTE_PAYMENTS_H
#define PAY_PRODUCER_ROUTE_PAYMENTS_H

#include "producer/route.h"

extern const struct pay_handlers pay_payments_handlers;

#endif
