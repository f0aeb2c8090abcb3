/*
 * Sessions: zombies, unknown commits, fences, races, rebalances - what must go on by itself, with the right answers.
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

static bool six_settled(struct rig *rig) {
    return scene_row(rig, 0)->next_offset == 6 && workload_reply_count(rig, 0) >= 1;
}

static void a_zombie_repeats_replies_and_every_reader_drops_them(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 1);
    rig->broker.records_per_request = 1;
    rig->broker.latency_ms = 50;
    workload_many(rig, 0, "z", 6);
    struct rig_worker *zombie = rig_start_worker(rig);
    assert_true(rig_run(rig, six_settled, 5000));
    rig_freeze(zombie, 30000);
    rig_start_worker(rig);
    rig_run_for(rig, 29000);
    assert_true(history_all_answered(&rig->history, 0));
    workload_many(rig, 0, "y", 2);
    rig_run_for(rig, 3000);
    assert_true(history_judge_complete(&rig->history));
    assert_true(rig->history.copies > 0);
    scene_ends_well(rig, 5000);
}

static void a_zombie_that_thaws_inside_its_settle_commits_nothing(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w1.settle_read#1:freeze-after=15000", 1);
    workload_many(rig, 0, "z", 3);
    struct rig_worker *zombie = rig_start_worker(rig);
    rig_run_for(rig, 500);
    rig_start_worker(rig);
    rig_run_for(rig, 20000);
    assert_int_equal(scene_counters(zombie)->batches, 0);
    scene_ends_well(rig, 5000);
}

static void a_zombie_whose_commit_was_sent_has_settled_and_the_next_owner_answers(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w1.settle_write#1:freeze-after=15000", 1);
    workload_many(rig, 0, "z", 3);
    rig_start_worker(rig);
    rig_run_for(rig, 500);
    struct rig_worker *next = rig_start_worker(rig);
    rig_run_for(rig, 14000);
    assert_int_equal(scene_counters(next)->looked_up, 3);
    assert_int_equal(scene_counters(next)->records, 0);
    scene_ends_well(rig, 10000);
}

static void an_unknown_commit_that_was_applied_is_answered_from_its_rows(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w1.settle_end#1:late-fail=SESSION_OVER", 1);
    workload_many(rig, 0, "u", 3);
    struct rig_worker *worker = rig_start_worker(rig);
    rig_run(rig, rig_all_answered, 5000);
    assert_int_equal(scene_counters(worker)->looked_up, 3);
    assert_int_equal(scene_counters(worker)->records, 0);
    scene_ends_well(rig, 5000);
}

static void an_unknown_commit_that_was_lost_is_settled_again(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w1.settle_end#1:fail=SESSION_OVER", 1);
    workload_many(rig, 0, "u", 3);
    struct rig_worker *worker = rig_start_worker(rig);
    rig_run(rig, rig_all_answered, 5000);
    assert_int_equal(scene_counters(worker)->looked_up, 0);
    assert_int_equal(scene_counters(worker)->records, 3);
    scene_ends_well(rig, 5000);
}

static void a_fenced_owner_waits_ten_seconds_and_then_claims_again(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 1);
    struct rig_worker *worker = rig_start_worker(rig);
    rig_run_for(rig, 1000);
    scene_row(rig, 0)->owner[0] ^= 0xff; /* a session that the group knows nothing of has claimed it, and is gone */
    int64_t epoch = ++scene_row(rig, 0)->owner_epoch;
    workload_many(rig, 0, "f", 2);
    rig_run_for(rig, 9000);
    assert_int_equal(scene_counters(worker)->fenced, 1);
    assert_int_equal(scene_row(rig, 0)->owner_epoch, epoch);
    rig_run_for(rig, 4000);
    assert_int_equal(scene_row(rig, 0)->owner_epoch, epoch + 1);
    scene_ends_well(rig, 5000);
}

static void two_sessions_that_want_one_lane_do_not_duel(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w1.claim#1:freeze-before=20000", 1);
    rig_start_worker(rig);
    rig_run_for(rig, 100);
    struct rig_worker *owner = rig_start_worker(rig);
    for (int i = 0; i < 30; i++) { /* the frozen one thaws in between, claims by an old assignment, and finds out */
        workload_pay(rig, 0, "d-1", 1, "alice", 1);
        rig_run_for(rig, 2000);
    }
    assert_true(scene_row(rig, 0)->owner_epoch <= 4);
    assert_true(scene_counters(owner)->fenced <= 1);
    scene_ends_well(rig, 15000);
}

