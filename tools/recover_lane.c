#include "tools/recover_lane.h"

#include "sql/pay_sql.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the row ---- */

struct reading {
    struct lane_case *lane;
    bool found, strange;
};

static bool take_row(void *argument, const struct pay_pg_row *row) {
    struct reading *reading = argument;
    struct lane_case *lane = reading->lane;
    const char *halted = pay_pg_column(row, 9);
    reading->found = true;
    lane->row = (struct pay_lane_row){.partition = lane->partition,
                                      .log_generation = pay_pg_column_int8(row, 0),
                                      .next_offset = pay_pg_column_int8(row, 1),
                                      .replied_offset = pay_pg_column_int8(row, 2),
                                      .reply_position = pay_pg_column_int8(row, 3),
                                      .owner_epoch = pay_pg_column_int8(row, 4)};
    if (pay_pg_column(row, 5) != NULL)
        lane->row.anchor = (struct pay_anchor){true, pay_pg_column_int8(row, 5), pay_pg_column_int8(row, 6),
                                               (uint32_t)pay_pg_column_int8(row, 7)};
    snprintf(lane->group, sizeof lane->group, "%s", pay_pg_column(row, 8) != NULL ? pay_pg_column(row, 8) : "");
    if (halted != NULL && !pay_halt_from_name(halted, strlen(halted), &lane->row.halted)) reading->strange = true;
    snprintf(lane->cluster, sizeof lane->cluster, "%s", pay_pg_column(row, 10) != NULL ? pay_pg_column(row, 10) : "");
    return true;
}

enum pay_exit recover_cluster(struct recover *recover) {
    struct pay_kafka_admin *admin;
    struct pay_error error;
    int32_t brokers;
    if (recover->cluster[0] != '\0') return PAY_EXIT_OK;
    enum pay_exit status = tool_open_admin(recover->tool, &admin);
    if (status != PAY_EXIT_OK) return status;
    if (pay_kafka_admin_cluster(admin, TOOL_KAFKA_TIMEOUT_MS, recover->cluster, sizeof recover->cluster, &brokers,
                                &error) != PAY_OK)
        status = tool_unavailable(recover->tool, &error);
    pay_kafka_admin_close(admin);
    return status;
}

static enum pay_exit read_row(struct lane_case *lane) {
    struct recover *recover = lane->recover;
    struct reading reading = {.lane = lane};
    struct pay_pg_args args;
    enum pay_exit status = recover_cluster(recover);
    if (status != PAY_EXIT_OK) return status;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, recover->tool->config.request_topic);
    pay_pg_args_int4(&args, lane->partition);
    status = recover_exec(recover, pay_sql_recover_lane, &args, take_row, &reading);
    if (status != PAY_EXIT_OK) return status;
    if (!reading.found)
        return tool_fail(recover->tool, PAY_EXIT_NOT_FOUND,
                         "partition %" PRId32 " has no row in the database; paybuf init makes it", lane->partition);
    if (reading.strange)
        return tool_fail(recover->tool, PAY_EXIT_FAILURE,
                         "a halt reason that this program doesn't know; install a newer paybuf");
    lane->row.same_group = lane->group[0] == '\0' || strcmp(lane->group, recover->tool->config.worker_group) == 0;
    lane->row.same_cluster = lane->cluster[0] == '\0' || strcmp(lane->cluster, recover->cluster) == 0;
    return PAY_EXIT_OK;
}

/* ---- the logs, as a claim reads them ---- */

/* Gives every record of [from, to) to `each`. */
typedef void (*record_fn)(struct lane_case *lane, const struct pay_log_record *record);

static enum pay_exit walk(struct lane_case *lane, struct pay_kafka_reader *reader, const char *topic, int64_t from,
                          int64_t to, record_fn each) {
    struct pay_kafka_read read;
    struct pay_error error;
    if (from >= to) return PAY_EXIT_OK;
    if (pay_kafka_reader_seek(reader, topic, lane->partition, from, &error) != PAY_OK)
        return tool_error(lane->recover->tool, &error);
    for (bool more = true; more;) {
        enum pay_exit status = recover_read(lane->recover, reader, &read);
        if (status != PAY_EXIT_OK) return status;
        more = read.record.offset < to && read.kind == PAY_KAFKA_READ_RECORD;
        if (more) each(lane, &read.record);
        more = more && read.record.offset + 1 < to;
    }
    pay_kafka_reader_stop(reader, topic, lane->partition);
    return PAY_EXIT_OK;
}

