/*
 * audit_source.h - where a ledger is read from: the running servers (audit_online), or a dump (audit_offline).
 *
 * Everything that judges, re-decides or copies a ledger asks this and nothing else, so both are judged by the same code. Logs
 * are read one partition at a time per log. Rows and events are streamed; memory doesn't grow with the ledger.
 * Errors: PAY_EXIT_OK, or everything was said. PAY_EXIT_DIFFERENCES: a dump's bytes aren't those that were written; nothing was
 * said, audit_offline_verify names them all.
 * Memory: what is given lives until the next call of the same kind.
 * Threads: one per source; `shard` makes more of them.
 */
#ifndef PAY_TOOLS_AUDIT_SOURCE_H
#define PAY_TOOLS_AUDIT_SOURCE_H

#include "core/log_record.h"
#include "tools/audit_books.h"
#include "tools/audit_row.h"
#include "tools/lanes.h"

enum audit_log { AUDIT_REQUESTS, AUDIT_REPLIES, AUDIT_LETTERS, AUDIT_LOG_COUNT };

/* A settled request record and what the rows say about it. */
struct audit_request {
    int64_t offset;
    const struct pay_record *record;   /* NULL with --quick */
    const struct pay_decision *known;  /* every decision on file about its order */
    const struct pay_refusal *refusal; /* the one at its position, where one can be the answer */
};

struct audit;
struct audit_lane;
struct audit_requests;
struct audit_source;

typedef bool (*audit_row_fn)(void *argument, const struct audit_row *row);
typedef bool (*audit_event_fn)(void *argument, const struct book_event *event);

/* Rows of one lane: those whose records the log still holds, and those at or beyond P, of which there must be none. */
struct audit_counts {
    int64_t payments_held, payments_beyond, refusals_held, refusals_beyond;
};

struct audit_source_ops {
    /* The records of a partition with offset <= o < end. found = false: no more below end. */
    enum pay_exit (*log_seek)(struct audit_source *source, enum audit_log log, int32_t partition, int64_t offset,
                              int64_t end);
    enum pay_exit (*log_next)(struct audit_source *source, enum audit_log log, struct pay_log_record *ret_record,
                              bool *ret_found);
    void (*log_stop)(struct audit_source *source, enum audit_log log);
    /* The lane's settled requests with their rows, in order; lanes in the order of their partitions. Uses the request
       log. */
    enum pay_exit (*requests_begin)(struct audit_source *source, struct audit_requests *requests);
    enum pay_exit (*requests_next)(struct audit_source *source, struct audit_requests *requests,
                                   struct audit_request *ret_request, bool *ret_found);
    void (*requests_end)(struct audit_source *source);
    /* Every row of a table, in the order of tools_dump_<table>.sql; until `each` answers false. */
    enum pay_exit (*rows)(struct audit_source *source, enum audit_table table, audit_row_fn each, void *argument);
    /* Every account's life, as tools_audit_books.sql orders it. */
    enum pay_exit (*events)(struct audit_source *source, audit_event_fn each, void *argument);
    /* Counted where the rows are, by lane as audit->lanes. NULL: count them yourself. */
    enum pay_exit (*counts)(struct audit_source *source, const struct audit *audit, struct audit_counts *by_lane);
    /* Another source of the same ledger, for every shards-th lane from `shard` on, and for another thread. NULL: can't. */
    struct audit_source *(*shard)(struct audit_source *source, const struct audit *audit, int32_t shard,
                                  int32_t shards);
    void (*close)(struct audit_source *source);
};

struct audit_source {
    const struct audit_source_ops *ops;
};

#endif
