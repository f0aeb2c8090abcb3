/*
 * sim_coverage.h - how often each fault met each state (sim_state.h).
 *
 * Faults are every trouble, every kind of a script's fault at a port call, every fate of a produce request. Counted at the moment of
 * striking, once for each lane struck. Pairs that can't be are listed in sim_coverage.c, each with its reason.
 * Memory: a plain value that can be added up. Threads: one.
 */
#ifndef PAY_TESTS_SIM_COVERAGE_H
#define PAY_TESTS_SIM_COVERAGE_H

#include "sim_state.h"
#include "trouble.h"

#include <stdio.h>

#define SIM_FAULTS_MAX 80
#define SIM_HITS_WANTED 100

struct sim_coverage {
    uint64_t hits[SIM_FAULTS_MAX][SIM_STATES];
};

size_t sim_fault_count(void);
const char *sim_fault_name(size_t fault);

/* The states of the lanes that it would strike now, added to `met`: counted once it has struck. */
void sim_cover_trouble(uint64_t met[SIM_STATES], struct rig *rig, size_t trouble, uint32_t a);
/* Those that a fault, or a fate, strikes now. */
void sim_cover_call(struct sim_coverage *coverage, const struct rig *rig, uint32_t worker, enum fault_kind kind);
void sim_cover_fate(struct sim_coverage *coverage, const struct rig *rig, int32_t partition, enum fault_fate fate);

void sim_coverage_add(struct sim_coverage *sum, const struct sim_coverage *more);
/* NULL: it can be. */
const char *sim_pair_impossible(size_t fault, enum sim_state state);
/* The table, the pairs never hit, and those hit less than SIM_HITS_WANTED times. Answers how many possible pairs are below that. */
uint32_t sim_coverage_print(const struct sim_coverage *coverage, FILE *out);

#endif
