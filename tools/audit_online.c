#include "tools/audit_online.h"

#include "base/clock.h"
#include "sql/pay_sql.h"
#include "tools/audit_lookup.h"
#include "tools/audit_requests.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUERY_TIMEOUT_MS 3600000 /* sorting the books of a large ledger */
#define SILENCE_MS 60000         /* a broker that delivers nothing for so long isn't there */
#define ARENA_BYTES ((size_t)PAY_BATCH_RECORDS_MAX * (PAY_METADATA_MAX + PAY_TRACEPARENT_MAX))

struct online {
    struct audit_source source;
    struct audit *audit;
    struct pay_pg *pg;              /* in the snapshot */
    struct pay_kafka_reader *of[3]; /* by audit_log: read_committed for requests, read_uncommitted for the others */
    int32_t partition[3];           /* being read; -1: none */
    int64_t end[3];
    struct pay_batch *batch; /* requests whose rows are looked up together */
    char *arena;             /* metadata and traceparents of the batch's records */
    size_t arena_used;
    uint32_t at, slice_end; /* records of the slice not given out yet */
};

static const char *topic_of(const struct audit *audit, enum audit_log log) {
    const char *const topics[] = {audit->request_topic, audit->reply_topic, audit->dead_letter_topic};
    return topics[log];
}

/* ---- logs ---- */

static enum pay_exit log_seek(struct audit_source *source, enum audit_log log, int32_t partition, int64_t offset,
                              int64_t end) {
    struct online *online = (struct online *)source;
    struct pay_error error;
    online->partition[log] = partition;
    online->end[log] = end;
    if (pay_kafka_reader_seek(online->of[log], topic_of(online->audit, log), partition, offset, &error) == PAY_OK)
        return PAY_EXIT_OK;
    return tool_error(online->audit->tool, &error);
}

static void log_stop(struct audit_source *source, enum audit_log log) {
    struct online *online = (struct online *)source;
    if (online->partition[log] >= 0)
        pay_kafka_reader_stop(online->of[log], topic_of(online->audit, log), online->partition[log]);
    online->partition[log] = -1;
}

/* Trouble of the handle mends itself within the silence; trouble of a partition is an offset that isn't there any more. */
static enum pay_exit read_next(struct online *online, enum audit_log log, struct pay_kafka_read *ret_read) {
    struct tool *tool = online->audit->tool;
    struct pay_error last = {.move = PAY_AGAIN, .text = "the broker delivers nothing"};
    for (int64_t until_ms = pay_clock_ms() + SILENCE_MS; pay_clock_ms() < until_ms;) {
        pay_kafka_reader_next(online->of[log], 1000, ret_read);
        switch (ret_read->kind) {
        case PAY_KAFKA_READ_RECORD:
        case PAY_KAFKA_READ_END: return PAY_EXIT_OK;
        case PAY_KAFKA_READ_TROUBLE:
            last = ret_read->error;
            if (ret_read->record.partition >= 0 || last.move == PAY_REFUSE) return tool_unavailable(tool, &last);
            break;
        case PAY_KAFKA_READ_NOTHING: break;
        }
    }
    return tool_unavailable(tool, &last);
}

/* An END's offset is the position there. Of the request log the stable part may end before `end`: an open transaction. */
static enum pay_exit log_next(struct audit_source *source, enum audit_log log, struct pay_log_record *ret_record,
                              bool *ret_found) {
    struct online *online = (struct online *)source;
    struct pay_kafka_read read;
    *ret_found = false;
    for (;;) {
        enum pay_exit status = read_next(online, log, &read);
        if (status != PAY_EXIT_OK) return status;
        bool over = read.record.offset >= online->end[log];
        if (over || (read.kind == PAY_KAFKA_READ_END && log != AUDIT_REPLIES)) return PAY_EXIT_OK;
        if (read.kind != PAY_KAFKA_READ_RECORD) continue;
        *ret_record = read.record;
        *ret_found = true;
        return PAY_EXIT_OK;
    }
}

/* ---- requests with their rows, looked up in batches ---- */

static enum pay_exit requests_begin(struct audit_source *source, struct audit_requests *requests) {
    struct online *online = (struct online *)source;
    online->at = online->slice_end = 0;
    if (requests->audit->quick) return PAY_EXIT_OK;
    online->batch = malloc(sizeof *online->batch);
    online->arena = malloc(ARENA_BYTES);
    if (online->batch == NULL || online->arena == NULL) abort();
    pay_batch_reset(online->batch);
    return PAY_EXIT_OK;
}

static void requests_end(struct audit_source *source) {
    struct online *online = (struct online *)source;
    free(online->batch);
    free(online->arena);
    online->batch = NULL;
    online->arena = NULL;
}

