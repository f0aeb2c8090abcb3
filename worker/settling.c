/*
 * One transaction at a time: the slice of a work is fenced, read, decided, written, committed (PROTOCOL 2), or its answers are
 * looked up when it was settled before (reply only). A fence-only transaction, at most once a second, moves what is at rest.
 */
#include "worker/worker_state.h"

#include <stdio.h>
#include <string.h>

#define REDO_MS 5
#define REDO_MAX_MS 500

/* --- fences --- */

static bool rest_interval_passed(const struct pay_worker *w) {
    return w->revoking || w->draining || w->now_ms - w->rested_at_ms >= PAY_REST_INTERVAL_MS;
}

static struct pay_fence *add_fence(struct pay_worker *w, const struct pay_lane *lane) {
    struct pay_fence *fence = &w->fences[w->fence_count];
    w->fence_session[w->fence_count++] = w->session_of[lane->partition];
    *fence = (struct pay_fence){.partition = lane->partition,
                                .owner_epoch = lane->owner_epoch,
                                .processed_before = lane->processed,
                                .processed_after = lane->processed,
                                .anchor = lane->anchor,
                                .replied_offset = lane->replied_offset,
                                .reply_position = lane->reply_position};
    memcpy(fence->owner, lane->owner, sizeof fence->owner);
    return fence;
}

/* The last record of each lane in the slice gives its new P and anchor. */
static void mark_ends(const struct pay_batch *batch, const struct pay_record *last[PAY_LANES_MAX]) {
    for (uint32_t i = batch->begin; i < batch->end; i++)
        if (!batch->dropped[i]) last[batch->records[i].position.partition] = &batch->records[i];
}

static bool collect_fences(struct pay_worker *w, struct work *work) {
    const struct pay_record *last[PAY_LANES_MAX] = {NULL};
    bool rest = rest_interval_passed(w);
    w->fence_count = 0;
    if (work != NULL) mark_ends(&work->batch, last);
    for (uint32_t i = 0; i < w->lane_count; i++) {
        const struct pay_lane *lane = &w->lanes[i];
        if (lane->state != PAY_LANE_OPEN || lane->verify_anchor) continue;
        if (last[i] != NULL) {
            struct pay_fence *fence = add_fence(w, lane);
            fence->processed_after = last[i]->position.offset + 1;
            fence->anchor = (struct pay_anchor){true, last[i]->position.offset, last[i]->timestamp_ms, last[i]->crc32c};
        } else if (rest && pay_lane_rest_due(lane)) {
            add_fence(w, lane)->processed_after = pay_lane_rest_position(lane);
        }
    }
    if (rest) w->rested_at_ms = w->now_ms;
    return w->fence_count > 0;
}

/* --- the end of a settle, good or bad --- */

static void count_answers(struct pay_worker *w, const struct pay_batch *batch) {
    for (uint32_t i = batch->begin; i < batch->end; i++) {
        const struct pay_answer *answer = &batch->answers[i];
        if (batch->dropped[i]) continue;
        w->counters.records++;
        w->counters.duplicates += answer->duplicate;
        w->counters.paid += answer->outcome == PAY_PAID && !answer->duplicate;
        w->counters.declined += answer->outcome == PAY_DECLINED && !answer->duplicate;
        w->counters.conflicts += answer->outcome == PAY_CONFLICT;
        w->counters.invalid += answer->outcome == PAY_INVALID;
    }
}

static void committed(struct pay_worker *w) {
    w->settle_in_flight = false;
    for (uint32_t i = 0; i < w->fence_count; i++) {
        const struct pay_fence *fence = &w->fences[i];
        struct pay_lane *lane = &w->lanes[fence->partition];
        if (lane->state != PAY_LANE_OPEN || w->session_of[fence->partition] != w->fence_session[i]) continue;
        pay_lane_committed(lane, fence->processed_after, &fence->anchor, fence->replied_offset, fence->reply_position);
        w->stream->ops->commit_courtesy(w->stream, lane->partition, lane->processed);
    }
    if (!w->slice_chosen) {
        w->counters.empty_batches++;
        return;
    }
    w->counters.batches++;
    count_answers(w, &w->settling->batch);
    w->slice_chosen = false;
    pay_retry_succeeded(&w->retry, w->options.batch_records_max);
}

