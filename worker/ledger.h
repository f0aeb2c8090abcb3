/*
 * ledger.h - the port to the books: one transaction at a time on one connection. Real adapter: ledger_pg (PostgreSQL);
 * twin in memory with a fault script: tests/lib/fake_ledger.
 *
 * Calling sequence: connect; read_ledger and, where the incarnation differs, read_rows and adopt; claim per lane; then per
 * slice settle_begin -> settle_poll until READ -> (pay_batch_decide) -> settle_write -> settle_poll until COMMITTED.
 * Between settle_begin and the end of the settle no other call but settle_poll, settle_write, settle_abandon is allowed.
 *
 * Promises: every call but settle_* blocks for a bounded time (call_timeout_ms) and then answers AGAIN or SESSION_OVER;
 * settle_* never block. COMMITTED means the tag COMMIT was read. After SESSION_OVER only connect and close are allowed.
 * On PAY_OK `error` is untouched. Nothing is logged here.
 *
 * A crash inside a settle before the database ran COMMIT costs nothing; after it, the next owner finds the rows.
 * Threads: one. Ownership: the adapter owns itself, `close` frees it.
 */
#ifndef PAY_WORKER_LEDGER_H
#define PAY_WORKER_LEDGER_H

#include "core/batch.h"
#include "core/claim.h"
#include "core/error.h"

#define PAY_UUID_TEXT_MAX 37

/* The one row of `ledger`, and the server behind the connection. */
struct pay_ledger_row {
    char ledger_id[PAY_UUID_TEXT_MAX];
    int64_t incarnation_us;    /* pg_postmaster_start_time() the workers last agreed on, microseconds since 1970 */
    int64_t server_started_us; /* this connection's server's own */
    bool halted;
    enum pay_halt halted_reason;
};

/* One lane's part of a settle: compared in the first half, written there too. */
struct pay_fence {
    int32_t partition;
    uint8_t owner[PAY_OWNER_SIZE];
    int64_t owner_epoch;
    int64_t processed_before; /* must be the row's P */
    int64_t processed_after;
    struct pay_anchor anchor; /* of the last data record below processed_after */
    int64_t replied_offset;   /* the pair */
    int64_t reply_position;
    bool lost; /* out, with PAY_FENCED: this one isn't mine any more */
};

enum pay_settle_state {
    PAY_SETTLE_WAITING, /* nothing to do yet */
    PAY_SETTLE_READ,    /* fence held, accounts locked, known read: decide, then settle_write */
    PAY_SETTLE_COMMITTED,
    PAY_SETTLE_FAILED /* see error; except for SESSION_OVER the transaction is rolled back and the connection usable */
};

struct pay_ledger;

struct pay_ledger_ops {
    /* (Re)connects; drops what was there. OK, AGAIN (not reachable now), REFUSE (wrong role, pooler, standby, fsync off). */
    enum pay_move (*connect)(struct pay_ledger *ledger, struct pay_error *error);
    enum pay_move (*read_ledger)(struct pay_ledger *ledger, struct pay_ledger_row *ret_row, struct pay_error *error);
    /* Every partition's row, in partition order, without any lock. At most `capacity`. */
    enum pay_move (*read_rows)(struct pay_ledger *ledger, struct pay_lane_row *ret_rows, uint32_t capacity,
                               uint32_t *ret_count, struct pay_error *error);
    /* UPDATE ledger SET incarnation = this server's WHERE incarnation = expected AND NOT halted. *ret_adopted: whether it was me. */
    enum pay_move (*adopt)(struct pay_ledger *ledger, int64_t expected_incarnation_us, bool *ret_adopted,
                           struct pay_error *error);
    /* Halts the whole ledger; a no-op when it is halted already. */
    enum pay_move (*halt_ledger)(struct pay_ledger *ledger, enum pay_halt reason, struct pay_error *error);

    /* Locks the partition's row (1 s; AGAIN when busy), owner = `owner`, epoch + 1, reads the row, COMMIT confirmed.
       *ret_missing, and PAY_OK, when there is no such row. A row that is halted, or another group's or cluster's, is read and not taken
       (halted, same_group, same_cluster tell). */
    enum pay_move (*claim)(struct pay_ledger *ledger, int32_t partition, const uint8_t owner[PAY_OWNER_SIZE],
                           struct pay_lane_row *ret_row, bool *ret_missing, struct pay_error *error);
    /* Creates a missing row at 0 (only where L = 0 and the reply partition never held a record). */
    enum pay_move (*create_row)(struct pay_ledger *ledger, int32_t partition, struct pay_error *error);
    /* Writes halted_reason, only while this owner and epoch hold the row. */
    enum pay_move (*halt_lane)(struct pay_ledger *ledger, int32_t partition, const uint8_t owner[PAY_OWNER_SIZE],
                               int64_t owner_epoch, enum pay_halt reason, struct pay_error *error);

    /* Reply-only: reads known decisions and refusals of the prepared slice into the batch. SPLIT when there are too many. */
    enum pay_move (*look_up)(struct pay_ledger *ledger, struct pay_batch *batch, struct pay_error *error);

    /* First half: BEGIN, fence, lock accounts, known, now(). `batch` NULL or with an empty slice: fence only (then settle_write commits at once).
       Fences are in partition order. Both stay the caller's and must live until the settle ended. */
    enum pay_move (*settle_begin)(struct pay_ledger *ledger, struct pay_batch *batch, struct pay_fence *fences,
                                  uint32_t fence_count, struct pay_error *error);
    /* Advances without blocking. *ret_decided_at_us is set with READ. The round trips' own deadline (1 s) is kept here. */
    enum pay_settle_state (*settle_poll)(struct pay_ledger *ledger, int64_t *ret_decided_at_us,
                                         struct pay_error *error);
    /* Second half: inserts, refusals, account updates, COMMIT. */
    enum pay_move (*settle_write)(struct pay_ledger *ledger, struct pay_error *error);
    /* Rolls back a settle that hasn't been written yet, or drops the connection when it has. Bounded. */
    void (*settle_abandon)(struct pay_ledger *ledger);

    /* Outside of a settle: is the connection still there? Takes in what the server said by itself. Never blocks. OK or SESSION_OVER. */
    enum pay_move (*look)(struct pay_ledger *ledger, struct pay_error *error);

    /* What the loop waits for: a descriptor (-1: none) and whether it also wants to write. */
    int (*descriptor)(struct pay_ledger *ledger, bool *ret_wants_write);
    void (*close)(struct pay_ledger *ledger);
};

/* An adapter begins with this. */
struct pay_ledger {
    const struct pay_ledger_ops *ops;
};

#endif
