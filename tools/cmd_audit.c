/* cmd_audit.c - paybuf audit: the proof that requests, decisions and replies are the same, and that the books add up. */
#include "base/clock.h"
#include "codec/time_text.h"
#include "tools/audit_offline.h"
#include "tools/audit_online.h"
#include "tools/audit_run.h"
#include "tools/commands.h"

#include <inttypes.h>

enum { FROM_DUMP, PARTITION, QUICK, WAIT, SETTLED };

/* clang-format off */
static const struct cli_arg args[] = {
    [FROM_DUMP] = {"--from-dump", CLI_TEXT, false, "FOLDER", .help = "of a folder that paybuf dump wrote: no server is asked"},
    [PARTITION] = {"--partition", CLI_INTEGER, false, "N", 0, PAY_LANES_MAX - 1, NULL, "only this one; the books are left out"},
    [QUICK] = {"--quick", CLI_FLAG, .help = "count requests, replies and rows only: no contents, dead letters, books"},
    [WAIT] = {"--wait", CLI_INTEGER, false, "SECONDS", 1, 86400, NULL, "first wait so long for everything to be settled and answered"},
    [SETTLED] = {"--settled", CLI_FLAG, .help = "what is in flight counts as a difference"},
};
static const struct out_column lane_columns[] = {
    {"partition", "PARTITION", false}, {"generation", NULL, false}, {"requests", "REQUESTS", false}, {"replies", "REPLIES", false}, {"paid", "PAID", false},
    {"declined", "DECLINED", false}, {"duplicates", "DUPLICATES", false}, {"conflicts", "CONFLICTS", false}, {"invalid", "INVALID", false},
    {"repeats", "REPEATS", false}, {"in_flight", "IN FLIGHT", false}, {"expired", "EXPIRED", false}, {"skipped", NULL, false}, {"differences", "DIFFERENCES", false},
};
static const struct out_column summary_columns[] = {
    {"ledger_id", "ledger", false}, {"requests", "requests", false}, {"decisions", "decisions", false}, {"replies", "replies", false}, {"in_flight", "in flight", false},
    {"dead_letters", "dead letters", false}, {"accounts", "accounts", false}, {"account_events", "account events", false}, {"seconds", "seconds", false},
    {"taken_at", "as of", false}, {"sha256", "sha256", false}, {"differences", "differences", false},
};
static const struct out_column difference_columns[] = {{"kind", "DIFFERENCE", true}, {"where", "WHERE", false}, {"detail", "DETAIL", false}};
/* clang-format on */

/* ---- what came of it ---- */

static json_t *lane_row(const struct audit_lane *lane) {
    const struct audit_tally *tally = &lane->tally;
    const struct {
        const char *name;
        int64_t number;
    } members[] = {{"partition", lane->view.partition},
                   {"generation", lane->view.generation},
                   {"requests", tally->requests},
                   {"replies", tally->replies},
                   {"paid", tally->paid},
                   {"declined", tally->declined},
                   {"duplicates", tally->duplicates},
                   {"conflicts", tally->conflicts},
                   {"invalid", tally->invalid},
                   {"repeats", tally->repeats},
                   {"in_flight", tally->in_flight},
                   {"expired", tally->expired},
                   {"skipped", tally->skipped},
                   {"differences", tally->differences}};
    json_t *row = json_object();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        json_object_set_new(row, members[i].name, json_integer(members[i].number));
    return row;
}

static void print_lanes(struct audit *audit, struct audit_tally *total) {
    out_list(&audit->tool->out, "lanes", OUT_COLUMNS(lane_columns));
    for (int32_t i = 0; i < audit->lane_count; i++) {
        const struct audit_tally *tally = &audit->lanes[i].tally;
        out_row(&audit->tool->out, lane_row(&audit->lanes[i]));
        total->requests += tally->requests;
        total->replies += tally->replies;
        total->in_flight += tally->in_flight;
        total->paid += tally->paid + tally->declined + tally->duplicates + tally->conflicts + tally->invalid;
    }
}

static void print_summary(struct audit *audit, const struct audit_tally *total, const struct audit_rows_result *rows,
                          const char *sha256, int64_t began_ms) {
    char taken_at[PAY_TIME_TEXT_MAX];
    pay_time_format(audit->taken_at_us, taken_at);
    json_t *summary = json_object();
    json_object_set_new(summary, "ledger_id", json_string(audit->ledger_id));
    json_object_set_new(summary, "requests", json_integer(total->requests));
    json_object_set_new(summary, "decisions", json_integer(total->paid));
    json_object_set_new(summary, "replies", json_integer(total->replies));
    json_object_set_new(summary, "in_flight", json_integer(total->in_flight));
    json_object_set_new(summary, "dead_letters", json_integer(audit->letters.records));
    json_object_set_new(summary, "accounts", json_integer(rows->accounts));
    json_object_set_new(summary, "account_events", json_integer(rows->events));
    json_object_set_new(summary, "seconds", json_real((double)(pay_clock_ms() - began_ms) / 1000));
    json_object_set_new(summary, "taken_at", json_string(taken_at));
    json_object_set_new(summary, "sha256", tool_text(sha256[0] != '\0' ? sha256 : NULL));
    json_object_set_new(summary, "differences", json_integer(audit->differences.count));
    out_object(&audit->tool->out, "summary", OUT_COLUMNS(summary_columns), summary);
}