static const char *keep(struct online *online, const char *bytes, size_t length) {
    if (bytes == NULL) return NULL;
    char *copy = online->arena + online->arena_used;
    memcpy(copy, bytes, length);
    online->arena_used += length;
    return copy;
}

static void add_to_batch(struct online *online, const struct audit_lane *lane, const struct pay_log_record *raw) {
    struct pay_record *record = pay_batch_next(online->batch);
    audit_decode(lane, raw, record);
    record->traceparent = keep(online, record->traceparent, record->traceparent_length);
    if (record->invalid == PAY_REASON_NONE)
        record->request.metadata = keep(online, record->request.metadata, record->request.metadata_length);
    pay_batch_commit_next(online->batch, true);
}

static enum pay_exit fill_batch(struct online *online, struct audit_requests *requests) {
    struct pay_log_record raw;
    bool found = true;
    pay_batch_reset(online->batch);
    online->arena_used = 0;
    while (found && !pay_batch_full(online->batch)) {
        enum pay_exit status = audit_requests_read(requests, &raw, &found);
        if (status != PAY_EXIT_OK) return status;
        if (found) add_to_batch(online, requests->lane, &raw);
    }
    return PAY_EXIT_OK;
}

/* The next slice with all that is on file about it; a slice with too many known decisions is halved. */
static enum pay_exit next_slice(struct online *online, struct audit_requests *requests) {
    struct pay_error error;
    struct pay_batch *batch = online->batch;
    if (batch->end == batch->count) {
        enum pay_exit status = fill_batch(online, requests);
        if (status != PAY_EXIT_OK) return status;
    }
    if (!pay_batch_slice(batch, PAY_BATCH_RECORDS_MAX)) return PAY_EXIT_OK; /* at == slice_end: nothing left */
    for (;;) {
        pay_batch_prepare(batch);
        enum pay_move move = audit_look_up(online->pg, &requests->lane->view, batch, &error);
        if (move == PAY_OK) break;
        uint32_t count = batch->end - batch->begin;
        if (move != PAY_SPLIT || count == 1) return tool_error(online->audit->tool, &error);
        pay_batch_shrink(batch, count / 2);
    }
    online->at = batch->begin;
    online->slice_end = batch->end;
    return PAY_EXIT_OK;
}

static enum pay_exit requests_next(struct audit_source *source, struct audit_requests *requests,
                                   struct audit_request *ret_request, bool *ret_found) {
    struct online *online = (struct online *)source;
    struct pay_log_record raw;
    enum pay_exit status = PAY_EXIT_OK;
    if (requests->audit->quick) {
        status = audit_requests_read(requests, &raw, ret_found);
        *ret_request = (struct audit_request){.offset = *ret_found ? raw.offset : -1};
        return status;
    }
    if (online->at == online->slice_end) status = next_slice(online, requests);
    *ret_found = status == PAY_EXIT_OK && online->at < online->slice_end;
    if (!*ret_found) return status;
    const struct pay_batch *batch = online->batch;
    uint32_t index = online->at++, order = batch->order_of[index];
    *ret_request = (struct audit_request){.offset = batch->records[index].position.offset,
                                          .record = &batch->records[index],
                                          .known = order != UINT32_MAX ? batch->orders[order].known : NULL,
                                          .refusal = batch->refusal_of[index]};
    return PAY_EXIT_OK;
}

/* ---- rows ---- */

struct handing {
    audit_row_fn each_row;
    audit_event_fn each_event;
    void *argument;
    size_t columns;
};

static bool hand_row(void *argument, const struct pay_pg_row *row) {
    const struct handing *handing = argument;
    struct audit_row out = {.count = handing->columns};
    for (size_t i = 0; i < out.count; i++) out.columns[i] = pay_pg_column(row, (int)i);
    return handing->each_row(handing->argument, &out);
}

static enum pay_exit rows(struct audit_source *source, enum audit_table table, audit_row_fn each, void *argument) {
    static const char *const statements[AUDIT_TABLE_COUNT] = {
        [AUDIT_PAYMENTS] = pay_sql_tools_dump_payments,
        [AUDIT_REFUSALS] = pay_sql_tools_dump_refusals,
        [AUDIT_ACCOUNTS] = pay_sql_tools_dump_accounts,
        [AUDIT_ADJUSTMENTS] = pay_sql_tools_dump_adjustments,
    };
    struct online *online = (struct online *)source;
    struct handing handing = {.each_row = each, .argument = argument, .columns = audit_table_columns(table)};
    struct pay_error error;
    if (pay_pg_exec(online->pg, statements[table], NULL, hand_row, &handing, NULL, &error) == PAY_OK)
        return PAY_EXIT_OK;
    return tool_error(online->audit->tool, &error);
}

