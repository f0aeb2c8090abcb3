/* account_rows.h - how an account is shown, in one place. Threads: any. */
#ifndef PAY_TOOLS_ACCOUNT_ROWS_H
#define PAY_TOOLS_ACCOUNT_ROWS_H

#include "tools/tool.h"

#define ACCOUNT_COLUMNS_COUNT 7
extern const struct out_column account_columns[ACCOUNT_COLUMNS_COUNT];

/* A row of tools_show_account or tools_list_accounts. */
json_t *account_row(const struct pay_pg_row *row);

/* Prints the account as an object. PAY_EXIT_NOT_FOUND, and said, when there is none. */
enum pay_exit account_print(struct tool *tool, struct pay_pg *pg, const char *name, const char *tenant,
                            const char *account_id);

#endif
