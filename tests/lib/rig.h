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

#include "worker/worker.h"

#define RIG_WORKERS_MAX 4
#define RIG_LOG_LINES 400
#define RIG_LOG_TEXT 256

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
    bool waits_for_news; /* between two passes: anything its ports have to say wakes it */
    bool frozen;
    bool crashed;
    bool stopping;      /* SIGTERM was sent */
    int64_t restart_us; /* when an empty slot gets a new worker; 0: never */
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

/* One move of one worker, or time passes. */
void rig_step(struct rig *rig);
/* Steps until `done` (NULL: never) or `limit_ms` of virtual time have passed. True: done. */
bool rig_run(struct rig *rig, bool (*done)(struct rig *rig), int64_t limit_ms);
void rig_run_for(struct rig *rig, int64_t ms);

/* Every request answered, and P at the end of its partition, in every lane. */
bool rig_all_answered(struct rig *rig);

/* The log of the workers and the script, for a failing test. */
void rig_explain(const struct rig *rig);

uint32_t rig_random(struct rig *rig);

#endif
