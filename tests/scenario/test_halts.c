/*
 * Halts: what must not go on by itself stands still, with its own reason, and takes nobody else with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig *begin(const char *script, uint32_t partitions) {
    struct rig *rig = calloc(1, sizeof *rig);
    rig_init(rig, 13, script, partitions);
    workload_accounts(rig);
    return rig;
}

static void end(struct rig *rig) {
    bool fine = history_judge(&rig->history);
    if (!fine) rig_explain(rig);
    assert_true(fine);
    rig_free(rig);
    free(rig);
}

static void ends_well(struct rig *rig, int64_t within_ms) {
    bool answered = rig_run(rig, rig_all_answered, within_ms);
    if (!answered) rig_explain(rig);
    assert_true(answered);
    end(rig);
}

static struct pay_lane_row *row(struct rig *rig, int32_t partition) {
    return &fake_database_lane(&rig->database, partition)->row;
}

static enum pay_halt halted(struct rig *rig, int32_t partition) { return row(rig, partition)->halted; }

/* Two partitions with `count` answered payments each, everything at rest, and no worker. */
static struct rig *at_rest(uint32_t count) {
    struct rig *rig = begin("", 2);
    struct rig_worker *worker = rig_start_worker(rig);
    workload_many(rig, 0, "a", count);
    workload_many(rig, 1, "b", count);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_run_for(rig, 2500);
    rig_stop(worker);
    rig_run_for(rig, 6000);
    assert_false(worker->alive);
    return rig;
}

static void tamper(struct rig *rig, enum history_tampering what, int32_t partition) {
    assert_true(history_tamper(&rig->history, what, partition));
}

/* After something was done to partition 0: it halts with this reason, not before the second look where there is one, and partition 1 goes on. */
static void only_lane_0_halts(struct rig *rig, enum pay_halt reason, bool at_once) {
    uint32_t answered = workload_reply_count(rig, 0);
    rig->history.halt_within_ms = at_once ? 5000 : 20000;
    rig_start_worker(rig);
    rig_run_for(rig, 5000);
    assert_int_equal(halted(rig, 0), at_once ? reason : PAY_HALT_NONE);
    workload_many(rig, 1, "later", 2);
    rig_run_for(rig, 30000);
    assert_int_equal(halted(rig, 0), reason);
    assert_int_equal(workload_reply_count(rig, 0), answered);
    assert_int_equal(halted(rig, 1), PAY_HALT_NONE);
    assert_false(rig->database.tables.ledger.halted);
    ends_well(rig, 1000);
}

/* ---- one lane ---- */

static void a_request_log_cut_below_p_halts_its_lane_at_the_second_look(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    tamper(rig, TAMPERED_REQUESTS_CUT, 0);
    fake_broker_truncate(&rig->broker, TOPIC_REQUESTS, 0, 2);
    only_lane_0_halts(rig, PAY_HALT_LOG_TRUNCATED, false);
}

static void a_request_log_that_comes_back_before_the_second_look_halts_nothing(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    struct fake_log *log = fake_broker_log(&rig->broker, TOPIC_REQUESTS, 0);
    log->high_watermark = 2; /* a leader that doesn't know yet how far it is */
    rig_start_worker(rig);
    rig_run_for(rig, 5000);
    log->high_watermark = log->end;
    workload_many(rig, 0, "later", 2);
    ends_well(rig, 20000);
}

/* SIGSTOP between the claim and its look at the log: ten seconds from the look, not from the pass that it belongs to. */
static void two_looks_are_ten_seconds_apart_although_the_first_came_late(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    struct fake_log *log = fake_broker_log(&rig->broker, TOPIC_REQUESTS, 0);
    assert_true(fault_script_parse("w2.claim#1:freeze-after=8000", &rig->script));
    log->high_watermark = 2;
    rig_start_worker(rig);
    rig_run_for(rig, 14000);
    log->high_watermark = log->end;
    assert_int_equal(halted(rig, 0), PAY_HALT_NONE);
    ends_well(rig, 20000);
}

