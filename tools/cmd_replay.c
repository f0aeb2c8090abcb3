/* cmd_replay.c - paybuf replay: settled requests again: decided on paper, answered again, or sent again. */
#include "tools/audit_offline.h"
#include "tools/audit_online.h"
#include "tools/commands.h"
#include "tools/replay.h"

#include <inttypes.h>
#include <string.h>

enum {
    DRY_RUN,
    REPLY,
    APPEND,
    FROM,
    TO_TOPIC,
    TO_FILE,
    RATE,
    STATE,
    YES,
    FROM_DUMP,
    PARTITION,
    FROM_OFFSET,
    TO_OFFSET,
    SINCE,
    UNTIL,
    ORDER,
    ACCOUNT,
    TENANT,
    OUTCOME,
    LIMIT
};

/* clang-format off */
static const struct cli_arg args[] = {
    [DRY_RUN] = {"--dry-run", CLI_FLAG, .help = "decide again on a copy of the state, show what would come out otherwise, write nothing"},
    [REPLY] = {"--reply", CLI_FLAG, .help = "publish the stored answers of one partition again"},
    [APPEND] = {"--append", CLI_FLAG, .help = "send the requests to the intake again; those on file are answered as duplicates"},
    [FROM] = {"--from", CLI_TEXT, false, "G-P-O", .help = "--reply: the first position that is missing, as listen names it"},
    [TO_TOPIC] = {"--to-topic", CLI_TEXT, false, "TOPIC", .help = "--reply: into another topic"},
    [TO_FILE] = {"--to-file", CLI_TEXT, false, "FILE", .help = "--reply: into a new file, a line each"},
    [RATE] = {"--rate", CLI_INTEGER, false, "N", 1, 10000000, NULL, "at most so many a second"},
    [STATE] = {"--state", CLI_TEXT, false, "FILE", .help = "--append: keeps what was sent; the same command again goes on there"},
    [YES] = {"--yes", CLI_FLAG, .help = "--reply, --append: do it; without it only the count is shown"},
    [FROM_DUMP] = {"--from-dump", CLI_TEXT, false, "FOLDER", .help = "of a folder that paybuf dump wrote instead of the servers"},
    [PARTITION] = {"--partition", CLI_INTEGER, false, "N", 0, PAY_LANES_MAX - 1, NULL, "only requests of this partition"},
    [FROM_OFFSET] = {"--from-offset", CLI_INTEGER, false, "N", 0, INT64_MAX, NULL, "... from this offset on"},
    [TO_OFFSET] = {"--to-offset", CLI_INTEGER, false, "N", 0, INT64_MAX - 1, NULL, "... up to this one, included"},
    [SINCE] = {"--since", CLI_TEXT, false, "TIME", .help = "appended at or after 2026-11-21T12:00:00Z, by the broker's clock"},
    [UNTIL] = {"--until", CLI_TEXT, false, "TIME", .help = "appended before this time"},
    [ORDER] = {"--order", CLI_ID, false, "ID", .help = "only of this order"},
    [ACCOUNT] = {"--account", CLI_ID, false, "ID", .help = "only from this account"},
    [TENANT] = {"--tenant", CLI_ID, false, "ID", .help = "only of this tenant"},
    [OUTCOME] = {"--outcome", CLI_TEXT, false, "WORD", .help = "only what was answered paid, declined, conflict or invalid"},
    [LIMIT] = {"--limit", CLI_INTEGER, false, "N", 0, 1000000000, "50", "list so many differences; all are counted"},
};
/* clang-format on */

