/* Claims, halts, adoption, look-ups: the plain calls of the ledger. */
#include "tests/pg/pg_test.h"

#include "base/clock.h"

static enum pay_move claim_now(struct session *s, int32_t partition, bool *ret_missing) {
    s->error = (struct pay_error){.move = PAY_OK};
    return s->ledger->ops->claim(s->ledger, partition, s->owner, &s->rows[partition < PARTITIONS ? partition : 0],
                                 ret_missing, &s->error);
}

static void test_a_claim_reads_the_row_and_takes_it(void **state) {
    (void)state;
    sql(books, "UPDATE paybuf.processed_offset SET log_generation = 3, next_offset = 70, replied_offset = 60, "
               "reply_position = 65, owner_epoch = 8,"
               " anchor_offset = 69, anchor_timestamp_ms = 1700000000123, anchor_crc32c = 4294967295, group_id = "
               "'group', cluster_id = 'cluster' WHERE partition = 4");
    struct session *s = session_open("one");
    session_claim(s, 4);
    const struct pay_lane_row *row = &s->rows[4];
    assert_int_equal(4, row->partition);
    assert_int_equal(3, row->log_generation);
    assert_int_equal(70, row->next_offset);
    assert_int_equal(60, row->replied_offset);
    assert_int_equal(65, row->reply_position);
    assert_int_equal(9, row->owner_epoch);
    assert_memory_equal(s->owner, row->owner, PAY_OWNER_SIZE);
    assert_true(row->anchor.present);
    assert_int_equal(69, row->anchor.offset);
    assert_int_equal(1700000000123, row->anchor.timestamp_ms);
    assert_int_equal(4294967295, row->anchor.crc32c);
    assert_true(row->same_group && row->same_cluster);
    assert_int_equal(PAY_HALT_NONE, row->halted);
    session_claim(s, 5);
    assert_false(s->rows[5].anchor.present);
    assert_int_equal(1, s->rows[5].owner_epoch);
    session_close(s);
}

static void test_a_claim_tells_another_group_and_another_cluster_and_takes_neither(void **state) {
    (void)state;
    struct session *s = session_open("one");
    session_claim(s, 0);
    assert_true(s->rows[0].same_group && s->rows[0].same_cluster); /* not set yet */
    sql(books, "UPDATE paybuf.processed_offset SET group_id = 'other', cluster_id = 'cluster' WHERE partition = 0");
    session_claim(s, 0);
    assert_true(!s->rows[0].same_group && s->rows[0].same_cluster);
    assert_int_equal(1, s->rows[0].owner_epoch);
    sql(books, "UPDATE paybuf.processed_offset SET group_id = 'group', cluster_id = 'other' WHERE partition = 0");
    session_claim(s, 0);
    assert_true(s->rows[0].same_group && !s->rows[0].same_cluster);
    assert_int_equal(1, s->rows[0].owner_epoch);
    pay_ledger_pg_set_cluster(s->ledger, "other");
    session_claim(s, 0);
    assert_int_equal(2, s->rows[0].owner_epoch);
    assert_true(s->rows[0].same_group && s->rows[0].same_cluster);
    session_close(s);
}

static void test_a_claim_of_a_locked_row_gives_up_after_a_second(void **state) {
    (void)state;
    bool missing;
    struct session *s = session_open("one");
    sql(books, "BEGIN; UPDATE paybuf.processed_offset SET updated_at = now() WHERE partition = 0");
    int64_t before_ms = pay_clock_ms();
    assert_int_equal(PAY_AGAIN, claim_now(s, 0, &missing));
    assert_in_range(pay_clock_ms() - before_ms, 900, 4500);
    sql(books, "ROLLBACK");
    session_claim(s, 0);
    session_close(s);
}

static void test_a_claim_whose_commit_came_with_a_warning_is_not_taken_for_done(void **state) {
    (void)state;
    bool missing;
    struct session *s = session_open("one");
    sql(books,
        "CREATE FUNCTION paybuf.test_slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE WARNING 'not replicated'; RETURN NULL; END $$;"
        "GRANT EXECUTE ON FUNCTION paybuf.test_slow() TO paybuf_worker;"
        "CREATE CONSTRAINT TRIGGER test_slow AFTER UPDATE ON paybuf.processed_offset DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION paybuf.test_slow()");
    assert_int_equal(PAY_SESSION_OVER, claim_now(s, 0, &missing));
    assert_string_equal("01000", s->error.code);
    assert_int_equal(PAY_SESSION_OVER, claim_now(s, 0, &missing));
    session_close(s);
}