static void other_records_at_the_anchor_halt_their_lane(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    struct fake_log *log = fake_broker_log(&rig->broker, TOPIC_REQUESTS, 0);
    tamper(rig, TAMPERED_REQUESTS_REPLACED, 0);
    fake_broker_truncate(&rig->broker, TOPIC_REQUESTS, 0, 0);
    workload_many(rig, 0, "other", 6);
    assert_int_equal(log->end, 6);
    only_lane_0_halts(rig, PAY_HALT_LOG_REPLACED, true);
}

static void a_topic_made_anew_under_a_running_worker_halts_its_lanes_within_a_minute(void **state) {
    (void)state;
    struct rig *rig = begin("", 1);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_run_for(rig, 2500);
    tamper(rig, TAMPERED_REQUESTS_REPLACED, 0);
    fake_broker_recreate(&rig->broker, TOPIC_REQUESTS);
    workload_many(rig, 0, "other", 3);
    rig_run_for(rig, 75000);
    assert_int_equal(halted(rig, 0), PAY_HALT_LOG_REPLACED);
    assert_int_equal(rig->database.tables.payment_count, 3);
    end(rig);
}

/* SIGSTOP between two calls of one pass: the record it is given next is another topic's. */
static void a_topic_made_anew_during_a_pause_inside_a_pass_settles_nothing_of_it(void **state) {
    (void)state;
    struct rig *rig = begin("w1.next_record#6:freeze-before=3000", 1);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_run_for(rig, 100);
    workload_many(rig, 0, "stops", 1);
    rig_run_for(rig, 500);
    assert_true(rig->workers[0].frozen);
    tamper(rig, TAMPERED_REQUESTS_REPLACED, 0);
    fake_broker_recreate(&rig->broker, TOPIC_REQUESTS);
    workload_many(rig, 0, "other", 6);
    rig_run_for(rig, 10000);
    assert_int_equal(rig->database.tables.payment_count, 3);
    assert_int_equal(halted(rig, 0), PAY_HALT_LOG_REPLACED);
    end(rig);
}

/* Nothing is due there, so nothing but the minute makes the worker look. */
static void a_topic_made_anew_beside_an_error_event_halts_its_idle_lane_within_a_minute(void **state) {
    (void)state;
    struct rig *rig = begin("", 1);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_run_for(rig, 2500);
    tamper(rig, TAMPERED_REQUESTS_REPLACED, 0);
    fake_broker_recreate(&rig->broker, TOPIC_REQUESTS);
    workload_many(rig, 0, "other", 3);
    fake_broker_trouble(&rig->broker, -1);
    rig_run_for(rig, 75000);
    assert_int_equal(halted(rig, 0), PAY_HALT_LOG_REPLACED);
    end(rig);
}

static void a_topic_made_anew_during_a_pause_settles_nothing_of_it(void **state) {
    (void)state;
    struct rig *rig = begin("", 1);
    struct rig_worker *worker = rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_run_for(rig, 2500);
    rig_freeze(worker, 3000);
    tamper(rig, TAMPERED_REQUESTS_REPLACED, 0);
    fake_broker_recreate(&rig->broker, TOPIC_REQUESTS);
    workload_many(rig, 0, "other", 6);
    rig_run_for(rig, 10000);
    assert_int_equal(halted(rig, 0), PAY_HALT_LOG_REPLACED);
    assert_int_equal(rig->database.tables.payment_count, 3);
    end(rig);
}

/* Topics made anew under a worker at rest, with nothing but markers behind its position: only P could move. */
static struct rig *made_anew_with_markers_at_the_end(struct rig_worker **ret_worker) {
    struct rig *rig = begin("", 1);
    *ret_worker = rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_run_for(rig, 2500);
    tamper(rig, TAMPERED_REQUESTS_REPLACED, 0);
    fake_broker_recreate(&rig->broker, TOPIC_REQUESTS);
    workload_many(rig, 0, "other", 3);
    for (int i = 0; i < 3; i++) fake_broker_append_control(&rig->broker, TOPIC_REQUESTS, 0);
    return rig;
}

static void only_its_anchor_was_read(struct rig *rig) {
    rig_run_for(rig, 10000);
    assert_int_equal(halted(rig, 0), PAY_HALT_LOG_REPLACED);
    assert_int_equal(row(rig, 0)->next_offset, 3);
    end(rig);
}

static void a_topic_made_anew_during_a_pause_moves_no_p(void **state) {
    (void)state;
    struct rig_worker *worker;
    struct rig *rig = made_anew_with_markers_at_the_end(&worker);
    rig_freeze(worker, 3000);
    only_its_anchor_was_read(rig);
}

