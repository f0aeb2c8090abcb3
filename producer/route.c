#include "producer/route.h"

#include "base/clock.h"
#include "codec/time_text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define RETRY_AFTER_MAX_S 3

_Static_assert(sizeof(struct pay_exchange) <= PAY_HTTP_ROOM, "raise PAY_HTTP_ROOM");

/* --- ids ---------------------------------------------------------------------------------------------------------------------- */

/* splitmix64, seeded once per process: ids must differ, not be secret. */
static uint64_t next_number(void) {
    static uint64_t state;
    if (state == 0) pay_random(&state, sizeof state);
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 16 hexadecimal digits, no NUL. */
static char *put_hexadecimal(char *to, uint64_t number) {
    for (int shift = 60; shift >= 0; shift -= 4) *to++ = "0123456789abcdef"[number >> shift & 15];
    return to;
}

/* The client's own if it is a decent one, else ours. */
static void take_request_id(struct pay_exchange *exchange) {
    const char *sent = pay_http_header(exchange->request, "X-Request-Id");
    size_t length = sent != NULL ? strlen(sent) : 0;
    if (sent != NULL && pay_id_valid(sent, length)) {
        memcpy(exchange->request_id, sent, length + 1);
        return;
    }
    *put_hexadecimal(put_hexadecimal(exchange->request_id, next_number()), next_number()) = '\0';
}

/* Ours begins a trace of its own, not sampled: "00-TRACE-PARENT-00". An id of zeros isn't one, hence the set bits. */
static void take_traceparent(struct pay_exchange *exchange) {
    const char *sent = pay_http_header(exchange->request, "traceparent");
    if (sent != NULL && pay_traceparent_valid(sent) && pay_http_header_count(exchange->request, "traceparent") == 1) {
        memcpy(exchange->traceparent, sent, strlen(sent) + 1);
        return;
    }
    char *at = exchange->traceparent;
    memcpy(at, "00-", 3);
    at = put_hexadecimal(put_hexadecimal(at + 3, next_number()), next_number() | 1);
    *at++ = '-';
    at = put_hexadecimal(at, next_number() | 1);
    memcpy(at, "-00", 4);
}

struct pay_exchange *pay_exchange_of(struct pay_http_request *request) {
    return pay_http_room(request);
}

struct pay_exchange *pay_exchange_begin(struct pay_service *service, struct pay_http_request *request) {
    struct pay_exchange *exchange = pay_exchange_of(request);
    exchange->service = service;
    exchange->request = request;
    exchange->route = NULL;
    exchange->path_part = NULL;
    exchange->caller.scopes = 0;
    exchange->caller.quota = NULL;
    exchange->state = NULL;
    exchange->waiter = NULL;
    exchange->bulk = false;
    exchange->wait_s = 0;
    exchange->body_max = 0;
    take_request_id(exchange);
    take_traceparent(exchange);
    return exchange;
}

/* --- answers ------------------------------------------------------------------------------------------------------------------ */

int64_t pay_service_generation(const struct pay_service *service, int32_t partition) {
    return service->follower != NULL ? pay_follower_generation(service->follower, partition)
                                     : service->config->producer_log_generation;
}

int pay_retry_after_s(void) { return 1 + (int)(next_number() % RETRY_AFTER_MAX_S); }

void pay_exchange_answer(struct pay_exchange *exchange, const struct pay_http_answer *answer) {
    struct pay_http_header headers[PAY_EXCHANGE_HEADERS_MAX + 2];
    struct pay_http_answer whole = *answer;
    assert(answer->header_count <= PAY_EXCHANGE_HEADERS_MAX);
    if (answer->header_count > 0) memcpy(headers, answer->headers, answer->header_count * sizeof *headers);
    headers[whole.header_count++] = (struct pay_http_header){"X-Request-Id", exchange->request_id};
    headers[whole.header_count++] = (struct pay_http_header){"traceparent", exchange->traceparent};
    whole.headers = headers;
    pay_http_answer(exchange->request, &whole);
}

void pay_exchange_problem(struct pay_exchange *exchange, const struct pay_problem *problem) {
    char body[PAY_PROBLEM_TEXT_MAX], seconds[16];
    struct pay_http_header headers[PAY_EXCHANGE_HEADERS_MAX] = {{"Content-Type", "application/problem+json"}};
    size_t count = 1;
    assert(problem->header_count < PAY_EXCHANGE_HEADERS_MAX - 1);
    for (size_t i = 0; i < problem->header_count; i++) headers[count++] = problem->headers[i];
    if (problem->code == PAY_PROBLEM_NOT_ACCEPTED || problem->code == PAY_PROBLEM_UNAVAILABLE) {
        snprintf(seconds, sizeof seconds, "%d", pay_retry_after_s());
        headers[count++] = (struct pay_http_header){"Retry-After", seconds};
    }
    size_t length = pay_problem_format(problem->code, problem->detail, problem->pointer, exchange->request_id, body);
    exchange->service->problems[problem->code]++;
    pay_exchange_answer(exchange, &(struct pay_http_answer){.status = pay_problem_status(problem->code),
                                                            .body = body,
                                                            .body_length = length,
                                                            .headers = headers,
                                                            .header_count = count});
}

bool pay_exchange_has_hung_up(void *owner) {
    const struct pay_exchange *exchange = owner;
    return pay_http_has_hung_up(exchange->request);
}

/* --- payments ----------------------------------------------------------------------------------------------------------------- */

bool pay_exchange_judge_token(const struct pay_exchange *exchange, const char *order_id,
                              struct pay_payment_fault *ret_fault) {
    const struct pay_service *service = exchange->service;
    if (!service->config->token_required) return true;
    const char *detail = NULL;
    ret_fault->code = PAY_PROBLEM_TOKEN_INVALID;
    switch (pay_order_token_judge(service->tokens, exchange->caller.tenant, order_id, pay_wall_clock_us())) {
    case PAY_TOKEN_GOOD: return true;
    case PAY_TOKEN_NONE:
        detail = "This intake only takes order ids that it issued: get one from POST /v1/order-ids";
        break;
    case PAY_TOKEN_WRONG: detail = "This order id wasn't issued here, or for another tenant, or was changed"; break;
    case PAY_TOKEN_EXPIRED:
        ret_fault->code = PAY_PROBLEM_TOKEN_EXPIRED;
        detail = "This order id is older than any retry may be; ask for the order's status before a new one is used";
        break;
    }
    ret_fault->has_pointer = true;
    snprintf(ret_fault->pointer, sizeof ret_fault->pointer, "/order_id");
    snprintf(ret_fault->detail, sizeof ret_fault->detail, "%s", detail);
    return false;
}

bool pay_exchange_append(struct pay_exchange *exchange, const struct pay_request *payment, void *owner,
                         pay_call_done *done, struct pay_call **ret_call, const char **ret_reason) {
    char value[PAY_REQUEST_TEXT_MAX], accepted_at[PAY_TIME_TEXT_MAX];
    if (exchange->service->appender == NULL) return *ret_reason = "This server is shutting down.", false;
    const struct pay_header headers[] = {
        {"tenant", payment->tenant, strlen(payment->tenant)},
        {"accepted-at", accepted_at, pay_time_format(pay_wall_clock_us(), accepted_at)},
        {"traceparent", exchange->traceparent, strlen(exchange->traceparent)},
    };
    const struct pay_append record = {
        .order_id = payment->order_id,
        .value = value,
        .value_length = pay_request_format(payment, value, sizeof value),
        .headers = headers,
        .header_count = sizeof headers / sizeof *headers,
        .bulk = exchange->bulk,
        .owner = owner,
        .done = done,
    };
    return pay_appender_submit(exchange->service->appender, &record, ret_call, ret_reason);
}
