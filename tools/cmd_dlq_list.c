/* cmd_dlq_list.c - paybuf dlq list: reasons and letters. */
#include "codec/time_text.h"
#include "tools/cmd_dlq.h"
#include "tools/dlq_pick.h"

#include <inttypes.h>

enum { ALL = DLQ_PICK_COUNT, LIMIT };

/* clang-format off */
static const struct cli_arg args[] = {
    DLQ_PICK_ARGS,
    [ALL] = {"--all", CLI_FLAG, .help = "also those that were redriven or discarded"},
    [LIMIT] = {"--limit", CLI_INTEGER, false, "N", 0, 1000000000, "50", "list so many letters; all are counted"},
};
static const struct out_column reason_columns[] = {
    {"reason", "REASON", false}, {"open", "OPEN", false}, {"redriven", "REDRIVEN", false}, {"discarded", "DISCARDED", false}, {"first", "FIRST", false}, {"last", "LAST", false}};
static const struct out_column letter_columns[] = {
    {"position", "POSITION", false}, {"reason", "REASON", false}, {"state", "STATE", false}, {"at", "AT", false}, {"copies", "COPIES", false}, {"stub", "STUB", false}};
/* clang-format on */

static void print_reasons(struct dlq *dlq) {
    struct out *out = &dlq->tool->out;
    out_list(out, "reasons", OUT_COLUMNS(reason_columns));
    for (int reason = PAY_TOO_LARGE; reason < PAY_ATTEMPT_OUT_OF_SEQUENCE; reason++) {
        int64_t by_state[DLQ_STATE_COUNT] = {0}, first_ms = INT64_MAX, last_ms = INT64_MIN, all = 0;
        char first[PAY_TIME_TEXT_MAX], last[PAY_TIME_TEXT_MAX];
        for (size_t i = 0; i < dlq->count; i++) {
            const struct dlq_entry *entry = &dlq->entries[i];
            if (entry->reason != reason) continue;
            by_state[entry->state]++;
            all++;
            if (entry->timestamp_ms < first_ms) first_ms = entry->timestamp_ms;
            if (entry->timestamp_ms > last_ms) last_ms = entry->timestamp_ms;
        }
        if (all == 0) continue;
        pay_time_format(first_ms * 1000, first);
        pay_time_format(last_ms * 1000, last);
        out_row(out, json_pack("{s:s,s:I,s:I,s:I,s:s,s:s}", "reason", pay_reason_name((enum pay_reason)reason), "open",
                               (json_int_t)by_state[DLQ_OPEN], "redriven", (json_int_t)by_state[DLQ_REDRIVEN],
                               "discarded", (json_int_t)by_state[DLQ_DISCARDED], "first", first, "last", last));
    }
}

static void print_letters(struct dlq *dlq, const struct dlq_pick *pick, int64_t limit) {
    struct out *out = &dlq->tool->out;
    int64_t listed = 0;
    out_list(out, "letters", OUT_COLUMNS(letter_columns));
    for (size_t i = 0; i < dlq->count; i++) {
        const struct dlq_entry *entry = &dlq->entries[i];
        char position[PAY_POSITION_TEXT_MAX], at[PAY_TIME_TEXT_MAX];
        if (!dlq_picked(pick, entry) || listed++ >= limit) continue;
        pay_position_format(&entry->position, position);
        pay_time_format(entry->timestamp_ms * 1000, at);
        out_row(out, json_pack("{s:s,s:s,s:s,s:s,s:i,s:b}", "position", position, "reason",
                               pay_reason_name((enum pay_reason)entry->reason), "state",
                               dlq_state_name((enum dlq_state)entry->state), "at", at, "copies", (int)entry->copies,
                               "stub", (int)entry->is_stub));
    }
    if (listed > limit) out_line(out, "... and %" PRId64 " more; --limit shows more", listed - limit);
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    struct dlq dlq;
    struct dlq_pick pick;
    enum pay_exit status = dlq_pick_read(tool, values, &pick);
    if (status != PAY_EXIT_OK) return status;
    if (values[ALL].given) dlq_pick_any_state(&pick);
    status = dlq_open(tool, &dlq);
    if (status == PAY_EXIT_OK) status = dlq_scan(&dlq);
    if (status == PAY_EXIT_OK) {
        print_reasons(&dlq);
        print_letters(&dlq, &pick, values[LIMIT].number);
        if (dlq.others > 0)
            tool_note(tool, "%" PRId64 " records are neither letters nor markers; somebody else writes into %s",
                      dlq.others, tool->config.dead_letter_topic);
    }
    dlq_close(&dlq);
    return status;
}

const struct command cmd_dlq_list = {
    .name = "list",
    .summary = "how many of which reason, and which are open",
    .examples = "  paybuf dlq list\n"
                "  paybuf dlq list --all -o json | jq .reasons\n"
                "  paybuf dlq list --reason bad_field --limit 1000\n"
                "  paybuf dlq list --partition 3 --from-offset 1200 --since 2026-11-21T12:00:00Z\n",
    CLI_ARGS(args),
    .run = run,
};