static void a_topic_made_anew_beside_an_error_event_moves_no_p(void **state) {
    (void)state;
    struct rig_worker *worker;
    struct rig *rig = made_anew_with_markers_at_the_end(&worker);
    fake_broker_trouble(&rig->broker, -1);
    only_its_anchor_was_read(rig);
}

static void a_longer_topic_made_anew_under_an_idle_worker_settles_nothing_of_it(void **state) {
    (void)state;
    struct rig *rig = begin("", 1);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_run_for(rig, 2500);
    tamper(rig, TAMPERED_REQUESTS_REPLACED, 0);
    fake_broker_recreate(&rig->broker, TOPIC_REQUESTS);
    workload_many(rig, 0, "other", 6);
    rig_run_for(rig, 10000);
    assert_int_equal(halted(rig, 0), PAY_HALT_LOG_REPLACED);
    assert_int_equal(rig->database.tables.payment_count, 3);
    end(rig);
}

static void a_shorter_topic_made_anew_under_a_running_worker_halts_its_lane(void **state) {
    (void)state;
    struct rig *rig = begin("", 1);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 5);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    tamper(rig, TAMPERED_REQUESTS_REPLACED, 0);
    fake_broker_recreate(&rig->broker, TOPIC_REQUESTS);
    workload_many(rig, 0, "other", 2);
    rig_run_for(rig, 30000);
    assert_int_equal(halted(rig, 0), PAY_HALT_LOG_TRUNCATED);
    assert_int_equal(rig->database.tables.payment_count, 5);
    end(rig);
}

static void requests_that_retention_ate_before_they_were_settled_halt_their_lane(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    workload_many(rig, 0, "unsettled", 3);
    tamper(rig, TAMPERED_REQUESTS_EATEN, 0);
    fake_broker_move_start(&rig->broker, TOPIC_REQUESTS, 0, 6);
    only_lane_0_halts(rig, PAY_HALT_REQUESTS_LOST, true);
}

static void requests_that_retention_ate_after_they_were_answered_are_not_missed(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    fake_broker_move_start(&rig->broker, TOPIC_REQUESTS, 0, 4);
    rig_start_worker(rig);
    workload_many(rig, 0, "later", 2);
    ends_well(rig, 5000);
}

static void retention_above_the_anchor_under_a_running_worker_is_not_missed(void **state) {
    (void)state;
    struct rig *rig = begin("", 1);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 4);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    fake_broker_move_start(&rig->broker, TOPIC_REQUESTS, 0, 4);
    rig_run_for(rig, 130000);
    workload_many(rig, 0, "later", 2);
    ends_well(rig, 5000);
}

static void requests_that_retention_ate_before_they_were_answered_halt_their_lane(void **state) {
    (void)state;
    struct rig *rig = begin("w1.settle_end#1:crash-after", 2);
    workload_many(rig, 0, "a", 4);
    rig->restart_after_ms = 0;
    rig_start_worker(rig);
    rig_run_for(rig, 15000);
    assert_int_equal(row(rig, 0)->next_offset, 4);
    assert_int_equal(workload_reply_count(rig, 0), 0);
    tamper(rig, TAMPERED_REQUESTS_EATEN, 0);
    fake_broker_move_start(&rig->broker, TOPIC_REQUESTS, 0, 4);
    only_lane_0_halts(rig, PAY_HALT_REPLIES_LOST, true);
}

static void a_reply_log_cut_below_acknowledged_replies_halts_its_lane_at_the_second_look(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    tamper(rig, TAMPERED_REPLIES_CUT, 0);
    fake_broker_truncate(&rig->broker, TOPIC_REPLIES, 0, 2);
    only_lane_0_halts(rig, PAY_HALT_REPLY_LOG_TRUNCATED, false);
}

static void a_reply_log_whose_old_end_is_gone_by_retention_is_read_from_its_start(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    fake_broker_move_start(&rig->broker, TOPIC_REPLIES, 0, 4);
    rig_start_worker(rig);
    workload_many(rig, 0, "later", 2);
    ends_well(rig, 5000);
}