static void test_a_halted_lane_is_read_and_not_taken(void **state) {
    (void)state;
    struct session *s = session_open("one"), *other = session_open("other");
    session_claim(s, 0);
    assert_int_equal(
        PAY_OK, s->ledger->ops->halt_lane(s->ledger, 0, s->owner, s->rows[0].owner_epoch, PAY_HALT_POISON, &s->error));
    session_claim(other, 0);
    assert_int_equal(PAY_HALT_POISON, other->rows[0].halted);
    assert_int_equal(1, other->rows[0].owner_epoch);
    assert_memory_equal(s->owner, other->rows[0].owner, PAY_OWNER_SIZE);
    session_close(s);
    session_close(other);
}

static void test_only_the_holder_may_halt_a_lane_and_the_first_reason_stays(void **state) {
    (void)state;
    struct session *s = session_open("one"), *other = session_open("other");
    session_claim(s, 0);
    session_claim(other, 0);
    assert_int_equal(
        PAY_OK, s->ledger->ops->halt_lane(s->ledger, 0, s->owner, s->rows[0].owner_epoch, PAY_HALT_POISON, &s->error));
    assert_string_equal("", sql_text(books, "SELECT halted_reason FROM paybuf.processed_offset WHERE partition = 0"));
    assert_int_equal(PAY_OK, other->ledger->ops->halt_lane(other->ledger, 0, other->owner, other->rows[0].owner_epoch,
                                                           PAY_HALT_LOG_REPLACED, &s->error));
    assert_int_equal(PAY_OK, other->ledger->ops->halt_lane(other->ledger, 0, other->owner, other->rows[0].owner_epoch,
                                                           PAY_HALT_POISON, &s->error));
    assert_string_equal("log_replaced",
                        sql_text(books, "SELECT halted_reason FROM paybuf.processed_offset WHERE partition = 0"));
    session_close(s);
    session_close(other);
}

static void test_a_missing_row_is_told_and_created_once(void **state) {
    (void)state;
    bool missing = false;
    struct session *s = session_open("one"), *other = session_open("other");
    sql(books, "UPDATE paybuf.processed_offset SET log_generation = 7");
    assert_int_equal(PAY_OK, claim_now(s, 12, &missing));
    assert_true(missing);
    assert_int_equal(PAY_OK, s->ledger->ops->create_row(s->ledger, 12, &s->error));
    assert_int_equal(PAY_OK, other->ledger->ops->create_row(other->ledger, 12, &s->error));
    assert_int_equal(PAY_OK, claim_now(s, 12, &missing));
    assert_false(missing);
    assert_int_equal(7, sql_number(books, "SELECT log_generation FROM paybuf.processed_offset WHERE partition = 12"));
    session_close(s);
    session_close(other);
}

static void test_every_row_is_read_in_partition_order(void **state) {
    (void)state;
    struct pay_lane_row rows[PAY_LANES_MAX];
    uint32_t count = 0;
    struct session *s = session_open("one");
    sql(books, "UPDATE paybuf.processed_offset SET next_offset = partition * 10; INSERT INTO paybuf.processed_offset "
               "(topic, partition, log_generation) VALUES ('other', 3, 1)");
    assert_int_equal(PAY_OK, s->ledger->ops->read_rows(s->ledger, rows, PAY_LANES_MAX, &count, &s->error));
    assert_int_equal(PARTITIONS, count);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        assert_int_equal(i, rows[i].partition);
        assert_int_equal(i * 10, rows[i].next_offset);
    }
    assert_int_equal(PAY_OK, s->ledger->ops->read_rows(s->ledger, rows, 5, &count, &s->error));
    assert_int_equal(5, count);
    session_close(s);
}

