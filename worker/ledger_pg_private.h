/* ledger_pg_private.h - what the files of the PostgreSQL ledger share; nobody else includes it. */
#ifndef PAY_WORKER_LEDGER_PG_PRIVATE_H
#define PAY_WORKER_LEDGER_PG_PRIVATE_H

#include "pg/pg.h"
#include "worker/ledger_pg.h"

/* Prepared once per connection; the texts are sql/queries/. */
enum statement {
    SETTLE_FENCE,
    SETTLE_ACCOUNTS,
    KNOWN_PAYMENTS,
    FOUND_REFUSALS,
    SETTLE_PAYMENTS,
    SETTLE_REFUSALS,
    SETTLE_BALANCES,
    CLAIM_TAKE,
    CLAIM_READ,
    READ_LANES,
    CREATE_LANE,
    HALT_LANE,
    HALT_LEDGER,
    READ_LEDGER,
    ADOPT_SERVER,
    STATEMENT_COUNT
};

/* What the next result of the pipeline answers. */
enum step { STEP_PREPARED, STEP_BEGIN, STEP_FENCE, STEP_ACCOUNTS, STEP_KNOWN, STEP_WRITE, STEP_COMMIT, STEP_ROLLBACK };

enum phase {
    PHASE_NONE,      /* no settle */
    PHASE_PREPARING, /* statements are prepared again, the first half is queued behind them */
    PHASE_FIRST,     /* BEGIN, fence, accounts, known are on their way */
    PHASE_READ,      /* the core decides */
    PHASE_SECOND,    /* writes and COMMIT are on their way: from here a lost connection means unknown */
    PHASE_ROLLBACK   /* `failure` says why */
};

#define STEPS_MAX (STATEMENT_COUNT + 8)
#define ARRAYS_MAX 12

struct ledger_pg {
    struct pay_ledger port;
    char *url, *application_name, *topic, *group_id, *cluster_id;
    bool allow_unix_socket, allow_unsafe;
    int64_t call_timeout_ms;

    struct pay_pg *pg; /* NULL: not connected */
    bool stale;        /* the server refused a prepared statement: prepare all again */

    enum phase phase;
    enum step steps[STEPS_MAX];
    uint32_t step_count, step_at;
    int64_t deadline_ms;     /* of the phase */
    struct pay_batch *batch; /* NULL: fence only */
    struct pay_fence *fences;
    uint32_t fence_count;
    int64_t decided_at_us;
    bool committed;           /* the tag COMMIT was read */
    struct pay_error failure; /* the first one; move PAY_OK: none */

    struct pay_pg_args args;
    struct pay_pg_array arrays[ARRAYS_MAX];
};

/* ledger_pg.c: plain calls. */
struct ledger_pg *pay_ledger_pg_of(struct pay_ledger *ledger);
enum pay_move pay_ledger_pg_not_connected(struct pay_error *error);
void pay_ledger_pg_disconnect(struct ledger_pg *ledger);
const char *pay_ledger_pg_statement_name(enum statement statement);
/* Queues DEALLOCATE ALL, every PREPARE, and a sync; STATEMENT_COUNT + 1 results. */
bool pay_ledger_pg_queue_prepare(struct ledger_pg *ledger);
/* Remembers whether `code` says that the prepared statements are no longer good. */
void pay_ledger_pg_note_code(struct ledger_pg *ledger, const char *code);
/* Reads one group of `count` results; all are NULL or to be freed by pay_ledger_pg_free_results, also on failure. */
enum pay_move pay_ledger_pg_read_group(struct ledger_pg *ledger, struct pay_pg_result **results, uint32_t count,
                                       struct pay_error *error);
void pay_ledger_pg_free_results(struct pay_pg_result **results, uint32_t count);
/* Before a plain call: connected, no settle at work, statements prepared. */
enum pay_move pay_ledger_pg_ready(struct ledger_pg *ledger, struct pay_error *error);

/* ledger_pg_claim.c */
enum pay_move pay_ledger_pg_read_ledger(struct pay_ledger *port, struct pay_ledger_row *ret_row,
                                        struct pay_error *error);
enum pay_move pay_ledger_pg_read_rows(struct pay_ledger *port, struct pay_lane_row *ret_rows, uint32_t capacity,
                                      uint32_t *ret_count, struct pay_error *error);
enum pay_move pay_ledger_pg_adopt(struct pay_ledger *port, int64_t expected_incarnation_us, bool *ret_adopted,
                                  struct pay_error *error);
enum pay_move pay_ledger_pg_halt_ledger(struct pay_ledger *port, enum pay_halt reason, struct pay_error *error);
enum pay_move pay_ledger_pg_claim(struct pay_ledger *port, int32_t partition, const uint8_t owner[PAY_OWNER_SIZE],
                                  struct pay_lane_row *ret_row, bool *ret_missing, struct pay_error *error);
enum pay_move pay_ledger_pg_create_row(struct pay_ledger *port, int32_t partition, struct pay_error *error);
enum pay_move pay_ledger_pg_halt_lane(struct pay_ledger *port, int32_t partition, const uint8_t owner[PAY_OWNER_SIZE],
                                      int64_t owner_epoch, enum pay_halt reason, struct pay_error *error);

/* ledger_pg_batch.c: a batch's arrays out, a batch's rows in. */
void pay_ledger_pg_bind_fences(struct ledger_pg *ledger);
void pay_ledger_pg_bind_accounts(struct ledger_pg *ledger);
void pay_ledger_pg_bind_orders(struct ledger_pg *ledger, const struct pay_batch *batch);
void pay_ledger_pg_bind_inserts(struct ledger_pg *ledger);
void pay_ledger_pg_bind_refusals(struct ledger_pg *ledger);
/* Accounts that changed; 0: nothing to write. */
uint32_t pay_ledger_pg_bind_balances(struct ledger_pg *ledger);
enum pay_move pay_ledger_pg_take_fence(struct ledger_pg *ledger, const struct pay_pg_result *result,
                                       struct pay_error *error);
enum pay_move pay_ledger_pg_take_accounts(struct ledger_pg *ledger, const struct pay_pg_result *result,
                                          struct pay_error *error);
enum pay_move pay_ledger_pg_take_known(struct pay_batch *batch, const struct pay_pg_result *result,
                                       struct pay_error *error);
enum pay_move pay_ledger_pg_look_up(struct pay_ledger *port, struct pay_batch *batch, struct pay_error *error);
/* Cell into a char array of `size`; false when it doesn't fit. */
bool pay_ledger_pg_copy_text(const struct pay_pg_result *result, int row, int column, char *text, size_t size);
/* A row that this program can't have written. */
enum pay_move pay_ledger_pg_strange(struct pay_error *error, const char *what);

/* ledger_pg_settle.c */
enum pay_move pay_ledger_pg_settle_begin(struct pay_ledger *port, struct pay_batch *batch, struct pay_fence *fences,
                                         uint32_t fence_count, struct pay_error *error);
enum pay_settle_state pay_ledger_pg_settle_poll(struct pay_ledger *port, int64_t *ret_decided_at_us,
                                                struct pay_error *error);
enum pay_move pay_ledger_pg_settle_write(struct pay_ledger *port, struct pay_error *error);
void pay_ledger_pg_settle_abandon(struct pay_ledger *port);

#endif
