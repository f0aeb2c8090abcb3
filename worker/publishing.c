/*
 * Replies in order to the same partition numbers, and what the producers report (PROTOCOL 3). Dead letters go out at decoding;
 * the reply waits for its letter's acknowledgement. Whatever can't be sent or acknowledged ends the session of its lanes: the
 * next claim reads the reply log and begins at the first one missing.
 */
#include "worker/worker_state.h"

#include "codec/dead_letter.h"
#include "codec/reply_record.h"

#include <assert.h>
#include <openssl/sha.h>
#include <string.h>

#define BLOCKED_TOO_LONG_MS 30000
#define SILENT_TOO_LONG_MS                                                                                             \
    30000 /* three times the reply producers' socket time-out: the library had time to try again */
#define EVICTED_MS 5000

/* --- replies --- */

static enum pay_move send_reply(struct pay_worker *w, struct pay_lane *lane, const struct pay_record *record,
                                const struct pay_answer *answer, int64_t covers_from, struct pay_error *error) {
    struct pay_reply_record made;
    pay_reply_record_make(record, answer, covers_from, w->options.request_topic, w->books.ledger_id, &made);
    const struct pay_outgoing reply = {.partition = lane->partition,
                                       .source_offset = record->position.offset,
                                       .key = made.key,
                                       .key_length = made.key_length,
                                       .value = made.value,
                                       .value_length = made.value_length,
                                       .headers = made.headers,
                                       .header_count = made.header_count};
    return w->stream->ops->publish(w->stream, w->slot_of[lane->partition], &reply, error);
}

/* Its next reply can't go out yet. What it had received waits in works, so it receives nothing more: the others need them. */
static void block(struct pay_worker *w, struct pay_lane *lane) {
    w->stuck[lane->partition] = true;
    if (lane->blocked_since_ms == 0) lane->blocked_since_ms = w->now_ms;
    worker_stop_fetch(w, lane);
    if (w->now_ms - lane->blocked_since_ms > BLOCKED_TOO_LONG_MS)
        worker_end_lane(w, lane, w->now_ms, "its next reply couldn't be sent for too long");
}

void worker_free_a_work(struct pay_worker *w) {
    struct pay_lane *longest = NULL;
    for (uint32_t i = 0; i < w->lane_count; i++) {
        struct pay_lane *lane = &w->lanes[i];
        if (lane->state != PAY_LANE_OPEN || lane->blocked_since_ms == 0) continue;
        if (longest == NULL || lane->blocked_since_ms < longest->blocked_since_ms) longest = lane;
    }
    if (longest != NULL)
        worker_end_lane(w, longest, w->now_ms + EVICTED_MS, "it held back the other partitions' records");
}

/* Sends one reply if it may go now. */
static void publish_record(struct pay_worker *w, struct work *work, uint32_t i) {
    struct pay_error error = {0};
    const struct pay_record *record = &work->batch.records[i];
    struct pay_lane *lane = &w->lanes[record->position.partition];
    if (!worker_current(w, work, i) || work->batch.dropped[i]) {
        work->done[i] = true; /* its session is over: the next claim answers it */
        return;
    }
    if (w->stuck[lane->partition]) return; /* an earlier one waits: order */
    if (work->letter_due[i]) {
        block(w, lane);
        return;
    }
    assert(record->position.offset < lane->processed); /* money before message: before a producer sees it, not after */
    switch (send_reply(w, lane, record, &work->batch.answers[i], lane->covers_from, &error)) {
    case PAY_OK:
        if (lane->unacknowledged == 0) lane->unacknowledged_ms = w->now_ms;
        pay_lane_reply_sent(lane, record->position.offset);
        lane->blocked_since_ms = 0;
        work->done[i] = true;
        return;
    case PAY_AGAIN: block(w, lane); return;
    default: worker_end_slot(w, w->slot_of[lane->partition], error.text);
    }
}

static void publish_work(struct pay_worker *w, struct work *work, uint32_t end) {
    for (uint32_t i = work->next; i < end; i++)
        if (!work->done[i]) publish_record(w, work, i);
    while (work->next < end && work->done[work->next]) work->next++;
}

void worker_publish(struct pay_worker *w) {
    uint32_t kept = 0;
    memset(w->stuck, 0, sizeof w->stuck);
    for (uint32_t n = 0; n < w->publishing_count; n++) {
        struct work *work = w->publishing[n];
        publish_work(w, work, work->batch.count);
        if (work->next < work->batch.count)
            w->publishing[kept++] = work;
        else
            w->busy = true;
    }
    w->publishing_count = kept;
    if (w->settling != NULL) /* slices that are answered don't wait for the rest of their batch */
        publish_work(w, w->settling, w->slice_chosen ? w->settling->batch.begin : w->settling->batch.end);
}

/* --- reports --- */