static void test_one_of_several_workers_adopts_the_server(void **state) {
    (void)state;
    struct pay_ledger_row row;
    bool first = false, second = true;
    struct session *a = session_open("a"), *b = session_open("b");
    assert_int_equal(PAY_OK, a->ledger->ops->read_ledger(a->ledger, &row, &a->error));
    assert_int_equal(row.server_started_us, row.incarnation_us);
    assert_int_equal(36, strlen(row.ledger_id));
    sql(books, "UPDATE paybuf.ledger SET incarnation = '2020-01-01 00:00:00.123456Z'");
    assert_int_equal(PAY_OK, a->ledger->ops->read_ledger(a->ledger, &row, &a->error));
    assert_int_equal(1577836800123456, row.incarnation_us);
    assert_int_not_equal(row.server_started_us, row.incarnation_us);
    assert_int_equal(PAY_OK, a->ledger->ops->adopt(a->ledger, row.incarnation_us, &first, &a->error));
    assert_int_equal(PAY_OK, b->ledger->ops->adopt(b->ledger, row.incarnation_us, &second, &b->error));
    assert_true(first);
    assert_false(second);
    assert_int_equal(PAY_OK, b->ledger->ops->read_ledger(b->ledger, &row, &b->error));
    assert_int_equal(row.server_started_us, row.incarnation_us);
    session_close(a);
    session_close(b);
}

static void test_a_halted_ledger_is_not_adopted_and_keeps_its_first_reason(void **state) {
    (void)state;
    struct pay_ledger_row row;
    bool adopted = true;
    struct session *s = session_open("one");
    assert_int_equal(PAY_OK, s->ledger->ops->halt_ledger(s->ledger, PAY_HALT_DATABASE_ROLLED_BACK, &s->error));
    assert_int_equal(PAY_OK, s->ledger->ops->halt_ledger(s->ledger, PAY_HALT_POISON, &s->error));
    assert_int_equal(PAY_OK, s->ledger->ops->read_ledger(s->ledger, &row, &s->error));
    assert_true(row.halted);
    assert_int_equal(PAY_HALT_DATABASE_ROLLED_BACK, row.halted_reason);
    assert_int_equal(PAY_OK, s->ledger->ops->adopt(s->ledger, row.incarnation_us, &adopted, &s->error));
    assert_false(adopted);
    session_close(s);
}

/* ---- look-up ---- */

static void test_every_settled_records_answer_is_found_again(void **state) {
    (void)state;
    uint32_t orphan;
    struct pay_answer first[6];
    open_account("alice", 1000);
    struct session *s = session_open("one"), *next = session_open("next");
    session_claim(s, 0);
    session_claim(s, 1);
    add_record(s, 0, "o-1", 1, "alice", 100);
    add_invalid(s, 0, PAY_MALFORMED_JSON, PAY_FIELD_NONE);
    add_record(s, 1, "o-2", 2, "alice", 100); /* attempt_out_of_sequence */
    add_record(s, 1, "o-1", 1, "alice", 100); /* duplicate */
    add_record(s, 1, "o-1", 2, "alice", 100); /* already_paid */
    add_invalid(s, 1, PAY_BAD_FIELD, PAY_FIELD_METADATA);
    assert_commits(s);
    memcpy(first, s->batch->answers, sizeof first);

    memcpy(next->batch, s->batch, sizeof *s->batch);
    for (uint32_t i = 0; i < 6; i++) next->batch->settled[i] = true;
    next->batch->begin = next->batch->end = 0;
    pay_batch_slice(next->batch, PAY_BATCH_RECORDS_MAX);
    /* The copy's orders would point into the other batch. */
    pay_batch_prepare(next->batch);
    assert_int_equal(PAY_OK, next->ledger->ops->look_up(next->ledger, next->batch, &next->error));
    assert_true(pay_batch_find_answers(next->batch, &orphan));
    for (int i = 0; i < 6; i++) {
        const struct pay_answer *again = &next->batch->answers[i];
        assert_int_equal(first[i].outcome, again->outcome);
        assert_int_equal(first[i].reason, again->reason);
        assert_int_equal(first[i].field, again->field);
        assert_int_equal(first[i].duplicate, again->duplicate);
        assert_int_equal(first[i].decided_at_us, again->decided_at_us);
    }

    sql(books, "DELETE FROM paybuf.refusal WHERE code = 'malformed_json'");
    pay_batch_prepare(next->batch);
    assert_int_equal(PAY_OK, next->ledger->ops->look_up(next->ledger, next->batch, &next->error));
    assert_false(pay_batch_find_answers(next->batch, &orphan));
    assert_int_equal(1, orphan);
    session_close(s);
    session_close(next);
}