static void a_frozen_owner_s_transaction_does_not_keep_the_next_one_out(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w1.settle_read#1:freeze-before=60000", 1);
    workload_many(rig, 0, "f", 2);
    rig_start_worker(rig);
    rig_run_for(rig, 9500); /* the row is locked, and then it is not: 2 s of idle_in_transaction */
    rig_start_worker(rig);
    rig_run_for(rig, 4000);
    assert_true(history_all_answered(&rig->history, 0));
    scene_ends_well(rig, 70000);
}

/* Settles of both partitions read at the same time: their accounts differ, their identity doesn't. */
static void the_same_identity_on_two_partitions_is_decided_once(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w1.settle_read#1:delay=40,w2.settle_read#1:delay=40", 2);
    rig_start_worker(rig);
    rig_start_worker(rig);
    rig_run_for(rig, 3000);
    workload_pay(rig, 0, "same", 1, "alice", 5);
    workload_pay(rig, 1, "same", 1, "bob", 5);
    rig_run_for(rig, 2000);
    uint64_t redone = 0, conflicts = 0;
    for (uint32_t i = 0; i < 2; i++) {
        redone += scene_counters(&rig->workers[i])->redone;
        conflicts += scene_counters(&rig->workers[i])->conflicts;
    }
    assert_int_equal(redone, 1);
    assert_int_equal(conflicts, 1);
    assert_int_equal(rig->database.tables.payment_count, 1);
    scene_ends_well(rig, 5000);
}

static bool somebody_is_settling(struct rig *rig) {
    for (uint32_t i = 0; i < FAKE_CONNECTIONS_MAX; i++) {
        enum fake_transaction_state state = rig->database.connections[i].transaction.state;
        if (rig->database.connections[i].id != 0 && (state == TRANSACTION_READY || state == TRANSACTION_WRITING))
            return true;
    }
    return false;
}

static void a_rebalance_in_the_middle_of_a_settle_loses_nothing(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 3);
    rig->database.latency_ms = 20;
    rig_start_worker(rig);
    rig_run_for(rig, 500);
    for (int round = 0; round < 6; round++) {
        for (int32_t partition = 0; partition < 3; partition++) {
            char prefix[32];
            snprintf(prefix, sizeof prefix, "r-%d-%d", round, partition);
            workload_many(rig, partition, prefix, 4);
        }
        assert_true(rig_run(rig, somebody_is_settling, 5000));
        if (round == 1 || round == 3)
            rig_start_worker(rig);
        else
            fake_broker_rebalance(&rig->broker);
        rig_run_for(rig, 300);
    }
    scene_ends_well(rig, 30000);
}

static void three_workers_share_the_partitions_and_one_gets_them_all_in_the_end(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 3);
    struct rig_worker *workers[3];
    for (int i = 0; i < 3; i++) workers[i] = rig_start_worker(rig);
    workload_many(rig, 0, "a", 5);
    workload_many(rig, 1, "b", 5);
    workload_many(rig, 2, "c", 5);
    rig_run_for(rig, 2000);
    rig_stop(workers[0]);
    rig_stop(workers[1]);
    rig_run_for(rig, 8000);
    assert_false(workers[0]->alive || workers[1]->alive);
    workload_many(rig, 0, "d", 5);
    scene_ends_well(rig, 5000);
}

static void a_stopped_worker_leaves_nothing_between_p_and_the_replies(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 2);
    struct rig_worker *worker = rig_start_worker(rig);
    rig_run_for(rig, 1000);
    workload_first_part(rig);
    rig_run_for(rig, 2);
    rig_stop(worker);
    rig_run_for(rig, 5000);
    assert_false(worker->alive);
    for (int32_t partition = 0; partition < 2; partition++) {
        const struct pay_lane_row *lane = scene_row(rig, partition);
        assert_int_equal(lane->replied_offset, lane->next_offset);
        assert_int_equal(lane->reply_position, fake_broker_log(&rig->broker, TOPIC_REPLIES, partition)->end);
    }
    rig_start_worker(rig);
    scene_ends_well(rig, 5000);
}

