/* cmd_show.c - paybuf show: what was decided about an order. */
#include "sql/pay_sql.h"
#include "tools/account_rows.h"
#include "tools/commands.h"

enum { ORDER, TENANT };

/* clang-format off */
static const struct cli_arg args[] = {
    [ORDER] = {"ORDER", CLI_ID, true, .help = "its id"},
    [TENANT] = {"--tenant", CLI_ID, false, "T", .initial = "default", .help = "whose"},
};
static const struct out_column decision_columns[] = {
    {"attempt", "ATTEMPT", false}, {"outcome", "OUTCOME", false}, {"reason", "REASON", true}, {"account_id", "ACCOUNT", false},
    {"amount_minor", "AMOUNT", false}, {"currency", "CURRENCY", false}, {"balance_after_minor", "BALANCE AFTER", false},
    {"account_version", "VERSION", false}, {"position", "POSITION", false}, {"decided_at", "DECIDED AT", false},
};
static const struct out_column order_columns[] = {{"tenant", "tenant", false}, {"order_id", "order", false}, {"attempts", "attempts", false}};
/* clang-format on */

static bool take_decision(void *argument, const struct pay_pg_row *row) {
    json_t *decisions = argument, *decision = json_object();
    for (int c = 0; c < row->columns; c++) {
        bool number = c == 0 || c == 4 || c == 6 || c == 7;
        json_object_set_new(decision, decision_columns[c].member,
                            number ? tool_column_number(row, c) : tool_column_text(row, c));
    }
    json_array_append_new(decisions, decision);
    return true;
}

static bool take_account(void *argument, const struct pay_pg_row *row) {
    json_array_append_new(argument, account_row(row));
    return true;
}

static void print_list(struct out *out, const char *name, const struct out_column *columns, size_t count,
                       json_t *rows) {
    size_t index;
    json_t *row;
    out_list(out, name, columns, count);
    json_array_foreach(rows, index, row) out_row(out, json_incref(row));
}

static void print(struct tool *tool, const struct cli_value *values, json_t *decisions, json_t *accounts) {
    json_t *order = json_object();
    json_object_set_new(order, "tenant", json_string(values[TENANT].text));
    json_object_set_new(order, "order_id", json_string(values[ORDER].text));
    json_object_set_new(order, "attempts", json_integer((json_int_t)json_array_size(decisions)));
    out_object(&tool->out, "order", OUT_COLUMNS(order_columns), order);
    print_list(&tool->out, "decisions", OUT_COLUMNS(decision_columns), decisions);
    print_list(&tool->out, "accounts", account_columns, ACCOUNT_COLUMNS_COUNT, accounts);
}

static enum pay_exit show(struct tool *tool, struct pay_pg *pg, const struct cli_value *values) {
    struct pay_pg_args args_of;
    struct pay_error error;
    json_t *decisions = json_array(), *accounts = json_array();
    enum pay_exit status = PAY_EXIT_OK;
    pay_pg_args_begin(&args_of);
    pay_pg_args_text(&args_of, values[TENANT].text);
    pay_pg_args_text(&args_of, values[ORDER].text);
    if (pay_pg_exec(pg, pay_sql_tools_show_order, &args_of, take_decision, decisions, NULL, &error) != PAY_OK ||
        pay_pg_exec(pg, pay_sql_tools_order_accounts, &args_of, take_account, accounts, NULL, &error) != PAY_OK)
        status = tool_error(tool, &error);
    else if (json_array_size(decisions) == 0)
        status = tool_fail(tool, PAY_EXIT_NOT_FOUND,
                           "nothing is decided about order %s of tenant %s: it never came, was refused, or waits in "
                           "the log (paybuf status shows the lag)",
                           values[ORDER].text, values[TENANT].text);
    else
        print(tool, values, decisions, accounts);
    json_decref(decisions);
    json_decref(accounts);
    return status;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    struct pay_pg *pg;
    enum pay_exit status = tool_open_database(tool, PAY_PG_READER, &pg);
    if (status != PAY_EXIT_OK) return status;
    status = show(tool, pg, values);
    pay_pg_close(pg);
    return status;
}

const struct command cmd_show = {
    .name = "show",
    .summary = "what was decided about an order: every attempt, where, when, with which balance",
    .examples = "  paybuf show o-1\n"
                "  paybuf show o-1 --tenant shop-7 -o json\n",
    CLI_ARGS(args),
    .run = run,
};
