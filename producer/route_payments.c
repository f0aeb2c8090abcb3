#include "producer/route_payments.h"

#include "base/clock.h"
#include "codec/reply_codec.h"
#include "producer/payment.h"
#include "producer/prefer.h"
#include "producer/results.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
 * Of the exchange, `state` is its struct pay_call while the record is on its way, and `waiter` is there while it waits for its result;
 * the waiter is made before the record is given to the log, because the reply can be read before the acknowledgement.
 */

static void check_key(struct pay_exchange *exchange) {
    if (pay_http_header_count(exchange->request, "Idempotency-Key") <= 1) return;
    pay_exchange_problem(
        exchange,
        &(struct pay_problem){.code = PAY_PROBLEM_BAD_REQUEST,
                              .detail = "Idempotency-Key is given more than once; send it once, or not at all."});
}

/* --- answers ------------------------------------------------------------------------------------------------------------------ */

/* Preference-Applied where the client got what it asked for: the result, or the whole time. */
static size_t put_preference(const struct pay_exchange *exchange, bool applied, struct pay_http_header *header,
                             char text[24]) {
    if (!applied) return 0;
    snprintf(text, 24, "wait=%" PRId32, exchange->wait_s);
    *header = (struct pay_http_header){"Preference-Applied", text};
    return 1;
}

static void answer_accepted(struct pay_exchange *exchange, bool waited) {
    char text[PAY_POSITION_TEXT_MAX], body[PAY_ID_MAX + PAY_POSITION_TEXT_MAX + 80],
        location[PAY_ID_MAX + PAY_POSITION_TEXT_MAX + 64], preference[24];
    pay_position_format(&exchange->position, text);
    int length = snprintf(body, sizeof body,
                          "{\"order_id\":\"%s\",\"attempt\":%" PRId32 ",\"status\":\"accepted\",\"position\":\"%s\"}",
                          exchange->order_id, exchange->attempt, text);
    snprintf(location, sizeof location, "/v1/payments/%s?attempt=%" PRId32 "&position=%s", exchange->order_id,
             exchange->attempt, text);
    struct pay_http_header headers[3] = {{"Content-Type", "application/json"}, {"Location", location}};
    size_t count = 2 + put_preference(exchange, waited, &headers[2], preference);
    pay_exchange_answer(
        exchange,
        &(struct pay_http_answer){
            .status = 202, .body = body, .body_length = (size_t)length, .headers = headers, .header_count = count});
}

static void answer_result(struct pay_exchange *exchange, const char *value, size_t length, bool replayed) {
    char preference[24];
    struct pay_http_header headers[3] = {{"Content-Type", "application/json"}};
    size_t count = 1 + put_preference(exchange, exchange->wait_s > 0, &headers[1], preference);
    if (replayed) headers[count++] = (struct pay_http_header){"Idempotent-Replayed", "true"};
    pay_exchange_answer(
        exchange, &(struct pay_http_answer){
                      .status = 200, .body = value, .body_length = length, .headers = headers, .header_count = count});
}

/* --- waiting ------------------------------------------------------------------------------------------------------------------ */

/* 0: doesn't want to wait. A malformed wait is none; a longer one than we allow is cut (RFC 7240: it's a preference). */
static int32_t wanted_wait_s(const struct pay_exchange *exchange) {
    const char *line;
    int64_t seconds = 0;
    for (uint32_t i = 0; (line = pay_http_header_at(exchange->request, "Prefer", i)) != NULL; i++)
        if (pay_prefer_wait(line, &seconds)) break;
    return seconds > PAY_WAIT_S_MAX ? PAY_WAIT_S_MAX : (int32_t)seconds;
}

static void on_waited(void *owner, enum pay_wait_end end, const char *value, size_t length) {
    static const enum pay_waited counted[] = {[PAY_WAIT_ANSWERED] = PAY_WAITED_ANSWERED,
                                              [PAY_WAIT_OVER] = PAY_WAITED_OVER,
                                              [PAY_WAIT_CUT_SHORT] = PAY_WAITED_CUT_SHORT};
    struct pay_exchange *exchange = owner;
    exchange->waiter = NULL;
    exchange->waited = counted[end];
    if (exchange->state != NULL) return; /* not even acknowledged yet */
    exchange->service->waits[exchange->waited]++;
    if (end == PAY_WAIT_ANSWERED)
        answer_result(exchange, value, length, false);
    else
        answer_accepted(exchange, end == PAY_WAIT_OVER);
}

/* Only behind a follower that stands at its log's end can nobody's reply slip by unseen. */
static void begin_waiting(struct pay_exchange *exchange) {
    const struct pay_service *service = exchange->service;
    exchange->waited = PAY_WAITED_REFUSED;
    if (exchange->wait_s == 0 || service->follower == NULL || !pay_follower_stands(service->follower, -1)) return;
    exchange->waiter = pay_waiters_add(service->waiters, exchange, on_waited, exchange->wait_s, pay_clock_us());
}

static void stop_waiting(struct pay_exchange *exchange, enum pay_waited why) {
    if (exchange->wait_s > 0) exchange->service->waits[why]++;
    if (exchange->waiter != NULL) pay_waiters_remove(exchange->service->waiters, exchange->waiter);
    exchange->waiter = NULL;
}

