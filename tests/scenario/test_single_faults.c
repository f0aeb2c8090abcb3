/*
 * Whole workers on both fakes, with one fault at every port call and one fate for every produce request: after each, the worker goes
 * on (or a new one is started) and in the end every request is decided once and answered once.
 * A failing case prints its script; PAYBUF_SCRIPT=w1.17:crash-after runs that one alone, with RIG_VERBOSE=1 for the log.
 * (test_crash_points has every pair of crashes.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTLED_WITHIN_MS 120000

/* Runs the workload with a script; what was called is left in *ret_seen (owned by the caller). False: a violation, already told. */
static bool run_case(const char *script, uint32_t workers, uint8_t **ret_seen, uint32_t *ret_calls,
                     uint32_t *ret_produced) {
    struct rig *rig = calloc(1, sizeof *rig);
    scene_case(script);
    rig_init(rig, 1, script, 2);
    rig->batch_records_max = 3;
    workload_accounts(rig);
    workload_first_part(rig);
    struct rig_worker *first = rig_start_worker(rig);
    for (uint32_t i = 1; i < workers; i++) rig_start_worker(rig);
    rig_run_for(rig, 2500);
    workload_second_part(rig);
    bool answered = rig_run(rig, rig_all_answered, SETTLED_WITHIN_MS);
    rig_run_for(rig, 2500);
    if (ret_calls != NULL) {
        *ret_calls = first->fault.calls;
        *ret_seen = malloc(first->fault.calls);
        memcpy(*ret_seen, first->fault.seen, first->fault.calls);
        *ret_produced = rig->broker.produce_count;
    }
    if (!answered) history_violate(&rig->history, "not everything is answered after %d s", SETTLED_WITHIN_MS / 1000);
    bool fine = history_judge_complete(&rig->history);
    if (!fine) {
        fprintf(stderr, "\n%u worker(s), ", workers);
        rig_explain(rig);
    }
    scene_throw_away(rig);
    return fine;
}

/* One case more; stops telling after a few. */
static void count_case(const struct fault_script *script, uint32_t workers, uint32_t *cases, uint32_t *failures) {
    char text[FAULT_TEXT_MAX];
    fault_script_format(script, text);
    (*cases)++;
    if (*failures < 3 && !run_case(text, workers, NULL, NULL, NULL)) (*failures)++;
}

static void every_call(uint32_t workers, const uint8_t *seen, uint32_t calls, uint32_t *cases, uint32_t *failures) {
    for (uint32_t n = 1; n <= calls; n++) {
        struct fault_entry kinds[16];
        uint32_t count = fault_kinds_of((enum fault_call)seen[n - 1], kinds, 16);
        for (uint32_t k = 0; k < count; k++) {
            struct fault_script script = {.count = 0};
            kinds[k].worker = 1;
            kinds[k].call = n;
            fault_script_add(&script, kinds[k]);
            count_case(&script, workers, cases, failures);
        }
    }
}

static void every_fate(uint32_t workers, uint32_t produced, uint32_t *cases, uint32_t *failures) {
    for (uint32_t n = 1; n <= produced; n++) {
        for (enum fault_fate fate = FATE_REFUSE; fate < FATE_COUNT; fate++) {
            struct fault_script script = {.count = 0};
            fault_script_add(&script, (struct fault_entry){.produce = true, .call = n, .fate = fate, .number = 4000});
            count_case(&script, workers, cases, failures);
        }
    }
}

static void sweep(uint32_t workers) {
    uint8_t *seen;
    uint32_t calls, produced, cases = 0, failures = 0;
    assert_true(run_case("", workers, &seen, &calls, &produced));
    every_call(workers, seen, calls, &cases, &failures);
    every_fate(workers, produced, &cases, &failures);
    free(seen);
    print_message("%u workers: %u port calls, %u produce requests, %u cases\n", workers, calls, produced, cases);
    assert_int_equal(failures, 0);
}

static void one_worker_survives_any_single_fault(void **state) {
    (void)state;
    sweep(1);
}

static void two_workers_survive_any_single_fault_of_the_first(void **state) {
    (void)state;
    sweep(2);
}

static void the_script_of_the_environment_is_survived(void **state) {
    (void)state;
    assert_true(run_case(getenv("PAYBUF_SCRIPT"),
                         getenv("PAYBUF_WORKERS") != NULL ? (uint32_t)atoi(getenv("PAYBUF_WORKERS")) : 1, NULL, NULL,
                         NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_worker_survives_any_single_fault),
        cmocka_unit_test(two_workers_survive_any_single_fault_of_the_first),
    };
    const struct CMUnitTest one[] = {cmocka_unit_test(the_script_of_the_environment_is_survived)};
    return getenv("PAYBUF_SCRIPT") != NULL ? cmocka_run_group_tests(one, NULL, NULL)
                                           : cmocka_run_group_tests(tests, NULL, NULL);
}
