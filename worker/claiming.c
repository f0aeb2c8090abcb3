/* Claiming a lane, step by step as PROTOCOL 1 numbers them, and reading the anchor again between claims. */
#include "worker/worker_state.h"

#include <stdio.h>
#include <string.h>

#define CLAIM_RETRY_MS 100
#define CLAIM_RETRY_MAX_MS 5000

/* The claim can't be finished now; nothing but the epoch has changed. */
static void claim_later(struct pay_worker *w, struct pay_lane *lane, enum pay_move move,
                        const struct pay_error *error) {
    w->counters.claims_failed++;
    pay_lane_claim_again(
        lane, w->now_ms + pay_backoff_ms(lane->claim_attempts, CLAIM_RETRY_MS, CLAIM_RETRY_MAX_MS, worker_random(w)));
    if (move == PAY_SESSION_OVER)
        worker_end_session(w, error);
    else if (lane->claim_attempts % 8 == 1)
        worker_log(w, PAY_WORKER_WARNING, "partition %d can't be claimed yet (%s); tries again", lane->partition,
                   error->text);
}

/* Step 1: the row is mine from its COMMIT on. A missing row may be made only for a partition that never held a reply. */
static enum pay_move lock_row(struct pay_worker *w, struct pay_lane *lane, struct pay_lane_row *ret_row,
                              struct pay_error *error) {
    uint8_t owner[PAY_OWNER_SIZE];
    bool missing = false;
    int64_t request_start, request_end, reply_start, reply_end;
    w->options.random(w->options.argument, owner, sizeof owner);
    enum pay_move move = w->ledger->ops->claim(w->ledger, lane->partition, owner, ret_row, &missing, error);
    if (move != PAY_OK || !missing) return move;
    move = w->stream->ops->request_bounds(w->stream, lane->partition, &request_start, &request_end, error);
    if (move == PAY_OK)
        move = w->stream->ops->reply_bounds(w->stream, lane->partition, &reply_start, &reply_end, error);
    if (move != PAY_OK) return move;
    if (request_start != 0 || reply_end != 0) {
        *error = (struct pay_error){
            .move = PAY_AGAIN,
            .text =
                "processed_offset has no row for it, but its logs aren't new: run `paybuf init`, or `paybuf recover`"};
        return PAY_AGAIN;
    }
    move = w->ledger->ops->create_row(w->ledger, lane->partition, error);
    if (move != PAY_OK) return move;
    *error = (struct pay_error){.move = PAY_AGAIN, .text = "its row was just created"};
    return PAY_AGAIN;
}

/* Step 3: L, E and the record at the anchor. Retention may pass the anchor between the two looks, so a missing one is looked at twice. */
static enum pay_move look_at_requests(struct pay_worker *w, int32_t partition, const struct pay_anchor *anchor,
                                      struct pay_claim_view *view, struct pay_error *error) {
    enum pay_move move =
        w->stream->ops->request_bounds(w->stream, partition, &view->request_start, &view->request_end, error);
    if (move != PAY_OK || !anchor->present || anchor->offset < view->request_start ||
        anchor->offset >= view->request_end)
        return move;
    view->anchor_read = true;
    move = w->stream->ops->read_anchor(w->stream, partition, anchor->offset, &view->anchor_seen, error);
    if (move != PAY_OK || view->anchor_seen.present) return move;
    return w->stream->ops->request_bounds(w->stream, partition, &view->request_start, &view->request_end, error);
}

/*
 * Is the row still of this owner and epoch? Asked after everything was looked at and before anything is halted: a claimer that
 * stood still in between judges with an old P, while another session settled and answered beyond it. As long as the row is mine
 * nobody has moved P. (Found by the simulator: a thawed claimer halted a healthy ledger.)
 */
static enum pay_move ask_still_mine(struct pay_worker *w, const struct pay_lane_row *row, bool *ret_mine,
                                    struct pay_error *error) {
    uint32_t count;
    enum pay_move move = w->ledger->ops->read_rows(w->ledger, w->rows_after, PAY_LANES_MAX, &count, error);
    if (move != PAY_OK) return move;
    *ret_mine = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct pay_lane_row *now = &w->rows_after[i];
        if (now->partition != row->partition) continue;
        *ret_mine = now->owner_epoch == row->owner_epoch && memcmp(now->owner, row->owner, sizeof now->owner) == 0;
    }
    return PAY_OK;
}

static void look_again(struct pay_worker *w, struct pay_lane *lane, enum pay_halt suspicion, const char *detail) {
    int64_t looked_ms = worker_clock_ms(w);
    pay_lane_suspect(lane, suspicion, looked_ms);
    worker_log(w, PAY_WORKER_WARNING, "partition %d looks like %s (%s); looks again in %d s", lane->partition,
               pay_halt_name(suspicion), detail, PAY_SUSPICION_MS / 1000);
    if (lane->state == PAY_LANE_OPEN)
        worker_end_lane(w, lane, looked_ms + PAY_SUSPICION_MS, "suspicion");
    else
        pay_lane_claim_again(lane, looked_ms + PAY_SUSPICION_MS);
}

/* A halt that isn't in the row yet. */
static void halt_by_verdict(struct pay_worker *w, struct pay_lane *lane, const struct pay_lane_row *row,
                            enum pay_halt reason, const char *detail) {
    struct pay_error error = {.text = "another session took it meanwhile"};
    bool mine = false;
    enum pay_move move = ask_still_mine(w, row, &mine, &error);
    if (move == PAY_OK && mine && reason == PAY_HALT_DATABASE_ROLLED_BACK) {
        if (lane->state != PAY_LANE_OPEN) pay_lane_claim_again(lane, w->now_ms + PAY_SUSPICION_MS);
        worker_halt_ledger(w, reason, detail);
        return;
    }
    if (move == PAY_OK && mine)
        move = w->ledger->ops->halt_lane(w->ledger, lane->partition, row->owner, row->owner_epoch, reason, &error);
    if (move == PAY_OK && mine)
        worker_halt_lane(w, lane, reason, detail);
    else if (move == PAY_SESSION_OVER)
        worker_end_session(w, &error);
    else if (lane->state == PAY_LANE_OPEN)
        worker_end_lane(w, lane, w->now_ms, error.text);
    else
        claim_later(w, lane, PAY_AGAIN, &error);
}

