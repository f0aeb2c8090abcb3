/*
 * The fakes keep their own promises: locks, transactions, producer state, the group - and the script is one line of text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_broker.h"
#include "fake_database.h"
#include "fake_ledger.h"
#include "fake_stream.h"
#include "fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One database, one broker, two clients of each; no worker, no scheduler. */
struct bench {
    struct fake_clock clock;
    struct fake_database database;
    struct fake_broker broker;
    struct fault_script script;
    struct fault faults[2];
    struct fake_ledger *ledgers[2];
    struct fake_stream *streams[2];
    struct pay_batch *batches[2];
    struct pay_fence fences[2];
    struct pay_lane_row rows[2];
    struct pay_error error;
};

static int set_up(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    bench->clock.now_us = FAKE_CLOCK_START_US;
    fake_database_init(&bench->database, &bench->clock);
    fake_broker_init(&bench->broker, &bench->clock, 2);
    bench->broker.script = &bench->script;
    fake_database_open_account(&bench->database, "default", "alice", "EUR", 100, 0);
    fake_database_open_account(&bench->database, "default", "bob", "EUR", 100, 0);
    for (uint32_t i = 0; i < 2; i++) {
        fake_database_add_lane(&bench->database, (int32_t)i);
        fault_init(&bench->faults[i], &bench->clock, &bench->script, i + 1);
        bench->ledgers[i] = fake_ledger_new(&bench->database, &bench->faults[i]);
        bench->streams[i] = fake_stream_new(&bench->broker, &bench->faults[i]);
        bench->batches[i] = calloc(1, sizeof *bench->batches[i]);
    }
    *state = bench;
    return 0;
}

static int tear_down(void **state) {
    struct bench *bench = *state;
    for (uint32_t i = 0; i < 2; i++) {
        fake_ledger_free(bench->ledgers[i]);
        fake_stream_free(bench->streams[i]);
        fault_free(&bench->faults[i]);
        free(bench->batches[i]);
    }
    fake_broker_free(&bench->broker);
    fake_database_free(&bench->database);
    free(bench);
    return 0;
}

static void pass(struct bench *bench, int64_t ms) {
    for (int64_t i = 0; i < ms; i++) {
        fake_clock_advance_ms(&bench->clock, 1);
        fake_database_run(&bench->database);
        fake_broker_run(&bench->broker);
    }
}

/* ---- the ledger ---- */

/* Client i connects and claims partition i. */
static void claim(struct bench *bench, uint32_t i) {
    struct pay_ledger *port = &bench->ledgers[i]->port;
    uint8_t owner[PAY_OWNER_SIZE] = {(uint8_t)(i + 1)};
    bool missing;
    assert_int_equal(port->ops->connect(port, &bench->error), PAY_OK);
    assert_int_equal(port->ops->claim(port, (int32_t)i, owner, &bench->rows[i], &missing, &bench->error), PAY_OK);
    assert_false(missing);
}

/* One payment into the batch of client i. */
static void add_payment(struct bench *bench, uint32_t i, const char *order_id, const char *account_id) {
    struct pay_record *record = pay_batch_next(bench->batches[i]);
    memset(record, 0, sizeof *record);
    record->position = (struct pay_position){1, (int32_t)i, bench->batches[i]->count};
    snprintf(record->request.tenant, sizeof record->request.tenant, "default");
    snprintf(record->request.order_id, sizeof record->request.order_id, "%s", order_id);
    snprintf(record->request.account_id, sizeof record->request.account_id, "%s", account_id);
    snprintf(record->request.currency, sizeof record->request.currency, "EUR");
    record->request.attempt = 1;
    record->request.amount_minor = 10;
    pay_batch_commit_next(bench->batches[i], false);
}

static void begin_settle(struct bench *bench, uint32_t i) {
    struct pay_ledger *port = &bench->ledgers[i]->port;
    pay_batch_slice(bench->batches[i], 100);
    pay_batch_prepare(bench->batches[i]);
    bench->fences[i] = (struct pay_fence){.partition = (int32_t)i,
                                          .owner_epoch = bench->rows[i].owner_epoch,
                                          .processed_before = bench->rows[i].next_offset,
                                          .processed_after = bench->batches[i]->count};
    memcpy(bench->fences[i].owner, bench->rows[i].owner, PAY_OWNER_SIZE);
    assert_int_equal(port->ops->settle_begin(port, bench->batches[i], &bench->fences[i], 1, &bench->error), PAY_OK);
}

