/*
 * sim_run.h - one simulated run of a plan (sim_plan.h): workers, an intake with its clients, readers, troubles; then the judgement.
 *
 * The same plan gives the same events: result.hash tells. Nothing outside decides anything: no wall clock, no environment.
 * Memory: one world for all runs of the process, so a run starts without asking for much; sim_play can't be nested. Threads: one.
 */
#ifndef PAY_TESTS_SIM_RUN_H
#define PAY_TESTS_SIM_RUN_H

#include "sim_coverage.h"
#include "sim_plan.h"

#define SIM_VIOLATIONS_SHOWN 4

struct sim_result {
    uint64_t hash, events, steps;
    int64_t virtual_ms;
    bool tampered; /* a trouble changed the past */
    uint32_t violation_count;
    char violations[SIM_VIOLATIONS_SHOWN][400];
};

struct sim_listener {
    struct sim_coverage *coverage; /* added to; NULL: nobody counts */
    FILE *trace;                   /* the readable sequence; NULL: nobody reads */
};

void sim_play(const struct sim_plan *plan, const struct sim_listener *listener, struct sim_result *ret_result);

/* Frees the world that runs share. */
void sim_forget(void);

#endif
