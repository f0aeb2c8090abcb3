/* Decisions lived again: an untouched life has no difference, and what was changed in a row is named, that field and no other. */
#include "unit.h"

#include "tools/replay_life.h"
#include "tools/replay_select.h"

static struct replay_life life;
static char found[16][64]; /* "field stored>replayed" */
static size_t found_count;

static void note(void *argument, const struct replay_difference *difference) {
    (void)argument;
    assert_true(found_count < 16);
    snprintf(found[found_count++], sizeof found[0], "%.20s %.20s>%.20s", difference->field, difference->stored,
             difference->replayed);
}

static void begin(void) {
    found_count = 0;
    replay_life_begin(&life, note, NULL);
}

static void event(int64_t version, const char *kind, int64_t amount_minor) {
    replay_life_event(&life, &(struct book_event){.tenant = "default",
                                                  .account_id = "alice",
                                                  .version = version,
                                                  .kind = kind,
                                                  .amount_minor = amount_minor,
                                                  .currency = "EUR",
                                                  .id = "x"});
}

static struct replay_case stored_case(int64_t version, int64_t amount_minor, enum pay_outcome outcome,
                                      enum pay_reason reason, int64_t balance_after_minor) {
    return (struct replay_case){.record = {.position = {1, 0, version},
                                           .tenant = "default",
                                           .request = {.tenant = "default",
                                                       .order_id = "o",
                                                       .account_id = "alice",
                                                       .currency = "EUR",
                                                       .attempt = 1,
                                                       .amount_minor = amount_minor}},
                                .has_stored = true,
                                .stored = {.attempt = 1,
                                           .account_id = "alice",
                                           .currency = "EUR",
                                           .amount_minor = amount_minor,
                                           .outcome = outcome,
                                           .reason = reason,
                                           .has_account = true,
                                           .balance_after_minor = balance_after_minor,
                                           .account_version = version,
                                           .position = {1, 0, version}}};
}

static void decide(struct replay_case one) { replay_life_case(&life, &one); }

/* Opened with 1000; paid 600; a decline of 500. */
static void open_alice(void) {
    begin();
    event(0, "active", 0);
    event(1, "open", 1000);
}

static void a_life_that_nobody_touched_has_no_difference(void **state) {
    (void)state;
    open_alice();
    decide(stored_case(2, 600, PAY_PAID, PAY_REASON_NONE, 400));
    decide(stored_case(3, 500, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS, 400));
    event(4, "credit", 200);
    event(5, "freeze", 0);
    decide(stored_case(6, 1, PAY_DECLINED, PAY_ACCOUNT_FROZEN, 600));
    assert_int_equal(found_count, 0);
    assert_int_equal(life.decided, 3);
}

static void the_row_of_a_case_is_passed_over_and_any_other_counts(void **state) {
    (void)state;
    open_alice();
    decide(stored_case(2, 600, PAY_PAID, PAY_REASON_NONE, 400));
    replay_life_event(&life, &(struct book_event){.tenant = "default",
                                                  .account_id = "alice",
                                                  .version = 2,
                                                  .kind = "paid",
                                                  .amount_minor = 600,
                                                  .currency = "EUR",
                                                  .id = "o#1",
                                                  .position = {1, 0, 2}});
    decide(stored_case(3, 100, PAY_PAID, PAY_REASON_NONE, 300));
    event(4, "paid", 250); /* not selected: as the row has it */
    decide(stored_case(5, 51, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS, 50));
    assert_int_equal(found_count, 0);
}

static void each_edited_field_is_named_and_no_other(void **state) {
    (void)state;
    const struct replay_case good = stored_case(2, 600, PAY_PAID, PAY_REASON_NONE, 400);
    struct replay_case edited = good;
    open_alice();
    edited.stored.amount_minor = 601;
    decide(edited);
    assert_int_equal(found_count, 1);
    assert_string_equal(found[0], "amount_minor 601>600");
    open_alice();
    edited = good;
    edited.stored.balance_after_minor = 399;
    decide(edited);
    decide(stored_case(3, 100, PAY_PAID, PAY_REASON_NONE, 300)); /* the money goes on as decided */
    assert_int_equal(found_count, 1);
    assert_string_equal(found[0], "balance_after_minor 399>400");
    open_alice();
    edited = good;
    memcpy(edited.stored.currency, "USD", 4);
    decide(edited);
    assert_int_equal(found_count, 1);
    assert_string_equal(found[0], "currency USD>EUR");
    open_alice();
    edited = good;
    strcpy(edited.stored.account_id, "bob");
    decide(edited);
    assert_int_equal(found_count, 1);
    assert_string_equal(found[0], "account_id bob>alice");
    open_alice();
    edited = good;
    edited.stored.outcome = PAY_DECLINED;
    edited.stored.reason = PAY_ACCOUNT_CLOSED;
    decide(edited);
    assert_int_equal(found_count, 2);
    assert_string_equal(found[0], "outcome declined>paid");
    assert_string_equal(found[1], "reason account_closed>-");
    assert_int_equal(life.differing, 1);
}

