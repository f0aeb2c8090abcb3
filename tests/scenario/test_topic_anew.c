/*
 * A request topic that is deleted and made anew under a worker: nothing of the new one is settled, whatever the worker was doing,
 * and whether anybody told it (PROTOCOL 1.3, docs/decisions/022).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

/* Three payments are answered, then another topic of the same name has `others`. */
static struct rig *made_anew(uint32_t others) {
    struct rig *rig = scene_answered(1, 3);
    scene_tamper(rig, TAMPERED_REQUESTS_REPLACED, 0);
    fake_broker_recreate(&rig->broker, TOPIC_REQUESTS);
    workload_many(rig, 0, "other", others);
    return rig;
}

static void a_topic_made_anew_under_a_running_worker_halts_its_lanes_within_a_minute(void **state) {
    (void)state;
    struct rig *rig = made_anew(3);
    rig_run_for(rig, 75000);
    assert_int_equal(scene_halted(rig, 0), PAY_HALT_LOG_REPLACED);
    assert_int_equal(rig->database.tables.payment_count, 3);
    scene_end(rig);
}

/* SIGSTOP between two calls of one pass: the record it is given next is another topic's. */
static void a_topic_made_anew_during_a_pause_inside_a_pass_settles_nothing_of_it(void **state) {
    (void)state;
    struct rig *rig = scene_begin("w1.next_record#6:freeze-before=3000", 1);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 3);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_run_for(rig, 100);
    workload_many(rig, 0, "stops", 1);
    rig_run_for(rig, 500);
    assert_true(rig->workers[0].frozen);
    scene_tamper(rig, TAMPERED_REQUESTS_REPLACED, 0);
    fake_broker_recreate(&rig->broker, TOPIC_REQUESTS);
    workload_many(rig, 0, "other", 6);
    rig_run_for(rig, 10000);
    assert_int_equal(rig->database.tables.payment_count, 3);
    assert_int_equal(scene_halted(rig, 0), PAY_HALT_LOG_REPLACED);
    scene_end(rig);
}

/* Nothing is due there, so nothing but the minute makes the worker look. */
static void a_topic_made_anew_beside_an_error_event_halts_its_idle_lane_within_a_minute(void **state) {
    (void)state;
    struct rig *rig = made_anew(3);
    fake_broker_trouble(&rig->broker, -1);
    rig_run_for(rig, 75000);
    assert_int_equal(scene_halted(rig, 0), PAY_HALT_LOG_REPLACED);
    scene_end(rig);
}

static void a_topic_made_anew_during_a_pause_settles_nothing_of_it(void **state) {
    (void)state;
    struct rig *rig = made_anew(6);
    rig_freeze(&rig->workers[0], 3000);
    rig_run_for(rig, 10000);
    assert_int_equal(scene_halted(rig, 0), PAY_HALT_LOG_REPLACED);
    assert_int_equal(rig->database.tables.payment_count, 3);
    scene_end(rig);
}

/* Nothing but markers behind the worker's position: only P could move. */
static struct rig *made_anew_with_markers_at_the_end(void) {
    struct rig *rig = made_anew(3);
    for (int i = 0; i < 3; i++) fake_broker_append_control(&rig->broker, TOPIC_REQUESTS, 0);
    return rig;
}

static void only_its_anchor_was_read(struct rig *rig) {
    rig_run_for(rig, 10000);
    assert_int_equal(scene_halted(rig, 0), PAY_HALT_LOG_REPLACED);
    assert_int_equal(scene_row(rig, 0)->next_offset, 3);
    scene_end(rig);
}

static void a_topic_made_anew_during_a_pause_moves_no_p(void **state) {
    (void)state;
    struct rig *rig = made_anew_with_markers_at_the_end();
    rig_freeze(&rig->workers[0], 3000);
    only_its_anchor_was_read(rig);
}

static void a_topic_made_anew_beside_an_error_event_moves_no_p(void **state) {
    (void)state;
    struct rig *rig = made_anew_with_markers_at_the_end();
    fake_broker_trouble(&rig->broker, -1);
    only_its_anchor_was_read(rig);
}

static void a_longer_topic_made_anew_under_an_idle_worker_settles_nothing_of_it(void **state) {
    (void)state;
    struct rig *rig = made_anew(6);
    rig_run_for(rig, 10000);
    assert_int_equal(scene_halted(rig, 0), PAY_HALT_LOG_REPLACED);
    assert_int_equal(rig->database.tables.payment_count, 3);
    scene_end(rig);
}

static void a_shorter_topic_made_anew_under_a_running_worker_halts_its_lane(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 1);
    rig_start_worker(rig);
    workload_many(rig, 0, "a", 5);
    assert_true(rig_run(rig, rig_all_answered, 5000));
    scene_tamper(rig, TAMPERED_REQUESTS_REPLACED, 0);
    fake_broker_recreate(&rig->broker, TOPIC_REQUESTS);
    workload_many(rig, 0, "other", 2);
    rig_run_for(rig, 30000);
    assert_int_equal(scene_halted(rig, 0), PAY_HALT_LOG_TRUNCATED);
    assert_int_equal(rig->database.tables.payment_count, 5);
    scene_end(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_made_anew_under_a_running_worker_halts_its_lanes_within_a_minute),
        cmocka_unit_test(a_topic_made_anew_during_a_pause_inside_a_pass_settles_nothing_of_it),
        cmocka_unit_test(a_topic_made_anew_beside_an_error_event_halts_its_idle_lane_within_a_minute),
        cmocka_unit_test(a_topic_made_anew_during_a_pause_settles_nothing_of_it),
        cmocka_unit_test(a_topic_made_anew_during_a_pause_moves_no_p),
        cmocka_unit_test(a_topic_made_anew_beside_an_error_event_moves_no_p),
        cmocka_unit_test(a_longer_topic_made_anew_under_an_idle_worker_settles_nothing_of_it),
        cmocka_unit_test(a_shorter_topic_made_anew_under_a_running_worker_halts_its_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
