#include "producer/routes.h"

#include "base/clock.h"
#include "codec/reply_codec.h"
#include "producer/payment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define COLLECTION "/v1/payments"
#define RETRY_AFTER_MAX_S 3 /* 1..3 seconds, so that those who were refused together don't come back together */

/* --- request ids -------------------------------------------------------------------------------------------------------------- */

/* The client's own if it is a decent one, else ours: random per process, counted up. */
static void find_request_id(const struct pay_http_request *request, char ret_id[PAY_REQUEST_ID_MAX + 1]) {
    static uint32_t base[2];
    static uint64_t count;
    const char *sent = pay_http_header(request, "X-Request-Id");
    if (sent != NULL && pay_id_valid(sent, strlen(sent))) {
        snprintf(ret_id, PAY_REQUEST_ID_MAX + 1, "%s", sent);
        return;
    }
    if (count++ == 0) pay_random(base, sizeof base);
    snprintf(ret_id, PAY_REQUEST_ID_MAX + 1, "%08" PRIx32 "%08" PRIx32 "-%" PRIx64, base[0], base[1], count);
}

/* --- answers ------------------------------------------------------------------------------------------------------------------ */

struct problem {
    enum pay_problem_code code;
    const char *detail;
    const char *pointer;    /* or NULL */
    const char *request_id; /* or NULL: found from the request */
    const char *allow;      /* with method_not_allowed */
};

static void answer_problem(struct pay_routes *routes, struct pay_http_request *request, const struct problem *problem) {
    char body[PAY_PROBLEM_TEXT_MAX], own_id[PAY_REQUEST_ID_MAX + 1], seconds[4];
    const char *request_id = problem->request_id;
    if (request_id == NULL) find_request_id(request, own_id);
    if (request_id == NULL) request_id = own_id;
    struct pay_http_header headers[4] = {{"Content-Type", "application/problem+json"}, {"X-Request-Id", request_id}};
    size_t count = 2;
    if (problem->allow != NULL) headers[count++] = (struct pay_http_header){"Allow", problem->allow};
    if (problem->code == PAY_PROBLEM_NOT_ACCEPTED) {
        snprintf(seconds, sizeof seconds, "%d", 1 + (int)(pay_clock_us() % RETRY_AFTER_MAX_S));
        headers[count++] = (struct pay_http_header){"Retry-After", seconds};
    }
    size_t length = pay_problem_format(problem->code, problem->detail, problem->pointer, request_id, body);
    routes->problems[problem->code]++;
    pay_http_answer(request, &(struct pay_http_answer){.status = pay_problem_status(problem->code),
                                                       .body = body,
                                                       .body_length = length,
                                                       .headers = headers,
                                                       .header_count = count});
}

static void answer_accepted(struct pay_routes *routes, const struct pay_call *call,
                            const struct pay_position *position) {
    char text[PAY_POSITION_TEXT_MAX], body[PAY_ID_MAX + PAY_POSITION_TEXT_MAX + 80],
        location[PAY_ID_MAX + PAY_POSITION_TEXT_MAX + 64];
    pay_position_format(position, text);
    int length = snprintf(body, sizeof body,
                          "{\"order_id\":\"%s\",\"attempt\":%" PRId32 ",\"status\":\"accepted\",\"position\":\"%s\"}",
                          call->order_id, call->attempt, text);
    snprintf(location, sizeof location, COLLECTION "/%s?attempt=%" PRId32 "&position=%s", call->order_id, call->attempt,
             text);
    const struct pay_http_header headers[] = {
        {"Content-Type", "application/json"}, {"Location", location}, {"X-Request-Id", call->request_id}};
    routes->accepted++;
    pay_histogram_record(&routes->accepted_us, pay_clock_us() - call->started_us);
    pay_http_answer(
        call->request,
        &(struct pay_http_answer){
            .status = 202, .body = body, .body_length = (size_t)length, .headers = headers, .header_count = 3});
}

/* --- from the HTTP server ----------------------------------------------------------------------------------------------------- */

void pay_routes_fault(void *argument, struct pay_http_request *request, enum pay_http_fault fault, const char *detail) {
    static const char too_large[] = "A payment is at most 8192 bytes.";
    struct problem problem = {.code = PAY_PROBLEM_BAD_REQUEST, .detail = detail};
    if (fault == PAY_HTTP_BODY_TOO_LARGE)
        problem = (struct problem){.code = PAY_PROBLEM_TOO_LARGE, .detail = too_large};
    answer_problem(argument, request, &problem);
}

/* PUT's order id, or NULL when the path isn't that of one payment. */
static const char *path_id(const char *path) {
    static const char prefix[] = COLLECTION "/";
    if (strncmp(path, prefix, sizeof prefix - 1) != 0) return NULL;
    const char *id = path + sizeof prefix - 1;
    return id[0] != '\0' && strchr(id, '/') == NULL ? id : NULL;
}

