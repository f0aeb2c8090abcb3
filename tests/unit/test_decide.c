/* The promises of decide.h, and every row of PROTOCOL section 4's table. */
#include "tests/unit/core_values.h"

#include "core/decide.h"

#define NOW_US 1700000000123456

/* --- row 1: first sight, funds suffice --- */

static void a_first_sight_with_enough_funds_is_paid_and_debited(void **unused) {
    (void)unused;
    struct pay_record record = a_record(5, "o-1", 1, "alice", 300, "EUR");
    struct pay_account account = an_account("alice", 1000);
    struct pay_answer answer;
    assert_int_equal(pay_decide(&record, NULL, &account, NOW_US, &answer), PAY_VERDICT_DECIDED);
    assert_int_equal(answer.outcome, PAY_PAID);
    assert_int_equal(answer.reason, PAY_REASON_NONE);
    assert_int_equal(account.balance_minor, 700);
    assert_true(account.changed);
}

static void a_new_decision_carries_content_balance_version_position_and_time(void **unused) {
    (void)unused;
    struct pay_record record = a_record(5, "o-1", 1, "alice", 300, "EUR");
    struct pay_account account = an_account("alice", 1000);
    struct pay_answer answer;
    pay_decide(&record, NULL, &account, NOW_US, &answer);
    struct pay_decision expected = {.attempt = 1,
                                    .account_id = "alice",
                                    .currency = "EUR",
                                    .amount_minor = 300,
                                    .outcome = PAY_PAID,
                                    .has_account = true,
                                    .balance_after_minor = 700,
                                    .account_version = 2,
                                    .position = {1, 0, 5},
                                    .decided_at_us = NOW_US};
    assert_true(answer.has_decision);
    assert_same_decision(&answer.decision, &expected);
    assert_null(answer.decision.next);
    assert_false(answer.duplicate);
    assert_true(answer.decided_at_us == NOW_US);
}

/* --- row 2: first sight, otherwise --- */

static void declined_with(struct pay_account *account, enum pay_reason reason) {
    struct pay_record record = a_record(5, "o-1", 1, "alice", 300, "EUR");
    struct pay_account before = *account;
    struct pay_answer answer;
    assert_int_equal(pay_decide(&record, NULL, account, NOW_US, &answer), PAY_VERDICT_DECIDED);
    assert_int_equal(answer.outcome, PAY_DECLINED);
    assert_int_equal(answer.reason, reason);
    assert_int_equal(answer.decision.outcome, PAY_DECLINED);
    assert_int_equal(answer.decision.reason, reason);
    assert_int_equal(account->balance_minor, before.balance_minor);
    assert_int_equal(answer.decision.balance_after_minor, before.balance_minor); /* the one it was judged by */
}

static void too_little_money_declines_with_insufficient_funds(void **unused) {
    (void)unused;
    struct pay_account account = an_account("alice", 299);
    declined_with(&account, PAY_INSUFFICIENT_FUNDS);
}

static void a_missing_account_declines_with_unknown_account_and_neither_balance_nor_version(void **unused) {
    (void)unused;
    struct pay_record record = a_record(5, "o-1", 1, "nobody", 300, "EUR");
    struct pay_account account = {.found = false};
    struct pay_answer answer;
    assert_int_equal(pay_decide(&record, NULL, &account, NOW_US, &answer), PAY_VERDICT_DECIDED);
    assert_int_equal(answer.outcome, PAY_DECLINED);
    assert_int_equal(answer.reason, PAY_UNKNOWN_ACCOUNT);
    assert_false(answer.decision.has_account);
    assert_false(account.changed);
    assert_int_equal(account.version, 0);
}

static void another_currency_declines_with_currency_mismatch(void **unused) {
    (void)unused;
    struct pay_account account = an_account("alice", 1000);
    memcpy(account.currency, "USD", 4);
    declined_with(&account, PAY_CURRENCY_MISMATCH);
}

static void a_frozen_account_declines_with_account_frozen(void **unused) {
    (void)unused;
    struct pay_account account = an_account("alice", 1000);
    account.state = PAY_ACCOUNT_STATE_FROZEN;
    declined_with(&account, PAY_ACCOUNT_FROZEN);
}

