#include "tools/replay.h"
#include "tools/replay_dry_run.h"

#include <inttypes.h>

/* clang-format off */
static const struct out_column difference_columns[] = {
    {"position", "POSITION", false}, {"tenant", NULL, false}, {"order_id", "ORDER", false}, {"attempt", "ATTEMPT", false}, {"account_id", "ACCOUNT", false},
    {"field", "FIELD", true}, {"stored", "STORED", false}, {"replayed", "REPLAYED", false}, {"why", "WHY", false}};
static const struct out_column summary_columns[] = {
    {"ledger_id", "ledger", false}, {"read", "requests read", false}, {"selected", "selected", false}, {"differing", "would differ", false},
    {"differences", "differences", false}};
/* clang-format on */

struct showing {
    struct audit *audit;
    int64_t told, limit;
};

static void show(void *argument, const struct replay_difference *difference) {
    struct showing *showing = argument;
    const struct pay_record *record = difference->record;
    bool valid = record->invalid == PAY_REASON_NONE;
    char position[PAY_POSITION_TEXT_MAX];
    if (showing->told++ >= showing->limit) return;
    pay_position_format(&record->position, position);
    progress_end(&showing->audit->progress->bar);
    json_t *row = json_object();
    json_object_set_new(row, "position", json_string(position));
    json_object_set_new(row, "tenant", json_string(record->tenant));
    json_object_set_new(row, "order_id", tool_text(valid ? record->request.order_id : NULL));
    json_object_set_new(row, "attempt", valid ? json_integer(record->request.attempt) : json_null());
    json_object_set_new(row, "account_id", tool_text(valid ? record->request.account_id : NULL));
    json_object_set_new(row, "field", json_string(difference->field));
    json_object_set_new(row, "stored", json_string(difference->stored));
    json_object_set_new(row, "replayed", json_string(difference->replayed));
    json_object_set_new(row, "why", json_string(difference->why));
    out_row(&showing->audit->tool->out, row);
}

enum pay_exit replay_show_dry_run(struct audit *audit, const struct replay_selection *selection, int64_t limit) {
    struct showing showing = {.audit = audit, .limit = limit};
    struct replay_dry_run result;
    struct out *out = &audit->tool->out;
    out_list(out, "differences", OUT_COLUMNS(difference_columns));
    enum pay_exit status = replay_dry_run(audit, selection, show, &showing, &result);
    if (status != PAY_EXIT_OK) return status;
    out_object(out, "summary", OUT_COLUMNS(summary_columns),
               json_pack("{s:s,s:I,s:I,s:I,s:I}", "ledger_id", audit->ledger_id, "read", (json_int_t)result.read,
                         "selected", (json_int_t)result.selected, "differing", (json_int_t)result.differing,
                         "differences", (json_int_t)showing.told));
    if (showing.told > limit)
        out_line(out, "... and %" PRId64 " more differences; --limit shows more", showing.told - limit);
    out_line(out, "\n%" PRId64 " difference%s; nothing was written", showing.told, showing.told == 1 ? "" : "s");
    return showing.told > 0 ? PAY_EXIT_DIFFERENCES : PAY_EXIT_OK;
}
