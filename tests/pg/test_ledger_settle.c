/* What a settle writes, and what stops it. One session, or two that meet. */
#include "tests/pg/pg_test.h"

#include "base/clock.h"
#include "worker/ledger_pg_private.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static enum pay_move claim_now(struct session *s, int32_t partition) {
    bool missing;
    s->error = (struct pay_error){.move = PAY_OK};
    return s->ledger->ops->claim(s->ledger, partition, s->owner, &s->rows[partition], &missing, &s->error);
}

static void assert_nothing_written(void) {
    assert_int_equal(0, sql_number(books, "SELECT (SELECT count(*) FROM paybuf.payment) + (SELECT count(*) FROM "
                                          "paybuf.refusal) + (SELECT sum(next_offset) FROM paybuf.processed_offset)"));
    assert_books_balance();
}

static void test_a_batch_leaves_its_decisions_balances_and_offsets(void **state) {
    (void)state;
    open_account("alice", 1000);
    open_account("bob", 100);
    struct session *s = session_open("one");
    session_claim(s, 3);
    session_claim(s, 5);
    add_record(s, 5, "o-2", 1, "alice", 300);
    add_record(s, 3, "o-1", 1, "bob", 500);   /* declined */
    add_record(s, 3, "o-3", 1, "nobody", 5);  /* declined, no account */
    add_record(s, 5, "o-2", 1, "alice", 300); /* duplicate within the batch */
    add_record(s, 5, "o-4", 1, "alice", 200);
    add_invalid(s, 3, PAY_BAD_FIELD, PAY_FIELD_CURRENCY);
    assert_commits(s);

    assert_int_equal(500, sql_number(books, "SELECT balance_minor FROM paybuf.account WHERE account_id = 'alice'"));
    assert_int_equal(3, sql_number(books, "SELECT version FROM paybuf.account WHERE account_id = 'alice'"));
    assert_int_equal(100, sql_number(books, "SELECT balance_minor FROM paybuf.account WHERE account_id = 'bob'"));
    assert_int_equal(2, sql_number(books, "SELECT version FROM paybuf.account WHERE account_id = 'bob'"));
    assert_string_equal("o-1 declined insufficient_funds 100 2 1-3-0, o-2 paid  700 2 1-5-0, o-3 declined "
                        "unknown_account   1-3-1, o-4 paid  500 3 1-5-2",
                        sql_text(books, "SELECT string_agg(concat_ws(' ', order_id, outcome, coalesce(reason, ''), "
                                        "coalesce(balance_after_minor::text, ''),"
                                        " coalesce(account_version::text, ''), log_generation || '-' || src_partition "
                                        "|| '-' || src_offset), ', ' ORDER BY order_id) FROM paybuf.payment"));
    assert_string_equal("1-3-2 bad_field currency",
                        sql_text(books, "SELECT log_generation || '-' || src_partition || '-' || src_offset || ' ' || "
                                        "code || ' ' || field FROM paybuf.refusal"));
    assert_string_equal(
        "3:3:2:1700000000002:2, 5:3:2:1700000000002:2",
        sql_text(
            books,
            "SELECT string_agg(concat_ws(':', partition, next_offset, anchor_offset, anchor_timestamp_ms, "
            "anchor_crc32c), ', ' ORDER BY partition)"
            " FROM paybuf.processed_offset WHERE next_offset > 0 AND group_id = 'group' AND cluster_id = 'cluster'"));
    assert_int_equal(
        4,
        sql_number(books,
                   "SELECT count(*) FROM paybuf.payment WHERE (extract(epoch FROM decided_at) * 1000000)::int8 = %lld",
                   (long long)s->decided_at_us));
    assert_books_balance();
    session_close(s);
}

static void test_a_stored_decision_comes_back_as_it_was_written(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    add_record(s, 0, "paid", 1, "alice", 300);
    add_record(s, 0, "declined", 1, "alice", 3000);
    add_record(s, 0, "lost", 1, "nobody", 1);
    assert_commits(s);
    struct pay_answer first[3];
    memcpy(first, s->batch->answers, sizeof first);
    clear_batch(s);
    add_record(s, 0, "paid", 1, "alice", 300);
    add_record(s, 0, "declined", 1, "alice", 3000);
    add_record(s, 0, "lost", 1, "nobody", 1);
    add_record(s, 0, "declined", 2, "alice", 5); /* a new attempt */
    assert_commits(s);
    for (int i = 0; i < 3; i++) {
        const struct pay_answer *again = &s->batch->answers[i];
        assert_true(again->duplicate && !first[i].duplicate);
        assert_int_equal(first[i].outcome, again->outcome);
        assert_int_equal(first[i].reason, again->reason);
        assert_int_equal(first[i].decided_at_us, again->decided_at_us);
        assert_string_equal(first[i].decision.account_id, again->decision.account_id);
        assert_string_equal(first[i].decision.currency, again->decision.currency);
        assert_int_equal(first[i].decision.amount_minor, again->decision.amount_minor);
        assert_int_equal(first[i].decision.has_account, again->decision.has_account);
        assert_int_equal(first[i].decision.balance_after_minor, again->decision.balance_after_minor);
        assert_int_equal(first[i].decision.account_version, again->decision.account_version);
        assert_true(pay_position_equal(&first[i].decision.position, &again->decision.position));
    }
    assert_int_equal(PAY_PAID, s->batch->answers[3].outcome);
    assert_int_equal(4, sql_number(books, "SELECT count(*) FROM paybuf.payment"));
    assert_books_balance();
    session_close(s);
}