static bool hand_event(void *argument, const struct pay_pg_row *row) {
    const struct handing *handing = argument;
    const struct book_event event = {
        .tenant = pay_pg_column(row, 0),
        .account_id = pay_pg_column(row, 1),
        .version = pay_pg_column_int8(row, 2),
        .kind = pay_pg_column(row, 3),
        .amount_minor = pay_pg_column_int8(row, 4),
        .has_balance = pay_pg_column(row, 5) != NULL,
        .balance_minor = pay_pg_column_int8(row, 5),
        .currency = pay_pg_column(row, 6),
        .reason = pay_pg_column(row, 7),
        .id = pay_pg_column(row, 8),
        .position = {pay_pg_column_int8(row, 9), (int32_t)pay_pg_column_int8(row, 10), pay_pg_column_int8(row, 11)}};
    return handing->each_event(handing->argument, &event);
}

static enum pay_exit events(struct audit_source *source, audit_event_fn each, void *argument) {
    struct online *online = (struct online *)source;
    struct handing handing = {.each_event = each, .argument = argument};
    struct pay_error error;
    if (pay_pg_exec(online->pg, pay_sql_tools_audit_books, NULL, hand_event, &handing, NULL, &error) == PAY_OK)
        return PAY_EXIT_OK;
    return tool_error(online->audit->tool, &error);
}

struct counting {
    const struct audit *audit;
    struct audit_counts *by_lane;
};

static bool take_counts(void *argument, const struct pay_pg_row *row) {
    struct counting *counting = argument;
    for (int32_t i = 0; i < counting->audit->lane_count; i++)
        if (counting->audit->lanes[i].view.partition == pay_pg_column_int8(row, 0))
            counting->by_lane[i] = (struct audit_counts){pay_pg_column_int8(row, 1), pay_pg_column_int8(row, 2),
                                                         pay_pg_column_int8(row, 3), pay_pg_column_int8(row, 4)};
    return true;
}

static enum pay_exit counts(struct audit_source *source, const struct audit *audit, struct audit_counts *by_lane) {
    struct online *online = (struct online *)source;
    struct pay_pg_array arrays[4] = {{0}};
    struct counting counting = {audit, by_lane};
    struct pay_pg_args args;
    struct pay_error error;
    pay_pg_array_begin(&arrays[0], PAY_PG_INT4);
    for (int i = 1; i < 4; i++) pay_pg_array_begin(&arrays[i], PAY_PG_INT8);
    for (int32_t i = 0; i < audit->lane_count; i++) {
        const struct lane_view *view = &audit->lanes[i].view;
        pay_pg_array_int4(&arrays[0], view->partition);
        pay_pg_array_int8(&arrays[1], view->generation);
        pay_pg_array_int8(&arrays[2], view->request_start);
        pay_pg_array_int8(&arrays[3], view->processed);
    }
    pay_pg_args_begin(&args);
    for (int i = 0; i < 4; i++) pay_pg_args_array(&args, &arrays[i]);
    enum pay_move move =
        pay_pg_exec(online->pg, pay_sql_tools_audit_counts, &args, take_counts, &counting, NULL, &error);
    for (int i = 0; i < 4; i++) pay_pg_array_free(&arrays[i]);
    return move == PAY_OK ? PAY_EXIT_OK : tool_error(audit->tool, &error);
}

struct pay_pg *audit_online_database(struct audit *audit) {
    return ((struct online *)audit->source)->pg;
}

/* ---- beginning and end ---- */

static bool settled_and_answered(const struct lanes *lanes) {
    for (int32_t p = 0; p < lanes->count; p++) {
        const struct lane_view *lane = &lanes->all[p];
        if (lane->has_bounds && lane->request_end > lane->request_start &&
            (!lane->has_row || lane->processed < lane->request_end || lane->replied_offset <= lane->anchor_offset))
            return false;
    }
    return true;
}

static enum pay_exit wait_until_quiet(struct online *online, int32_t partitions, int64_t seconds) {
    struct tool *tool = online->audit->tool;
    int64_t until_ms = pay_clock_ms() + seconds * 1000;
    for (;;) {
        struct lanes lanes = {0};
        enum pay_exit status = lanes_request_bounds(tool, online->of[AUDIT_REPLIES], partitions, &lanes);
        if (status == PAY_EXIT_OK) status = lanes_read(tool, online->pg, &lanes);
        bool quiet = settled_and_answered(&lanes);
        lanes_free(&lanes);
        if (status != PAY_EXIT_OK || quiet) return status;
        if (pay_clock_ms() >= until_ms) {
            tool_note(tool, "not everything was settled and answered within %" PRId64 " s; going on", seconds);
            return PAY_EXIT_OK;
        }
        nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    }
}