static void a_closed_account_declines_with_account_closed(void **unused) {
    (void)unused;
    struct pay_account account = an_account("alice", 1000);
    account.state = PAY_ACCOUNT_STATE_CLOSED;
    declined_with(&account, PAY_ACCOUNT_CLOSED);
}

static void declines_are_judged_in_order_closed_frozen_currency_funds(void **unused) {
    (void)unused;
    struct pay_account poor_and_foreign = an_account("alice", 0);
    memcpy(poor_and_foreign.currency, "USD", 4);
    struct pay_account closed = poor_and_foreign, frozen = poor_and_foreign, foreign = poor_and_foreign;
    closed.state = PAY_ACCOUNT_STATE_CLOSED;
    frozen.state = PAY_ACCOUNT_STATE_FROZEN;
    declined_with(&closed, PAY_ACCOUNT_CLOSED);
    declined_with(&frozen, PAY_ACCOUNT_FROZEN);
    declined_with(&foreign, PAY_CURRENCY_MISMATCH);
}

static void every_decision_that_saw_an_account_takes_its_next_version_declines_included(void **unused) {
    (void)unused;
    struct pay_account account = an_account("alice", 500);
    struct pay_answer answer;
    for (int64_t i = 0; i < 4; i++) { /* paid, then three declined */
        struct pay_record record = a_record(i, "o-1", 1, "alice", 300, "EUR");
        account.changed = false;
        assert_int_equal(pay_decide(&record, NULL, &account, NOW_US, &answer), PAY_VERDICT_DECIDED);
        assert_int_equal(answer.outcome, i == 0 ? PAY_PAID : PAY_DECLINED);
        assert_int_equal(answer.decision.account_version, 2 + i);
        assert_int_equal(account.version, 2 + i);
        assert_int_equal(answer.decision.balance_after_minor, 200);
        assert_true(account.changed);
    }
}