/* The reply to the record, if it was read before the acknowledgement. An order's reply has its key: where the request topic was made anew
   under us, one of the old log's may have the same position. */
static bool find_result(const struct pay_exchange *exchange, struct pay_result *ret_result) {
    size_t length = strlen(exchange->order_id);
    return pay_results_find(pay_follower_results(exchange->service->follower), &exchange->position, ret_result) &&
           ret_result->key_length == length && memcmp(ret_result->key, exchange->order_id, length) == 0;
}

/* Acknowledged: now it is known which reply is the one. */
static void wait_for_result(struct pay_exchange *exchange) {
    const struct pay_service *service = exchange->service;
    const struct pay_position *position = &exchange->position;
    struct pay_result result;
    if (exchange->waiter == NULL) {
        stop_waiting(exchange, exchange->waited);
        answer_accepted(exchange, exchange->waited == PAY_WAITED_OVER);
    } else if (find_result(exchange, &result)) {
        stop_waiting(exchange, PAY_WAITED_ANSWERED);
        answer_result(exchange, result.value, result.value_length, false);
    } else if (position->offset < pay_follower_answered_below(service->follower, position->partition)) {
        stop_waiting(exchange, PAY_WAITED_MISSED);
        answer_accepted(exchange, false);
    } else {
        pay_waiters_place(service->waiters, exchange->waiter, position);
    }
}

/* --- a payment ---------------------------------------------------------------------------------------------------------------- */

static void on_done(void *owner, const struct pay_call *call, const struct pay_position *position) {
    struct pay_exchange *exchange = owner;
    exchange->state = NULL;
    if (position != NULL) {
        pay_histogram_record(&exchange->service->accepted_us, pay_clock_us() - call->started_us);
        exchange->service->accepted++;
        exchange->position = *position;
        wait_for_result(exchange);
        return;
    }
    stop_waiting(exchange, PAY_WAITED_UNKNOWN);
    pay_exchange_problem(exchange,
                         &(struct pay_problem){.code = PAY_PROBLEM_OUTCOME_UNKNOWN,
                                               .detail = "The payment may be stored. Send it again with the same "
                                                         "order_id and attempt: it is decided at most once."});
}

/* Answered from the last replies, as a duplicate is, without a record. Other fields under the identity are for the log to judge. */
static bool answer_known(struct pay_exchange *exchange, const struct pay_request *payment) {
    struct pay_service *service = exchange->service;
    struct pay_decision decision;
    struct pay_answer answer = {.outcome = PAY_CONFLICT};
    struct pay_record record = {.request = *payment};
    char value[PAY_REPLY_TEXT_MAX];
    if (!service->config->producer_known_results || service->follower == NULL) return false;
    if (pay_results_decision(pay_follower_results(service->follower), payment, &decision)) {
        record.position = decision.position; /* the call has none of its own */
        memcpy(record.tenant, payment->tenant, sizeof record.tenant);
        pay_answer_from_decision(&record, &decision, &answer);
    }
    if (answer.outcome == PAY_CONFLICT) {
        service->known_misses++;
        return false;
    }
    service->known_hits++;
    answer.duplicate = true;
    answer_result(exchange, value, pay_reply_format(&record, &answer, value, sizeof value), true);
    return true;
}

static void append(struct pay_exchange *exchange, const struct pay_request *payment) {
    struct pay_call *call;
    const char *reason;
    begin_waiting(exchange);
    if (!pay_exchange_append(exchange, payment, exchange, on_done, &call, &reason)) {
        stop_waiting(exchange, PAY_WAITED_UNKNOWN);
        pay_exchange_problem(exchange, &(struct pay_problem){.code = PAY_PROBLEM_NOT_ACCEPTED, .detail = reason});
        return;
    }
    memcpy(exchange->order_id, payment->order_id, sizeof exchange->order_id);
    exchange->attempt = payment->attempt;
    exchange->state = call;
}

static void complete(struct pay_exchange *exchange) {
    struct pay_request payment;
    struct pay_payment_fault fault;
    struct pay_payment_parts parts = {.path_id = exchange->path_part,
                                      .idempotency_key = pay_http_header(exchange->request, "Idempotency-Key")};
    parts.body = pay_http_body(exchange->request, &parts.body_length);
    memcpy(payment.tenant, exchange->caller.tenant, sizeof payment.tenant);
    if (pay_payment_read(&parts, &payment, &fault) && pay_exchange_judge_token(exchange, payment.order_id, &fault)) {
        exchange->wait_s = wanted_wait_s(exchange);
        if (!answer_known(exchange, &payment)) append(exchange, &payment);
        return;
    }
    pay_exchange_problem(exchange, &(struct pay_problem){.code = fault.code,
                                                         .detail = fault.detail,
                                                         .pointer = fault.has_pointer ? fault.pointer : NULL});
}

/* The client hung up; its record stays on its way. */
static void gone(struct pay_exchange *exchange) {
    stop_waiting(exchange, PAY_WAITED_CUT_SHORT);
    if (exchange->state != NULL) pay_appender_forget(exchange->service->appender, exchange->state);
}

const struct pay_handlers pay_payments_handlers = {.head = check_key, .complete = complete, .gone = gone};