static void a_reply_of_another_ledger_halts_its_lane(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    const struct pay_header headers[] = {{"source-offset", "4", 1},
                                         {"covers-from", "4", 1},
                                         {"log-generation", "1", 1},
                                         {"ledger-id", "0190f3c0-0000-7000-8000-00000000ffff", 36}};
    tamper(rig, TAMPERED_FOREIGN_LEDGER, 0);
    fake_broker_append(&rig->broker, TOPIC_REPLIES, 0, "x", "{}", headers, 4);
    rig_start_worker(rig);
    rig_run_for(rig, 5000);
    workload_many(rig, 1, "later", 2);
    rig_run_for(rig, 5000);
    assert_int_equal(halted(rig, 0), PAY_HALT_FOREIGN_LEDGER);
    ends_well(rig, 1000);
}

static void records_without_our_headers_in_the_reply_log_are_skipped(void **state) {
    (void)state;
    struct rig *rig = at_rest(3);
    const struct pay_header half[] = {{"source-offset", "77", 2}, {"covers-from", "-1", 2}};
    fake_broker_append(&rig->broker, TOPIC_REPLIES, 0, NULL, "hello", NULL, 0);
    fake_broker_append(&rig->broker, TOPIC_REPLIES, 0, "k", "hello", half, 2);
    fake_broker_append_control(&rig->broker, TOPIC_REPLIES, 0);
    workload_many(rig, 0, "later", 2);
    rig_start_worker(rig);
    ends_well(rig, 5000);
}

static void rows_of_another_group_or_cluster_are_not_taken(void **state) {
    (void)state;
    struct rig *rig = at_rest(2);
    tamper(rig, TAMPERED_OTHER_GROUP, 0);
    snprintf(fake_database_lane(&rig->database, 0)->group_id, FAKE_NAME_MAX, "another");
    int64_t epoch = row(rig, 0)->owner_epoch;
    workload_many(rig, 0, "later", 2);
    workload_many(rig, 1, "later", 2);
    rig_start_worker(rig);
    rig_run_for(rig, 5000);
    assert_int_equal(row(rig, 0)->owner_epoch, epoch);
    assert_int_equal(row(rig, 0)->next_offset, 2);
    ends_well(rig, 1000);
}

/* ---- a record ---- */

static void a_poison_record_halts_its_lane_and_the_others_go_on(void **state) {
    (void)state;
    struct rig *rig = begin("", 2);
    rig->database.poison_order = "poison-0";
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 2);
    workload_many(rig, 0, "poison", 1);
    workload_many(rig, 0, "after", 2);
    workload_many(rig, 1, "b", 4);
    rig_run_for(rig, 8000);
    assert_int_equal(halted(rig, 0), PAY_HALT_POISON);
    assert_true(pay_worker_counters(rig->workers[0].worker)->halved > 0);
    assert_int_equal(row(rig, 0)->next_offset, 2);
    assert_int_equal(workload_reply_count(rig, 0), 2);
    assert_int_equal(halted(rig, 1), PAY_HALT_NONE);
    assert_true(history_all_answered(&rig->history, 1));
    rig->database.poison_order = NULL; /* a person has looked */
    row(rig, 0)->halted = PAY_HALT_NONE;
    ends_well(rig, 30000);
}

static void a_missing_dead_letter_stops_only_its_lane(void **state) {
    (void)state;
    struct rig *rig = begin("", 2);
    rig->broker.dead_letters_hang = true;
    rig_start_worker(rig);
    rig_run_for(rig, 1000);
    fake_broker_append_request(&rig->broker, 0, "g", "garbage");
    for (int i = 0; i < 40; i++) { /* both lanes trickle: every record may be a batch of its own */
        char prefix[32];
        snprintf(prefix, sizeof prefix, "t-%d", i);
        workload_many(rig, 0, prefix, 1);
        workload_pay(rig, 1, prefix, 1, "bob", 1);
        rig_run_for(rig, 500);
    }
    assert_int_equal(workload_reply_count(rig, 0), 0);
    assert_true(history_all_answered(&rig->history, 1));
    rig->broker.dead_letters_hang = false;
    ends_well(rig, 30000);
}