static enum pay_settle_state poll_settle(struct bench *bench, uint32_t i) {
    int64_t decided_at_us;
    struct pay_ledger *port = &bench->ledgers[i]->port;
    enum pay_settle_state state = port->ops->settle_poll(port, &decided_at_us, &bench->error);
    if (state == PAY_SETTLE_READ) pay_batch_decide(bench->batches[i], decided_at_us);
    return state;
}

static enum pay_move write_settle(struct bench *bench, uint32_t i) {
    struct pay_ledger *port = &bench->ledgers[i]->port;
    return port->ops->settle_write(port, &bench->error);
}

static void a_settle_appears_at_its_commit_and_not_before(void **state) {
    struct bench *bench = *state;
    claim(bench, 0);
    add_payment(bench, 0, "o-1", "alice");
    begin_settle(bench, 0);
    assert_int_equal(poll_settle(bench, 0), PAY_SETTLE_WAITING);
    pass(bench, 2);
    assert_int_equal(poll_settle(bench, 0), PAY_SETTLE_READ);
    assert_int_equal(write_settle(bench, 0), PAY_OK);
    assert_int_equal(bench->database.tables.payment_count, 0);
    pass(bench, 2);
    assert_int_equal(poll_settle(bench, 0), PAY_SETTLE_COMMITTED);
    assert_int_equal(bench->database.tables.payment_count, 1);
    assert_int_equal(fake_database_account(&bench->database, "default", "alice")->balance_minor, 90);
    assert_int_equal(fake_database_lane(&bench->database, 0)->row.next_offset, 1);
    assert_int_equal(bench->database.complaints.count, 0);
}

static void a_second_settle_waits_for_the_account_and_reads_it_anew(void **state) {
    struct bench *bench = *state;
    for (uint32_t i = 0; i < 2; i++) claim(bench, i);
    add_payment(bench, 0, "o-1", "alice");
    add_payment(bench, 1, "o-2", "alice");
    begin_settle(bench, 0);
    pass(bench, 2);
    begin_settle(bench, 1);
    pass(bench, 20);
    assert_int_equal(poll_settle(bench, 1), PAY_SETTLE_WAITING);
    assert_int_equal(poll_settle(bench, 0), PAY_SETTLE_READ);
    write_settle(bench, 0);
    pass(bench, 2);
    assert_int_equal(poll_settle(bench, 0), PAY_SETTLE_COMMITTED);
    pass(bench, 2);
    assert_int_equal(poll_settle(bench, 1), PAY_SETTLE_READ);
    write_settle(bench, 1);
    pass(bench, 2);
    assert_int_equal(poll_settle(bench, 1), PAY_SETTLE_COMMITTED);
    assert_int_equal(fake_database_account(&bench->database, "default", "alice")->balance_minor, 80);
    assert_int_equal(fake_database_account(&bench->database, "default", "alice")->version, 3);
}

static void a_circle_of_waits_ends_in_a_redo(void **state) {
    struct bench *bench = *state;
    for (uint32_t i = 0; i < 2; i++) claim(bench, i);
    for (uint32_t i = 0; i < 2; i++) {
        add_payment(bench, i, i == 0 ? "o-1" : "o-2", "alice");
        add_payment(bench, i, i == 0 ? "o-3" : "o-4", "bob");
    }
    begin_settle(bench, 0);
    begin_settle(bench, 1);
    struct fake_transaction *wrong =
        &bench->ledgers[1]->connection->transaction; /* as if a caller had forgotten to sort */
    struct fake_key first = wrong->account_keys[0];
    wrong->account_keys[0] = wrong->account_keys[1];
    wrong->account_keys[1] = first;
    bench->database.account_locks[0] = bench->ledgers[0]->connection->id; /* one step each before the other's */
    bench->database.account_locks[1] = bench->ledgers[1]->connection->id;
    pass(bench, 3);
    enum pay_settle_state a = poll_settle(bench, 0), b = poll_settle(bench, 1);
    assert_true((a == PAY_SETTLE_FAILED) != (b == PAY_SETTLE_FAILED));
    assert_int_equal(bench->error.move, PAY_REDO);
    assert_string_equal(bench->error.code, "40P01");
}

