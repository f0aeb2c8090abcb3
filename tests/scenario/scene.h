/*
 * scene.h - how the tests that are written by hand begin and end: a rig with workload.h's accounts, something that happens, a judgement.
 *
 * A scene is a rig on the heap; scene_end and scene_ends_well fail the running cmocka test unless it ended as it must, and free it.
 * Threads: one.
 */
#ifndef PAY_TESTS_SCENE_H
#define PAY_TESTS_SCENE_H

#include "workload.h"

/* No worker yet. */
struct rig *scene_begin(const char *script, uint32_t partitions);
/* One worker, `count` answered payments in each partition (orders "p0-0" ... of partition 0), everything at rest. */
struct rig *scene_answered(uint32_t partitions, uint32_t count);

/* Judged for what there is so far. */
void scene_end(struct rig *rig);
/* Everything is answered in time, or halted where it must be; judged as complete after a rest. */
void scene_ends_well(struct rig *rig, int64_t within_ms);
/* Without a judgement. */
void scene_throw_away(struct rig *rig);

struct pay_lane_row *scene_row(struct rig *rig, int32_t partition);
enum pay_halt scene_halted(struct rig *rig, int32_t partition);
const struct pay_worker_counters *scene_counters(const struct rig_worker *worker);
void scene_tamper(struct rig *rig, enum history_tampering what, int32_t partition);

/* For searches over many cases: an assertion in a worker prints `text` (FAULT_TEXT_MAX at most), which says how to repeat it. */
void scene_case(const char *text);

#endif
