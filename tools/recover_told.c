#include "tools/recover.h"

#include "base/clock.h"
#include "sql/pay_sql.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_AT_ONCE 5000
#define CLOCK_UNKNOWN_MS 10000 /* where nothing that was told says how the clocks differ */
#define CLOCK_JITTER_MS 1000

enum pay_exit recover_exec(struct recover *recover, const char *sql, const struct pay_pg_args *args, pay_pg_row_fn each,
                           void *argument) {
    struct pay_error error;
    return pay_pg_exec(recover->pg, sql, args, each, argument, NULL, &error) == PAY_OK
               ? PAY_EXIT_OK
               : tool_error(recover->tool, &error);
}

enum pay_exit recover_read(struct recover *recover, struct pay_kafka_reader *reader, struct pay_kafka_read *ret_read) {
    struct pay_error last = {.move = PAY_AGAIN, .text = "the broker delivers nothing"};
    for (int64_t until_ms = pay_clock_ms() + RECOVER_SILENCE_MS; pay_clock_ms() < until_ms;) {
        pay_kafka_reader_next(reader, 1000, ret_read);
        if (ret_read->kind == PAY_KAFKA_READ_RECORD || ret_read->kind == PAY_KAFKA_READ_END) return PAY_EXIT_OK;
        if (ret_read->kind != PAY_KAFKA_READ_TROUBLE) continue;
        last = ret_read->error;
        if (ret_read->record.partition >= 0 || last.move == PAY_REFUSE) break;
    }
    return tool_unavailable(recover->tool, &last);
}

/* ---- looking ---- */

static bool take_ledger(void *argument, const struct pay_pg_row *row) {
    struct recover *recover = argument;
    snprintf(recover->ledger_id, sizeof recover->ledger_id, "%s", pay_pg_column(row, 0));
    recover->agreed = strcmp(pay_pg_column(row, 1), pay_pg_column(row, 2)) == 0;
    recover->halted = pay_pg_column_bool(row, 3);
    return true;
}

static enum pay_exit take_lanes(struct recover *recover, const struct lanes *lanes) {
    free(recover->lanes);
    recover->lanes = calloc((size_t)lanes->count + 1, sizeof *recover->lanes);
    if (recover->lanes == NULL) abort();
    recover->lane_count = lanes->count;
    for (int32_t p = 0; p < lanes->count; p++) {
        struct recover_lane *lane = &recover->lanes[p];
        lane->view = lanes->all[p];
        if (!lane->view.has_row)
            return tool_fail(recover->tool, PAY_EXIT_CONFIG,
                             "partition %" PRId32
                             " has no row in the database, which is older than the topic's growth; "
                             "run paybuf init, which makes it, and then this again",
                             p);
        lane->generation = lane->view.generation;
        lane->last_told = -1;
        lane->reply_position = lane->view.reply_position;
        pay_reader_start_at(&lane->rule, lane->view.processed);
    }
    return PAY_EXIT_OK;
}

enum pay_exit recover_look(struct recover *recover) {
    struct tool *tool = recover->tool;
    struct lanes lanes = {0};
    int32_t partitions = 0, reply_partitions = 0;
    enum pay_exit status = tool_partitions(tool, tool->config.request_topic, &partitions);
    if (status == PAY_EXIT_OK) status = tool_partitions(tool, tool->config.reply_topic, &reply_partitions);
    if (status == PAY_EXIT_OK && reply_partitions < partitions) partitions = reply_partitions;
    if (status == PAY_EXIT_OK && recover->pg == NULL) status = tool_open_database(tool, PAY_PG_OWNER, &recover->pg);
    if (status == PAY_EXIT_OK && recover->requests == NULL) status = tool_open_reader(tool, true, &recover->requests);
    if (status == PAY_EXIT_OK && recover->replies == NULL) status = tool_open_reader(tool, false, &recover->replies);
    if (status == PAY_EXIT_OK) pay_pg_set_call_timeout(recover->pg, RECOVER_QUERY_MS);
    if (status == PAY_EXIT_OK) status = lanes_reply_bounds(tool, recover->replies, partitions, &lanes);
    if (status == PAY_EXIT_OK) status = recover_exec(recover, pay_sql_read_ledger, NULL, take_ledger, recover);
    if (status == PAY_EXIT_OK && recover->ledger_id[0] == '\0')
        status = tool_fail(tool, PAY_EXIT_CONFIG, "this database has no ledger yet: run paybuf init");
    if (status == PAY_EXIT_OK) status = lanes_read(tool, recover->pg, &lanes);
    if (status == PAY_EXIT_OK) status = lanes_request_bounds(tool, recover->replies, partitions, &lanes);
    if (status == PAY_EXIT_OK) status = take_lanes(recover, &lanes);
    lanes_free(&lanes);
    return status;
}

