/* What is kept of a record that is no request. */
#include "unit.h"

#include "codec/dead_letter.h"

static const struct pay_position at = {2, 3, 4711};

/* Says what it was asked, so that a stub's text can be written down here. */
static unsigned char *count_up(const unsigned char *bytes, size_t length, unsigned char *ret_digest) {
    (void)bytes;
    for (size_t i = 0; i < PAY_SHA256_BYTES; i++) ret_digest[i] = (unsigned char)(length + i);
    return ret_digest;
}

static void check_header(const struct pay_header *header, const char *name, const char *value) {
    assert_string_equal(header->name, name);
    assert_int_equal(header->length, strlen(value));
    assert_memory_equal(header->value, value, header->length);
}

static void key_and_value_are_the_records_own(void **state) {
    (void)state;
    struct pay_dead_letter letter;
    const struct pay_log_record record = {.key = "k\0y", .key_length = 3, .value = "\xff{\0", .value_length = 3};
    pay_dead_letter_make(&record, &at, PAY_MALFORMED_JSON, &letter);
    assert_ptr_equal(letter.key, record.key);
    assert_ptr_equal(letter.value, record.value);
    assert_int_equal(letter.key_length, 3);
    assert_int_equal(letter.value_length, 3);
    assert_int_equal(letter.header_count, 2);
    pay_dead_letter_free(&letter);
}

static void position_and_reason_come_before_the_original_headers(void **state) {
    (void)state;
    struct pay_dead_letter letter;
    const struct pay_header headers[] = {
        {"tenant", "shop", 4}, {"", "x", 1}, {"tenant", "b\0b", 3}, {"position", "9-9-9", 5}};
    const struct pay_log_record record = {.headers = headers, .header_count = 4};
    pay_dead_letter_make(&record, &at, PAY_BAD_TENANT, &letter);
    assert_int_equal(letter.header_count, 6);
    check_header(&letter.headers[0], "position", "2-3-4711");
    check_header(&letter.headers[1], "reason", "bad_tenant");
    check_header(&letter.headers[2], "orig-tenant", "shop");
    check_header(&letter.headers[3], "orig-", "x");
    assert_string_equal(letter.headers[4].name, "orig-tenant");
    assert_int_equal(letter.headers[4].length, 3);
    assert_memory_equal(letter.headers[4].value, "b\0b", 3);
    check_header(&letter.headers[5], "orig-position", "9-9-9");
    pay_dead_letter_free(&letter);
}

static void what_is_absent_stays_absent(void **state) {
    (void)state;
    struct pay_dead_letter letter;
    const struct pay_header header = {"empty", NULL, 0};
    const struct pay_log_record record = {.headers = &header, .header_count = 1};
    pay_dead_letter_make(&record, &at, PAY_MALFORMED_JSON, &letter);
    assert_null(letter.key);
    assert_null(letter.value);
    assert_null(letter.headers[2].value);
    pay_dead_letter_free(&letter);
}

static void any_number_of_headers_is_kept(void **state) {
    (void)state;
    enum { MANY = 5000 };
    static struct pay_header headers[MANY];
    struct pay_dead_letter letter;
    for (size_t i = 0; i < MANY; i++) headers[i] = (struct pay_header){"a-header", "v", 1};
    const struct pay_log_record record = {.headers = headers, .header_count = MANY};
    pay_dead_letter_make(&record, &at, PAY_TOO_LARGE, &letter);
    assert_int_equal(letter.header_count, MANY + 2);
    check_header(&letter.headers[0], "position", "2-3-4711");
    for (size_t i = 0; i < MANY; i++) check_header(&letter.headers[2 + i], "orig-a-header", "v");
    pay_dead_letter_free(&letter);
}

static void a_stub_has_size_and_digest_and_nothing_of_the_record(void **state) {
    (void)state;
    struct pay_dead_letter letter;
    const struct pay_header header = {"tenant", "shop", 4};
    const struct pay_log_record record = {
        .key = "k", .key_length = 1, .value = "123456789", .value_length = 9, .headers = &header, .header_count = 1};
    const char *text =
        "{\"stub\":true,\"size\":9,\"sha256\":\"090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728\"}";
    pay_dead_letter_make(&record, &at, PAY_TOO_LARGE, &letter);
    pay_dead_letter_shrink(&letter, count_up);
    assert_null(letter.key);
    assert_int_equal(letter.key_length, 0);
    assert_int_equal(letter.value_length, strlen(text));
    assert_memory_equal(letter.value, text, letter.value_length);
    assert_int_equal(letter.header_count, 2);
    check_header(&letter.headers[0], "position", "2-3-4711");
    check_header(&letter.headers[1], "reason", "too_large");
    pay_dead_letter_free(&letter);
}

static void a_freed_letter_holds_nothing_and_may_be_freed_again(void **state) {
    (void)state;
    struct pay_dead_letter letter = {0};
    const struct pay_log_record record = {.key = "k", .key_length = 1};
    pay_dead_letter_free(&letter);
    pay_dead_letter_make(&record, &at, PAY_TOO_LARGE, &letter);
    pay_dead_letter_free(&letter);
    assert_null(letter.headers);
    assert_null(letter.key);
    pay_dead_letter_free(&letter);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_and_value_are_the_records_own),
        cmocka_unit_test(position_and_reason_come_before_the_original_headers),
        cmocka_unit_test(what_is_absent_stays_absent),
        cmocka_unit_test(any_number_of_headers_is_kept),
        cmocka_unit_test(a_freed_letter_holds_nothing_and_may_be_freed_again),
        cmocka_unit_test(a_stub_has_size_and_digest_and_nothing_of_the_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
