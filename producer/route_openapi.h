/* route_openapi.h - GET /openapi.json: docs/openapi.yaml, as the build made it one JSON document (embed_openapi.py). Needs no key. */
#ifndef PAY_PRODUCER_ROUTE_OPENAPI_H
#define PAY_PRODUCER_ROUTE_OPENAPI_H

#include "producer/route.h"

extern const char pay_openapi_json[];
extern const size_t pay_openapi_json_length;

extern const struct pay_handlers pay_openapi_handlers;

#endif