void recover_close(struct recover *recover) {
    free(recover->lanes);
    pay_kafka_reader_close(recover->requests);
    pay_kafka_reader_close(recover->replies);
    pay_pg_close(recover->pg);
}

/* ---- gathering: rows on their way into the temporary tables ---- */

static struct { struct pay_pg_array told[15], refused[6], cited[6], tail[10]; } out;

#define TEXT PAY_PG_TEXT
#define INT4 PAY_PG_INT4
#define INT8 PAY_PG_INT8
static const enum pay_pg_element told_elements[] = {TEXT, TEXT, INT4, TEXT, TEXT, INT8, TEXT,       TEXT,
                                                    INT8, INT8, INT8, INT4, INT8, INT8, PAY_PG_BOOL};
static const enum pay_pg_element refused_elements[] = {INT8, INT4, INT8, TEXT, TEXT, INT8};
static const enum pay_pg_element cited_elements[] = {TEXT, TEXT, INT8, INT4, INT8, TEXT};
static const enum pay_pg_element tail_elements[] = {TEXT, TEXT, INT4, TEXT, TEXT, INT8, INT8, INT4, INT8, INT8};

enum pay_exit recover_flush(struct recover *recover, const char *sql, struct pay_pg_array *arrays,
                            const enum pay_pg_element *elements, size_t count, uint32_t at_least) {
    struct pay_pg_args args;
    enum pay_exit status = PAY_EXIT_OK;
    if (arrays[0].count < at_least) return status;
    if (arrays[0].count > 0) {
        pay_pg_args_begin(&args);
        for (size_t i = 0; i < count; i++) pay_pg_args_array(&args, &arrays[i]);
        status = recover_exec(recover, sql, &args, NULL, NULL);
    }
    for (size_t i = 0; i < count; i++) pay_pg_array_begin(&arrays[i], elements[i]);
    return status;
}

static enum pay_exit flush_all(struct recover *recover, uint32_t at_least) {
    enum pay_exit status = recover_flush(recover, pay_sql_recover_add_told, out.told, told_elements, 15, at_least);
    if (status == PAY_EXIT_OK)
        status = recover_flush(recover, pay_sql_recover_add_refused, out.refused, refused_elements, 6, at_least);
    if (status == PAY_EXIT_OK)
        status = recover_flush(recover, pay_sql_recover_add_cited, out.cited, cited_elements, 6, at_least);
    if (status == PAY_EXIT_OK)
        status = recover_flush(recover, pay_sql_recover_add_tail, out.tail, tail_elements, 10, at_least);
    return status;
}

static void add_told(const struct pay_reply *reply, const struct pay_position *at, bool first_hand) {
    struct pay_pg_array *a = out.told;
    pay_pg_array_text(&a[0], reply->tenant);
    pay_pg_array_text(&a[1], reply->order_id);
    pay_pg_array_int4(&a[2], reply->attempt);
    pay_pg_array_text(&a[3], reply->account_id);
    pay_pg_array_text(&a[4], reply->currency);
    pay_pg_array_int8(&a[5], reply->amount_minor);
    pay_pg_array_text(&a[6], pay_outcome_name(reply->outcome));
    pay_pg_array_text(&a[7], pay_reason_name(reply->reason));
    pay_pg_array_optional_int8(&a[8], reply->has_balance, reply->balance_after_minor);
    pay_pg_array_optional_int8(&a[9], reply->has_balance, reply->account_version);
    pay_pg_array_int8(&a[10], at->generation);
    pay_pg_array_int4(&a[11], at->partition);
    pay_pg_array_int8(&a[12], at->offset);
    pay_pg_array_int8(&a[13], reply->decided_at_us);
    pay_pg_array_bool(&a[14], first_hand);
}