static void take_reply(struct lane_case *lane, const struct pay_log_record *record) {
    struct pay_reply_headers headers;
    struct pay_reply_mark mark = {.log_offset = record->offset};
    if (pay_reply_headers_read(record, &headers))
        mark = (struct pay_reply_mark){.ours = true,
                                       .same_ledger = strcmp(headers.ledger_id, lane->recover->ledger_id) == 0,
                                       .log_offset = record->offset,
                                       .source_offset = headers.source_offset,
                                       .covers_from = headers.covers_from,
                                       .log_generation = headers.log_generation};
    pay_claim_reply(&lane->claim, &mark);
}

static void take_anchor(struct lane_case *lane, const struct pay_log_record *record) {
    lane->view.anchor_seen =
        (struct pay_anchor){true, record->offset, record->timestamp_ms,
                            pay_record_crc(record->key, record->key_length, record->value, record->value_length)};
}

static enum pay_exit bounds(struct lane_case *lane, const char *topic, int64_t *ret_start, int64_t *ret_end) {
    struct pay_error error;
    return pay_kafka_reader_bounds(lane->recover->replies, topic, lane->partition, TOOL_KAFKA_TIMEOUT_MS, ret_start,
                                   ret_end, &error) == PAY_OK
               ? PAY_EXIT_OK
               : tool_unavailable(lane->recover->tool, &error);
}

static enum pay_exit look(struct lane_case *lane) {
    const struct tool *tool = lane->recover->tool;
    struct pay_claim_view *view = &lane->view;
    enum pay_exit status = bounds(lane, tool->config.reply_topic, &view->reply_start, &view->reply_end);
    if (status == PAY_EXIT_OK) status = read_row(lane);
    if (status != PAY_EXIT_OK) return status;
    struct pay_lane_row open = lane->row;
    open.halted = PAY_HALT_NONE;
    pay_claim_begin(&lane->claim, &open);
    status = walk(lane, lane->recover->replies, tool->config.reply_topic,
                  pay_claim_scan_from(&lane->claim, view->reply_start), view->reply_end, take_reply);
    if (status == PAY_EXIT_OK)
        status = bounds(lane, tool->config.request_topic, &view->request_start, &view->request_end);
    const struct pay_anchor *anchor = &lane->row.anchor;
    view->anchor_read = pay_claim_wants_anchor(&lane->claim, view);
    view->anchor_seen = (struct pay_anchor){.present = false};
    if (status == PAY_EXIT_OK && view->anchor_read)
        status = walk(lane, lane->recover->replies, tool->config.request_topic, anchor->offset, anchor->offset + 1,
                      take_anchor);
    return status;
}

enum pay_exit lane_case_read(struct lane_case *lane, struct recover *recover, int32_t partition, bool patient) {
    *lane = (struct lane_case){.recover = recover, .partition = partition};
    enum pay_exit status = look(lane);
    if (status != PAY_EXIT_OK) return status;
    lane->view.suspected_before = lane->row.halted;
    struct pay_claim_verdict verdict = pay_claim_judge(&lane->claim, &lane->view);
    if (verdict.move == PAY_CLAIM_LOOK_AGAIN && patient) {
        tool_note(recover->tool, "partition %" PRId32 " looks like %s; looks again in %d s", partition,
                  pay_halt_name(verdict.halt), PAY_SUSPICION_MS / 1000);
        nanosleep(&(struct timespec){.tv_sec = PAY_SUSPICION_MS / 1000}, NULL);
        status = look(lane);
        if (status != PAY_EXIT_OK) return status;
        lane->view.suspected_before = verdict.halt;
        verdict = pay_claim_judge(&lane->claim, &lane->view);
    }
    lane->found = verdict.move == PAY_CLAIM_OPEN ? PAY_HALT_NONE : verdict.halt;
    lane->resume_from = pay_claim_resume_from(&lane->claim);
    return PAY_EXIT_OK;
}