static void a_lock_that_does_not_come_is_given_up_after_five_seconds(void **state) {
    struct bench *bench = *state;
    claim(bench, 0);
    add_payment(bench, 0, "o-1", "alice");
    bench->database.account_locks[0] = 99;
    begin_settle(bench, 0);
    pass(bench, 4900);
    assert_int_equal(poll_settle(bench, 0), PAY_SETTLE_WAITING);
    pass(bench, 200);
    assert_int_equal(poll_settle(bench, 0), PAY_SETTLE_FAILED);
    assert_string_equal(bench->error.code, "55P03");
}

static void the_same_key_twice_is_refused_and_nothing_of_it_stays(void **state) {
    struct bench *bench = *state;
    for (uint32_t i = 0; i < 2; i++) claim(bench, i);
    add_payment(bench, 0, "same", "alice");
    add_payment(bench, 1, "same", "bob");
    for (uint32_t i = 0; i < 2; i++) begin_settle(bench, i);
    pass(bench, 2);
    for (uint32_t i = 0; i < 2; i++) assert_int_equal(poll_settle(bench, i), PAY_SETTLE_READ);
    for (uint32_t i = 0; i < 2; i++) assert_int_equal(write_settle(bench, i), PAY_OK);
    pass(bench, 2);
    assert_int_equal(poll_settle(bench, 0), PAY_SETTLE_COMMITTED);
    assert_int_equal(poll_settle(bench, 1), PAY_SETTLE_FAILED);
    assert_int_equal(bench->error.move, PAY_REDO);
    assert_string_equal(bench->error.code, "23505");
    assert_int_equal(fake_database_account(&bench->database, "default", "bob")->balance_minor, 100);
    assert_int_equal(fake_database_lane(&bench->database, 1)->row.next_offset, 0);
}

static void a_server_that_waits_two_seconds_for_the_second_half_ends_the_session(void **state) {
    struct bench *bench = *state;
    claim(bench, 0);
    add_payment(bench, 0, "o-1", "alice");
    begin_settle(bench, 0);
    pass(bench, 2100);
    assert_int_equal(poll_settle(bench, 0), PAY_SETTLE_FAILED);
    assert_int_equal(bench->error.move, PAY_SESSION_OVER);
    assert_int_equal(bench->database.lane_locks[0], 0);
}

static void a_second_half_later_than_a_second_is_rolled_back(void **state) {
    struct bench *bench = *state;
    claim(bench, 0);
    add_payment(bench, 0, "o-1", "alice");
    begin_settle(bench, 0);
    pass(bench, 2);
    assert_int_equal(poll_settle(bench, 0), PAY_SETTLE_READ);
    pass(bench, 1100);
    assert_int_equal(write_settle(bench, 0), PAY_REDO);
    assert_int_equal(bench->database.lane_locks[0], 0);
}

static void a_commit_that_was_sent_is_run_although_its_client_died(void **state) {
    struct bench *bench = *state;
    claim(bench, 0);
    add_payment(bench, 0, "o-1", "alice");
    begin_settle(bench, 0);
    pass(bench, 2);
    poll_settle(bench, 0);
    write_settle(bench, 0);
    fake_ledger_crash(bench->ledgers[0]);
    pass(bench, 2);
    assert_int_equal(bench->database.tables.payment_count, 1);
}

