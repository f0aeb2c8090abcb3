/*
 * cmd_audit.c - paybuf audit: the proof that requests, decisions and replies are the same, and that the books add up.
 *
 * Order matters: the reply log's ends first, then the database snapshot. A reply below those ends was published after its commit,
 * so the snapshot must have settled it; what came later on either side is in flight, not a difference.
 */
#include "base/clock.h"
#include "sql/pay_sql.h"
#include "tools/audit_lane.h"
#include "tools/audit_rows.h"
#include "tools/commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUERY_TIMEOUT_MS 3600000 /* sorting the books of a large ledger */

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

/* ---- the start ---- */

static bool settled_and_answered(const struct lanes *lanes) {
    for (int32_t p = 0; p < lanes->count; p++) {
        const struct lane_view *lane = &lanes->all[p];
        if (lane->has_bounds && lane->request_end > lane->request_start &&
            (!lane->has_row || lane->processed < lane->request_end || lane->replied_offset <= lane->anchor_offset))
            return false;
    }
    return true;
}

static enum pay_exit wait_until_quiet(struct audit *audit, int32_t partitions, int64_t seconds) {
    int64_t until_ms = pay_clock_ms() + seconds * 1000;
    for (;;) {
        struct lanes lanes = {0};
        enum pay_exit status = lanes_bounds(audit->tool, audit->replies, partitions, &lanes);
        if (status == PAY_EXIT_OK) status = lanes_read(audit->tool, audit->pg, &lanes);
        bool quiet = settled_and_answered(&lanes);
        lanes_free(&lanes);
        if (status != PAY_EXIT_OK || quiet) return status;
        if (pay_clock_ms() >= until_ms) {
            tool_note(audit->tool, "not everything was settled and answered within %" PRId64 " s; going on", seconds);
            return PAY_EXIT_OK;
        }
        nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    }
}

static enum pay_exit open_snapshot(struct audit *audit) {
    struct pay_error error;
    bool found;
    enum pay_move move = pay_pg_begin(audit->pg, true, &error);
    if (move == PAY_OK)
        move = pay_pg_script(
            audit->pg,
            "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL work_mem = '128MB'; SET LOCAL jit = off",
            &error);
    if (move == PAY_OK)
        move = pay_pg_exec_value(audit->pg, "SELECT ledger_id::text FROM paybuf.ledger", NULL, audit->ledger_id,
                                 sizeof audit->ledger_id, &found, &error);
    pay_pg_set_call_timeout(audit->pg, QUERY_TIMEOUT_MS);
    return move == PAY_OK ? PAY_EXIT_OK : tool_error(audit->tool, &error);
}

static enum pay_exit take_lanes(struct audit *audit, const struct lanes *lanes, const struct cli_value *only) {
    if (only->given && only->number >= lanes->count)
        return tool_fail(audit->tool, PAY_EXIT_NOT_FOUND, "%s has no partition %" PRId64,
                         audit->tool->config.request_topic, only->number);
    audit->lanes = calloc((size_t)lanes->count + 1, sizeof *audit->lanes);
    if (audit->lanes == NULL) abort();
    int64_t records = 0;
    for (int32_t p = 0; p < lanes->count; p++) {
        if (only->given && only->number != p) continue;
        struct audit_lane *lane = &audit->lanes[audit->lane_count++];
        lane->view = lanes->all[p];
        if (!lane->view.has_row) lane->view.generation = 1; /* nothing is settled: everything is in flight */
        records += lane->view.request_end - lane->view.request_start;
    }
    progress_begin(&audit->progress, "requests", records);
    return PAY_EXIT_OK;
}

static enum pay_exit begin(struct audit *audit, const struct cli_value *values) {
    struct lanes lanes = {0};
    int32_t partitions = 0;
    enum pay_exit status = tool_partitions(audit->tool, audit->tool->config.request_topic, &partitions);
    if (status == PAY_EXIT_OK) status = tool_open_database(audit->tool, PAY_PG_READER, &audit->pg);
    if (status == PAY_EXIT_OK) status = tool_open_reader(audit->tool, true, &audit->requests);
    if (status == PAY_EXIT_OK) status = tool_open_reader(audit->tool, false, &audit->replies);
    if (status == PAY_EXIT_OK && values[WAIT].given) status = wait_until_quiet(audit, partitions, values[WAIT].number);
    if (status == PAY_EXIT_OK) status = lanes_bounds(audit->tool, audit->replies, partitions, &lanes);
    if (status == PAY_EXIT_OK) status = open_snapshot(audit);
    if (status == PAY_EXIT_OK) status = lanes_read(audit->tool, audit->pg, &lanes);
    if (status == PAY_EXIT_OK) status = take_lanes(audit, &lanes, &values[PARTITION]);
    lanes_free(&lanes);
    return status;
}

/* ---- dead letters ---- */

static enum pay_exit read_letters_of(struct audit *audit, int32_t partition) {
    const char *topic = audit->tool->config.dead_letter_topic;
    struct pay_kafka_read read;
    struct pay_error error;
    int64_t start, end;
    if (pay_kafka_reader_bounds(audit->replies, topic, partition, TOOL_KAFKA_TIMEOUT_MS, &start, &end, &error) !=
        PAY_OK)
        return tool_unavailable(audit->tool, &error);
    if (start > 0) audit->letters.from_the_start = false;
    if (start == end) return PAY_EXIT_OK;
    if (pay_kafka_reader_seek(audit->replies, topic, partition, start, &error) != PAY_OK)
        return tool_error(audit->tool, &error);
    for (bool more = true; more;) {
        enum pay_exit status = audit_read(audit, audit->replies, &read);
        if (status != PAY_EXIT_OK) return status;
        more = read.kind == PAY_KAFKA_READ_RECORD && read.record.offset < end;
        if (more) letters_add(&audit->letters, &read.record);
        more = more && read.record.offset + 1 < end;
    }
    pay_kafka_reader_stop(audit->replies, topic, partition);
    return PAY_EXIT_OK;
}

static enum pay_exit read_letters(struct audit *audit) {
    int32_t partitions = 0;
    enum pay_exit status = tool_partitions(audit->tool, audit->tool->config.dead_letter_topic, &partitions);
    audit->letters.from_the_start = true;
    for (int32_t p = 0; p < partitions && status == PAY_EXIT_OK; p++) status = read_letters_of(audit, p);
    return status;
}

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
    enum pay_exit status = audit->quick ? PAY_EXIT_OK : read_letters(audit);
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
    audit = (struct audit){.tool = tool, .quick = values[QUICK].given};
    int64_t began_ms = pay_clock_ms();
    enum pay_exit status = begin(&audit, values);
    if (status == PAY_EXIT_OK) status = check(&audit, values, began_ms);
    progress_end(&audit.progress);
    for (int32_t i = 0; i < audit.lane_count; i++) {
        free(audit.lanes[i].own_payment);
        free(audit.lanes[i].own_refusal);
    }
    free(audit.lanes);
    letters_free(&audit.letters);
    pay_kafka_reader_close(audit.requests);
    pay_kafka_reader_close(audit.replies);
    pay_pg_close(audit.pg);
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