static void test_a_row_changed_by_hand_is_read_as_one_that_cant_be_and_the_others_as_they_are(void **state) {
    (void)state;
    static const char *const changes[] = {"src_offset = -5", "log_generation = 0", "outcome = 'perhaps'",
                                          "outcome = 'declined', reason = 'moon'", "currency = 'EURO'"};
    uint32_t record;
    char constraints[2000];
    snprintf(constraints, sizeof constraints, "%s",
             sql_text(books, "SELECT string_agg(format('ALTER TABLE paybuf.payment ADD CONSTRAINT %%I %%s', conname, "
                             "pg_get_constraintdef(oid)), ';') FROM pg_constraint "
                             "WHERE conname IN ('payment_possible', 'payment_decision')"));
    open_account("alice", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    add_record(s, 0, "fine", 1, "alice", 3);
    add_record(s, 0, "broken", 1, "alice", 4);
    assert_commits(s);
    sql(books, "ALTER TABLE paybuf.payment DROP CONSTRAINT payment_possible, DROP CONSTRAINT payment_decision;"
               "CREATE TABLE kept AS TABLE paybuf.payment");
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        sql(books, "UPDATE paybuf.payment SET %s WHERE order_id = 'broken'", changes[i]);
        clear_batch(s);
        add_record(s, 0, "fine", 1, "alice", 3);
        add_record(s, 0, "broken", 1, "alice", 4);
        assert_int_equal(PAY_OK, begin_settle(s));
        assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
        assert_false(pay_batch_known_possible(s->batch, &record));
        assert_int_equal(1, record);
        s->ledger->ops->settle_abandon(s->ledger);
        sql(books, "DELETE FROM paybuf.payment; INSERT INTO paybuf.payment TABLE kept");
    }
    sql(books, "DROP TABLE kept; %s", constraints);
    session_close(s);
}

/* ---- the fence ---- */

static void test_a_claim_waits_for_a_settle_at_work_and_then_fences_it(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *old = session_open("old"), *new = session_open("new");
    session_dawdles(old);
    session_claim(old, 0);
    add_record(old, 0, "o-1", 1, "alice", 100);
    assert_int_equal(PAY_OK, begin_settle(old));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(old));
    decide_and_write(old); /* its COMMIT may run or not: the claim's answer tells */
    assert_committed(wait_settle(old), old);
    moved_on(old);

    clear_batch(old);
    add_record(old, 0, "o-2", 1, "alice", 100);
    assert_int_equal(PAY_OK, begin_settle(old));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(old));
    int64_t before_ms = pay_clock_ms();
    assert_int_equal(PAY_AGAIN, claim_now(new, 0)); /* the row is locked: 1 s, then again */
    assert_in_range(pay_clock_ms() - before_ms, 900, 4500);
    old->ledger->ops->settle_abandon(old->ledger);

    session_claim(new, 0);
    assert_int_equal(1, new->rows[0].next_offset);
    assert_int_equal(PAY_SETTLE_FAILED, settle(old));
    assert_move(PAY_FENCED, &old->error);
    assert_true(old->fences[0].lost);
    assert_int_equal(1, sql_number(books, "SELECT count(*) FROM paybuf.payment"));
    session_close(old);
    session_close(new);
}

static void test_a_settle_that_meets_a_claim_at_work_waits_for_it_and_then_loses(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *zombie = session_open("zombie");
    session_claim(zombie, 0);
    session_claim(zombie, 1);
    add_record(zombie, 0, "o-1", 1, "alice", 7);
    add_record(zombie, 1, "o-9", 1, "alice", 7);
    sql(books, "BEGIN; UPDATE paybuf.processed_offset SET owner = decode(repeat('ab', 16), 'hex'), owner_epoch = "
               "owner_epoch + 1 WHERE partition = 0");
    assert_int_equal(PAY_OK, begin_settle(zombie));
    until(watcher, "SELECT cardinality(pg_blocking_pids(%d)) > 0", session_backend(zombie));
    int64_t time_us;
    assert_int_equal(PAY_SETTLE_WAITING, zombie->ledger->ops->settle_poll(zombie->ledger, &time_us, &zombie->error));
    sql(books, "COMMIT");
    assert_int_equal(PAY_SETTLE_FAILED, wait_settle(zombie));
    assert_move(PAY_FENCED, &zombie->error);
    assert_true(zombie->fences[0].lost);
    assert_false(zombie->fences[1].lost);
    assert_nothing_written();
    session_close(zombie);
}

