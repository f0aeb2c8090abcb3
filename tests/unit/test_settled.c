/* The rule for 404: nothing appended before the question may still turn into a payment. */
#include "tests/unit/unit.h"

#include "producer/settled.h"

static void nowhere_needs_every_partition(void **unused) {
    (void)unused;
    const int64_t ends[] = {10, 0, 7};
    struct pay_progress rows[] = {{0, 1, 10, 10}, {1, 1, 0, 0}, {2, 1, 7, 3}};
    assert_true(pay_settled_everywhere(ends, 3, rows, 3));
    for (int p = 0; p < 3; p += 2) {
        rows[p].settled--;
        assert_false(pay_settled_everywhere(ends, 3, rows, 3));
        rows[p].settled++;
    }
}

static void settled_beyond_the_end_is_settled(void **unused) {
    (void)unused;
    const int64_t ends[] = {10};
    const struct pay_progress rows[] = {{0, 1, 12, 12}};
    assert_true(pay_settled_everywhere(ends, 1, rows, 1));
}

static void a_partition_without_a_row_counts_only_when_it_is_empty(void **unused) {
    (void)unused;
    int64_t ends[] = {10, 0};
    const struct pay_progress rows[] = {{0, 1, 10, 10}};
    assert_true(pay_settled_everywhere(ends, 2, rows, 1));
    ends[1] = 1;
    assert_false(pay_settled_everywhere(ends, 2, rows, 1));
}

static void without_partitions_or_with_an_unknown_end_nothing_is_said(void **unused) {
    (void)unused;
    const int64_t ends[] = {-1};
    const struct pay_progress rows[] = {{0, 1, 10, 10}};
    assert_false(pay_settled_everywhere(ends, 0, rows, 1));
    assert_false(pay_settled_everywhere(ends, 1, rows, 1));
}

static void rows_are_found_by_partition_in_any_order(void **unused) {
    (void)unused;
    const struct pay_progress rows[] = {{2, 1, 7, 3}, {0, 1, 10, 10}};
    assert_ptr_equal(pay_progress_of(rows, 2, 0), &rows[1]);
    assert_null(pay_progress_of(rows, 2, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nowhere_needs_every_partition),
        cmocka_unit_test(settled_beyond_the_end_is_settled),
        cmocka_unit_test(a_partition_without_a_row_counts_only_when_it_is_empty),
        cmocka_unit_test(without_partitions_or_with_an_unknown_end_nothing_is_said),
        cmocka_unit_test(rows_are_found_by_partition_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
