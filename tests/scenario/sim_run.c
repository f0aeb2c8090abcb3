#include "sim_run.h"

#include "sim_private.h"
#include "sim_trace.h"
#include "workload.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SETTLED_WITHIN_MS 600000
#define STEPS_MAX 3000000  /* more is a worker that turns in circles: a usual run takes some thousand */
#define LOOK_EVERY_US 5000 /* whether everything is answered */

static struct sim *world;

void sim_forget(void) {
    free(world);
    world = NULL;
}

/* ---- listening ---- */

static void on_event(void *argument, const struct trace_event *event) {
    struct sim *sim = argument;
    if (sim->coverage != NULL) {
        if (event->kind == TRACE_FAULT) sim_cover_call(sim->coverage, &sim->rig, event->who, (enum fault_kind)event->a);
        if (event->kind == TRACE_DOOM)
            sim_cover_fate(sim->coverage, &sim->rig, (int32_t)event->c, (enum fault_fate)event->a);
    }
    if (sim->trace != NULL) sim_trace_print(sim->trace, &sim->rig, event);
}

/* ---- the plan's entries, one after another ---- */

static void happen(struct sim *sim, const struct sim_entry *entry) {
    switch (entry->kind) {
    case SIM_WORK: sim_append_work(sim, entry); return;
    case SIM_ASK: sim_intake_ask(&sim->intake, entry->a, entry->b); return;
    case SIM_READER:
        if (sim->reader_count == SIM_READERS_MAX) return;
        sim_reader_init(&sim->readers[sim->reader_count], &sim->rig, sim->reader_count + 1,
                        (enum sim_reader_start)entry->name, entry->a, entry->b);
        sim->reader_count++;
        return;
    case SIM_TROUBLE:
        if (entry->wait_for == SIM_STATES)
            sim_strike(sim, entry);
        else
            sim->armed[sim->armed_count++] = entry;
        return;
    case SIM_FAULT:
    case SIM_FATE: sim->armed[sim->armed_count++] = entry; return;
    case SIM_ENTRY_KINDS: break;
    }
    assert(!"a kind of entry");
}

static void arrange_next(struct sim *sim);

static void next_happens(struct rig *rig, uint32_t argument) {
    struct sim *sim = (struct sim *)rig;
    const struct sim_entry *entry = &sim->plan->entries[sim->order[argument]];
    sim->next = argument + 1;
    happen(sim, entry);
    arrange_next(sim);
}

static void arrange_next(struct sim *sim) {
    if (sim->next == sim->plan->entry_count) return;
    int64_t at_ms = sim->plan->entries[sim->order[sim->next]].at_ms;
    int64_t now_ms = (sim->rig.clock.now_us - FAKE_CLOCK_START_US) / 1000;
    rig_later(&sim->rig, at_ms > now_ms ? at_ms - now_ms : 0, next_happens, sim->next);
}

/* By time; those of the same time as the plan lists them. */
static void sort_entries(struct sim *sim) {
    for (uint32_t i = 0; i < sim->plan->entry_count; i++) {
        uint32_t at = i;
        for (; at > 0 && sim->plan->entries[sim->order[at - 1]].at_ms > sim->plan->entries[i].at_ms; at--)
            sim->order[at] = sim->order[at - 1];
        sim->order[at] = i;
    }
}

/* ---- the run ---- */

/* No leader change under way: what it hides may look answered. */
static bool leaders_are_steady(const struct fake_broker *broker) {
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        for (uint32_t p = 0; p < broker->partition_count; p++) {
            const struct fake_log *log = &broker->topics[topic].logs[p];
            if (log->tail_until_us != 0 || log->stale_watermark >= 0) return false;
        }
    }
    return true;
}

static bool is_answered(struct sim *sim) {
    return sim->next == sim->plan->entry_count && sim->rig.later_count == 0 && sim_intake_done(&sim->intake) &&
           leaders_are_steady(&sim->rig.broker) && rig_all_answered(&sim->rig);
}

static bool is_read(const struct sim *sim) {
    for (uint32_t i = 0; i < sim->reader_count; i++) {
        if (!sim_reader_done(&sim->readers[i])) return false;
    }
    return true;
}