static void test_another_owner_epoch_or_offset_or_a_halted_lane_loses(void **state) {
    (void)state;
    static const char *const changes[] = {"owner = '\\x000102030405060708090a0b0c0d0e0f'",
                                          "owner_epoch = owner_epoch + 1", "next_offset = 1",
                                          "halted_reason = 'poison'"};
    open_account("alice", 1000);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct session *s = session_open("one");
        session_claim(s, 2);
        session_claim(s, 4);
        sql(books, "UPDATE paybuf.processed_offset SET %s WHERE partition = 4", changes[i]);
        add_record(s, 2, "o-1", 1, "alice", 100);
        add_record(s, 4, "o-2", 1, "alice", 100);
        assert_int_equal(PAY_SETTLE_FAILED, settle(s));
        assert_move(PAY_FENCED, &s->error);
        assert_false(s->fences[0].lost);
        assert_true(s->fences[1].lost);
        sql(books, "UPDATE paybuf.processed_offset SET owner = NULL, next_offset = 0, halted_reason = NULL WHERE "
                   "partition = 4");
        assert_nothing_written();
        session_close(s);
    }
}

static void test_a_halted_ledger_or_another_incarnation_stops_every_settle(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 100);
    sql(books, "UPDATE paybuf.ledger SET halted = true, halted_reason = 'database_rolled_back'");
    assert_int_equal(PAY_SETTLE_FAILED, settle(s));
    assert_move(PAY_HALTED, &s->error);
    sql(books, "UPDATE paybuf.ledger SET halted = false, halted_reason = NULL, incarnation = incarnation - interval '1 "
               "microsecond'");
    assert_int_equal(PAY_SETTLE_FAILED, settle(s));
    assert_move(PAY_HALTED, &s->error);
    assert_nothing_written();
    sql(books, "UPDATE paybuf.ledger SET incarnation = pg_postmaster_start_time()");
    assert_commits(s);
    session_close(s);
}

static void test_an_empty_batch_moves_offsets_of_all_lanes_in_one(void **state) {
    (void)state;
    struct session *s = session_open("one");
    session_claim(s, 0);
    session_claim(s, 7);
    for (uint32_t i = 0; i < 2; i++) {
        s->fences[i] = (struct pay_fence){.partition = i == 0 ? 0 : 7,
                                          .owner_epoch = s->rows[i == 0 ? 0 : 7].owner_epoch,
                                          .processed_after = 50,
                                          .replied_offset = 50,
                                          .reply_position = 60 + i};
        memcpy(s->fences[i].owner, s->owner, PAY_OWNER_SIZE);
    }
    assert_int_equal(PAY_OK, s->ledger->ops->settle_begin(s->ledger, NULL, s->fences, 2, &s->error));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
    assert_int_equal(PAY_OK, s->ledger->ops->settle_write(s->ledger, &s->error));
    assert_committed(wait_settle(s), s);
    assert_string_equal("0:50:50:60, 7:50:50:61",
                        sql_text(books, "SELECT string_agg(concat_ws(':', partition, next_offset, replied_offset, "
                                        "reply_position, anchor_offset), ', ' ORDER BY partition)"
                                        " FROM paybuf.processed_offset WHERE next_offset > 0"));
    session_close(s);
}

/* ---- somebody in the way ---- */

static void test_the_same_identity_in_two_lanes_is_decided_once(void **state) {
    (void)state;
    open_account("alice", 1000);
    open_account("bob", 1000);
    struct session *first = session_open("first"), *second = session_open("second");
    session_claim(first, 0);
    session_claim(second, 1);
    session_dawdles(first);
    session_dawdles(second);
    add_record(first, 0, "o-1", 1, "alice", 100);
    add_record(second, 1, "o-0", 1, "bob", 1);
    add_record(second, 1, "o-1", 1, "bob", 100); /* other fields: a conflict, once the first is on file */
    assert_int_equal(PAY_OK, begin_settle(first));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(first));
    assert_int_equal(PAY_OK, begin_settle(second));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(second)); /* neither knows of the other */
    decide_and_write(first);
    assert_committed(wait_settle(first), first);
    decide_and_write(second);
    assert_int_equal(PAY_SETTLE_FAILED, wait_settle(second));
    assert_move(PAY_REDO, &second->error);
    assert_string_equal("23505", second->error.code);
    assert_int_equal(1000, sql_number(books, "SELECT balance_minor FROM paybuf.account WHERE account_id = 'bob'"));
    assert_commits(second);
    assert_int_equal(PAY_PAID, second->batch->answers[0].outcome);
    assert_int_equal(PAY_CONFLICT, second->batch->answers[1].outcome);
    assert_int_equal(999, sql_number(books, "SELECT balance_minor FROM paybuf.account WHERE account_id = 'bob'"));
    assert_books_balance();
    session_close(first);
    session_close(second);
}

