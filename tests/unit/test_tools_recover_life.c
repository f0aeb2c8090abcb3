/* An account lived on with what was told: holes filled by untold requests or lost adjustments, contradictions in words. */
#include "tests/unit/unit.h"
#include "tools/recover_life.h"

#include <string.h>

static struct life life;

static struct adjusted_account row(int64_t balance, int64_t version) {
    return (struct adjusted_account){.currency = "EUR", .balance_minor = balance, .version = version};
}

static struct life_event paid(int64_t version, int64_t amount, int64_t after) {
    return (struct life_event){version, true, PAY_REASON_NONE, "EUR", amount, after, 1000};
}

static struct life_event declined(int64_t version, enum pay_reason reason, int64_t amount, int64_t balance) {
    return (struct life_event){version, false, reason, "EUR", amount, balance, 1000};
}

static struct life_untold untold(int32_t partition, int64_t offset, int64_t amount) {
    return (struct life_untold){
        .position = {1, partition, offset}, .order_id = "o", .currency = "EUR", .attempt = 1, .amount_minor = amount};
}

static void begin(int64_t balance, int64_t version, struct life_untold *list, size_t count) {
    struct adjusted_account account = row(balance, version);
    life_begin(&life, &account, list, count);
}

static void assert_step(size_t at, enum adjustment_kind kind, int64_t amount, int64_t version) {
    assert_true(at < life.step_count);
    assert_null(life.steps[at].untold);
    assert_int_equal(kind, life.steps[at].kind);
    assert_int_equal(amount, life.steps[at].amount_minor);
    assert_int_equal(version, life.steps[at].version);
}

static void assert_takes(struct life_event event) {
    if (!life_take(&life, &event)) fail_msg("%s", life.why);
}

static void test_told_decisions_without_a_hole_need_nothing_else(void **state) {
    (void)state;
    begin(100, 3, NULL, 0);
    assert_takes(paid(4, 30, 70));
    assert_int_equal(0, life.step_count);
    assert_takes(declined(5, PAY_INSUFFICIENT_FUNDS, 71, 70));
    assert_int_equal(0, life.step_count);
    assert_int_equal(70, life.account.balance_minor);
    assert_int_equal(5, life.account.version);
}

static void test_a_lost_top_up_is_booked_with_what_the_balance_tells(void **state) {
    (void)state;
    begin(100, 3, NULL, 0);
    assert_takes(paid(5, 30, 5070));
    assert_int_equal(1, life.step_count);
    assert_step(0, ADJUST_CREDIT, 5000, 4);
}

static void test_a_lost_debit_is_booked(void **state) {
    (void)state;
    begin(100, 3, NULL, 0);
    assert_takes(paid(5, 30, 20));
    assert_step(0, ADJUST_DEBIT, 50, 4);
}

static void test_an_untold_request_that_explains_the_hole_fills_it_instead_of_a_debit(void **state) {
    (void)state;
    struct life_untold list[] = {untold(0, 7, 50), untold(1, 9, 11)};
    begin(100, 3, list, 2);
    assert_takes(paid(5, 30, 20));
    assert_int_equal(1, life.step_count);
    assert_ptr_equal(&list[0], life.steps[0].untold);
    assert_int_equal(PAY_PAID, life.steps[0].decision.outcome);
    assert_int_equal(50, life.steps[0].decision.balance_after_minor);
    assert_int_equal(4, life.steps[0].decision.account_version);
    assert_true(list[0].used);
    assert_false(list[1].used);
}

static void test_untold_requests_of_several_partitions_are_combined_in_the_order_of_their_logs(void **state) {
    (void)state;
    struct life_untold list[] = {untold(0, 7, 10), untold(0, 8, 20), untold(1, 3, 5), untold(1, 4, 20),
                                 untold(2, 1, 99)};
    begin(1000, 3, list, 5);
    assert_takes(
        paid(7, 1, 1000 - 35 - 1)); /* three: 10 + 5 + 20, since 20 + 5 + .. would leave out what is before it */
    assert_int_equal(3, life.step_count);
    for (size_t i = 0; i < 3; i++) assert_non_null(life.steps[i].untold);
    assert_true(list[0].used && list[2].used);
    assert_true(list[1].used != list[3].used);
    assert_false(list[4].used);
}

static void test_an_untold_request_behind_a_later_told_one_of_its_partition_isnt_taken(void **state) {
    (void)state;
    struct life_untold list[] = {untold(0, 7, 50)};
    list[0].told_until = 6;
    begin(100, 3, list, 1);
    assert_takes(paid(5, 30, 20));
    assert_step(0, ADJUST_DEBIT, 50, 4);
}

static void test_an_untold_request_that_came_later_than_the_told_decision_isnt_taken(void **state) {
    (void)state;
    struct life_untold list[] = {untold(0, 7, 50)};
    list[0].appended_at_ms = 1001;
    begin(100, 3, list, 1);
    assert_takes(paid(5, 30, 20));
    assert_step(0, ADJUST_DEBIT, 50, 4);
}

static void test_an_untold_request_fills_one_hole_only(void **state) {
    (void)state;
    struct life_untold list[] = {untold(0, 7, 50)};
    begin(200, 3, list, 1);
    assert_takes(paid(5, 30, 120));
    assert_ptr_equal(&list[0], life.steps[0].untold);
    assert_takes(paid(7, 10, 60));
    assert_step(0, ADJUST_DEBIT, 50, 6);
}

