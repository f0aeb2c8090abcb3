/*
 * The fakes keep their own promises: locks, transactions, connections - and the script is one line of text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench.h"
#include "fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_settle_appears_at_its_commit_and_not_before(void **state) {
    struct bench *bench = *state;
    bench_claim(bench, 0);
    bench_add_payment(bench, 0, "o-1", "alice");
    bench_begin_settle(bench, 0);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_WAITING);
    bench_pass(bench, 2);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_READ);
    assert_int_equal(bench_write_settle(bench, 0), PAY_OK);
    assert_int_equal(bench->database.tables.payment_count, 0);
    bench_pass(bench, 2);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_COMMITTED);
    assert_int_equal(bench->database.tables.payment_count, 1);
    assert_int_equal(fake_database_account(&bench->database, "default", "alice")->balance_minor, 90);
    assert_int_equal(fake_database_lane(&bench->database, 0)->row.next_offset, 1);
    assert_int_equal(bench->database.complaints.count, 0);
}

static void a_second_settle_waits_for_the_account_and_reads_it_anew(void **state) {
    struct bench *bench = *state;
    for (uint32_t i = 0; i < 2; i++) bench_claim(bench, i);
    bench_add_payment(bench, 0, "o-1", "alice");
    bench_add_payment(bench, 1, "o-2", "alice");
    bench_begin_settle(bench, 0);
    bench_pass(bench, 2);
    bench_begin_settle(bench, 1);
    bench_pass(bench, 20);
    assert_int_equal(bench_poll_settle(bench, 1), PAY_SETTLE_WAITING);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_READ);
    bench_write_settle(bench, 0);
    bench_pass(bench, 2);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_COMMITTED);
    bench_pass(bench, 2);
    assert_int_equal(bench_poll_settle(bench, 1), PAY_SETTLE_READ);
    bench_write_settle(bench, 1);
    bench_pass(bench, 2);
    assert_int_equal(bench_poll_settle(bench, 1), PAY_SETTLE_COMMITTED);
    assert_int_equal(fake_database_account(&bench->database, "default", "alice")->balance_minor, 80);
    assert_int_equal(fake_database_account(&bench->database, "default", "alice")->version, 3);
}

static void a_circle_of_waits_ends_in_a_redo(void **state) {
    struct bench *bench = *state;
    for (uint32_t i = 0; i < 2; i++) bench_claim(bench, i);
    for (uint32_t i = 0; i < 2; i++) {
        bench_add_payment(bench, i, i == 0 ? "o-1" : "o-2", "alice");
        bench_add_payment(bench, i, i == 0 ? "o-3" : "o-4", "bob");
    }
    bench_begin_settle(bench, 0);
    bench_begin_settle(bench, 1);
    struct fake_transaction *wrong =
        &bench->ledgers[1]->connection->transaction; /* as if a caller had forgotten to sort */
    struct fake_key first = wrong->account_keys[0];
    wrong->account_keys[0] = wrong->account_keys[1];
    wrong->account_keys[1] = first;
    bench->database.account_locks[0] = bench->ledgers[0]->connection->id; /* one step each before the other's */
    bench->database.account_locks[1] = bench->ledgers[1]->connection->id;
    bench_pass(bench, 3);
    enum pay_settle_state a = bench_poll_settle(bench, 0), b = bench_poll_settle(bench, 1);
    assert_true((a == PAY_SETTLE_FAILED) != (b == PAY_SETTLE_FAILED));
    assert_int_equal(bench->error.move, PAY_REDO);
    assert_string_equal(bench->error.code, "40P01");
}

static void a_lock_that_does_not_come_is_given_up_after_five_seconds(void **state) {
    struct bench *bench = *state;
    bench_claim(bench, 0);
    bench_add_payment(bench, 0, "o-1", "alice");
    bench->database.account_locks[0] = 99;
    bench_begin_settle(bench, 0);
    bench_pass(bench, 4900);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_WAITING);
    bench_pass(bench, 200);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_FAILED);
    assert_string_equal(bench->error.code, "55P03");
}

