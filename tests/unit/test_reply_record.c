/* A whole reply record: the key, and the headers of INTERFACES in its order. */
#include "tests/unit/unit.h"

#include "codec/reply_record.h"

#include <string.h>

/* The reply of an account that has enough. It points into itself, so it lies in one place. */
static const struct pay_reply_record *made(const struct pay_record *record) {
    static struct pay_reply_record reply;
    struct pay_account account = {.currency = "EUR", .found = true, .balance_minor = 100};
    struct pay_answer answer;
    memset(&reply, 0x5a, sizeof reply);
    pay_decide(record, NULL, &account, 1795264272123456, &answer);
    pay_reply_record_make(record, &answer, 40, "pay.requests", "a-ledger", &reply);
    return &reply;
}

static void header_is(const struct pay_reply_record *reply, size_t at, const char *name, const char *value) {
    const struct pay_header *header = &reply->headers[at];
    assert_true(at < reply->header_count);
    assert_string_equal(header->name, name);
    assert_int_equal(header->length, strlen(value));
    assert_memory_equal(header->value, value, header->length);
}

static struct pay_record a_record(void) {
    struct pay_record record = {
        .position = {2, 7, 42}, .key = "o-1", .traceparent = "00-1-2-01", .traceparent_length = 9};
    strcpy(record.tenant, "acme");
    strcpy(record.request.tenant, "acme");
    strcpy(record.request.order_id, "o-1");
    strcpy(record.request.account_id, "alice");
    strcpy(record.request.currency, "EUR");
    record.request.attempt = 1;
    record.request.amount_minor = 5;
    return record;
}

static void a_reply_has_the_orders_key_and_twelve_headers(void **unused) {
    (void)unused;
    struct pay_record record = a_record();
    const struct pay_reply_record *reply = made(&record);
    assert_int_equal(reply->key_length, 3);
    assert_memory_equal(reply->key, "o-1", 3);
    assert_int_equal(reply->value[0], '{');
    assert_int_equal(reply->value[reply->value_length - 1], '}');
    assert_int_equal(reply->header_count, PAY_REPLY_HEADERS_MAX);
    header_is(reply, 0, "source-offset", "42");
    header_is(reply, 1, "covers-from", "40");
    header_is(reply, 2, "log-generation", "2");
    header_is(reply, 3, "ledger-id", "a-ledger");
    header_is(reply, 4, "ce_specversion", "1.0");
    header_is(reply, 5, "ce_id", "pay.requests/2-7-42");
    header_is(reply, 6, "ce_type", "paybuf.payment.paid");
    header_is(reply, 7, "ce_source", "/paybuf/pay.requests");
    header_is(reply, 8, "ce_subject", "o-1");
    header_is(reply, 9, "ce_time", "2026-11-21T12:31:12.123456Z");
    header_is(reply, 10, "content-type", "application/json");
    header_is(reply, 11, "traceparent", "00-1-2-01");
}

static void bytes_without_a_usable_key_get_a_reply_without_one(void **unused) {
    (void)unused;
    struct pay_record record = a_record();
    record.key[0] = '\0';
    const struct pay_reply_record *reply = made(&record);
    assert_null(reply->key);
    assert_int_equal(reply->key_length, 0);
    assert_int_equal(reply->header_count, PAY_REPLY_HEADERS_MAX - 1);
    assert_string_equal(reply->headers[8].name, "ce_time");
}

static void a_key_of_one_letter_is_a_key(void **unused) {
    (void)unused;
    struct pay_record record = a_record();
    strcpy(record.key, "o");
    assert_memory_equal(made(&record)->key, "o", 2);
}

static void a_request_without_traceparent_gets_a_reply_without_one(void **unused) {
    (void)unused;
    struct pay_record record = a_record();
    record.traceparent = NULL;
    const struct pay_reply_record *reply = made(&record);
    assert_int_equal(reply->header_count, PAY_REPLY_HEADERS_MAX - 1);
    assert_string_equal(reply->headers[10].name, "content-type");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_has_the_orders_key_and_twelve_headers),
        cmocka_unit_test(bytes_without_a_usable_key_get_a_reply_without_one),
        cmocka_unit_test(a_key_of_one_letter_is_a_key),
        cmocka_unit_test(a_request_without_traceparent_gets_a_reply_without_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
