/* A settled record's answer is found again from rows alone, the same as it was decided (PROTOCOL section 4, last paragraph). */
#include "tests/unit/core_values.h"

#include "core/answer.h"

static const struct pay_refusal out_of_sequence = {
    .position = {1, 0, 9}, .code = PAY_ATTEMPT_OUT_OF_SEQUENCE, .decided_at_us = 77};

static void a_refusal_at_the_position_comes_before_everything_else(void **unused) {
    (void)unused;
    struct pay_record record = a_record(9, "o-1", 1, "alice", 300, "EUR");
    struct pay_decision own = a_decision(&record, PAY_PAID, PAY_REASON_NONE); /* a later copy was decided */
    struct pay_answer answer;
    assert_true(pay_answer_find(&record, &out_of_sequence, &own, &answer));
    assert_int_equal(answer.outcome, PAY_INVALID);
    assert_int_equal(answer.reason, PAY_ATTEMPT_OUT_OF_SEQUENCE);
    assert_false(answer.has_decision);
    assert_false(answer.duplicate);
    assert_true(answer.decided_at_us == 77);
}

static void a_refusal_names_its_field_and_its_own_time(void **unused) {
    (void)unused;
    struct pay_record record = an_invalid_record(9, PAY_BAD_FIELD, PAY_FIELD_CURRENCY);
    struct pay_refusal refusal = {
        .position = {1, 0, 9}, .code = PAY_BAD_FIELD, .field = PAY_FIELD_CURRENCY, .decided_at_us = 78};
    struct pay_answer answer;
    assert_true(pay_answer_find(&record, &refusal, NULL, &answer));
    assert_int_equal(answer.reason, PAY_BAD_FIELD);
    assert_int_equal(answer.field, PAY_FIELD_CURRENCY);
    assert_true(answer.decided_at_us == 78);
}

static void what_an_earlier_parser_refused_stays_refused_when_a_later_one_accepts_it(void **unused) {
    (void)unused;
    struct pay_record record = a_record(9, "o-1", 1, "alice", 300, "EUR"); /* valid by today's parser */
    struct pay_refusal refusal = {.position = {1, 0, 9}, .code = PAY_MALFORMED_JSON, .decided_at_us = 78};
    struct pay_answer answer;
    assert_true(pay_answer_find(&record, &refusal, NULL, &answer));
    assert_int_equal(answer.outcome, PAY_INVALID);
    assert_int_equal(answer.reason, PAY_MALFORMED_JSON);
}

static void its_own_row_gives_the_decision(void **unused) {
    (void)unused;
    struct pay_record record = a_record(9, "o-1", 1, "alice", 300, "EUR");
    struct pay_decision own = a_decision(&record, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS);
    struct pay_answer answer;
    assert_true(pay_answer_find(&record, NULL, &own, &answer));
    assert_int_equal(answer.outcome, PAY_DECLINED);
    assert_int_equal(answer.reason, PAY_INSUFFICIENT_FUNDS);
    assert_false(answer.duplicate);
    assert_same_decision(&answer.decision, &own);
    assert_true(answer.decided_at_us == own.decided_at_us);
}

static void another_row_of_its_identity_gives_a_duplicate_or_a_conflict(void **unused) {
    (void)unused;
    struct pay_record first = a_record(3, "o-1", 1, "alice", 300, "EUR"),
                      same = a_record(9, "o-1", 1, "alice", 300, "EUR");
    struct pay_record other = a_record(10, "o-1", 1, "alice", 301, "EUR");
    struct pay_decision stored = a_decision(&first, PAY_PAID, PAY_REASON_NONE);
    struct pay_answer answer;
    assert_true(pay_answer_find(&same, NULL, &stored, &answer));
    assert_int_equal(answer.outcome, PAY_PAID);
    assert_true(answer.duplicate);
    assert_true(pay_answer_find(&other, NULL, &stored, &answer));
    assert_int_equal(answer.outcome, PAY_CONFLICT);
    assert_int_equal(answer.reason, PAY_AMOUNT_MINOR_DIFFERS);
}

static void a_paid_row_of_a_lower_attempt_gives_already_paid(void **unused) {
    (void)unused;
    struct pay_record first = a_record(3, "o-1", 1, "alice", 300, "EUR"),
                      late = a_record(9, "o-1", 5, "alice", 300, "EUR");
    struct pay_decision paid = a_decision(&first, PAY_PAID, PAY_REASON_NONE);
    struct pay_answer answer;
    assert_true(pay_answer_find(&late, NULL, &paid, &answer));
    assert_int_equal(answer.outcome, PAY_CONFLICT);
    assert_int_equal(answer.reason, PAY_ALREADY_PAID);
    assert_same_decision(&answer.decision, &paid);
}

static void the_identitys_row_comes_before_a_paid_lower_attempt(void **unused) {
    (void)unused;
    struct pay_record one = a_record(1, "o-1", 1, "alice", 300, "EUR"),
                      two = a_record(2, "o-1", 2, "alice", 300, "EUR");
    struct pay_decision paid = a_decision(&one, PAY_PAID, PAY_REASON_NONE),
                        stored = a_decision(&two, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS);
    struct pay_answer answer;
    paid.next = &stored; /* an impossible file, but it shows the order */
    assert_true(pay_answer_find(&two, NULL, &paid, &answer));
    assert_int_equal(answer.outcome, PAY_DECLINED);
}

static void nothing_on_file_is_a_broken_invariant_never_a_new_decision(void **unused) {
    (void)unused;
    struct pay_record record = a_record(9, "o-1", 2, "alice", 300, "EUR"),
                      first = a_record(3, "o-1", 1, "alice", 300, "EUR");
    struct pay_record garbage = an_invalid_record(9, PAY_MALFORMED_JSON, PAY_FIELD_NONE);
    struct pay_decision declined = a_decision(&first, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS);
    struct pay_answer answer;
    assert_false(pay_answer_find(&record, NULL, NULL, &answer));
    assert_false(pay_answer_find(&record, NULL, &declined, &answer));
    assert_false(pay_answer_find(&garbage, NULL, NULL, &answer));
    assert_false(pay_answer_find(&garbage, NULL, &declined, &answer));
    first.invalid = PAY_KEY_MISMATCH; /* readable, and still no request: no order's row answers it */
    assert_false(pay_answer_find(&first, NULL, &declined, &answer));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_at_the_position_comes_before_everything_else),
        cmocka_unit_test(a_refusal_names_its_field_and_its_own_time),
        cmocka_unit_test(what_an_earlier_parser_refused_stays_refused_when_a_later_one_accepts_it),
        cmocka_unit_test(its_own_row_gives_the_decision),
        cmocka_unit_test(another_row_of_its_identity_gives_a_duplicate_or_a_conflict),
        cmocka_unit_test(a_paid_row_of_a_lower_attempt_gives_already_paid),
        cmocka_unit_test(the_identitys_row_comes_before_a_paid_lower_attempt),
        cmocka_unit_test(nothing_on_file_is_a_broken_invariant_never_a_new_decision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
