/*
 * The past changes: what the worker must do then, and that the judge sees it when a worker doesn't.
 * (One lane's halts are in test_halts.c, judged by the same rules.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"
#include "trouble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool strike(struct rig *rig, const char *name, uint32_t a, uint32_t b) {
    return trouble_find(name, strlen(name))->strike(rig, a, b);
}

static bool ledger_halted(const struct rig *rig) {
    return rig->database.tables.ledger.halted &&
           rig->database.tables.ledger.halted_reason == PAY_HALT_DATABASE_ROLLED_BACK;
}

/* Two partitions with three answered payments each, a backup of that, and one worker. */
static struct rig *backed_up(void) {
    struct rig *rig = scene_answered(2, 3);
    fake_database_back_up(&rig->database);
    return rig;
}

/* ---- the database ---- */

static void a_backup_put_back_before_anything_was_lost_goes_on_after_ten_seconds(void **state) {
    (void)state;
    struct rig *rig = backed_up();
    assert_true(strike(rig, "database-restore", 0, 0));
    workload_many(rig, 0, "later", 3);
    rig_run_for(rig, 9500);
    assert_int_equal(scene_row(rig, 0)->next_offset, 3);
    rig_run_for(rig, 1500);
    assert_false(rig->database.tables.ledger.halted);
    scene_ends_well(rig, 5000);
}

static void what_is_on_the_wire_never_arrives(struct rig *rig) {
    while (rig->broker.wire != NULL) {
        struct fake_produce *produce = rig->broker.wire;
        rig->broker.wire = produce->next;
        fake_produce_free(produce);
    }
}

static bool lost_is_settled(struct rig *rig) { return scene_row(rig, 0)->next_offset == 6; }

static void commits_lost_before_anybody_was_told_are_decided_again_once(void **state) {
    (void)state;
    struct rig *rig = backed_up();
    rig->broker.latency_ms = 400;
    workload_many(rig, 0, "lost", 3);
    assert_true(rig_run(rig, lost_is_settled, 5000));
    rig_crash(rig, &rig->workers[0]);
    what_is_on_the_wire_never_arrives(rig);
    assert_true(strike(rig, "database-restore", 0, 0));
    assert_int_equal(scene_row(rig, 0)->next_offset, 3);
    scene_ends_well(rig, 60000);
}

/* Misled by stale watermarks, it decides again what was answered; the answer in the log stands (found by the simulator: seed 736134). */
static void a_lost_commit_that_nobody_could_see_is_decided_again_and_its_old_reply_is_the_answer(void **state) {
    (void)state;
    struct rig *rig = backed_up();
    workload_many(rig, 0, "lost", 3);
    rig_run_for(rig, 1000);
    assert_int_equal(workload_reply_count(rig, 0), 6);
    assert_true(fault_script_parse("w1.reply_bounds#3:stale=3,w1.reply_bounds#5:stale=3", &rig->script));
    assert_true(strike(rig, "database-restore", 0, 0));
    assert_false(rig_all_answered(rig));
    assert_true(rig_run(rig, lost_is_settled, 15000));
    rig_crash(rig, &rig->workers[0]);
    what_is_on_the_wire_never_arrives(rig);
    scene_ends_well(rig, 60000);
}

