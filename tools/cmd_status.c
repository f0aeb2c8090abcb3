/* cmd_status.c - paybuf status: the lanes and the ledger, how far behind, what is halted and what to do about it. */
#include "base/clock.h"
#include "core/outcome.h"
#include "sql/pay_sql.h"
#include "tools/commands.h"
#include "tools/lanes.h"

#include <inttypes.h>
#include <string.h>

/* clang-format off */
static const struct out_column ledger_columns[] = {
    {"ledger_id", "ledger", false}, {"request_topic", "requests", false}, {"reply_topic", "replies", false}, {"incarnation", "incarnation", false},
    {"incarnation_agreed", "agreed", false}, {"halted", NULL, false}, {"halted_reason", "halted", true}, {"hint", "hint", false},
    {"lag_records", "lag", false}, {"lag_seconds", "lag seconds", false},
};
static const struct out_column lane_columns[] = {
    {"partition", "PARTITION", false}, {"generation", "GEN", false}, {"log_start", "L", false}, {"processed", "P", false}, {"replied", "R", false},
    {"log_end", "E", false}, {"lag_records", "LAG", false}, {"lag_seconds", "SECONDS", false}, {"owner_short", "OWNER", false},
    {"owner", NULL, false}, {"owner_epoch", "EPOCH", false}, {"group", "GROUP", false}, {"updated_at", "UPDATED", false}, {"halted_reason", "HALTED", true}, {"hint", NULL, false},
};
/* clang-format on */

struct totals {
    int64_t records;
    double seconds;
    bool halted;
};

static json_t *number_if(bool known, int64_t number) { return known ? json_integer(number) : json_null(); }

static json_t *hint_of(const char *reason) {
    enum pay_halt halt;
    return reason != NULL && pay_halt_from_name(reason, strlen(reason), &halt) ? json_string(pay_halt_hint(halt))
                                                                               : json_null();
}

static double age_seconds(const struct lane_view *lane, int64_t now_us) {
    int64_t age_ms = now_us / 1000 - lane->first_unsettled_ms;
    return age_ms > 0 ? (double)age_ms / 1000 : 0;
}

static json_t *lane_row(const struct lane_view *lane, int64_t now_us, struct totals *totals) {
    bool lag_known = lane->has_row && lane->has_bounds, age_known = lane->first_unsettled_ms >= 0;
    int64_t lag = lane->request_end > lane->processed ? lane->request_end - lane->processed : 0;
    double seconds = age_known ? age_seconds(lane, now_us) : 0;
    json_t *row = json_object();
    json_object_set_new(row, "partition", json_integer(lane->partition));
    json_object_set_new(row, "generation", number_if(lane->has_row, lane->generation));
    json_object_set_new(row, "log_start", number_if(lane->has_bounds, lane->request_start));
    json_object_set_new(row, "processed", number_if(lane->has_row, lane->processed));
    json_object_set_new(row, "replied", number_if(lane->has_row, lane->replied_offset));
    json_object_set_new(row, "log_end", number_if(lane->has_bounds, lane->request_end));
    json_object_set_new(row, "lag_records", number_if(lag_known, lag));
    json_object_set_new(row, "lag_seconds",
                        age_known               ? json_real(seconds)
                        : lag_known && lag == 0 ? json_integer(0)
                                                : json_null());
    json_object_set_new(row, "owner", tool_text(lane->owner[0] != '\0' ? lane->owner : NULL));
    json_object_set_new(row, "owner_short", lane->owner[0] != '\0' ? json_stringn(lane->owner, 8) : json_null());
    json_object_set_new(row, "owner_epoch", number_if(lane->has_row, lane->owner_epoch));
    json_object_set_new(row, "group", tool_text(lane->group[0] != '\0' ? lane->group : NULL));
    json_object_set_new(row, "updated_at", tool_text(lane->updated_at[0] != '\0' ? lane->updated_at : NULL));
    json_object_set_new(row, "halted_reason", tool_text(lane->halted[0] != '\0' ? lane->halted : NULL));
    json_object_set_new(row, "hint", hint_of(lane->halted));
    totals->records += lag_known ? lag : 0;
    totals->seconds = seconds > totals->seconds ? seconds : totals->seconds;
    totals->halted = totals->halted || lane->halted[0] != '\0';
    return row;
}

static bool take_ledger(void *argument, const struct pay_pg_row *row) {
    json_t *ledger = argument;
    const char *reason = pay_pg_column(row, 4);
    json_object_set_new(ledger, "ledger_id", tool_column_text(row, 0));
    json_object_set_new(ledger, "incarnation", tool_column_text(row, 1));
    json_object_set_new(ledger, "incarnation_agreed",
                        json_boolean(strcmp(pay_pg_column(row, 1), pay_pg_column(row, 2)) == 0));
    json_object_set_new(ledger, "halted", tool_column_bool(row, 3));
    json_object_set_new(ledger, "halted_reason", tool_text(reason));
    json_object_set_new(ledger, "hint", hint_of(reason));
    return true;
}

