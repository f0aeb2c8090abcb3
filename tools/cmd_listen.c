/* cmd_listen.c - paybuf listen: follows the reply log, each reply once. */
#include "base/signals.h"
#include "tools/commands.h"
#include "tools/listen_follow.h"
#include "tools/listen_handover.h"
#include "tools/listen_open.h"

#include <string.h>

enum {
    FROM,
    STATE,
    TO,
    FORMAT,
    TEMPLATE,
    EXEC,
    FORWARD_TO,
    SECRET_FILE,
    TENANT,
    ACCOUNT,
    ORDER,
    OUTCOME,
    MAX,
    UNTIL_IDLE
};

/* clang-format off */
static const struct cli_arg args[] = {
    [FROM] = {"--from", CLI_TEXT, false, "now|start|TIME", .help = "where to begin; TIME as 2026-11-21T12:00:00Z (now; start for a new --state)"},
    [STATE] = {"--state", CLI_TEXT, false, "FILE", .help = "go on where this file says, and keep it up to date"},
    [TO] = {"--to", CLI_TEXT, false, "FILE", .help = "append the lines to this file; with --state each is there once even after SIGKILL"},
    [FORMAT] = {"--format", CLI_TEXT, false, "json|human", .initial = "json", .help = "the reply's value as it is, or a line for people"},
    [TEMPLATE] = {"--template", CLI_TEXT, false, "TEXT", .help = "a line of your own: {order_id} {outcome} {reason|-}; for lines and for what --exec gets"},
    [EXEC] = {"--exec", CLI_TEXT, false, "COMMAND", .help = "hand each reply to a command: on stdin; exit status 0 takes it, else it is tried again, 10 times in all"},
    [FORWARD_TO] = {"--forward-to", CLI_TEXT, false, "URLS", .help = "POST each reply to a URL, or to several with spaces between; 2xx takes it, else it is tried again"},
    [SECRET_FILE] = {"--secret-file", CLI_TEXT, false, "FILE", .help = "with --forward-to: the secrets to sign with, a line each, whsec_... (Standard Webhooks)"},
    [TENANT] = {"--tenant", CLI_ID, false, "TENANT", .help = "only this tenant's"},
    [ACCOUNT] = {"--account", CLI_ID, false, "ACCOUNT", .help = "only this account's"},
    [ORDER] = {"--order", CLI_ID, false, "ORDER", .help = "only this order's"},
    [OUTCOME] = {"--outcome", CLI_TEXT, false, "paid,...", .help = "only these: paid, declined, conflict, invalid"},
    [MAX] = {"--max", CLI_INTEGER, false, "N", 1, INT64_MAX, NULL, "end after N replies"},
    [UNTIL_IDLE] = {"--until-idle", CLI_INTEGER, false, "SECONDS", 1, 86400, NULL, "end at the end of the log, when nothing came for so long"},
};
/* clang-format on */

static enum pay_exit open_output(struct listen *listen, const char *path, int64_t length) {
    char why[512];
    if (path == NULL)
        listen_output_stdout(&listen->output);
    else if (!listen_output_file(&listen->output, path, length, why, sizeof why))
        return tool_fail(listen->tool, PAY_EXIT_FAILURE, "%s", why);
    return PAY_EXIT_OK;
}

static enum pay_exit print_lines(struct listen *listen, const struct listen_from *from, const char *output_path) {
    int64_t output_bytes;
    enum pay_exit status = listen_open(listen->tool, from, listen->state_path, &listen->listener, &output_bytes);
    if (status != PAY_EXIT_OK) return status;
    status = open_output(listen, output_path, output_bytes);
    if (status == PAY_EXIT_OK) status = listen_follow(listen);
    status = listen_conclude(listen->tool, listen->listener, status);
    paybuf_listener_close(listen->listener);
    listen_output_close(&listen->output);
    return status;
}

/* What goes with what. */
static enum pay_exit check(struct tool *tool, const struct cli_value *values) {
    const char *format = values[FORMAT].text;
    if (strcmp(format, "json") != 0 && strcmp(format, "human") != 0)
        return tool_fail(tool, PAY_EXIT_USAGE, "--format: '%s' is neither json nor human", format);
    if (values[TEMPLATE].given && values[FORMAT].given)
        return tool_fail(tool, PAY_EXIT_USAGE, "--format or --template, not both");
    if (values[TEMPLATE].given && values[FORWARD_TO].given)
        return tool_fail(tool, PAY_EXIT_USAGE, "--template is for lines; --forward-to sends the reply's JSON as it is");
    if (values[EXEC].given && values[FORWARD_TO].given)
        return tool_fail(tool, PAY_EXIT_USAGE,
                         "--exec or --forward-to, not both: run two, each with a --state of its own");
    if ((values[EXEC].given || values[FORWARD_TO].given) && (values[TO].given || values[FORMAT].given))
        return tool_fail(tool, PAY_EXIT_USAGE, "--to and --format are for lines; --exec and --forward-to print none");
    if (values[FORWARD_TO].given != values[SECRET_FILE].given)
        return tool_fail(tool, PAY_EXIT_USAGE, "--forward-to and --secret-file go together: what is sent is signed");
    return PAY_EXIT_OK;
}

