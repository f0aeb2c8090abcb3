/* Strikes: a plan's troubles, and its faults and fates that go by time and state. */
#include "sim_private.h"

/* ---- troubles ---- */

/* False: it isn't possible now, and nothing happened. */
static bool try_strike(struct sim *sim, const struct sim_entry *entry) {
    const struct trouble *trouble = &troubles[entry->name];
    uint64_t met[SIM_STATES] = {0};
    if (sim->coverage != NULL) sim_cover_trouble(met, &sim->rig, entry->name, entry->a);
    if (!trouble->strike(&sim->rig, entry->a, entry->b)) return false;
    trace_text(&sim->rig.trace, TRACE_TROUBLE, 0, entry->name, 0, entry->a, entry->b, trouble->name);
    if (trouble->tampers) sim->tampered = true;
    for (enum sim_state state = 0; sim->coverage != NULL && state < SIM_STATES; state++)
        sim->coverage->hits[entry->name][state] += met[state];
    return true;
}

void sim_strike(struct sim *sim, const struct sim_entry *entry) {
    if (!try_strike(sim, entry))
        trace_text(&sim->rig.trace, TRACE_TROUBLE, 0, entry->name, 1, entry->a, entry->b, troubles[entry->name].name);
}

static bool worker_stands_in(const struct rig *rig, const struct rig_worker *worker, enum sim_state state) {
    for (uint32_t p = 0; p < rig->broker.partition_count; p++) {
        if (sim_state_of(worker, (int32_t)p) == state) return true;
    }
    return false;
}

static bool stands_in(struct sim *sim, const struct sim_entry *entry) {
    const struct trouble *trouble = &troubles[entry->name];
    struct rig *rig = &sim->rig;
    const struct rig_worker *worker = trouble->reach == TROUBLE_REACHES_WORKER ? trouble_worker(rig, entry->a) : NULL;
    if (trouble->reach == TROUBLE_REACHES_WORKER && worker == NULL) return false;
    if (trouble->reach == TROUBLE_REACHES_PARTITION)
        return sim_state_of_lane(rig, trouble_partition(rig, entry->a)) == entry->wait_for;
    if (worker != NULL) return worker_stands_in(rig, worker, entry->wait_for);
    for (uint32_t p = 0; p < rig->broker.partition_count; p++) {
        if (sim_state_of_lane(rig, (int32_t)p) == entry->wait_for) return true;
    }
    return false;
}

static void disarm(struct sim *sim, uint32_t index) { sim->armed[index] = sim->armed[--sim->armed_count]; }

void sim_strike_armed(struct sim *sim) {
    for (uint32_t i = 0; i < sim->armed_count; i++) {
        const struct sim_entry *entry = sim->armed[i];
        if (entry->kind != SIM_TROUBLE || !stands_in(sim, entry)) continue;
        if (try_strike(sim, entry)) disarm(sim, i--);
    }
}

/* ---- faults of port calls and fates of produce requests ---- */

static const int64_t pauses_ms[] = {50, 900, 1500, 2500, 6000, 15000, 40000};

/* A fault of this kind that the call can have. */
static struct fault_entry fault_for(const struct sim_entry *entry, enum fault_call call) {
    struct fault_entry fault = {.kind = (enum fault_kind)entry->name, .number = pauses_ms[entry->b % 7]};
    if (fault.kind == FAULT_STALE || fault.kind == FAULT_REDELIVER) fault.number = 1 + entry->b % 5;
    if (fault.kind != FAULT_FAIL && fault.kind != FAULT_LATE_FAIL) return fault;
    for (uint32_t i = 0, from = entry->b % 8; i < 8; i++) {
        fault.move = (enum pay_move)((from + i) % 8);
        if (fault.move != PAY_OK && fault_fits(&fault, call)) return fault;
    }
    fault.move = PAY_OK;
    return fault;
}

const struct fault_entry *sim_choose_fault(struct rig *rig, const struct rig_worker *worker, enum fault_call call) {
    struct sim *sim = (struct sim *)rig;
    for (uint32_t i = 0; i < sim->armed_count; i++) {
        const struct sim_entry *entry = sim->armed[i];
        if (entry->kind != SIM_FAULT || &rig->workers[entry->a % RIG_WORKERS_MAX] != worker) continue;
        if (entry->wait_for != SIM_STATES && !worker_stands_in(rig, worker, entry->wait_for)) continue;
        struct fault_entry *fault = &sim->faults[worker - rig->workers];
        *fault = fault_for(entry, call);
        if (!fault_fits(fault, call)) continue;
        disarm(sim, i);
        return fault;
    }
    return NULL;
}

struct fault_entry sim_choose_fate(void *argument, const struct fake_produce *produce) {
    struct sim *sim = argument;
    for (uint32_t i = 0; i < sim->armed_count; i++) {
        const struct sim_entry *entry = sim->armed[i];
        if (entry->kind != SIM_FATE || sim_partition(sim, entry->a) != produce->partition) continue;
        if (entry->wait_for != SIM_STATES && sim_state_of_lane(&sim->rig, produce->partition) != entry->wait_for)
            continue;
        disarm(sim, i);
        return (struct fault_entry){
            .produce = true, .fate = (enum fault_fate)entry->name, .number = pauses_ms[entry->b % 7]};
    }
    return (struct fault_entry){.produce = true, .fate = FATE_OK};
}
