#include "core/lane.h"

#include "core/limits.h"

#include <assert.h>
#include <string.h>

static const char *const state_names[] = {[PAY_LANE_UNASSIGNED] = "unassigned",
                                          [PAY_LANE_CLAIMING] = "claiming",
                                          [PAY_LANE_OPEN] = "open",
                                          [PAY_LANE_HALTED] = "halted"};

/* Which moves exist; every other one is a programmer's error. HALTED opens when a claim finds that a person lifted the halt. */
static const bool allowed[4][4] = {
    [PAY_LANE_UNASSIGNED] = {[PAY_LANE_UNASSIGNED] = true, [PAY_LANE_CLAIMING] = true},
    [PAY_LANE_CLAIMING] = {true, true, true, true},
    [PAY_LANE_OPEN] = {[PAY_LANE_UNASSIGNED] = true, [PAY_LANE_CLAIMING] = true, [PAY_LANE_HALTED] = true},
    [PAY_LANE_HALTED] = {true, true, true, true}};

static void move(struct pay_lane *lane, enum pay_lane_state to) {
    assert(allowed[lane->state][to]);
    lane->state = to;
}

static void hold_invariants(const struct pay_lane *lane) {
    assert(lane->state == PAY_LANE_OPEN);
    assert(lane->replied_offset <= lane->covers_from && lane->covers_from <= lane->processed);
    assert(lane->replaying || lane->processed <= lane->received);
}

const char *pay_lane_state_name(enum pay_lane_state state) { return state_names[state]; }

void pay_lane_init(struct pay_lane *lane, int32_t partition) { *lane = (struct pay_lane){.partition = partition}; }

void pay_lane_assign(struct pay_lane *lane, int64_t claim_at_ms) {
    assert(lane->state == PAY_LANE_UNASSIGNED); /* what it had was ended before */
    pay_lane_init(lane, lane->partition);
    move(lane, PAY_LANE_CLAIMING);
    lane->claim_at_ms = claim_at_ms;
}

void pay_lane_unassign(struct pay_lane *lane) {
    move(lane, PAY_LANE_UNASSIGNED);
    lane->fetching = false;
}

void pay_lane_open(struct pay_lane *lane, const struct pay_claim *claim, const struct pay_claim_verdict *verdict,
                   int64_t now_ms) {
    const struct pay_lane_row *row = &claim->row;
    assert(verdict->move == PAY_CLAIM_OPEN && verdict->resume_from <= row->next_offset);
    move(lane, PAY_LANE_OPEN);
    *lane = (struct pay_lane){
        .partition = lane->partition,
        .state = PAY_LANE_OPEN,
        .owner_epoch = row->owner_epoch,
        .log_generation = row->log_generation,
        .resume_from = verdict->resume_from,
        .received = verdict->resume_from,
        .claim_attempts = lane->claim_attempts,
        .last_record = -1,
        .last_below = -1,
        .replaying = verdict->resume_from < row->next_offset,
        .claimed_processed = row->next_offset,
        .processed = row->next_offset,
        .anchor = row->anchor,
        .settled_replied_offset = row->replied_offset,
        .settled_reply_position = row->reply_position,
        .covers_from = claim->reader.next, /* n, never a position behind a hole */
        .replied_offset = claim->replied_offset,
        .reply_position = claim->reply_position,
        .last_ack_offset = -1,
        .anchor_seen_ms = now_ms,
        .heard_ms = now_ms,
    };
    memcpy(lane->owner, row->owner, sizeof lane->owner);
    hold_invariants(lane);
}

void pay_lane_claim_again(struct pay_lane *lane, int64_t claim_at_ms) {
    assert(lane->state != PAY_LANE_UNASSIGNED);
    move(lane, PAY_LANE_CLAIMING);
    lane->fetching = false;
    lane->claim_attempts++;
    lane->claim_at_ms = claim_at_ms;
}

void pay_lane_halt(struct pay_lane *lane, enum pay_halt halt) {
    assert(halt != PAY_HALT_NONE);
    move(lane, PAY_LANE_HALTED);
    lane->fetching = false;
    lane->halt = halt;
}

