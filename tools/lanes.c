#include "tools/lanes.h"

#include "base/clock.h"
#include "sql/pay_sql.h"

#include <stdlib.h>
#include <string.h>

#define AGES_MS 3000 /* how long `status` waits for first unsettled records */

static struct lane_view *grow(struct lanes *lanes, int32_t partition) {
    if (partition >= lanes->count) {
        lanes->all = realloc(lanes->all, ((size_t)partition + 1) * sizeof *lanes->all);
        if (lanes->all == NULL) abort();
        for (int32_t p = lanes->count; p <= partition; p++)
            lanes->all[p] = (struct lane_view){.partition = p, .first_unsettled_ms = -1};
        lanes->count = partition + 1;
    }
    return &lanes->all[partition];
}

static void copy(char *target, size_t size, const char *text) {
    snprintf(target, size, "%s", text != NULL ? text : "");
}

static bool take_lane(void *argument, const struct pay_pg_row *row) {
    struct lane_view *lane = grow(argument, (int32_t)pay_pg_column_int8(row, 0));
    lane->has_row = true;
    lane->generation = pay_pg_column_int8(row, 1);
    lane->processed = pay_pg_column_int8(row, 2);
    lane->replied_offset = pay_pg_column_int8(row, 3);
    lane->reply_position = pay_pg_column_int8(row, 4);
    copy(lane->owner, sizeof lane->owner, pay_pg_column(row, 5));
    lane->owner_epoch = pay_pg_column_int8(row, 6);
    copy(lane->group, sizeof lane->group, pay_pg_column(row, 7));
    copy(lane->halted, sizeof lane->halted, pay_pg_column(row, 8));
    copy(lane->updated_at, sizeof lane->updated_at, pay_pg_column(row, 9));
    lane->anchor_offset = pay_pg_column(row, 10) != NULL ? pay_pg_column_int8(row, 10) : -1;
    return true;
}

enum pay_exit lanes_read(struct tool *tool, struct pay_pg *pg, struct lanes *lanes) {
    struct pay_pg_args args;
    struct pay_error error;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, tool->config.request_topic);
    return pay_pg_exec(pg, pay_sql_tools_lanes, &args, take_lane, lanes, NULL, &error) == PAY_OK
               ? PAY_EXIT_OK
               : tool_error(tool, &error);
}

static enum pay_exit bounds(struct tool *tool, struct pay_kafka_reader *reader, const char *topic, int32_t partition,
                            int64_t *ret_start, int64_t *ret_end) {
    struct pay_error error;
    enum pay_move move =
        pay_kafka_reader_bounds(reader, topic, partition, TOOL_KAFKA_TIMEOUT_MS, ret_start, ret_end, &error);
    return move == PAY_OK ? PAY_EXIT_OK : tool_unavailable(tool, &error);
}

enum pay_exit lanes_reply_bounds(struct tool *tool, struct pay_kafka_reader *reader, int32_t partitions,
                                 struct lanes *lanes) {
    enum pay_exit status = PAY_EXIT_OK;
    for (int32_t p = 0; p < partitions && status == PAY_EXIT_OK; p++) {
        struct lane_view *lane = grow(lanes, p);
        status = bounds(tool, reader, tool->config.reply_topic, p, &lane->reply_start, &lane->reply_end);
    }
    return status;
}

enum pay_exit lanes_request_bounds(struct tool *tool, struct pay_kafka_reader *reader, int32_t partitions,
                                   struct lanes *lanes) {
    enum pay_exit status = PAY_EXIT_OK;
    for (int32_t p = 0; p < partitions && status == PAY_EXIT_OK; p++) {
        struct lane_view *lane = grow(lanes, p);
        status = bounds(tool, reader, tool->config.request_topic, p, &lane->request_start, &lane->request_end);
        lane->has_bounds = status == PAY_EXIT_OK;
    }
    return status;
}

static bool lags(const struct lane_view *lane) {
    return lane->has_row && lane->has_bounds && lane->processed < lane->request_end;
}

enum pay_exit lanes_ages(struct tool *tool, struct pay_kafka_reader *reader, struct lanes *lanes) {
    struct pay_error error;
    struct pay_kafka_read read;
    int32_t waiting = 0;
    for (int32_t p = 0; p < lanes->count; p++) {
        struct lane_view *lane = &lanes->all[p];
        int64_t from = lane->processed > lane->request_start ? lane->processed : lane->request_start;
        if (!lags(lane)) continue;
        if (pay_kafka_reader_seek(reader, tool->config.request_topic, p, from, &error) != PAY_OK)
            return tool_error(tool, &error);
        lane->age_unknown = true;
        waiting++;
    }
    for (int64_t until_ms = pay_clock_ms() + AGES_MS; waiting > 0 && pay_clock_ms() < until_ms;) {
        pay_kafka_reader_next(reader, 100, &read);
        if (read.kind == PAY_KAFKA_READ_NOTHING || read.record.partition < 0) continue;
        /* END: an open transaction, or control records only. TROUBLE: retention was faster, or the broker refuses. */
        struct lane_view *lane = &lanes->all[read.record.partition];
        lane->age_unknown = read.kind == PAY_KAFKA_READ_TROUBLE;
        if (read.kind == PAY_KAFKA_READ_RECORD) lane->first_unsettled_ms = read.record.timestamp_ms;
        pay_kafka_reader_stop(reader, tool->config.request_topic, read.record.partition);
        waiting--;
    }
    return PAY_EXIT_OK;
}

void lanes_free(struct lanes *lanes) {
    free(lanes->all);
    *lanes = (struct lanes){0};
}