/* Everything that can be said before the body is read. */
void pay_routes_head(void *argument, struct pay_http_request *request) {
    const char *path = pay_http_path(request), *method = pay_http_method(request);
    bool collection = strcmp(path, COLLECTION) == 0;
    if (!collection && path_id(path) == NULL) {
        answer_problem(argument, request,
                       &(struct problem){.code = PAY_PROBLEM_NOT_FOUND,
                                         .detail = "POST /v1/payments or PUT /v1/payments/{order_id}."});
        return;
    }
    const char *allowed = collection ? "POST" : "PUT";
    if (strcmp(method, allowed) != 0) {
        answer_problem(argument, request,
                       &(struct problem){.code = PAY_PROBLEM_METHOD_NOT_ALLOWED,
                                         .allow = allowed,
                                         .detail = collection ? "Only POST here." : "Only PUT here."});
        return;
    }
    const char *type = pay_http_header(request, "Content-Type"), *coding = pay_http_header(request, "Content-Encoding");
    if (type == NULL || !pay_content_type_is_json(type)) {
        answer_problem(argument, request,
                       &(struct problem){.code = PAY_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                                         .detail = "Send Content-Type: application/json (charset utf-8)."});
    } else if (coding != NULL && strcasecmp(coding, "identity") != 0) {
        answer_problem(argument, request,
                       &(struct problem){.code = PAY_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                                         .detail = "Send the body without Content-Encoding."});
    } else if (pay_http_header_count(request, "Idempotency-Key") > 1) {
        answer_problem(
            argument, request,
            &(struct problem){.code = PAY_PROBLEM_BAD_REQUEST, .detail = "Idempotency-Key is given more than once."});
    }
}

static void append(struct pay_routes *routes, struct pay_http_request *request, const struct pay_request *payment) {
    char value[PAY_REQUEST_TEXT_MAX], accepted_at[PAY_TIME_TEXT_MAX], request_id[PAY_REQUEST_ID_MAX + 1];
    const char *traceparent = pay_http_header(request, "traceparent"), *reason;
    size_t accepted_at_length = pay_time_format(pay_wall_clock_us(), accepted_at);
    struct pay_header headers[3] = {{"tenant", payment->tenant, strlen(payment->tenant)},
                                    {"accepted-at", accepted_at, accepted_at_length}};
    size_t count = 2;
    if (traceparent != NULL && pay_traceparent_valid(traceparent) &&
        pay_http_header_count(request, "traceparent") == 1) {
        headers[count++] = (struct pay_header){"traceparent", traceparent, strlen(traceparent)};
    }
    find_request_id(request, request_id);
    const struct pay_append record = {
        .order_id = payment->order_id,
        .attempt = payment->attempt,
        .request_id = request_id,
        .value = value,
        .value_length = pay_request_format(payment, value, sizeof value),
        .headers = headers,
        .header_count = count,
    };
    if (pay_appender_submit(routes->appender, &record, request, &reason)) return;
    answer_problem(routes, request,
                   &(struct problem){.code = PAY_PROBLEM_NOT_ACCEPTED, .detail = reason, .request_id = request_id});
}

void pay_routes_complete(void *argument, struct pay_http_request *request) {
    char scratch[PAY_PAYMENT_SCRATCH];
    struct pay_request payment;
    struct pay_payment_fault fault;
    struct pay_payment_parts parts = {.path_id = path_id(pay_http_path(request)),
                                      .idempotency_key = pay_http_header(request, "Idempotency-Key")};
    parts.body = pay_http_body(request, &parts.body_length);
    snprintf(payment.tenant, sizeof payment.tenant,
             "default"); /* API keys name the tenant later; until then there is one */
    if (pay_payment_read(&parts, scratch, &payment, &fault)) {
        append(argument, request, &payment);
        return;
    }
    answer_problem(argument, request,
                   &(struct problem){.code = fault.code,
                                     .detail = fault.detail,
                                     .pointer = fault.has_pointer ? fault.pointer : NULL});
}

void pay_routes_gone(void *argument, struct pay_http_request *request) {
    struct pay_routes *routes = argument;
    pay_appender_forget(routes->appender, request);
}

/* --- from the log ------------------------------------------------------------------------------------------------------------- */

void pay_routes_done(void *argument, struct pay_call *call, const struct pay_position *position) {
    struct pay_routes *routes = argument;
    if (call->request == NULL) return; /* it was answered 504, or its client is gone */
    if (position != NULL) {
        answer_accepted(routes, call, position);
        return;
    }
    answer_problem(routes, call->request,
                   &(struct problem){.code = PAY_PROBLEM_OUTCOME_UNKNOWN,
                                     .request_id = call->request_id,
                                     .detail = "The payment may be stored. Send it again with the same order_id and "
                                               "attempt: it is decided at most once."});
}
