/*
 * ledger_pg.h - the books in PostgreSQL: the real adapter of the port in ledger.h.
 *
 * One connection in pipeline mode, prepared statements, binary parameters. A settle is two round trips (PROTOCOL section 2):
 *   BEGIN, fence, lock accounts, known        -> all results read, the fence's rows counted
 *   insert payments, insert refusals, move accounts, COMMIT
 * Whatever could be wrong after the first half raises in SQL, because COMMIT is on its way before its predecessors' results are read.
 *
 * Promises are the port's. In addition: every statement is in sql/queries/, with the reason for its form.
 * A crash anywhere: ledger.h. Threads: one.
 */
#ifndef PAY_WORKER_LEDGER_PG_H
#define PAY_WORKER_LEDGER_PG_H

#include "worker/ledger.h"

struct pay_ledger_pg_options {
    const char *url;
    const char *application_name; /* NULL: "paybuf-worker" */
    const char *topic;            /* the request topic: key of processed_offset */
    const char *group_id;
    const char *cluster_id; /* NULL: not known yet, see below; nothing is compared or written then */
    bool allow_unix_socket;
    bool allow_unsafe;
    int64_t call_timeout_ms; /* 0: 5000 */
};

/* Copies the options; connects only at ->ops->connect. */
struct pay_ledger *pay_ledger_pg_new(const struct pay_ledger_pg_options *options);
/* The stream has learned it. Before the first claim. */
void pay_ledger_pg_set_cluster(struct pay_ledger *ledger, const char *cluster_id);

#endif