/* ---- the cut ---- */

/* Requests and replies, merged by source offset: who of the two is behind reads on. */
struct merge {
    struct lane_case *lane;
    struct pay_reader rule;
    int64_t from, until; /* request offsets that are compared */
    bool has_reply, replies_open;
    int64_t source_offset;
    struct pay_reply reply;
    bool reply_read;
    char key[PAY_ID_MAX + 1];
    bool has_key;
};

/* The next reply of this ledger and generation that readers take. */
static enum pay_exit next_reply(struct merge *merge) {
    struct recover *recover = merge->lane->recover;
    struct pay_reply_headers headers;
    struct pay_kafka_read read;
    merge->has_reply = false;
    while (merge->replies_open) {
        enum pay_exit status = recover_read(recover, recover->replies, &read);
        if (status != PAY_EXIT_OK) return status;
        merge->replies_open = read.kind == PAY_KAFKA_READ_RECORD && read.record.offset < merge->lane->view.reply_end;
        if (!merge->replies_open) break;
        merge->replies_open = read.record.offset + 1 < merge->lane->view.reply_end;
        if (!pay_reply_headers_read(&read.record, &headers) || strcmp(headers.ledger_id, recover->ledger_id) != 0 ||
            headers.log_generation != merge->lane->row.log_generation ||
            pay_reader_take(&merge->rule, headers.source_offset, headers.covers_from) != PAY_READER_TAKE)
            continue;
        const struct pay_log_record *record = &read.record;
        merge->has_key = record->key != NULL && record->key_length <= PAY_ID_MAX;
        snprintf(merge->key, sizeof merge->key, "%.*s", merge->has_key ? (int)record->key_length : 0,
                 merge->has_key ? (const char *)record->key : "");
        merge->source_offset = headers.source_offset;
        merge->reply_read = pay_reply_parse(record->value, record->value_length, &merge->reply);
        merge->has_reply = true;
        return PAY_EXIT_OK;
    }
    return PAY_EXIT_OK;
}

/* Was this reply made for this record? By what the reply repeats of it. */
static bool belongs(const struct merge *merge, const struct pay_log_record *record) {
    static struct pay_record decoded;
    struct pay_record_bytes bytes;
    const struct pay_reply *reply = &merge->reply;
    if (!merge->reply_read) return false;
    pay_record_bytes_of(record, &bytes);
    pay_record_decode(&bytes, &decoded);
    if (strcmp(decoded.key, merge->key) != 0) return false;
    if (decoded.invalid != PAY_REASON_NONE) return reply->outcome == PAY_INVALID && reply->reason == decoded.invalid;
    if (reply->outcome == PAY_INVALID && reply->reason != PAY_ATTEMPT_OUT_OF_SEQUENCE)
        return true; /* refused by name */
    const struct pay_request *request = &decoded.request;
    return strcmp(reply->tenant, request->tenant) == 0 && strcmp(reply->order_id, request->order_id) == 0 &&
           reply->attempt == request->attempt && strcmp(reply->account_id, request->account_id) == 0 &&
           reply->amount_minor == request->amount_minor && strcmp(reply->currency, request->currency) == 0;
}

/* *ret_cut: the record isn't the one that was answered at its place. Unanswered ones end it, too: they are settled again. */
static enum pay_exit compare(struct merge *merge, const struct pay_log_record *record, bool *ret_cut) {
    enum pay_exit status = PAY_EXIT_OK;
    while (merge->has_reply && merge->source_offset < merge->from && status == PAY_EXIT_OK) status = next_reply(merge);
    if (status != PAY_EXIT_OK) return status;
    *ret_cut = !merge->has_reply || merge->source_offset != record->offset || !belongs(merge, record);
    if (*ret_cut) return PAY_EXIT_OK;
    merge->lane->compared++;
    return next_reply(merge);
}