/* One line to keep: what was covered, and the hash by which the same ledger is known again, here or from a dump. */
static void print_covered(struct audit *audit, const struct audit_tally *total, const char *sha256) {
    char taken_at[PAY_TIME_TEXT_MAX];
    if (sha256[0] == '\0') return;
    pay_time_format(audit->taken_at_us, taken_at);
    out_line(&audit->tool->out,
             "\naudited: ledger %s as of %s, %" PRId64 " requests, %" PRId64 " replies, %" PRId64
             " differences, sha256 %s",
             audit->ledger_id, taken_at, total->requests, total->replies, audit->differences.count, sha256);
}

static void print_differences(struct audit *audit) {
    const struct differences *differences = &audit->differences;
    if (differences->count > 0 || audit->tool->out.format != OUT_TABLE)
        out_list(&audit->tool->out, "differences", OUT_COLUMNS(difference_columns));
    for (int64_t i = 0; i < differences->count && i < DIFFERENCES_LISTED; i++) {
        json_t *row = json_object();
        json_object_set_new(row, "kind", json_string(differences->listed[i].kind));
        json_object_set_new(row, "where", json_string(differences->listed[i].where));
        json_object_set_new(row, "detail", json_string(differences->listed[i].detail));
        out_row(&audit->tool->out, row);
    }
    if (differences->count > DIFFERENCES_LISTED)
        out_line(&audit->tool->out, "... and %" PRId64 " more", differences->count - DIFFERENCES_LISTED);
    out_line(&audit->tool->out, "\n%" PRId64 " difference%s", differences->count, differences->count == 1 ? "" : "s");
}

/* A dump whose bytes were changed proves nothing; each of its files is named. */
static enum pay_exit report_damage(struct audit *audit) {
    progress_end(&audit->progress->bar);
    audit->differences.count = 0;
    enum pay_exit status = audit_offline_verify(audit);
    print_differences(audit);
    tool_note(audit->tool, "the dump isn't what paybuf dump wrote, so nothing else was judged");
    return status;
}

static enum pay_exit check(struct audit *audit, const struct cli_value *values, int64_t began_ms) {
    static struct audit_rows_result rows;
    struct audit_tally total = {0};
    char sha256[AUDIT_DIGEST_TEXT] = "";
    if (values[FROM_DUMP].given && !audit_offline_empty_files_whole(audit)) return report_damage(audit);
    enum pay_exit status = audit_run(audit, !audit->quick && !values[PARTITION].given, &rows);
    if (status == PAY_EXIT_DIFFERENCES) return report_damage(audit);
    if (status != PAY_EXIT_OK) return status;
    if (!audit->quick && !values[PARTITION].given) audit_hash(audit, &rows, sha256);
    print_lanes(audit, &total);
    if (values[SETTLED].given && total.in_flight > 0)
        difference_add(&audit->differences, "in_flight", "all lanes",
                       "%" PRId64 " requests aren't settled and answered", total.in_flight);
    print_summary(audit, &total, &rows, sha256, began_ms);
    print_covered(audit, &total, sha256);
    print_differences(audit);
    if (total.in_flight > 0)
        tool_note(audit->tool, "%" PRId64 " requests are in flight: not settled or not answered when this began",
                  total.in_flight);
    return audit->differences.count > 0 ? PAY_EXIT_DIFFERENCES : PAY_EXIT_OK;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    static struct audit audit;
    const struct audit_scope scope = {.wait_seconds = values[WAIT].number,
                                      .partition = values[PARTITION].given ? (int32_t)values[PARTITION].number : -1};
    audit = (struct audit){.tool = tool, .quick = values[QUICK].given};
    if (values[FROM_DUMP].given && values[WAIT].given)
        return tool_fail(tool, PAY_EXIT_USAGE, "--wait is for servers; a dump doesn't change");
    int64_t began_ms = pay_clock_ms();
    enum pay_exit status = values[FROM_DUMP].given ? audit_offline_open(&audit, values[FROM_DUMP].text, &scope)
                                                   : audit_online_open(&audit, &scope);
    if (status == PAY_EXIT_OK) status = check(&audit, values, began_ms);
    audit_close(&audit);
    return status;
}

const struct command cmd_audit = {
    .name = "audit",
    .summary = "the proof: requests = decisions = replies, and the books add up",
    .examples = "  paybuf audit\n"
                "  paybuf audit --from-dump /backup/ledger    offline: the "
                "same judgement of what paybuf dump wrote\n"
                "  paybuf audit --wait 30                 first let the "
                "workers come to the end\n"
                "  paybuf audit --quick                   counts only\n"
                "  paybuf audit -o json | jq .summary\n",
    .notes = "Every settled request must have exactly the reply that its bytes "
             "and the stored rows make, byte for "
             "byte, where readers\n"
             "take it; no reply may be there for what isn't settled; every row "
             "must have its record, every refused "
             "record its dead\n"
             "letter; every account is lived again from `open`. Requests that "
             "weren't answered when it began are "
             "counted as in flight.\n"
             "EXPIRED: one side was deleted by retention. Ends with \"0 "
             "differences\" and 0, else with 4.\n"
             "The line \"audited:\" is for your records: its SHA-256 covers "
             "requests, replies and tables, and is the same "
             "for the same\n"
             "ledger, read from the servers or from a dump. docs/replay.md "
             "says how it is made.\n",
    CLI_ARGS(args),
    .run = run,
};
