/*
 * worker.h - the worker: claims lanes, settles their records, publishes the replies. Sans-I/O but for its two ports.
 *
 * Calling sequence: pay_worker_new; pay_worker_pass again and again (wait between passes as pay_worker_wait_ms says, or
 * until a port's descriptor is ready); pay_worker_drain and passes until pay_worker_drained; pay_worker_free.
 *
 * Promises: money before message (a reply goes out only for a record whose settle is known to be committed); every lane is
 * fenced; a pass never blocks longer than the ports' bounded calls; memory is bounded (WORKS batches of PAY_BATCH_RECORDS_MAX).
 * What a crash costs is said at each step of pay_worker_pass (loop.c).
 *
 * Ownership: the ports, clock, random and log stay the caller's. Threads: one.
 */
#ifndef PAY_WORKER_WORKER_H
#define PAY_WORKER_WORKER_H

#include "core/lane.h"
#include "worker/ledger.h"
#include "worker/stream.h"

#include <stdbool.h>
#include <stdint.h>

enum pay_worker_log { PAY_WORKER_INFO, PAY_WORKER_WARNING, PAY_WORKER_ERROR };

struct pay_worker_options {
    struct pay_ledger *ledger;
    struct pay_stream *stream;
    int64_t (*now_ms)(void *argument); /* monotonic */
    void (*random)(void *argument, void *bytes, size_t length);
    void (*log)(void *argument, enum pay_worker_log level, const char *text);
    /* The ledger id is known (after each connect): the stream needs it to tell our replies from another ledger's. */
    void (*ledger_known)(void *argument, const char *ledger_id);
    /* The stream is open and knows its cluster: the ledger compares it with the rows'. NULL: nobody wants to know. */
    void (*cluster_known)(void *argument, const char *cluster_id);
    void *argument;
    const char *request_topic;  /* ce_id, ce_source */
    uint32_t batch_records_max; /* 1..PAY_BATCH_RECORDS_MAX */
};

/* Counted since the start; for /metrics. */
struct pay_worker_counters {
    uint64_t records, paid, declined, duplicates, conflicts, invalid; /* settled by this worker */
    uint64_t looked_up;                                               /* answered from rows after a claim */
    uint64_t replies_acknowledged, dead_letters;
    uint64_t batches, empty_batches, redone, halved;
    uint64_t claims, claims_failed, fenced, sessions_ended, publishers_lost, halts;
};

struct pay_worker;

/* NULL when memory is short. */
struct pay_worker *pay_worker_new(const struct pay_worker_options *options);
void pay_worker_free(struct pay_worker *worker); /* NULL is fine; the ports are not closed */

void pay_worker_pass(struct pay_worker *worker);
/* NULL, or why this worker must not go on: a precondition failed before it claimed anything. Exit code 78 is meant. */
const char *pay_worker_refusal(const struct pay_worker *worker);
/* Whether new records should wake the caller; false while there is no room for them. */
bool pay_worker_wants_records(const struct pay_worker *worker);
/* How long the caller may sleep when no descriptor becomes ready; 0: there is work. */
int64_t pay_worker_wait_ms(const struct pay_worker *worker);

/* Stop taking records; settle and publish what was received. */
void pay_worker_drain(struct pay_worker *worker);
bool pay_worker_drained(const struct pay_worker *worker);

const struct pay_worker_counters *pay_worker_counters(const struct pay_worker *worker);
/* Ready: connected, agreed with the ledger, and the group has answered once. Else why not. */
bool pay_worker_ready(const struct pay_worker *worker, char *reason, size_t reason_size);
uint32_t pay_worker_lane_count(const struct pay_worker *worker);
const struct pay_lane *pay_worker_lane(const struct pay_worker *worker, uint32_t partition);

#endif