/* False: it goes on, or has ended badly. What strikes in the quiet time after its end may begin it again. */
static bool look_for_end(struct sim *sim, int64_t *end_us) {
    int64_t now_us = sim->rig.clock.now_us;
    bool answered = is_answered(sim);
    if (!answered) *end_us = INT64_MAX;
    if (answered && *end_us == INT64_MAX) *end_us = now_us + (int64_t)sim->plan->quiet_ms * 1000;
    return now_us >= *end_us && is_read(sim);
}

static void run(struct sim *sim) {
    struct rig *rig = &sim->rig;
    uint32_t count = sim->plan->entry_count;
    int64_t last_ms = count == 0 ? 0 : sim->plan->entries[sim->order[count - 1]].at_ms;
    int64_t limit_us = FAKE_CLOCK_START_US + (last_ms + SETTLED_WITHIN_MS) * 1000;
    int64_t look_us = 0, end_us = INT64_MAX;
    while (rig->clock.now_us < limit_us && rig->steps < STEPS_MAX) {
        rig_step(rig);
        if (sim->armed_count > 0) sim_strike_armed(sim);
        if (rig->clock.now_us < look_us) continue;
        look_us = rig->clock.now_us + LOOK_EVERY_US;
        if (look_for_end(sim, &end_us)) return;
    }
    if (rig->steps >= STEPS_MAX)
        history_violate(&rig->history, "the workers turn in circles: %d steps", STEPS_MAX);
    else
        history_violate(&rig->history, "not everything is answered after %d s", SETTLED_WITHIN_MS / 1000);
}

static void judge(struct sim *sim) {
    struct history *history = &sim->rig.history;
    bool complete = !history->tampered;
    history_judge_complete(history);
    sim_intake_judge(&sim->intake, complete);
    for (uint32_t i = 0; i < sim->reader_count; i++) sim_reader_judge(&sim->readers[i], complete);
}

static void begin(struct sim *sim, const struct sim_plan *plan, const struct sim_listener *listener) {
    struct rig *rig = &sim->rig;
    rig_init(rig, plan->seed, "", plan->partitions);
    rig->quiet = true;
    rig->script = plan->script;
    rig->batch_records_max = plan->batch_records;
    rig->switch_per_mille = plan->switch_per_mille;
    rig->restart_after_ms = plan->restart_ms;
    rig->database.latency_ms = plan->database_ms;
    rig->broker.latency_ms = plan->broker_ms;
    rig->broker.records_per_request = plan->per_request;
    rig->broker.requests_in_flight_max = plan->in_flight;
    rig->history.gaps_allowed = plan->in_flight > 1;
    sim->plan = plan;
    sim->coverage = listener != NULL ? listener->coverage : NULL;
    sim->trace = listener != NULL ? listener->trace : NULL;
    sim->reader_count = sim->next = sim->armed_count = 0;
    sim->tampered = false;
    if (sim->coverage != NULL || sim->trace != NULL) {
        rig->trace.tell = on_event;
        rig->trace.argument = sim;
    }
    rig->choose_fault = sim_choose_fault;
    rig->broker.choose_fate = sim_choose_fate;
    rig->broker.fate_argument = sim;
    workload_accounts(rig);
    sim_intake_init(&sim->intake, rig, plan->intake_in_flight);
    sort_entries(sim);
    arrange_next(sim);
    for (uint32_t i = 0; i < plan->workers; i++) rig_start_worker(rig);
}

static void end(struct sim *sim) {
    for (uint32_t i = 0; i < sim->reader_count; i++) sim_reader_free(&sim->readers[i]);
    sim_intake_free(&sim->intake);
    rig_free(&sim->rig);
}

void sim_play(const struct sim_plan *plan, const struct sim_listener *listener, struct sim_result *ret_result) {
    if (world == NULL) world = malloc(sizeof *world);
    assert(world != NULL);
    begin(world, plan, listener);
    run(world);
    judge(world);
    const struct history *history = &world->rig.history;
    *ret_result = (struct sim_result){.hash = world->rig.trace.hash,
                                      .events = world->rig.trace.events,
                                      .steps = world->rig.steps,
                                      .virtual_ms = (world->rig.clock.now_us - FAKE_CLOCK_START_US) / 1000,
                                      .tampered = world->tampered,
                                      .violation_count = history->violation_count};
    for (uint32_t i = 0; i < SIM_VIOLATIONS_SHOWN && i < history->violation_count; i++)
        memcpy(ret_result->violations[i], history->violations[i], sizeof ret_result->violations[i]);
    end(world);
}