static void test_the_same_identity_on_the_same_account_waits_and_is_then_a_duplicate(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *first = session_open("first"), *second = session_open("second");
    session_claim(first, 0);
    session_claim(second, 1);
    session_dawdles(first);
    add_record(first, 0, "o-1", 1, "alice", 100);
    add_record(second, 1, "o-1", 1, "alice", 100);
    assert_int_equal(PAY_OK, begin_settle(first));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(first));
    assert_int_equal(PAY_OK, begin_settle(second));
    until(watcher, "SELECT cardinality(pg_blocking_pids(%d)) > 0", session_backend(second));
    decide_and_write(first);
    assert_committed(wait_settle(first), first);
    /* What is known is read behind the lock: it sees what was committed during the wait. */
    assert_int_equal(PAY_SETTLE_READ, wait_settle(second));
    decide_and_write(second);
    assert_committed(wait_settle(second), second);
    assert_true(second->batch->answers[0].duplicate);
    assert_int_equal(900, sql_number(books, "SELECT balance_minor FROM paybuf.account"));
    assert_books_balance();
    session_close(first);
    session_close(second);
}

static void test_two_sessions_on_one_account_take_turns_and_versions_have_no_holes(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *first = session_open("first"), *second = session_open("second");
    session_claim(first, 0);
    session_claim(second, 1);
    session_dawdles(first);
    for (int round = 0; round < 20; round++) {
        char order[32];
        clear_batch(first);
        clear_batch(second);
        snprintf(order, sizeof order, "a-%d", round);
        add_record(first, 0, order, 1, "alice", 30);
        snprintf(order, sizeof order, "b-%d", round);
        add_record(second, 1, order, 1, "alice", 40);
        assert_int_equal(PAY_OK, begin_settle(first));
        assert_int_equal(PAY_SETTLE_READ, wait_settle(first));
        assert_int_equal(PAY_OK, begin_settle(second));
        int64_t time_us;
        if (round == 0) until(watcher, "SELECT cardinality(pg_blocking_pids(%d)) > 0", session_backend(second));
        assert_int_equal(PAY_SETTLE_WAITING,
                         second->ledger->ops->settle_poll(second->ledger, &time_us, &second->error));
        decide_and_write(first);
        assert_committed(wait_settle(first), first);
        moved_on(first);
        /* The lock waited: what was locked and its ctid are the first one's new version. */
        assert_int_equal(PAY_SETTLE_READ, wait_settle(second));
        decide_and_write(second);
        assert_committed(wait_settle(second), second);
        moved_on(second);
    }
    assert_int_equal(20,
                     sql_number(books, "SELECT balance_minor FROM paybuf.account")); /* 14 * 70, then 30 of neither */
    assert_int_equal(41, sql_number(books, "SELECT version FROM paybuf.account"));
    assert_books_balance();
    session_close(first);
    session_close(second);
}

static void test_a_lock_held_too_long_means_redo(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 100);
    sql(books, "BEGIN; SELECT FROM paybuf.account FOR UPDATE");
    int64_t before_ms = pay_clock_ms();
    assert_int_equal(PAY_SETTLE_FAILED, settle(s));
    assert_in_range(pay_clock_ms() - before_ms, 4500, 30000);
    sql(books, "ROLLBACK");
    assert_move(PAY_REDO, &s->error);
    assert_string_equal("55P03", s->error.code);
    assert_commits(s);
    session_close(s);
}

/* The settle is made the victim: it waits for `a` while the other side's deadlock check finds no cycle, then closes the cycle at `b`. */
static void test_a_deadlock_means_redo(void **state) {
    (void)state;
    struct pay_error error;
    open_account("a", 1000);
    open_account("b", 1000);
    struct session *s = session_open("one");
    struct pay_pg *holder = connect_as(PAY_PG_OWNER), *other = connect_as(PAY_PG_OWNER);
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "a", 1);
    add_record(s, 0, "o-2", 1, "b", 1);
    sql(holder, "BEGIN; SELECT FROM paybuf.account WHERE account_id = 'a' FOR UPDATE");
    sql(other, "BEGIN; SELECT FROM paybuf.account WHERE account_id = 'b' FOR UPDATE");
    assert_int_equal(PAY_OK, begin_settle(s));
    until(watcher, "SELECT cardinality(pg_blocking_pids(%d)) > 0", session_backend(s));
    assert_int_equal(PAY_OK, pay_pg_pipeline_enter(other, &error));
    pay_pg_send(other, "UPDATE paybuf.processed_offset SET updated_at = now() WHERE partition = 0", NULL);
    pay_pg_sync(other);
    pay_pg_flush(other);
    until(watcher, "SELECT cardinality(pg_blocking_pids(%d)) > 0", pay_pg_backend_pid(other));
    sleep_ms(2500); /* its check comes after one; the settle gives up after five */
    sql(holder, "ROLLBACK");
    assert_int_equal(PAY_SETTLE_FAILED, wait_settle(s));
    assert_move(PAY_REDO, &s->error);
    assert_string_equal("40P01", s->error.code);
    int other_backend = pay_pg_backend_pid(other);
    pay_pg_close(other);
    until(watcher, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %d)",
          other_backend); /* it still holds `b` */
    assert_commits(s);
    pay_pg_close(holder);
    session_close(s);
}

/* ---- lock orders, seen by who waits where ---- */

static void wait_until_blocked(struct session *s) {
    until(watcher, "SELECT cardinality(pg_blocking_pids(%d)) > 0", session_backend(s));
}

