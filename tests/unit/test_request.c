/* The rules of a request's members, the global lock order, and the anchor's fingerprint. */
#include "tests/unit/unit.h"

#include "core/crc32c.h"
#include "core/request.h"

static void an_id_is_1_to_64_of_letters_digits_dot_underscore_colon_minus(void **unused) {
    (void)unused;
    char longest[PAY_ID_MAX + 1];
    memset(longest, 'x', sizeof longest);
    assert_true(pay_id_valid("a", 1));
    assert_true(pay_id_valid("AZaz09._:-", 10));
    assert_true(pay_id_valid(longest, PAY_ID_MAX));
    assert_false(pay_id_valid("", 0));
    assert_false(pay_id_valid(longest, PAY_ID_MAX + 1));
}

static void every_other_byte_is_refused_in_an_id_wherever_it_stands(void **unused) {
    (void)unused;
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
    for (int byte = 0; byte < 256; byte++) {
        bool allowed = memchr(good, byte, sizeof good - 1) != NULL;
        for (size_t at = 0; at < 3; at++) {
            char id[3] = {'o', 'o', 'o'};
            id[at] = (char)byte;
            assert_int_equal(pay_id_valid(id, 3), allowed);
        }
    }
}

static void a_currency_is_exactly_three_letters_A_to_Z(void **unused) {
    (void)unused;
    assert_true(pay_currency_valid("EUR", 3));
    assert_true(pay_currency_valid("AZA", 3));
    static const char *const strange[] = {"", "EU", "EURO", "eur", "E1R", "@UR", "EU["};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++)
        assert_false(pay_currency_valid(strange[i], strlen(strange[i])));
}

static void attempts_are_1_to_99(void **unused) {
    (void)unused;
    assert_false(pay_attempt_valid(0));
    assert_true(pay_attempt_valid(1));
    assert_true(pay_attempt_valid(99));
    assert_false(pay_attempt_valid(100));
    assert_false(pay_attempt_valid(INT64_C(4294967297)));
    assert_false(pay_attempt_valid(-1));
}

static void amounts_are_1_to_2_to_the_53_minus_1(void **unused) {
    (void)unused;
    assert_false(pay_amount_valid(0));
    assert_false(pay_amount_valid(-1));
    assert_true(pay_amount_valid(1));
    assert_true(pay_amount_valid((INT64_C(1) << 53) - 1));
    assert_false(pay_amount_valid(INT64_C(1) << 53));
}

static int sign(int number) { return (number > 0) - (number < 0); }

static void the_lock_order_is_tenant_first_then_id_by_bytes_and_the_shorter_first(void **unused) {
    (void)unused;
    static const char *const sorted[][2] = {{"A", "z"}, {"a", "-"},  {"a", "."},  {"a", "0"}, {"a", "9"},  {"a", ":"},
                                            {"a", "A"}, {"a", "Z"},  {"a", "_"},  {"a", "a"}, {"a", "aa"}, {"a", "ab"},
                                            {"a", "b"}, {"aa", "a"}, {"ab", "0"}, {"b", "a"}};
    const int count = sizeof sorted / sizeof sorted[0];
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++)
            assert_int_equal(sign(pay_tenant_id_compare(sorted[i][0], sorted[i][1], sorted[j][0], sorted[j][1])),
                             sign(i - j));
}

/* The definition: divide the reflected message by the reflected polynomial, bit by bit. */
static uint32_t crc32c_bitwise(uint32_t crc, const uint8_t *bytes, size_t length) {
    crc = ~crc;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
    }
    return ~crc;
}

static void crc32c_has_the_published_values(void **unused) {
    (void)unused;
    uint8_t bytes[32];
    assert_int_equal(pay_crc32c(0, "", 0), 0);
    assert_int_equal(pay_crc32c(0, "123456789", 9), 0xE3069283u);
    assert_int_equal(pay_crc32c(0, "a", 1), 0xC1D04330u);
    memset(bytes, 0, sizeof bytes); /* RFC 3720, B.4 */
    assert_int_equal(pay_crc32c(0, bytes, sizeof bytes), 0x8A9136AAu);
    memset(bytes, 0xFF, sizeof bytes);
    assert_int_equal(pay_crc32c(0, bytes, sizeof bytes), 0x62A8AB43u);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)i;
    assert_int_equal(pay_crc32c(0, bytes, sizeof bytes), 0x46DD794Eu);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(31 - i);
    assert_int_equal(pay_crc32c(0, bytes, sizeof bytes), 0x113FDB5Cu);
}