static void the_same_key_twice_is_refused_and_nothing_of_it_stays(void **state) {
    struct bench *bench = *state;
    for (uint32_t i = 0; i < 2; i++) bench_claim(bench, i);
    bench_add_payment(bench, 0, "same", "alice");
    bench_add_payment(bench, 1, "same", "bob");
    for (uint32_t i = 0; i < 2; i++) bench_begin_settle(bench, i);
    bench_pass(bench, 2);
    for (uint32_t i = 0; i < 2; i++) assert_int_equal(bench_poll_settle(bench, i), PAY_SETTLE_READ);
    for (uint32_t i = 0; i < 2; i++) assert_int_equal(bench_write_settle(bench, i), PAY_OK);
    bench_pass(bench, 2);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_COMMITTED);
    assert_int_equal(bench_poll_settle(bench, 1), PAY_SETTLE_FAILED);
    assert_int_equal(bench->error.move, PAY_REDO);
    assert_string_equal(bench->error.code, "23505");
    assert_int_equal(fake_database_account(&bench->database, "default", "bob")->balance_minor, 100);
    assert_int_equal(fake_database_lane(&bench->database, 1)->row.next_offset, 0);
}

static void a_server_that_waits_two_seconds_for_the_second_half_ends_the_session(void **state) {
    struct bench *bench = *state;
    bench_claim(bench, 0);
    bench_add_payment(bench, 0, "o-1", "alice");
    bench_begin_settle(bench, 0);
    bench_pass(bench, 2100);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_FAILED);
    assert_int_equal(bench->error.move, PAY_SESSION_OVER);
    assert_int_equal(bench->database.lane_locks[0], 0);
}

static void a_second_half_later_than_a_second_is_rolled_back(void **state) {
    struct bench *bench = *state;
    bench_claim(bench, 0);
    bench_add_payment(bench, 0, "o-1", "alice");
    bench_begin_settle(bench, 0);
    bench_pass(bench, 2);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_READ);
    bench_pass(bench, 1100);
    assert_int_equal(bench_write_settle(bench, 0), PAY_REDO);
    assert_int_equal(bench->database.lane_locks[0], 0);
}

static void a_commit_that_was_sent_is_run_although_its_client_died(void **state) {
    struct bench *bench = *state;
    bench_claim(bench, 0);
    bench_add_payment(bench, 0, "o-1", "alice");
    bench_begin_settle(bench, 0);
    bench_pass(bench, 2);
    bench_poll_settle(bench, 0);
    bench_write_settle(bench, 0);
    fake_ledger_crash(bench->ledgers[0]);
    bench_pass(bench, 2);
    assert_int_equal(bench->database.tables.payment_count, 1);
}

static void a_claim_waits_for_the_row_and_answers_again_after_a_second(void **state) {
    struct bench *bench = *state;
    struct pay_ledger *port = &bench->ledgers[1]->port;
    uint8_t owner[PAY_OWNER_SIZE] = {9};
    bool missing;
    bench_claim(bench, 0);
    bench_add_payment(bench, 0, "o-1", "alice");
    bench_begin_settle(bench, 0);
    bench_pass(bench, 2);
    assert_int_equal(port->ops->connect(port, &bench->error), PAY_OK);
    assert_int_equal(port->ops->claim(port, 0, owner, &bench->rows[1], &missing, &bench->error), PAY_AGAIN);
    assert_int_equal(fake_database_lane(&bench->database, 0)->row.owner_epoch, 1);
    bench_pass(bench, 1100); /* its transaction is ended, the row is free */
    assert_int_equal(port->ops->claim(port, 0, owner, &bench->rows[1], &missing, &bench->error), PAY_OK);
    assert_int_equal(bench->rows[1].owner_epoch, 2);
}

static void a_fence_of_an_old_epoch_or_another_p_is_lost(void **state) {
    struct bench *bench = *state;
    bench_claim(bench, 0);
    fake_database_lane(&bench->database, 0)->row.owner_epoch++;
    bench_add_payment(bench, 0, "o-1", "alice");
    bench_begin_settle(bench, 0);
    bench_pass(bench, 2);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_FAILED);
    assert_int_equal(bench->error.move, PAY_FENCED);
    assert_true(bench->fences[0].lost);
}

static void a_caller_that_breaks_the_contract_is_complained_about(void **state) {
    struct bench *bench = *state;
    struct pay_ledger *port = &bench->ledgers[0]->port;
    struct pay_ledger_row row;
    assert_int_equal(port->ops->read_ledger(port, &row, &bench->error), PAY_SESSION_OVER);
    port->ops->read_ledger(port, &row, &bench->error);
    assert_int_equal(bench->database.complaints.count, 1);
    bench_claim(bench, 0);
    bench_add_payment(bench, 0, "o-1", "alice");
    bench_begin_settle(bench, 0);
    port->ops->read_ledger(port, &row, &bench->error);
    assert_int_equal(bench->database.complaints.count, 2);
}