static enum pay_exit read_selection(struct tool *tool, const struct cli_value *values,
                                    struct replay_selection *ret_selection) {
    replay_select_all(ret_selection);
    if (values[PARTITION].given) ret_selection->partition = (int32_t)values[PARTITION].number;
    ret_selection->from_offset = values[FROM_OFFSET].number;
    if (values[TO_OFFSET].given) ret_selection->to_offset = values[TO_OFFSET].number;
    if ((values[FROM_OFFSET].given || values[TO_OFFSET].given) && !values[PARTITION].given && !values[FROM].given)
        return tool_fail(tool, PAY_EXIT_USAGE, "offsets belong to a partition; which one? --partition N");
    ret_selection->order_id = values[ORDER].text;
    ret_selection->account_id = values[ACCOUNT].text;
    ret_selection->tenant = values[TENANT].text;
    const char *outcome = values[OUTCOME].text;
    if (outcome != NULL && !pay_outcome_from_name(outcome, strlen(outcome), &ret_selection->outcome))
        return tool_fail(tool, PAY_EXIT_USAGE, "--outcome: '%s' is none of paid, declined, conflict, invalid", outcome);
    enum pay_exit status = tool_read_time(tool, "--since", values[SINCE].text, &ret_selection->since_ms);
    return status == PAY_EXIT_OK ? tool_read_time(tool, "--until", values[UNTIL].text, &ret_selection->until_ms)
                                 : status;
}

/* One mode, and only what belongs to it. */
static enum pay_exit check_mode(struct tool *tool, const struct cli_value *values) {
    static const struct {
        int arg, mode;
    } belongs[] = {{FROM, REPLY}, {TO_TOPIC, REPLY}, {TO_FILE, REPLY}, {STATE, APPEND}, {LIMIT, DRY_RUN}};
    if (values[DRY_RUN].given + values[REPLY].given + values[APPEND].given != 1)
        return tool_fail(tool, PAY_EXIT_USAGE, "one of --dry-run, --reply, --append");
    for (size_t i = 0; i < sizeof belongs / sizeof *belongs; i++)
        if (values[belongs[i].arg].given && !values[belongs[i].mode].given)
            return tool_fail(tool, PAY_EXIT_USAGE, "%s belongs to %s", args[belongs[i].arg].name,
                             args[belongs[i].mode].name);
    if (values[TO_TOPIC].given && values[TO_FILE].given)
        return tool_fail(tool, PAY_EXIT_USAGE, "either --to-topic or --to-file");
    return PAY_EXIT_OK;
}

/* The position says partition and offset; filters only where readers of the reply log don't see the holes. */
static enum pay_exit read_from(struct tool *tool, const struct cli_value *values, struct replay_selection *selection,
                               struct pay_position *ret_from) {
    const char *text = values[FROM].text;
    bool filtered = values[SINCE].given || values[UNTIL].given || values[ORDER].given || values[ACCOUNT].given ||
                    values[TENANT].given || values[OUTCOME].given;
    if (!values[REPLY].given) return PAY_EXIT_OK;
    if (text == NULL || !pay_position_parse(text, strlen(text), ret_from))
        return tool_fail(tool, PAY_EXIT_USAGE, "--reply wants --from G-P-O, the first position that is missing");
    if (values[PARTITION].given || values[FROM_OFFSET].given)
        return tool_fail(tool, PAY_EXIT_USAGE, "--from says partition and offset already");
    if (filtered && !values[TO_TOPIC].given && !values[TO_FILE].given)
        return tool_fail(tool, PAY_EXIT_USAGE,
                         "into the ledger's own reply topic replies go without holes; filters are for --to-topic and "
                         "--to-file");
    if (values[FROM_DUMP].given && !values[TO_TOPIC].given && !values[TO_FILE].given)
        return tool_fail(tool, PAY_EXIT_USAGE, "from a dump only with --to-topic or --to-file: it may be old");
    selection->partition = ret_from->partition;
    selection->from_offset = ret_from->offset;
    return PAY_EXIT_OK;
}

/* By the settings' names and, with --from-dump, by the dump's: a copy of another ledger's replies harms this one's topics, too. */
static enum pay_exit check_topic(const struct audit *audit, const char *topic) {
    const struct pay_config *config = &audit->tool->config;
    if (strcmp(topic, audit->reply_topic) == 0 || strcmp(topic, config->reply_topic) == 0)
        return tool_fail(audit->tool, PAY_EXIT_USAGE,
                         "--to-topic %s: that is the ledger's own reply topic; without --to-topic replies go there, as "
                         "they must",
                         topic);
    const char *const others[] = {audit->request_topic, audit->dead_letter_topic, config->request_topic,
                                  config->dead_letter_topic};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(topic, others[i]) == 0)
            return tool_fail(audit->tool, PAY_EXIT_USAGE, "--to-topic %s: that topic of the ledger isn't for replies",
                             topic);
    return PAY_EXIT_OK;
}