static void crc32c_equals_its_bitwise_definition_for_every_length_and_every_byte(void **unused) {
    (void)unused;
    uint8_t bytes[96];
    uint64_t random = 7;
    for (size_t length = 0; length <= sizeof bytes; length++) {
        for (size_t i = 0; i < length; i++) bytes[i] = (uint8_t)random_next(&random);
        assert_int_equal(pay_crc32c(0, bytes, length), crc32c_bitwise(0, bytes, length));
    }
    for (size_t at = 0; at < 8; at++) /* each table, each entry */
        for (int value = 0; value < 256; value++) {
            memset(bytes, 0, 8);
            bytes[at] = (uint8_t)value;
            assert_int_equal(pay_crc32c(0, bytes, 8), crc32c_bitwise(0, bytes, 8));
        }
}

static void crc32c_goes_on_where_it_stopped(void **unused) {
    (void)unused;
    static const char text[] = "a record's key and then its value, in one or in two pieces";
    uint32_t whole = pay_crc32c(0, text, sizeof text);
    for (size_t cut = 0; cut <= sizeof text; cut++)
        assert_int_equal(pay_crc32c(pay_crc32c(0, text, cut), text + cut, sizeof text - cut), whole);
}

static void a_records_fingerprint_is_the_crc_of_lengths_presence_key_and_value(void **unused) {
    (void)unused;
    /* Stored in the database and compared by other versions of the worker: it must never change. */
    static const uint8_t layout[] = {3, 0, 0, 0, 4, 1, 0, 0, 1, 1, 'o', '-', '1'};
    uint8_t value[260];
    for (size_t i = 0; i < sizeof value; i++) value[i] = (uint8_t)(i * 7);
    uint32_t expected = crc32c_bitwise(crc32c_bitwise(0, layout, sizeof layout), value, sizeof value);
    assert_int_equal(pay_record_crc("o-1", 3, value, sizeof value), expected);
    static const uint8_t swapped[] = {4, 1, 0, 0, 3, 0, 0, 0, 1, 1};
    expected = crc32c_bitwise(crc32c_bitwise(0, swapped, sizeof swapped), value, sizeof value);
    assert_int_equal(pay_record_crc(value, sizeof value, "o-1", 3),
                     crc32c_bitwise(expected, (const uint8_t *)"o-1", 3));
}

static void an_absent_key_or_value_differs_from_an_empty_one(void **unused) {
    (void)unused;
    uint32_t crc[] = {pay_record_crc(NULL, 0, NULL, 0), pay_record_crc("", 0, NULL, 0), pay_record_crc(NULL, 0, "", 0),
                      pay_record_crc("", 0, "", 0)};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) assert_int_not_equal(crc[i], crc[j]);
}

static void moving_a_byte_from_the_key_to_the_value_changes_the_fingerprint(void **unused) {
    (void)unused;
    assert_int_not_equal(pay_record_crc("ab", 2, "c", 1), pay_record_crc("a", 1, "bc", 2));
    assert_int_not_equal(pay_record_crc("abc", 3, "", 0), pay_record_crc("", 0, "abc", 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_1_to_64_of_letters_digits_dot_underscore_colon_minus),
        cmocka_unit_test(every_other_byte_is_refused_in_an_id_wherever_it_stands),
        cmocka_unit_test(a_currency_is_exactly_three_letters_A_to_Z),
        cmocka_unit_test(attempts_are_1_to_99),
        cmocka_unit_test(amounts_are_1_to_2_to_the_53_minus_1),
        cmocka_unit_test(the_lock_order_is_tenant_first_then_id_by_bytes_and_the_shorter_first),
        cmocka_unit_test(crc32c_has_the_published_values),
        cmocka_unit_test(crc32c_equals_its_bitwise_definition_for_every_length_and_every_byte),
        cmocka_unit_test(crc32c_goes_on_where_it_stopped),
        cmocka_unit_test(a_records_fingerprint_is_the_crc_of_lengths_presence_key_and_value),
        cmocka_unit_test(an_absent_key_or_value_differs_from_an_empty_one),
        cmocka_unit_test(moving_a_byte_from_the_key_to_the_value_changes_the_fingerprint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
