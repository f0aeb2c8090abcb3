/* Which records of the reply log are ours: exactly those with the four headers, each once and well formed. */
#include "tests/unit/unit.h"

#include "codec/reply_headers.h"

#define UUID "0f8fad5b-d9cb-469f-a165-70867728950e"
#define HEADER(name, text) ((struct pay_header){name, text, sizeof(text) - 1})

enum { SOURCE_OFFSET, COVERS_FROM, LOG_GENERATION, LEDGER_ID, OURS };

/* A reply's headers as the worker writes them, with one more that isn't looked at. */
static const struct pay_header good[OURS + 1] = {[SOURCE_OFFSET] = {"source-offset", "120", 3},
                                                 [COVERS_FROM] = {"covers-from", "118", 3},
                                                 [LOG_GENERATION] = {"log-generation", "2", 1},
                                                 [LEDGER_ID] = {"ledger-id", UUID, sizeof UUID - 1},
                                                 [OURS] = {"ce_id", NULL, 0}};

static bool read_headers(const struct pay_header *headers, size_t count, struct pay_reply_headers *ret_headers) {
    return pay_reply_headers_read(&(struct pay_log_record){.headers = headers, .header_count = count}, ret_headers);
}

static void refused(const struct pay_header *headers, size_t count) {
    struct pay_reply_headers result = {7, 8, 9, "untouched"}, before = result;
    assert_false(read_headers(headers, count, &result));
    assert_memory_equal(&result, &before, sizeof result);
}

static void refused_with(int which, struct pay_header header) {
    struct pay_header headers[OURS + 1];
    memcpy(headers, good, sizeof headers);
    headers[which] = header;
    refused(headers, OURS + 1);
}

static void a_reply_of_ours_says_which_record_it_answers_and_where_its_predecessor_ended(void **unused) {
    (void)unused;
    struct pay_reply_headers headers;
    assert_true(read_headers(good, OURS + 1, &headers));
    assert_int_equal(headers.source_offset, 120);
    assert_int_equal(headers.covers_from, 118);
    assert_int_equal(headers.log_generation, 2);
    assert_string_equal(headers.ledger_id, UUID);
}

static void the_order_of_the_headers_does_not_matter(void **unused) {
    (void)unused;
    struct pay_header reversed[OURS + 1];
    struct pay_reply_headers headers;
    for (int i = 0; i <= OURS; i++) reversed[i] = good[OURS - i];
    assert_true(read_headers(reversed, OURS + 1, &headers));
    assert_int_equal(headers.source_offset, 120);
    assert_string_equal(headers.ledger_id, UUID);
}

static void a_record_without_headers_is_none_of_ours(void **unused) {
    (void)unused;
    refused(NULL, 0);
}

static void a_missing_header_makes_it_none_of_ours(void **unused) {
    (void)unused;
    for (int missing = 0; missing < OURS; missing++) refused_with(missing, HEADER("another", "1"));
}

static void a_header_twice_makes_it_none_of_ours(void **unused) {
    (void)unused;
    for (int twice = 0; twice < OURS; twice++) refused_with(OURS, good[twice]);
}

static void a_number_that_is_not_plain_decimal_makes_it_none_of_ours(void **unused) {
    (void)unused;
    static const char *const names[] = {"source-offset", "covers-from", "log-generation"};
    for (int which = SOURCE_OFFSET; which <= LOG_GENERATION; which++) {
        refused_with(which, (struct pay_header){names[which], NULL, 0});
        refused_with(which, (struct pay_header){names[which], "", 0});
        refused_with(which, (struct pay_header){names[which], "-1", 2});
        refused_with(which, (struct pay_header){names[which], "012", 3});
        refused_with(which, (struct pay_header){names[which], "9223372036854775808", 19});
    }
}

static void generations_start_at_1(void **unused) {
    (void)unused;
    struct pay_header headers[OURS + 1];
    struct pay_reply_headers result;
    refused_with(LOG_GENERATION, HEADER("log-generation", "0"));
    memcpy(headers, good, sizeof headers);
    headers[LOG_GENERATION] = HEADER("log-generation", "1");
    assert_true(read_headers(headers, OURS + 1, &result));
    assert_int_equal(result.log_generation, 1);
}

static void a_ledger_id_that_can_not_be_text_of_a_uuids_length_makes_it_none_of_ours(void **unused) {
    (void)unused;
    refused_with(LEDGER_ID, (struct pay_header){"ledger-id", NULL, 0});
    refused_with(LEDGER_ID, (struct pay_header){"ledger-id", "", 0});
    refused_with(LEDGER_ID, HEADER("ledger-id", UUID "0"));
    refused_with(LEDGER_ID, HEADER("ledger-id", "0f8f\0d5b"));
}

static void a_reply_that_begins_behind_itself_or_ends_all_offsets_is_impossible(void **unused) {
    (void)unused;
    struct pay_reply_headers headers = {.source_offset = 5, .covers_from = 5};
    assert_true(pay_reply_headers_possible(&headers));
    headers.covers_from = 6;
    assert_false(pay_reply_headers_possible(&headers));
    headers = (struct pay_reply_headers){.source_offset = INT64_MAX - 1};
    assert_true(pay_reply_headers_possible(&headers));
    headers.source_offset++;
    assert_false(pay_reply_headers_possible(&headers));
}

static void a_header_is_read_by_its_length_not_by_a_NUL(void **unused) {
    (void)unused;
    struct pay_header headers[OURS];
    struct pay_reply_headers result;
    memcpy(headers, good, sizeof headers);
    headers[SOURCE_OFFSET] = (struct pay_header){"source-offset", "12345", 2};
    headers[LEDGER_ID] = (struct pay_header){"ledger-id", "abcdef", 3};
    assert_true(read_headers(headers, OURS, &result));
    assert_int_equal(result.source_offset, 12);
    assert_string_equal(result.ledger_id, "abc");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_of_ours_says_which_record_it_answers_and_where_its_predecessor_ended),
        cmocka_unit_test(the_order_of_the_headers_does_not_matter),
        cmocka_unit_test(a_record_without_headers_is_none_of_ours),
        cmocka_unit_test(a_missing_header_makes_it_none_of_ours),
        cmocka_unit_test(a_header_twice_makes_it_none_of_ours),
        cmocka_unit_test(a_number_that_is_not_plain_decimal_makes_it_none_of_ours),
        cmocka_unit_test(generations_start_at_1),
        cmocka_unit_test(a_ledger_id_that_can_not_be_text_of_a_uuids_length_makes_it_none_of_ours),
        cmocka_unit_test(a_reply_that_begins_behind_itself_or_ends_all_offsets_is_impossible),
        cmocka_unit_test(a_header_is_read_by_its_length_not_by_a_NUL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
