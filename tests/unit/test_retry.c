/* What a failed settle costs: redo, halve, and at last one record that halts its lane. */
#include "tests/unit/unit.h"

#include "core/retry.h"

static const struct pay_error deadlock = {.move = PAY_REDO, .code = "40P01"};
static const struct pay_error serialization = {.move = PAY_REDO, .code = "40001"};
static const struct pay_error refused = {.move = PAY_SPLIT, .code = "22003"};
static const struct pay_error refused_otherwise = {.move = PAY_SPLIT, .code = "23514"};

static void a_redo_is_the_same_slice_again_four_times_and_then_half_of_it(void **unused) {
    (void)unused;
    struct pay_retry retry;
    pay_retry_reset(&retry, 2000);
    for (int i = 1; i < PAY_REDO_MAX; i++) assert_int_equal(pay_retry_failed(&retry, &deadlock, 2000), PAY_RETRY_SLICE);
    assert_int_equal(retry.limit, 2000);
    assert_int_equal(pay_retry_failed(&retry, &deadlock, 2000), PAY_RETRY_HALVED);
    assert_int_equal(retry.limit, 1000);
}

static void a_slice_that_is_refused_is_halved_at_once_down_to_one_record(void **unused) {
    (void)unused;
    struct pay_retry retry;
    uint32_t count = 2000;
    pay_retry_reset(&retry, count);
    for (; count > 1; count = retry.limit) {
        assert_int_equal(pay_retry_failed(&retry, &refused, count), PAY_RETRY_HALVED);
        assert_int_equal(retry.limit, count / 2);
    }
    assert_int_equal(retry.limit, 1);
}

static void a_short_slice_is_halved_by_what_it_held_not_by_the_limit(void **unused) {
    (void)unused;
    struct pay_retry retry;
    pay_retry_reset(&retry, 2000);
    assert_int_equal(pay_retry_failed(&retry, &refused, 3), PAY_RETRY_HALVED);
    assert_int_equal(retry.limit, 1);
}

static void a_single_record_refused_three_times_the_same_way_is_poison(void **unused) {
    (void)unused;
    struct pay_retry retry;
    pay_retry_reset(&retry, 1);
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_SLICE);
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_SLICE);
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_POISON);
}

static void the_failures_of_the_larger_slice_do_not_count_for_the_record(void **unused) {
    (void)unused;
    struct pay_retry retry;
    pay_retry_reset(&retry, 2);
    assert_int_equal(pay_retry_failed(&retry, &refused, 2), PAY_RETRY_HALVED);
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_SLICE);
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_SLICE);
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_POISON);
}

static void another_way_to_fail_starts_the_count_again(void **unused) {
    (void)unused;
    struct pay_retry retry;
    pay_retry_reset(&retry, 1);
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_SLICE);
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_SLICE);
    assert_int_equal(pay_retry_failed(&retry, &refused_otherwise, 1), PAY_RETRY_SLICE);
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_SLICE);
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_SLICE);
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_POISON);
}

static void deadlocks_never_make_a_record_poison(void **unused) {
    (void)unused;
    struct pay_retry retry;
    pay_retry_reset(&retry, 1);
    for (int i = 0; i < 1000; i++) assert_int_equal(pay_retry_failed(&retry, &deadlock, 1), PAY_RETRY_SLICE);
    for (int i = 0; i < 1000; i++) assert_int_equal(pay_retry_failed(&retry, &serialization, 1), PAY_RETRY_SLICE);
}

static void deadlocks_before_it_do_not_count_towards_poison_even_without_a_code(void **unused) {
    (void)unused;
    struct pay_retry retry;
    struct pay_error too_slow = {.move = PAY_REDO}, too_many = {.move = PAY_SPLIT};
    pay_retry_reset(&retry, 1);
    for (int i = 0; i < 4; i++) assert_int_equal(pay_retry_failed(&retry, &too_slow, 1), PAY_RETRY_SLICE);
    assert_int_equal(pay_retry_failed(&retry, &too_many, 1), PAY_RETRY_SLICE);
    assert_int_equal(pay_retry_failed(&retry, &too_many, 1), PAY_RETRY_SLICE);
    assert_int_equal(pay_retry_failed(&retry, &too_many, 1), PAY_RETRY_POISON);
}

static void after_a_poisoned_record_the_next_one_has_three_tries_of_its_own(void **unused) {
    (void)unused;
    struct pay_retry retry;
    pay_retry_reset(&retry, 1);
    for (int record = 0; record < 2; record++) {
        assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_SLICE);
        assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_SLICE);
        assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_POISON);
    }
}

static void after_success_the_limit_doubles_up_to_its_bound_and_the_count_starts_again(void **unused) {
    (void)unused;
    struct pay_retry retry;
    pay_retry_reset(&retry, 3);
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_SLICE);
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_SLICE);
    static const uint32_t limits[] = {6, 12, 24, 25, 25};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        pay_retry_succeeded(&retry, 25);
        assert_int_equal(retry.limit, limits[i]);
    }
    assert_int_equal(pay_retry_failed(&retry, &refused, 1), PAY_RETRY_SLICE);
    pay_retry_reset(&retry, 1);
    pay_retry_succeeded(&retry, 1);
    assert_int_equal(retry.limit, 1);
}

