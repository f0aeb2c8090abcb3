/*
 * rig.h - a whole world in one process: N workers on the fakes, one scheduler, virtual time, a fault script, a judge.
 *
 * Calling sequence: rig_init; accounts, lanes are there, requests by fake_broker_append_*; rig_start_worker; rig_run; the history's
 * judgement; rig_free. rig_step is the one seeded scheduler function: it lets one worker run up to its next pause, or time pass.
 *
 * Each worker runs on its own fiber: a script (or rig_freeze) can stop it in the middle of any port call while everything else goes
 * on. A crashed or refused worker is thrown away and, after restart_after_ms, replaced by a new one (a new number in the script).
 * The same seed, script and set-up give the same run. Memory: owns everything; rig_free. Threads: one.
 */
#ifndef PAY_TESTS_RIG_H
#define PAY_TESTS_RIG_H

#include "fake_broker.h"
#include "fake_clock.h"
#include "fake_database.h"
#include "fake_ledger.h"
#include "fake_stream.h"
#include "fault.h"
#include "fiber.h"
#include "history.h"
#include "trace.h"

#include "worker/worker.h"

#define RIG_WORKERS_MAX 4
#define RIG_LOG_LINES 400
#define RIG_LOG_TEXT 256
#define RIG_LATER_MAX 64
#define RIG_ACTORS_MAX 8

struct rig;

struct rig_worker {
    struct rig *rig;
    bool alive;
    uint32_t number; /* 1, 2, ..: what a script's wN means */
    struct fault fault;
    struct fake_ledger *ledger;
    struct fake_stream *stream;
    struct pay_worker *worker;
    struct fiber *fiber;
    int64_t wake_us;     /* not scheduled before, unless it waits for news */
    bool in_pass;        /* it stands in the middle of one: a port call that takes its time, a freeze */
    bool waits_for_news; /* between two passes: anything its ports have to say wakes it */
    bool frozen;
    bool crashed;
    bool stopping;      /* SIGTERM was sent */
    int64_t restart_us; /* when an empty slot gets a new worker; 0: never */
};

/* Something that happens by itself: a server comes back, a plan's next trouble. */
struct rig_later {
    int64_t due_us;
    uint64_t order; /* of those due at the same time, the one asked for first */
    void (*happen)(struct rig *rig, uint32_t argument);
    uint32_t argument;
};

/* Somebody beside the workers who takes turns with them: an intake, a reader. */
struct rig_actor {
    void (*step)(struct rig *rig, struct rig_actor *actor);
    int64_t wake_us; /* not scheduled before */
};

struct rig {
    struct fake_clock clock;
    struct fake_database database;
    struct fake_broker broker;
    struct fault_script script;
    struct history history;
    struct rig_worker workers[RIG_WORKERS_MAX];
    uint32_t workers_started;
    uint64_t random;
    int64_t restart_after_ms; /* 0: who dies stays dead */
    uint32_t batch_records_max;
    uint32_t
        switch_per_mille; /* chance that a port call lets another worker run first; 0: workers change only between passes */
    uint64_t steps;
    struct rig_later later[RIG_LATER_MAX];
    uint32_t later_count;
    uint64_t laters; /* ever asked for */
    struct rig_actor *actors[RIG_ACTORS_MAX];
    uint32_t actor_count;
    struct trace trace;
    /* fault.h's choose, for every worker; NULL: none. */
    const struct fault_entry *(*choose_fault)(struct rig *rig, const struct rig_worker *worker, enum fault_call call);
    bool quiet; /* no log is kept: who wants it runs the seed again */
    uint32_t log_count;
    char log[RIG_LOG_LINES][RIG_LOG_TEXT]; /* the last lines that workers logged */
};

/* Partitions 0 .. partitions-1 with their rows, no account, no request. Aborts on a text that isn't a script. */
void rig_init(struct rig *rig, uint64_t seed, const char *script, uint32_t partitions);
void rig_free(struct rig *rig);

struct rig_worker *rig_start_worker(struct rig *rig);
/* kill -9: what it had sent is on its way. */
void rig_crash(struct rig *rig, struct rig_worker *worker);
/* SIGTERM. */
void rig_stop(struct rig_worker *worker);
/* SIGSTOP for `ms`, where it stands. */
void rig_freeze(struct rig_worker *worker, int64_t ms);

/* Calls `happen` in `ms`, between two moves of the workers. */
void rig_later(struct rig *rig, int64_t ms, void (*happen)(struct rig *rig, uint32_t argument), uint32_t argument);

/* The actor stays the caller's, and has its turns until the rig's end. */
void rig_add_actor(struct rig *rig, struct rig_actor *actor);

/* One move of one worker or actor, or time passes. */
void rig_step(struct rig *rig);
/* Steps until `done` (NULL: never) or `limit_ms` of virtual time have passed. True: done. */
bool rig_run(struct rig *rig, bool (*done)(struct rig *rig), int64_t limit_ms);
void rig_run_for(struct rig *rig, int64_t ms);

/* Every request answered, and P at the end of its partition, in every lane; or halted where it has to be (history_finished). */
bool rig_all_answered(struct rig *rig);

/* The lane, or the whole ledger. */
bool rig_has_halted(struct rig *rig, int32_t partition);

/* The log of the workers and the script, for a failing test. */
void rig_explain(const struct rig *rig);

uint32_t rig_random(struct rig *rig);

#endif
