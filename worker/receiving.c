/* From the log into the work that is being filled: judged by the lane, decoded, its dead letter sent. */
#include "worker/worker_state.h"

#include "codec/request_codec.h"

#include <string.h>

static const char *keep(struct work *work, const char *bytes, size_t length) {
    if (bytes == NULL) return NULL;
    char *copy = work->arena + work->arena_used;
    memcpy(copy, bytes, length);
    work->arena_used += length;
    return copy;
}

static bool has_space(const struct work *work) {
    return !pay_batch_full(&work->batch) && work->arena_used + PAY_METADATA_MAX + PAY_TRACEPARENT_MAX <= ARENA_BYTES;
}

static void take(struct pay_worker *w, struct pay_lane *lane, const struct pay_log_record *raw, bool settled) {
    struct work *work = w->filling;
    uint32_t index = work->batch.count;
    struct pay_record *record = pay_batch_next(&work->batch);
    struct pay_record_bytes bytes;
    pay_record_bytes_of(raw, &bytes);
    pay_record_decode(&bytes, record);
    record->position = (struct pay_position){lane->log_generation, raw->partition, raw->offset};
    record->timestamp_ms = raw->timestamp_ms;
    record->traceparent = keep(work, record->traceparent, record->traceparent_length);
    if (record->invalid == PAY_REASON_NONE)
        record->request.metadata = keep(work, record->request.metadata, record->request.metadata_length);
    work->session[index] = w->session_of[raw->partition];
    work->done[index] = false;
    work->letter_due[index] = record->invalid != PAY_REASON_NONE;
    pay_batch_commit_next(&work->batch, settled);
    if (work->letter_due[index]) worker_send_dead_letter(w, raw, record);
}

static void receive_record(struct pay_worker *w, const struct pay_log_record *raw) {
    struct pay_lane *lane = worker_lane(w, raw->partition);
    if (lane == NULL || lane->state != PAY_LANE_OPEN || !lane->fetching) return; /* of a fetch that was stopped */
    /* A topic that is made again while nothing is sent goes on at the old offset, often without an error event. */
    if (w->now_ms - lane->heard_ms >= PAY_LANE_SILENCE_MS) lane->verify_anchor = true;
    lane->heard_ms = w->now_ms;
    switch (pay_lane_receive(lane, raw->offset)) {
    case PAY_RECEIVE_DROP: return;
    case PAY_RECEIVE_NOT_ANCHOR:
        worker_halt_lane(w, lane, PAY_HALT_LOG_REPLACED, "the last record below P isn't the anchor");
        return;
    case PAY_RECEIVE_ANSWER: take(w, lane, raw, true); break;
    case PAY_RECEIVE_SETTLE: take(w, lane, raw, false); break;
    }
    if (lane->state == PAY_LANE_OPEN && !pay_lane_has_room(lane)) worker_stop_fetch(w, lane);
}

static void receive_end(struct pay_worker *w, const struct pay_log_record *end) {
    struct pay_lane *lane = worker_lane(w, end->partition);
    if (lane == NULL || lane->state != PAY_LANE_OPEN || !lane->fetching) return;
    if (!pay_lane_receive_end(lane, end->offset))
        worker_halt_lane(w, lane, PAY_HALT_LOG_REPLACED, "the last record below P isn't the anchor");
}

/* Lanes that were stopped because their replies couldn't go out, or too much was unanswered, are fetched again when that is over. */
static void fetch_again(struct pay_worker *w) {
    struct pay_error error = {0};
    for (uint32_t i = 0; i < w->lane_count; i++) {
        struct pay_lane *lane = &w->lanes[i];
        if (lane->state != PAY_LANE_OPEN || lane->fetching || lane->blocked_since_ms != 0 ||
            lane->unreplied > PAY_LANE_UNREPLIED_MAX / 2)
            continue;
        enum pay_move move = w->stream->ops->fetch(w->stream, lane->partition, lane->received, &error);
        if (move == PAY_OK)
            lane->fetching = true;
        else if (move != PAY_AGAIN)
            worker_end_lane(w, lane, w->now_ms, error.text);
    }
}

void worker_receive(struct pay_worker *w) {
    struct pay_log_record record;
    w->wants_records = false;
    if (!w->agreed || w->draining || w->revoking) return;
    fetch_again(w);
    if (w->filling == NULL) w->filling = worker_take_work(w);
    if (w->filling == NULL) worker_free_a_work(w);
    while (w->filling != NULL && has_space(w->filling) && w->filling->batch.count < w->options.batch_records_max) {
        enum pay_record_kind kind = w->stream->ops->next_record(w->stream, &record);
        if (kind == PAY_RECORD_NONE) {
            w->wants_records = true;
            return;
        }
        w->busy = true;
        if (kind == PAY_RECORD_DATA)
            receive_record(w, &record);
        else
            receive_end(w, &record);
    }
}
