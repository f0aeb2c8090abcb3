#include "producer/routes.h"

#include "base/clock.h"
#include "producer/route_batch.h"
#include "producer/route_openapi.h"
#include "producer/route_order_ids.h"
#include "producer/route_payments.h"
#include "producer/route_results.h"
#include "producer/route_status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* clang-format off */
static const struct pay_route routes[] = {
    {"POST", "/v1/payments",            PAY_SCOPE_PAY, PAY_MEDIA_JSON,   &pay_payments_handlers},
    {"PUT",  "/v1/payments/{order_id}", PAY_SCOPE_PAY, PAY_MEDIA_JSON,   &pay_payments_handlers},
    {"POST", "/v1/payments:batch",      PAY_SCOPE_PAY, PAY_MEDIA_NDJSON, &pay_batch_handlers},
    {"GET",  "/v1/payments/{order_id}", PAY_SCOPE_READ, PAY_MEDIA_NONE,  &pay_status_handlers},
    {"GET",  "/v1/results",             PAY_SCOPE_READ, PAY_MEDIA_NONE,  &pay_results_handlers},
    {"POST", "/v1/order-ids",           PAY_SCOPE_PAY, PAY_MEDIA_JSON,   &pay_order_ids_handlers},
    {"GET",  "/openapi.json",           PAY_SCOPE_NONE, PAY_MEDIA_NONE,  &pay_openapi_handlers},
};
/* clang-format on */
#define ROUTE_COUNT (sizeof routes / sizeof *routes)

/* --- which route -------------------------------------------------------------------------------------------------------------- */

static bool matches(const struct pay_route *route, const char *path, const char **ret_part) {
    const char *brace = strchr(route->path, '{');
    *ret_part = NULL;
    if (brace == NULL) return strcmp(route->path, path) == 0;
    size_t length = (size_t)(brace - route->path);
    if (strncmp(route->path, path, length) != 0) return false;
    *ret_part = path + length;
    return path[length] != '\0' && strchr(path + length, '/') == NULL;
}

/* NULL: none; then ret_allowed lists the methods that this path has. */
static const struct pay_route *find_route(const char *method, const char *path, const char **ret_part,
                                          char ret_allowed[64]) {
    size_t length = 0;
    ret_allowed[0] = '\0';
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (!matches(&routes[i], path, ret_part)) continue;
        if (strcmp(routes[i].method, method) == 0) return &routes[i];
        length += (size_t)snprintf(ret_allowed + length, 64 - length, "%s%s", length > 0 ? ", " : "", routes[i].method);
    }
    return NULL;
}

static bool take_route(struct pay_exchange *exchange) {
    char allowed[64], detail[96];
    const char *path = pay_http_path(exchange->request), *method = pay_http_method(exchange->request);
    exchange->route = find_route(method, path, &exchange->path_part, allowed);
    if (exchange->route != NULL) return true;
    if (allowed[0] == '\0') {
        pay_exchange_problem(exchange, &(struct pay_problem){.code = PAY_PROBLEM_NOT_FOUND,
                                                             .detail = "No such path; payments go to /v1/payments."});
        return false;
    }
    const struct pay_http_header allow = {"Allow", allowed};
    snprintf(detail, sizeof detail, "Only %s here.", allowed);
    pay_exchange_problem(
        exchange, &(struct pay_problem){
                      .code = PAY_PROBLEM_METHOD_NOT_ALLOWED, .detail = detail, .headers = &allow, .header_count = 1});
    return false;
}

/* --- who calls, and how often ------------------------------------------------------------------------------------------------- */

static bool take_caller(struct pay_exchange *exchange) {
    static const struct pay_caller anybody = {.tenant = "default", .scopes = PAY_SCOPE_ALL};
    const struct pay_service *service = exchange->service;
    if (service->auth == NULL || exchange->route->scope == PAY_SCOPE_NONE) {
        exchange->caller = anybody;
        return true;
    }
    const char *sent = pay_http_header(exchange->request, "Authorization");
    if (!pay_auth_find(service->auth, sent, &exchange->caller)) {
        const struct pay_http_header challenge = {"WWW-Authenticate",
                                                  sent == NULL ? "Bearer realm=\"paybuf\""
                                                               : "Bearer realm=\"paybuf\", error=\"invalid_token\""};
        pay_exchange_problem(exchange, &(struct pay_problem){.code = PAY_PROBLEM_UNAUTHORIZED,
                                                             .detail = "Send Authorization: Bearer KEY with a key "
                                                                       "that this intake knows.",
                                                             .headers = &challenge,
                                                             .header_count = 1});
        return false;
    }
    if ((exchange->caller.scopes & exchange->route->scope) != 0) return true;
    char challenge[96], detail[96];
    const char *scope = pay_scope_name(exchange->route->scope);
    snprintf(challenge, sizeof challenge, "Bearer realm=\"paybuf\", error=\"insufficient_scope\", scope=\"%s\"", scope);
    snprintf(detail, sizeof detail, "This key lacks the scope %s.", scope);
    const struct pay_http_header header = {"WWW-Authenticate", challenge};
    pay_exchange_problem(
        exchange,
        &(struct pay_problem){.code = PAY_PROBLEM_FORBIDDEN, .detail = detail, .headers = &header, .header_count = 1});
    return false;
}