static void fenced(struct pay_worker *w, const struct pay_error *error) {
    uint64_t fenced_before = w->counters.fenced;
    for (uint32_t i = 0; i < w->fence_count; i++) {
        struct pay_lane *lane = &w->lanes[w->fences[i].partition];
        if (!w->fences[i].lost || lane->state != PAY_LANE_OPEN || w->session_of[lane->partition] != w->fence_session[i])
            continue;
        w->counters.fenced++;
        /* No duel: whoever took it by the group's word keeps it; if it is still mine after the group's session timeout, I claim again. */
        worker_end_lane(w, lane, worker_clock_ms(w) + PAY_RECLAIM_AFTER_FENCE_MS + worker_random(w) % 2000,
                        "fenced: another session owns the partition");
    }
    if (w->counters.fenced == fenced_before)
        worker_end_session(w, error); /* lost, and nobody knows which: claim all again */
}

/* A record of the slice stops its lane; then the slice again, without that lane. */
static void halt_at(struct pay_worker *w, uint32_t record, enum pay_halt reason, const char *why) {
    const struct pay_position *position = &w->settling->batch.records[record].position;
    struct pay_lane *lane = &w->lanes[position->partition];
    struct pay_error error = {0};
    char detail[PAY_ERROR_TEXT_MAX + 128], text[PAY_POSITION_TEXT_MAX];
    pay_position_format(position, text);
    snprintf(detail, sizeof detail, "record %s: %s", text, why);
    if (w->ledger->ops->halt_lane(w->ledger, lane->partition, lane->owner, lane->owner_epoch, reason, &error) ==
        PAY_SESSION_OVER)
        worker_end_session(w, &error);
    else
        worker_halt_lane(w, lane, reason, detail);
}

static void halt_poison(struct pay_worker *w, const struct pay_error *error) {
    char why[PAY_ERROR_TEXT_MAX + 64];
    snprintf(why, sizeof why, "%s: %s", error->code, error->text);
    halt_at(w, w->settling->batch.begin, PAY_HALT_POISON, why);
}

/* True, and nothing is written: what is on file about a record's order isn't what a worker writes. Its lane halts. */
static bool halt_by_impossible_row(struct pay_worker *w) {
    uint32_t record;
    if (pay_batch_known_possible(&w->settling->batch, &record)) return false;
    if (w->settle_in_flight) w->ledger->ops->settle_abandon(w->ledger);
    w->settle_in_flight = false;
    if (worker_current(w, w->settling, record)) /* else the slice again drops it */
        halt_at(w, record, PAY_HALT_BROKEN_INVARIANT,
                "a payment row of its order has a place or a word that paybuf doesn't write");
    return true;
}

static void failed(struct pay_worker *w, const struct pay_error *error) {
    w->settle_in_flight = false;
    switch (error->move) {
    case PAY_FENCED: fenced(w, error); return;
    case PAY_REDO:
    case PAY_SPLIT:
        w->counters.redone++;
        w->settle_at_ms = w->now_ms + pay_backoff_ms(w->retry.failures + 1, REDO_MS, REDO_MAX_MS, worker_random(w));
        if (!w->slice_chosen) return; /* a fence-only one: due again by itself */
        struct pay_batch *batch = &w->settling->batch;
        switch (pay_retry_failed(&w->retry, error, batch->end - batch->begin)) {
        case PAY_RETRY_SLICE: return;
        case PAY_RETRY_HALVED:
            w->counters.halved++;
            pay_batch_shrink(batch, w->retry.limit);
            return;
        case PAY_RETRY_POISON: halt_poison(w, error); return;
        }
        return;
    default: worker_end_session(w, error);
    }
}

/* --- beginning --- */

/* Records whose session is over leave the slice; their lane's next claim reads them again. */
static void drop_strangers(struct pay_worker *w, struct work *work) {
    for (uint32_t i = work->batch.begin; i < work->batch.end; i++)
        if (!worker_current(w, work, i)) pay_batch_drop(&work->batch, i);
}

static bool anchors_verified(struct pay_worker *w, const struct work *work) {
    for (uint32_t i = work->batch.begin; i < work->batch.end; i++) {
        struct pay_lane *lane = &w->lanes[work->batch.records[i].position.partition];
        if (worker_current(w, work, i) && lane->verify_anchor && !worker_verify_anchor(w, lane) &&
            lane->state == PAY_LANE_OPEN) {
            w->settle_at_ms = w->now_ms + REDO_MAX_MS; /* the broker can't be asked now */
            return false;
        }
    }
    return true;
}