static void a_worker_stopped_at_any_moment_waits_for_its_replies(void **state) {
    (void)state;
    for (int64_t after_ms = 0; after_ms < 100; after_ms += 3) {
        struct rig *rig = scene_begin("", 1);
        rig->database.latency_ms = 5;
        rig->broker.latency_ms = 20;
        struct rig_worker *worker = rig_start_worker(rig);
        rig_run_for(rig, 1000);
        workload_many(rig, 0, "s", 4);
        rig_run_for(rig, after_ms);
        rig_stop(worker);
        rig_run_for(rig, 5000);
        assert_false(worker->alive);
        assert_int_equal(scene_row(rig, 0)->replied_offset, scene_row(rig, 0)->next_offset);
        assert_int_equal(scene_row(rig, 0)->reply_position, fake_broker_log(&rig->broker, TOPIC_REPLIES, 0)->end);
        rig_start_worker(rig);
        scene_ends_well(rig, 5000);
    }
}

/* A library that sends no more: on a real one after a wall clock that jumped back an hour (docs/decisions/027). */
static void a_producer_that_stands_still_is_replaced_within_a_minute(void **state) {
    (void)state;
    struct rig *rig = scene_begin("p1:late-ack=3600000", 1);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    rig_run_for(rig, 5000);
    workload_many(rig, 0, "b", 3);
    scene_ends_well(rig, 60000);
}

static bool four_settled(struct rig *rig) { return scene_row(rig, 0)->next_offset == 4; }

/* One worker, its replies on their way, and a second one that joins. */
static struct rig *a_second_worker_joins(const char *script, struct rig_worker *ret_workers[2]) {
    struct rig *rig = scene_begin(script, 2);
    rig->broker.latency_ms = 50;
    ret_workers[0] = rig_start_worker(rig);
    rig_run_for(rig, 1000);
    workload_many(rig, 0, "r", 4);
    assert_true(rig_run(rig, four_settled, 5000));
    assert_int_equal(workload_reply_count(rig, 0), 0);
    ret_workers[1] = rig_start_worker(rig);
    return rig;
}

static void a_revoke_waits_for_replies_on_their_way(void **state) {
    (void)state;
    struct rig_worker *workers[2];
    struct rig *rig = a_second_worker_joins("", workers);
    rig_run_for(rig, 10000);
    assert_int_equal(scene_counters(workers[0])->looked_up + scene_counters(workers[1])->looked_up, 0);
    assert_int_equal(workload_reply_count(rig, 0), 4);
    scene_ends_well(rig, 5000);
}

static void a_revoke_waits_two_seconds_and_no_longer(void **state) {
    (void)state;
    struct rig_worker *workers[2];
    struct rig *rig = a_second_worker_joins("p1:lost", workers); /* sent again after ten seconds */
    int64_t epoch = scene_row(rig, 0)->owner_epoch;
    rig_run_for(rig, 1500);
    assert_int_equal(scene_row(rig, 0)->owner_epoch, epoch);
    rig_run_for(rig, 2500);
    assert_int_equal(scene_row(rig, 0)->owner_epoch, epoch + 1);
    scene_ends_well(rig, 30000);
}

static void a_lying_report_ends_only_the_session_of_its_lanes(void **state) {
    (void)state;
    struct rig *rig = scene_begin("p2:lie-kept", 4); /* four lanes of one worker: two producers */
    rig->broker.records_per_request = 1;
    struct rig_worker *worker = rig_start_worker(rig);
    rig_run_for(rig, 1000);
    int64_t epoch_0 = scene_row(rig, 0)->owner_epoch, epoch_3 = scene_row(rig, 3)->owner_epoch;
    workload_many(rig, 0, "a", 3);
    workload_many(rig, 3, "b", 3);
    rig_run_for(rig, 3000);
    assert_int_equal(scene_counters(worker)->publishers_lost, 1);
    assert_int_equal(scene_counters(worker)->sessions_ended, 0);
    bool first = scene_row(rig, 0)->owner_epoch == epoch_0 + 1 && scene_row(rig, 3)->owner_epoch == epoch_3;
    bool second = scene_row(rig, 0)->owner_epoch == epoch_0 && scene_row(rig, 3)->owner_epoch == epoch_3 + 1;
    assert_true(first || second);
    scene_ends_well(rig, 5000);
}

static void a_fatal_producer_is_replaced(void **state) {
    (void)state;
    struct rig *rig = scene_begin("p2:fatal", 1);
    workload_many(rig, 0, "a", 8);
    rig_start_worker(rig);
    scene_ends_well(rig, 10000);
}

static void several_requests_in_flight_leave_a_hole_that_the_next_claim_fills(void **state) {
    (void)state;
    struct rig *rig = scene_begin("p1:refuse", 1);
    rig->broker.requests_in_flight_max = 3;
    rig->broker.records_per_request = 1;
    rig->history.gaps_allowed = true;
    workload_many(rig, 0, "a", 3);
    struct rig_worker *worker = rig_start_worker(rig);
    rig_run_for(rig, 5000);
    assert_true(scene_counters(worker)->publishers_lost >= 1);
    assert_true(history_judge_complete(&rig->history));
    assert_true(rig->history.gaps > 0);
    scene_ends_well(rig, 5000);
}