static void paid_may_reach_the_floor_but_never_go_below_it(void **unused) {
    (void)unused;
    static const struct {
        int64_t balance, floor, amount;
        bool paid;
    } cases[] = {
        {300, 0, 300, true},   {299, 0, 300, false},   {0, -300, 300, true},    {0, -299, 300, false},
        {500, 200, 300, true}, {499, 200, 300, false}, {-100, -400, 300, true}, {-101, -400, 300, false},
        {0, 0, 1, false},      {100, 200, 1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pay_record record = a_record(5, "o-1", 1, "alice", cases[i].amount, "EUR");
        struct pay_account account = an_account("alice", cases[i].balance);
        struct pay_answer answer;
        account.floor_minor = cases[i].floor;
        pay_decide(&record, NULL, &account, NOW_US, &answer);
        assert_int_equal(answer.outcome, cases[i].paid ? PAY_PAID : PAY_DECLINED);
        assert_true(account.balance_minor == cases[i].balance - (cases[i].paid ? cases[i].amount : 0));
    }
}

static void a_debit_that_would_overflow_is_declined(void **unused) {
    (void)unused;
    struct pay_record record = a_record(5, "o-1", 1, "alice", PAY_AMOUNT_MAX, "EUR");
    struct pay_account account = an_account("alice", INT64_MIN + 10);
    struct pay_answer answer;
    account.floor_minor = INT64_MIN;
    pay_decide(&record, NULL, &account, NOW_US, &answer);
    assert_int_equal(answer.reason, PAY_INSUFFICIENT_FUNDS);
    assert_true(account.balance_minor == INT64_MIN + 10);
}

static void the_largest_amount_from_the_largest_balance_is_paid(void **unused) {
    (void)unused;
    struct pay_record record = a_record(5, "o-1", 1, "alice", PAY_AMOUNT_MAX, "EUR");
    struct pay_account account = an_account("alice", INT64_MAX);
    struct pay_answer answer;
    pay_decide(&record, NULL, &account, NOW_US, &answer);
    assert_int_equal(answer.outcome, PAY_PAID);
    assert_true(account.balance_minor == INT64_MAX - PAY_AMOUNT_MAX);
}

/* --- rows 3 and 4: the identity is known --- */

static void untouched(const struct pay_account *account, const struct pay_account *before) {
    assert_true(account->balance_minor == before->balance_minor);
    assert_true(account->version == before->version);
    assert_false(account->changed);
}

static void the_same_fields_again_get_the_stored_payment_as_a_duplicate(void **unused) {
    (void)unused;
    struct pay_record first = a_record(5, "o-1", 1, "alice", 300, "EUR"),
                      again = a_record(9, "o-1", 1, "alice", 300, "EUR");
    struct pay_decision stored = a_decision(&first, PAY_PAID, PAY_REASON_NONE),
                        other = a_decision(&first, PAY_DECLINED, PAY_ACCOUNT_FROZEN);
    struct pay_account account = an_account("alice", 1000), before = account;
    struct pay_answer answer;
    other.attempt = 2;
    stored.next = &other;
    assert_int_equal(pay_decide(&again, &stored, &account, NOW_US, &answer), PAY_VERDICT_STORED);
    assert_int_equal(answer.outcome, PAY_PAID);
    assert_true(answer.duplicate);
    assert_true(answer.has_decision);
    assert_same_decision(&answer.decision, &stored);
    assert_true(answer.decided_at_us == stored.decided_at_us);
    assert_null(answer.decision.next); /* an answer outlives the list it came from */
    untouched(&account, &before);
}

static void the_same_fields_again_get_the_stored_decline_even_when_money_has_come(void **unused) {
    (void)unused;
    struct pay_record first = a_record(5, "o-1", 1, "alice", 300, "EUR"),
                      again = a_record(9, "o-1", 1, "alice", 300, "EUR");
    struct pay_account account = an_account("alice", 1000000), before = account;
    for (int reason = PAY_UNKNOWN_ACCOUNT; reason <= PAY_INSUFFICIENT_FUNDS; reason++) {
        struct pay_decision stored = a_decision(&first, PAY_DECLINED, (enum pay_reason)reason);
        struct pay_answer answer;
        assert_int_equal(pay_decide(&again, &stored, &account, NOW_US, &answer), PAY_VERDICT_STORED);
        assert_int_equal(answer.outcome, PAY_DECLINED);
        assert_int_equal(answer.reason, reason);
        assert_true(answer.duplicate);
        assert_same_decision(&answer.decision, &stored);
        untouched(&account, &before);
    }
}

static void duplicate_is_false_exactly_at_the_decisions_own_position(void **unused) {
    (void)unused;
    struct pay_record record = a_record(5, "o-1", 1, "alice", 300, "EUR");
    struct pay_decision stored = a_decision(&record, PAY_PAID, PAY_REASON_NONE);
    static const struct pay_position positions[] = {{1, 0, 5}, {2, 0, 5}, {1, 1, 5}, {1, 0, 6}};
    for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
        struct pay_answer answer;
        record.position = positions[i];
        pay_answer_from_decision(&record, &stored, &answer);
        assert_int_equal(answer.duplicate, i != 0);
    }
}

