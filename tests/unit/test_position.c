/* Positions and decimal numbers as text, and sums of money: the small exact things that everything stands on. */
#include "tests/unit/unit.h"

#include "core/money.h"
#include "core/position.h"

static void a_position_is_written_as_generation_partition_offset(void **unused) {
    (void)unused;
    char first[PAY_POSITION_TEXT_MAX];
    pay_position_format(&(struct pay_position){1, 0, 0}, first);
    assert_string_equal(first, "1-0-0");
    char text[PAY_POSITION_TEXT_MAX];
    assert_int_equal(pay_position_format(&(struct pay_position){1, 3, 1234}, text), 8);
    assert_string_equal(text, "1-3-1234");
}

static void the_largest_position_fits_its_text_and_reads_back(void **unused) {
    (void)unused;
    struct pay_position largest = {INT64_MAX, INT32_MAX, INT64_MAX}, back;
    char text[PAY_POSITION_TEXT_MAX];
    size_t length = pay_position_format(&largest, text);
    assert_string_equal(text, "9223372036854775807-2147483647-9223372036854775807");
    assert_true(length < PAY_POSITION_TEXT_MAX);
    assert_true(pay_position_parse(text, length, &back));
    assert_true(pay_position_equal(&largest, &back));
}

static void every_written_position_reads_back_the_same(void **unused) {
    (void)unused;
    uint64_t random = 20240601;
    for (int i = 0; i < 2000; i++) {
        struct pay_position position = {(int64_t)(random_next(&random) >> (1 + random_below(&random, 62))),
                                        (int32_t)(random_next(&random) >> 33),
                                        (int64_t)(random_next(&random) >> (1 + random_below(&random, 63)))};
        struct pay_position back;
        char text[PAY_POSITION_TEXT_MAX];
        if (position.generation < 1) position.generation = 1;
        assert_true(pay_position_parse(text, pay_position_format(&position, text), &back));
        assert_true(pay_position_equal(&position, &back));
    }
}

static void a_position_in_any_other_form_is_refused_and_leaves_the_result_alone(void **unused) {
    (void)unused;
    static const char *const strange[] = {"",
                                          "-",
                                          "1",
                                          "1-2",
                                          "1-2-",
                                          "-1-2-3",
                                          "1--2-3",
                                          "1-2-3-",
                                          "1-2-3-4",
                                          "01-2-3",
                                          "1-02-3",
                                          "1-2-03",
                                          "+1-2-3",
                                          "1-2- 3",
                                          "1-2-3 ",
                                          "a-2-3",
                                          "1-2-3x",
                                          "1-2147483648-3",
                                          "0-2-3", /* generations start at 1 */
                                          "1-2-9223372036854775808",
                                          "1-2-99999999999999999999"};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        struct pay_position position = {7, 8, 9};
        if (pay_position_parse(strange[i], strlen(strange[i]), &position)) fail_msg("accepted \"%s\"", strange[i]);
        assert_true(pay_position_equal(&position, &(struct pay_position){7, 8, 9}));
    }
}

static void a_position_is_read_by_its_length(void **unused) {
    (void)unused;
    struct pay_position position;
    assert_true(pay_position_parse("1-2-345", 6, &position));
    assert_true(pay_position_equal(&position, &(struct pay_position){1, 2, 34}));
}

static void positions_are_equal_only_in_all_three_parts(void **unused) {
    (void)unused;
    struct pay_position position = {1, 2, 3};
    assert_true(pay_position_equal(&position, &(struct pay_position){1, 2, 3}));
    assert_false(pay_position_equal(&position, &(struct pay_position){2, 2, 3}));
    assert_false(pay_position_equal(&position, &(struct pay_position){1, 3, 3}));
    assert_false(pay_position_equal(&position, &(struct pay_position){1, 2, 4}));
}

static void format_negative(void *argument) {
    char text[PAY_POSITION_TEXT_MAX];
    pay_position_format(argument, text);
}

static void writing_a_negative_position_is_a_programmers_error(void **unused) {
    (void)unused;
    assert_true(aborts(format_negative, &(struct pay_position){-1, 2, 3}));
    assert_true(aborts(format_negative, &(struct pay_position){1, -2, 3}));
    assert_true(aborts(format_negative, &(struct pay_position){1, 2, -3}));
}

static void a_decimal_is_written_as_printf_writes_it(void **unused) {
    (void)unused;
    static const int64_t numbers[] = {0, 1, 9, 10, 99, 100, -1, -10, INT64_MAX, INT64_MIN, INT64_MIN + 1};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char text[21], expected[32];
        snprintf(expected, sizeof expected, "%lld", (long long)numbers[i]);
        assert_int_equal(pay_decimal_format(numbers[i], text), strlen(expected));
        assert_string_equal(text, expected);
    }
}

static void a_decimal_is_read_up_to_the_largest_number(void **unused) {
    (void)unused;
    int64_t number;
    assert_true(pay_decimal_parse("0", 1, &number));
    assert_int_equal(number, 0);
    assert_true(pay_decimal_parse("9223372036854775807", 19, &number));
    assert_true(number == INT64_MAX);
    assert_true(pay_decimal_parse("120", 2, &number));
    assert_int_equal(number, 12);
}

static void anything_but_plain_digits_is_no_decimal_and_leaves_the_result_alone(void **unused) {
    (void)unused;
    static const char *const strange[] = {"",
                                          "00",
                                          "01",
                                          "-1",
                                          "+1",
                                          " 1",
                                          "1 ",
                                          "1.0",
                                          "1e3",
                                          "0x1",
                                          "1/2",
                                          "1:2",
                                          "9223372036854775808",
                                          "9999999999999999999",
                                          "10000000000000000000"};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        int64_t number = 42;
        if (pay_decimal_parse(strange[i], strlen(strange[i]), &number)) fail_msg("accepted \"%s\"", strange[i]);
        assert_int_equal(number, 42);
    }
}

static void sums_that_fit_are_exact(void **unused) {
    (void)unused;
    int64_t result;
    assert_true(pay_money_add(INT64_MAX - 1, 1, &result));
    assert_true(result == INT64_MAX);
    assert_true(pay_money_subtract(INT64_MIN + 1, 1, &result));
    assert_true(result == INT64_MIN);
}

static void sums_that_do_not_fit_are_refused_and_leave_the_result_alone(void **unused) {
    (void)unused;
    int64_t result = 42;
    assert_false(pay_money_add(INT64_MAX, 1, &result));
    assert_false(pay_money_add(INT64_MIN, -1, &result));
    assert_false(pay_money_subtract(INT64_MIN, 1, &result));
    assert_false(pay_money_subtract(0, INT64_MIN, &result));
    assert_int_equal(result, 42);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_position_is_written_as_generation_partition_offset),
        cmocka_unit_test(the_largest_position_fits_its_text_and_reads_back),
        cmocka_unit_test(every_written_position_reads_back_the_same),
        cmocka_unit_test(a_position_in_any_other_form_is_refused_and_leaves_the_result_alone),
        cmocka_unit_test(a_position_is_read_by_its_length),
        cmocka_unit_test(positions_are_equal_only_in_all_three_parts),
        cmocka_unit_test(writing_a_negative_position_is_a_programmers_error),
        cmocka_unit_test(a_decimal_is_written_as_printf_writes_it),
        cmocka_unit_test(a_decimal_is_read_up_to_the_largest_number),
        cmocka_unit_test(anything_but_plain_digits_is_no_decimal_and_leaves_the_result_alone),
        cmocka_unit_test(sums_that_fit_are_exact),
        cmocka_unit_test(sums_that_do_not_fit_are_refused_and_leave_the_result_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