static void add_refused(const struct pay_reply *reply) {
    pay_pg_array_int8(&out.refused[0], reply->position.generation);
    pay_pg_array_int4(&out.refused[1], reply->position.partition);
    pay_pg_array_int8(&out.refused[2], reply->position.offset);
    pay_pg_array_text(&out.refused[3], pay_reason_name(reply->reason));
    pay_pg_array_text(&out.refused[4], pay_field_name(reply->field));
    pay_pg_array_int8(&out.refused[5], reply->decided_at_us);
}

static void add_cited(const struct pay_reply *reply) {
    char position[PAY_POSITION_TEXT_MAX];
    pay_position_format(&reply->position, position);
    pay_pg_array_text(&out.cited[0], reply->tenant);
    pay_pg_array_text(&out.cited[1], reply->order_id);
    pay_pg_array_int8(&out.cited[2], reply->original.generation);
    pay_pg_array_int4(&out.cited[3], reply->original.partition);
    pay_pg_array_int8(&out.cited[4], reply->original.offset);
    pay_pg_array_text(&out.cited[5], position);
}

/* ---- gathering: replies beyond P ---- */

/* A decision at this position is older than the database: its row is there. */
static bool is_settled(const struct recover *recover, const struct pay_position *at) {
    if (at->partition >= recover->lane_count) return false;
    const struct lane_view *view = &recover->lanes[at->partition].view;
    return at->generation < view->generation || (at->generation == view->generation && at->offset < view->processed);
}

static void take_decision(struct recover *recover, const struct pay_log_record *record, const struct pay_reply *reply,
                          struct recover_lane *lane) {
    lane->paid += !reply->duplicate && reply->outcome == PAY_PAID;
    lane->declined += !reply->duplicate && reply->outcome == PAY_DECLINED;
    lane->duplicates += reply->duplicate;
    if (reply->duplicate) {
        if (reply->has_original && !is_settled(recover, &reply->original)) add_told(reply, &reply->original, false);
        return;
    }
    add_told(reply, &reply->position, true);
    int64_t ahead_ms = record->timestamp_ms - reply->decided_at_us / 1000;
    if (ahead_ms < recover->clock_ahead_ms) recover->clock_ahead_ms = ahead_ms;
}

static void contradict(struct recover *recover, const char *kind, const struct recover_lane *lane, int64_t offset,
                       const char *text) {
    char where[PAY_POSITION_TEXT_MAX];
    const struct pay_position position = {lane->generation, lane->view.partition, offset};
    pay_position_format(&position, where);
    difference_add(&recover->contradictions, kind, where, "%s", text);
}

static void take_reply(struct recover *recover, struct recover_lane *lane, const struct pay_log_record *record,
                       const struct pay_reply_headers *headers) {
    struct pay_reply reply;
    const struct pay_position position = {headers->log_generation, record->partition, headers->source_offset};
    lane->replies++;
    lane->last_told = headers->source_offset;
    lane->reply_position = record->offset + 1;
    bool keyed = record->key != NULL && record->key_length <= PAY_ID_MAX;
    snprintf(lane->last_key, sizeof lane->last_key, "%.*s", keyed ? (int)record->key_length : 0,
             keyed ? (const char *)record->key : "");
    if (!pay_reply_parse(record->value, record->value_length, &reply) ||
        !pay_position_equal(&reply.position, &position)) {
        contradict(recover, "reply_unreadable", lane, headers->source_offset,
                   "a reply of ours by its headers, and its value can't be read or says another position");
        return;
    }
    switch (reply.outcome) {
    case PAY_PAID:
    case PAY_DECLINED: take_decision(recover, record, &reply, lane); break;
    case PAY_CONFLICT:
        lane->conflicts++;
        if (reply.has_original && !is_settled(recover, &reply.original)) add_cited(&reply);
        break;
    case PAY_INVALID:
        lane->invalid++;
        add_refused(&reply);
        break;
    case PAY_OUTCOME_COUNT: break;
    }
}

