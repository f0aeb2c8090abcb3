#include "producer/route_payments.h"

#include "base/clock.h"
#include "producer/payment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* `state` of the exchange: its struct pay_call, while the record is on its way. */

static void check_key(struct pay_exchange *exchange) {
    if (pay_http_header_count(exchange->request, "Idempotency-Key") <= 1) return;
    pay_exchange_problem(exchange, &(struct pay_problem){.code = PAY_PROBLEM_BAD_REQUEST,
                                                         .detail = "Idempotency-Key is given more than once."});
}

static void answer_accepted(struct pay_exchange *exchange, const struct pay_position *position) {
    char text[PAY_POSITION_TEXT_MAX], body[PAY_ID_MAX + PAY_POSITION_TEXT_MAX + 80],
        location[PAY_ID_MAX + PAY_POSITION_TEXT_MAX + 64];
    pay_position_format(position, text);
    int length = snprintf(body, sizeof body,
                          "{\"order_id\":\"%s\",\"attempt\":%" PRId32 ",\"status\":\"accepted\",\"position\":\"%s\"}",
                          exchange->order_id, exchange->attempt, text);
    snprintf(location, sizeof location, "/v1/payments/%s?attempt=%" PRId32 "&position=%s", exchange->order_id,
             exchange->attempt, text);
    const struct pay_http_header headers[] = {{"Content-Type", "application/json"}, {"Location", location}};
    exchange->service->accepted++;
    pay_exchange_answer(
        exchange,
        &(struct pay_http_answer){
            .status = 202, .body = body, .body_length = (size_t)length, .headers = headers, .header_count = 2});
}

static void on_done(void *owner, const struct pay_call *call, const struct pay_position *position) {
    struct pay_exchange *exchange = owner;
    exchange->state = NULL;
    if (position != NULL) {
        pay_histogram_record(&exchange->service->accepted_us, pay_clock_us() - call->started_us);
        answer_accepted(exchange, position);
        return;
    }
    pay_exchange_problem(exchange,
                         &(struct pay_problem){.code = PAY_PROBLEM_OUTCOME_UNKNOWN,
                                               .detail = "The payment may be stored. Send it again with the same "
                                                         "order_id and attempt: it is decided at most once."});
}

static void append(struct pay_exchange *exchange, const struct pay_request *payment) {
    struct pay_call *call;
    const char *reason;
    if (!pay_exchange_append(exchange, payment, exchange, on_done, &call, &reason)) {
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
        append(exchange, &payment);
        return;
    }
    pay_exchange_problem(exchange, &(struct pay_problem){.code = fault.code,
                                                         .detail = fault.detail,
                                                         .pointer = fault.has_pointer ? fault.pointer : NULL});
}

/* The client hung up; its record stays on its way. */
static void gone(struct pay_exchange *exchange) {
    if (exchange->state != NULL) pay_appender_forget(exchange->service->appender, exchange->state);
}

const struct pay_handlers pay_payments_handlers = {.head = check_key, .complete = complete, .gone = gone};