static void a_stale_high_watermark_at_a_claim_only_repeats_replies(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w2.reply_bounds#1:stale=3", 1);
    workload_many(rig, 0, "a", 6);
    struct rig_worker *first = rig_start_worker(rig);
    rig_run_for(rig, 500);
    assert_true(history_all_answered(&rig->history, 0));
    rig_crash(rig, first); /* before a rest wrote the pair: the next one reads from 0, up to a stale end */
    rig_run_for(rig, 15000);
    assert_true(history_judge_complete(&rig->history));
    assert_int_equal(rig->history.copies, 3);
    scene_ends_well(rig, 5000);
}

static void an_open_transaction_holds_its_lane_and_its_end_lets_it_go(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 2);
    rig_start_worker(rig);
    fake_broker_begin_transaction(&rig->broker, TOPIC_REQUESTS, 0);
    workload_many(rig, 0, "t", 2);
    workload_many(rig, 1, "u", 2);
    rig_run_for(rig, 3000);
    assert_true(history_all_answered(&rig->history, 1));
    assert_int_equal(scene_row(rig, 0)->next_offset, 0);
    fake_broker_end_transaction(&rig->broker, TOPIC_REQUESTS, 0, true);
    rig_run_for(rig, 2000);
    assert_int_equal(workload_reply_count(rig, 0), 2);
    fake_broker_begin_transaction(&rig->broker, TOPIC_REQUESTS, 0);
    workload_many(rig, 0, "never", 2);
    fake_broker_end_transaction(&rig->broker, TOPIC_REQUESTS, 0, false);
    workload_many(rig, 0, "v", 1);
    rig_run_for(rig, 2000);
    assert_int_equal(workload_reply_count(rig, 0), 3);
    scene_ends_well(rig, 5000);
}

static void an_empty_batch_over_a_control_record_then_a_claim_gives_no_false_gap(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 1);
    struct rig_worker *first = rig_start_worker(rig);
    workload_many(rig, 0, "a", 2);
    fake_broker_append_control(&rig->broker, TOPIC_REQUESTS, 0);
    fake_broker_append_control(&rig->broker, TOPIC_REQUESTS, 0);
    rig_run_for(rig, 4000);
    assert_int_equal(scene_row(rig, 0)->next_offset, 4);
    assert_int_equal(scene_row(rig, 0)->replied_offset, 2);
    rig_crash(rig, first);
    rig_run_for(rig, 15000);
    workload_many(rig, 0, "b", 1);
    rig_run_for(rig, 2000);
    assert_true(history_judge_complete(&rig->history));
    assert_int_equal(rig->history.gaps, 0);
    scene_ends_well(rig, 5000);
}

static void a_redone_settle_moves_no_p_over_what_was_received_meanwhile(void **state) {
    (void)state;
    struct rig *rig = scene_begin(
        "w1.settle_read#1:delay=800,w1.settle_write#1:fail=REDO,w1.settle_read#2:delay=800,w1.settle_write#2:fail=REDO",
        2);
    rig_start_worker(rig);
    rig_run_for(rig, 1000);
    workload_many(rig, 0, "a", 1);
    rig_run_for(rig, 500); /* the settle of partition 0 is read; it fails twice, past the next rest */
    workload_many(rig, 1, "b", 2);
    scene_ends_well(rig, 10000);
}

static void the_database_is_away_for_minutes_and_back(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 2);
    rig_start_worker(rig);
    rig_run_for(rig, 1000);
    workload_first_part(rig);
    rig_run_for(rig, 2);
    fake_database_stop(&rig->database);
    rig_run_for(rig, 180000);
    fake_database_start(&rig->database);
    workload_second_part(rig);
    scene_ends_well(rig, 30000);
}

static void the_broker_is_away_for_minutes_and_back(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 2);
    rig_start_worker(rig);
    rig_run_for(rig, 1000);
    workload_first_part(rig);
    rig_run_for(rig, 4);
    rig->broker.down = true;
    rig_run_for(rig, 180000);
    rig->broker.down = false;
    workload_second_part(rig);
    scene_ends_well(rig, 30000);
}

static void records_that_come_twice_are_settled_once(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w1.next_record#4:redeliver=3", 1);
    workload_many(rig, 0, "a", 8);
    struct rig_worker *worker = rig_start_worker(rig);
    rig_run(rig, rig_all_answered, 5000);
    assert_int_equal(scene_counters(worker)->records, 8);
    scene_ends_well(rig, 5000);
}

