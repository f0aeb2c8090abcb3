/*
 * init_ledger.h - turns a restored copy of a database into a ledger of its own.
 *
 * Its id changes, and its positions begin anew in a generation above every one it has used, for topics that hold no replies yet.
 * Accounts, payments and adjustments stay: an order that was decided stays decided. One transaction: a crash leaves all or nothing.
 */
#ifndef PAY_TOOLS_INIT_LEDGER_H
#define PAY_TOOLS_INIT_LEDGER_H

#include "tools/tool.h"

/* Without `yes` only says what would be done. PAY_EXIT_OK: done; the partitions' rows are gone, for pay_schema_init_ledger to make. */
enum pay_exit init_new_ledger(struct tool *tool, struct pay_pg *pg, int64_t first_generation, bool yes);

#endif
