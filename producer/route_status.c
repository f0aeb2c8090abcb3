#include "producer/route_status.h"

#include "base/clock.h"
#include "producer/lookup.h"
#include "producer/query.h"
#include "producer/results.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* `state` of the exchange: its struct pay_lookup_call, while one is under way. `attempt` 0: any; `position.generation` 0: by order. */

enum { ATTEMPT, POSITION, WAIT };
static const char *const names[] = {[ATTEMPT] = "attempt", [POSITION] = "position", [WAIT] = "wait", NULL};

static bool by_position(const struct pay_exchange *exchange) { return exchange->position.generation > 0; }

/* --- what is asked ------------------------------------------------------------------------------------------------------------ */

static const char *read_question(struct pay_exchange *exchange, const struct pay_query *query) {
    const char *const *values = query->values;
    long attempt = 0, wait = 0;
    exchange->position = (struct pay_position){.generation = 0};
    if (query->wrong != NULL) return query->wrong;
    if (!pay_id_valid(exchange->path_part, strlen(exchange->path_part)))
        return "An order id has 1 to 64 of A-Z a-z 0-9 . _ : -";
    if (values[ATTEMPT] != NULL && !pay_query_number(values[ATTEMPT], 1, PAY_ATTEMPT_MAX, &attempt))
        return "attempt is a whole number from 1 to 99";
    if (values[POSITION] != NULL &&
        !pay_position_parse(values[POSITION], strlen(values[POSITION]), &exchange->position))
        return "position is what an answer to a payment said, such as 1-3-1234";
    if (values[WAIT] != NULL && !pay_query_number(values[WAIT], 1, PAY_WAIT_S_MAX, &wait))
        return "wait is a whole number of seconds from 1 to 30";
    memcpy(exchange->order_id, exchange->path_part, strlen(exchange->path_part) + 1);
    exchange->attempt = (int32_t)attempt;
    exchange->wait_s = (int32_t)wait;
    return NULL;
}

/* --- answers ------------------------------------------------------------------------------------------------------------------ */

static void answer_json(struct pay_exchange *exchange, unsigned int status, const char *body, size_t length) {
    static const struct pay_http_header headers[] = {
        {"Content-Type", "application/json"}, {"Cache-Control", "no-store"}, {"Retry-After", "1"}};
    pay_exchange_answer(exchange, &(struct pay_http_answer){.status = status,
                                                            .body = body,
                                                            .body_length = length,
                                                            .headers = headers,
                                                            .header_count = status == 202 ? 3 : 2});
}

static void answer_queued(struct pay_exchange *exchange) {
    char body[PAY_ID_MAX + PAY_POSITION_TEXT_MAX + 96],
        attempt[16] = "null", position[PAY_POSITION_TEXT_MAX + 2] = "null", text[PAY_POSITION_TEXT_MAX];
    if (exchange->attempt > 0) snprintf(attempt, sizeof attempt, "%" PRId32, exchange->attempt);
    if (by_position(exchange)) {
        pay_position_format(&exchange->position, text);
        snprintf(position, sizeof position, "\"%s\"", text);
    }
    int length =
        snprintf(body, sizeof body, "{\"order_id\":\"%s\",\"attempt\":%s,\"status\":\"queued\",\"position\":%s}",
                 exchange->order_id, attempt, position);
    answer_json(exchange, 202, body, (size_t)length);
}

static void answer_problem(struct pay_exchange *exchange, enum pay_problem_code code, const char *detail) {
    pay_exchange_problem(exchange, &(struct pay_problem){.code = code, .detail = detail});
}

static void answer_nowhere(struct pay_exchange *exchange) {
    answer_problem(exchange, PAY_PROBLEM_NOT_FOUND,
                   by_position(exchange) ? "No payment of this order lies at that position."
                                         : "No such payment is decided, and none is on its way.");
}

/* Does this reply belong to the order that was asked for, and to the caller? */
static bool is_asked_for(const struct pay_exchange *exchange, const char *key, const char *value, size_t length) {
    struct pay_reply reply;
    if (!pay_reply_parse(value, length, &reply) || strcmp(reply.tenant, exchange->caller.tenant) != 0) return false;
    if (exchange->attempt > 0 && reply.attempt > 0 && reply.attempt != exchange->attempt) return false;
    const char *order_id = reply.order_id[0] != '\0' ? reply.order_id : key; /* bytes that were no request */
    return order_id[0] == '\0' || strcmp(order_id, exchange->order_id) == 0;
}

static void answer_reply(struct pay_exchange *exchange, const char *key, const char *value, size_t length) {
    if (is_asked_for(exchange, key, value, length))
        answer_json(exchange, 200, value, length);
    else
        answer_nowhere(exchange);
}

/* --- memory ------------------------------------------------------------------------------------------------------------------- */

static bool answer_from_memory(struct pay_exchange *exchange) {
    const struct pay_follower *follower = exchange->service->follower;
    struct pay_result result;
    char key[PAY_ID_MAX + 1] = "";
    if (follower == NULL || !pay_results_find(pay_follower_results(follower), &exchange->position, &result))
        return false;
    if (result.key_length <= PAY_ID_MAX) memcpy(key, result.key, result.key_length);
    answer_reply(exchange, key, result.value, result.value_length);
    return true;
}

