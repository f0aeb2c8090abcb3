/*
 * One lane halts: what must not go on by itself stands still, with its own reason, and takes nobody else with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two partitions with `count` answered payments each, everything at rest, and no worker. */
static struct rig *at_rest(uint32_t count) {
    struct rig *rig = scene_answered(2, count);
    struct rig_worker *worker = &rig->workers[0];
    rig_stop(worker);
    rig_run_for(rig, 6000);
    assert_false(worker->alive);
    return rig;
}

/* After something was done to partition 0: it halts with this reason, not before the second look where there is one, and partition 1 goes on. */
static void only_lane_0_halts(struct rig *rig, enum pay_halt reason, bool at_once) {
    uint32_t answered = workload_reply_count(rig, 0);
    rig->history.halt_within_ms = at_once ? 5000 : 20000;
    rig_start_worker(rig);
    rig_run_for(rig, 5000);
    assert_int_equal(scene_halted(rig, 0), at_once ? reason : PAY_HALT_NONE);
    workload_many(rig, 1, "later", 2);
    rig_run_for(rig, 30000);
    assert_int_equal(scene_halted(rig, 0), reason);
    assert_int_equal(workload_reply_count(rig, 0), answered);
    assert_int_equal(scene_halted(rig, 1), PAY_HALT_NONE);
    assert_false(rig->database.tables.ledger.halted);
    scene_ends_well(rig, 1000);
}

/* ---- one lane ---- */

static void a_request_log_cut_below_p_halts_its_lane_at_the_second_look(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    scene_tamper(rig, TAMPERED_REQUESTS_CUT, 0);
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
    scene_ends_well(rig, 20000);
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
    assert_int_equal(scene_halted(rig, 0), PAY_HALT_NONE);
    scene_ends_well(rig, 20000);
}

static void other_records_at_the_anchor_halt_their_lane(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    struct fake_log *log = fake_broker_log(&rig->broker, TOPIC_REQUESTS, 0);
    scene_tamper(rig, TAMPERED_REQUESTS_REPLACED, 0);
    fake_broker_truncate(&rig->broker, TOPIC_REQUESTS, 0, 0);
    workload_many(rig, 0, "other", 6);
    assert_int_equal(log->end, 6);
    only_lane_0_halts(rig, PAY_HALT_LOG_REPLACED, true);
}

static void requests_that_retention_ate_before_they_were_settled_halt_their_lane(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    workload_many(rig, 0, "unsettled", 3);
    scene_tamper(rig, TAMPERED_REQUESTS_EATEN, 0);
    fake_broker_move_start(&rig->broker, TOPIC_REQUESTS, 0, 6);
    only_lane_0_halts(rig, PAY_HALT_REQUESTS_LOST, true);
}

static void requests_that_retention_ate_after_they_were_answered_are_not_missed(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    fake_broker_move_start(&rig->broker, TOPIC_REQUESTS, 0, 4);
    rig_start_worker(rig);
    workload_many(rig, 0, "later", 2);
    scene_ends_well(rig, 5000);
}

static void retention_above_the_anchor_under_a_running_worker_is_not_missed(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 1);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 4);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    fake_broker_move_start(&rig->broker, TOPIC_REQUESTS, 0, 4);
    rig_run_for(rig, 130000);
    workload_many(rig, 0, "later", 2);
    scene_ends_well(rig, 5000);
}

static void requests_that_retention_ate_before_they_were_answered_halt_their_lane(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w1.settle_end#1:crash-after", 2);
    workload_many(rig, 0, "a", 4);
    rig->restart_after_ms = 0;
    rig_start_worker(rig);
    rig_run_for(rig, 15000);
    assert_int_equal(scene_row(rig, 0)->next_offset, 4);
    assert_int_equal(workload_reply_count(rig, 0), 0);
    scene_tamper(rig, TAMPERED_REQUESTS_EATEN, 0);
    fake_broker_move_start(&rig->broker, TOPIC_REQUESTS, 0, 4);
    only_lane_0_halts(rig, PAY_HALT_REPLIES_LOST, true);
}

static void a_reply_log_cut_below_acknowledged_replies_halts_its_lane_at_the_second_look(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    scene_tamper(rig, TAMPERED_REPLIES_CUT, 0);
    fake_broker_truncate(&rig->broker, TOPIC_REPLIES, 0, 2);
    only_lane_0_halts(rig, PAY_HALT_REPLY_LOG_TRUNCATED, false);
}

static void a_reply_log_whose_old_end_is_gone_by_retention_is_read_from_its_start(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    fake_broker_move_start(&rig->broker, TOPIC_REPLIES, 0, 4);
    rig_start_worker(rig);
    workload_many(rig, 0, "later", 2);
    scene_ends_well(rig, 5000);
}

static void a_reply_of_another_ledger_halts_its_lane(void **state) {
    (void)state;
    struct rig *rig = at_rest(4);
    const struct pay_header headers[] = {{"source-offset", "4", 1},
                                         {"covers-from", "4", 1},
                                         {"log-generation", "1", 1},
                                         {"ledger-id", "0190f3c0-0000-7000-8000-00000000ffff", 36}};
    scene_tamper(rig, TAMPERED_FOREIGN_LEDGER, 0);
    fake_broker_append(&rig->broker, TOPIC_REPLIES, 0, "x", "{}", headers, 4);
    rig_start_worker(rig);
    rig_run_for(rig, 5000);
    workload_many(rig, 1, "later", 2);
    rig_run_for(rig, 5000);
    assert_int_equal(scene_halted(rig, 0), PAY_HALT_FOREIGN_LEDGER);
    scene_ends_well(rig, 1000);
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
    scene_ends_well(rig, 5000);
}

