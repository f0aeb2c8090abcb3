/* test_payment.c - body, path and Idempotency-Key become one payment, or a fault that says what to change. */
#include "producer/payment.h"
#include "unit.h"

#define BODY "\"account_id\":\"alice\",\"amount_minor\":5,\"currency\":\"EUR\""

static struct pay_request payment;
static struct pay_payment_fault fault;

static bool read_parts(const char *body, const char *path_id, const char *key) {
    const struct pay_payment_parts parts = {body, strlen(body), path_id, key};
    memset(&payment, 0, sizeof payment);
    memset(&fault, 0, sizeof fault);
    return pay_payment_read(&parts, &payment, &fault);
}

static void assert_fault(const char *body, const char *path_id, const char *key, enum pay_problem_code code,
                         const char *pointer) {
    assert_false(read_parts(body, path_id, key));
    assert_int_equal(fault.code, code);
    assert_int_equal(fault.has_pointer, pointer != NULL);
    if (pointer != NULL) assert_string_equal(fault.pointer, pointer);
    assert_true(strlen(fault.detail) > 0);
}

static void a_body_with_its_id_needs_nothing_else(void **state) {
    (void)state;
    assert_true(read_parts("{\"order_id\":\"o-1\"," BODY "}", NULL, NULL));
    assert_string_equal(payment.order_id, "o-1");
    assert_int_equal(payment.amount_minor, 5);
    assert_int_equal(payment.attempt, 1);
}

static void path_or_key_may_name_it_instead(void **state) {
    (void)state;
    assert_true(read_parts("{" BODY "}", "o-2", NULL));
    assert_string_equal(payment.order_id, "o-2");
    assert_true(read_parts(" \r\n\t{  " BODY "}", NULL, "o-3"));
    assert_string_equal(payment.order_id, "o-3");
    assert_true(read_parts("{" BODY "}", NULL, "\"o-4\""));
    assert_string_equal(payment.order_id, "o-4");
    assert_true(read_parts("{" BODY ",\"metadata\":{\"a\": 1}}", "o-5", "o-5"));
    assert_int_equal(payment.metadata_length, 8);
    assert_memory_equal(payment.metadata, "{\"a\": 1}", 8);
}

static void agreeing_ones_are_fine(void **state) {
    (void)state;
    assert_true(read_parts("{\"order_id\":\"o-1\"," BODY "}", "o-1", "o-1"));
}

static void disagreeing_ones_are_refused(void **state) {
    (void)state;
    assert_fault("{\"order_id\":\"o-1\"," BODY "}", "o-2", NULL, PAY_PROBLEM_ID_MISMATCH, "/order_id");
    assert_fault("{\"order_id\":\"o-1\"," BODY "}", NULL, "o-2", PAY_PROBLEM_ID_MISMATCH, "/order_id");
    assert_fault("{" BODY "}", "o-1", "o-2", PAY_PROBLEM_ID_MISMATCH, "/order_id");
}

static void ids_that_are_none_are_refused(void **state) {
    (void)state;
    assert_fault("{" BODY "}", "o 1", NULL, PAY_PROBLEM_BAD_FIELD, "/order_id");
    assert_fault("{" BODY "}", NULL, "", PAY_PROBLEM_BAD_FIELD, "/order_id");
    assert_fault("{" BODY "}", NULL, "\"", PAY_PROBLEM_BAD_FIELD, "/order_id");
    assert_fault("{" BODY "}", NULL, "\xc3\xa4", PAY_PROBLEM_BAD_FIELD, "/order_id");
    assert_fault("{" BODY "}", NULL, "0123456789012345678901234567890123456789012345678901234567890123456789",
                 PAY_PROBLEM_BAD_FIELD, "/order_id");
}

static void a_wrong_id_in_the_body_isnt_an_absent_one(void **state) {
    (void)state;
    assert_fault("{\"order_id\":7," BODY "}", "o-1", NULL, PAY_PROBLEM_BAD_FIELD, "/order_id");
    assert_fault("{\"order_id\":null," BODY "}", "o-1", NULL, PAY_PROBLEM_BAD_FIELD, "/order_id");
    assert_fault("{\"order_id\":\"\"," BODY "}", NULL, "o-1", PAY_PROBLEM_BAD_FIELD, "/order_id");
}

static void without_any_id_the_body_is_at_fault(void **state) {
    (void)state;
    assert_fault("{" BODY "}", NULL, NULL, PAY_PROBLEM_BAD_FIELD, "/order_id");
}

