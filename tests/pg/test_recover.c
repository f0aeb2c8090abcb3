/* The statements of `paybuf recover`: nobody comes in between, nothing is written twice, and what was looked at must still be so. */
#include "tests/pg/pg_test.h"

#include "sql/pay_sql.h"

static const uint8_t recover_owner[PAY_OWNER_SIZE] = "recover";

static enum pay_move run(struct pay_pg *pg, const char *statement, const struct pay_pg_args *args, char code[32]) {
    struct pay_error error = {.move = PAY_OK};
    enum pay_move move = pay_pg_exec(pg, statement, args, NULL, NULL, NULL, &error);
    if (code != NULL) memcpy(code, error.code, sizeof error.code);
    if (code == NULL) assert_move(PAY_OK, &error);
    return move;
}

static void take_lanes(struct pay_pg *pg) {
    struct pay_pg_args args;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, TOPIC);
    pay_pg_args_bytea(&args, recover_owner, sizeof recover_owner);
    run(pg, pay_sql_recover_halt, NULL, NULL);
    run(pg, pay_sql_recover_take_lanes, &args, NULL);
}

static void stage(void) {
    struct pay_error error = {.move = PAY_OK};
    pay_pg_script(books, pay_sql_recover_stage, &error);
    assert_move(PAY_OK, &error);
}

static void prepare(void) {
    struct pay_error error = {.move = PAY_OK};
    pay_pg_script(books, pay_sql_recover_prepare, &error);
    assert_move(PAY_OK, &error);
}

static enum pay_move run_batch(const char *statement, char code[32]) {
    struct pay_pg_args args;
    pay_pg_args_begin(&args);
    pay_pg_args_int4(&args, 1);
    return run(books, statement, &args, code);
}

static void test_a_settle_that_waits_while_recover_takes_the_lanes_writes_nothing(void **state) {
    (void)state;
    struct session *session = session_open("worker");
    session_claim(session, 0);
    open_account("a", 100);
    add_record(session, 0, "o-1", 1, "a", 10);
    sql(books, "BEGIN");
    take_lanes(books);
    assert_int_equal(PAY_OK, begin_settle(session));
    /* Its fence waits for the lane's lock, with a ledger that wasn't halted when it looked. */
    session->ledger->ops->settle_poll(session->ledger, &session->decided_at_us, &session->error);
    until(watcher, "SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND wait_event_type = 'Lock'",
          session_backend(session));
    sql(books, "COMMIT");
    assert_int_equal(PAY_SETTLE_FAILED, wait_settle(session));
    assert_int_equal(PAY_FENCED, session->error.move);
    assert_int_equal(0, sql_number(books, "SELECT count(*) FROM paybuf.payment"));
    assert_int_equal(0, sql_number(books, "SELECT next_offset FROM paybuf.processed_offset WHERE partition = 0"));
    session_close(session);
}

static void test_a_session_that_claims_while_the_ledger_is_halted_settles_nothing(void **state) {
    (void)state;
    struct session *session = session_open("worker");
    open_account("a", 100);
    take_lanes(books);
    session_claim(session, 0);
    add_record(session, 0, "o-1", 1, "a", 10);
    assert_int_equal(PAY_SETTLE_FAILED, settle(session));
    assert_int_equal(PAY_HALTED, session->error.move);
    assert_int_equal(0, sql_number(books, "SELECT count(*) FROM paybuf.payment"));
    session_close(session);
}

static void test_the_age_of_the_database_is_kept_when_the_lanes_are_taken(void **state) {
    (void)state;
    sql(books, "UPDATE paybuf.processed_offset SET updated_at = '2026-01-01T00:00:00Z'");
    take_lanes(books);
    assert_int_equal(PARTITIONS, sql_number(books, "SELECT count(*) FROM paybuf.processed_offset WHERE updated_at = "
                                                   "'2026-01-01T00:00:00Z' AND owner_epoch = 1"));
    assert_string_equal("database_rolled_back", sql_text(books, "SELECT halted_reason FROM paybuf.ledger"));
}

static void told(const char *order, int attempt, const char *outcome, int64_t balance, int64_t version, int64_t offset,
                 bool first_hand) {
    sql(books,
        "INSERT INTO pg_temp.recover_told VALUES ('t', '%s', %d, 'a', 'EUR', 10, '%s', NULL, %lld, %lld, 1, 0, %lld, "
        "'2026-01-01T00:00:00Z', %s)",
        order, attempt, outcome, (long long)balance, (long long)version, (long long)offset,
        first_hand ? "true" : "false");
}

