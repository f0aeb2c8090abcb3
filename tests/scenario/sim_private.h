/* sim_private.h - a run's world, shared by sim_run.c, sim_work.c and sim_strike.c. Not for anybody else. */
#ifndef PAY_TESTS_SIM_PRIVATE_H
#define PAY_TESTS_SIM_PRIVATE_H

#include "sim_coverage.h"
#include "sim_intake.h"
#include "sim_plan.h"
#include "sim_reader.h"

#include <stdio.h>

#define SIM_READERS_MAX 6

struct sim {
    struct rig rig; /* first */
    const struct sim_plan *plan;
    struct sim_coverage *coverage; /* counts, or NULL */
    FILE *trace;                   /* is told, or NULL */
    struct sim_intake intake;
    struct sim_reader readers[SIM_READERS_MAX];
    uint32_t reader_count;
    uint32_t order[SIM_ENTRIES_MAX], next; /* of the entries by time; the next one to happen */
    const struct sim_entry
        *armed[SIM_ENTRIES_MAX]; /* troubles that wait for a state, faults and fates for an occasion */
    uint32_t armed_count;
    struct fault_entry faults[RIG_WORKERS_MAX]; /* at work in a port call */
    bool tampered;
};

static inline int32_t sim_partition(const struct sim *sim, uint32_t number) {
    return (int32_t)(number % sim->rig.broker.partition_count);
}

/* sim_work.c: what outsiders append. */
void sim_append_work(struct sim *sim, const struct sim_entry *entry);

/* sim_strike.c: troubles at once; those that wait for a state, whenever it may have changed; faults of port calls and fates of
   produce requests when one comes that they fit. */
void sim_strike(struct sim *sim, const struct sim_entry *entry);
void sim_strike_armed(struct sim *sim);
const struct fault_entry *sim_choose_fault(struct rig *rig, const struct rig_worker *worker, enum fault_call call);
struct fault_entry sim_choose_fate(void *argument, const struct fake_produce *produce);

#endif