static void a_claim_waits_for_the_row_and_answers_again_after_a_second(void **state) {
    struct bench *bench = *state;
    struct pay_ledger *port = &bench->ledgers[1]->port;
    uint8_t owner[PAY_OWNER_SIZE] = {9};
    bool missing;
    claim(bench, 0);
    add_payment(bench, 0, "o-1", "alice");
    begin_settle(bench, 0);
    pass(bench, 2);
    assert_int_equal(port->ops->connect(port, &bench->error), PAY_OK);
    assert_int_equal(port->ops->claim(port, 0, owner, &bench->rows[1], &missing, &bench->error), PAY_AGAIN);
    assert_int_equal(fake_database_lane(&bench->database, 0)->row.owner_epoch, 1);
    pass(bench, 1100); /* its transaction is ended, the row is free */
    assert_int_equal(port->ops->claim(port, 0, owner, &bench->rows[1], &missing, &bench->error), PAY_OK);
    assert_int_equal(bench->rows[1].owner_epoch, 2);
}

static void a_fence_of_an_old_epoch_or_another_p_is_lost(void **state) {
    struct bench *bench = *state;
    claim(bench, 0);
    fake_database_lane(&bench->database, 0)->row.owner_epoch++;
    add_payment(bench, 0, "o-1", "alice");
    begin_settle(bench, 0);
    pass(bench, 2);
    assert_int_equal(poll_settle(bench, 0), PAY_SETTLE_FAILED);
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
    claim(bench, 0);
    add_payment(bench, 0, "o-1", "alice");
    begin_settle(bench, 0);
    port->ops->read_ledger(port, &row, &bench->error);
    assert_int_equal(bench->database.complaints.count, 2);
}

static void tables_put_back_are_those_of_the_copy(void **state) {
    struct bench *bench = *state;
    struct fake_tables *copy = fake_database_copy(&bench->database);
    claim(bench, 0);
    add_payment(bench, 0, "o-1", "alice");
    begin_settle(bench, 0);
    pass(bench, 2);
    poll_settle(bench, 0);
    write_settle(bench, 0);
    pass(bench, 2);
    assert_int_equal(poll_settle(bench, 0), PAY_SETTLE_COMMITTED);
    int64_t started = bench->database.server_started_us;
    fake_database_put_back(&bench->database, copy);
    fake_tables_free(copy);
    assert_int_equal(bench->database.tables.payment_count, 0);
    assert_int_equal(fake_database_account(&bench->database, "default", "alice")->balance_minor, 100);
    assert_true(bench->database.server_started_us > started);
}

/* ---- the stream ---- */

static void publish(struct bench *bench, uint32_t i, int32_t partition, int64_t source_offset) {
    struct pay_stream *port = &bench->streams[i]->port;
    struct pay_outgoing reply = {.partition = partition,
                                 .source_offset = source_offset,
                                 .key = "k",
                                 .key_length = 1,
                                 .value = "v",
                                 .value_length = 1};
    assert_int_equal(port->ops->publish(port, 0, &reply, &bench->error), PAY_OK);
}

static void open_publisher(struct bench *bench, uint32_t i) {
    struct pay_stream *port = &bench->streams[i]->port;
    assert_int_equal(port->ops->open_publisher(port, 0, &bench->error), PAY_OK);
}

static bool next_report(struct bench *bench, uint32_t i, struct pay_report *report) {
    struct pay_stream *port = &bench->streams[i]->port;
    return port->ops->next_report(port, report);
}

static void script(struct bench *bench, const char *text) { assert_true(fault_script_parse(text, &bench->script)); }

static int64_t reply_end(struct bench *bench) { return fake_broker_log(&bench->broker, TOPIC_REPLIES, 0)->end; }

static void a_lost_answer_is_sent_again_and_appended_once(void **state) {
    struct bench *bench = *state;
    struct pay_report report;
    script(bench, "p1:lost-ack");
    open_publisher(bench, 0);
    publish(bench, 0, 0, 5);
    pass(bench, 9000);
    assert_int_equal(reply_end(bench), 1);
    assert_false(next_report(bench, 0, &report));
    pass(bench, 2000);
    assert_true(next_report(bench, 0, &report));
    assert_int_equal(report.log_offset, 0);
    assert_int_equal(report.source_offset, 5);
    assert_int_equal(reply_end(bench), 1);
}