static bool account_is_free(const char *account_id) {
    return sql_number(
               books,
               "SELECT count(*) FROM (SELECT FROM paybuf.account WHERE account_id = '%s' FOR UPDATE SKIP LOCKED) a",
               account_id) == 1;
}

static void test_a_settle_holds_its_lane_before_it_waits_for_an_account(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *s = session_open("one"), *next = session_open("next");
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 100);
    sql(books, "BEGIN; SELECT FROM paybuf.account FOR UPDATE");
    assert_int_equal(PAY_OK, begin_settle(s));
    wait_until_blocked(s);
    assert_int_equal(PAY_AGAIN, claim_now(next, 0));
    sql(books, "COMMIT");
    assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
    decide_and_write(s);
    assert_committed(wait_settle(s), s);
    session_close(s);
    session_close(next);
}

static void test_accounts_are_locked_in_the_global_order(void **state) {
    (void)state;
    const char *const accounts[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) open_account(accounts[i], 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    for (int i = 2; i >= 0; i--) add_record(s, 0, accounts[i], 1, accounts[i], 100);
    sql(books, "BEGIN; SELECT FROM paybuf.account WHERE account_id = 'b' FOR UPDATE");
    assert_int_equal(PAY_OK, begin_settle(s));
    wait_until_blocked(s);
    assert_false(account_is_free("a"));
    assert_true(account_is_free("c"));
    sql(books, "COMMIT");
    assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
    decide_and_write(s);
    assert_committed(wait_settle(s), s);
    session_close(s);
}

static void insert_payment(const char *order_id) {
    sql(books,
        "INSERT INTO paybuf.payment (tenant, order_id, attempt, account_id, currency, amount_minor, outcome, reason, "
        "log_generation, src_partition, src_offset, decided_at)"
        " VALUES ('t', '%s', 1, 'nobody', 'EUR', 1, 'declined', 'unknown_account', 9, 0, 0, now())",
        order_id);
}

static void test_payments_are_inserted_in_the_order_of_their_key(void **state) {
    (void)state;
    char code[6];
    open_account("a", 1000);
    open_account("b", 1000);
    open_account("c", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    session_dawdles(s);
    add_record(s, 0, "o-3", 1, "a", 100); /* neither arrival nor accounts are in the keys' order */
    add_record(s, 0, "o-2", 1, "c", 100);
    add_record(s, 0, "o-1", 1, "b", 100);
    assert_int_equal(PAY_OK, begin_settle(s));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
    sql(books, "BEGIN");
    insert_payment("o-2");
    decide_and_write(s);
    wait_until_blocked(s);
    sql(books, "SAVEPOINT before; SET LOCAL lock_timeout = '100ms'");
    insert_payment("o-3"); /* not there yet */
    sql(books, "ROLLBACK TO before; SET LOCAL lock_timeout = '100ms'");
    sql_fails(books, code,
              "INSERT INTO paybuf.payment SELECT tenant, 'o-1', attempt, account_id, currency, amount_minor, outcome, "
              "reason, balance_after_minor, account_version, log_generation, src_partition, src_offset, decided_at"
              " FROM paybuf.payment WHERE order_id = 'o-2'");
    assert_true(strcmp(code, "55P03") == 0 || strcmp(code, "40P01") == 0); /* it is, and waits for o-2 */
    sql(books, "ROLLBACK");
    assert_committed(wait_settle(s), s);
    session_close(s);
}

/* ---- COMMIT ---- */

static void slow_commit(const char *body) {
    sql(books,
        "CREATE FUNCTION paybuf.test_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s; RETURN NULL; END $$;"
        "GRANT EXECUTE ON FUNCTION paybuf.test_slow() TO paybuf_worker;"
        "CREATE CONSTRAINT TRIGGER test_slow AFTER INSERT ON paybuf.payment DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
        "EXECUTE FUNCTION paybuf.test_slow()",
        body);
}

static void fast_commit(void) {
    sql(books, "DROP TRIGGER test_slow ON paybuf.payment; DROP FUNCTION paybuf.test_slow()");
}

static void test_a_backend_killed_while_it_commits_leaves_nothing_and_the_session_is_over(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    slow_commit("PERFORM pg_sleep(120)");
    add_record(s, 0, "o-1", 1, "alice", 100);
    assert_int_equal(PAY_OK, begin_settle(s));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
    decide_and_write(s);
    int backend = session_backend(s);
    until(watcher, "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %d", backend);
    sql(watcher, "SELECT pg_terminate_backend(%d)", backend);
    assert_int_equal(PAY_SETTLE_FAILED, wait_settle(s));
    assert_move(PAY_SESSION_OVER, &s->error);
    bool wants_write;
    assert_int_equal(-1, s->ledger->ops->descriptor(s->ledger, &wants_write));
    assert_int_equal(PAY_SESSION_OVER, claim_now(s, 0)); /* only connect and close are left */
    fast_commit();
    s->error.move = PAY_OK;
    s->ledger->ops->connect(s->ledger, &s->error);
    assert_move(PAY_OK, &s->error);
    session_claim(s, 0);
    assert_int_equal(0, s->rows[0].next_offset);
    assert_nothing_written();
    session_close(s);
}

static void test_a_connection_lost_while_the_commit_succeeds_is_unknown_and_the_next_claim_sees_it(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *s = session_open("one"), *next = session_open("next");
    session_claim(s, 0);
    session_dawdles(s);
    slow_commit("PERFORM pg_sleep(3)");
    add_record(s, 0, "o-1", 1, "alice", 100);
    assert_int_equal(PAY_OK, begin_settle(s));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
    decide_and_write(s);
    until(watcher, "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %d", session_backend(s));
    bool wants_write;
    shutdown(s->ledger->ops->descriptor(s->ledger, &wants_write), SHUT_RDWR);
    assert_int_equal(PAY_SETTLE_FAILED, wait_settle(s));
    assert_move(PAY_SESSION_OVER, &s->error);
    /* A plain SELECT would still see the old offset now; a claim waits for the lock and sees the truth. */
    assert_int_equal(0, sql_number(books, "SELECT next_offset FROM paybuf.processed_offset WHERE partition = 0"));
    session_claim_patiently(next, 0);
    assert_int_equal(1, next->rows[0].next_offset);
    assert_int_equal(1, sql_number(books, "SELECT count(*) FROM paybuf.payment"));
    fast_commit();
    session_close(s);
    session_close(next);
}

static void test_rollback_is_not_taken_for_commit(void **state) {
    (void)state;
    struct session *s = session_open("one");
    session_claim(s, 0);
    s->fences[0] = (struct pay_fence){.partition = 0, .owner_epoch = s->rows[0].owner_epoch, .processed_after = 50};
    memcpy(s->fences[0].owner, s->owner, PAY_OWNER_SIZE);
    assert_int_equal(PAY_OK, s->ledger->ops->settle_begin(s->ledger, NULL, s->fences, 1, &s->error));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
    /* Behind the ledger's back the transaction fails: COMMIT then answers ROLLBACK, and that is no error. */
    struct pay_pg *pg = ((struct ledger_pg *)s->ledger)->pg;
    struct pay_pg_result *result = NULL;
    enum pay_pg_event event;
    pay_pg_send(pg, "SELECT 1 / 0", NULL);
    pay_pg_sync(pg);
    while ((event = pay_pg_next(pg, &result, &s->error)) != PAY_PG_SYNCED) {
        if (event == PAY_PG_RESULT) pay_pg_result_free(result);
        if (event == PAY_PG_NOTHING) pay_pg_wait(pg, pay_clock_ms() + 1000);
    }
    assert_int_equal(PAY_OK, s->ledger->ops->settle_write(s->ledger, &s->error));
    assert_int_equal(PAY_SETTLE_FAILED, wait_settle(s));
    assert_move(PAY_SESSION_OVER, &s->error);
    assert_nothing_written();
    session_close(s);
}

static void test_a_warning_at_commit_makes_its_durability_unknown(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    slow_commit("RAISE WARNING 'canceling wait for synchronous replication due to user request'");
    add_record(s, 0, "o-1", 1, "alice", 100);
    assert_int_equal(PAY_SETTLE_FAILED, settle(s));
    assert_move(PAY_SESSION_OVER, &s->error);
    assert_string_equal("01000", s->error.code);
    fast_commit();
    session_close(s);
}

static void test_an_error_at_commit_is_no_commit(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    slow_commit("RAISE EXCEPTION 'no' USING ERRCODE = '40001'");
    add_record(s, 0, "o-1", 1, "alice", 100);
    assert_int_equal(PAY_SETTLE_FAILED, settle(s));
    assert_move(PAY_REDO, &s->error);
    fast_commit();
    assert_nothing_written();
    assert_commits(s);
    session_close(s);
}

/* ---- what must raise ---- */

static void test_a_lost_account_row_stops_the_commit(void **state) {
    (void)state;
    open_account("alice", 1000);
    open_account("bob", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 100);
    add_record(s, 0, "o-2", 1, "bob", 100);
    assert_int_equal(PAY_OK, begin_settle(s));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
    s->batch->accounts[1].row_handle += 100; /* as if its row were gone */
    decide_and_write(s);
    assert_int_equal(PAY_SETTLE_FAILED, wait_settle(s));
    assert_move(PAY_SESSION_OVER, &s->error);
    assert_string_equal("PB001", s->error.code);
    assert_nothing_written();
    session_close(s);
}

static void test_a_wrong_row_is_not_overwritten(void **state) {
    (void)state;
    open_account("alice", 1000);
    open_account("bob", 1000);
    sql(books, "UPDATE paybuf.account SET version = 9 WHERE account_id = 'bob'");
    struct session *s = session_open("one");
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 100);
    assert_int_equal(PAY_OK, begin_settle(s));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
    s->batch->accounts[0].row_handle = 3; /* bob's row after the update: (0,3) */
    decide_and_write(s);
    assert_int_equal(PAY_SETTLE_FAILED, wait_settle(s));
    assert_string_equal("PB001", s->error.code);
    assert_int_equal(1000, sql_number(books, "SELECT balance_minor FROM paybuf.account WHERE account_id = 'bob'"));
    session_close(s);
}

static void test_refused_data_asks_for_a_smaller_batch_and_the_connection_stays_usable(void **state) {
    (void)state;
    open_account("alice", 1000);
    sql(books, "ALTER TABLE paybuf.payment ADD CONSTRAINT test_no_13 CHECK (amount_minor <> 13)");
    struct session *s = session_open("one");
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 1);
    add_record(s, 0, "o-2", 1, "alice", 13);
    assert_int_equal(PAY_SETTLE_FAILED, settle(s));
    sql(books, "ALTER TABLE paybuf.payment DROP CONSTRAINT test_no_13");
    assert_move(PAY_SPLIT, &s->error);
    assert_string_equal("23514", s->error.code);
    assert_nothing_written();
    assert_commits(s);
    session_close(s);
}