static void test_a_look_up_skips_dropped_records(void **state) {
    (void)state;
    uint32_t orphan;
    struct session *s = session_open("one");
    session_claim(s, 0);
    add_invalid(s, 0, PAY_TOO_LARGE, PAY_FIELD_NONE);
    add_invalid(s, 0, PAY_BAD_TENANT, PAY_FIELD_NONE);
    add_invalid(s, 0, PAY_KEY_MISMATCH, PAY_FIELD_NONE);
    assert_commits(s);
    for (uint32_t i = 0; i < 3; i++) s->batch->settled[i] = true;
    pay_batch_drop(s->batch, 1);
    pay_batch_prepare(s->batch);
    assert_int_equal(PAY_OK, s->ledger->ops->look_up(s->ledger, s->batch, &s->error));
    assert_true(pay_batch_find_answers(s->batch, &orphan));
    assert_int_equal(PAY_TOO_LARGE, s->batch->answers[0].reason);
    assert_int_equal(PAY_KEY_MISMATCH, s->batch->answers[2].reason);
    session_close(s);
}

/* ---- the connection ---- */

static void test_without_a_connection_every_call_says_so(void **state) {
    (void)state;
    struct pay_ledger_row row;
    bool missing;
    struct pay_ledger_pg_options options = {
        .url = "postgresql://nobody@127.0.0.1:1/none", .topic = TOPIC, .group_id = "group"};
    struct pay_ledger *ledger = pay_ledger_pg_new(&options);
    struct pay_error error = {.move = PAY_OK};
    struct pay_lane_row lane;
    static const uint8_t owner[PAY_OWNER_SIZE];
    assert_int_equal(PAY_AGAIN, ledger->ops->connect(ledger, &error));
    assert_int_equal(PAY_SESSION_OVER, ledger->ops->read_ledger(ledger, &row, &error));
    assert_int_equal(PAY_SESSION_OVER, ledger->ops->claim(ledger, 0, owner, &lane, &missing, &error));
    ledger->ops->settle_abandon(ledger);
    ledger->ops->close(ledger);
}

static void test_a_server_that_vanished_ends_the_session_in_time(void **state) {
    (void)state;
    struct pay_ledger_row row;
    struct session *s = session_open("one");
    sql(watcher, "SELECT pg_terminate_backend(%d)", session_backend(s));
    assert_int_equal(PAY_SESSION_OVER, s->ledger->ops->read_ledger(s->ledger, &row, &s->error));
    assert_string_equal("57P01", s->error.code); /* the server's last words */
    s->error.move = PAY_OK;
    s->ledger->ops->connect(s->ledger, &s->error);
    assert_move(PAY_OK, &s->error);
    assert_int_equal(PAY_OK, s->ledger->ops->read_ledger(s->ledger, &row, &s->error));
    session_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_claim_reads_the_row_and_takes_it, books_reset),
        cmocka_unit_test_setup(test_a_claim_tells_another_group_and_another_cluster_and_takes_neither, books_reset),
        cmocka_unit_test_setup(test_a_claim_of_a_locked_row_gives_up_after_a_second, books_reset),
        cmocka_unit_test_setup(test_a_claim_whose_commit_came_with_a_warning_is_not_taken_for_done, books_reset),
        cmocka_unit_test_setup(test_a_halted_lane_is_read_and_not_taken, books_reset),
        cmocka_unit_test_setup(test_only_the_holder_may_halt_a_lane_and_the_first_reason_stays, books_reset),
        cmocka_unit_test_setup(test_a_missing_row_is_told_and_created_once, books_reset),
        cmocka_unit_test_setup(test_every_row_is_read_in_partition_order, books_reset),
        cmocka_unit_test_setup(test_one_of_several_workers_adopts_the_server, books_reset),
        cmocka_unit_test_setup(test_a_halted_ledger_is_not_adopted_and_keeps_its_first_reason, books_reset),
        cmocka_unit_test_setup(test_every_settled_records_answer_is_found_again, books_reset),
        cmocka_unit_test_setup(test_a_look_up_skips_dropped_records, books_reset),
        cmocka_unit_test_setup(test_without_a_connection_every_call_says_so, books_reset),
        cmocka_unit_test_setup(test_a_server_that_vanished_ends_the_session_in_time, books_reset),
    };
    const char *one = getenv("PAYBUF_TEST_NAME");
    if (one != NULL) cmocka_set_test_filter(one);
    return cmocka_run_group_tests_name("ledger_claim", tests, books_open, books_close);
}
