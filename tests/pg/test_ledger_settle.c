/* What a settle writes, and what stops it. One session, or two that meet. */
#include "tests/pg/pg_test.h"

static void test_a_batch_leaves_its_decisions_balances_and_offsets(void **state) {
    (void)state;
    open_account("alice", 1000);
    open_account("bob", 100);
    struct session *s = session_open("one");
    session_claim(s, 3);
    session_claim(s, 5);
    add_record(s, 5, "o-2", 1, "alice", 300);
    add_record(s, 3, "o-1", 1, "bob", 500);         /* declined */
    add_record(s, 3, "o-3", 1, "nobody", 5);        /* declined, no account */
    add_record(s, 5, "o-2", 1, "alice", 300);       /* duplicate within the batch */
    add_record(s, 5, "o-4", 1, "alice", 200);
    add_invalid(s, 3, PAY_BAD_FIELD, PAY_FIELD_CURRENCY);
    assert_int_equal(PAY_SETTLE_COMMITTED, settle(s));

    assert_int_equal(500, sql_number(books, "SELECT balance_minor FROM paybuf.account WHERE account_id = 'alice'"));
    assert_int_equal(3, sql_number(books, "SELECT version FROM paybuf.account WHERE account_id = 'alice'"));
    assert_int_equal(100, sql_number(books, "SELECT balance_minor FROM paybuf.account WHERE account_id = 'bob'"));
    assert_int_equal(2, sql_number(books, "SELECT version FROM paybuf.account WHERE account_id = 'bob'"));
    assert_string_equal("o-1 declined insufficient_funds 100 2 1-3-0, o-2 paid  700 2 1-5-0, o-3 declined unknown_account   1-3-1, o-4 paid  500 3 1-5-2",
        sql_text(books, "SELECT string_agg(concat_ws(' ', order_id, outcome, coalesce(reason, ''), coalesce(balance_after_minor::text, ''),"
                        " coalesce(account_version::text, ''), log_generation || '-' || src_partition || '-' || src_offset), ', ' ORDER BY order_id) FROM paybuf.payment"));
    assert_string_equal("1-3-2 bad_field currency", sql_text(books, "SELECT log_generation || '-' || src_partition || '-' || src_offset || ' ' || code || ' ' || field FROM paybuf.refusal"));
    assert_string_equal("3:3:2:1700000000002:2, 5:3:2:1700000000002:2",
        sql_text(books, "SELECT string_agg(concat_ws(':', partition, next_offset, anchor_offset, anchor_timestamp_ms, anchor_crc32c), ', ' ORDER BY partition)"
                        " FROM paybuf.processed_offset WHERE next_offset > 0 AND group_id = 'group' AND cluster_id = 'cluster'"));
    assert_int_equal(4, sql_number(books, "SELECT count(*) FROM paybuf.payment WHERE (extract(epoch FROM decided_at) * 1000000)::int8 = %lld", (long long)s->decided_at_us));
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
    assert_int_equal(PAY_SETTLE_COMMITTED, settle(s));
    struct pay_answer first[3];
    memcpy(first, s->batch->answers, sizeof first);
    clear_batch(s);
    add_record(s, 0, "paid", 1, "alice", 300);
    add_record(s, 0, "declined", 1, "alice", 3000);
    add_record(s, 0, "lost", 1, "nobody", 1);
    add_record(s, 0, "declined", 2, "alice", 5);    /* a new attempt */
    assert_int_equal(PAY_SETTLE_COMMITTED, settle(s));
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_batch_leaves_its_decisions_balances_and_offsets, books_reset),
        cmocka_unit_test_setup(test_a_stored_decision_comes_back_as_it_was_written, books_reset),
    };
    const char *one = getenv("PAYBUF_TEST_NAME");
    if (one != NULL) cmocka_set_test_filter(one);
    return cmocka_run_group_tests_name("ledger_settle", tests, books_open, books_close);
}
