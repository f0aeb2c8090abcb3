/* cmd_account_show.c - paybuf account show and list. */
#include "core/outcome.h"
#include "sql/pay_sql.h"
#include "tools/account_rows.h"
#include "tools/account_verbs.h"

#include <string.h>

/* ---- show ---- */

enum { ACCOUNT, SHOW_TENANT, HISTORY };

/* clang-format off */
static const struct cli_arg show_args[] = {
    [ACCOUNT] = {"ACCOUNT", CLI_ID, true, .help = "its id"},
    [SHOW_TENANT] = {"--tenant", CLI_ID, false, "T", .initial = "default", .help = "whose"},
    [HISTORY] = {"--history", CLI_INTEGER, false, "N", 1, 1000000000, NULL, "also its last N events, in the order of their versions"},
};

static const struct out_column event_columns[] = {
    {"account_version", "VERSION", false}, {"event", "EVENT", false}, {"id", "ORDER OR ADJUSTMENT", false}, {"attempt", "ATTEMPT", false},
    {"amount_minor", "AMOUNT", false}, {"reason", "REASON", false}, {"balance_after_minor", "BALANCE", false}, {"at", "AT", false}, {"note", "NOTE", false},
};
/* clang-format on */

static bool take_event(void *argument, const struct pay_pg_row *row) {
    struct tool *tool = argument;
    json_t *event = json_object();
    for (int c = 0; c < row->columns; c++) {
        bool number = c == 0 || c == 3 || c == 4 || c == 6;
        json_object_set_new(event, event_columns[c].member,
                            number ? tool_column_number(row, c) : tool_column_text(row, c));
    }
    out_row(&tool->out, event);
    return true;
}

static enum pay_exit print_history(struct tool *tool, struct pay_pg *pg, const struct cli_value *values) {
    struct pay_pg_args args;
    struct pay_error error;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, values[SHOW_TENANT].text);
    pay_pg_args_text(&args, values[ACCOUNT].text);
    pay_pg_args_int8(&args, values[HISTORY].number);
    out_list(&tool->out, "history", OUT_COLUMNS(event_columns));
    if (pay_pg_exec(pg, pay_sql_tools_account_history, &args, take_event, tool, NULL, &error) != PAY_OK)
        return tool_error(tool, &error);
    return PAY_EXIT_OK;
}

static enum pay_exit run_show(struct tool *tool, const struct cli_value *values) {
    struct pay_pg *pg;
    enum pay_exit status = tool_open_database(tool, PAY_PG_READER, &pg);
    if (status != PAY_EXIT_OK) return status;
    status = account_print(tool, pg, values[HISTORY].given ? "account" : NULL, values[SHOW_TENANT].text,
                           values[ACCOUNT].text);
    if (status == PAY_EXIT_OK && values[HISTORY].given) status = print_history(tool, pg, values);
    pay_pg_close(pg);
    return status;
}

const struct command cmd_account_show = {
    .name = "show",
    .summary = "balance, floor, state, version; with --history what led there",
    .examples = "  paybuf account show alice\n"
                "  paybuf account show alice --history 20\n"
                "  paybuf account show alice -o json\n",
    .notes = "--history reads the whole payment table: there is no index by account, because one would cost every "
             "payment.\n",
    CLI_ARGS(show_args),
    .run = run_show,
};

/* ---- list ---- */

enum { LIST_TENANT, STATE, LIMIT };

/* clang-format off */
static const struct cli_arg list_args[] = {
    [LIST_TENANT] = {"--tenant", CLI_ID, false, "T", .help = "only of this one"},
    [STATE] = {"--state", CLI_TEXT, false, "STATE", .help = "only active, frozen or closed ones"},
    [LIMIT] = {"--limit", CLI_INTEGER, false, "N", 1, INT64_MAX, NULL, "at most so many; default: all"},
};
/* clang-format on */

static bool take_account(void *argument, const struct pay_pg_row *row) {
    struct tool *tool = argument;
    out_row(&tool->out, account_row(row));
    return true;
}

static enum pay_exit run_list(struct tool *tool, const struct cli_value *values) {
    enum pay_account_state state;
    struct pay_pg *pg;
    struct pay_pg_args args;
    struct pay_error error;
    if (values[STATE].given && !pay_account_state_from_name(values[STATE].text, strlen(values[STATE].text), &state))
        return tool_fail(tool, PAY_EXIT_USAGE, "--state: '%s' is none of active, frozen, closed", values[STATE].text);
    enum pay_exit status = tool_open_database(tool, PAY_PG_READER, &pg);
    if (status != PAY_EXIT_OK) return status;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, values[LIST_TENANT].text);
    pay_pg_args_text(&args, values[STATE].text);
    pay_pg_args_int8(&args, values[LIMIT].given ? values[LIMIT].number : INT64_MAX);
    out_list(&tool->out, NULL, account_columns, ACCOUNT_COLUMNS_COUNT);
    if (pay_pg_exec(pg, pay_sql_tools_list_accounts, &args, take_account, tool, NULL, &error) != PAY_OK)
        status = tool_error(tool, &error);
    pay_pg_close(pg);
    return status;
}

const struct command cmd_account_list = {
    .name = "list",
    .summary = "all accounts, by tenant and id",
    .examples = "  paybuf account list\n"
                "  paybuf account list --tenant shop-7 --state frozen\n"
                "  paybuf account list -o ndjson | jq -r .account_id\n",
    CLI_ARGS(list_args),
    .run = run_list,
};
