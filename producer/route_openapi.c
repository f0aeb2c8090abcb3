#include "producer/route_openapi.h"

static void complete(struct pay_exchange *exchange) {
    static const struct pay_http_header type = {"Content-Type", "application/json"};
    pay_exchange_answer(exchange, &(struct pay_http_answer){.status = 200,
                                                            .body = pay_openapi_json,
                                                            .body_length = pay_openapi_json_length,
                                                            .headers = &type,
                                                            .header_count = 1});
}

const struct pay_handlers pay_openapi_handlers = {.complete = complete};