static void a_lost_answer_without_producer_state_is_appended_twice(void **state) {
    struct bench *bench = *state;
    struct pay_report report;
    script(bench, "p1:lost-ack-no-state");
    open_publisher(bench, 0);
    publish(bench, 0, 0, 5);
    pass(bench, 11000);
    assert_true(next_report(bench, 0, &report));
    assert_int_equal(report.log_offset, 1);
    assert_int_equal(reply_end(bench), 2);
}

static void a_refused_first_request_of_several_leaves_a_hole_and_a_lie(void **state) {
    struct bench *bench = *state;
    struct pay_report report;
    script(bench, "p1:refuse");
    bench->broker.requests_in_flight_max = 3;
    bench->broker.records_per_request = 1;
    bench->broker.latency_ms = 5;
    open_publisher(bench, 0);
    for (int64_t i = 0; i < 3; i++) publish(bench, 0, 0, i);
    pass(bench, 500);
    assert_int_equal(reply_end(bench), 2);
    assert_true(next_report(bench, 0, &report));
    assert_int_equal(report.source_offset, 0);
    assert_false(report.failed);
    assert_int_equal(report.log_offset, -1001);
    assert_true(next_report(bench, 0, &report));
    assert_int_equal(report.source_offset, 1);
    assert_int_equal(report.log_offset, 0);
}

static void a_refused_first_request_alone_keeps_the_order(void **state) {
    struct bench *bench = *state;
    struct pay_report report;
    script(bench, "p1:refuse");
    bench->broker.records_per_request = 1;
    open_publisher(bench, 0);
    for (int64_t i = 0; i < 3; i++) publish(bench, 0, 0, i);
    pass(bench, 500);
    for (int64_t i = 0; i < 3; i++) {
        assert_true(next_report(bench, 0, &report));
        assert_int_equal(report.source_offset, i);
        assert_int_equal(report.log_offset, i);
    }
}

static void a_tail_that_was_not_replicated_is_cut_and_sent_again(void **state) {
    struct bench *bench = *state;
    struct pay_report report;
    script(bench, "p1:truncated");
    open_publisher(bench, 0);
    publish(bench, 0, 0, 5);
    pass(bench, 100);
    assert_int_equal(reply_end(bench), 1);
    assert_int_equal(fake_broker_log(&bench->broker, TOPIC_REPLIES, 0)->high_watermark, 0);
    pass(bench, 110);
    assert_int_equal(reply_end(bench), 0);
    pass(bench, 500);
    assert_true(next_report(bench, 0, &report));
    assert_int_equal(report.log_offset, 0);
}

static void requests_of_a_dead_producer_still_land(void **state) {
    struct bench *bench = *state;
    script(bench, "p1:late=7000");
    open_publisher(bench, 0);
    publish(bench, 0, 0, 5);
    pass(bench, 1);
    fake_stream_crash(bench->streams[0]);
    pass(bench, 5000);
    assert_int_equal(reply_end(bench), 0);
    pass(bench, 3000);
    assert_int_equal(reply_end(bench), 1);
}

static enum pay_stream_event_kind next_event(struct bench *bench, uint32_t i, struct pay_stream_event *event) {
    struct pay_stream *port = &bench->streams[i]->port;
    port->ops->next_event(port, event);
    return event->kind;
}

static void join(struct bench *bench, uint32_t i) {
    struct pay_stream *port = &bench->streams[i]->port;
    assert_int_equal(port->ops->open(port, &bench->error), PAY_OK);
}

static void the_group_takes_everything_before_it_gives(void **state) {
    struct bench *bench = *state;
    struct pay_stream_event event;
    join(bench, 0);
    assert_int_equal(next_event(bench, 0, &event), PAY_STREAM_ASSIGNED);
    assert_int_equal(event.partition_count, 2);
    join(bench, 1);
    assert_int_equal(next_event(bench, 1, &event), PAY_STREAM_NOTHING);
    assert_int_equal(next_event(bench, 0, &event), PAY_STREAM_REVOKED);
    assert_int_equal(next_event(bench, 1, &event), PAY_STREAM_NOTHING);
    bench->streams[0]->port.ops->confirm_revoked(&bench->streams[0]->port);
    assert_int_equal(next_event(bench, 0, &event), PAY_STREAM_ASSIGNED);
    assert_int_equal(event.partition_count, 1);
    assert_int_equal(next_event(bench, 1, &event), PAY_STREAM_ASSIGNED);
    assert_int_equal(event.partitions[0], 1);
}