static enum pay_exit seek_reply(struct recover *recover, const struct recover_lane *lane, int64_t offset) {
    struct pay_error error;
    return pay_kafka_reader_seek(recover->replies, recover->tool->config.reply_topic, lane->view.partition, offset,
                                 &error) == PAY_OK
               ? PAY_EXIT_OK
               : tool_error(recover->tool, &error);
}

/* What came behind the gap is read again, now that it is closed or given up. */
static enum pay_exit read_behind_gap(struct recover *recover, struct recover_lane *lane) {
    lane->gap = false;
    return seek_reply(recover, lane, lane->gap_offset);
}

/* Nothing in the log closes it. */
static enum pay_exit tell_gap(struct recover *recover, struct recover_lane *lane) {
    char first[PAY_POSITION_TEXT_MAX], text[300];
    const struct pay_position position = {lane->generation, lane->view.partition, lane->rule.next};
    pay_position_format(&position, first);
    snprintf(text, sizeof text,
             "the replies from %s up to offset %" PRId64 " are missing before reply offset %" PRId64
             ": what they told can't be known. Next: restore a backup whose P of partition %" PRId32 " is %" PRId64
             " or more, then paybuf recover database",
             first, lane->gap_until - 1, lane->gap_offset, lane->view.partition, lane->gap_until);
    contradict(recover, "gap", lane, lane->rule.next, text);
    pay_reader_start_at(&lane->rule, lane->gap_until);
    return read_behind_gap(recover, lane);
}

/* By the reader's rule from P on. */
static enum pay_exit judge_reply(struct recover *recover, struct recover_lane *lane,
                                 const struct pay_log_record *record, const struct pay_reply_headers *headers) {
    switch (pay_reader_take(&lane->rule, headers->source_offset, headers->covers_from)) {
    case PAY_READER_DROP: return PAY_EXIT_OK;
    case PAY_READER_GAP:
        if (lane->gap) return PAY_EXIT_OK;
        lane->gap = true;
        lane->gap_offset = record->offset;
        lane->gap_until = headers->covers_from;
        return PAY_EXIT_OK;
    case PAY_READER_TAKE: break;
    }
    take_reply(recover, lane, record, headers);
    return lane->gap && lane->rule.next >= lane->gap_until ? read_behind_gap(recover, lane) : PAY_EXIT_OK;
}

static enum pay_exit take_record(struct recover *recover, struct recover_lane *lane,
                                 const struct pay_log_record *record) {
    struct pay_reply_headers headers;
    bool first = record->offset >= lane->read_until;
    if (first) lane->read_until = record->offset + 1;
    if (!pay_reply_headers_read(record, &headers)) return PAY_EXIT_OK;
    if (strcmp(headers.ledger_id, recover->ledger_id) != 0) {
        recover->foreign += first;
        return PAY_EXIT_OK;
    }
    if (!pay_reply_headers_possible(&headers)) {
        if (first)
            contradict(
                recover, "reply_unreadable", lane, headers.source_offset,
                "a reply of ours by its headers, which begins behind itself or has no place for another one behind it");
        return PAY_EXIT_OK;
    }
    if (headers.log_generation < lane->generation) return PAY_EXIT_OK;
    if (headers.log_generation > lane->generation) { /* a loss was accepted after the backup was made */
        if (lane->gap)
            return tell_gap(recover, lane); /* nothing of the older one comes any more; this one comes again */
        lane->generation = headers.log_generation;
        pay_reader_start_at(&lane->rule, 0);
    }
    return judge_reply(recover, lane, record, &headers);
}