static void a_worker_that_stood_still_while_the_database_went_back_settles_nothing_when_it_thaws(void **state) {
    (void)state;
    struct rig *rig = backed_up();
    workload_many(rig, 0, "lost", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_freeze(&rig->workers[0], 20000); /* with its connection, its lanes and their P */
    assert_true(strike(rig, "database-restore", 0, 0));
    workload_many(rig, 0, "later", 3);
    rig->history.halt_within_ms = 32000;
    rig_run_for(rig, 60000);
    assert_true(ledger_halted(rig));
    assert_int_equal(scene_row(rig, 0)->next_offset, 3);
    scene_ends_well(rig, 1000);
}

static void a_standby_that_lost_what_was_answered_halts_the_ledger_within_twelve_seconds(void **state) {
    (void)state;
    struct rig *rig = backed_up();
    assert_true(strike(rig, "database-failover", 0, 999));
    workload_many(rig, 1, "lost", 1);
    rig->history.halt_within_ms = 12000;
    rig_run_for(rig, 20000);
    assert_true(ledger_halted(rig));
    scene_ends_well(rig, 1000);
}

/* ---- the reply log ---- */

static void a_reply_log_made_anew_is_halted_and_nobody_is_told_otherwise(void **state) {
    (void)state;
    struct rig *rig = backed_up();
    assert_true(strike(rig, "replies-replaced", 0, 0));
    rig_run_for(rig, 15000);
    assert_int_equal(scene_row(rig, 0)->halted, PAY_HALT_REPLY_LOG_TRUNCATED);
    assert_int_equal(scene_row(rig, 1)->halted, PAY_HALT_REPLY_LOG_TRUNCATED);
    scene_ends_well(rig, 1000);
}

/* The pair is as high again as it was: the claim can't see it. But a reader does. */
static void replies_cut_off_and_overgrown_are_a_gap_to_every_reader(void **state) {
    (void)state;
    struct rig *rig = backed_up();
    assert_true(history_tamper(&rig->history, TAMPERED_REPLIES_CUT, 0));
    fake_broker_truncate(&rig->broker, TOPIC_REPLIES, 0, 1);
    workload_many(rig, 0, "later", 3);
    rig_run_for(rig, 500);
    fake_broker_rebalance(&rig->broker);
    rig_run_for(rig, 15000);
    assert_true(history_judge_complete(&rig->history));
    assert_true(rig->history.gaps > 0 || scene_row(rig, 0)->halted == PAY_HALT_REPLY_LOG_TRUNCATED);
    scene_ends_well(rig, 5000);
}

/* ---- a row ---- */

static void a_row_of_another_cluster_is_not_claimed_and_the_other_lane_goes_on(void **state) {
    (void)state;
    struct rig *rig = backed_up();
    int64_t epoch = scene_row(rig, 0)->owner_epoch;
    assert_true(strike(rig, "row-given-away", 0, 1));
    workload_many(rig, 0, "later", 2);
    workload_many(rig, 1, "later", 2);
    rig_run_for(rig, 20000);
    assert_int_equal(scene_row(rig, 0)->owner_epoch, epoch);
    assert_true(history_all_answered(&rig->history, 1));
    scene_ends_well(rig, 1000);
}

/* ---- the judge isn't blind then: every right end, broken by hand ---- */

static void rejected(struct rig *rig, const char *words) {
    assert_false(history_judge_complete(&rig->history));
    for (uint32_t i = 0; i < rig->history.violation_count && i < HISTORY_VIOLATIONS_MAX; i++) {
        if (strstr(rig->history.violations[i], words) == NULL) continue;
        scene_throw_away(rig);
        return;
    }
    history_print(&rig->history);
    fail_msg("rejected, but not because of: %s", words);
}

/* After the trouble, at its right end. */
static struct rig *ended(const char *name, uint32_t a, uint32_t b) {
    struct rig *rig = backed_up();
    assert_true(strike(rig, name, a, b));
    workload_many(rig, 1, "later", 1);
    assert_true(rig_run(rig, rig_all_answered, 120000));
    rig_run_for(rig, 1000);
    assert_true(history_judge_complete(&rig->history));
    return rig;
}

static struct rig *ended_rolled_back(void) {
    struct rig *rig = backed_up();
    workload_many(rig, 0, "lost", 2);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    assert_true(strike(rig, "database-restore", 0, 0));
    assert_true(rig_run(rig, rig_all_answered, 60000));
    assert_true(ledger_halted(rig));
    return rig;
}

static void a_lane_that_is_not_halted_on_a_cut_log_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended("requests-cut", 0, 1);
    scene_row(rig, 0)->halted = PAY_HALT_NONE;
    rejected(rig, "isn't halted although its log isn't the one it was");
}

static void a_lane_halted_with_another_reason_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended("requests-cut", 0, 1);
    scene_row(rig, 0)->halted = PAY_HALT_POISON;
    rejected(rig, "halted poison, which isn't due");
}

/* What the new leader doesn't tell of yet the log holds all the same (found by the simulator: seed 784469). */
static void a_poison_halt_stays_right_when_its_log_is_replaced_under_a_stale_watermark(void **state) {
    (void)state;
    struct rig *rig = backed_up();
    rig->database.poison_order = "poison-0";
    workload_many(rig, 0, "poison", 1);
    rig_run_for(rig, 8000);
    assert_int_equal(scene_row(rig, 0)->halted, PAY_HALT_POISON);
    assert_true(fake_broker_elect(&rig->broker, TOPIC_REQUESTS, 0, 1, 3, 9000));
    rig_run_for(rig, 2500);
    assert_true(strike(rig, "requests-replaced", 0, 0));
    scene_ends_well(rig, 60000);
}

