/*
 * init_ledger.h - the ledger's row and the generation its positions begin in; a restored copy becomes a ledger of its own.
 *
 * Then its id changes, and its positions begin anew in a generation above every one it has used, for topics that hold no replies
 * yet. Accounts, payments and adjustments stay: an order that was decided stays decided. One transaction: a crash leaves all or
 * nothing.
 */
#ifndef PAY_TOOLS_INIT_LEDGER_H
#define PAY_TOOLS_INIT_LEDGER_H

#include "tools/tool.h"

struct init_generation {
    int64_t first; /* of new lanes */
    bool asked;    /* by --first-generation */
};

/* Before anything is made: books of another topic, or --new-ledger without --yes, stop here. An empty database is fine. */
enum pay_exit init_check_books(struct tool *tool, struct pay_pg *pg, bool new_ledger, bool yes);

/* The lanes are gone then, and generation->first is the new one. */
enum pay_exit init_new_ledger(struct tool *tool, struct pay_pg *pg, struct init_generation *generation);

/* Makes the ledger row and the missing lanes; new lanes of an existing ledger begin in its own generation. */
enum pay_exit init_lanes(struct tool *tool, struct pay_pg *pg, int32_t partitions, struct init_generation *generation,
                         char ledger_id[37], bool *ret_created, int64_t *ret_lanes_created);

#endif