static bool is_answered(const struct pay_exchange *exchange) {
    const struct pay_service *service = exchange->service;
    const struct pay_position *position = &exchange->position;
    if (service->follower == NULL || position->generation != pay_service_generation(service, position->partition))
        return false;
    if (position->partition >= pay_follower_partitions(service->follower)) return false;
    return position->offset < pay_follower_answered_below(service->follower, position->partition);
}

/* The follower sees every reply, and this one hasn't come: queued, whatever the books are doing. */
static bool is_still_to_come(const struct pay_exchange *exchange) {
    const struct pay_service *service = exchange->service;
    const struct pay_position *position = &exchange->position;
    return service->follower != NULL && position->generation == pay_service_generation(service, position->partition) &&
           pay_follower_stands(service->follower, position->partition) &&
           pay_follower_answered_below(service->follower, position->partition) >= 0 && !is_answered(exchange);
}

/* --- waiting for a position --------------------------------------------------------------------------------------------------- */

static void forget_question(struct pay_exchange *exchange) {
    if (exchange->state != NULL) pay_lookup_forget(exchange->service->lookup, exchange->state);
    exchange->state = NULL;
}

static void on_waited(void *owner, enum pay_wait_end end, const char *value, size_t length) {
    struct pay_exchange *exchange = owner;
    exchange->waiter = NULL;
    forget_question(exchange);
    if (end != PAY_WAIT_ANSWERED)
        answer_queued(exchange);
    else if (!answer_from_memory(exchange)) /* which knows its key; it may have just been too large */
        answer_reply(exchange, exchange->order_id, value, length);
}

static void begin_waiting(struct pay_exchange *exchange) {
    struct pay_service *service = exchange->service;
    if (service->waiters == NULL || exchange->wait_s == 0) return;
    exchange->waiter = pay_waiters_add(service->waiters, exchange, on_waited, exchange->wait_s, pay_clock_us());
    if (exchange->waiter != NULL) pay_waiters_place(service->waiters, exchange->waiter, &exchange->position);
}

static void stop_waiting(struct pay_exchange *exchange) {
    if (exchange->waiter != NULL) pay_waiters_remove(exchange->service->waiters, exchange->waiter);
    exchange->waiter = NULL;
}

/* --- the books ---------------------------------------------------------------------------------------------------------------- */

static void on_looked_up(void *owner, const struct pay_question *question) {
    struct pay_exchange *exchange = owner;
    enum pay_books_end end = question->end;
    exchange->state = NULL;
    if (end == PAY_BOOKS_UNAVAILABLE && by_position(exchange) && is_still_to_come(exchange)) end = PAY_BOOKS_QUEUED;
    if (end == PAY_BOOKS_QUEUED && exchange->waiter != NULL) return; /* its reply is still to come */
    stop_waiting(exchange);
    switch (end) {
    case PAY_BOOKS_OPEN: /* never */
    case PAY_BOOKS_QUEUED: answer_queued(exchange); return;
    case PAY_BOOKS_FOUND: answer_reply(exchange, question->key, question->value, question->length); return;
    case PAY_BOOKS_NOWHERE: answer_nowhere(exchange); return;
    case PAY_BOOKS_GONE:
        answer_problem(exchange, PAY_PROBLEM_GONE,
                       "That reply is older than the reply log keeps; ask by order id alone for the decision.");
        return;
    case PAY_BOOKS_MISSING:
        answer_problem(exchange, PAY_PROBLEM_INCONSISTENT,
                       "That record was answered, but its reply isn't in the reply log; the operators must look.");
        return;
    case PAY_BOOKS_UNAVAILABLE:
        answer_problem(exchange, PAY_PROBLEM_UNAVAILABLE,
                       "The books or the log can't be read at the moment; ask again.");
        return;
    }
}

static void look_up(struct pay_exchange *exchange) {
    struct pay_question question = {.attempt = exchange->attempt,
                                    .by_position = by_position(exchange),
                                    .position = exchange->position,
                                    .answered = by_position(exchange) && is_answered(exchange)};
    memcpy(question.tenant, exchange->caller.tenant, sizeof question.tenant);
    memcpy(question.order_id, exchange->order_id, sizeof question.order_id);
    if (question.by_position) begin_waiting(exchange);
    int64_t wait_ms = exchange->waiter != NULL ? 0 : exchange->wait_s * INT64_C(1000);
    exchange->state = pay_lookup_ask(exchange->service->lookup, &question, wait_ms, exchange, on_looked_up);
    if (exchange->state != NULL) return;
    stop_waiting(exchange);
    answer_problem(exchange, PAY_PROBLEM_UNAVAILABLE, "Too many questions at once.");
}

/* --- the route ---------------------------------------------------------------------------------------------------------------- */

static void complete(struct pay_exchange *exchange) {
    struct pay_query query;
    if (exchange->service->lookup == NULL) {
        answer_problem(exchange, PAY_PROBLEM_NOT_CONFIGURED,
                       "This intake has no database to ask: [producer] database isn't set.");
        return;
    }
    exchange->waiter = NULL;
    pay_query_begin(&query, names);
    pay_http_query_each(exchange->request, pay_query_take, &query);
    const char *wrong = read_question(exchange, &query);
    if (wrong != NULL) {
        answer_problem(exchange, PAY_PROBLEM_BAD_PARAMETER, wrong);
        return;
    }
    if (by_position(exchange) && answer_from_memory(exchange)) return;
    look_up(exchange);
}

static void gone(struct pay_exchange *exchange) {
    stop_waiting(exchange);
    forget_question(exchange);
}

const struct pay_handlers pay_status_handlers = {.complete = complete, .gone = gone};
