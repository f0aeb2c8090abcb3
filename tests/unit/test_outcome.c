/* The words of the contract. The expected ones are typed from INTERFACES and PROTOCOL, not taken from the tables. */
#include "tests/unit/unit.h"

#include "core/outcome.h"

static const char *const outcomes[] = {"paid", "declined", "conflict", "invalid"};
static const char *const reasons[] = {NULL,
                                      "unknown_account",
                                      "account_closed",
                                      "account_frozen",
                                      "currency_mismatch",
                                      "insufficient_funds",
                                      "account_id_differs",
                                      "amount_minor_differs",
                                      "currency_differs",
                                      "already_paid",
                                      "too_large",
                                      "malformed_json",
                                      "bad_field",
                                      "bad_tenant",
                                      "key_mismatch",
                                      "attempt_out_of_sequence"};
static const char *const fields[] = {NULL, "order_id", "attempt", "account_id", "amount_minor", "currency", "metadata"};
static const char *const states[] = {"active", "frozen", "closed"};
static const char *const halts[] = {
    NULL,           "database_rolled_back", "log_truncated",  "log_replaced", "requests_lost",
    "replies_lost", "reply_log_truncated",  "foreign_ledger", "other_group",  "other_cluster",
    "poison",       "broken_invariant"};

static void same_text(const char *actual, const char *expected) {
    if (expected == NULL)
        assert_null(actual);
    else
        assert_string_equal(actual, expected);
}

static void every_value_has_its_word_of_the_contract(void **unused) {
    (void)unused;
    assert_int_equal(sizeof outcomes / sizeof outcomes[0], PAY_OUTCOME_COUNT);
    assert_int_equal(sizeof reasons / sizeof reasons[0], PAY_REASON_COUNT);
    assert_int_equal(sizeof fields / sizeof fields[0], PAY_FIELD_COUNT);
    assert_int_equal(sizeof states / sizeof states[0], PAY_ACCOUNT_STATE_COUNT);
    assert_int_equal(sizeof halts / sizeof halts[0], PAY_HALT_COUNT);
    for (int i = 0; i < PAY_OUTCOME_COUNT; i++) same_text(pay_outcome_name((enum pay_outcome)i), outcomes[i]);
    for (int i = 0; i < PAY_REASON_COUNT; i++) same_text(pay_reason_name((enum pay_reason)i), reasons[i]);
    for (int i = 0; i < PAY_FIELD_COUNT; i++) same_text(pay_field_name((enum pay_field)i), fields[i]);
    for (int i = 0; i < PAY_ACCOUNT_STATE_COUNT; i++)
        same_text(pay_account_state_name((enum pay_account_state)i), states[i]);
    for (int i = 0; i < PAY_HALT_COUNT; i++) same_text(pay_halt_name((enum pay_halt)i), halts[i]);
}

static void every_word_reads_back_as_its_value(void **unused) {
    (void)unused;
    for (int i = 0; i < PAY_OUTCOME_COUNT; i++) {
        enum pay_outcome value;
        assert_true(pay_outcome_from_name(outcomes[i], strlen(outcomes[i]), &value));
        assert_int_equal(value, i);
    }
    for (int i = 1; i < PAY_REASON_COUNT; i++) {
        enum pay_reason value;
        assert_true(pay_reason_from_name(reasons[i], strlen(reasons[i]), &value));
        assert_int_equal(value, i);
    }
    for (int i = 1; i < PAY_FIELD_COUNT; i++) {
        enum pay_field value;
        assert_true(pay_field_from_name(fields[i], strlen(fields[i]), &value));
        assert_int_equal(value, i);
    }
    for (int i = 0; i < PAY_ACCOUNT_STATE_COUNT; i++) {
        enum pay_account_state value;
        assert_true(pay_account_state_from_name(states[i], strlen(states[i]), &value));
        assert_int_equal(value, i);
    }
    for (int i = 1; i < PAY_HALT_COUNT; i++) {
        enum pay_halt value;
        assert_true(pay_halt_from_name(halts[i], strlen(halts[i]), &value));
        assert_int_equal(value, i);
    }
}

static void a_strange_word_is_refused_and_leaves_the_result_alone(void **unused) {
    (void)unused;
    static const char *const strange[] = {"", "pai", "paidx", "Paid", "declined ", "actives", "none"};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        size_t length = strlen(strange[i]);
        enum pay_outcome outcome = PAY_CONFLICT;
        enum pay_reason reason = PAY_BAD_FIELD;
        enum pay_field field = PAY_FIELD_CURRENCY;
        enum pay_account_state state = PAY_ACCOUNT_STATE_FROZEN;
        enum pay_halt halt = PAY_HALT_POISON;
        assert_false(pay_outcome_from_name(strange[i], length, &outcome));
        assert_false(pay_reason_from_name(strange[i], length, &reason));
        assert_false(pay_field_from_name(strange[i], length, &field));
        assert_false(pay_account_state_from_name(strange[i], length, &state));
        assert_false(pay_halt_from_name(strange[i], length, &halt));
        assert_int_equal(outcome, PAY_CONFLICT);
        assert_int_equal(reason, PAY_BAD_FIELD);
        assert_int_equal(field, PAY_FIELD_CURRENCY);
        assert_int_equal(state, PAY_ACCOUNT_STATE_FROZEN);
        assert_int_equal(halt, PAY_HALT_POISON);
    }
}

static void a_word_is_read_by_its_length_not_by_a_NUL(void **unused) {
    (void)unused;
    enum pay_outcome outcome;
    assert_true(pay_outcome_from_name("paid|declined", 4, &outcome));
    assert_int_equal(outcome, PAY_PAID);
}

static void every_halt_has_a_hint_of_one_line_that_says_where_to_look(void **unused) {
    (void)unused;
    assert_null(pay_halt_hint(PAY_HALT_NONE));
    for (int i = 1; i < PAY_HALT_COUNT; i++) {
        const char *hint = pay_halt_hint((enum pay_halt)i);
        assert_non_null(hint);
        assert_null(strchr(hint, '\n'));
        assert_non_null(strstr(hint, "docs/halts.md"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_has_its_word_of_the_contract),
        cmocka_unit_test(every_word_reads_back_as_its_value),
        cmocka_unit_test(a_strange_word_is_refused_and_leaves_the_result_alone),
        cmocka_unit_test(a_word_is_read_by_its_length_not_by_a_NUL),
        cmocka_unit_test(every_halt_has_a_hint_of_one_line_that_says_where_to_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
