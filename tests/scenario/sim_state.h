/*
 * sim_state.h - where a lane stands, as one word: what a fault meets when it strikes.
 *
 * Read from the outside, from the worker's state, its port call at work and the server's side of its settle; the first that fits
 * in the order below. Memory: none. Threads: one.
 */
#ifndef PAY_TESTS_SIM_STATE_H
#define PAY_TESTS_SIM_STATE_H

#include "rig.h"

/* clang-format off */
enum sim_state {
    STATE_NOBODY,           /* no living worker has the lane */
    STATE_CONNECTING,       /* its worker isn't connected */
    STATE_LEDGER_HALTED,
    STATE_UNSETTLED,        /* connected, the incarnation isn't agreed on */
    STATE_DRAINING,         /* its worker was told to end */
    STATE_REVOKING,         /* the group waits to get it back */
    STATE_LANE_HALTED,
    STATE_SUSPECTING,       /* looks again in 10 s */
    STATE_FENCED_WAITS,     /* lost it to another session, and waits for the group's word */
    STATE_CLAIM_WAITS,      /* to be claimed soon */
    STATE_CLAIM_LOCKS,      /* in the claim: locking the row */
    STATE_CLAIM_READS,      /* in the claim: R by reading */
    STATE_CLAIM_CHECKS,     /* in the claim: bounds, anchor, still mine; opening the producer, fetching */
    STATE_CATCHING_UP,      /* [R, P) is answered again */
    STATE_SETTLE_BEGUN,     /* the first half is sent: locks */
    STATE_SETTLE_FENCED,    /* the server holds fence and accounts and waits for the second half */
    STATE_COMMIT_SENT,      /* the second half is sent, the server hasn't run it */
    STATE_COMMIT_UNREAD,    /* the server has run it, the worker doesn't know */
    STATE_LETTER_DUE,       /* a reply waits for its dead letter */
    STATE_REPLIES_IN_FLIGHT,
    STATE_RECEIVED,         /* has records, settles nothing yet */
    STATE_IDLE,
    SIM_STATES
};
/* clang-format on */

const char *sim_state_name(enum sim_state state);
bool sim_state_find(const char *name, size_t length, enum sim_state *ret_state);

/* Of this worker's lane. NOBODY: it hasn't got it. */
enum sim_state sim_state_of(const struct rig_worker *worker, int32_t partition);
/* Of the lane, whoever has it. */
enum sim_state sim_state_of_lane(const struct rig *rig, int32_t partition);

#endif