static void tables_put_back_are_those_of_the_copy(void **state) {
    struct bench *bench = *state;
    struct fake_tables *copy = fake_database_copy(&bench->database);
    bench_claim(bench, 0);
    bench_add_payment(bench, 0, "o-1", "alice");
    bench_begin_settle(bench, 0);
    bench_pass(bench, 2);
    bench_poll_settle(bench, 0);
    bench_write_settle(bench, 0);
    bench_pass(bench, 2);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_COMMITTED);
    int64_t started = bench->database.server_started_us;
    fake_database_put_back(&bench->database, copy);
    fake_tables_free(copy);
    assert_int_equal(bench->database.tables.payment_count, 0);
    assert_int_equal(fake_database_account(&bench->database, "default", "alice")->balance_minor, 100);
    assert_true(bench->database.server_started_us > started);
}

/* ---- the network, and statements that fail ---- */

/* Client 0 has sent the COMMIT of one payment, and then its connection is cut. */
static void cut_at_commit(struct bench *bench, bool commit_arrives, int64_t server_ms) {
    bench_claim(bench, 0);
    bench_add_payment(bench, 0, "o-1", "alice");
    bench_begin_settle(bench, 0);
    bench_pass(bench, 2);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_READ);
    assert_int_equal(bench_write_settle(bench, 0), PAY_OK);
    fake_database_cut(&bench->database, bench->ledgers[0]->connection, commit_arrives, server_ms);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_FAILED);
    assert_int_equal(bench->error.move, PAY_SESSION_OVER);
}

/* The move that client 0's next session gets for partition 0. */
static enum pay_move claim_again(struct bench *bench) {
    struct pay_ledger *port = &bench->ledgers[0]->port;
    uint8_t owner[PAY_OWNER_SIZE] = {7};
    bool missing;
    assert_int_equal(port->ops->connect(port, &bench->error), PAY_OK);
    return port->ops->claim(port, 0, owner, &bench->rows[0], &missing, &bench->error);
}

static void a_commit_can_be_run_long_after_its_connection_ended_while_a_claim_waits_for_the_row(void **state) {
    struct bench *bench = *state;
    cut_at_commit(bench, true, 2500);
    assert_int_equal(claim_again(bench), PAY_AGAIN);
    assert_int_equal(bench->database.tables.payment_count, 0);
    bench_pass(bench, 2500);
    assert_int_equal(bench->database.tables.payment_count, 1);
    assert_int_equal(claim_again(bench), PAY_OK);
    assert_int_equal(bench->rows[0].next_offset, 1);
}

static void a_commit_that_never_arrived_lets_the_row_go_after_two_seconds(void **state) {
    struct bench *bench = *state;
    cut_at_commit(bench, false, 0);
    assert_int_equal(claim_again(bench), PAY_AGAIN);
    bench_pass(bench, 1100);
    assert_int_equal(claim_again(bench), PAY_OK);
    assert_int_equal(bench->rows[0].next_offset, 0);
    assert_int_equal(bench->database.tables.payment_count, 0);
}

/* The code that a settle fails with when its `after`-th statement does. */
static const char *settle_upset(struct bench *bench, const char *code, uint32_t after) {
    pay_batch_reset(bench->batches[0]);
    bench_add_payment(bench, 0, "o-1", "alice");
    fake_database_upset(&bench->database, code, after, 1);
    bench_begin_settle(bench, 0);
    bench_pass(bench, 2);
    enum pay_settle_state state = bench_poll_settle(bench, 0);
    if (state == PAY_SETTLE_READ) {
        assert_int_equal(bench_write_settle(bench, 0), PAY_OK);
        bench_pass(bench, 2);
        state = bench_poll_settle(bench, 0);
    }
    assert_int_equal(state, PAY_SETTLE_FAILED);
    assert_int_equal(bench->database.lane_locks[0], 0);
    return bench->error.code;
}