static void test_too_many_attempts_on_file_ask_for_a_smaller_batch(void **state) {
    (void)state;
    open_account("alice", 1000);
    sql(books, "INSERT INTO paybuf.payment SELECT 't', 'o-' || lpad(o::text, 3, '0'), a, 'alice', 'EUR', 5000, "
               "'declined', 'insufficient_funds', 1000, 1, 1, 0, 777, now()"
               " FROM generate_series(1, 83) o, generate_series(1, 99) a");
    struct session *s = session_open("one");
    session_claim(s, 0);
    for (int i = 1; i <= 83; i++) { /* 8,217 rows: more than PAY_BATCH_KNOWN_MAX */
        char order[16];
        snprintf(order, sizeof order, "o-%03d", i);
        add_record(s, 0, order, 99, "alice", 5000);
    }
    assert_int_equal(PAY_SETTLE_FAILED, settle(s));
    assert_move(PAY_SPLIT, &s->error);
    clear_batch(s);
    add_record(s, 0, "o-001", 99, "alice", 5000);
    assert_commits(s);
    assert_true(s->batch->answers[0].duplicate);
    session_close(s);
}

static void test_after_a_migration_statements_are_prepared_again(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 1);
    assert_commits(s);
    clear_batch(s);
    add_record(s, 0, "o-2", 1, "alice", 1);
    sql(books, "ALTER TABLE paybuf.account ALTER currency TYPE varchar(3)");
    assert_int_equal(PAY_SETTLE_FAILED, settle(s));
    assert_move(PAY_REDO, &s->error);
    assert_string_equal("0A000", s->error.code);
    assert_commits(s);
    sql(books, "ALTER TABLE paybuf.account ALTER currency TYPE text");
    session_close(s);
}