/* Below the first reply that retention left nothing can be compared; if the record there is the right one, those before it are. */
static enum pay_exit begin_merge(struct merge *merge) {
    struct recover *recover = merge->lane->recover;
    struct pay_error error;
    enum pay_exit status = next_reply(merge);
    if (status == PAY_EXIT_OK && merge->has_reply && merge->lane->view.reply_start > 0 &&
        merge->source_offset > merge->from && merge->source_offset < merge->until)
        merge->from = merge->source_offset;
    if (status == PAY_EXIT_OK && pay_kafka_reader_seek(recover->requests, recover->tool->config.request_topic,
                                                       merge->lane->partition, merge->from, &error) != PAY_OK)
        status = tool_error(recover->tool, &error);
    return status;
}

static enum pay_exit run_merge(struct merge *merge) {
    struct recover *recover = merge->lane->recover;
    struct pay_kafka_read read;
    bool cut = false;
    enum pay_exit status = begin_merge(merge);
    while (status == PAY_EXIT_OK && !cut) {
        status = recover_read(recover, recover->requests, &read);
        if (status != PAY_EXIT_OK) return status;
        if (read.kind == PAY_KAFKA_READ_END || read.record.offset >= merge->until) break;
        status = compare(merge, &read.record, &cut);
        if (!cut) merge->lane->cut = read.record.offset + 1;
        progress_show(&recover->progress, merge->lane->compared);
        if (!cut && read.record.offset + 1 >= merge->until) break;
    }
    return status;
}

/* ---- the reply log from its start ---- */

static void take_kept_reply(struct lane_case *lane, const struct pay_log_record *record) {
    struct pay_reply_headers headers;
    if (!pay_reply_headers_read(record, &headers) || strcmp(headers.ledger_id, lane->recover->ledger_id) != 0 ||
        headers.log_generation != lane->row.log_generation || headers.source_offset >= lane->row.next_offset ||
        pay_reader_take(&lane->kept, headers.source_offset, headers.covers_from) != PAY_READER_TAKE)
        return;
    lane->kept_until = headers.source_offset + 1;
    lane->kept_position = record->offset + 1;
}

enum pay_exit lane_case_find_pair(struct lane_case *lane, int64_t *ret_replied_offset, int64_t *ret_reply_position) {
    lane->kept_until = lane->kept_position = 0;
    if (lane->view.reply_start > 0)
        pay_reader_start_in_the_middle(&lane->kept, INT64_MAX);
    else
        pay_reader_start_at(&lane->kept, 0);
    enum pay_exit status = walk(lane, lane->recover->replies, lane->recover->tool->config.reply_topic,
                                lane->view.reply_start, lane->view.reply_end, take_kept_reply);
    *ret_replied_offset = lane->kept_until;
    *ret_reply_position = lane->kept_position;
    return status;
}

enum pay_exit lane_case_find_cut(struct lane_case *lane) {
    struct recover *recover = lane->recover;
    const struct pay_claim_view *view = &lane->view;
    struct merge merge = {.lane = lane, .from = view->request_start};
    struct pay_error error;
    merge.until = view->request_end < lane->row.next_offset ? view->request_end : lane->row.next_offset;
    merge.replies_open = view->reply_start < view->reply_end;
    lane->cut = view->request_start;
    if (merge.from >= merge.until) return PAY_EXIT_OK;
    pay_reader_start_in_the_middle(&merge.rule, INT64_MAX);
    progress_begin(&recover->progress, "requests", merge.until - merge.from);
    if (merge.replies_open && pay_kafka_reader_seek(recover->replies, recover->tool->config.reply_topic,
                                                    lane->partition, view->reply_start, &error) != PAY_OK)
        return tool_error(recover->tool, &error);
    enum pay_exit status = run_merge(&merge);
    progress_end(&recover->progress);
    pay_kafka_reader_stop(recover->requests, recover->tool->config.request_topic, lane->partition);
    pay_kafka_reader_stop(recover->replies, recover->tool->config.reply_topic, lane->partition);
    return status;
}