static void test_a_decision_told_by_itself_and_by_duplicates_is_one_and_its_own_reply_counts(void **state) {
    (void)state;
    stage();
    told("o-1", 1, "paid", 90, 2, 7, false);
    told("o-1", 1, "paid", 90, 2, 5, true);
    prepare();
    assert_int_equal(1, sql_number(books, "SELECT count(*) FROM pg_temp.recover_event"));
    assert_int_equal(5, sql_number(books, "SELECT src_offset FROM pg_temp.recover_event"));
}

static void test_what_is_on_file_is_known_and_what_is_otherwise_differs(void **state) {
    (void)state;
    open_account("a", 100);
    sql(books, "INSERT INTO paybuf.payment VALUES ('t', 'o-1', 1, 'a', 'EUR', 10, 'paid', NULL, 90, 2, 1, 0, 5, "
               "'2026-01-01T00:00:00Z'),"
               " ('t', 'o-2', 1, 'a', 'EUR', 10, 'paid', NULL, 81, 3, 1, 0, 6, '2026-01-01T00:00:00Z')");
    stage();
    told("o-1", 1, "paid", 90, 2, 5, true);
    told("o-2", 1, "paid", 80, 3, 6, true);
    told("o-3", 1, "paid", 70, 4, 7, true);
    prepare();
    assert_string_equal("o-1:f o-2:t",
                        sql_text(books, "SELECT string_agg(order_id || ':' || left(differs::text, 1), ' ' ORDER BY "
                                        "order_id) FROM pg_temp.recover_event WHERE on_file"));
}

static void tail(const char *order, int attempt, int64_t offset) {
    sql(books, "INSERT INTO pg_temp.recover_tail VALUES ('t', '%s', %d, 'a', 'EUR', 10, 1, 0, %lld, 0)", order, attempt,
        (long long)offset);
}

static void test_only_requests_that_would_be_decided_afresh_can_have_been_untold(void **state) {
    (void)state;
    open_account("a", 100);
    sql(books,
        "INSERT INTO paybuf.payment VALUES ('t', 'known', 1, 'a', 'EUR', 10, 'paid', NULL, 90, 2, 1, 0, 5, now()),"
        " ('t', 'declined', 1, 'a', 'EUR', 999, 'declined', 'insufficient_funds', 90, 3, 1, 0, 6, now())");
    stage();
    told("told", 1, "paid", 80, 4, 7, true);
    tail("known", 1, 10);    /* a duplicate */
    tail("known", 2, 11);    /* conflict: paid before */
    tail("told", 1, 12);     /* a duplicate of what was told */
    tail("declined", 2, 13); /* decided */
    tail("early", 2, 14);    /* out of sequence */
    tail("fresh", 1, 15);    /* decided */
    tail("fresh", 1, 16);    /* its duplicate */
    prepare();
    assert_string_equal("declined#2@13 fresh#1@15",
                        sql_text(books, "SELECT string_agg(order_id || '#' || attempt || '@' || src_offset, ' ' ORDER "
                                        "BY src_offset) FROM pg_temp.recover_untold"));
}

static void plan_account(int64_t version_before, int64_t balance, int64_t version, int64_t later_moves_by) {
    sql(books,
        "INSERT INTO pg_temp.recover_account VALUES ('t', 'a', 1, true, 'EUR', %lld, %lld, 0, 'active', %lld, %lld)",
        (long long)version_before, (long long)balance, (long long)version, (long long)later_moves_by);
}

static void test_an_account_that_changed_after_it_was_looked_at_stops_its_batch(void **state) {
    (void)state;
    char code[32];
    open_account("a", 100);
    stage();
    prepare();
    plan_account(1, 90, 2, 0);
    assert_int_equal(PAY_OK, run_batch(pay_sql_recover_lock_accounts, code));
    sql(books, "UPDATE paybuf.account SET version = 2, balance_minor = 99");
    run_batch(pay_sql_recover_lock_accounts, code);
    assert_string_equal("PB001", code);
}