static void a_halt_of_a_lane_out_of_reach_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended("requests-cut", 0, 1);
    scene_row(rig, 1)->halted = PAY_HALT_LOG_TRUNCATED;
    rejected(rig, "partition 1: halted log_truncated, which isn't due");
}

static void a_halt_without_any_trouble_is_rejected(void **state) {
    (void)state;
    struct rig *rig = backed_up();
    scene_row(rig, 0)->halted = PAY_HALT_LOG_REPLACED;
    rejected(rig, "halted log_replaced, which isn't due");
}

static void a_late_halt_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended("requests-cut", 0, 1);
    rig->history.halt_within_ms = 5000;
    rejected(rig, "partition 0 halted after");
}

static void p_over_records_of_the_log_that_took_the_place_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended("requests-replaced", 0, 0);
    struct fake_commit commit = {.number = ++rig->database.commit_count, .fence_count = 1};
    workload_many(rig, 0, "other", 6);
    commit.fences[0] = (struct pay_fence){.partition = 0, .processed_before = 3, .processed_after = 6};
    rig->database.on_commit(rig->database.argument, &commit);
    rejected(rig, "moves beyond the log");
}

/* A reply as a worker would publish it: `writer` made it just now. */
static void append_reply(struct rig *rig, int32_t partition, int64_t source, uint32_t writer) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)source);
    const struct pay_header headers[] = {{"source-offset", text, strlen(text)},
                                         {"covers-from", text, strlen(text)},
                                         {"ledger-id", rig->database.tables.ledger.ledger_id, 36}};
    struct fake_record *record;
    rig_run_for(rig, 1);
    void (*on_append)(void *, enum fake_topic_name, int32_t, const struct fake_record *) = rig->broker.on_append;
    rig->broker.on_append = NULL;
    int64_t offset = fake_broker_append(&rig->broker, TOPIC_REPLIES, partition, "k", "{}", headers, 3);
    record =
        (struct fake_record *)(uintptr_t)fake_log_find(fake_broker_log(&rig->broker, TOPIC_REPLIES, partition), offset);
    record->writer = writer;
    record->made_us = rig->clock.now_us;
    on_append(rig->broker.argument, TOPIC_REPLIES, partition, record);
    rig->broker.on_append = on_append;
}

static void a_reply_to_a_record_of_the_log_that_took_the_place_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended("requests-replaced", 0, 0);
    workload_many(rig, 0, "other", 6);
    append_reply(rig, 0, 3, 9);
    rejected(rig, "reply to 1-0-3, which is no request");
}

static void a_reply_by_whoever_has_halted_the_lane_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended("requests-cut", 0, 1);
    append_reply(rig, 0, 2, fake_database_lane(&rig->database, 0)->halted_by);
    rejected(rig, "who has halted it");
}

static void a_reply_that_says_otherwise_than_one_that_was_cut_off_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended("replies-cut", 0, 1);
    append_reply(rig, 0, 2, 9);
    rejected(rig, "differ");
}

static void a_missing_reply_of_a_lane_out_of_reach_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended("requests-cut", 0, 1);
    fake_broker_truncate(&rig->broker, TOPIC_REPLIES, 1, 3);
    rejected(rig, "partition 1: request 3 has no reply");
}

static void requests_eaten_and_neither_answered_nor_halted_are_rejected(void **state) {
    (void)state;
    struct rig *rig = backed_up();
    rig_crash(rig, &rig->workers[0]);
    workload_many(rig, 0, "eaten", 2);
    assert_true(strike(rig, "requests-eaten", 0, 1));
    rejected(rig, "partition 0: request 3 has no reply");
}

static void requests_eaten_and_halted_for_the_other_reason_are_rejected(void **state) {
    (void)state;
    struct rig *rig = backed_up();
    rig_crash(rig, &rig->workers[0]);
    workload_many(rig, 0, "eaten", 2);
    assert_true(strike(rig, "requests-eaten", 0, 1));
    scene_row(rig, 0)->halted = PAY_HALT_REPLIES_LOST;
    rejected(rig, "halted replies_lost, which isn't due");
}

static void a_row_of_another_group_that_was_claimed_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended("row-given-away", 0, 0);
    scene_row(rig, 0)->owner_epoch++;
    rejected(rig, "partition 0:");
}

static void a_ledger_that_is_not_halted_although_commits_are_lost_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended_rolled_back();
    rig->database.tables.ledger.halted = false;
    rejected(rig, "isn't halted although its database lost what was answered");
}