enum pay_halt pay_lane_suspected_before(const struct pay_lane *lane, int64_t now_ms) {
    return now_ms - lane->suspicion_since_ms >= PAY_SUSPICION_MS ? lane->suspicion : PAY_HALT_NONE;
}

void pay_lane_suspect(struct pay_lane *lane, enum pay_halt suspicion, int64_t now_ms) {
    if (lane->suspicion == suspicion) return;
    lane->suspicion = suspicion;
    lane->suspicion_since_ms = now_ms;
}

/* Settling begins: what was delivered last below P must be the anchor (nothing, where nothing had to be delivered). */
static bool leave_replay(struct pay_lane *lane) {
    lane->replaying = false;
    if (!lane->anchor.present || lane->anchor.offset < lane->resume_from) return lane->last_below < 0;
    return lane->last_below == lane->anchor.offset;
}

enum pay_lane_receive pay_lane_receive(struct pay_lane *lane, int64_t offset) {
    hold_invariants(lane);
    if (offset < lane->received) return PAY_RECEIVE_DROP;
    lane->received = offset + 1;
    lane->last_record = offset;
    if (offset < lane->claimed_processed) {
        lane->last_below = offset;
        lane->unreplied++;
        return PAY_RECEIVE_ANSWER;
    }
    if (lane->replaying && !leave_replay(lane)) return PAY_RECEIVE_NOT_ANCHOR;
    lane->unreplied++;
    return PAY_RECEIVE_SETTLE;
}

bool pay_lane_receive_end(struct pay_lane *lane, int64_t position) {
    hold_invariants(lane);
    if (position < lane->received) return true; /* of an earlier fetch */
    lane->received = position;
    lane->end_position = position;
    if (position < lane->claimed_processed) return true;
    return !lane->replaying || leave_replay(lane);
}

bool pay_lane_has_room(const struct pay_lane *lane) { return lane->unreplied < PAY_LANE_UNREPLIED_MAX; }

void pay_lane_committed(struct pay_lane *lane, int64_t processed, const struct pay_anchor *anchor,
                        int64_t replied_offset, int64_t reply_position) {
    assert(processed >= lane->processed);
    assert(processed == lane->processed || processed <= lane->received); /* while it replays only the pair moves */
    assert(!anchor->present || anchor->offset < processed);
    assert(replied_offset <= lane->replied_offset);
    lane->processed = processed;
    lane->anchor = *anchor;
    lane->settled_replied_offset = replied_offset;
    lane->settled_reply_position = reply_position;
    hold_invariants(lane);
}

int64_t pay_lane_reply_sent(struct pay_lane *lane, int64_t source_offset) {
    assert(source_offset < lane->processed);    /* money before message */
    assert(source_offset >= lane->covers_from); /* in order, each once */
    int64_t covers_from = lane->covers_from;
    lane->covers_from = source_offset + 1;
    lane->unacknowledged++;
    hold_invariants(lane);
    return covers_from;
}

bool pay_lane_acknowledged(struct pay_lane *lane, bool failed, int64_t log_offset, int64_t source_offset) {
    if (failed || log_offset < 0 || log_offset <= lane->last_ack_offset) return false;
    if (source_offset < lane->replied_offset || source_offset >= lane->covers_from || lane->unacknowledged == 0)
        return false; /* not sent, or acknowledged before */
    lane->last_ack_offset = log_offset;
    lane->claim_attempts = 0;
    lane->replied_offset = source_offset + 1;
    lane->reply_position = log_offset + 1;
    assert(lane->unreplied > 0);
    lane->unreplied--;
    lane->unacknowledged--;
    hold_invariants(lane);
    return true;
}

int64_t pay_lane_rest_position(const struct pay_lane *lane) {
    bool at_the_end = lane->end_position == lane->received && lane->last_record < lane->processed;
    return at_the_end && lane->end_position > lane->processed ? lane->end_position : lane->processed;
}

bool pay_lane_rest_due(const struct pay_lane *lane) {
    return pay_lane_rest_position(lane) != lane->processed || lane->replied_offset != lane->settled_replied_offset ||
           lane->reply_position != lane->settled_reply_position;
}