static void test_an_untold_request_that_the_account_couldnt_pay_is_a_decline_in_its_place(void **state) {
    (void)state;
    struct life_untold list[] = {untold(0, 7, 500)};
    begin(100, 3, list, 1);
    assert_takes(paid(5, 30, 70));
    assert_ptr_equal(&list[0], life.steps[0].untold);
    assert_int_equal(PAY_DECLINED, life.steps[0].decision.outcome);
    assert_int_equal(PAY_INSUFFICIENT_FUNDS, life.steps[0].decision.reason);
}

static void test_lost_freezes_floors_and_closings_are_seen_in_what_was_told(void **state) {
    (void)state;
    begin(100, 3, NULL, 0);
    assert_takes(declined(5, PAY_ACCOUNT_FROZEN, 30, 100));
    assert_step(0, ADJUST_FREEZE, 0, 4);
    assert_takes(paid(7, 30, 70));
    assert_step(0, ADJUST_UNFREEZE, 0, 6);
    assert_takes(declined(9, PAY_INSUFFICIENT_FUNDS, 10, 70));
    assert_step(0, ADJUST_FLOOR, 61, 8);
    assert_takes(paid(11, 100, -30));
    assert_step(0, ADJUST_FLOOR, -30, 10);
    assert_takes(declined(13, PAY_ACCOUNT_CLOSED, 5, -30));
    assert_step(0, ADJUST_CLOSE, 0, 12);
    assert_false(life_take(&life, &(struct life_event){15, true, PAY_REASON_NONE, "EUR", 1, -31, 1000}));
    assert_non_null(strstr(life.why, "closed"));
}

static void test_what_left_no_trace_is_booked_as_an_adjustment_that_changes_nothing(void **state) {
    (void)state;
    begin(100, 3, NULL, 0);
    assert_takes(paid(6, 30, 170));
    assert_step(0, ADJUST_CREDIT, 100, 4);
    assert_step(1, ADJUST_FLOOR, 0, 5);
}

static void test_a_lost_account_is_opened_again(void **state) {
    (void)state;
    life_begin(&life, NULL, NULL, 0);
    assert_takes(paid(2, 30, 70));
    assert_step(0, ADJUST_OPEN, 100, 1);
    assert_string_equal("EUR", life.account.currency);
    life_begin(&life, NULL, NULL, 0);
    assert_takes(paid(3, 30, -30));
    assert_step(0, ADJUST_OPEN, 0, 1);
    assert_step(1, ADJUST_FLOOR, -30, 2);
}

static void test_contradictions_are_told(void **state) {
    (void)state;
    begin(100, 3, NULL, 0);
    assert_false(
        life_take(&life, &(struct life_event){3, true, PAY_REASON_NONE, "EUR", 1, 99, 1000})); /* another event there */
    begin(100, 3, NULL, 0);
    assert_false(
        life_take(&life, &(struct life_event){4, true, PAY_REASON_NONE, "EUR", 1, 98, 1000})); /* no room for a debit */
    assert_true(life_take(&life, &(struct life_event){5, true, PAY_REASON_NONE, "EUR", 1, 97, 1000})); /* told once */
    begin(100, 3, NULL, 0);
    assert_false(life_take(&life, &(struct life_event){5, true, PAY_REASON_NONE, "USD", 1, 99, 1000}));
    assert_non_null(strstr(life.why, "currency_mismatch"));
    begin(100, 3, NULL, 0);
    assert_false(
        life_take(&life, &(struct life_event){4 + LIFE_HOLE_MAX + 1, true, PAY_REASON_NONE, "EUR", 1, 99, 1000}));
    life_begin(&life, NULL, NULL, 0);
    assert_false(life_take(&life, &(struct life_event){2, false, PAY_ACCOUNT_FROZEN, "EUR", 1, 0, 1000}));
    assert_non_null(strstr(life.why, "account open"));
}

static void test_a_hole_of_thousands_is_searched_within_bounds(void **state) {
    (void)state;
    enum { EACH = 2000, PARTITIONS = 6 };
    static struct life_untold list[EACH * PARTITIONS];
    int64_t sum = 0;
    for (int i = 0; i < EACH * PARTITIONS; i++) list[i] = untold(i / EACH, i % EACH, 1 + i * 7919 % 1000);
    for (int i = 0; i < EACH; i++) sum += list[i].amount_minor;
    begin(100000000, 3, list, EACH * PARTITIONS);
    assert_takes(paid(4 + EACH, 1, 100000000 - sum - 1));
    assert_int_equal(EACH, life.step_count);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told_decisions_without_a_hole_need_nothing_else),
        cmocka_unit_test(test_a_lost_top_up_is_booked_with_what_the_balance_tells),
        cmocka_unit_test(test_a_lost_debit_is_booked),
        cmocka_unit_test(test_an_untold_request_that_explains_the_hole_fills_it_instead_of_a_debit),
        cmocka_unit_test(test_untold_requests_of_several_partitions_are_combined_in_the_order_of_their_logs),
        cmocka_unit_test(test_an_untold_request_behind_a_later_told_one_of_its_partition_isnt_taken),
        cmocka_unit_test(test_an_untold_request_that_came_later_than_the_told_decision_isnt_taken),
        cmocka_unit_test(test_an_untold_request_fills_one_hole_only),
        cmocka_unit_test(test_an_untold_request_that_the_account_couldnt_pay_is_a_decline_in_its_place),
        cmocka_unit_test(test_lost_freezes_floors_and_closings_are_seen_in_what_was_told),
        cmocka_unit_test(test_what_left_no_trace_is_booked_as_an_adjustment_that_changes_nothing),
        cmocka_unit_test(test_a_lost_account_is_opened_again),
        cmocka_unit_test(test_contradictions_are_told),
        cmocka_unit_test(test_a_hole_of_thousands_is_searched_within_bounds),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    life_free(&life);
    return failed;
}