static enum pay_exit replay(struct audit *audit, const struct cli_value *values,
                            const struct replay_selection *selection, const struct pay_position *from) {
    const struct replay_how how = {.yes = values[YES].given,
                                   .rate = values[RATE].number,
                                   .topic = values[TO_TOPIC].text,
                                   .file = values[TO_FILE].text,
                                   .state = values[STATE].text};
    if (values[DRY_RUN].given) return replay_show_dry_run(audit, selection, values[LIMIT].number);
    if (values[APPEND].given) return replay_requests(audit, selection, &how);
    if (how.topic != NULL && check_topic(audit, how.topic) != PAY_EXIT_OK) return PAY_EXIT_USAGE;
    if (audit->lanes[0].view.generation != from->generation)
        return tool_fail(audit->tool, PAY_EXIT_NOT_FOUND, "partition %" PRId32 " is in generation %" PRId64,
                         from->partition, audit->lanes[0].view.generation);
    return replay_replies(audit, selection, from->offset, &how);
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    static struct audit audit;
    struct replay_selection selection;
    struct pay_position from = {0};
    enum pay_exit status = check_mode(tool, values);
    if (status == PAY_EXIT_OK) status = read_selection(tool, values, &selection);
    if (status == PAY_EXIT_OK) status = read_from(tool, values, &selection, &from);
    if (status != PAY_EXIT_OK) return status;
    if (values[APPEND].given && selection.tenant == NULL) selection.tenant = "default";
    const struct audit_scope scope = {.partition = selection.partition};
    audit = (struct audit){.tool = tool};
    status = values[FROM_DUMP].given ? audit_offline_open(&audit, values[FROM_DUMP].text, &scope)
                                     : audit_online_open(&audit, &scope);
    if (status == PAY_EXIT_OK) status = replay(&audit, values, &selection, &from);
    audit_close(&audit);
    if (status == PAY_EXIT_DIFFERENCES && values[FROM_DUMP].given)
        tool_note(tool, "if the dump is damaged, paybuf audit --from-dump names the files");
    return status;
}

const struct command cmd_replay = {
    .name = "replay",
    .summary = "settled requests again: decided on paper, answered again, or sent again",
    .examples = "  paybuf replay --dry-run                                  would everything be decided the same way?\n"
                "  paybuf replay --dry-run --account alice --outcome declined\n"
                "  paybuf replay --dry-run --since 2026-11-21T12:00:00Z --until 2026-11-21T13:00:00Z\n"
                "  paybuf replay --dry-run --from-dump /backup/ledger       without any server\n"
                "  paybuf replay --reply --from 1-3-1234 --yes              closes the gap that listen told of\n"
                "  paybuf replay --reply --from 1-3-0 --to-file lost.ndjson --account alice --yes\n"
                "  paybuf replay --append --partition 3 --rate 500 --state sent.state --yes\n",
    .notes =
        "--dry-run decides each selected payment again from its request's bytes, with the worker's own code, in the "
        "order in which its\n"
        "account lived it; the state before it comes from opening, adjustments and decisions on file. What comes out "
        "otherwise is shown\n"
        "field by field, with the reason; nothing is written; 4 when anything does.\n"
        "--reply makes each answer again from request and rows. Into the ledger's own reply topic it goes without "
        "holes "
        "and only as far\n"
        "as a worker has answered; readers drop what they have, and a reader at a gap goes on by itself.\n"
        "--append sends requests through the intake (PAYBUF_HTTP_URL, PAYBUF_API_KEY); tenant default unless --tenant. "
        "What is on file is\n"
        "answered as a duplicate and moves no money; 4 when the intake refused some.\n",
    CLI_ARGS(args),
    .run = run,
};
