/*
 * batch.h - the records that are settled in one transaction, and everything the transaction reads and writes.
 *
 * Sequence, for one slice [begin, end) at a time (a batch that fails is halved, so a slice may be smaller than the batch):
 *   pay_batch_reset; pay_batch_next + pay_batch_commit_next per record (arrival order: offset order per partition);
 *   pay_batch_slice; pay_batch_prepare: unique orders and accounts, sorted in the global lock order;
 *   the ledger fills known decisions, accounts (settle) or known decisions, refusals (look-up);
 *   pay_batch_decide or pay_batch_find_answers: answers[i] for every record of the slice; inserts and refusals to write.
 *
 * Promises: inserts are in primary key order (unsorted batches deadlock), accounts in (tenant, account_id) order, each account
 * once; a later record sees an earlier one's decision; deciding the same slice twice gives the same result.
 * Memory: one big struct, made and freed by the caller; allocates nothing. Threads: one at a time.
 */
#ifndef PAY_CORE_BATCH_H
#define PAY_CORE_BATCH_H

#include "core/decide.h"
#include "core/limits.h"

struct pay_batch_order {
    const char *tenant; /* in a record of the slice */
    const char *order_id;
    struct pay_decision *known; /* on file, and those of this batch */
};

struct pay_batch_insert {
    uint32_t record; /* index of the record that was decided */
    uint32_t order;  /* index into orders */
    const struct pay_decision *decision;
};

/* Scratch for sorting: qsort has no context argument, so an entry carries what is compared. */
struct pay_batch_sort {
    const char *tenant;
    const char *id;
    uint32_t record;
};

struct pay_batch {
    uint32_t count;      /* records received */
    uint32_t begin, end; /* the slice at work: [begin, end) */
    struct pay_record records[PAY_BATCH_RECORDS_MAX];
    bool settled[PAY_BATCH_RECORDS_MAX]; /* lay below P at its claim: answered from rows only */
    bool dropped[PAY_BATCH_RECORDS_MAX]; /* its lane's session is over: neither decided nor answered here */
    struct pay_answer answers[PAY_BATCH_RECORDS_MAX]; /* valid in [0, end) once decided or found */

    /* of the slice */
    uint32_t order_count, account_count, known_count, insert_count, refusal_count;
    struct pay_batch_order orders[PAY_BATCH_RECORDS_MAX];   /* sorted by (tenant, order_id), unique */
    struct pay_account accounts[PAY_BATCH_RECORDS_MAX];     /* sorted by (tenant, account_id), unique */
    struct pay_batch_insert inserts[PAY_BATCH_RECORDS_MAX]; /* sorted by (tenant, order_id, attempt) */
    struct pay_refusal refusals
        [PAY_BATCH_RECORDS_MAX]; /* to insert (settle), or found (look-up); sorted by (partition, offset) when to insert */
    struct pay_refusal *refusal_of[PAY_BATCH_RECORDS_MAX]; /* look-up: the refusal at a record's position */
    uint32_t order_of[PAY_BATCH_RECORDS_MAX]; /* record -> index into orders, UINT32_MAX for invalid bytes */
    uint32_t account_of[PAY_BATCH_RECORDS_MAX];
    struct pay_batch_sort sort[PAY_BATCH_RECORDS_MAX];
    struct pay_decision pool[PAY_BATCH_KNOWN_MAX + PAY_BATCH_RECORDS_MAX];
    uint32_t pool_used;
};

void pay_batch_reset(struct pay_batch *batch);
bool pay_batch_full(const struct pay_batch *batch);

/* The slot for the next record, NULL when full; it counts after pay_batch_commit_next. */
struct pay_record *pay_batch_next(struct pay_batch *batch);
void pay_batch_commit_next(struct pay_batch *batch, bool settled);

/*
 * Chooses the next slice: starts at the end of the last one, takes records of one kind (all settled, or none), at most `limit`.
 * False when nothing is left. Dropped records are part of a slice and get no answer.
 */
bool pay_batch_slice(struct pay_batch *batch, uint32_t limit);
/* The same slice again, at most `limit` records of it (after a failure). */
void pay_batch_shrink(struct pay_batch *batch, uint32_t limit);

/* Sorts and makes unique; forgets what an earlier attempt at the slice had read or decided. Repeatable. */
void pay_batch_prepare(struct pay_batch *batch);

/* Room for one known decision of orders[order]; NULL when PAY_BATCH_KNOWN_MAX are there (the caller halves the batch). */
struct pay_decision *pay_batch_add_known(struct pay_batch *batch, uint32_t order);
/* Room for a refusal found at a record's position (look-up). */
struct pay_refusal *pay_batch_add_refusal(struct pay_batch *batch, uint32_t record);

/* After known decisions are in: false, and *ret_record, at the first record about whose order a row says what no worker writes. */
bool pay_batch_known_possible(const struct pay_batch *batch, uint32_t *ret_record);

/* After known decisions and locked accounts are in: decides the slice in order. */
void pay_batch_decide(struct pay_batch *batch, int64_t decided_at_us);

/* After known decisions and refusals are in: false, and *ret_record, at the first record without a reason on file. */
bool pay_batch_find_answers(struct pay_batch *batch, uint32_t *ret_record);

/* Its lane's session is over: not decided, not answered here. Only between pay_batch_slice (or shrink) and pay_batch_prepare:
   a slice in flight has its fence written already and must be decided as it was prepared. */
void pay_batch_drop(struct pay_batch *batch, uint32_t record);

#endif
