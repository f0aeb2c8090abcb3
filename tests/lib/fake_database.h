/*
 * fake_database.h - the books in memory: committed tables, row locks, open transactions with READ COMMITTED semantics.
 *
 * Every worker connects its own fake_ledger (fake_ledger.h) to one fake_database. The server runs by itself: what a client has
 * sent goes on although the client is frozen or dead (fake_database_run does everything that is due). So:
 *   - locks are taken in the order asked for, one after another; a wait ends when the holder ends, in a deadlock (40P01, the
 *     one who closes the circle) or at lock_timeout (55P03); what is read after a wait is what was committed meanwhile;
 *   - a transaction's writes appear all at once at its COMMIT, or never; a second row with the same key: 23505, none of it;
 *   - between READ and the second half the server waits idle_timeout, then ends transaction and connection;
 *   - a COMMIT that was sent is run even if nobody reads its result, unless commits_get_lost says otherwise.
 *   - a connection can be cut so that the server hears of it later than its client: a COMMIT that was on its way is run (or
 *     isn't) while the client's next session waits for the row; what was open keeps its locks until idle_timeout;
 *   - any statement can fail with any SQLSTATE (fake_database_upset).
 * tables can be copied and put back: the database "rolled back" to an older state, as a restored backup or a standby that
 * lost the last commits. The log of commits goes back with them: what is gone was never there.
 *
 * Kept for the history checker: the log of commits with what each had read, and complaints about callers who break ledger.h.
 * Memory: owns everything; fake_database_free. Threads: one.
 */
#ifndef PAY_TESTS_FAKE_DATABASE_H
#define PAY_TESTS_FAKE_DATABASE_H

#include "fake_clock.h"
#include "fault.h"

#include "core/batch.h"
#include "core/claim.h"
#include "worker/ledger.h"

#define FAKE_LANES_MAX 16
#define FAKE_CONNECTIONS_MAX 16
#define FAKE_NAME_MAX 64

/* A row of processed_offset. */
struct fake_lane {
    struct pay_lane_row row; /* same_group, same_cluster are computed for each reader */
    char group_id[FAKE_NAME_MAX];
    char cluster_id[FAKE_NAME_MAX];
    int64_t halted_us; /* when it was halted last, and by whom: the judge's */
    uint32_t halted_by;
};

/* A row of payment. */
struct fake_payment {
    char tenant[PAY_ID_MAX + 1];
    char order_id[PAY_ID_MAX + 1];
    struct pay_decision decision;
    uint64_t commit_no;
};

/* A row of refusal. */
struct fake_refusal {
    struct pay_refusal refusal;
    uint64_t commit_no;
};

/* A row of adjustment. */
struct fake_adjustment {
    char tenant[PAY_ID_MAX + 1];
    char account_id[PAY_ID_MAX + 1];
    char kind[12]; /* open, credit, debit, freeze, unfreeze, close, floor */
    int64_t amount_minor;
    int64_t account_version;
};

struct fake_tables {
    struct pay_ledger_row ledger; /* server_started_us is the connection's, not stored */
    struct fake_lane lanes[FAKE_LANES_MAX];
    uint32_t lane_count;
    struct pay_account *accounts; /* `changed` and row_handle unused */
    uint32_t account_count;
    struct fake_adjustment *adjustments;
    uint32_t adjustment_count;
    struct fake_payment *payments; /* order of commits */
    uint32_t payment_count;
    struct fake_refusal *refusals;
    uint32_t refusal_count;
    uint64_t last_commit; /* of a copy: what it holds */
};

/* One committed settle, for the checker. */
struct fake_commit {
    uint64_t number;  /* 1, 2, .. */
    uint64_t read_no; /* the last commit that its known read saw */
    int64_t read_us;  /* when its first half, the fence in it, was done */
    int64_t at_us;
    uint32_t worker;
    uint32_t fence_count;
    struct pay_fence fences[FAKE_LANES_MAX];
};