/* A stream takes for each of its lines, by itself. */
static bool take_quota(struct pay_exchange *exchange) {
    struct pay_quota_state state;
    char wait[24], limit[24], left[24], reset[24], policy[64], now[64];
    if (exchange->caller.quota == NULL || exchange->route->handlers->piece != NULL) return true;
    if (pay_quota_take(exchange->caller.quota, pay_clock_us(), &state)) return true;
    snprintf(wait, sizeof wait, "%d", pay_retry_after_s()); /* a rate is at least one a second */
    snprintf(limit, sizeof limit, "%" PRId64, state.limit);
    snprintf(left, sizeof left, "%" PRId64, state.left);
    snprintf(reset, sizeof reset, "%" PRId64, state.reset_s);
    snprintf(policy, sizeof policy, "\"key\";q=%" PRId64 ";w=1", state.rate);
    snprintf(now, sizeof now, "\"key\";r=%" PRId64 ";t=%" PRId64, state.left, state.reset_s);
    const struct pay_http_header headers[] = {{"Retry-After", wait},         {"RateLimit-Limit", limit},
                                              {"RateLimit-Remaining", left}, {"RateLimit-Reset", reset},
                                              {"RateLimit-Policy", policy},  {"RateLimit", now}};
    pay_exchange_problem(exchange, &(struct pay_problem){.code = PAY_PROBLEM_QUOTA_EXCEEDED,
                                                         .detail = "This key's quota is used up for the moment; "
                                                                   "certainly not stored.",
                                                         .headers = headers,
                                                         .header_count = sizeof headers / sizeof *headers});
    return false;
}

/* --- the body's kind ---------------------------------------------------------------------------------------------------------- */

static bool check_media(struct pay_exchange *exchange) {
    static const struct {
        bool (*fits)(const char *text);
        const char *detail;
    } media[PAY_MEDIA_COUNT] = {
        [PAY_MEDIA_JSON] = {pay_content_type_is_json, "Send Content-Type: application/json (charset utf-8)."},
        [PAY_MEDIA_NDJSON] = {pay_content_type_is_ndjson, "Send Content-Type: application/x-ndjson (charset utf-8)."},
    };
    const enum pay_media wanted = exchange->route->media;
    if (wanted == PAY_MEDIA_NONE) return true;
    const char *type = pay_http_header(exchange->request, "Content-Type");
    const char *coding = pay_http_header(exchange->request, "Content-Encoding");
    const char *detail = NULL;
    if (type == NULL || !media[wanted].fits(type))
        detail = media[wanted].detail;
    else if (coding != NULL &&
             (strcasecmp(coding, "identity") != 0 || pay_http_header_count(exchange->request, "Content-Encoding") > 1))
        detail = "Send the body without Content-Encoding.";
    if (detail == NULL) return true;
    pay_exchange_problem(exchange, &(struct pay_problem){.code = PAY_PROBLEM_UNSUPPORTED_MEDIA_TYPE, .detail = detail});
    return false;
}

/* --- from the HTTP server ----------------------------------------------------------------------------------------------------- */

void pay_routes_fault(void *argument, struct pay_http_request *request, enum pay_http_fault fault, const char *detail) {
    char text[80];
    if (fault == PAY_HTTP_BAD_HEAD) { /* then no `head` came before */
        pay_exchange_problem(pay_exchange_begin(argument, request),
                             &(struct pay_problem){.code = PAY_PROBLEM_BAD_REQUEST, .detail = detail});
        return;
    }
    struct pay_exchange *exchange = pay_exchange_of(request);
    if (exchange->body_max == 0)
        snprintf(text, sizeof text, "This call takes no body; leave it out.");
    else
        snprintf(text, sizeof text, "The body may have at most %zu bytes; send less.", exchange->body_max);
    pay_exchange_problem(exchange, &(struct pay_problem){.code = PAY_PROBLEM_TOO_LARGE, .detail = text});
}

void pay_routes_head(void *argument, struct pay_http_request *request) {
    struct pay_exchange *exchange = pay_exchange_begin(argument, request);
    if (!take_route(exchange) || !take_caller(exchange) || !take_quota(exchange) || !check_media(exchange)) return;
    const struct pay_handlers *handlers = exchange->route->handlers;
    exchange->body_max = exchange->route->media == PAY_MEDIA_NONE ? 0 : PAY_VALUE_MAX;
    if (handlers->piece != NULL) {
        exchange->body_max = (size_t)exchange->service->config->producer_batch_bytes_max;
        pay_http_stream(request, exchange->body_max);
    } else {
        pay_http_body_max(request, exchange->body_max);
    }
    if (handlers->head != NULL) handlers->head(exchange);
}

bool pay_routes_piece(void *argument, struct pay_http_request *request, const char *bytes, size_t length) {
    struct pay_exchange *exchange = pay_exchange_of(request);
    (void)argument;
    return exchange->route->handlers->piece(exchange, bytes, length);
}

void pay_routes_complete(void *argument, struct pay_http_request *request) {
    struct pay_exchange *exchange = pay_exchange_of(request);
    (void)argument;
    exchange->route->handlers->complete(exchange);
}

void pay_routes_gone(void *argument, struct pay_http_request *request) {
    struct pay_exchange *exchange = pay_exchange_of(request);
    (void)argument;
    if (exchange->route->handlers->gone != NULL) exchange->route->handlers->gone(exchange);
}