static enum pay_exit look_at_logs(struct tool *tool, struct lanes *lanes) {
    struct pay_kafka_reader *bounds = NULL, *records = NULL;
    int32_t partitions = 0;
    enum pay_exit status = tool_partitions(tool, tool->config.request_topic, &partitions);
    if (status == PAY_EXIT_OK) status = tool_open_reader(tool, false, &bounds);
    if (status == PAY_EXIT_OK) status = lanes_request_bounds(tool, bounds, partitions, lanes);
    if (status == PAY_EXIT_OK) status = tool_open_reader(tool, true, &records);
    if (status == PAY_EXIT_OK) status = lanes_ages(tool, records, lanes);
    pay_kafka_reader_close(bounds);
    pay_kafka_reader_close(records);
    return status;
}

/* What stands still is also said as sentences: a reason alone helps nobody at three in the night. */
static void say_halted(struct tool *tool, const json_t *ledger, const struct lanes *lanes) {
    const char *reason = json_string_value(json_object_get(ledger, "halted_reason"));
    enum pay_halt halt;
    if (reason != NULL)
        tool_note(tool, "the whole ledger is halted, %s: %s", reason,
                  json_string_value(json_object_get(ledger, "hint")));
    for (int32_t p = 0; p < lanes->count; p++) {
        const char *why = lanes->all[p].halted;
        if (why[0] != '\0' && pay_halt_from_name(why, strlen(why), &halt))
            tool_note(tool, "lane %" PRId32 " is halted, %s: %s", p, why, pay_halt_hint(halt));
    }
}

static enum pay_exit print(struct tool *tool, json_t *ledger, const struct lanes *lanes) {
    struct totals totals = {0};
    int64_t now_us = pay_wall_clock_us();
    json_t *rows = json_array(), *row;
    size_t index;
    for (int32_t p = 0; p < lanes->count; p++) json_array_append_new(rows, lane_row(&lanes->all[p], now_us, &totals));
    json_object_set_new(ledger, "request_topic", json_string(tool->config.request_topic));
    json_object_set_new(ledger, "reply_topic", json_string(tool->config.reply_topic));
    json_object_set_new(ledger, "lag_records", json_integer(totals.records));
    json_object_set_new(ledger, "lag_seconds", json_real(totals.seconds));
    totals.halted = totals.halted || json_is_true(json_object_get(ledger, "halted"));
    say_halted(tool, ledger, lanes);
    out_object(&tool->out, "ledger", OUT_COLUMNS(ledger_columns), ledger);
    out_list(&tool->out, "lanes", OUT_COLUMNS(lane_columns));
    json_array_foreach(rows, index, row) out_row(&tool->out, json_incref(row));
    json_decref(rows);
    return totals.halted ? PAY_EXIT_DIFFERENCES : PAY_EXIT_OK;
}

/* Without the broker the database's part is still worth seeing. */
static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    struct lanes lanes = {0};
    struct pay_pg *pg;
    struct pay_error error;
    (void)values;
    enum pay_exit status = tool_open_database(tool, PAY_PG_READER, &pg);
    if (status != PAY_EXIT_OK) return status;
    json_t *ledger = json_object();
    if (pay_pg_exec(pg, pay_sql_read_ledger, NULL, take_ledger, ledger, NULL, &error) != PAY_OK)
        status = tool_error(tool, &error);
    if (status == PAY_EXIT_OK) status = lanes_read(tool, pg, &lanes);
    pay_pg_close(pg);
    if (status != PAY_EXIT_OK) {
        json_decref(ledger);
    } else {
        status = look_at_logs(tool, &lanes);
        enum pay_exit printed = print(tool, ledger, &lanes);
        if (status == PAY_EXIT_OK) status = printed;
    }
    lanes_free(&lanes);
    return status;
}

const struct command cmd_status = {
    .name = "status",
    .summary = "lanes, lag, owners, and what is halted and why",
    .examples = "  paybuf status\n"
                "  watch -n 1 paybuf status\n"
                "  paybuf status -o json | jq '.lanes[] | select(.lag_records > 0)'\n",
    .notes =
        "L start of the request partition, P settled up to here, R answered up to here (a lower bound, written with "
        "the next\n"
        "settle or once a second), E its end. SECONDS is the age of the first unsettled record by the broker's clock.\n"
        "Exit code 4 when the ledger or a lane is halted.\n",
    .run = run,
};