static void look_up(struct pay_worker *w, struct work *work) {
    struct pay_error error = {0};
    uint32_t orphan;
    enum pay_move move = w->ledger->ops->look_up(w->ledger, &work->batch, &error);
    if (move != PAY_OK) {
        if (move == PAY_AGAIN) error.move = PAY_REDO;
        failed(w, &error);
    } else if (halt_by_impossible_row(w)) {
        return;
    } else if (!pay_batch_find_answers(&work->batch, &orphan)) {
        halt_at(w, orphan, PAY_HALT_BROKEN_INVARIANT, "settled, and no reason on file says what became of it");
    } else {
        w->counters.looked_up += work->batch.end - work->batch.begin;
        w->slice_chosen = false;
    }
}

/* `batch` NULL: fences only. */
static void start_settle(struct pay_worker *w, struct pay_batch *batch) {
    struct pay_error error = {0};
    w->settle_in_flight = true;
    w->settle_written = false;
    if (w->ledger->ops->settle_begin(w->ledger, batch, w->fences, w->fence_count, &error) != PAY_OK) failed(w, &error);
}

static void begin(struct pay_worker *w, struct work *work) {
    if (!anchors_verified(w, work) || w->settling != work) return; /* the broker must wait, or the session ended */
    drop_strangers(w, work);
    pay_batch_prepare(&work->batch);
    if (work->batch.settled[work->batch.begin]) {
        look_up(w, work);
        return;
    }
    if (!collect_fences(w, work)) {
        w->slice_chosen = false; /* every record of it was a stranger */
        pay_retry_succeeded(&w->retry, w->options.batch_records_max);
        return;
    }
    start_settle(w, &work->batch);
}

/* Chooses what to settle next; true when there is a slice at work. */
static bool choose_slice(struct pay_worker *w) {
    while (!w->slice_chosen) {
        if (w->settling != NULL && pay_batch_slice(&w->settling->batch, w->retry.limit)) {
            w->slice_chosen = true;
        } else if (w->settling != NULL) {
            w->publishing[w->publishing_count++] = w->settling;
            w->settling = NULL;
        } else if (w->filling != NULL && w->filling->batch.count > 0) {
            w->settling = w->filling;
            w->filling = NULL;
        } else {
            return false;
        }
    }
    return true;
}

/* Nothing to settle: write what moved since the last settle (fences only), and look at anchors of lanes that were idle for long. */
static void rest(struct pay_worker *w) {
    if (!rest_interval_passed(w)) return;
    for (uint32_t i = 0; i < w->lane_count; i++) {
        struct pay_lane *lane = &w->lanes[i];
        if (lane->state != PAY_LANE_OPEN) continue;
        bool moves_unseen = lane->verify_anchor && pay_lane_rest_due(lane);
        if (moves_unseen || w->now_ms - lane->anchor_seen_ms >= PAY_ANCHOR_IDLE_MS) {
            lane->anchor_seen_ms = w->now_ms; /* also when the broker can't be asked: once a minute is enough */
            worker_verify_anchor(w, lane);
        }
    }
    if (!w->agreed || !collect_fences(w, NULL)) return;
    start_settle(w, NULL);
}

/* --- in flight --- */

static void decide_and_write(struct pay_worker *w, int64_t decided_at_us) {
    struct pay_error error = {0};
    if (w->slice_chosen) {
        if (halt_by_impossible_row(w)) return;
        pay_batch_decide(&w->settling->batch, decided_at_us);
    }
    w->settle_written = true;
    if (w->ledger->ops->settle_write(w->ledger, &error) != PAY_OK) failed(w, &error);
}

static void advance(struct pay_worker *w) {
    struct pay_error error = {0};
    int64_t decided_at_us;
    switch (w->ledger->ops->settle_poll(w->ledger, &decided_at_us, &error)) {
    case PAY_SETTLE_WAITING: return;
    case PAY_SETTLE_READ: decide_and_write(w, decided_at_us); break;
    case PAY_SETTLE_COMMITTED: committed(w); break;
    case PAY_SETTLE_FAILED: failed(w, &error); break;
    }
    w->busy = true;
}

/* Frozen for a while, in this pass or before it: the records may be another topic's by now. */
static void doubt_after_pause(struct pay_worker *w) {
    int64_t now_ms = worker_clock_ms(w);
    if (now_ms - w->settle_looked_ms > PAY_LOOP_PAUSE_MS) worker_doubt_anchors(w);
    w->settle_looked_ms = now_ms;
}

void worker_settle(struct pay_worker *w) {
    doubt_after_pause(w);
    if (!w->agreed) return;
    if (w->settle_in_flight) advance(w);
    if (w->settle_in_flight || !w->agreed || w->now_ms < w->settle_at_ms) return;
    if (choose_slice(w))
        begin(w, w->settling);
    else
        rest(w);
    if (w->settle_in_flight) w->busy = true;
}