static bool letter_arrived_in(struct work *work, const struct pay_report *report) {
    if (work == NULL) return false;
    for (uint32_t i = 0; i < work->batch.count; i++) {
        const struct pay_position *position = &work->batch.records[i].position;
        if (!work->letter_due[i] || position->partition != report->partition ||
            position->offset != report->source_offset)
            continue;
        work->letter_due[i] = false;
        return true;
    }
    return false;
}

static void letter_acknowledged(struct pay_worker *w, const struct pay_report *report) {
    for (uint32_t n = 0; n < w->publishing_count; n++)
        if (letter_arrived_in(w->publishing[n], report)) return;
    if (!letter_arrived_in(w->settling, report)) letter_arrived_in(w->filling, report);
}

/* The producer of dead letters is recreated; every lane that waits for one of its letters claims again and sends them again. */
static void letters_lost(struct pay_worker *w, const char *why) {
    w->stream->ops->reset_dead_letters(w->stream);
    for (uint32_t n = 0; n < WORKS; n++)
        for (uint32_t i = 0; i < w->works[n]->batch.count; i++) {
            struct work *work = w->works[n];
            struct pay_lane *lane = &w->lanes[work->batch.records[i].position.partition];
            if (work->letter_due[i] && worker_current(w, work, i)) worker_end_lane(w, lane, w->now_ms, why);
        }
}

static void dead_letter_report(struct pay_worker *w, const struct pay_report *report) {
    struct pay_lane *lane = worker_lane(w, report->partition);
    if (report->fatal) {
        letters_lost(w, report->code);
    } else if (!report->failed && report->log_offset >= 0) {
        w->counters.dead_letters++;
        letter_acknowledged(w, report);
    } else if (lane != NULL && lane->state == PAY_LANE_OPEN) {
        worker_end_lane(w, lane, w->now_ms, "a dead letter was refused");
    }
}

static void reply_report(struct pay_worker *w, const struct pay_report *report) {
    struct pay_lane *lane = worker_lane(w, report->partition);
    if (report->fatal) {
        worker_end_slot(w, report->publisher, report->code);
    } else if (lane != NULL && lane->state == PAY_LANE_OPEN) {
        if (pay_lane_acknowledged(lane, report->failed, report->log_offset, report->source_offset)) {
            w->counters.replies_acknowledged++;
            lane->unacknowledged_ms = w->now_ms;
        } else {
            worker_end_slot(w, report->publisher,
                            report->failed ? report->code : "a delivery report without an honest offset");
        }
    }
}

/* librdkafka can stand still without an error (a wall clock that jumps back [run], decision 027); a new handle doesn't. */
static void give_up_silent_producers(struct pay_worker *w) {
    for (uint32_t i = 0; i < w->lane_count; i++) {
        const struct pay_lane *lane = &w->lanes[i];
        if (lane->state == PAY_LANE_OPEN && lane->unacknowledged > 0 &&
            w->now_ms - lane->unacknowledged_ms > SILENT_TOO_LONG_MS)
            worker_end_slot(w, w->slot_of[i], "no reply was acknowledged for too long");
    }
}

void worker_acknowledge(struct pay_worker *w) {
    struct pay_report report;
    if (!w->stream_open) return;
    while (w->stream->ops->next_report(w->stream, &report)) {
        w->busy = true;
        if (report.publisher == PAY_DEAD_LETTER_SLOT)
            dead_letter_report(w, &report);
        else if (report.publisher < PAY_PUBLISHERS_MAX && w->slot_open[report.publisher])
            reply_report(w, &report);
    }
    give_up_silent_producers(w);
}

/* --- dead letters --- */

static enum pay_move hand_over(struct pay_worker *w, const struct pay_log_record *raw,
                               const struct pay_dead_letter *letter, struct pay_error *error) {
    const struct pay_outgoing outgoing = {.partition = raw->partition,
                                          .source_offset = raw->offset,
                                          .key = letter->key,
                                          .key_length = letter->key_length,
                                          .value = letter->value,
                                          .value_length = letter->value_length,
                                          .headers = letter->headers,
                                          .header_count = letter->header_count};
    return w->stream->ops->dead_letter(w->stream, &outgoing, error);
}

/* A letter that can't be handed over ends its lane's session: reading the record again is the retry. */
void worker_send_dead_letter(struct pay_worker *w, const struct pay_log_record *raw, const struct pay_record *record) {
    struct pay_error error = {0};
    struct pay_dead_letter letter;
    pay_dead_letter_make(raw, &record->position, record->invalid, &letter);
    enum pay_move move = hand_over(w, raw, &letter, &error);
    if (move == PAY_SPLIT) {
        pay_dead_letter_shrink(&letter, SHA256);
        move = hand_over(w, raw, &letter, &error);
    }
    pay_dead_letter_free(&letter);
    if (move == PAY_OK) return;
    if (move == PAY_SESSION_OVER) w->stream->ops->reset_dead_letters(w->stream);
    worker_end_lane(w, &w->lanes[raw->partition], w->now_ms, error.text);
}