static void other_faults_of_a_body_without_id_are_named(void **state) {
    (void)state;
    assert_fault("{\"account_id\":\"alice\",\"amount_minor\":1.5,\"currency\":\"EUR\"}", "o-1", NULL,
                 PAY_PROBLEM_BAD_FIELD, "/amount_minor");
    assert_fault("{}", "o-1", NULL, PAY_PROBLEM_BAD_FIELD, "/account_id");
    assert_fault("{ }", NULL, "o-1", PAY_PROBLEM_BAD_FIELD, "/account_id");
}

static void what_isnt_json_is_malformed(void **state) {
    (void)state;
    static const char *const bodies[] = {"",
                                         "x",
                                         "{",
                                         "[]",
                                         "\"order_id\"",
                                         "{\"order_id\":\"o-1\"," BODY "} x",
                                         "{\"order_id\":\"o-1\",\"order_id\":\"o-1\"," BODY "}",
                                         "\xef\xbb\xbf{\"order_id\":\"o-1\"," BODY "}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_fault(bodies[i], NULL, NULL, PAY_PROBLEM_MALFORMED_JSON, NULL);
        assert_fault(bodies[i], "o-1", NULL, PAY_PROBLEM_MALFORMED_JSON, NULL);
    }
}

static void unknown_members_are_refused_by_name(void **state) {
    (void)state;
    assert_fault("{\"order_id\":\"o-1\"," BODY ",\"amount\":5}", NULL, NULL, PAY_PROBLEM_BAD_FIELD, "/amount");
}

static void the_largest_body_may_leave_its_id_out(void **state) {
    (void)state;
    static char body[PAY_VALUE_MAX + 1];
    memset(body, ' ', PAY_VALUE_MAX);
    memcpy(body, "{" BODY, sizeof "{" BODY - 1);
    body[PAY_VALUE_MAX - 1] = '}';
    const struct pay_payment_parts parts = {body, PAY_VALUE_MAX,
                                            "0123456789012345678901234567890123456789012345678901234567890123", NULL};
    assert_true(pay_payment_read(&parts, &payment, &fault));
}

static void trace_parents_are_passed_on_only_if_they_are_ones(void **state) {
    (void)state;
    assert_true(pay_traceparent_valid("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    assert_true(pay_traceparent_valid("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes-later"));
    static const char *const wrong[] = {"",
                                        "00",
                                        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
                                        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                                        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                                        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                                        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
                                        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_false(pay_traceparent_valid(wrong[i]));
}

static void only_json_in_utf_8_is_a_content_type(void **state) {
    (void)state;
    static const char *const right[] = {"application/json",
                                        "Application/JSON",
                                        "application/json; charset=utf-8",
                                        "application/json;charset=UTF-8",
                                        "application/json ; charset=\"utf-8\"",
                                        "application/json;"};
    static const char *const wrong[] = {"",
                                        "text/json",
                                        "application/jsonx",
                                        "application/json; charset=latin1",
                                        "application/json; charset=utf-88",
                                        "application/json; version=1",
                                        "application/x-ndjson",
                                        "application/json, text/plain",
                                        "application/json; charset=\"utf-8"};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) assert_true(pay_content_type_is_json(right[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_false(pay_content_type_is_json(wrong[i]));
}

static void ndjson_is_a_content_type_of_its_own(void **state) {
    (void)state;
    static const char *const right[] = {"application/x-ndjson", "application/ndjson",
                                        "Application/X-NDJSON; charset=utf-8"};
    static const char *const wrong[] = {"application/json", "application/x-ndjsonx", "application/jsonl", "text/plain"};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) assert_true(pay_content_type_is_ndjson(right[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_false(pay_content_type_is_ndjson(wrong[i]));
}

static int start(void **state) {
    (void)state;
    pay_codec_init();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_with_its_id_needs_nothing_else),
        cmocka_unit_test(path_or_key_may_name_it_instead),
        cmocka_unit_test(agreeing_ones_are_fine),
        cmocka_unit_test(disagreeing_ones_are_refused),
        cmocka_unit_test(ids_that_are_none_are_refused),
        cmocka_unit_test(a_wrong_id_in_the_body_isnt_an_absent_one),
        cmocka_unit_test(without_any_id_the_body_is_at_fault),
        cmocka_unit_test(other_faults_of_a_body_without_id_are_named),
        cmocka_unit_test(what_isnt_json_is_malformed),
        cmocka_unit_test(unknown_members_are_refused_by_name),
        cmocka_unit_test(the_largest_body_may_leave_its_id_out),
        cmocka_unit_test(trace_parents_are_passed_on_only_if_they_are_ones),
        cmocka_unit_test(only_json_in_utf_8_is_a_content_type),
        cmocka_unit_test(ndjson_is_a_content_type_of_its_own),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
