#include "tools/audit_requests.h"

#include "codec/request_codec.h"
#include "core/answer.h"
#include "tools/audit_lookup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES ((size_t)PAY_BATCH_RECORDS_MAX * (PAY_METADATA_MAX + PAY_TRACEPARENT_MAX))

enum pay_exit requests_begin(struct audit_requests *requests, struct audit *audit, struct audit_lane *lane) {
    struct pay_error error;
    *requests = (struct audit_requests){
        .audit = audit, .lane = lane, .open = lane->view.request_start < lane->view.request_end};
    if (!audit->quick) {
        requests->batch = malloc(sizeof *requests->batch);
        requests->arena = malloc(ARENA_BYTES);
        if (requests->batch == NULL || requests->arena == NULL) abort();
        pay_batch_reset(requests->batch);
    }
    if (!requests->open) return PAY_EXIT_OK;
    if (pay_kafka_reader_seek(audit->requests, audit->tool->config.request_topic, lane->view.partition,
                              lane->view.request_start, &error) == PAY_OK)
        return PAY_EXIT_OK;
    return tool_error(audit->tool, &error);
}

void requests_end(struct audit_requests *requests) {
    if (requests->audit != NULL)
        pay_kafka_reader_stop(requests->audit->requests, requests->audit->tool->config.request_topic,
                              requests->lane->view.partition);
    free(requests->batch);
    free(requests->arena);
    *requests = (struct audit_requests){.audit = NULL};
}

/* ---- from the log ---- */

/* The next data record below P; the others are counted. *ret_found false: the end of the log as it was at the start. */
static enum pay_exit read_settled(struct audit_requests *requests, struct pay_log_record *ret_record, bool *ret_found) {
    struct audit *audit = requests->audit;
    const struct lane_view *view = &requests->lane->view;
    struct pay_kafka_read read;
    *ret_found = false;
    while (requests->open) {
        enum pay_exit status = audit_read(audit, audit->requests, &read);
        if (status != PAY_EXIT_OK) return status;
        if (read.kind == PAY_KAFKA_READ_END || read.record.offset >= view->request_end) {
            requests->open = false;
            return PAY_EXIT_OK;
        }
        progress_show(&audit->progress, ++audit->progress_done);
        if (read.record.offset < view->processed) {
            *ret_record = read.record;
            *ret_found = true;
            return PAY_EXIT_OK;
        }
        requests->lane->tally.in_flight++;
    }
    return PAY_EXIT_OK;
}

static const char *keep(struct audit_requests *requests, const char *bytes, size_t length) {
    if (bytes == NULL) return NULL;
    char *copy = requests->arena + requests->arena_used;
    memcpy(copy, bytes, length);
    requests->arena_used += length;
    return copy;
}

static void gather(const struct pay_log_record *raw, struct pay_record_bytes *ret_bytes) {
    *ret_bytes = (struct pay_record_bytes){
        .key = raw->key, .key_length = raw->key_length, .value = raw->value, .value_length = raw->value_length};
    for (size_t i = 0; i < raw->header_count; i++) {
        const struct pay_header *header = &raw->headers[i];
        if (strcmp(header->name, "tenant") == 0) {
            ret_bytes->tenant_count++;
            ret_bytes->tenant = header->value;
            ret_bytes->tenant_length = header->length;
        } else if (strcmp(header->name, "traceparent") == 0) {
            ret_bytes->traceparent = header->value;
            ret_bytes->traceparent_length = header->length;
        }
    }
}

static void add_to_batch(struct audit_requests *requests, const struct pay_log_record *raw) {
    struct pay_record *record = pay_batch_next(requests->batch);
    struct pay_record_bytes bytes;
    gather(raw, &bytes);
    pay_record_decode(&bytes, record);
    record->position = (struct pay_position){requests->lane->view.generation, raw->partition, raw->offset};
    record->timestamp_ms = raw->timestamp_ms;
    record->traceparent = keep(requests, record->traceparent, record->traceparent_length);
    if (record->invalid == PAY_REASON_NONE)
        record->request.metadata = keep(requests, record->request.metadata, record->request.metadata_length);
    pay_batch_commit_next(requests->batch, true);
}

static enum pay_exit fill_batch(struct audit_requests *requests) {
    struct pay_log_record raw;
    bool found = true;
    pay_batch_reset(requests->batch);
    requests->arena_used = 0;
    while (found && !pay_batch_full(requests->batch)) {
        enum pay_exit status = read_settled(requests, &raw, &found);
        if (status != PAY_EXIT_OK) return status;
        if (found) add_to_batch(requests, &raw);
    }
    return PAY_EXIT_OK;
}

/* ---- with their answers ---- */

/* The next slice with all that is on file about it; a slice with too many known decisions is halved. */
static enum pay_exit next_slice(struct audit_requests *requests) {
    struct pay_error error;
    if (requests->batch->end == requests->batch->count) {
        enum pay_exit status = fill_batch(requests);
        if (status != PAY_EXIT_OK) return status;
    }
    if (!pay_batch_slice(requests->batch, PAY_BATCH_RECORDS_MAX)) return PAY_EXIT_OK; /* at == end: nothing left */
    for (;;) {
        pay_batch_prepare(requests->batch);
        enum pay_move move = audit_look_up(requests->audit->pg, &requests->lane->view, requests->batch, &error);
        if (move == PAY_OK) break;
        uint32_t count = requests->batch->end - requests->batch->begin;
        if (move != PAY_SPLIT || count == 1) return tool_error(requests->audit->tool, &error);
        pay_batch_shrink(requests->batch, count / 2);
    }
    requests->at = requests->batch->begin;
    requests->end = requests->batch->end;
    return PAY_EXIT_OK;
}

static void give(struct audit_requests *requests, struct audit_request *ret_request) {
    const struct pay_batch *batch = requests->batch;
    uint32_t index = requests->at++, order = batch->order_of[index];
    const struct pay_decision *known = order != UINT32_MAX ? batch->orders[order].known : NULL;
    ret_request->record = &batch->records[index];
    ret_request->offset = ret_request->record->position.offset;
    ret_request->has_answer =
        pay_answer_find(ret_request->record, batch->refusal_of[index], known, &ret_request->answer);
}

enum pay_exit requests_next(struct audit_requests *requests, struct audit_request *ret_request, bool *ret_found) {
    struct pay_log_record raw;
    enum pay_exit status = PAY_EXIT_OK;
    if (requests->audit->quick) {
        status = read_settled(requests, &raw, ret_found);
        *ret_request = (struct audit_request){.offset = *ret_found ? raw.offset : -1};
        return status;
    }
    if (requests->at == requests->end) status = next_slice(requests);
    *ret_found = status == PAY_EXIT_OK && requests->at < requests->end;
    if (*ret_found) give(requests, ret_request);
    return status;
}