static void fail_with(void *argument) {
    struct pay_retry retry;
    pay_retry_reset(&retry, 1);
    pay_retry_failed(&retry, argument, 1);
}

static void any_other_error_than_redo_or_split_is_a_programmers_error(void **unused) {
    (void)unused;
    for (int move = PAY_OK; move <= PAY_REFUSE; move++)
        if (move != PAY_REDO && move != PAY_SPLIT)
            assert_true(aborts(fail_with, &(struct pay_error){.move = (enum pay_move)move}));
}

static void a_backoff_lies_between_base_and_base_doubled_per_attempt_and_never_above_the_cap(void **unused) {
    (void)unused;
    uint64_t random = 99;
    for (uint32_t attempt = 0; attempt < 70; attempt++)
        for (int i = 0; i < 50; i++) {
            int64_t wait_ms = pay_backoff_ms(attempt, 5, 500, (uint32_t)random_next(&random));
            int64_t ceiling_ms = attempt < 7 ? 5 << attempt : 500;
            assert_in_range(wait_ms, 5, ceiling_ms < 500 ? ceiling_ms : 500);
        }
}

static void a_backoff_reaches_both_of_its_ends(void **unused) {
    (void)unused;
    assert_int_equal(pay_backoff_ms(0, 5, 500, 12345), 5);
    assert_int_equal(pay_backoff_ms(3, 5, 500, 0), 5);
    assert_int_equal(pay_backoff_ms(3, 5, 500, 35), 40);
    assert_int_equal(pay_backoff_ms(30, 5, 500, 495), 500);
    assert_int_equal(pay_backoff_ms(9, 7, 7, UINT32_MAX), 7);
    for (uint32_t attempt = 0; attempt < 80; attempt++) { /* exactly: one more would begin at base again */
        uint32_t width_ms = attempt < 31 ? (UINT32_C(1) << attempt) - 1 : INT32_MAX - 1;
        assert_int_equal(pay_backoff_ms(attempt, 1, INT32_MAX, width_ms), 1 + (int64_t)width_ms);
        assert_int_equal(pay_backoff_ms(attempt, 1, INT32_MAX, width_ms + 1), 1);
    }
}

static void a_cap_beside_a_doubling_is_kept_to_the_millisecond(void **unused) {
    (void)unused;
    static const int64_t cases[][2] = {{8, 8}, {9, 8}, {10, 8}, {15, 8}, {17, 16}}; /* cap, ceiling at 2^3 or 2^4 */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t attempt = cases[i][1] == 16 ? 4 : 3;
        assert_int_equal(pay_backoff_ms(attempt, 1, cases[i][0], (uint32_t)cases[i][1] - 1), cases[i][1]);
        assert_int_equal(pay_backoff_ms(attempt, 1, cases[i][0], (uint32_t)cases[i][1]), 1);
    }
    assert_int_equal(pay_backoff_ms(1, 5, 9, 4), 9);
    assert_int_equal(pay_backoff_ms(1, 5, 9, 5), 5);
}

static void a_backoff_with_bounds_of_weeks_neither_wraps_nor_divides_by_zero(void **unused) {
    (void)unused;
    assert_int_equal(pay_backoff_ms(40, 1, INT64_C(1) << 32, 0), 1);
    assert_in_range(pay_backoff_ms(19, INT64_C(1) << 50, INT64_C(1) << 51, UINT32_MAX), INT64_C(1) << 50,
                    INT64_C(1) << 51);
}

static void back_off(void *argument) {
    const int64_t *bounds = argument;
    pay_backoff_ms(1, bounds[0], bounds[1], 0);
}

static void a_backoff_without_sensible_bounds_is_a_programmers_error(void **unused) {
    (void)unused;
    assert_true(aborts(back_off, (int64_t[]){0, 5}));
    assert_true(aborts(back_off, (int64_t[]){6, 5}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_redo_is_the_same_slice_again_four_times_and_then_half_of_it),
        cmocka_unit_test(a_slice_that_is_refused_is_halved_at_once_down_to_one_record),
        cmocka_unit_test(a_short_slice_is_halved_by_what_it_held_not_by_the_limit),
        cmocka_unit_test(a_single_record_refused_three_times_the_same_way_is_poison),
        cmocka_unit_test(the_failures_of_the_larger_slice_do_not_count_for_the_record),
        cmocka_unit_test(another_way_to_fail_starts_the_count_again),
        cmocka_unit_test(deadlocks_never_make_a_record_poison),
        cmocka_unit_test(deadlocks_before_it_do_not_count_towards_poison_even_without_a_code),
        cmocka_unit_test(after_a_poisoned_record_the_next_one_has_three_tries_of_its_own),
        cmocka_unit_test(after_success_the_limit_doubles_up_to_its_bound_and_the_count_starts_again),
        cmocka_unit_test(any_other_error_than_redo_or_split_is_a_programmers_error),
        cmocka_unit_test(a_backoff_lies_between_base_and_base_doubled_per_attempt_and_never_above_the_cap),
        cmocka_unit_test(a_backoff_reaches_both_of_its_ends),
        cmocka_unit_test(a_cap_beside_a_doubling_is_kept_to_the_millisecond),
        cmocka_unit_test(a_backoff_with_bounds_of_weeks_neither_wraps_nor_divides_by_zero),
        cmocka_unit_test(a_backoff_without_sensible_bounds_is_a_programmers_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
