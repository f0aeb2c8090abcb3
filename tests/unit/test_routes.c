/* test_routes.c - which call goes where, what is judged before a body, and what one payment is answered. */
#include "fake_intake.h"
#include "temp_file.h"

#include <jansson.h>

#define BODY "\"account_id\":\"alice\",\"amount_minor\":5,\"currency\":\"EUR\""
#define ORDER "{\"order_id\":\"o-1\"," BODY "}"
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const char *const json[] = {"Content-Type", "application/json", NULL};
static struct pay_service service;
static struct pay_config config;
static struct pay_http_request request;
static struct temp_file file;

static int begin(void **state) {
    (void)state;
    fake_service(&service, &config);
    return 0;
}

static int end(void **state) {
    (void)state;
    fake_service_close(&service);
    temp_file_remove(&file);
    return 0;
}

/* The keys are the texts key-pay, key-read and key-slow. */
static void with_keys(void) {
    fake_keys(&service,
              "pay  acme  pay   d51dbdffd7a3d160112865b910c98eb27e348dcedf21b753f1a8af5a977d8fda\n"
              "read acme  read  f555b0f6f1ff4658f13e63fe9551c0bb7844b08659e191bb783e86f4a286235c\n"
              "slow other admin fefb593790325272397f055fd948c75aa38201977e84a29d2badbea1aeecc23f rate=1 burst=2\n");
}

static void call(const char *method, const char *where, const char *const *headers, const char *body) {
    fake_request(&request, method, where, headers);
    fake_serve(&service, &request, body, strlen(body), 64);
}

static void post(const char *const *headers) { call("POST", "/v1/payments", headers, ORDER); }

