#include "scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char case_at_work[FAULT_TEXT_MAX];

struct rig *scene_begin(const char *script, uint32_t partitions) {
    struct rig *rig = calloc(1, sizeof *rig);
    rig_init(rig, 11, script, partitions);
    workload_accounts(rig);
    return rig;
}

struct rig *scene_answered(uint32_t partitions, uint32_t count) {
    struct rig *rig = scene_begin("", partitions);
    rig_start_worker(rig);
    for (int32_t partition = 0; partition < (int32_t)partitions; partition++) {
        char prefix[16];
        snprintf(prefix, sizeof prefix, "p%d", partition);
        workload_many(rig, partition, prefix, count);
    }
    assert_true(rig_run(rig, rig_all_answered, 5000));
    rig_run_for(rig, 2500);
    return rig;
}

void scene_throw_away(struct rig *rig) {
    rig_free(rig);
    free(rig);
}

void scene_end(struct rig *rig) {
    bool fine = history_judge(&rig->history);
    if (!fine) rig_explain(rig);
    assert_true(fine);
    scene_throw_away(rig);
}

void scene_ends_well(struct rig *rig, int64_t within_ms) {
    bool answered = rig_run(rig, rig_all_answered, within_ms);
    rig_run_for(rig, 2500);
    bool fine = history_judge_complete(&rig->history);
    if (!answered || !fine) rig_explain(rig);
    assert_true(answered);
    assert_true(fine);
    scene_throw_away(rig);
}

struct pay_lane_row *scene_row(struct rig *rig, int32_t partition) {
    return &fake_database_lane(&rig->database, partition)->row;
}

enum pay_halt scene_halted(struct rig *rig, int32_t partition) { return scene_row(rig, partition)->halted; }

const struct pay_worker_counters *scene_counters(const struct rig_worker *worker) {
    return pay_worker_counters(worker->worker);
}

void scene_tamper(struct rig *rig, enum history_tampering what, int32_t partition) {
    assert_true(history_tamper(&rig->history, what, partition));
}

static void on_abort(int signal_number) {
    (void)signal_number;
    (void)!write(STDERR_FILENO, "\naborted in: ", 13);
    (void)!write(STDERR_FILENO, case_at_work, strlen(case_at_work));
    (void)!write(STDERR_FILENO, "\n", 1);
}

void scene_case(const char *text) {
    snprintf(case_at_work, sizeof case_at_work, "%s", text);
    signal(SIGABRT, on_abort);
}