static void money_that_was_never_there_changes_what_comes_behind(void **state) {
    (void)state;
    begin();
    event(0, "active", 0);
    event(1, "open", 500); /* the row said 1000 once */
    decide(stored_case(2, 600, PAY_PAID, PAY_REASON_NONE, 400));
    decide(stored_case(3, 300, PAY_PAID, PAY_REASON_NONE, 100));
    assert_int_equal(life.differing, 2);
    assert_string_equal(found[0], "outcome paid>declined");
    assert_string_equal(found[1], "reason ->insufficient_funds");
    assert_string_equal(found[2], "balance_after_minor 400>500");
    assert_string_equal(found[3], "balance_after_minor 100>200");
    assert_int_equal(found_count, 4);
}

static void missing_rows_are_told_once_and_not_with_every_later_one(void **state) {
    (void)state;
    open_alice();
    decide(stored_case(3, 100, PAY_PAID, PAY_REASON_NONE, 300)); /* version 2 paid 600 and is gone */
    decide(stored_case(4, 100, PAY_PAID, PAY_REASON_NONE, 200));
    assert_int_equal(found_count, 1);
    assert_string_equal(found[0], "account_version 3>2");
}

static void what_is_on_no_file_is_decided_now(void **state) {
    (void)state;
    struct replay_case fresh = stored_case(9, 600, PAY_PAID, PAY_REASON_NONE, 0);
    fresh.has_stored = false;
    open_alice();
    decide(fresh);
    assert_string_equal(found[0], "decision ->would be paid now");
    fresh.record.request.amount_minor = 401;
    decide(fresh);
    assert_string_equal(found[1], "decision ->insufficient_funds");
    strcpy(fresh.record.request.account_id, "nobody");
    decide(fresh);
    assert_string_equal(found[2], "decision ->unknown_account");
}

static void a_lower_attempt_that_was_paid_stops_a_later_one(void **state) {
    (void)state;
    struct replay_case second = stored_case(2, 600, PAY_PAID, PAY_REASON_NONE, 400);
    second.record.request.attempt = second.stored.attempt = 2;
    second.lower_count = 1;
    second.lower[0] = (struct pay_decision){.attempt = 1, .outcome = PAY_DECLINED};
    open_alice();
    decide(second);
    assert_int_equal(found_count, 0);
    second.lower[0].outcome = PAY_PAID;
    open_alice();
    decide(second);
    assert_string_equal(found[0], "outcome paid>conflict");
    assert_string_equal(found[1], "reason ->already_paid");
}

/* ---- selection ---- */

static void every_filter_leaves_out_what_isnt_asked_for(void **state) {
    (void)state;
    struct pay_record record = stored_case(5, 1, PAY_PAID, PAY_REASON_NONE, 0).record;
    struct pay_answer paid = {.outcome = PAY_PAID};
    struct replay_selection selection;
    record.timestamp_ms = 1000;
#define SELECTED(change) (replay_select_all(&selection), (void)(change), replay_selected(&selection, &record, &paid))
    assert_true(SELECTED(0));
    assert_true(SELECTED(selection.partition = 0));
    assert_false(SELECTED(selection.partition = 1));
    assert_true(SELECTED(selection.from_offset = 5));
    assert_false(SELECTED(selection.from_offset = 6));
    assert_true(SELECTED(selection.to_offset = 5));
    assert_false(SELECTED(selection.to_offset = 4));
    assert_true(SELECTED(selection.since_ms = 1000));
    assert_false(SELECTED(selection.since_ms = 1001));
    assert_false(SELECTED(selection.until_ms = 1000));
    assert_true(SELECTED(selection.until_ms = 1001));
    assert_true(SELECTED(selection.order_id = "o"));
    assert_false(SELECTED(selection.order_id = "p"));
    assert_true(SELECTED(selection.account_id = "alice"));
    assert_false(SELECTED(selection.account_id = "bob"));
    assert_true(SELECTED(selection.tenant = "default"));
    assert_false(SELECTED(selection.tenant = "shop"));
    assert_true(SELECTED(selection.outcome = PAY_PAID));
    assert_false(SELECTED(selection.outcome = PAY_DECLINED));
    record.invalid = PAY_MALFORMED_JSON; /* no request: no order, no account */
    assert_false(SELECTED(selection.order_id = "o"));
    assert_true(SELECTED(0));
    replay_select_all(&selection);
    selection.outcome = PAY_PAID;
    assert_false(replay_selected(&selection, &record, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_that_nobody_touched_has_no_difference),
        cmocka_unit_test(the_row_of_a_case_is_passed_over_and_any_other_counts),
        cmocka_unit_test(each_edited_field_is_named_and_no_other),
        cmocka_unit_test(money_that_was_never_there_changes_what_comes_behind),
        cmocka_unit_test(missing_rows_are_told_once_and_not_with_every_later_one),
        cmocka_unit_test(what_is_on_no_file_is_decided_now),
        cmocka_unit_test(a_lower_attempt_that_was_paid_stops_a_later_one),
        cmocka_unit_test(every_filter_leaves_out_what_isnt_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
