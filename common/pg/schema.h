/*
 * schema.h - makes and checks the tables: migrations, the ledger row, the partitions' rows.
 *
 * Calling sequence of `paybuf init`: pay_pg_open as PAY_PG_AS_LOGIN; pay_schema_apply; pay_schema_init_ledger with the topic's
 * partition count. All of it is safe to repeat, at once from several places too (an advisory lock), and after a crash anywhere:
 * each migration is one transaction.
 *
 * A migration that was applied is never edited: its SHA-256 is kept in paybuf.schema_migration, and a difference is an error.
 * Threads: one. Memory: none kept.
 */
#ifndef PAY_PG_SCHEMA_H
#define PAY_PG_SCHEMA_H

#include "pg/pg.h"

struct pay_schema_report {
    int version; /* of the database, afterwards */
    int applied; /* migrations applied by this call */
};

/* Roles, schema, migrations. REFUSE: a checksum differs, the schema is newer than this program, or the login may not do it. */
enum pay_move pay_schema_apply(struct pay_pg *pg, struct pay_schema_report *ret_report, struct pay_error *error);

/* OK when every migration of this program is applied unchanged, none is unknown, and every table is an ordinary, logged heap table
   of this server (a view, a foreign or distributed table would put the fence and the money on different nodes). REFUSE otherwise. */
enum pay_move pay_schema_check(struct pay_pg *pg, struct pay_error *error);

struct pay_schema_ledger {
    const char *topic; /* the request topic */
    uint32_t partitions;
    int64_t first_generation;   /* of new partitions' rows; existing rows keep theirs */
    char ledger_id[37];         /* out */
    bool created;               /* out: the ledger row was made by this call */
    int64_t partitions_created; /* out */
};

/* The ledger row (its id by gen_random_uuid(), incarnation this server's start) where there is none, and processed_offset rows
   for partitions 0..n-1 where there are none. REFUSE when rows of another topic are there. */
enum pay_move pay_schema_init_ledger(struct pay_pg *pg, struct pay_schema_ledger *ledger, struct pay_error *error);

#endif