static void rows_of_another_group_or_cluster_are_not_taken(void **state) {
    (void)state;
    struct rig *rig = at_rest(2);
    scene_tamper(rig, TAMPERED_OTHER_GROUP, 0);
    snprintf(fake_database_lane(&rig->database, 0)->group_id, FAKE_NAME_MAX, "another");
    int64_t epoch = scene_row(rig, 0)->owner_epoch;
    workload_many(rig, 0, "later", 2);
    workload_many(rig, 1, "later", 2);
    rig_start_worker(rig);
    rig_run_for(rig, 5000);
    assert_int_equal(scene_row(rig, 0)->owner_epoch, epoch);
    assert_int_equal(scene_row(rig, 0)->next_offset, 2);
    scene_ends_well(rig, 1000);
}

/* ---- a record ---- */

static void a_poison_record_halts_its_lane_and_the_others_go_on(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 2);
    rig->database.poison_order = "poison-0";
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 2);
    workload_many(rig, 0, "poison", 1);
    workload_many(rig, 0, "after", 2);
    workload_many(rig, 1, "b", 4);
    rig_run_for(rig, 8000);
    assert_int_equal(scene_halted(rig, 0), PAY_HALT_POISON);
    assert_true(scene_counters(&rig->workers[0])->halved > 0);
    assert_int_equal(scene_row(rig, 0)->next_offset, 2);
    assert_int_equal(workload_reply_count(rig, 0), 2);
    assert_int_equal(scene_halted(rig, 1), PAY_HALT_NONE);
    assert_true(history_all_answered(&rig->history, 1));
    rig->database.poison_order = NULL; /* a person has looked */
    scene_row(rig, 0)->halted = PAY_HALT_NONE;
    scene_ends_well(rig, 30000);
}

/* The row that answers `order_id`; changed by hand. */
static struct fake_payment *row_of(struct rig *rig, const char *order_id) {
    for (uint32_t i = 0; i < rig->database.tables.payment_count; i++)
        if (strcmp(rig->database.tables.payments[i].order_id, order_id) == 0) return &rig->database.tables.payments[i];
    fail_msg("no row of %s", order_id);
    return NULL;
}

static void a_row_at_an_impossible_place_halts_the_lane_that_asks_for_it_and_the_others_go_on(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 2);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    rig_run_for(rig, 8000);
    struct fake_payment *row = row_of(rig, "a-1");
    int64_t offset = row->decision.position.offset;
    row->decision.position.offset = -5;
    workload_many(rig, 0, "a", 3);
    workload_many(rig, 1, "b", 4);
    rig_run_for(rig, 8000);
    assert_int_equal(scene_halted(rig, 0), PAY_HALT_BROKEN_INVARIANT);
    assert_int_equal(scene_row(rig, 0)->next_offset, 3);
    assert_int_equal(workload_reply_count(rig, 0), 3);
    assert_int_equal(scene_halted(rig, 1), PAY_HALT_NONE);
    assert_true(history_all_answered(&rig->history, 1));
    row_of(rig, "a-1")->decision.position.offset = offset; /* a person has looked */
    scene_row(rig, 0)->halted = PAY_HALT_NONE;
    scene_ends_well(rig, 30000);
}

static void a_missing_dead_letter_stops_only_its_lane(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 2);
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
    scene_ends_well(rig, 30000);
}

static void a_dead_letter_too_large_for_its_topic_becomes_a_stub(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 1);
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
    scene_end(rig);
}

/* More than a lane may hold unanswered, all behind one dead letter that nobody acknowledges. */
static void a_full_window_stops_fetching_only_its_lane(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 2);
    rig->batch_records_max = 2000;
    rig->broker.dead_letters_hang = true;
    rig_start_worker(rig);
    rig_run_for(rig, 1000);
    fake_broker_append_request(&rig->broker, 0, "g", "garbage");
    for (int i = 0; i < PAY_LANE_UNREPLIED_MAX + 1000; i++) workload_pay(rig, 0, "same", 1, "alice", 1);
    rig_run_for(rig, 5000);
    assert_true(scene_row(rig, 0)->next_offset <= PAY_LANE_UNREPLIED_MAX);
    workload_many(rig, 1, "b", 3);
    rig_run_for(rig, 5000);
    assert_true(history_all_answered(&rig->history, 1));
    rig->broker.dead_letters_hang = false;
    scene_ends_well(rig, 60000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_log_cut_below_p_halts_its_lane_at_the_second_look),
        cmocka_unit_test(a_request_log_that_comes_back_before_the_second_look_halts_nothing),
        cmocka_unit_test(two_looks_are_ten_seconds_apart_although_the_first_came_late),
        cmocka_unit_test(other_records_at_the_anchor_halt_their_lane),
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
        cmocka_unit_test(a_row_at_an_impossible_place_halts_the_lane_that_asks_for_it_and_the_others_go_on),
        cmocka_unit_test(a_missing_dead_letter_stops_only_its_lane),
        cmocka_unit_test(a_dead_letter_too_large_for_its_topic_becomes_a_stub),
        cmocka_unit_test(a_full_window_stops_fetching_only_its_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