static void other_fields_are_a_conflict_that_names_the_first_difference(void **unused) {
    (void)unused;
    struct pay_record first = a_record(5, "o-1", 1, "alice", 300, "EUR");
    struct pay_decision stored = a_decision(&first, PAY_PAID, PAY_REASON_NONE);
    static const struct {
        const char *account_id;
        int64_t amount_minor;
        const char *currency;
        enum pay_reason reason;
    } cases[] = {
        {"bob", 300, "EUR", PAY_ACCOUNT_ID_DIFFERS},     {"alice", 301, "EUR", PAY_AMOUNT_MINOR_DIFFERS},
        {"alice", 300, "USD", PAY_CURRENCY_DIFFERS},     {"bob", 301, "USD", PAY_ACCOUNT_ID_DIFFERS},
        {"alice", 301, "USD", PAY_AMOUNT_MINOR_DIFFERS}, {"bob", 300, "USD", PAY_ACCOUNT_ID_DIFFERS},
        {"alic", 300, "EUR", PAY_ACCOUNT_ID_DIFFERS},    {"alicea", 300, "EUR", PAY_ACCOUNT_ID_DIFFERS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pay_record other = a_record(9, "o-1", 1, cases[i].account_id, cases[i].amount_minor, cases[i].currency);
        struct pay_account account = an_account(cases[i].account_id, 1000), before = account;
        struct pay_answer answer;
        assert_int_equal(pay_decide(&other, &stored, &account, NOW_US, &answer), PAY_VERDICT_STORED);
        assert_int_equal(answer.outcome, PAY_CONFLICT);
        assert_int_equal(answer.reason, cases[i].reason);
        assert_false(answer.duplicate);
        assert_true(answer.has_decision); /* the one in the way */
        assert_same_decision(&answer.decision, &stored);
        assert_true(answer.decided_at_us == stored.decided_at_us);
        untouched(&account, &before);
    }
}

static void a_conflict_with_a_decline_is_a_conflict_too(void **unused) {
    (void)unused;
    struct pay_record first = a_record(5, "o-1", 1, "alice", 300, "EUR"),
                      other = a_record(9, "o-1", 1, "alice", 1, "EUR");
    struct pay_decision stored = a_decision(&first, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS);
    struct pay_account account = an_account("alice", 1000), before = account;
    struct pay_answer answer;
    assert_int_equal(pay_decide(&other, &stored, &account, NOW_US, &answer), PAY_VERDICT_STORED);
    assert_int_equal(answer.reason, PAY_AMOUNT_MINOR_DIFFERS);
    assert_int_equal(answer.decision.outcome, PAY_DECLINED);
    untouched(&account, &before);
}

/* --- rows 5, 6, 7: later attempts --- */

static void an_attempt_after_a_declined_one_is_decided_afresh_with_its_own_content(void **unused) {
    (void)unused;
    struct pay_record first = a_record(5, "o-1", 1, "alice", 300, "EUR"),
                      second = a_record(9, "o-1", 2, "bob", 50, "EUR");
    struct pay_decision stored = a_decision(&first, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS);
    struct pay_account account = an_account("bob", 1000);
    struct pay_answer answer;
    assert_int_equal(pay_decide(&second, &stored, &account, NOW_US, &answer), PAY_VERDICT_DECIDED);
    assert_int_equal(answer.outcome, PAY_PAID);
    assert_int_equal(answer.decision.attempt, 2);
    assert_int_equal(account.balance_minor, 950);
}

static void a_lower_attempt_that_is_paid_stops_every_later_attempt_with_already_paid(void **unused) {
    (void)unused;
    struct pay_record first = a_record(5, "o-1", 1, "alice", 300, "EUR"),
                      second = a_record(6, "o-1", 2, "alice", 300, "EUR");
    struct pay_decision paid = a_decision(&second, PAY_PAID, PAY_REASON_NONE);
    struct pay_decision declined = a_decision(&first, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS);
    paid.next = &declined;
    for (int32_t attempt = 3; attempt <= PAY_ATTEMPT_MAX; attempt++) {
        struct pay_record late = a_record(9, "o-1", attempt, "alice", 300, "EUR");
        struct pay_account account = an_account("alice", 1000), before = account;
        struct pay_answer answer;
        assert_int_equal(pay_decide(&late, &paid, &account, NOW_US, &answer), PAY_VERDICT_STORED);
        assert_int_equal(answer.outcome, PAY_CONFLICT);
        assert_int_equal(answer.reason, PAY_ALREADY_PAID);
        assert_false(answer.duplicate);
        assert_same_decision(&answer.decision, &paid);
        assert_null(answer.decision.next);
        assert_true(answer.decided_at_us == paid.decided_at_us);
        untouched(&account, &before);
    }
}

static void a_late_retry_of_an_earlier_attempt_gets_that_attempts_answer(void **unused) {
    (void)unused;
    struct pay_record first = a_record(5, "o-1", 1, "alice", 300, "EUR"),
                      second = a_record(6, "o-1", 2, "alice", 300, "EUR");
    struct pay_record late = a_record(9, "o-1", 1, "alice", 300, "EUR");
    struct pay_decision declined = a_decision(&first, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS);
    struct pay_decision paid = a_decision(&second, PAY_PAID, PAY_REASON_NONE);
    paid.next = &declined;
    struct pay_account account = an_account("alice", 1000), before = account;
    struct pay_answer answer;
    assert_int_equal(pay_decide(&late, &paid, &account, NOW_US, &answer), PAY_VERDICT_STORED);
    assert_int_equal(answer.outcome, PAY_DECLINED);
    assert_true(answer.duplicate);
    assert_same_decision(&answer.decision, &declined);
    untouched(&account, &before);
}

static void an_attempt_whose_predecessor_is_not_on_file_is_refused_out_of_sequence(void **unused) {
    (void)unused;
    struct pay_record first = a_record(5, "o-1", 1, "alice", 300, "EUR");
    struct pay_decision declined = a_decision(&first, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS);
    const struct {
        const struct pay_decision *known;
        int32_t attempt;
    } cases[] = {{NULL, 2}, {NULL, 99}, {&declined, 3}, {&declined, 99}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pay_record early = a_record(9, "o-1", cases[i].attempt, "alice", 300, "EUR");
        struct pay_account account = an_account("alice", 1000), before = account;
        struct pay_answer answer;
        assert_int_equal(pay_decide(&early, cases[i].known, &account, NOW_US, &answer), PAY_VERDICT_REFUSED);
        assert_int_equal(answer.outcome, PAY_INVALID);
        assert_int_equal(answer.reason, PAY_ATTEMPT_OUT_OF_SEQUENCE);
        assert_int_equal(answer.field, PAY_FIELD_NONE);
        assert_false(answer.has_decision);
        assert_true(answer.decided_at_us == NOW_US);
        untouched(&account, &before);
    }
}

static void a_refused_attempt_may_be_decided_later(void **unused) {
    (void)unused;
    struct pay_record first = a_record(5, "o-1", 1, "alice", 300, "EUR"),
                      copy = a_record(10, "o-1", 2, "alice", 300, "EUR");
    struct pay_decision declined = a_decision(&first, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS);
    struct pay_account account = an_account("alice", 1000);
    struct pay_answer answer;
    assert_int_equal(pay_decide(&copy, NULL, &account, NOW_US, &answer), PAY_VERDICT_REFUSED);
    assert_int_equal(pay_decide(&copy, &declined, &account, NOW_US, &answer), PAY_VERDICT_DECIDED);
    assert_int_equal(answer.outcome, PAY_PAID);
}

/* --- row 8: not a valid request --- */

static void bytes_that_are_no_request_are_refused_with_their_reason_and_field(void **unused) {
    (void)unused;
    for (int reason = PAY_TOO_LARGE; reason <= PAY_KEY_MISMATCH; reason++)
        for (int field = PAY_FIELD_NONE; field < PAY_FIELD_COUNT; field++) {
            struct pay_record record = an_invalid_record(5, (enum pay_reason)reason, (enum pay_field)field);
            struct pay_account account = an_account("", 1000), before = account;
            struct pay_answer answer;
            assert_int_equal(pay_decide(&record, NULL, &account, NOW_US, &answer), PAY_VERDICT_REFUSED);
            assert_int_equal(answer.outcome, PAY_INVALID);
            assert_int_equal(answer.reason, reason);
            assert_int_equal(answer.field, field);
            assert_false(answer.has_decision);
            assert_false(answer.duplicate);
            assert_true(answer.decided_at_us == NOW_US);
            untouched(&account, &before);
        }
}

/* --- the order of judgement, and totality --- */

static void judged_in_order_bytes_identity_already_paid_sequence_first_sight(void **unused) {
    (void)unused;
    struct pay_record one = a_record(1, "o-1", 1, "alice", 300, "EUR"),
                      four = a_record(4, "o-1", 4, "alice", 300, "EUR");
    struct pay_decision stored_4 = a_decision(&four, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS);
    struct pay_decision paid_1 = a_decision(&one, PAY_PAID, PAY_REASON_NONE);
    struct pay_account account = an_account("alice", 1000);
    struct pay_answer answer;
    paid_1.next = &stored_4; /* an impossible file, but it shows the order */
    struct pay_record again = a_record(9, "o-1", 4, "alice", 300, "EUR");
    pay_decide(&again, &paid_1, &account, NOW_US, &answer);
    assert_int_equal(answer.reason, PAY_INSUFFICIENT_FUNDS); /* identity before already_paid */
    again.request.attempt = 6;
    pay_decide(&again, &paid_1, &account, NOW_US, &answer);
    assert_int_equal(answer.reason, PAY_ALREADY_PAID); /* already_paid before out of sequence */
    again.invalid = PAY_BAD_TENANT;
    pay_decide(&again, &paid_1, &account, NOW_US, &answer);
    assert_int_equal(answer.reason, PAY_BAD_TENANT); /* bytes before everything */
}

/* What the table says, written down independently: which of its rows a request with these attempts on file falls into. */
static enum pay_verdict row_of_the_table(int32_t attempt, const enum pay_outcome *on_file, int count,
                                         enum pay_reason *reason) {
    *reason = PAY_REASON_NONE;
    if (attempt <= count) return PAY_VERDICT_STORED;
    for (int i = 0; i < count; i++)
        if (on_file[i] == PAY_PAID) {
            *reason = PAY_ALREADY_PAID;
            return PAY_VERDICT_STORED;
        }
    if (attempt == count + 1) return PAY_VERDICT_DECIDED;
    *reason = PAY_ATTEMPT_OUT_OF_SEQUENCE;
    return PAY_VERDICT_REFUSED;
}

static void every_history_of_an_order_gives_exactly_the_verdict_of_the_table(void **unused) {
    (void)unused;
    for (int count = 0; count <= 6; count++)
        for (unsigned paid = 0; paid < 1u << count; paid++)
            for (int32_t attempt = 1; attempt <= 8; attempt++) {
                struct pay_decision file[6];
                enum pay_outcome outcomes[6];
                for (int i = 0; i < count; i++) {
                    struct pay_record record = a_record(i, "o-1", i + 1, "alice", 300, "EUR");
                    outcomes[i] = paid >> i & 1 ? PAY_PAID : PAY_DECLINED;
                    file[i] = a_decision(&record, outcomes[i],
                                         outcomes[i] == PAY_PAID ? PAY_REASON_NONE : PAY_INSUFFICIENT_FUNDS);
                    file[i].next = i > 0 ? &file[i - 1] : NULL;
                }
                struct pay_record record = a_record(50, "o-1", attempt, "alice", 300, "EUR");
                struct pay_account account = an_account("alice", 1000);
                struct pay_answer answer;
                enum pay_reason reason;
                enum pay_verdict expected = row_of_the_table(attempt, outcomes, count, &reason);
                assert_int_equal(pay_decide(&record, count > 0 ? &file[count - 1] : NULL, &account, NOW_US, &answer),
                                 expected);
                if (reason != PAY_REASON_NONE) assert_int_equal(answer.reason, reason);
                assert_int_equal(account.balance_minor, expected == PAY_VERDICT_DECIDED ? 700 : 1000);
                assert_int_equal(account.changed, expected == PAY_VERDICT_DECIDED);
            }
}

static void the_attempt_is_found_wherever_it_stands_on_file(void **unused) {
    (void)unused;
    struct pay_record record = a_record(0, "o-1", 1, "alice", 300, "EUR");
    struct pay_decision file[3];
    for (int i = 0; i < 3; i++) {
        record.request.attempt = i + 1;
        file[i] =
            a_decision(&record, i == 2 ? PAY_PAID : PAY_DECLINED, i == 2 ? PAY_REASON_NONE : PAY_INSUFFICIENT_FUNDS);
    }
    file[2].next = &file[0];
    file[0].next = &file[1];
    for (int32_t attempt = 1; attempt <= 3; attempt++)
        assert_ptr_equal(pay_known_attempt(&file[2], attempt), &file[attempt - 1]);
    assert_null(pay_known_attempt(&file[2], 4));
    assert_null(pay_known_attempt(NULL, 1));
    assert_null(pay_known_paid_below(&file[2], 3));
    assert_ptr_equal(pay_known_paid_below(&file[2], 4), &file[2]);
    assert_null(pay_known_paid_below(NULL, 4));
}

static void a_decision_gives_back_the_record_that_it_was_made_of(void **unused) {
    (void)unused;
    struct pay_record record = a_record(9, "o-1", 2, "alice", 300, "EUR"), back;
    struct pay_decision decision = a_decision(&record, PAY_PAID, PAY_REASON_NONE);
    struct pay_answer answer;
    memset(&back, 0x5a, sizeof back);
    pay_record_from_decision(record.tenant, "o-1", &decision, &back);
    assert_int_equal(back.invalid, PAY_REASON_NONE);
    assert_true(pay_position_equal(&back.position, &record.position));
    assert_string_equal(back.tenant, record.tenant);
    assert_string_equal(back.key, "o-1");
    assert_string_equal(back.request.tenant, record.request.tenant);
    assert_string_equal(back.request.order_id, "o-1");
    assert_string_equal(back.request.account_id, "alice");
    assert_string_equal(back.request.currency, "EUR");
    assert_int_equal(back.request.attempt, 2);
    assert_int_equal(back.request.amount_minor, 300);
    assert_null(back.request.metadata);
    assert_null(back.traceparent);
    pay_answer_from_decision(&back, &decision, &answer);
    assert_int_equal(answer.outcome, PAY_PAID);
    assert_false(answer.duplicate);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_sight_with_enough_funds_is_paid_and_debited),
        cmocka_unit_test(a_new_decision_carries_content_balance_version_position_and_time),
        cmocka_unit_test(too_little_money_declines_with_insufficient_funds),
        cmocka_unit_test(a_missing_account_declines_with_unknown_account_and_neither_balance_nor_version),
        cmocka_unit_test(another_currency_declines_with_currency_mismatch),
        cmocka_unit_test(a_frozen_account_declines_with_account_frozen),
        cmocka_unit_test(a_closed_account_declines_with_account_closed),
        cmocka_unit_test(declines_are_judged_in_order_closed_frozen_currency_funds),
        cmocka_unit_test(every_decision_that_saw_an_account_takes_its_next_version_declines_included),
        cmocka_unit_test(paid_may_reach_the_floor_but_never_go_below_it),
        cmocka_unit_test(a_debit_that_would_overflow_is_declined),
        cmocka_unit_test(the_largest_amount_from_the_largest_balance_is_paid),
        cmocka_unit_test(the_same_fields_again_get_the_stored_payment_as_a_duplicate),
        cmocka_unit_test(the_same_fields_again_get_the_stored_decline_even_when_money_has_come),
        cmocka_unit_test(duplicate_is_false_exactly_at_the_decisions_own_position),
        cmocka_unit_test(other_fields_are_a_conflict_that_names_the_first_difference),
        cmocka_unit_test(a_conflict_with_a_decline_is_a_conflict_too),
        cmocka_unit_test(an_attempt_after_a_declined_one_is_decided_afresh_with_its_own_content),
        cmocka_unit_test(a_lower_attempt_that_is_paid_stops_every_later_attempt_with_already_paid),
        cmocka_unit_test(a_late_retry_of_an_earlier_attempt_gets_that_attempts_answer),
        cmocka_unit_test(an_attempt_whose_predecessor_is_not_on_file_is_refused_out_of_sequence),
        cmocka_unit_test(a_refused_attempt_may_be_decided_later),
        cmocka_unit_test(bytes_that_are_no_request_are_refused_with_their_reason_and_field),
        cmocka_unit_test(judged_in_order_bytes_identity_already_paid_sequence_first_sight),
        cmocka_unit_test(every_history_of_an_order_gives_exactly_the_verdict_of_the_table),
        cmocka_unit_test(the_attempt_is_found_wherever_it_stands_on_file),
        cmocka_unit_test(a_decision_gives_back_the_record_that_it_was_made_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