static void a_settle_after_the_database_lost_what_was_answered_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended_rolled_back();
    struct fake_commit commit = {.number = ++rig->database.commit_count, .fence_count = 0};
    rig->database.on_commit(rig->database.argument, &commit);
    rejected(rig, "although the database lost what was answered");
}

static void a_settle_begun_after_the_halt_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended_rolled_back();
    struct fake_commit commit = {.number = ++rig->database.commit_count, .read_us = rig->clock.now_us + 1};
    rig->database.on_commit(rig->database.argument, &commit);
    rejected(rig, "was begun after the ledger had halted");
}

static void a_halt_of_the_ledger_that_lost_nothing_is_rejected(void **state) {
    (void)state;
    struct rig *rig = backed_up();
    assert_true(strike(rig, "database-restore", 0, 0));
    assert_true(rig_run(rig, rig_all_answered, 60000));
    rig->database.tables.ledger.halted = true;
    rig->database.tables.ledger.halted_reason = PAY_HALT_DATABASE_ROLLED_BACK;
    rig->database.halted_us = rig->clock.now_us;
    rejected(rig, "the whole ledger is halted, and the database lost nothing");
}

static void an_identity_paid_twice_after_the_database_went_back_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended_rolled_back();
    struct fake_tables *tables = &rig->database.tables;
    tables->payments = realloc(tables->payments, (tables->payment_count + 1) * sizeof *tables->payments);
    tables->payments[tables->payment_count] = tables->payments[0];
    tables->payment_count++;
    rejected(rig, "two payments for");
}

static void a_reply_that_contradicts_an_earlier_one_after_the_database_went_back_is_rejected(void **state) {
    (void)state;
    struct rig *rig = ended_rolled_back();
    append_reply(rig, 0, 3, rig->workers[0].number);
    rejected(rig, "differ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backup_put_back_before_anything_was_lost_goes_on_after_ten_seconds),
        cmocka_unit_test(commits_lost_before_anybody_was_told_are_decided_again_once),
        cmocka_unit_test(a_lost_commit_that_nobody_could_see_is_decided_again_and_its_old_reply_is_the_answer),
        cmocka_unit_test(a_worker_that_stood_still_while_the_database_went_back_settles_nothing_when_it_thaws),
        cmocka_unit_test(a_standby_that_lost_what_was_answered_halts_the_ledger_within_twelve_seconds),
        cmocka_unit_test(a_reply_log_made_anew_is_halted_and_nobody_is_told_otherwise),
        cmocka_unit_test(replies_cut_off_and_overgrown_are_a_gap_to_every_reader),
        cmocka_unit_test(a_row_of_another_cluster_is_not_claimed_and_the_other_lane_goes_on),
        cmocka_unit_test(a_lane_that_is_not_halted_on_a_cut_log_is_rejected),
        cmocka_unit_test(a_lane_halted_with_another_reason_is_rejected),
        cmocka_unit_test(a_poison_halt_stays_right_when_its_log_is_replaced_under_a_stale_watermark),
        cmocka_unit_test(a_halt_of_a_lane_out_of_reach_is_rejected),
        cmocka_unit_test(a_halt_without_any_trouble_is_rejected),
        cmocka_unit_test(a_late_halt_is_rejected),
        cmocka_unit_test(p_over_records_of_the_log_that_took_the_place_is_rejected),
        cmocka_unit_test(a_reply_to_a_record_of_the_log_that_took_the_place_is_rejected),
        cmocka_unit_test(a_reply_by_whoever_has_halted_the_lane_is_rejected),
        cmocka_unit_test(a_reply_that_says_otherwise_than_one_that_was_cut_off_is_rejected),
        cmocka_unit_test(a_missing_reply_of_a_lane_out_of_reach_is_rejected),
        cmocka_unit_test(requests_eaten_and_neither_answered_nor_halted_are_rejected),
        cmocka_unit_test(requests_eaten_and_halted_for_the_other_reason_are_rejected),
        cmocka_unit_test(a_row_of_another_group_that_was_claimed_is_rejected),
        cmocka_unit_test(a_ledger_that_is_not_halted_although_commits_are_lost_is_rejected),
        cmocka_unit_test(a_settle_after_the_database_lost_what_was_answered_is_rejected),
        cmocka_unit_test(a_settle_begun_after_the_halt_is_rejected),
        cmocka_unit_test(a_halt_of_the_ledger_that_lost_nothing_is_rejected),
        cmocka_unit_test(an_identity_paid_twice_after_the_database_went_back_is_rejected),
        cmocka_unit_test(a_reply_that_contradicts_an_earlier_one_after_the_database_went_back_is_rejected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