/* ---- the caller's part ---- */

static void test_an_unsorted_batch_is_a_programmers_error(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 1);
    add_record(s, 0, "o-2", 1, "alice", 1);
    assert_int_equal(PAY_OK, begin_settle(s));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
    pay_batch_decide(s->batch, s->decided_at_us);
    struct pay_batch_insert first = s->batch->inserts[0];
    s->batch->inserts[0] = s->batch->inserts[1];
    s->batch->inserts[1] = first;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(2);
        s->ledger->ops->settle_write(s->ledger, &s->error);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    session_close(s);
}

static void test_an_abandoned_settle_frees_its_locks(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *s = session_open("one"), *next = session_open("next");
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 1);
    assert_int_equal(PAY_OK, begin_settle(s));
    s->ledger->ops->settle_abandon(s->ledger); /* with the first half on its way */
    assert_int_equal(PAY_OK, begin_settle(s));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
    s->ledger->ops->settle_abandon(s->ledger); /* between the halves */
    session_claim(next, 0);
    assert_nothing_written();
    session_claim(s, 0);
    assert_commits(s);
    session_close(s);
    session_close(next);
}

static void test_a_settle_abandoned_after_its_commit_was_sent_ends_the_connection(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 1);
    assert_int_equal(PAY_OK, begin_settle(s));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
    decide_and_write(s);
    s->ledger->ops->settle_abandon(s->ledger);
    assert_int_equal(PAY_SESSION_OVER, claim_now(s, 0));
    session_close(s);
}

static void test_a_worker_that_dawdles_between_the_halves_is_rolled_back(void **state) {
    (void)state;
    open_account("alice", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 1);
    assert_int_equal(PAY_OK, begin_settle(s));
    assert_int_equal(PAY_SETTLE_READ, wait_settle(s));
    sleep_ms(PAY_ROUND_TRIP_DEADLINE_MS + 100);
    pay_batch_decide(s->batch, s->decided_at_us);
    assert_int_equal(PAY_REDO, s->ledger->ops->settle_write(s->ledger, &s->error));
    assert_nothing_written();
    assert_commits(s);
    session_close(s);
}