static enum pay_exit take_filter(struct tool *tool, const struct cli_value *values, struct listen_filter *ret_filter) {
    *ret_filter = (struct listen_filter){
        .tenant = values[TENANT].text, .account = values[ACCOUNT].text, .order = values[ORDER].text};
    if (!values[OUTCOME].given || listen_filter_outcomes(values[OUTCOME].text, &ret_filter->outcomes))
        return PAY_EXIT_OK;
    return tool_fail(tool, PAY_EXIT_USAGE,
                     "--outcome: '%s'; there are paid, declined, conflict, invalid, with commas between",
                     values[OUTCOME].text);
}

/* *ret_template is NULL without one. `storage` holds it. */
static enum pay_exit take_template(struct tool *tool, const struct cli_value *values, struct listen_template *storage,
                                   const struct listen_template **ret_template) {
    char why[256];
    *ret_template = NULL;
    if (!values[TEMPLATE].given) return PAY_EXIT_OK;
    if (!listen_template_parse(values[TEMPLATE].text, storage, why, sizeof why))
        return tool_fail(tool, PAY_EXIT_USAGE, "--template: %s", why);
    *ret_template = storage;
    return PAY_EXIT_OK;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    const char *from_text = values[FROM].given ? values[FROM].text : values[STATE].given ? "start" : "now";
    struct listen_filter filter;
    struct listen_template storage;
    const struct listen_template *template;
    struct listen_from from;
    enum pay_exit status = check(tool, values);
    if (status == PAY_EXIT_OK) status = take_filter(tool, values, &filter);
    if (status == PAY_EXIT_OK) status = take_template(tool, values, &storage, &template);
    if (status != PAY_EXIT_OK) return status;
    if (!listen_from_parse(from_text, &from))
        return tool_fail(tool, PAY_EXIT_USAGE,
                         "--from: '%s' is none of now, start, or a time in UTC as 2026-11-21T12:00:00Z", from_text);
    pay_signals_install();
    if (values[EXEC].given || values[FORWARD_TO].given) {
        const struct listen_handover handover = {.command = values[EXEC].text,
                                                 .urls = values[FORWARD_TO].text,
                                                 .secret_path = values[SECRET_FILE].text,
                                                 .state_path = values[STATE].text,
                                                 .from = from,
                                                 .filter = filter,
                                                 .template = template,
                                                 .max = values[MAX].number,
                                                 .idle_ms = values[UNTIL_IDLE].number * 1000};
        return listen_hand_over(tool, &handover);
    }
    struct listen listen = {.tool = tool,
                            .filter = filter,
                            .template = template,
                            .format = strcmp(values[FORMAT].text, "human") == 0 ? LISTEN_HUMAN : LISTEN_JSON,
                            .state_path = values[STATE].text,
                            .max = values[MAX].number,
                            .idle_ms = values[UNTIL_IDLE].number * 1000,
                            .color = tool->out.color};
    return print_lines(&listen, &from, values[TO].text);
}

const struct command cmd_listen = {
    .name = "listen",
    .summary = "follow the replies, each once and in order per partition; gaps are noticed",
    .examples =
        "  paybuf listen                                          what is answered from now on\n"
        "  paybuf listen --format human\n"
        "  paybuf listen --template '{order_id} {outcome} {reason|-} {metadata.note}'\n"
        "  paybuf listen --from start --until-idle 2              everything there is, then end\n"
        "  paybuf listen --state my.state --to replies.ndjson     each reply once in the file, whatever happens\n"
        "  paybuf listen --state my.state | my-program            go on after a restart where it ended\n"
        "  paybuf listen --from 2026-11-21T12:00:00Z --max 10\n"
        "  paybuf listen --account alice --outcome declined,conflict\n"
        "  paybuf listen --state my.state --exec 'jq -r .order_id >> orders.txt'\n"
        "  paybuf listen --state my.state --forward-to 'https://a.example/hook https://b.example/hook' --secret-file "
        "hooks.secret\n",
    .notes =
        "The state file holds one integer per (generation, partition) and is saved after the lines were written. "
        "SIGTERM and\n"
        "SIGINT end exactly. After SIGKILL the lines of the last 200 ms come again on stdout (never lost; "
        "`position` tells\n"
        "repeats); in a file given with --to they are cut off first. At a gap the partition waits, the others go "
        "on, and the\n"
        "exit code is 4.\n"
        "--template: {NAME} or {NAME|TEXT when there is none}; {{ and }} are braces. Control characters and "
        "backslashes "
        "of a text are\n"
        "written as \\n, \\u001b, \\\\: a line stays one line. Names: schema tenant order_id attempt outcome reason "
        "field duplicate\n"
        "account_id amount_minor currency balance_after_minor account_version position original decided_at stored "
        "metadata, of stored\n"
        "stored.attempt stored.account_id .., of metadata any path metadata.NAME.NAME; and ledger_id log_generation "
        "partition\n"
        "source_offset reply_offset appended_ms.\n"
        "--exec and --forward-to keep the order within each partition, so of each order, and never skip: what isn't "
        "taken is tried\n"
        "again, and its partition waits. Each URL has a state of its own (FILE and eight digits), so a dead one holds "
        "up nobody.\n"
        "SIGTERM ends exactly; after SIGKILL the last 200 ms come again, with the same webhook-id (PAYBUF_REPLY_ID).\n",
    CLI_ARGS(args),
    .run = run,
};
