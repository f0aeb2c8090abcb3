/*
 * Exhaustively: a crash at every port call of a small workload, at every pair of calls, and (PAYBUF_CRASHES=3: minutes) at every
 * triple. Before a call and after it are two points. Each crash hits the worker that was started in place of the last one, at each
 * of the calls which that one makes in this very history; so nothing is left out because a crash changed what comes later.
 *
 * The workload: worker 1 settles a payment, a decline and an invalid record and dies before any reply; the next one has these to
 * answer from rows, and a duplicate, a conflict and another payment to settle.
 * A failing history prints its script. PAYBUF_SCRIPT=w2.17:crash-after,w3.4:crash-before runs that one alone, RIG_VERBOSE=1 with
 * its log. PAYBUF_PART=1/2 takes every second first crash, so that two processes share the work.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTLED_WITHIN_MS 120000
#define CRASHES_MAX 4
#define FIRST_WORKER "w1.settle_end#1:crash-after" /* its COMMIT has run, nothing is published */

static bool three_settled(struct rig *rig) { return fake_database_lane(&rig->database, 0)->row.next_offset == 3; }

/* Everything is answered, and what rests is written down by a worker that holds the lane. */
static bool at_rest(struct rig *rig) {
    const struct rig_worker *worker = &rig->workers[0];
    if (!rig_all_answered(rig) || !worker->alive || pay_worker_lane_count(worker->worker) == 0) return false;
    const struct pay_lane *lane = pay_worker_lane(worker->worker, 0);
    return lane->state == PAY_LANE_OPEN && lane->unreplied == 0 && !pay_lane_rest_due(lane);
}

static void settle_and_die(struct rig *rig) {
    fake_database_open_account(&rig->database, "default", "alice", "EUR", 1000, 0);
    workload_pay(rig, 0, "o-1", 1, "alice", 400);
    workload_pay(rig, 0, "o-2", 1, "alice", 5000);
    fake_broker_append_request(&rig->broker, 0, "o-3", "garbage");
    rig_start_worker(rig);
    rig_run(rig, three_settled, SETTLED_WITHIN_MS);
    workload_pay(rig, 0, "o-1", 1, "alice", 400);
    workload_pay(rig, 0, "o-1", 1, "alice", 401);
    workload_pay(rig, 0, "o-4", 1, "alice", 500);
}

/* *ret_calls: how many port calls worker `last` made. False: a violation, already told. */
static bool run_case(const char *script, uint32_t last, uint32_t *ret_calls) {
    struct rig *rig = calloc(1, sizeof *rig);
    scene_case(script);
    rig_init(rig, 1, script, 1);
    rig->broker.records_per_request = 2;
    settle_and_die(rig);
    if (!rig_run(rig, at_rest, SETTLED_WITHIN_MS))
        history_violate(&rig->history, "not everything is answered and written down after %d s",
                        SETTLED_WITHIN_MS / 1000);
    if (ret_calls != NULL && rig->workers[0].number != last)
        history_violate(&rig->history, "worker %u is at work, not worker %u", rig->workers[0].number, last);
    if (ret_calls != NULL) *ret_calls = rig->workers[0].fault.calls;
    bool fine = history_judge_complete(&rig->history);
    if (!fine) rig_explain(rig);
    scene_throw_away(rig);
    return fine;
}

struct search {
    uint32_t depth; /* crashes at most */
    uint32_t part, parts;
    uint32_t cases[CRASHES_MAX + 1]; /* by number of crashes */
    uint32_t failures;
    uint32_t longest; /* most calls of one worker */
};

/* The history of `script`, then everything that a further crash of its last worker makes of it. */
static void search(struct search *s, const char *script, uint32_t crashes) {
    uint32_t calls, last = 2 + crashes;
    if (s->failures >= 3) return;
    s->cases[crashes]++;
    if (!run_case(script, last, &calls)) {
        s->failures++;
        return;
    }
    if (calls > s->longest) s->longest = calls;
    if (crashes == s->depth) return;
    for (uint32_t point = 0; point < 2 * calls; point++) {
        char longer[FAULT_TEXT_MAX];
        if (crashes == 0 && point % s->parts != s->part) continue;
        snprintf(longer, sizeof longer, "%s,w%u.%u:%s", script, last, 1 + point / 2,
                 point % 2 == 0 ? "crash-before" : "crash-after");
        search(s, longer, crashes + 1);
    }
}

static void every_crash_and_every_pair_and_if_asked_every_triple_is_survived(void **state) {
    (void)state;
    const char *depth = getenv("PAYBUF_CRASHES"), *part = getenv("PAYBUF_PART");
    struct search s = {.depth = depth != NULL ? (uint32_t)atoi(depth) : 2, .parts = 1};
    if (part != NULL) assert_int_equal(sscanf(part, "%u/%u", &s.part, &s.parts), 2);
    if (part != NULL) s.part--;
    assert_true(s.depth <= CRASHES_MAX && s.parts > 0 && s.part < s.parts);
    search(&s, FIRST_WORKER, 0);
    print_message("crashes: at most %u port calls of a worker; %u single, %u pairs, %u triples, %u violations\n",
                  s.longest, s.cases[1], s.cases[2], s.cases[3], s.failures);
    assert_int_equal(s.failures, 0);
}

static void the_script_of_the_environment_is_survived(void **state) {
    (void)state;
    char script[FAULT_TEXT_MAX];
    snprintf(script, sizeof script, "%s,%s", FIRST_WORKER, getenv("PAYBUF_SCRIPT"));
    assert_true(run_case(script, 0, NULL));
}

int main(void) {
    const struct CMUnitTest all[] = {
        cmocka_unit_test(every_crash_and_every_pair_and_if_asked_every_triple_is_survived),
    };
    const struct CMUnitTest one[] = {cmocka_unit_test(the_script_of_the_environment_is_survived)};
    /* A worker's batches are megabytes of zeros: fresh pages, not cleared again for each history (three quarters of the time). */
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    return getenv("PAYBUF_SCRIPT") != NULL ? cmocka_run_group_tests(one, NULL, NULL)
                                           : cmocka_run_group_tests(all, NULL, NULL);
}