static void a_frozen_member_loses_its_partitions_after_ten_seconds(void **state) {
    struct bench *bench = *state;
    struct pay_stream_event event;
    join(bench, 0);
    next_event(bench, 0, &event);
    fake_stream_freeze(bench->streams[0], true);
    join(bench, 1);
    pass(bench, 9000);
    assert_int_equal(next_event(bench, 1, &event), PAY_STREAM_NOTHING);
    pass(bench, 2000);
    assert_int_equal(next_event(bench, 1, &event), PAY_STREAM_ASSIGNED);
    assert_int_equal(event.partition_count, 2);
    fake_stream_freeze(bench->streams[0], false);
    assert_true(bench->streams[0]->port.ops->still_assigned(&bench->streams[0]->port, 0));
    assert_int_equal(next_event(bench, 0, &event), PAY_STREAM_LOST);
    assert_false(bench->streams[0]->port.ops->still_assigned(&bench->streams[0]->port, 0));
}

static void readers_see_no_markers_nothing_aborted_and_nothing_beyond_an_open_transaction(void **state) {
    struct bench *bench = *state;
    struct pay_stream *port = &bench->streams[0]->port;
    struct pay_stream_event event;
    struct pay_log_record record;
    fake_broker_append_request(&bench->broker, 0, "a", "1");
    fake_broker_begin_transaction(&bench->broker, TOPIC_REQUESTS, 0);
    fake_broker_append_request(&bench->broker, 0, "b", "2");
    fake_broker_end_transaction(&bench->broker, TOPIC_REQUESTS, 0, false);
    fake_broker_append_request(&bench->broker, 0, "c", "3");
    fake_broker_begin_transaction(&bench->broker, TOPIC_REQUESTS, 0);
    fake_broker_append_request(&bench->broker, 0, "d", "4");
    join(bench, 0);
    next_event(bench, 0, &event);
    assert_int_equal(port->ops->fetch(port, 0, 0, &bench->error), PAY_OK);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_DATA);
    assert_int_equal(record.offset, 0);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_DATA);
    assert_int_equal(record.offset, 3);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_END);
    assert_int_equal(record.offset, 4);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_NONE);
    fake_broker_end_transaction(&bench->broker, TOPIC_REQUESTS, 0, true);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_DATA);
    assert_int_equal(record.offset, 4);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_END);
    assert_int_equal(record.offset, 6);
}

static void an_offset_outside_the_log_is_trouble_and_never_a_reset(void **state) {
    struct bench *bench = *state;
    struct pay_stream *port = &bench->streams[0]->port;
    struct pay_stream_event event;
    struct pay_log_record record;
    fake_broker_append_request(&bench->broker, 0, "a", "1");
    join(bench, 0);
    next_event(bench, 0, &event);
    port->ops->fetch(port, 0, 7, &bench->error);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_NONE);
    assert_int_equal(next_event(bench, 0, &event), PAY_STREAM_TROUBLE);
    assert_int_equal(event.partition, 0);
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

#define on_bench(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

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
        on_bench(a_lost_answer_is_sent_again_and_appended_once),
        on_bench(a_lost_answer_without_producer_state_is_appended_twice),
        on_bench(a_refused_first_request_of_several_leaves_a_hole_and_a_lie),
        on_bench(a_refused_first_request_alone_keeps_the_order),
        on_bench(a_tail_that_was_not_replicated_is_cut_and_sent_again),
        on_bench(requests_of_a_dead_producer_still_land),
        on_bench(the_group_takes_everything_before_it_gives),
        on_bench(a_frozen_member_loses_its_partitions_after_ten_seconds),
        on_bench(readers_see_no_markers_nothing_aborted_and_nothing_beyond_an_open_transaction),
        on_bench(an_offset_outside_the_log_is_trouble_and_never_a_reset),
        cmocka_unit_test(a_script_is_one_line_of_text_and_back),
        cmocka_unit_test(a_fiber_goes_on_where_it_stood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
