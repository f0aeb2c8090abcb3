#include "sim_coverage.h"

#include <assert.h>
#include <string.h>

/* Troubles first, then kinds of faults at calls, then fates (without OK). */
size_t sim_fault_count(void) {
    size_t count = trouble_count + FAULT_KIND_COUNT + FATE_COUNT - 1;
    assert(count <= SIM_FAULTS_MAX);
    return count;
}

static size_t of_kind(enum fault_kind kind) { return trouble_count + (size_t)kind; }
static size_t of_fate(enum fault_fate fate) { return trouble_count + FAULT_KIND_COUNT + (size_t)fate - 1; }

/* A script's words, and where they strike: "lie" can be told by a report as well as by a broker. */
static const char *const call_names[FAULT_KIND_COUNT] = {
    [FAULT_FAIL] = "call:fail",
    [FAULT_LATE_FAIL] = "call:late-fail",
    [FAULT_DELAY] = "call:delay",
    [FAULT_CRASH_BEFORE] = "call:crash-before",
    [FAULT_CRASH_AFTER] = "call:crash-after",
    [FAULT_FREEZE_BEFORE] = "call:freeze-before",
    [FAULT_FREEZE_AFTER] = "call:freeze-after",
    [FAULT_STALE] = "call:stale",
    [FAULT_REDELIVER] = "call:redeliver",
    [FAULT_LIE] = "call:lie",
};
static const char *const produce_names[FATE_COUNT] = {
    [FATE_REFUSE] = "produce:refuse",
    [FATE_LOST] = "produce:lost",
    [FATE_LOST_ACK] = "produce:lost-ack",
    [FATE_LOST_ACK_NO_STATE] = "produce:lost-ack-no-state",
    [FATE_LATE] = "produce:late",
    [FATE_LATE_ACK] = "produce:late-ack",
    [FATE_FAIL_KEPT] = "produce:fail-kept",
    [FATE_FAIL_LOST] = "produce:fail-lost",
    [FATE_LIE] = "produce:lie",
    [FATE_LIE_KEPT] = "produce:lie-kept",
    [FATE_FATAL] = "produce:fatal",
    [FATE_TRUNCATED] = "produce:truncated",
};

const char *sim_fault_name(size_t fault) {
    if (fault < trouble_count) return troubles[fault].name;
    fault -= trouble_count;
    if (fault < FAULT_KIND_COUNT) return call_names[fault];
    return produce_names[fault - FAULT_KIND_COUNT + 1];
}

/* ---- counting ---- */

/* Every lane that this worker has; a worker without any stands somewhere too. */
static void cover_worker(uint64_t hits[SIM_STATES], const struct rig *rig, const struct rig_worker *worker) {
    bool any = false;
    for (uint32_t p = 0; p < rig->broker.partition_count; p++) {
        enum sim_state state = sim_state_of(worker, (int32_t)p);
        if (state == STATE_NOBODY) continue;
        hits[state]++;
        any = true;
    }
    if (!any) hits[STATE_NOBODY]++;
}

void sim_cover_trouble(uint64_t met[SIM_STATES], struct rig *rig, size_t trouble, uint32_t a) {
    const struct rig_worker *worker;
    switch (troubles[trouble].reach) {
    case TROUBLE_REACHES_ALL:
        for (uint32_t p = 0; p < rig->broker.partition_count; p++) met[sim_state_of_lane(rig, (int32_t)p)]++;
        return;
    case TROUBLE_REACHES_WORKER:
        worker = trouble_worker(rig, a);
        if (worker != NULL) cover_worker(met, rig, worker);
        return;
    case TROUBLE_REACHES_PARTITION: met[sim_state_of_lane(rig, trouble_partition(rig, a))]++; return;
    }
}

void sim_cover_call(struct sim_coverage *coverage, const struct rig *rig, uint32_t worker, enum fault_kind kind) {
    for (uint32_t i = 0; i < RIG_WORKERS_MAX; i++) {
        if (rig->workers[i].alive && rig->workers[i].number == worker)
            cover_worker(coverage->hits[of_kind(kind)], rig, &rig->workers[i]);
    }
}

void sim_cover_fate(struct sim_coverage *coverage, const struct rig *rig, int32_t partition, enum fault_fate fate) {
    if (fate != FATE_OK) coverage->hits[of_fate(fate)][sim_state_of_lane(rig, partition)]++;
}

void sim_coverage_add(struct sim_coverage *sum, const struct sim_coverage *more) {
    for (size_t fault = 0; fault < sim_fault_count(); fault++) {
        for (size_t state = 0; state < SIM_STATES; state++) sum->hits[fault][state] += more->hits[fault][state];
    }
}

/* ---- what can't be ---- */

#define NO_RECORDS "records are taken only while the worker agrees with the ledger and has lanes"
#define OTHER_CALL "that fault strikes one kind of call, and this state is another call's"
#define NO_LOOKING "bounds are looked at between settles, not while one is in flight"
#define NOTHING_DONE "none of the calls made in this state does anything that could be done and denied"
#define ONE_TAMPERING "the past is changed once in a run, and it was: that halted the ledger"