enum fake_transaction_state {
    TRANSACTION_NONE,
    TRANSACTION_LOCKING,   /* fence, then accounts, one lock at a time */
    TRANSACTION_READY,     /* all read; the server waits for the second half */
    TRANSACTION_WRITING,   /* second half and COMMIT sent */
    TRANSACTION_COMMITTED, /* its result not yet read */
    TRANSACTION_FAILED     /* rolled back; the error not yet read */
};

/* The statements of a settle, in their order. */
enum fake_statement {
    STATEMENT_NONE,
    STATEMENT_FENCE,
    STATEMENT_ACCOUNTS,
    STATEMENT_KNOWN,
    STATEMENT_PAYMENTS,
    STATEMENT_REFUSALS,
    STATEMENT_BALANCES,
    STATEMENT_COMMIT
};

struct fake_key {
    char tenant[PAY_ID_MAX + 1];
    char id[PAY_ID_MAX + 1];
};

struct fake_transaction {
    enum fake_transaction_state state;
    int64_t began_us; /* now() */
    int64_t due_us;   /* when the server has got what was sent */
    int64_t ready_us;
    uint32_t waits_for; /* connection id, 0 none */
    int64_t waits_since_us;
    uint64_t read_no;
    enum fake_statement statement; /* the last one begun */
    enum pay_move failure;
    char failure_code[32];

    /* first half, as sent */
    struct pay_fence fences[FAKE_LANES_MAX];
    uint32_t fence_count, fences_locked;
    struct fake_key *order_keys, *account_keys;
    uint32_t order_count, account_count, accounts_locked;

    /* as read */
    struct pay_account *accounts; /* one for each account key */
    struct fake_payment *known;
    uint32_t *known_order; /* index into order_keys */
    uint32_t known_count;

    /* second half, as sent */
    struct fake_payment *inserts;
    uint32_t insert_count;
    struct pay_refusal *refusals;
    uint32_t refusal_count;
    struct pay_account *updates;
    uint32_t update_count;
};

/* A connection as the server sees it. */
struct fake_connection {
    uint32_t id; /* 0: slot unused */
    uint32_t worker;
    bool client_gone; /* nobody reads its results any more */
    bool ended;       /* by the server: the client doesn't know yet */
    bool cut;         /* the network: the client finds out, the server only when it waits for something */
    int64_t opened_us;
    struct fake_transaction transaction;
};

struct fake_database {
    struct fake_clock *clock;
    struct fake_tables tables;
    int64_t server_started_us;
    bool down;

    int64_t latency_ms;         /* of each half */
    int64_t lock_timeout_ms;    /* of the accounts and of a settle's fence */
    int64_t idle_timeout_ms;    /* idle_in_transaction_session_timeout */
    bool commits_get_lost;      /* a COMMIT whose client is gone before it ran isn't run */
    const char *poison_order;   /* a settle that inserts this order is refused because of its data; NULL: none */
    char poison_text[72];       /* room for a poison_order that isn't a literal */
    struct fake_tables *backup; /* of fake_database_back_up; NULL: none */
    const char *upset_code;     /* what the next statements fail with, when upset_after more have passed */
    uint32_t upset_after, upset_times;

    struct fake_connection connections[FAKE_CONNECTIONS_MAX];
    uint32_t connections_made;
    uint32_t lane_locks[FAKE_LANES_MAX]; /* connection id, 0 free; by index into lanes */
    uint32_t *account_locks;             /* likewise, by index into accounts */

    uint64_t commit_count;
    struct fake_commit *commits; /* commits[0 .. commit_log_count) */
    size_t commit_log_count, commit_log_capacity;
    uint32_t rollbacks; /* how often an older state was put back */
    int64_t halted_us;  /* when the ledger was halted last, and by whom; 0: never */
    uint32_t halted_by;
    struct fault_complaints complaints;
    struct trace *trace; /* NULL: nothing is traced */

    void (*on_commit)(void *argument, const struct fake_commit *commit); /* the checker's, after the rows are in */
    void (*on_connect)(void *argument, uint32_t worker);
    void *argument;
};

