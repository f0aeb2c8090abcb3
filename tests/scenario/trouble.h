/*
 * trouble.h - the named troubles that a plan (sim_plan.h) strikes a simulated world with, beside the script's faults at port calls.
 *
 * A trouble strikes at once and returns; what ends later (a restart, a thaw) it hands to rig_later. It takes every choice from its two
 * numbers `a` and `b`, never from the rig's random stream and never from the wall clock: a plan with one entry less leaves the
 * others as they were. It answers false, and changes nothing, where it isn't possible now (no such worker, already down).
 * Troubles overlap: each must bear any other having struck before it.
 *
 * `a` says who is struck (trouble_worker, trouble_partition); `b` and the rest of `a` how.
 * Threads: one.
 */
#ifndef PAY_TESTS_TROUBLE_H
#define PAY_TESTS_TROUBLE_H

#include "rig.h"

enum trouble_reach {
    TROUBLE_REACHES_ALL,       /* every lane of every worker */
    TROUBLE_REACHES_WORKER,    /* the lanes of trouble_worker(rig, a) */
    TROUBLE_REACHES_PARTITION, /* the lane of trouble_partition(rig, a), whoever has it */
};

struct trouble {
    const char *name; /* [a-z-], as a plan writes it */
    uint32_t weight;  /* how often it is drawn, against the others */
    enum trouble_reach reach;
    bool tampers; /* the right end is a halt, not "all answered" */
    bool (*strike)(struct rig *rig, uint32_t a, uint32_t b);
};

extern const struct trouble troubles[];
extern const size_t trouble_count;

/* By name; NULL: none. */
const struct trouble *trouble_find(const char *name, size_t length);

/* NULL: that slot's worker is dead now. */
struct rig_worker *trouble_worker(struct rig *rig, uint32_t a);
int32_t trouble_partition(const struct rig *rig, uint32_t a);

#endif