static void test_a_full_batch_goes_through_without_blocking(void **state) {
    (void)state;
    sql(books, "INSERT INTO paybuf.account (tenant, account_id, currency, balance_minor) SELECT 't', 'account-' || n, "
               "'EUR', 1000 FROM generate_series(0, 1999) n;"
               "INSERT INTO paybuf.adjustment (tenant, adjustment_id, account_id, kind, amount_minor, account_version) "
               "SELECT 't', 'open-' || n, 'account-' || n, 'open', 1000, 1 FROM generate_series(0, 1999) n");
    struct session *s = session_open("one");
    for (int32_t partition = 0; partition < PARTITIONS; partition++) session_claim(s, partition);
    for (int round = 0; round < 3; round++) { /* the second and third are all duplicates */
        clear_batch(s);
        for (int i = 0; i < PAY_BATCH_RECORDS_MAX; i++) {
            char order[64], account[64];
            snprintf(order, sizeof order, "a-rather-long-order-id-as-people-make-them-0123456789-%06d",
                     (i * 7919) % PAY_BATCH_RECORDS_MAX);
            snprintf(account, sizeof account, "account-%d", (i * 7919) % PAY_BATCH_RECORDS_MAX);
            add_record(s, i % PARTITIONS, order, 1, account, 1 + (i * 7919) % PAY_BATCH_RECORDS_MAX);
        }
        assert_commits(s);
        for (int i = 0; i < PAY_BATCH_RECORDS_MAX; i++) assert_int_equal(round > 0, s->batch->answers[i].duplicate);
    }
    assert_int_equal(2000, sql_number(books, "SELECT count(*) FROM paybuf.payment"));
    assert_int_equal(1000, sql_number(books, "SELECT count(*) FROM paybuf.payment WHERE outcome = 'declined'"));
    assert_books_balance();
    session_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_batch_leaves_its_decisions_balances_and_offsets, books_reset),
        cmocka_unit_test_setup(test_a_stored_decision_comes_back_as_it_was_written, books_reset),
        cmocka_unit_test_setup(test_a_row_changed_by_hand_is_read_as_one_that_cant_be_and_the_others_as_they_are,
                               books_reset),
        cmocka_unit_test_setup(test_a_claim_waits_for_a_settle_at_work_and_then_fences_it, books_reset),
        cmocka_unit_test_setup(test_a_settle_that_meets_a_claim_at_work_waits_for_it_and_then_loses, books_reset),
        cmocka_unit_test_setup(test_another_owner_epoch_or_offset_or_a_halted_lane_loses, books_reset),
        cmocka_unit_test_setup(test_a_halted_ledger_or_another_incarnation_stops_every_settle, books_reset),
        cmocka_unit_test_setup(test_an_empty_batch_moves_offsets_of_all_lanes_in_one, books_reset),
        cmocka_unit_test_setup(test_the_same_identity_in_two_lanes_is_decided_once, books_reset),
        cmocka_unit_test_setup(test_the_same_identity_on_the_same_account_waits_and_is_then_a_duplicate, books_reset),
        cmocka_unit_test_setup(test_two_sessions_on_one_account_take_turns_and_versions_have_no_holes, books_reset),
        cmocka_unit_test_setup(test_a_settle_holds_its_lane_before_it_waits_for_an_account, books_reset),
        cmocka_unit_test_setup(test_accounts_are_locked_in_the_global_order, books_reset),
        cmocka_unit_test_setup(test_payments_are_inserted_in_the_order_of_their_key, books_reset),
        cmocka_unit_test_setup(test_a_lock_held_too_long_means_redo, books_reset),
        cmocka_unit_test_setup(test_a_deadlock_means_redo, books_reset),
        cmocka_unit_test_setup(test_a_backend_killed_while_it_commits_leaves_nothing_and_the_session_is_over,
                               books_reset),
        cmocka_unit_test_setup(test_a_connection_lost_while_the_commit_succeeds_is_unknown_and_the_next_claim_sees_it,
                               books_reset),
        cmocka_unit_test_setup(test_rollback_is_not_taken_for_commit, books_reset),
        cmocka_unit_test_setup(test_a_warning_at_commit_makes_its_durability_unknown, books_reset),
        cmocka_unit_test_setup(test_an_error_at_commit_is_no_commit, books_reset),
        cmocka_unit_test_setup(test_a_lost_account_row_stops_the_commit, books_reset),
        cmocka_unit_test_setup(test_a_wrong_row_is_not_overwritten, books_reset),
        cmocka_unit_test_setup(test_refused_data_asks_for_a_smaller_batch_and_the_connection_stays_usable, books_reset),
        cmocka_unit_test_setup(test_too_many_attempts_on_file_ask_for_a_smaller_batch, books_reset),
        cmocka_unit_test_setup(test_after_a_migration_statements_are_prepared_again, books_reset),
        cmocka_unit_test_setup(test_an_unsorted_batch_is_a_programmers_error, books_reset),
        cmocka_unit_test_setup(test_an_abandoned_settle_frees_its_locks, books_reset),
        cmocka_unit_test_setup(test_a_settle_abandoned_after_its_commit_was_sent_ends_the_connection, books_reset),
        cmocka_unit_test_setup(test_a_worker_that_dawdles_between_the_halves_is_rolled_back, books_reset),
        cmocka_unit_test_setup(test_a_full_batch_goes_through_without_blocking, books_reset),
    };
    const char *one = getenv("PAYBUF_TEST_NAME");
    if (one != NULL) cmocka_set_test_filter(one);
    return cmocka_run_group_tests_name("ledger_settle", tests, books_open, books_close);
}
