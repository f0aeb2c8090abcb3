/*
 * recover.h - what the parts of `paybuf recover database` share.
 *
 * The database is older than the reply log. What listeners were told is gathered into temporary tables (recover_told), the
 * accounts are lived on with it in memory, one at a time (recover_books), and written in batches (recover_apply). The ledger is
 * halted from the first commit to the last; a crash in between leaves rows that are right and a halted ledger, and the next run
 * finds those rows on file and goes on.
 * Memory: a page of events, one account's untold requests, a line per lane. The rest lies in the session's temporary tables.
 */
#ifndef PAY_TOOLS_RECOVER_H
#define PAY_TOOLS_RECOVER_H

#include "codec/reply_codec.h"
#include "codec/reply_headers.h"
#include "codec/request_codec.h"
#include "core/claim.h"
#include "core/reader.h"
#include "tools/audit_differences.h"
#include "tools/lanes.h"
#include "tools/progress.h"
#include "tools/tool.h"

struct recover_lane {
    struct lane_view view;
    /* What the reply log says of it. */
    struct pay_reader rule;
    bool gap; /* readers would stop here; a replay further down the log may close it */
    int64_t gap_offset, gap_until;
    int64_t read_until;     /* reply offsets below it were read before: behind a gap they are read again */
    int64_t generation;     /* of the last told reply, or the row's */
    int64_t last_told;      /* source offset; -1: nothing was told beyond P */
    int64_t reply_position; /* its offset in the reply log + 1 */
    char last_key[PAY_ID_MAX + 1];
    int64_t replies, paid, declined, duplicates, conflicts, invalid;
    int64_t tail;             /* data records behind the last told one that may have been decided */
    struct pay_anchor anchor; /* of the last told record, when the request log still has it */
};

struct recover {
    struct tool *tool;
    struct pay_pg *pg;                 /* owner role; its temporary tables */
    struct pay_kafka_reader *requests; /* read_committed */
    struct pay_kafka_reader *replies;  /* read_uncommitted */
    char ledger_id[PAY_LEDGER_ID_TEXT_MAX];
    char cluster[64];    /* id of the Kafka cluster; "": not asked yet */
    bool halted, agreed; /* the ledger; its incarnation is this server's */
    struct recover_lane *lanes;
    int32_t lane_count;
    int64_t told;    /* replies beyond P, all lanes */
    int64_t foreign; /* replies of another ledger, left out: their lanes halt for them afterwards */
    /* The broker's clock is ahead of the database's by this much at most: no reply was appended before it was decided. */
    int64_t clock_ahead_ms;
    int64_t batches;                        /* of accounts */
    int64_t accounts, adjustments, decided; /* to write; decided: untold requests that fill holes */
    struct differences contradictions;
    struct progress progress;
};

#define RECOVER_SILENCE_MS 60000  /* a broker that delivers nothing for so long isn't there */
#define RECOVER_QUERY_MS 14400000 /* sorting and joining 50 million rows on a slow disk */
#define RECOVER_BATCH_EVENTS 5000 /* of one transaction, but never less than an account */

/* The next record or end of `reader`; PAY_EXIT_OK, or unavailable and said. */
enum pay_exit recover_read(struct recover *recover, struct pay_kafka_reader *reader, struct pay_kafka_read *ret_read);
/* A statement of the plan, with its error said. */
enum pay_exit recover_exec(struct recover *recover, const char *sql, const struct pay_pg_args *args, pay_pg_row_fn each,
                           void *argument);

/* Arrays on their way into a temporary table: run once the first has `at_least` elements, then begun again. Zeroed ones are begun by 0. */
enum pay_exit recover_flush(struct recover *recover, const char *sql, struct pay_pg_array *arrays,
                            const enum pay_pg_element *elements, size_t count, uint32_t at_least);
/* Asks for recover->cluster once. */
enum pay_exit recover_cluster(struct recover *recover);

/* ---- recover_told.c: from the logs into temporary tables ---- */

/* Ledger, lanes, ends of both logs, in the order that makes a reply beyond P a fact and not a race. */
enum pay_exit recover_look(struct recover *recover);
/* Every reply beyond P, and the requests behind the last one. */
enum pay_exit recover_gather(struct recover *recover);
/* After everything is written: was anything more told meanwhile? */
enum pay_exit recover_look_again(struct recover *recover);
void recover_close(struct recover *recover);

/* ---- recover_books.c: what becomes of the accounts ---- */

enum pay_exit recover_live(struct recover *recover);

/* ---- recover_apply.c ---- */

/* Halts the ledger and takes every lane. */
enum pay_exit recover_fence(struct recover *recover);
/* Decisions, refusals, adjustments, accounts; then, `fenced_at_ms` long enough ago, the lanes and the ledger. */
enum pay_exit recover_apply(struct recover *recover, int64_t fenced_at_ms);

#endif
