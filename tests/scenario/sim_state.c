#include "sim_state.h"

#include "worker/worker_state.h"

#include <string.h>

#define LONGEST_BACKOFF_MS 5000 /* of a claim; who waits longer was fenced */

static const char *const state_names[SIM_STATES] = {
    [STATE_NOBODY] = "nobody",
    [STATE_CONNECTING] = "connecting",
    [STATE_LEDGER_HALTED] = "ledger-halted",
    [STATE_UNSETTLED] = "unsettled",
    [STATE_DRAINING] = "draining",
    [STATE_REVOKING] = "revoking",
    [STATE_LANE_HALTED] = "lane-halted",
    [STATE_SUSPECTING] = "suspecting",
    [STATE_FENCED_WAITS] = "fenced-waits",
    [STATE_CLAIM_WAITS] = "claim-waits",
    [STATE_CLAIM_LOCKS] = "claim-locks",
    [STATE_CLAIM_READS] = "claim-reads",
    [STATE_CLAIM_CHECKS] = "claim-checks",
    [STATE_CATCHING_UP] = "catching-up",
    [STATE_SETTLE_BEGUN] = "settle-begun",
    [STATE_SETTLE_FENCED] = "settle-fenced",
    [STATE_COMMIT_SENT] = "commit-sent",
    [STATE_COMMIT_UNREAD] = "commit-unread",
    [STATE_LETTER_DUE] = "letter-due",
    [STATE_REPLIES_IN_FLIGHT] = "replies-in-flight",
    [STATE_RECEIVED] = "received",
    [STATE_IDLE] = "idle",
};

const char *sim_state_name(enum sim_state state) { return state_names[state]; }

bool sim_state_find(const char *name, size_t length, enum sim_state *ret_state) {
    for (enum sim_state state = 0; state < SIM_STATES; state++) {
        if (strlen(state_names[state]) != length || memcmp(state_names[state], name, length) != 0) continue;
        *ret_state = state;
        return true;
    }
    return false;
}

/* The lane that a claim at work is about: the first that is due, as worker_claim_lanes takes them. */
static bool is_claimed_now(const struct pay_worker *w, const struct pay_lane *lane) {
    for (uint32_t i = 0; i < w->lane_count; i++) {
        const struct pay_lane *other = &w->lanes[i];
        if ((other->state == PAY_LANE_CLAIMING || other->state == PAY_LANE_HALTED) && other->claim_at_ms <= w->now_ms)
            return other == lane;
    }
    return false;
}

static enum sim_state of_claim(const struct rig_worker *worker, const struct pay_lane *lane) {
    const struct pay_worker *w = worker->worker;
    if (worker->fault.at != CALL_COUNT && w->agreed && is_claimed_now(w, lane)) {
        switch (worker->fault.at) {
        case CALL_CLAIM:
        case CALL_CREATE_ROW: return STATE_CLAIM_LOCKS;
        case CALL_REPLY_BOUNDS:
        case CALL_READ_REPLIES: return STATE_CLAIM_READS;
        case CALL_REQUEST_BOUNDS:
        case CALL_READ_ANCHOR:
        case CALL_READ_ROWS:
        case CALL_HALT_LANE:
        case CALL_OPEN_PUBLISHER:
        case CALL_FETCH: return STATE_CLAIM_CHECKS;
        default: break;
        }
    }
    if (lane->state == PAY_LANE_HALTED) return STATE_LANE_HALTED;
    if (lane->suspicion != PAY_HALT_NONE) return STATE_SUSPECTING;
    return lane->claim_at_ms - w->now_ms > LONGEST_BACKOFF_MS ? STATE_FENCED_WAITS : STATE_CLAIM_WAITS;
}

static bool is_fenced_in(const struct pay_worker *w, int32_t partition) {
    for (uint32_t i = 0; i < w->fence_count; i++) {
        if (w->fences[i].partition == partition) return true;
    }
    return false;
}

static enum sim_state of_settle(const struct rig_worker *worker) {
    const struct fake_connection *connection = worker->ledger->connection;
    if (connection == NULL || connection->ended)
        return STATE_COMMIT_UNREAD; /* something has ended, and it doesn't know */
    switch (connection->transaction.state) {
    case TRANSACTION_READY: return STATE_SETTLE_FENCED;
    case TRANSACTION_WRITING: return STATE_COMMIT_SENT;
    case TRANSACTION_COMMITTED: return STATE_COMMIT_UNREAD;
    default: return STATE_SETTLE_BEGUN;
    }
}

static bool letter_due_in(const struct work *work, int32_t partition) {
    for (uint32_t i = 0; work != NULL && i < work->batch.count; i++) {
        if (work->letter_due[i] && work->batch.records[i].position.partition == partition) return true;
    }
    return false;
}

static bool letter_due(const struct pay_worker *w, int32_t partition) {
    for (uint32_t i = 0; i < w->publishing_count; i++) {
        if (letter_due_in(w->publishing[i], partition)) return true;
    }
    return letter_due_in(w->settling, partition) || letter_due_in(w->filling, partition);
}

static enum sim_state of_open(const struct rig_worker *worker, const struct pay_lane *lane) {
    const struct pay_worker *w = worker->worker;
    if (lane->replaying && lane->received < lane->claimed_processed) return STATE_CATCHING_UP;
    if (w->settle_in_flight && is_fenced_in(w, lane->partition)) return of_settle(worker);
    if (lane->unreplied == 0) return STATE_IDLE;
    if (letter_due(w, lane->partition)) return STATE_LETTER_DUE;
    return lane->covers_from > lane->replied_offset ? STATE_REPLIES_IN_FLIGHT : STATE_RECEIVED;
}

enum sim_state sim_state_of(const struct rig_worker *worker, int32_t partition) {
    const struct pay_worker *w = worker->worker;
    if (!worker->alive) return STATE_NOBODY;
    if (!w->stream_open || !w->connected) return STATE_CONNECTING;
    if (partition >= (int32_t)w->lane_count || w->lanes[partition].state == PAY_LANE_UNASSIGNED) return STATE_NOBODY;
    if (!w->agreed) return w->books.halted ? STATE_LEDGER_HALTED : STATE_UNSETTLED;
    if (worker->stopping) return STATE_DRAINING;
    if (w->revoking) return STATE_REVOKING;
    const struct pay_lane *lane = &w->lanes[partition];
    return lane->state == PAY_LANE_OPEN ? of_open(worker, lane) : of_claim(worker, lane);
}

enum sim_state sim_state_of_lane(const struct rig *rig, int32_t partition) {
    enum sim_state found = STATE_NOBODY;
    for (uint32_t i = 0; i < RIG_WORKERS_MAX; i++) {
        enum sim_state state = sim_state_of(&rig->workers[i], partition);
        if (state > found) found = state; /* two have it while a zombie sleeps: the one that is further */
    }
    return found;
}