static enum pay_exit open_snapshot(struct online *online) {
    struct audit *audit = online->audit;
    struct pay_error error;
    bool found;
    enum pay_move move = pay_pg_begin(online->pg, true, &error);
    if (move == PAY_OK)
        move = pay_pg_script(online->pg,
                             "SET LOCAL idle_in_transaction_session_timeout = 0; "
                             "SET LOCAL work_mem = '128MB'; SET LOCAL jit = off",
                             &error);
    if (move == PAY_OK)
        move = pay_pg_exec_value(online->pg, "SELECT ledger_id::text FROM paybuf.ledger", NULL, audit->ledger_id,
                                 sizeof audit->ledger_id, &found, &error);
    pay_pg_set_call_timeout(online->pg, QUERY_TIMEOUT_MS);
    audit->taken_at_us = pay_wall_clock_us();
    return move == PAY_OK ? PAY_EXIT_OK : tool_error(audit->tool, &error);
}

/* After the replies' ends: a reply's dead letter was acknowledged before it. */
static enum pay_exit letters_bounds(struct online *online) {
    struct audit *audit = online->audit;
    struct pay_error error;
    enum pay_exit status = tool_partitions(audit->tool, audit->dead_letter_topic, &audit->letters_partitions);
    audit->letters_bounds = calloc((size_t)audit->letters_partitions + 1, 2 * sizeof *audit->letters_bounds);
    if (audit->letters_bounds == NULL) abort();
    for (int32_t p = 0; p < audit->letters_partitions && status == PAY_EXIT_OK; p++)
        if (pay_kafka_reader_bounds(online->of[AUDIT_LETTERS], audit->dead_letter_topic, p, TOOL_KAFKA_TIMEOUT_MS,
                                    &audit->letters_bounds[2 * p], &audit->letters_bounds[2 * p + 1], &error) != PAY_OK)
            status = tool_unavailable(audit->tool, &error);
    return status;
}

static void close_online(struct audit_source *source) {
    struct online *online = (struct online *)source;
    requests_end(source);
    pay_kafka_reader_close(online->of[AUDIT_REQUESTS]);
    pay_kafka_reader_close(online->of[AUDIT_REPLIES]);
    pay_kafka_reader_close(online->of[AUDIT_LETTERS]);
    pay_pg_close(online->pg);
    free(online);
}

static const struct audit_source_ops online_ops = {.log_seek = log_seek,
                                                   .log_next = log_next,
                                                   .log_stop = log_stop,
                                                   .requests_begin = requests_begin,
                                                   .requests_next = requests_next,
                                                   .requests_end = requests_end,
                                                   .rows = rows,
                                                   .events = events,
                                                   .counts = counts,
                                                   .close = close_online};

static void name_topics(struct audit *audit) {
    const struct pay_config *config = &audit->tool->config;
    snprintf(audit->request_topic, sizeof audit->request_topic, "%s", config->request_topic);
    snprintf(audit->reply_topic, sizeof audit->reply_topic, "%s", config->reply_topic);
    snprintf(audit->dead_letter_topic, sizeof audit->dead_letter_topic, "%s", config->dead_letter_topic);
}

enum pay_exit audit_online_open(struct audit *audit, const struct audit_scope *scope) {
    struct lanes lanes = {0};
    int32_t partitions = 0;
    struct tool *tool = audit->tool;
    struct online *online = calloc(1, sizeof *online);
    if (online == NULL) abort();
    *online = (struct online){.source = {&online_ops}, .audit = audit, .partition = {-1, -1, -1}};
    audit->source = &online->source;
    name_topics(audit);
    int32_t replies = 0;
    enum pay_exit status = tool_partitions(tool, audit->request_topic, &partitions);
    if (status == PAY_EXIT_OK) status = tool_partitions(tool, audit->reply_topic, &replies);
    if (status == PAY_EXIT_OK) status = tool_open_database(tool, PAY_PG_READER, &online->pg);
    for (int log = 0; log < AUDIT_LOG_COUNT && status == PAY_EXIT_OK; log++)
        status = tool_open_reader(tool, log == AUDIT_REQUESTS, &online->of[log]);
    if (status == PAY_EXIT_OK && scope->wait_seconds > 0)
        status = wait_until_quiet(online, partitions, scope->wait_seconds);
    if (status == PAY_EXIT_OK) status = lanes_reply_bounds(tool, online->of[AUDIT_REPLIES], partitions, &lanes);
    if (status == PAY_EXIT_OK) status = open_snapshot(online);
    if (status == PAY_EXIT_OK) status = lanes_read(tool, online->pg, &lanes);
    if (status == PAY_EXIT_OK) status = lanes_request_bounds(tool, online->of[AUDIT_REPLIES], partitions, &lanes);
    if (status == PAY_EXIT_OK) status = letters_bounds(online);
    if (status == PAY_EXIT_OK) status = audit_take_lanes(audit, &lanes, scope);
    lanes_free(&lanes);
    return status;
}
