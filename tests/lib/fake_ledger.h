/*
 * fake_ledger.h - the ledger port (worker/ledger.h) in memory: one worker's connection to a fake_database, with a fault script.
 *
 * Calling sequence: fake_ledger_new; give &ledger->port to a worker; fake_ledger_free when that worker is gone. A worker that
 * crashed: fake_ledger_crash first (its connection drops, what it had sent is still run by the server).
 *
 * Promises: keeps the port's contract, and complains (database->complaints) about a caller that doesn't: a call between a
 * settle's begin and end, a call after SESSION_OVER other than connect and close, a second half without a READ.
 * Waits (a claim for a locked row) let virtual time pass through the fault's pause hook.
 * `close` only drops the connection; the memory is the maker's. Threads: one.
 */
#ifndef PAY_TESTS_FAKE_LEDGER_H
#define PAY_TESTS_FAKE_LEDGER_H

#include "fake_database.h"
#include "fault.h"

#include "worker/ledger.h"

struct fake_ledger {
    struct pay_ledger port; /* first: the worker's view */
    struct fake_database *database;
    struct fault *fault;
    struct fake_connection *connection; /* NULL: not connected */
    bool over;                          /* SESSION_OVER was answered: only connect and close from now on */
    bool settling;                      /* between settle_begin and the settle's end */
    bool written;                       /* its second half was sent */
    struct pay_batch *batch;            /* the settle's; NULL: fence only */
    struct pay_fence *fences;
    uint32_t fence_count;
    int64_t read_given_us;
    int64_t call_timeout_ms; /* how long claim waits for the row */
    int64_t round_trip_deadline_ms;
    char group_id[FAKE_NAME_MAX];
    char cluster_id[FAKE_NAME_MAX];
};

/* Group "paybuf" and cluster "fake-cluster" unless changed afterwards. */
struct fake_ledger *fake_ledger_new(struct fake_database *database, struct fault *fault);
void fake_ledger_crash(struct fake_ledger *ledger);
void fake_ledger_free(struct fake_ledger *ledger);

#endif