void fake_database_init(struct fake_database *database, struct fake_clock *clock);
void fake_database_free(struct fake_database *database);

/* A row of processed_offset at 0, generation 1. */
void fake_database_add_lane(struct fake_database *database, int32_t partition);
struct fake_lane *fake_database_lane(struct fake_database *database, int32_t partition);

/* account open: version 1. */
void fake_database_open_account(struct fake_database *database, const char *tenant, const char *account_id,
                                const char *currency, int64_t opening_minor, int64_t floor_minor);
/* Any other adjustment; takes the account's next version. `kind` as INTERFACES names them. */
void fake_database_adjust(struct fake_database *database, const char *tenant, const char *account_id, const char *kind,
                          int64_t amount_minor);
struct pay_account *fake_database_account(struct fake_database *database, const char *tenant, const char *account_id);
const struct fake_payment *fake_database_payment(const struct fake_tables *tables, const char *tenant,
                                                 const char *order_id, int32_t attempt);
const struct fake_refusal *fake_database_refusal(const struct fake_tables *tables, const struct pay_position *position);

/* A copy of the committed tables, and back again: the server starts anew with the older state. fake_tables_free frees a copy. */
struct fake_tables *fake_database_copy(const struct fake_database *database);
void fake_database_put_back(struct fake_database *database, const struct fake_tables *copy);
void fake_tables_free(struct fake_tables *tables);
/* Keeps one copy, of now; and puts that one back. False: there is none. */
void fake_database_back_up(struct fake_database *database);
bool fake_database_restore(struct fake_database *database);

/* The server goes down (every connection ends; COMMITs already sent are run or not, as commits_get_lost says) and comes back as a new incarnation. */
void fake_database_stop(struct fake_database *database);
void fake_database_start(struct fake_database *database);

/*
 * The network between a client and its connection is gone. What it had sent of a settle is done `server_ms` later at the latest;
 * a COMMIT on its way arrives then (commit_arrives), or never did.
 */
void fake_database_cut(struct fake_database *database, struct fake_connection *connection, bool commit_arrives,
                       int64_t server_ms);
/* `times` statements fail with this SQLSTATE, after `after` others. Replaces what was asked for before. */
void fake_database_upset(struct fake_database *database, const char *code, uint32_t after, uint32_t times);

/* Everything that is due now. */
void fake_database_run(struct fake_database *database);
/* When something is due next, INT64_MAX for never. */
int64_t fake_database_next_due_us(const struct fake_database *database);

/* For fake_ledger. */
bool fake_connection_gone(const struct fake_connection *connection); /* as far as its client can see */
/* A statement begins: the SQLSTATE it fails with, NULL when it doesn't. */
const char *fake_database_statement(struct fake_database *database);
/* The caller's move after a SQLSTATE, as PROTOCOL 6 and PITFALLS have it. */
enum pay_move fake_move_of(const char *code);
struct fake_connection *fake_connection_open(struct fake_database *database, uint32_t worker); /* NULL: down */
/* The client is gone: what it has sent is run (or lost), everything else rolled back. */
void fake_connection_drop(struct fake_database *database, struct fake_connection *connection);
/* The first half was sent. */
void fake_transaction_begin(struct fake_database *database, struct fake_connection *connection,
                            const struct pay_batch *batch, const struct pay_fence *fences, uint32_t fence_count);
/* The second half was sent; `batch` NULL: fence only. */
void fake_transaction_write(struct fake_database *database, struct fake_connection *connection,
                            const struct pay_batch *batch);
/* Runs a COMMIT that is due: to COMMITTED or FAILED. */
void fake_transaction_commit(struct fake_database *database, struct fake_connection *connection);
/* Rolls back; the connection stays. `failure` other than OK stays to be read. */
void fake_transaction_roll_back(struct fake_database *database, struct fake_connection *connection,
                                enum pay_move failure, const char *code);
/* The transaction's end was read. */
void fake_transaction_forget(struct fake_connection *connection);

#endif
