#include "producer/route_order_ids.h"

#include "base/clock.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char count_rule[] = "count is how many order ids are wanted: a whole number from 1 to 1000, 1 if left out";

/* 0, and the problem, when the document isn't {"count":n}. */
static json_int_t count_of(const json_t *document, struct pay_problem *problem) {
    const json_t *count = json_object_get(document, "count");
    *problem =
        (struct pay_problem){.code = PAY_PROBLEM_MALFORMED_JSON, .detail = "Send an object like {\"count\":10}."};
    if (!json_is_object(document)) return 0;
    *problem = (struct pay_problem){
        .code = PAY_PROBLEM_BAD_FIELD, .detail = "The only member is count; leave the others out.", .pointer = ""};
    if (json_object_size(document) > (count != NULL)) return 0;
    if (count == NULL) return 1;
    problem->detail = count_rule;
    problem->pointer = "/count";
    json_int_t number = json_is_integer(count) ? json_integer_value(count) : 0;
    return number >= 1 && number <= PAY_ORDER_IDS_MAX ? number : 0;
}

static void answer(struct pay_exchange *exchange, size_t count) {
    static const struct pay_http_header headers[] = {{"Content-Type", "application/json"},
                                                     {"Cache-Control", "no-store"}};
    char id[PAY_ID_MAX + 1];
    size_t room = 32 + count * (PAY_ID_MAX + 3), length;
    char *body = malloc(room);
    if (body == NULL) abort(); /* out of memory: accepted payments are in the log */
    length = (size_t)snprintf(body, room, "{\"order_ids\":[");
    for (size_t i = 0; i < count; i++) {
        pay_order_id_make(exchange->service->tokens, exchange->caller.tenant, pay_wall_clock_us(), id);
        length += (size_t)snprintf(body + length, room - length, "%s\"%s\"", i > 0 ? "," : "", id);
    }
    length += (size_t)snprintf(body + length, room - length, "]}");
    exchange->service->order_ids_total += count;
    pay_exchange_answer(exchange, &(struct pay_http_answer){.status = 200,
                                                            .body = body,
                                                            .body_length = length,
                                                            .headers = headers,
                                                            .header_count = sizeof headers / sizeof *headers});
    free(body);
}

static void complete(struct pay_exchange *exchange) {
    size_t length;
    struct pay_problem problem;
    const char *body = pay_http_body(exchange->request, &length);
    json_t *document = json_loadb(body, length, JSON_REJECT_DUPLICATES, NULL);
    json_int_t count = count_of(document, &problem);
    json_decref(document);
    if (count > 0)
        answer(exchange, (size_t)count);
    else
        pay_exchange_problem(exchange, &problem);
}

const struct pay_handlers pay_order_ids_handlers = {.complete = complete};