static const struct {
    const char *fault; /* NULL: any */
    enum sim_state state;
    const char *reason;
} impossible[] = {
    {"stop", STATE_DRAINING, "who drains was told already"},
    {"retention", STATE_LEDGER_HALTED, "retention keeps off the lanes of a changed past, and that halted the ledger"},
    {"call:redeliver", STATE_NOBODY, NO_RECORDS},
    {"call:redeliver", STATE_CONNECTING, NO_RECORDS},
    {"call:redeliver", STATE_UNSETTLED, NO_RECORDS},
    {"call:redeliver", STATE_LEDGER_HALTED, NO_RECORDS},
    {"call:redeliver", STATE_REVOKING, "a worker that gives its lanes back takes no records"},
    {"call:redeliver", STATE_CLAIM_LOCKS, OTHER_CALL},
    {"call:redeliver", STATE_CLAIM_READS, OTHER_CALL},
    {"call:redeliver", STATE_CLAIM_CHECKS, OTHER_CALL},
    {"call:lie", STATE_CLAIM_LOCKS, OTHER_CALL},
    {"call:lie", STATE_CLAIM_READS, OTHER_CALL},
    {"call:lie", STATE_CLAIM_CHECKS, OTHER_CALL},
    {"call:stale", STATE_CLAIM_LOCKS, OTHER_CALL},
    {"call:stale", STATE_CONNECTING, "no log is looked at before the ledger was read"},
    {"call:stale", STATE_LEDGER_HALTED, "a halted ledger is only read again"},
    {"call:stale", STATE_SETTLE_BEGUN, NO_LOOKING},
    {"call:stale", STATE_SETTLE_FENCED, NO_LOOKING},
    {"call:stale", STATE_COMMIT_SENT, NO_LOOKING},
    {"call:stale", STATE_COMMIT_UNREAD, NO_LOOKING},
    {"call:late-fail", STATE_CONNECTING, NOTHING_DONE},
    {"call:late-fail", STATE_LEDGER_HALTED, NOTHING_DONE},
    {"call:late-fail", STATE_CLAIM_READS, NOTHING_DONE},
};

const char *sim_pair_impossible(size_t fault, enum sim_state state) {
    if (fault < trouble_count && troubles[fault].tampers && state == STATE_LEDGER_HALTED &&
        strcmp(troubles[fault].name, "poison") != 0)
        return ONE_TAMPERING;
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        if (impossible[i].state == state &&
            (impossible[i].fault == NULL || strcmp(impossible[i].fault, sim_fault_name(fault)) == 0))
            return impossible[i].reason;
    }
    return NULL;
}

/* ---- the table ---- */

static void print_table(const struct sim_coverage *coverage, FILE *out) {
    fprintf(out, "%-24s", "fault x state");
    for (enum sim_state state = 0; state < SIM_STATES; state++) fprintf(out, " %10.10s", sim_state_name(state));
    fprintf(out, "\n");
    for (size_t fault = 0; fault < sim_fault_count(); fault++) {
        fprintf(out, "%-24s", sim_fault_name(fault));
        for (enum sim_state state = 0; state < SIM_STATES; state++) {
            uint64_t hits = coverage->hits[fault][state];
            if (hits == 0 && sim_pair_impossible(fault, state) != NULL)
                fprintf(out, " %10s", "-");
            else
                fprintf(out, " %10llu", (unsigned long long)hits);
        }
        fprintf(out, "\n");
    }
}

static uint32_t print_below(const struct sim_coverage *coverage, FILE *out, const char *title, uint64_t least,
                            uint64_t most) {
    uint32_t count = 0;
    fprintf(out, "%s:", title);
    for (size_t fault = 0; fault < sim_fault_count(); fault++) {
        for (enum sim_state state = 0; state < SIM_STATES; state++) {
            uint64_t hits = coverage->hits[fault][state];
            if (hits < least || hits > most || sim_pair_impossible(fault, state) != NULL) continue;
            fprintf(out, "%s %s x %s", count++ > 0 ? "," : "", sim_fault_name(fault), sim_state_name(state));
            if (hits > 0) fprintf(out, " (%llu)", (unsigned long long)hits);
        }
    }
    fprintf(out, "%s\n", count == 0 ? " none" : "");
    return count;
}

/* A pair that the table calls impossible and that happened: the table is wrong. */
static void print_contradictions(const struct sim_coverage *coverage, FILE *out) {
    for (size_t fault = 0; fault < sim_fault_count(); fault++) {
        for (enum sim_state state = 0; state < SIM_STATES; state++) {
            if (coverage->hits[fault][state] > 0 && sim_pair_impossible(fault, state) != NULL)
                fprintf(out, "called impossible, and hit %llu times: %s x %s\n",
                        (unsigned long long)coverage->hits[fault][state], sim_fault_name(fault), sim_state_name(state));
        }
    }
}

uint32_t sim_coverage_print(const struct sim_coverage *coverage, FILE *out) {
    print_table(coverage, out);
    print_contradictions(coverage, out);
    uint32_t never = print_below(coverage, out, "never hit", 0, 0);
    return never + print_below(coverage, out, "hit less than 100 times", 1, SIM_HITS_WANTED - 1);
}