static void assert_problem(unsigned int status, const char *code) {
    assert_true(request.answered);
    assert_int_equal(request.status, status);
    assert_string_equal(fake_answer_header(&request, "Content-Type"), "application/problem+json");
    json_t *document = json_loads(request.answer, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    assert_string_equal(json_string_value(json_object_get(document, "code")), code);
    assert_string_equal(json_string_value(json_object_get(document, "request_id")),
                        fake_answer_header(&request, "X-Request-Id"));
    json_decref(document);
}

/* --- where a call goes --- */

static void a_path_that_is_none_is_404_whatever_the_method(void **state) {
    (void)state;
    static const char *const paths[] = {
        "", "/", "/v1/payments/", "/v1/payments/a/b", "/v1/paymentsx", "/v1/payments:batchx", "/v1", "/v1/payments//a"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        call("POST", paths[i], json, ORDER);
        assert_problem(404, "not_found");
        call("DELETE", paths[i], NULL, "");
        assert_problem(404, "not_found");
    }
}

static void a_method_that_a_path_lacks_is_405_with_those_it_has(void **state) {
    (void)state;
    static const char *const wrong[][3] = {{"PUT", "/v1/payments", "POST"},
                                           {"DELETE", "/v1/payments/o-1", "PUT"},
                                           {"GET", "/v1/payments:batch", "POST"},
                                           {"post", "/v1/payments", "POST"},
                                           {"OPTIONS", "/v1/order-ids", "POST"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        call(wrong[i][0], wrong[i][1], json, ORDER);
        assert_problem(405, "method_not_allowed");
        assert_non_null(strstr(fake_answer_header(&request, "Allow"), wrong[i][2]));
    }
}

static void a_body_of_another_kind_is_415(void **state) {
    (void)state;
    call("POST", "/v1/payments", (const char *const[]){"Content-Type", "text/plain", NULL}, ORDER);
    assert_problem(415, "unsupported_media_type");
    call("POST", "/v1/payments", NULL, ORDER);
    assert_problem(415, "unsupported_media_type");
    call("POST", "/v1/payments:batch", json, ORDER);
    assert_problem(415, "unsupported_media_type");
    call("POST", "/v1/payments",
         (const char *const[]){"Content-Type", "application/json", "Content-Encoding", "gzip", NULL}, ORDER);
    assert_problem(415, "unsupported_media_type");
    post((const char *const[]){"Content-Type", "application/json", "Content-Encoding", "identity", "Content-Encoding",
                               "gzip", NULL});
    assert_problem(415, "unsupported_media_type");
}

static void a_dangerous_head_is_answered_before_there_is_a_route(void **state) {
    (void)state;
    fake_request(&request, "POST", "/v1/payments", json);
    pay_routes_fault(&service, &request, PAY_HTTP_BAD_HEAD, "Host is missing.");
    assert_problem(400, "bad_request");
}

static void a_body_that_is_too_large_is_told_the_limit(void **state) {
    (void)state;
    fake_request(&request, "POST", "/v1/payments", json);
    pay_routes_head(&service, &request);
    pay_routes_fault(&service, &request, PAY_HTTP_BODY_TOO_LARGE, NULL);
    assert_problem(413, "too_large");
    assert_non_null(strstr(request.answer, "8192"));
}

/* --- one payment --- */

static void a_payment_is_accepted_when_it_is_acknowledged_and_not_before(void **state) {
    (void)state;
    post(json);
    assert_false(request.answered);
    fake_acknowledge(0);
    assert_int_equal(request.status, 202);
    assert_string_equal(request.answer,
                        "{\"order_id\":\"o-1\",\"attempt\":1,\"status\":\"accepted\",\"position\":\"1-0-0\"}");
    assert_string_equal(fake_answer_header(&request, "Location"), "/v1/payments/o-1?attempt=1&position=1-0-0");
    assert_string_equal(fake_log.records[0].key, "o-1");
    assert_string_equal(fake_log.records[0].tenant, "default");
    assert_int_equal(service.accepted, 1);
}

static void put_names_the_order_in_its_path(void **state) {
    (void)state;
    call("PUT", "/v1/payments/o-7", json, "{\"attempt\":3," BODY "}");
    fake_acknowledge(0);
    assert_int_equal(request.status, 202);
    assert_string_equal(fake_log.records[0].key, "o-7");
    assert_non_null(strstr(request.answer, "\"order_id\":\"o-7\",\"attempt\":3"));
    call("PUT", "/v1/payments/o-7", json, ORDER);
    assert_problem(400, "id_mismatch");
}

static void the_idempotency_key_is_the_order_id_or_nothing(void **state) {
    (void)state;
    static const char *const k[] = {"Content-Type", "application/json", "Idempotency-Key", "o-2", NULL};
    static const char *const twice[] = {
        "Content-Type", "application/json", "Idempotency-Key", "o-2", "idempotency-key", "o-2", NULL};
    call("POST", "/v1/payments", k, "{" BODY "}");
    assert_string_equal(fake_log.records[0].key, "o-2");
    post(k);
    assert_problem(400, "id_mismatch");
    call("PUT", "/v1/payments/o-3", k, "{" BODY "}");
    assert_problem(400, "id_mismatch");
    post(twice);
    assert_problem(400, "bad_request");
}

static void a_record_that_isnt_taken_is_503_and_one_that_is_lost_504(void **state) {
    (void)state;
    fake_log.room = 1;
    post(json);
    fake_lose(0);
    assert_problem(504, "outcome_unknown");
    assert_null(fake_answer_header(&request, "Retry-After"));
    post(json);
    assert_problem(503, "not_accepted");
    int seconds = atoi(fake_answer_header(&request, "Retry-After"));
    assert_true(seconds >= 1 && seconds <= 3);
    assert_int_equal(fake_log.count, 1);
}

static void a_client_that_hangs_up_leaves_its_record_on_its_way(void **state) {
    (void)state;
    post(json);
    assert_true(fake_is_waited_for(0));
    pay_routes_gone(&service, &request);
    assert_false(fake_is_waited_for(0));
    fake_acknowledge(0);
    assert_false(request.answered);
}

static void a_call_that_comes_after_the_log_was_closed_is_503(void **state) {
    (void)state;
    service.appender = NULL;
    post(json);
    assert_problem(503, "not_accepted");
}

/* --- ids that travel --- */

static void a_decent_request_id_is_kept_and_another_is_made(void **state) {
    (void)state;
    char first[PAY_REQUEST_ID_MAX + 1];
    call("POST", "/v1/payments", (const char *const[]){"X-Request-Id", "mine-1", NULL}, ORDER);
    assert_string_equal(fake_answer_header(&request, "X-Request-Id"), "mine-1");
    call("POST", "/v1/payments", (const char *const[]){"X-Request-Id", "<script>", NULL}, ORDER);
    assert_string_not_equal(fake_answer_header(&request, "X-Request-Id"), "<script>");
    strcpy(first, fake_answer_header(&request, "X-Request-Id"));
    assert_true(pay_id_valid(first, strlen(first)));
    call("POST", "/v1/payments", NULL, ORDER);
    assert_string_not_equal(fake_answer_header(&request, "X-Request-Id"), first);
}

static void a_traceparent_is_passed_on_and_returned(void **state) {
    (void)state;
    post((const char *const[]){"Content-Type", "application/json", "traceparent", TRACE, NULL});
    assert_string_equal(fake_log.records[0].traceparent, TRACE);
    fake_acknowledge(0);
    assert_string_equal(fake_answer_header(&request, "traceparent"), TRACE);
}

static void a_traceparent_is_made_where_none_or_a_wrong_one_came(void **state) {
    (void)state;
    static const char *const sent[][7] = {
        {"Content-Type", "application/json"},
        {"Content-Type", "application/json", "traceparent", "00-nonsense"},
        {"Content-Type", "application/json", "traceparent", TRACE, "traceparent", TRACE}};
    for (uint32_t i = 0; i < 3; i++) {
        post(sent[i]);
        const char *made = fake_log.records[i].traceparent;
        assert_true(pay_traceparent_valid(made));
        assert_string_not_equal(made, TRACE);
        fake_acknowledge(i);
        assert_string_equal(fake_answer_header(&request, "traceparent"), made);
    }
    assert_string_not_equal(fake_log.records[0].traceparent, fake_log.records[1].traceparent);
}

/* --- keys --- */

static void with_keys_a_call_needs_one(void **state) {
    (void)state;
    with_keys();
    post(json);
    assert_problem(401, "unauthorized");
    assert_string_equal(fake_answer_header(&request, "WWW-Authenticate"), "Bearer realm=\"paybuf\"");
    post((const char *const[]){"Content-Type", "application/json", "Authorization", "Bearer key-nobody", NULL});
    assert_problem(401, "unauthorized");
    assert_int_equal(fake_log.count, 0);
}

static void the_description_is_everybodys(void **state) {
    (void)state;
    with_keys();
    call("GET", "/openapi.json", NULL, "");
    assert_int_equal(request.status, 200);
    assert_string_equal(fake_answer_header(&request, "Content-Type"), "application/json");
    json_t *document = json_loads(request.answer, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json_object_get(json_object_get(document, "paths"), "/v1/payments"));
    json_decref(document);
}

static void the_key_names_the_tenant(void **state) {
    (void)state;
    with_keys();
    post((const char *const[]){"Content-Type", "application/json", "Authorization", "Bearer key-pay", NULL});
    fake_acknowledge(0);
    assert_int_equal(request.status, 202);
    assert_string_equal(fake_log.records[0].tenant, "acme");
}

static void a_key_without_the_scope_is_403_and_says_which(void **state) {
    (void)state;
    with_keys();
    post((const char *const[]){"Content-Type", "application/json", "Authorization", "Bearer key-read", NULL});
    assert_problem(403, "forbidden");
    assert_non_null(strstr(fake_answer_header(&request, "WWW-Authenticate"), "scope=\"pay\""));
}

static void a_used_up_quota_is_429_with_when_to_come_again(void **state) {
    (void)state;
    static const char *const slow[] = {"Content-Type", "application/json", "Authorization", "Bearer key-slow", NULL};
    with_keys();
    for (uint32_t i = 0; i < 2; i++) {
        post(slow);
        fake_acknowledge(i);
        assert_int_equal(request.status, 202);
    }
    post(slow);
    assert_problem(429, "quota_exceeded");
    assert_true(atoi(fake_answer_header(&request, "Retry-After")) >= 1);
    assert_string_equal(fake_answer_header(&request, "RateLimit-Limit"), "2");
    assert_string_equal(fake_answer_header(&request, "RateLimit-Remaining"), "0");
    assert_string_equal(fake_answer_header(&request, "RateLimit-Policy"), "\"key\";q=1;w=1");
    assert_int_equal(fake_log.count, 2);
}

/* --- order ids --- */

static json_t *order_ids(const char *body) {
    call("POST", "/v1/order-ids", json, body);
    assert_int_equal(request.status, 200);
    json_t *document = json_loads(request.answer, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    return document;
}

static void order_ids_are_given_as_many_as_are_wanted(void **state) {
    (void)state;
    static const struct {
        const char *body;
        size_t count;
    } cases[] = {{"{}", 1}, {"{\"count\":1}", 1}, {"{\"count\":1000}", 1000}};
    for (size_t i = 0; i < 3; i++) {
        json_t *document = order_ids(cases[i].body), *ids = json_object_get(document, "order_ids");
        assert_int_equal(json_array_size(ids), cases[i].count);
        for (size_t at = 0; at < cases[i].count; at++) {
            const char *id = json_string_value(json_array_get(ids, at));
            assert_int_equal(strlen(id), PAY_UUID_LENGTH);
            if (at > 0) assert_true(strcmp(json_string_value(json_array_get(ids, at - 1)), id) < 0);
        }
        json_decref(document);
    }
    assert_string_equal(fake_answer_header(&request, "Cache-Control"), "no-store");
}

static void a_count_that_is_none_is_refused(void **state) {
    (void)state;
    static const char *const fields[] = {"{\"count\":0}",         "{\"count\":1001}",  "{\"count\":-1}",
                                         "{\"count\":1.0}",       "{\"count\":\"1\"}", "{\"count\":null}",
                                         "{\"count\":1,\"x\":1}", "{\"x\":1}"};
    static const char *const documents[] = {"", "1", "[]", "{", "{\"count\":1,\"count\":1}", "{\"count\":1}x"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        call("POST", "/v1/order-ids", json, fields[i]);
        assert_problem(400, "bad_field");
    }
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        call("POST", "/v1/order-ids", json, documents[i]);
        assert_problem(400, "malformed_json");
    }
}

static void where_tokens_are_required_only_issued_ids_are_taken(void **state) {
    (void)state;
    char message[512], body[256];
    temp_file_write(&file, "0123456789abcdef0123456789abcdef\n");
    service.tokens = pay_order_tokens_open(file.path, 30, message, sizeof message);
    assert_non_null(service.tokens);
    config.token_required = true;
    post(json);
    assert_problem(403, "token_invalid");
    json_t *document = order_ids("{}");
    snprintf(body, sizeof body, "{\"order_id\":\"%s\"," BODY "}",
             json_string_value(json_array_get(json_object_get(document, "order_ids"), 0)));
    json_decref(document);
    call("POST", "/v1/payments", json, body);
    fake_acknowledge(0);
    assert_int_equal(request.status, 202);
    body[14] ^= 1; /* a digit of the id */
    call("POST", "/v1/payments", json, body);
    assert_problem(403, "token_invalid");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_path_that_is_none_is_404_whatever_the_method),
        TEST(a_method_that_a_path_lacks_is_405_with_those_it_has),
        TEST(a_body_of_another_kind_is_415),
        TEST(a_dangerous_head_is_answered_before_there_is_a_route),
        TEST(a_body_that_is_too_large_is_told_the_limit),
        TEST(a_payment_is_accepted_when_it_is_acknowledged_and_not_before),
        TEST(put_names_the_order_in_its_path),
        TEST(the_idempotency_key_is_the_order_id_or_nothing),
        TEST(a_record_that_isnt_taken_is_503_and_one_that_is_lost_504),
        TEST(a_client_that_hangs_up_leaves_its_record_on_its_way),
        TEST(a_call_that_comes_after_the_log_was_closed_is_503),
        TEST(a_decent_request_id_is_kept_and_another_is_made),
        TEST(a_traceparent_is_passed_on_and_returned),
        TEST(a_traceparent_is_made_where_none_or_a_wrong_one_came),
        TEST(with_keys_a_call_needs_one),
        TEST(the_description_is_everybodys),
        TEST(the_key_names_the_tenant),
        TEST(a_key_without_the_scope_is_403_and_says_which),
        TEST(a_used_up_quota_is_429_with_when_to_come_again),
        TEST(order_ids_are_given_as_many_as_are_wanted),
        TEST(a_count_that_is_none_is_refused),
        TEST(where_tokens_are_required_only_issued_ids_are_taken),
    };
    return cmocka_run_group_tests(tests, fake_start, NULL);
}
