/* cmd_listen.c - paybuf listen: follows the reply log, each reply once. */
#include "base/signals.h"
#include "tools/commands.h"
#include "tools/listen_follow.h"

#include <inttypes.h>
#include <string.h>

enum { FROM, STATE, TO, FORMAT, MAX, UNTIL_IDLE };

/* clang-format off */
static const struct cli_arg args[] = {
    [FROM] = {"--from", CLI_TEXT, false, "now|start|TIME", .help = "where to begin; TIME as 2026-11-21T12:00:00Z (now; start for a new --state)"},
    [STATE] = {"--state", CLI_TEXT, false, "FILE", .help = "go on where this file says, and keep it up to date"},
    [TO] = {"--to", CLI_TEXT, false, "FILE", .help = "append the lines to this file; with --state each is there once even after SIGKILL"},
    [FORMAT] = {"--format", CLI_TEXT, false, "json|human", .initial = "json", .help = "the reply's value as it is, or a line for people"},
    [MAX] = {"--max", CLI_INTEGER, false, "N", 1, INT64_MAX, NULL, "end after N replies"},
    [UNTIL_IDLE] = {"--until-idle", CLI_INTEGER, false, "SECONDS", 1, 86400, NULL, "end at the end of the log, when nothing came for so long"},
};
/* clang-format on */

static enum pay_exit load_state(struct listen *listen, struct state *state) {
    char why[512];
    if (listen->state_path == NULL) return PAY_EXIT_OK;
    enum state_load loaded = state_load(listen->state_path, state, why, sizeof why);
    if (loaded == STATE_BAD) return tool_fail(listen->tool, PAY_EXIT_FAILURE, "%s", why);
    if (loaded == STATE_LOADED) memcpy(listen->listener.ledger_id, state->ledger_id, sizeof listen->listener.ledger_id);
    return PAY_EXIT_OK;
}

static enum pay_exit open_output(struct listen *listen, const char *path, const struct state *state) {
    char why[512];
    if (path == NULL)
        listen_output_stdout(&listen->output);
    else if (!listen_output_file(&listen->output, path, state->output_bytes, why, sizeof why))
        return tool_fail(listen->tool, PAY_EXIT_FAILURE, "%s", why);
    return PAY_EXIT_OK;
}

static enum pay_exit begin(struct listen *listen, const char *output_path) {
    struct state state = {.output_bytes = -1};
    int32_t partitions = 0;
    enum pay_exit status = load_state(listen, &state);
    if (status == PAY_EXIT_OK) status = tool_partitions(listen->tool, listen->tool->config.reply_topic, &partitions);
    if (status == PAY_EXIT_OK) status = open_output(listen, output_path, &state);
    if (status == PAY_EXIT_OK) status = tool_open_reader(listen->tool, false, &listen->reader);
    if (status == PAY_EXIT_OK)
        status = listen_start(listen->tool, listen->reader, &listen->listener, partitions, &listen->from, &state);
    state_free(&state);
    return status;
}

static enum pay_exit conclude(const struct listen *listen, enum pay_exit status) {
    const struct listener *listener = &listen->listener;
    int32_t open = listener_open_gaps(listener);
    if (listener->skipped > 0)
        tool_note(listen->tool, "records in the reply topic that aren't replies of ours: %" PRId64, listener->skipped);
    if (listener->resyncs > 0)
        tool_note(listen->tool, "jumps while finding its place after a start in the middle of the log: %" PRId64,
                  listener->resyncs);
    if (open > 0) tool_note(listen->tool, "partitions that wait at a gap: %" PRId32, open);
    return status == PAY_EXIT_OK && (open > 0 || listener->foreign > 0) ? PAY_EXIT_DIFFERENCES : status;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    static struct listen listen;
    listen = (struct listen){.tool = tool,
                             .state_path = values[STATE].text,
                             .max = values[MAX].number,
                             .idle_ms = values[UNTIL_IDLE].number * 1000,
                             .color = tool->out.color};
    const char *from = values[FROM].given ? values[FROM].text : values[STATE].given ? "start" : "now";
    const char *format = values[FORMAT].text;
    if (!listen_from_parse(from, &listen.from))
        return tool_fail(tool, PAY_EXIT_USAGE,
                         "--from: '%s' is none of now, start, or a time in UTC as 2026-11-21T12:00:00Z", from);
    if (strcmp(format, "json") != 0 && strcmp(format, "human") != 0)
        return tool_fail(tool, PAY_EXIT_USAGE, "--format: '%s' is neither json nor human", format);
    listen.format = strcmp(format, "human") == 0 ? LISTEN_HUMAN : LISTEN_JSON;
    pay_signals_install();
    enum pay_exit status = begin(&listen, values[TO].text);
    if (status == PAY_EXIT_OK) status = listen_follow(&listen);
    status = conclude(&listen, status);
    pay_kafka_reader_close(listen.reader);
    listener_free(&listen.listener);
    listen_output_close(&listen.output);
    return status;
}

const struct command cmd_listen = {
    .name = "listen",
    .summary = "follow the replies, each once and in order per partition; gaps are noticed",
    .examples =
        "  paybuf listen                                          what is answered from now on\n"
        "  paybuf listen --format human\n"
        "  paybuf listen --from start --until-idle 2              everything there is, then end\n"
        "  paybuf listen --state my.state --to replies.ndjson     each reply once in the file, whatever happens\n"
        "  paybuf listen --state my.state | my-program            go on after a restart where it ended\n"
        "  paybuf listen --from 2026-11-21T12:00:00Z --max 10\n",
    .notes = "The state file holds one integer per (generation, partition) and is saved after the lines were written. "
             "SIGTERM and\n"
             "SIGINT end exactly. After SIGKILL the lines of the last 200 ms come again on stdout (never lost; "
             "`position` tells\n"
             "repeats); in a file given with --to they are cut off first. At a gap the partition waits, the others go "
             "on, and the\n"
             "exit code is 4.\n",
    CLI_ARGS(args),
    .run = run,
};