static void test_a_batch_writes_payments_adjustments_and_accounts_so_that_the_books_balance(void **state) {
    (void)state;
    open_account("a", 100);
    sql(books, "INSERT INTO paybuf.adjustment (tenant, adjustment_id, account_id, kind, amount_minor, account_version) "
               "VALUES ('t', 'later', 'a', 'credit', 7, 2)");
    sql(books, "UPDATE paybuf.account SET version = 2, balance_minor = 107");
    stage();
    told("o-1", 1, "paid", 140, 3, 5, true);
    prepare();
    assert_int_equal(1, sql_number(books, "SELECT count(*) FROM pg_temp.recover_later"));
    sql(books, "INSERT INTO pg_temp.recover_filler VALUES ('t', 'a', 2, 'credit', 50, 'lost')");
    plan_account(2, 147, 4, 2);
    run_batch(pay_sql_recover_lock_accounts, NULL);
    run_batch(pay_sql_recover_write_payments, NULL);
    run_batch(pay_sql_recover_move_later, NULL);
    run_batch(pay_sql_recover_write_fillers, NULL);
    run_batch(pay_sql_recover_write_accounts, NULL);
    assert_int_equal(4,
                     sql_number(books, "SELECT account_version FROM paybuf.adjustment WHERE adjustment_id = 'later'"));
    assert_int_equal(
        2, sql_number(books, "SELECT account_version FROM paybuf.adjustment WHERE adjustment_id = 'recover:a:2'"));
    assert_books_balance();
}

static enum pay_move set_lane(int64_t generation, int64_t processed, int64_t epoch, char code[32]) {
    struct pay_pg_args args;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, TOPIC);
    pay_pg_args_int4(&args, 3);
    pay_pg_args_bytea(&args, recover_owner, sizeof recover_owner);
    pay_pg_args_int8(&args, generation);
    pay_pg_args_int8(&args, processed);
    pay_pg_args_int8(&args, epoch);
    pay_pg_args_int8(&args, generation + 1);
    pay_pg_args_int8(&args, 40);
    pay_pg_args_int8(&args, 0);
    pay_pg_args_int8(&args, 12);
    for (int i = 0; i < 3; i++) pay_pg_args_null(&args);
    return run(books, pay_sql_recover_set_lane, &args, code);
}

static void test_a_lane_is_opened_only_as_it_was_looked_at_and_no_other_one(void **state) {
    (void)state;
    char code[32];
    sql(books, "UPDATE paybuf.processed_offset SET next_offset = 20, replied_offset = 20, owner_epoch = 5, "
               "halted_reason = 'requests_lost' WHERE partition = 3");
    set_lane(1, 19, 5, code);
    assert_string_equal("PB001", code);
    set_lane(1, 20, 4, code);
    assert_string_equal("PB001", code);
    set_lane(2, 20, 5, code);
    assert_string_equal("PB001", code);
    assert_int_equal(PAY_OK, set_lane(1, 20, 5, code));
    assert_string_equal(
        "2 40 0 12 6",
        sql_text(books,
                 "SELECT concat_ws(' ', log_generation, next_offset, replied_offset, reply_position, owner_epoch) "
                 "FROM paybuf.processed_offset WHERE partition = 3 AND halted_reason IS NULL"));
    assert_int_equal(
        PARTITIONS - 1,
        sql_number(books, "SELECT count(*) FROM paybuf.processed_offset WHERE log_generation = 1 AND owner_epoch = 0"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_settle_that_waits_while_recover_takes_the_lanes_writes_nothing, books_reset),
        cmocka_unit_test_setup(test_a_session_that_claims_while_the_ledger_is_halted_settles_nothing, books_reset),
        cmocka_unit_test_setup(test_the_age_of_the_database_is_kept_when_the_lanes_are_taken, books_reset),
        cmocka_unit_test_setup(test_a_decision_told_by_itself_and_by_duplicates_is_one_and_its_own_reply_counts,
                               books_reset),
        cmocka_unit_test_setup(test_what_is_on_file_is_known_and_what_is_otherwise_differs, books_reset),
        cmocka_unit_test_setup(test_only_requests_that_would_be_decided_afresh_can_have_been_untold, books_reset),
        cmocka_unit_test_setup(test_an_account_that_changed_after_it_was_looked_at_stops_its_batch, books_reset),
        cmocka_unit_test_setup(test_a_batch_writes_payments_adjustments_and_accounts_so_that_the_books_balance,
                               books_reset),
        cmocka_unit_test_setup(test_a_lane_is_opened_only_as_it_was_looked_at_and_no_other_one, books_reset),
    };
    return cmocka_run_group_tests(tests, books_open, books_close);
}