static enum pay_exit gather_replies(struct recover *recover, struct recover_lane *lane) {
    const struct lane_view *view = &lane->view;
    int64_t from = view->reply_position > view->reply_start ? view->reply_position : view->reply_start;
    struct pay_kafka_read read;
    if (from >= view->reply_end) return PAY_EXIT_OK;
    enum pay_exit status = seek_reply(recover, lane, from);
    for (bool more = true; more && status == PAY_EXIT_OK;) {
        status = recover_read(recover, recover->replies, &read);
        if (status != PAY_EXIT_OK) return status;
        int64_t next = read.record.offset + 1; /* an end's is the log's */
        if (read.kind == PAY_KAFKA_READ_RECORD && read.record.offset < view->reply_end) {
            bool gap = lane->gap;
            status = take_record(recover, lane, &read.record);
            if (gap && !lane->gap) next = lane->gap_offset;
        }
        more = next < view->reply_end;
        if (!more && lane->gap && status == PAY_EXIT_OK) {
            status = tell_gap(recover, lane);
            more = true;
        }
        if (status == PAY_EXIT_OK) status = flush_all(recover, ROWS_AT_ONCE);
        progress_show(&recover->progress, recover->told + lane->replies);
    }
    pay_kafka_reader_stop(recover->replies, recover->tool->config.reply_topic, view->partition);
    recover->told += lane->replies;
    return status;
}

/* ---- gathering: the anchor, and requests behind the last told one ---- */

static int64_t settled_until(const struct recover_lane *lane) {
    return lane->last_told >= 0 ? lane->last_told + 1 : lane->view.processed;
}

static void take_anchor(struct recover *recover, struct recover_lane *lane, const struct pay_log_record *record) {
    bool same = record->key != NULL ? record->key_length == strlen(lane->last_key) &&
                                          memcmp(record->key, lane->last_key, record->key_length) == 0
                                    : lane->last_key[0] == '\0';
    if (!same && lane->last_key[0] != '\0')
        contradict(recover, "other_request", lane, lane->last_told,
                   "the request log has another order at the last position that was told: is it another log?");
    lane->anchor =
        (struct pay_anchor){true, record->offset, record->timestamp_ms,
                            pay_record_crc(record->key, record->key_length, record->value, record->value_length)};
}

static void take_tail(struct recover *recover, struct recover_lane *lane, const struct pay_log_record *record) {
    struct pay_record_bytes bytes;
    static struct pay_record decoded;
    pay_record_bytes_of(record, &bytes);
    pay_record_decode(&bytes, &decoded);
    lane->tail++;
    if (decoded.invalid != PAY_REASON_NONE) return;
    const struct pay_request *request = &decoded.request;
    struct pay_pg_array *a = out.tail;
    pay_pg_array_text(&a[0], request->tenant);
    pay_pg_array_text(&a[1], request->order_id);
    pay_pg_array_int4(&a[2], request->attempt);
    pay_pg_array_text(&a[3], request->account_id);
    pay_pg_array_text(&a[4], request->currency);
    pay_pg_array_int8(&a[5], request->amount_minor);
    pay_pg_array_int8(&a[6], lane->generation);
    pay_pg_array_int4(&a[7], lane->view.partition);
    pay_pg_array_int8(&a[8], record->offset);
    pay_pg_array_int8(&a[9], record->timestamp_ms - recover->clock_ahead_ms - CLOCK_JITTER_MS);
}

/* No lane has more than PAY_LANE_UNREPLIED_MAX requests that are decided and not answered. */
static enum pay_exit gather_requests(struct recover *recover, struct recover_lane *lane) {
    const char *topic = recover->tool->config.request_topic;
    int64_t from = lane->last_told >= 0 ? lane->last_told : lane->view.processed;
    struct pay_kafka_read read;
    struct pay_error error;
    if (from < lane->view.request_start) from = lane->view.request_start;
    if (from >= lane->view.request_end) return PAY_EXIT_OK;
    if (pay_kafka_reader_seek(recover->requests, topic, lane->view.partition, from, &error) != PAY_OK)
        return tool_error(recover->tool, &error);
    while (lane->tail < PAY_LANE_UNREPLIED_MAX) {
        enum pay_exit status = recover_read(recover, recover->requests, &read);
        if (status != PAY_EXIT_OK) return status;
        if (read.kind == PAY_KAFKA_READ_END || read.record.offset >= lane->view.request_end) break;
        if (read.record.offset == lane->last_told) take_anchor(recover, lane, &read.record);
        if (read.record.offset >= settled_until(lane)) take_tail(recover, lane, &read.record);
        status = flush_all(recover, ROWS_AT_ONCE);
        if (status != PAY_EXIT_OK) return status;
    }
    pay_kafka_reader_stop(recover->requests, topic, lane->view.partition);
    return PAY_EXIT_OK;
}