static void headers_travel_tenant_and_traceparent(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 1);
    fake_database_open_account(&rig->database, "acme", "alice", "EUR", 50, 0);
    static const char value[] = "{\"order_id\":\"h-1\",\"account_id\":\"alice\",\"amount_minor\":20,\"currency\":"
                                "\"EUR\",\"metadata\":{\"a\":[1, 2]}}";
    const struct pay_header good[] = {{"traceparent", "00-1-2-01", 9}, {"tenant", "acme", 4}};
    const struct pay_header twice[] = {{"tenant", "acme", 4}, {"tenant", "acme", 4}};
    const struct pay_header malformed[] = {{"tenant", "a b", 3}};
    fake_broker_append(&rig->broker, TOPIC_REQUESTS, 0, "h-1", value, good, 2);
    fake_broker_append(&rig->broker, TOPIC_REQUESTS, 0, "h-1", value, twice, 2);
    fake_broker_append(&rig->broker, TOPIC_REQUESTS, 0, "h-1", value, malformed, 1);
    fake_broker_append(&rig->broker, TOPIC_REQUESTS, 0, "h-2", value, good, 2);
    fake_broker_append(&rig->broker, TOPIC_REQUESTS, 0, "h-1", value, NULL, 0);
    rig_start_worker(rig);
    rig_run(rig, rig_all_answered, 5000);
    assert_non_null(strstr(workload_reply(rig, 0, 0), "\"outcome\":\"paid\""));
    assert_non_null(strstr(workload_reply(rig, 0, 1), "bad_tenant"));
    assert_non_null(strstr(workload_reply(rig, 0, 2), "bad_tenant"));
    assert_non_null(strstr(workload_reply(rig, 0, 3), "key_mismatch"));
    assert_non_null(strstr(workload_reply(rig, 0, 4), "\"outcome\":\"paid\""));
    scene_ends_well(rig, 5000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zombie_repeats_replies_and_every_reader_drops_them),
        cmocka_unit_test(a_zombie_that_thaws_inside_its_settle_commits_nothing),
        cmocka_unit_test(a_zombie_whose_commit_was_sent_has_settled_and_the_next_owner_answers),
        cmocka_unit_test(an_unknown_commit_that_was_applied_is_answered_from_its_rows),
        cmocka_unit_test(an_unknown_commit_that_was_lost_is_settled_again),
        cmocka_unit_test(a_fenced_owner_waits_ten_seconds_and_then_claims_again),
        cmocka_unit_test(two_sessions_that_want_one_lane_do_not_duel),
        cmocka_unit_test(a_frozen_owner_s_transaction_does_not_keep_the_next_one_out),
        cmocka_unit_test(the_same_identity_on_two_partitions_is_decided_once),
        cmocka_unit_test(a_rebalance_in_the_middle_of_a_settle_loses_nothing),
        cmocka_unit_test(three_workers_share_the_partitions_and_one_gets_them_all_in_the_end),
        cmocka_unit_test(a_stopped_worker_leaves_nothing_between_p_and_the_replies),
        cmocka_unit_test(a_worker_stopped_at_any_moment_waits_for_its_replies),
        cmocka_unit_test(a_revoke_waits_for_replies_on_their_way),
        cmocka_unit_test(a_revoke_waits_two_seconds_and_no_longer),
        cmocka_unit_test(a_lying_report_ends_only_the_session_of_its_lanes),
        cmocka_unit_test(a_fatal_producer_is_replaced),
        cmocka_unit_test(a_producer_that_stands_still_is_replaced_within_a_minute),
        cmocka_unit_test(several_requests_in_flight_leave_a_hole_that_the_next_claim_fills),
        cmocka_unit_test(a_stale_high_watermark_at_a_claim_only_repeats_replies),
        cmocka_unit_test(an_open_transaction_holds_its_lane_and_its_end_lets_it_go),
        cmocka_unit_test(an_empty_batch_over_a_control_record_then_a_claim_gives_no_false_gap),
        cmocka_unit_test(a_redone_settle_moves_no_p_over_what_was_received_meanwhile),
        cmocka_unit_test(the_database_is_away_for_minutes_and_back),
        cmocka_unit_test(the_broker_is_away_for_minutes_and_back),
        cmocka_unit_test(records_that_come_twice_are_settled_once),
        cmocka_unit_test(headers_travel_tenant_and_traceparent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
