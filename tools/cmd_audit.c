/* cmd_audit.c - paybuf audit: the proof that requests, decisions and replies are the same, and that the books add up. */
#include "base/clock.h"
#include "tools/audit_lane.h"
#include "tools/audit_rows.h"
#include "tools/audit_start.h"
#include "tools/commands.h"

#include <inttypes.h>

enum { PARTITION, QUICK, WAIT, SETTLED };

/* clang-format off */
static const struct cli_arg args[] = {
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
    {"differences", "differences", false},
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

static void print_summary(struct audit *audit, const struct audit_tally *total, const struct audit_books_result *books,
                          int64_t began_ms) {
    json_t *summary = json_object();
    json_object_set_new(summary, "ledger_id", json_string(audit->ledger_id));
    json_object_set_new(summary, "requests", json_integer(total->requests));
    json_object_set_new(summary, "decisions", json_integer(total->paid));
    json_object_set_new(summary, "replies", json_integer(total->replies));
    json_object_set_new(summary, "in_flight", json_integer(total->in_flight));
    json_object_set_new(summary, "dead_letters", json_integer(audit->letters.records));
    json_object_set_new(summary, "accounts", json_integer(books->accounts));
    json_object_set_new(summary, "account_events", json_integer(books->events));
    json_object_set_new(summary, "seconds", json_real((double)(pay_clock_ms() - began_ms) / 1000));
    json_object_set_new(summary, "differences", json_integer(audit->differences.count));
    out_object(&audit->tool->out, "summary", OUT_COLUMNS(summary_columns), summary);
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

static enum pay_exit check(struct audit *audit, const struct cli_value *values, int64_t began_ms) {
    struct audit_books_result books = {0};
    struct audit_tally total = {0};
    enum pay_exit status = audit->quick ? PAY_EXIT_OK : audit_read_letters(audit);
    for (int32_t i = 0; i < audit->lane_count && status == PAY_EXIT_OK; i++)
        status = audit_one_lane(audit, &audit->lanes[i]);
    progress_end(&audit->progress);
    if (status == PAY_EXIT_OK) status = audit_rows(audit);
    if (status == PAY_EXIT_OK && !audit->quick && !values[PARTITION].given) status = audit_all_books(audit, &books);
    if (status != PAY_EXIT_OK) return status;
    print_lanes(audit, &total);
    if (values[SETTLED].given && total.in_flight > 0)
        difference_add(&audit->differences, "in_flight", "all lanes",
                       "%" PRId64 " requests aren't settled and answered", total.in_flight);
    print_summary(audit, &total, &books, began_ms);
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
    int64_t began_ms = pay_clock_ms();
    enum pay_exit status = audit_start(&audit, &scope);
    if (status == PAY_EXIT_OK) status = check(&audit, values, began_ms);
    progress_end(&audit.progress);
    audit_close(&audit);
    return status;
}

const struct command cmd_audit = {
    .name = "audit",
    .summary = "the proof: requests = decisions = replies, and the books add up",
    .examples = "  paybuf audit\n"
                "  paybuf audit --wait 30                 first let the workers come to the end\n"
                "  paybuf audit --quick                   counts only\n"
                "  paybuf audit -o json | jq .summary\n",
    .notes = "Every settled request must have exactly the reply that its bytes and the stored rows make, byte for "
             "byte, where readers\n"
             "take it; no reply may be there for what isn't settled; every row must have its record, every refused "
             "record its dead\n"
             "letter; every account is lived again from `open`. Requests that weren't answered when it began are "
             "counted as in flight.\n"
             "EXPIRED: one side was deleted by retention. Ends with \"0 differences\" and 0, else with 4.\n",
    CLI_ARGS(args),
    .run = run,
};
