#include "tools/account_rows.h"

#include "sql/pay_sql.h"

const struct out_column account_columns[ACCOUNT_COLUMNS_COUNT] = {
    {"tenant", "TENANT", false},         {"account_id", "ACCOUNT", false}, {"currency", "CURRENCY", false},
    {"balance_minor", "BALANCE", false}, {"floor_minor", "FLOOR", false},  {"state", "STATE", false},
    {"version", "VERSION", false}};

json_t *account_row(const struct pay_pg_row *row) {
    json_t *account = json_object();
    for (int c = 0; c < ACCOUNT_COLUMNS_COUNT; c++) {
        bool number = c == 3 || c == 4 || c == 6;
        json_object_set_new(account, account_columns[c].member,
                            number ? tool_column_number(row, c) : tool_column_text(row, c));
    }
    return account;
}

static bool take_account(void *argument, const struct pay_pg_row *row) {
    json_t **account = argument;
    *account = account_row(row);
    return false;
}

enum pay_exit account_print(struct tool *tool, struct pay_pg *pg, const char *name, const char *tenant,
                            const char *account_id) {
    struct pay_pg_args args;
    struct pay_error error;
    json_t *account = NULL;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, tenant);
    pay_pg_args_text(&args, account_id);
    if (pay_pg_exec(pg, pay_sql_tools_show_account, &args, take_account, &account, NULL, &error) != PAY_OK)
        return tool_error(tool, &error);
    if (account == NULL)
        return tool_fail(tool, PAY_EXIT_NOT_FOUND,
                         "there is no account %s of tenant %s; paybuf account list shows what there is", account_id,
                         tenant);
    out_object(&tool->out, name, account_columns, ACCOUNT_COLUMNS_COUNT, account);
    return PAY_EXIT_OK;
}