static void any_statement_of_a_settle_can_fail_and_nothing_of_it_stays(void **state) {
    struct bench *bench = *state;
    bench_claim(bench, 0);
    for (uint32_t after = 0; after <= STATEMENT_COMMIT - STATEMENT_FENCE; after++) {
        assert_string_equal(settle_upset(bench, "57014", after), "57014");
        assert_int_equal(bench->error.move, PAY_REDO);
    }
    assert_string_equal(settle_upset(bench, "XX000", 0), "XX000");
    assert_int_equal(bench->error.move, PAY_SESSION_OVER);
    assert_int_equal(bench->database.tables.payment_count, 0);
    assert_int_equal(fake_database_account(&bench->database, "default", "alice")->balance_minor, 100);
}

static void a_lost_commit_leaves_the_log_of_commits_with_its_rows(void **state) {
    struct bench *bench = *state;
    fake_database_back_up(&bench->database);
    bench_claim(bench, 0);
    bench_add_payment(bench, 0, "o-1", "alice");
    bench_begin_settle(bench, 0);
    bench_pass(bench, 2);
    bench_poll_settle(bench, 0);
    bench_write_settle(bench, 0);
    bench_pass(bench, 2);
    assert_int_equal(bench_poll_settle(bench, 0), PAY_SETTLE_COMMITTED);
    assert_int_equal(bench->database.commit_log_count, 1);
    assert_true(fake_database_restore(&bench->database));
    assert_int_equal(bench->database.commit_log_count, 0);
}

/* ---- scripts and fibers ---- */

static void a_script_is_one_line_of_text_and_back(void **state) {
    (void)state;
    static const char text[] = "w1.17:crash-after,w2.40:fail=SESSION_OVER,w1.claim#2:freeze-before=15000,p3:lost-ack,"
                               "p7:late=4000,w1.9:stale=2";
    struct fault_script parsed;
    char again[FAULT_TEXT_MAX];
    assert_true(fault_script_parse(text, &parsed));
    assert_int_equal(parsed.count, 6);
    fault_script_format(&parsed, again);
    assert_string_equal(again, text);
    assert_true(fault_script_parse("", &parsed));
    assert_false(fault_script_parse("w1:crash", &parsed));
    assert_false(fault_script_parse("w1.0:crash-after", &parsed));
    assert_false(fault_script_parse("w1.3:explode", &parsed));
    assert_false(fault_script_parse("w1.nothing#1:crash-after", &parsed));
    assert_false(fault_script_parse("p2:fail", &parsed));
}

static void count_up(void *argument) {
    int *count = argument;
    for (int i = 0; i < 3; i++) {
        (*count)++;
        fiber_yield();
    }
}

static void a_fiber_goes_on_where_it_stood(void **state) {
    (void)state;
    int a = 0, b = 0;
    struct fiber *one = fiber_new(count_up, &a), *other = fiber_new(count_up, &b);
    assert_true(fiber_resume(one));
    assert_true(fiber_resume(other));
    assert_true(fiber_resume(one));
    assert_int_equal(a, 2);
    assert_int_equal(b, 1);
    assert_true(fiber_resume(one));
    assert_false(fiber_resume(one));
    fiber_free(one);
    fiber_free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        on_bench(a_settle_appears_at_its_commit_and_not_before),
        on_bench(a_second_settle_waits_for_the_account_and_reads_it_anew),
        on_bench(a_circle_of_waits_ends_in_a_redo),
        on_bench(a_lock_that_does_not_come_is_given_up_after_five_seconds),
        on_bench(the_same_key_twice_is_refused_and_nothing_of_it_stays),
        on_bench(a_server_that_waits_two_seconds_for_the_second_half_ends_the_session),
        on_bench(a_second_half_later_than_a_second_is_rolled_back),
        on_bench(a_commit_that_was_sent_is_run_although_its_client_died),
        on_bench(a_claim_waits_for_the_row_and_answers_again_after_a_second),
        on_bench(a_fence_of_an_old_epoch_or_another_p_is_lost),
        on_bench(a_caller_that_breaks_the_contract_is_complained_about),
        on_bench(tables_put_back_are_those_of_the_copy),
        cmocka_unit_test(a_script_is_one_line_of_text_and_back),
        cmocka_unit_test(a_fiber_goes_on_where_it_stood),
        on_bench(a_commit_can_be_run_long_after_its_connection_ended_while_a_claim_waits_for_the_row),
        on_bench(a_commit_that_never_arrived_lets_the_row_go_after_two_seconds),
        on_bench(any_statement_of_a_settle_can_fail_and_nothing_of_it_stays),
        on_bench(a_lost_commit_leaves_the_log_of_commits_with_its_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