static void a_dead_letter_too_large_for_its_topic_becomes_a_stub(void **state) {
    (void)state;
    struct rig *rig = begin("", 1);
    char *value = malloc(40001);
    memset(value, 'x', 40000);
    value[40000] = '\0';
    fake_broker_append_request(&rig->broker, 0, "big", value);
    free(value);
    rig_start_worker(rig);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    assert_non_null(strstr(workload_reply(rig, 0, 0), "too_large"));
    const struct fake_log *letters = fake_broker_log(&rig->broker, TOPIC_DEAD_LETTERS, 0);
    assert_true(letters->count > 0 && letters->records[0]->value_length < 1000);
    end(rig);
}

/* More than a lane may hold unanswered, all behind one dead letter that nobody acknowledges. */
static void a_full_window_stops_fetching_only_its_lane(void **state) {
    (void)state;
    struct rig *rig = begin("", 2);
    rig->batch_records_max = 2000;
    rig->broker.dead_letters_hang = true;
    rig_start_worker(rig);
    rig_run_for(rig, 1000);
    fake_broker_append_request(&rig->broker, 0, "g", "garbage");
    for (int i = 0; i < PAY_LANE_UNREPLIED_MAX + 1000; i++) workload_pay(rig, 0, "same", 1, "alice", 1);
    rig_run_for(rig, 5000);
    assert_true(row(rig, 0)->next_offset <= PAY_LANE_UNREPLIED_MAX);
    workload_many(rig, 1, "b", 3);
    rig_run_for(rig, 5000);
    assert_true(history_all_answered(&rig->history, 1));
    rig->broker.dead_letters_hang = false;
    ends_well(rig, 60000);
}

/* ---- the whole ledger ---- */