static int64_t replies_to_read(const struct recover *recover) {
    int64_t count = 0;
    for (int32_t p = 0; p < recover->lane_count; p++) {
        const struct lane_view *view = &recover->lanes[p].view;
        int64_t from = view->reply_position > view->reply_start ? view->reply_position : view->reply_start;
        if (view->reply_end > from) count += view->reply_end - from;
    }
    return count;
}

enum pay_exit recover_gather(struct recover *recover) {
    struct pay_error error;
    enum pay_exit status = PAY_EXIT_OK;
    recover->told = recover->foreign = 0;
    recover->clock_ahead_ms = INT64_MAX;
    recover->contradictions = (struct differences){0};
    if (pay_pg_script(recover->pg, "SET work_mem = '128MB'; SET jit = off", &error) != PAY_OK ||
        pay_pg_script(recover->pg, pay_sql_recover_stage, &error) != PAY_OK)
        return tool_error(recover->tool, &error);
    status = flush_all(recover, 0);
    progress_begin(&recover->progress, "replies", replies_to_read(recover));
    for (int32_t p = 0; p < recover->lane_count && status == PAY_EXIT_OK; p++)
        status = gather_replies(recover, &recover->lanes[p]);
    if (recover->clock_ahead_ms == INT64_MAX) recover->clock_ahead_ms = CLOCK_UNKNOWN_MS;
    for (int32_t p = 0; p < recover->lane_count && status == PAY_EXIT_OK && recover->told > 0; p++)
        status = gather_requests(recover, &recover->lanes[p]);
    if (status == PAY_EXIT_OK) status = flush_all(recover, 1);
    progress_end(&recover->progress);
    return status;
}

/* ---- looking again ---- */

static enum pay_exit look_at_new_replies(struct recover *recover, struct recover_lane *lane, int64_t end) {
    const char *topic = recover->tool->config.reply_topic;
    struct pay_kafka_read read;
    struct pay_reply_headers headers;
    struct pay_error error;
    if (end <= lane->view.reply_end) return PAY_EXIT_OK;
    if (pay_kafka_reader_seek(recover->replies, topic, lane->view.partition, lane->view.reply_end, &error) != PAY_OK)
        return tool_error(recover->tool, &error);
    for (bool more = true; more;) {
        enum pay_exit status = recover_read(recover, recover->replies, &read);
        if (status != PAY_EXIT_OK) return status;
        more = read.record.offset < end;
        if (more && read.kind == PAY_KAFKA_READ_RECORD && pay_reply_headers_read(&read.record, &headers) &&
            headers.log_generation == lane->generation && headers.source_offset >= settled_until(lane))
            return tool_fail(recover->tool, PAY_EXIT_TEMPORARY,
                             "partition %" PRId32 ": another reply was published while this ran, so a worker still "
                             "talks to a database that is lost; stop it, and run this again",
                             lane->view.partition);
        more = more && read.record.offset + 1 < end;
    }
    pay_kafka_reader_stop(recover->replies, topic, lane->view.partition);
    return PAY_EXIT_OK;
}

enum pay_exit recover_look_again(struct recover *recover) {
    struct lanes lanes = {0};
    enum pay_exit status = lanes_reply_bounds(recover->tool, recover->replies, recover->lane_count, &lanes);
    for (int32_t p = 0; p < recover->lane_count && status == PAY_EXIT_OK; p++)
        status = look_at_new_replies(recover, &recover->lanes[p], lanes.all[p].reply_end);
    lanes_free(&lanes);
    return status;
}