/* Step 4's consequences. True: the lane may be opened. */
static bool obey(struct pay_worker *w, struct pay_lane *lane, const struct pay_lane_row *row,
                 const struct pay_claim_verdict *verdict, const char *detail) {
    switch (verdict->move) {
    case PAY_CLAIM_OPEN: return true;
    case PAY_CLAIM_LOOK_AGAIN: look_again(w, lane, verdict->halt, detail); return false;
    case PAY_CLAIM_HALT: break;
    }
    bool untouched = row->halted != PAY_HALT_NONE || verdict->halt == PAY_HALT_OTHER_GROUP ||
                     verdict->halt == PAY_HALT_OTHER_CLUSTER;
    if (untouched)
        worker_halt_lane(w, lane, verdict->halt,
                         detail); /* in the row already, or none of this worker's business to write */
    else
        halt_by_verdict(w, lane, row, verdict->halt, detail);
    return false;
}

static enum pay_move open_slot(struct pay_worker *w, uint32_t slot, struct pay_error *error) {
    if (w->slot_open[slot]) return PAY_OK;
    enum pay_move move = w->stream->ops->open_publisher(w->stream, slot, error);
    w->slot_open[slot] = move == PAY_OK;
    return move;
}

static void claim_lane(struct pay_worker *w, struct pay_lane *lane) {
    struct pay_error error = {0};
    struct pay_lane_row row;
    struct pay_claim claim;
    struct pay_claim_view view = {0};
    enum pay_halt halted_before = lane->halt;
    w->counters.claims++;
    enum pay_move move = lock_row(w, lane, &row, &error);
    if (move == PAY_OK) pay_claim_begin(&claim, &row);
    if (move == PAY_OK)
        move = worker_read_reply_log(w, &claim, &view.reply_start, &view.reply_end, &error); /* step 2 */
    if (move == PAY_OK) move = look_at_requests(w, lane->partition, &row.anchor, &view, &error);
    if (move != PAY_OK) {
        claim_later(w, lane, move, &error);
        return;
    }
    view.suspected_before = pay_lane_suspected_before(lane, w->now_ms);
    struct pay_claim_verdict verdict = pay_claim_judge(&claim, &view);
    char detail[192];
    snprintf(detail, sizeof detail, "P %lld, R %lld, request log %lld..%lld, reply log %lld..%lld, n %lld, anchor %lld",
             (long long)row.next_offset, (long long)pay_claim_resume_from(&claim), (long long)view.request_start,
             (long long)view.request_end, (long long)view.reply_start, (long long)view.reply_end,
             (long long)claim.reader.next, row.anchor.present ? (long long)row.anchor.offset : -1LL);
    if (!obey(w, lane, &row, &verdict, detail)) return;
    if (!w->stream->ops->still_assigned(w->stream, lane->partition))
        return; /* step 5: the group's event is on its way */
    move = open_slot(w, w->slot_of[lane->partition], &error);
    if (move == PAY_OK) move = w->stream->ops->fetch(w->stream, lane->partition, verdict.resume_from, &error);
    if (move != PAY_OK) {
        claim_later(w, lane, move, &error);
        return;
    }
    pay_lane_open(lane, &claim, &verdict, w->now_ms);
    lane->fetching = true;
    w->session_of[lane->partition]++;
    worker_log(w, PAY_WORKER_INFO, "partition %d claimed%s: %s", lane->partition,
               halted_before != PAY_HALT_NONE ? " again after its halt was lifted" : "", detail);
}

/* One lane a pass: the others go on in between. */
void worker_claim_lanes(struct pay_worker *w) {
    if (!w->agreed || w->settle_in_flight || w->revoking || w->draining) return;
    for (uint32_t i = 0; i < w->lane_count; i++) {
        struct pay_lane *lane = &w->lanes[i];
        if ((lane->state != PAY_LANE_CLAIMING && lane->state != PAY_LANE_HALTED) || lane->claim_at_ms > w->now_ms)
            continue;
        claim_lane(w, lane);
        w->busy = true;
        return;
    }
}

bool worker_verify_anchor(struct pay_worker *w, struct pay_lane *lane) {
    struct pay_error error = {0};
    struct pay_claim_view view = {.suspected_before = pay_lane_suspected_before(lane, w->now_ms)};
    enum pay_move move = look_at_requests(w, lane->partition, &lane->anchor, &view, &error);
    if (move != PAY_OK) return false; /* the broker isn't there: nothing is settled before the anchor was seen */
    struct pay_claim_verdict verdict = pay_anchor_judge(lane->processed, &lane->anchor, &view);
    struct pay_lane_row row = {.partition = lane->partition, .owner_epoch = lane->owner_epoch};
    memcpy(row.owner, lane->owner, sizeof row.owner);
    char detail[128];
    snprintf(detail, sizeof detail, "P %lld, request log %lld..%lld, anchor %lld", (long long)lane->processed,
             (long long)view.request_start, (long long)view.request_end,
             lane->anchor.present ? (long long)lane->anchor.offset : -1LL);
    if (!obey(w, lane, &row, &verdict, detail)) return false;
    lane->verify_anchor = false;
    lane->anchor_seen_ms = w->now_ms;
    return true;
}