static void a_database_put_back_halts_the_whole_ledger(void **state) {
    (void)state;
    struct rig *rig = begin("", 2);
    rig_start_worker(rig);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    workload_many(rig, 1, "b", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    struct fake_tables *backup = fake_database_copy(&rig->database);
    workload_many(rig, 0, "lost", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_run_for(rig, 2500);
    fake_database_put_back(&rig->database, backup);
    tamper(rig, TAMPERED_DATABASE_PUT_BACK, 0);
    fake_tables_free(backup);
    uint64_t commits = rig->database.commit_count;
    workload_many(rig, 1, "later", 3);
    rig_run_for(rig, 60000);
    assert_true(rig->database.tables.ledger.halted);
    assert_int_equal(rig->database.tables.ledger.halted_reason, PAY_HALT_DATABASE_ROLLED_BACK);
    assert_int_equal(rig->database.commit_count, commits);
    end(rig);
}

/* The loss shows in partition 1 only, and a lane is claimed after the other: what is compared is compared before any of them. */
static void a_database_put_back_settles_nothing_where_nothing_was_lost_either(void **state) {
    (void)state;
    struct rig *rig = begin("", 2);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    struct fake_tables *backup = fake_database_copy(&rig->database);
    workload_many(rig, 1, "lost", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_run_for(rig, 2500);
    fake_database_put_back(&rig->database, backup);
    tamper(rig, TAMPERED_DATABASE_PUT_BACK, 0);
    fake_tables_free(backup);
    uint64_t commits = rig->database.commit_count;
    workload_many(rig, 0, "later", 3);
    rig_run_for(rig, 60000);
    assert_int_equal(rig->database.tables.ledger.halted_reason, PAY_HALT_DATABASE_ROLLED_BACK);
    assert_int_equal(rig->database.commit_count, commits);
    end(rig);
}

static void replies_beyond_p_halt_the_whole_ledger_also_without_a_restart(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    rig->history.tampered = true;
    row(rig, 0)->next_offset = 2; /* somebody has repaired the table by hand */
    row(rig, 0)->replied_offset = row(rig, 0)->reply_position = 0;
    row(rig, 0)->anchor.present = false;
    rig_start_worker(rig);
    rig_run_for(rig, 5000);
    assert_true(rig->database.tables.ledger.halted);
    assert_int_equal(rig->database.tables.ledger.halted_reason, PAY_HALT_DATABASE_ROLLED_BACK);
    end(rig);
}

static void a_claim_overtaken_by_another_session_does_not_halt_the_ledger(void **state) {
    (void)state;
    struct rig *rig = begin("w1.claim#1:freeze-after=20000", 1);
    rig_start_worker(rig);
    rig_run_for(rig, 500);
    rig_start_worker(rig);
    rig_run_for(rig, 12000);
    workload_many(rig, 0, "a", 3); /* settled and answered by the second while the first still believes its P of 0 */
    rig_run_for(rig, 15000);
    assert_false(rig->database.tables.ledger.halted);
    ends_well(rig, 20000);
}

static uint32_t adoptions(const struct rig *rig) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < rig->log_count && i < RIG_LOG_LINES; i++)
        count += strstr(rig->log[i], "restart: it goes on") != NULL;
    return count;
}

static void an_unknown_incarnation_waits_ten_seconds_and_one_of_two_workers_adopts_it(void **state) {
    (void)state;
    struct rig *rig = begin("", 2);
    rig_start_worker(rig);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_run_for(rig, 2500);
    fake_database_stop(&rig->database);
    rig_run_for(rig, 1000);
    fake_database_start(&rig->database);
    workload_many(rig, 0, "b", 3);
    workload_many(rig, 1, "c", 3);
    uint64_t commits = rig->database.commit_count;
    rig_run_for(rig, 9500);
    assert_int_equal(rig->database.commit_count, commits);
    assert_true(rig->database.tables.ledger.incarnation_us != rig->database.server_started_us);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    assert_true(rig->database.tables.ledger.incarnation_us == rig->database.server_started_us);
    assert_int_equal(adoptions(rig), 1);
    end(rig);
}

static void a_generation_raised_during_the_comparison_does_not_halt_the_ledger(void **state) {
    (void)state;
    struct rig *rig = begin("w1.read_rows#1:freeze-after=3000", 1);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    fake_database_stop(&rig->database); /* before the row knows of the replies: the comparison reads them */
    fake_database_start(&rig->database);
    rig_run_for(rig, 12000); /* it has read the rows and stands still */
    rig->history.tampered = true;
    fake_broker_recreate(&rig->broker, TOPIC_REQUESTS);
    struct pay_lane_row *recovered = row(rig, 0); /* as a person does who accepts the loss of the request log */
    recovered->log_generation = 2;
    recovered->next_offset = recovered->replied_offset = 0;
    recovered->anchor.present = false;
    rig_run_for(rig, 30000);
    assert_false(rig->database.tables.ledger.halted);
    assert_true(rig->database.tables.ledger.incarnation_us == rig->database.server_started_us);
    end(rig);
}

/* Its wait for the replies on the wire begins when it knows, not with the pass in which it stood still. */
static void the_comparison_waits_ten_seconds_from_when_it_knew(void **state) {
    (void)state;
    struct rig *rig = begin("w1.read_ledger#2:freeze-after=8000", 1);
    rig_start_worker(rig);
    rig_run_for(rig, 1000);
    fake_database_stop(&rig->database);
    fake_database_start(&rig->database);
    rig_run_for(rig, 17500);
    assert_true(rig->database.tables.ledger.incarnation_us != rig->database.server_started_us);
    rig_run_for(rig, 2000);
    assert_true(rig->database.tables.ledger.incarnation_us == rig->database.server_started_us);
    ends_well(rig, 1000);
}

static void a_halted_ledger_goes_on_when_a_person_lifts_it(void **state) {
    (void)state;
    struct rig *rig = begin("", 1);
    rig_start_worker(rig);
    rig_run_for(rig, 1000);
    rig->database.tables.ledger.halted = true;
    workload_many(rig, 0, "a", 3);
    rig_run_for(rig, 20000);
    assert_int_equal(row(rig, 0)->next_offset, 0);
    rig->database.tables.ledger.halted = false;
    ends_well(rig, 20000);
}

/* ---- the process ---- */

static void a_failed_precondition_ends_the_worker_before_it_claims_anything(void **state) {
    (void)state;
    struct rig *rig = begin("", 1);
    rig->broker.refusal = "pay.requests has message.timestamp.type=CreateTime";
    struct rig_worker *worker = rig_start_worker(rig);
    rig->restart_after_ms = 0;
    workload_many(rig, 0, "a", 3);
    rig_run_for(rig, 5000);
    assert_false(worker->alive);
    assert_int_equal(row(rig, 0)->owner_epoch, 0);
    end(rig);
}

static void a_new_partition_gets_its_row_from_the_worker(void **state) {
    (void)state;
    struct rig *rig = begin("", 2);
    rig->database.tables.lane_count = 1;
    workload_many(rig, 0, "a", 2);
    workload_many(rig, 1, "b", 2);
    rig_start_worker(rig);
    ends_well(rig, 20000);
}

static void a_lost_row_of_a_partition_that_has_replies_is_not_made_anew(void **state) {
    (void)state;
    struct rig *rig = at_rest(2);
    rig->database.tables.lane_count = 1;
    workload_many(rig, 1, "later", 2);
    rig_start_worker(rig);
    rig_run_for(rig, 20000);
    assert_int_equal(rig->database.tables.lane_count, 1);
    assert_int_equal(workload_reply_count(rig, 1), 2);
    end(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_log_cut_below_p_halts_its_lane_at_the_second_look),
        cmocka_unit_test(a_request_log_that_comes_back_before_the_second_look_halts_nothing),
        cmocka_unit_test(two_looks_are_ten_seconds_apart_although_the_first_came_late),
        cmocka_unit_test(other_records_at_the_anchor_halt_their_lane),
        cmocka_unit_test(a_topic_made_anew_under_a_running_worker_halts_its_lanes_within_a_minute),
        cmocka_unit_test(a_topic_made_anew_during_a_pause_inside_a_pass_settles_nothing_of_it),
        cmocka_unit_test(a_topic_made_anew_beside_an_error_event_halts_its_idle_lane_within_a_minute),
        cmocka_unit_test(a_topic_made_anew_during_a_pause_settles_nothing_of_it),
        cmocka_unit_test(a_topic_made_anew_during_a_pause_moves_no_p),
        cmocka_unit_test(a_topic_made_anew_beside_an_error_event_moves_no_p),
        cmocka_unit_test(a_longer_topic_made_anew_under_an_idle_worker_settles_nothing_of_it),
        cmocka_unit_test(a_shorter_topic_made_anew_under_a_running_worker_halts_its_lane),
        cmocka_unit_test(requests_that_retention_ate_before_they_were_settled_halt_their_lane),
        cmocka_unit_test(requests_that_retention_ate_after_they_were_answered_are_not_missed),
        cmocka_unit_test(retention_above_the_anchor_under_a_running_worker_is_not_missed),
        cmocka_unit_test(requests_that_retention_ate_before_they_were_answered_halt_their_lane),
        cmocka_unit_test(a_reply_log_cut_below_acknowledged_replies_halts_its_lane_at_the_second_look),
        cmocka_unit_test(a_reply_log_whose_old_end_is_gone_by_retention_is_read_from_its_start),
        cmocka_unit_test(a_reply_of_another_ledger_halts_its_lane),
        cmocka_unit_test(records_without_our_headers_in_the_reply_log_are_skipped),
        cmocka_unit_test(rows_of_another_group_or_cluster_are_not_taken),
        cmocka_unit_test(a_poison_record_halts_its_lane_and_the_others_go_on),
        cmocka_unit_test(a_missing_dead_letter_stops_only_its_lane),
        cmocka_unit_test(a_dead_letter_too_large_for_its_topic_becomes_a_stub),
        cmocka_unit_test(a_full_window_stops_fetching_only_its_lane),
        cmocka_unit_test(a_database_put_back_halts_the_whole_ledger),
        cmocka_unit_test(a_database_put_back_settles_nothing_where_nothing_was_lost_either),
        cmocka_unit_test(replies_beyond_p_halt_the_whole_ledger_also_without_a_restart),
        cmocka_unit_test(a_claim_overtaken_by_another_session_does_not_halt_the_ledger),
        cmocka_unit_test(an_unknown_incarnation_waits_ten_seconds_and_one_of_two_workers_adopts_it),
        cmocka_unit_test(a_generation_raised_during_the_comparison_does_not_halt_the_ledger),
        cmocka_unit_test(the_comparison_waits_ten_seconds_from_when_it_knew),
        cmocka_unit_test(a_halted_ledger_goes_on_when_a_person_lifts_it),
        cmocka_unit_test(a_failed_precondition_ends_the_worker_before_it_claims_anything),
        cmocka_unit_test(a_new_partition_gets_its_row_from_the_worker),
        cmocka_unit_test(a_lost_row_of_a_partition_that_has_replies_is_not_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
