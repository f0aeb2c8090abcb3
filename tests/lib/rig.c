#include "rig.h"

#include "codec/request_codec.h"

#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASS_US 300 /* what a pass costs at least, so that a busy worker doesn't stop time */
#define DRAIN_MS 5000

/* ---- randomness: splitmix64 ---- */

static uint64_t next_random(struct rig *rig) {
    uint64_t z = rig->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t rig_random(struct rig *rig) { return (uint32_t)(next_random(rig) >> 32); }

/* ---- what a worker asks of its surroundings ---- */

static int64_t worker_now_ms(void *argument) {
    const struct rig_worker *worker = argument;
    return fake_clock_ms(&worker->rig->clock);
}

static void worker_random_bytes(void *argument, void *bytes, size_t length) {
    struct rig_worker *worker = argument;
    unsigned char *out = bytes;
    for (size_t i = 0; i < length; i++) out[i] = (unsigned char)rig_random(worker->rig);
}

static void worker_log_line(void *argument, enum pay_worker_log level, const char *text) {
    const struct rig_worker *worker = argument;
    struct rig *rig = worker->rig;
    trace_text(&rig->trace, TRACE_SAYS, worker->number, level, 0, 0, 0, text);
    if (rig->quiet) return;
    char *line = rig->log[rig->log_count++ % RIG_LOG_LINES];
    snprintf(line, RIG_LOG_TEXT, "%10.3f w%u.%u %s %s", (double)(rig->clock.now_us - FAKE_CLOCK_START_US) / 1e6,
             worker->number, worker->fault.calls,
             level == PAY_WORKER_INFO      ? "info"
             : level == PAY_WORKER_WARNING ? "warning"
                                           : "error",
             text);
    if (getenv("RIG_VERBOSE") != NULL) fprintf(stderr, "%s\n", line);
}

static void worker_ledger_known(void *argument, const char *ledger_id) {
    struct rig_worker *worker = argument;
    fake_stream_know_ledger(worker->stream, ledger_id);
}

static void worker_cluster_known(void *argument, const char *cluster_id) {
    struct rig_worker *worker = argument;
    snprintf(worker->ledger->cluster_id, sizeof worker->ledger->cluster_id, "%s", cluster_id);
}

/* ---- a worker's process: standing still, crashing, its main loop ---- */

static void stand_still(struct rig_worker *worker, int64_t until_us) {
    worker->wake_us = until_us;
    fiber_yield();
}

static void fault_pauses(void *argument, int64_t ms, bool frozen) {
    struct rig_worker *worker = argument;
    worker->frozen = frozen;
    fake_stream_freeze(worker->stream, frozen);
    stand_still(worker, worker->rig->clock.now_us + ms * 1000);
}

static void fault_crashes(void *argument) {
    struct rig_worker *worker = argument;
    worker->crashed = true;
    fiber_yield(); /* for ever */
}

/* The scheduler's chance in the middle of a pass. */
static void fault_before_call(void *argument, enum fault_call call) {
    struct rig_worker *worker = argument;
    struct rig *rig = worker->rig;
    (void)call;
    if (rig->switch_per_mille > 0 && rig_random(rig) % 1000 < rig->switch_per_mille)
        stand_still(worker, rig->clock.now_us);
}

static const struct fault_entry *fault_chooses(void *argument, enum fault_call call) {
    struct rig_worker *worker = argument;
    struct rig *rig = worker->rig;
    return rig->choose_fault != NULL ? rig->choose_fault(rig, worker, call) : NULL;
}

static void wait_for_news(struct rig_worker *worker) {
    int64_t wait_us = pay_worker_wait_ms(worker->worker) * 1000;
    stand_still(worker, worker->rig->clock.now_us + PASS_US);
    if (wait_us <= PASS_US) return;
    worker->waits_for_news = true;
    stand_still(worker, worker->rig->clock.now_us + wait_us - PASS_US);
    worker->waits_for_news = false;
}

static void run_process(void *argument) {
    struct rig_worker *worker = argument;
    int64_t stop_by_us = INT64_MAX;
    while (!(worker->stopping && pay_worker_drained(worker->worker)) && worker->rig->clock.now_us < stop_by_us) {
        if (worker->stopping && stop_by_us == INT64_MAX) {
            stop_by_us = worker->rig->clock.now_us + DRAIN_MS * 1000;
            pay_worker_drain(worker->worker);
        }
        worker->in_pass = true;
        pay_worker_pass(worker->worker);
        worker->in_pass = false;
        if (pay_worker_refusal(worker->worker) != NULL) break;
        wait_for_news(worker);
    }
    worker->stream->port.ops->close(&worker->stream->port, 5000);
    worker->ledger->port.ops->close(&worker->ledger->port);
}

static void bury(struct rig *rig, struct rig_worker *worker) {
    trace_event(&rig->trace, TRACE_END, worker->number, !worker->stopping, 0, 0, 0);
    fake_stream_crash(worker->stream);
    fake_ledger_crash(worker->ledger);
    pay_worker_free(worker->worker);
    fiber_free(worker->fiber);
    fake_stream_free(worker->stream);
    fake_ledger_free(worker->ledger);
    fault_free(&worker->fault);
    worker->alive = false;
    bool restart = rig->restart_after_ms > 0 && !worker->stopping;
    worker->restart_us = restart ? rig->clock.now_us + rig->restart_after_ms * 1000 : 0;
}

static void start_in(struct rig *rig, struct rig_worker *worker) {
    memset(worker, 0, sizeof *worker);
    worker->rig = rig;
    worker->alive = true;
    worker->number = ++rig->workers_started;
    fault_init(&worker->fault, &rig->clock, &rig->script, worker->number);
    worker->fault.pause = fault_pauses;
    worker->fault.crash = fault_crashes;
    worker->fault.before_call = fault_before_call;
    worker->fault.choose = fault_chooses;
    worker->fault.argument = worker;
    worker->fault.trace = &rig->trace;
    trace_event(&rig->trace, TRACE_START, worker->number, 0, 0, 0, 0);
    worker->ledger = fake_ledger_new(&rig->database, &worker->fault);
    worker->stream = fake_stream_new(&rig->broker, &worker->fault);
    const struct pay_worker_options options = {
        .ledger = &worker->ledger->port,
        .stream = &worker->stream->port,
        .now_ms = worker_now_ms,
        .random = worker_random_bytes,
        .log = worker_log_line,
        .ledger_known = worker_ledger_known,
        .cluster_known = worker_cluster_known,
        .argument = worker,
        .request_topic = "pay.requests",
        .batch_records_max = rig->batch_records_max,
    };
    worker->worker = pay_worker_new(&options);
    assert(worker->worker != NULL);
    worker->fiber = fiber_new(run_process, worker);
}

struct rig_worker *rig_start_worker(struct rig *rig) {
    for (uint32_t i = 0; i < RIG_WORKERS_MAX; i++) {
        if (rig->workers[i].alive || rig->workers[i].restart_us != 0) continue;
        start_in(rig, &rig->workers[i]);
        return &rig->workers[i];
    }
    assert(!"more workers than RIG_WORKERS_MAX");
    return NULL;
}

void rig_crash(struct rig *rig, struct rig_worker *worker) {
    if (worker->alive) bury(rig, worker);
}

void rig_stop(struct rig_worker *worker) {
    worker->stopping = true;
    worker->wake_us = 0;
}

void rig_freeze(struct rig_worker *worker, int64_t ms) {
    worker->frozen = true;
    worker->waits_for_news = false;
    fake_stream_freeze(worker->stream, true);
    worker->wake_us = worker->rig->clock.now_us + ms * 1000;
}

/* ---- what happens by itself ---- */

void rig_later(struct rig *rig, int64_t ms, void (*happen)(struct rig *rig, uint32_t argument), uint32_t argument) {
    assert(rig->later_count < RIG_LATER_MAX);
    rig->later[rig->later_count++] = (struct rig_later){
        .due_us = rig->clock.now_us + ms * 1000, .order = ++rig->laters, .happen = happen, .argument = argument};
}

/* The one that is due first; NULL: none. */
static struct rig_later *next_later(struct rig *rig) {
    struct rig_later *first = NULL;
    for (uint32_t i = 0; i < rig->later_count; i++) {
        struct rig_later *later = &rig->later[i];
        if (first == NULL || later->due_us < first->due_us ||
            (later->due_us == first->due_us && later->order < first->order))
            first = later;
    }
    return first;
}

static void let_happen(struct rig *rig) {
    for (struct rig_later *next = next_later(rig); next != NULL && next->due_us <= rig->clock.now_us;
         next = next_later(rig)) {
        struct rig_later later = *next;
        *next = rig->later[--rig->later_count];
        later.happen(rig, later.argument);
    }
}

/* ---- the scheduler ---- */

static bool ledger_has_news(const struct fake_ledger *ledger) {
    if (!ledger->settling) return false;
    if (ledger->connection == NULL || fake_connection_gone(ledger->connection)) return true;
    switch (ledger->connection->transaction.state) {
    case TRANSACTION_READY: return ledger->read_given_us == 0;
    case TRANSACTION_WRITING: return ledger->database->clock->now_us >= ledger->connection->transaction.due_us;
    case TRANSACTION_COMMITTED:
    case TRANSACTION_FAILED: return true;
    default: return false;
    }
}

static bool runnable(const struct rig *rig, const struct rig_worker *worker) {
    if (!worker->alive) return false;
    if (rig->clock.now_us >= worker->wake_us) return true;
    return worker->waits_for_news && !worker->frozen &&
           (fake_stream_has_news(worker->stream) || ledger_has_news(worker->ledger));
}

static void resume(struct rig *rig, struct rig_worker *worker) {
    if (worker->frozen) {
        worker->frozen = false;
        fake_stream_freeze(worker->stream, false);
    }
    bool goes_on = fiber_resume(worker->fiber);
    if (!goes_on || worker->crashed) bury(rig, worker);
}

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

/* To the next thing that is due; at most 100 ms, at least one tick. */
static void let_time_pass(struct rig *rig) {
    int64_t due = earlier(fake_database_next_due_us(&rig->database), fake_broker_next_due_us(&rig->broker));
    const struct rig_later *later = next_later(rig);
    if (later != NULL) due = earlier(due, later->due_us);
    for (uint32_t i = 0; i < RIG_WORKERS_MAX; i++) {
        const struct rig_worker *worker = &rig->workers[i];
        if (worker->alive)
            due = earlier(due, worker->wake_us);
        else if (worker->restart_us != 0)
            due = earlier(due, worker->restart_us);
    }
    for (uint32_t i = 0; i < rig->actor_count; i++) due = earlier(due, rig->actors[i]->wake_us);
    due = earlier(due, rig->clock.now_us + 100000);
    rig->clock.now_us = due > rig->clock.now_us ? due : rig->clock.now_us + 100;
}

void rig_add_actor(struct rig *rig, struct rig_actor *actor) {
    assert(rig->actor_count < RIG_ACTORS_MAX);
    rig->actors[rig->actor_count++] = actor;
}

void rig_step(struct rig *rig) {
    struct rig_worker *ready[RIG_WORKERS_MAX];
    struct rig_actor *ready_actors[RIG_ACTORS_MAX];
    uint32_t count = 0, actor_count = 0;
    rig->steps++;
    let_happen(rig);
    fake_database_run(&rig->database);
    fake_broker_run(&rig->broker);
    for (uint32_t i = 0; i < RIG_WORKERS_MAX; i++) {
        struct rig_worker *worker = &rig->workers[i];
        if (!worker->alive && worker->restart_us != 0 && rig->clock.now_us >= worker->restart_us) start_in(rig, worker);
        if (runnable(rig, worker)) ready[count++] = worker;
    }
    for (uint32_t i = 0; i < rig->actor_count; i++) {
        if (rig->clock.now_us >= rig->actors[i]->wake_us) ready_actors[actor_count++] = rig->actors[i];
    }
    uint32_t all = count + actor_count, chosen = all <= 1 ? 0 : rig_random(rig) % all;
    if (all == 0)
        let_time_pass(rig);
    else if (chosen < count)
        resume(rig, ready[chosen]);
    else
        ready_actors[chosen - count]->step(rig, ready_actors[chosen - count]);
}

bool rig_run(struct rig *rig, bool (*done)(struct rig *rig), int64_t limit_ms) {
    int64_t until_us = rig->clock.now_us + limit_ms * 1000;
    while (rig->clock.now_us < until_us) {
        if (done != NULL && done(rig)) return true;
        rig_step(rig);
    }
    return done != NULL && done(rig);
}

void rig_run_for(struct rig *rig, int64_t ms) { rig_run(rig, NULL, ms); }

bool rig_all_answered(struct rig *rig) {
    for (uint32_t i = 0; i < rig->broker.partition_count; i++) {
        if (!history_finished(&rig->history, (int32_t)i)) return false;
    }
    return true;
}

bool rig_has_halted(struct rig *rig, int32_t partition) {
    const struct fake_lane *lane = fake_database_lane(&rig->database, partition);
    return rig->database.tables.ledger.halted || (lane != NULL && lane->row.halted != PAY_HALT_NONE);
}

void rig_explain(const struct rig *rig) {
    char text[FAULT_TEXT_MAX];
    fault_script_format(&rig->script, text);
    fprintf(stderr, "script: %s\n", text);
    history_print(&rig->history);
    uint32_t from = rig->log_count > RIG_LOG_LINES ? rig->log_count - RIG_LOG_LINES : 0;
    for (uint32_t i = from; i < rig->log_count; i++) fprintf(stderr, "%s\n", rig->log[i % RIG_LOG_LINES]);
}

/* ---- life ---- */

void rig_init(struct rig *rig, uint64_t seed, const char *script, uint32_t partitions) {
    /* A worker's works are large and hardly touched: as mappings of their own they come zeroed page by page, from the heap whole. */
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    memset(rig, 0, sizeof *rig);
    pay_codec_init();
    rig->random = seed;
    rig->clock.now_us = FAKE_CLOCK_START_US;
    rig->restart_after_ms = 500;
    rig->batch_records_max = 6;
    bool parsed = fault_script_parse(script, &rig->script);
    assert(parsed && "a script that can't be read");
    (void)parsed;
    fake_database_init(&rig->database, &rig->clock);
    fake_broker_init(&rig->broker, &rig->clock, partitions);
    rig->broker.script = &rig->script;
    rig->trace.clock = &rig->clock;
    rig->broker.trace = rig->database.trace = &rig->trace;
    for (uint32_t i = 0; i < partitions; i++) fake_database_add_lane(&rig->database, (int32_t)i);
    history_watch(&rig->history, &rig->database, &rig->broker);
}

void rig_free(struct rig *rig) {
    rig->restart_after_ms = 0;
    for (uint32_t i = 0; i < RIG_WORKERS_MAX; i++) {
        if (rig->workers[i].alive) bury(rig, &rig->workers[i]);
    }
    history_free(&rig->history);
    fake_broker_free(&rig->broker);
    fake_database_free(&rig->database);
}
