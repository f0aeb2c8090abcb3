/*
 * What stops the whole ledger, what only looks like it, and what ends or holds a process as a whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

#include <string.h>

/* ---- the whole ledger ---- */

/* A backup, three payments that are answered and not in it, and the backup is put back: from then on nobody settles anything. */
static void lose_and_stand_still(struct rig *rig, int32_t lost_in, int32_t later_in) {
    struct fake_tables *backup = fake_database_copy(&rig->database);
    workload_many(rig, lost_in, "lost", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_run_for(rig, 2500);
    fake_database_put_back(&rig->database, backup);
    scene_tamper(rig, TAMPERED_DATABASE_PUT_BACK, 0);
    fake_tables_free(backup);
    uint64_t commits = rig->database.commit_count;
    workload_many(rig, later_in, "later", 3);
    rig_run_for(rig, 60000);
    assert_true(rig->database.tables.ledger.halted);
    assert_int_equal(rig->database.tables.ledger.halted_reason, PAY_HALT_DATABASE_ROLLED_BACK);
    assert_int_equal(rig->database.commit_count, commits);
    scene_end(rig);
}

static void a_database_put_back_halts_the_whole_ledger(void **state) {
    (void)state;
    struct rig *rig = scene_answered(2, 3);
    rig_start_worker(rig);
    rig_run_for(rig, 5000);
    lose_and_stand_still(rig, 0, 1);
}

/* The loss shows in partition 1 only, and a lane is claimed after the other: what is compared is compared before any of them. */
static void a_database_put_back_settles_nothing_where_nothing_was_lost_either(void **state) {
    (void)state;
    lose_and_stand_still(scene_answered(2, 3), 1, 0);
}

static void replies_beyond_p_halt_the_whole_ledger_also_without_a_restart(void **state) {
    (void)state;
    struct rig *rig = scene_answered(2, 4);
    rig_crash(rig, &rig->workers[0]);
    rig->history.tampered = true;
    scene_row(rig, 0)->next_offset = 2; /* somebody has repaired the table by hand */
    scene_row(rig, 0)->replied_offset = scene_row(rig, 0)->reply_position = 0;
    scene_row(rig, 0)->anchor.present = false;
    rig_run_for(rig, 15000);
    assert_true(rig->database.tables.ledger.halted);
    assert_int_equal(rig->database.tables.ledger.halted_reason, PAY_HALT_DATABASE_ROLLED_BACK);
    scene_end(rig);
}

static void a_claim_overtaken_by_another_session_does_not_halt_the_ledger(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w1.claim#1:freeze-after=20000", 1);
    rig_start_worker(rig);
    rig_run_for(rig, 500);
    rig_start_worker(rig);
    rig_run_for(rig, 12000);
    workload_many(rig, 0, "a", 3); /* settled and answered by the second while the first still believes its P of 0 */
    rig_run_for(rig, 15000);
    assert_false(rig->database.tables.ledger.halted);
    scene_ends_well(rig, 20000);
}

static uint32_t adoptions(const struct rig *rig) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < rig->log_count && i < RIG_LOG_LINES; i++)
        count += strstr(rig->log[i], "restart: it goes on") != NULL;
    return count;
}

static void an_unknown_incarnation_waits_ten_seconds_and_one_of_two_workers_adopts_it(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 2);
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
    scene_end(rig);
}

static void a_generation_raised_during_the_comparison_does_not_halt_the_ledger(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w1.read_rows#1:freeze-after=3000", 1);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    fake_database_stop(&rig->database); /* before the row knows of the replies: the comparison reads them */
    fake_database_start(&rig->database);
    rig_run_for(rig, 12000); /* it has read the rows and stands still */
    rig->history.tampered = true;
    fake_broker_recreate(&rig->broker, TOPIC_REQUESTS);
    struct pay_lane_row *recovered = scene_row(rig, 0); /* as a person does who accepts the loss of the request log */
    recovered->log_generation = 2;
    recovered->next_offset = recovered->replied_offset = 0;
    recovered->anchor.present = false;
    rig_run_for(rig, 30000);
    assert_false(rig->database.tables.ledger.halted);
    assert_true(rig->database.tables.ledger.incarnation_us == rig->database.server_started_us);
    scene_end(rig);
}

/* Its wait for the replies on the wire begins when it knows, not with the pass in which it stood still. */
static void the_comparison_waits_ten_seconds_from_when_it_knew(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w1.read_ledger#2:freeze-after=8000", 1);
    rig_start_worker(rig);
    rig_run_for(rig, 1000);
    fake_database_stop(&rig->database);
    fake_database_start(&rig->database);
    rig_run_for(rig, 17500);
    assert_true(rig->database.tables.ledger.incarnation_us != rig->database.server_started_us);
    rig_run_for(rig, 2000);
    assert_true(rig->database.tables.ledger.incarnation_us == rig->database.server_started_us);
    scene_ends_well(rig, 1000);
}

static void a_halted_ledger_goes_on_when_a_person_lifts_it(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 1);
    rig_start_worker(rig);
    rig_run_for(rig, 1000);
    rig->database.tables.ledger.halted = true;
    workload_many(rig, 0, "a", 3);
    rig_run_for(rig, 20000);
    assert_int_equal(scene_row(rig, 0)->next_offset, 0);
    rig->database.tables.ledger.halted = false;
    scene_ends_well(rig, 20000);
}

/* ---- the process ---- */

static void a_failed_precondition_ends_the_worker_before_it_claims_anything(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 1);
    rig->broker.refusal = "pay.requests has message.timestamp.type=CreateTime";
    struct rig_worker *worker = rig_start_worker(rig);
    rig->restart_after_ms = 0;
    workload_many(rig, 0, "a", 3);
    rig_run_for(rig, 5000);
    assert_false(worker->alive);
    assert_int_equal(scene_row(rig, 0)->owner_epoch, 0);
    scene_end(rig);
}

static void a_new_partition_gets_its_row_from_the_worker(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 2);
    rig->database.tables.lane_count = 1;
    workload_many(rig, 0, "a", 2);
    workload_many(rig, 1, "b", 2);
    rig_start_worker(rig);
    scene_ends_well(rig, 20000);
}

static void a_lost_row_of_a_partition_that_has_replies_is_not_made_anew(void **state) {
    (void)state;
    struct rig *rig = scene_answered(2, 2);
    rig_crash(rig, &rig->workers[0]);
    rig->database.tables.lane_count = 1;
    workload_many(rig, 1, "later", 2);
    rig_run_for(rig, 20000);
    assert_int_equal(rig->database.tables.lane_count, 1);
    assert_int_equal(workload_reply_count(rig, 1), 2);
    scene_end(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
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
