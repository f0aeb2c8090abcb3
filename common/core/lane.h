/*
 * lane.h - one worker's ownership of one request partition: which offsets are received, settled, answered, acknowledged.
 *
 * Invariants (asserted at every move) while open: replied_offset <= covers_from <= processed, and processed <= received but
 * for the time of a replay, when the records of [R, P) come again; offsets strictly increase; a reply is sent only for a settled record (money before message), in order, each once.
 * Every wait is the caller's: times come in as values. Memory: plain struct. Threads: one at a time.
 */
#ifndef PAY_CORE_LANE_H
#define PAY_CORE_LANE_H

#include "core/claim.h"
#include "core/limits.h"

enum pay_lane_state {
    PAY_LANE_UNASSIGNED, /* the group gave it to somebody else, or to nobody */
    PAY_LANE_CLAIMING,   /* mine by the group; to be claimed at claim_at_ms or later */
    PAY_LANE_OPEN,       /* claimed: receiving, settling, answering */
    PAY_LANE_HALTED      /* stands still until a person has looked; still assigned */
};

struct pay_lane {
    int32_t partition;
    enum pay_lane_state state;
    enum pay_halt halt;
    uint32_t claim_attempts; /* in a row without an acknowledged reply: the backoff's exponent */
    int64_t claim_at_ms;
    enum pay_halt suspicion; /* seen once; believed at the second look, 10 s later */
    int64_t suspicion_since_ms;

    /* the session: set by pay_lane_open, void when not OPEN */
    uint8_t owner[PAY_OWNER_SIZE];
    int64_t owner_epoch;
    int64_t log_generation;
    int64_t resume_from;       /* R at the claim */
    int64_t received;          /* the next offset not yet received; a record below it is a redelivery and dropped */
    int64_t last_record;       /* offset of the last record received, -1 none */
    int64_t end_position;      /* position of the last end of partition event; 0 before the first */
    int64_t last_below;        /* last record delivered below P, -1 none: must be the anchor when settling begins */
    bool replaying;            /* still below the P of the claim */
    int64_t claimed_processed; /* P at the claim */
    int64_t processed;         /* P as committed */
    struct pay_anchor anchor;  /* as committed */
    int64_t settled_replied_offset; /* the pair as committed in the row */
    int64_t settled_reply_position;
    int64_t covers_from;    /* c of the next reply to be sent */
    int64_t replied_offset; /* the pair to write: last acknowledged reply */
    int64_t reply_position;
    int64_t last_ack_offset;       /* largest log offset acknowledged on this handle, -1 before the first */
    uint32_t unreplied;            /* received and not acknowledged */
    uint32_t unacknowledged;       /* replies sent and not acknowledged */
    int64_t unacknowledged_ms;     /* when the first of them was sent, or the last one before was acknowledged */
    uint32_t dead_letters_missing; /* dead letters sent and not yet acknowledged */
    int64_t blocked_since_ms;      /* its first reply can't go out since then (dead letter, full queue); 0 when not */
    bool fetching;                 /* the stream delivers it */
    bool verify_anchor;            /* read the anchor again before the next settle */
    int64_t anchor_seen_ms;        /* when it was last verified */
    int64_t heard_ms;              /* when the last record was delivered, or the claim */
};

void pay_lane_init(struct pay_lane *lane, int32_t partition);
const char *pay_lane_state_name(enum pay_lane_state state);

/* The group gave it (unassigned before) to this worker: claim it from claim_at_ms on. */
void pay_lane_assign(struct pay_lane *lane, int64_t claim_at_ms);
void pay_lane_unassign(struct pay_lane *lane);

/* The claim succeeded. */
void pay_lane_open(struct pay_lane *lane, const struct pay_claim *claim, const struct pay_claim_verdict *verdict,
                   int64_t now_ms);
/* The claim wants another look, the session ended, or a halt may have been lifted: claim again from claim_at_ms on. */
void pay_lane_claim_again(struct pay_lane *lane, int64_t claim_at_ms);
void pay_lane_halt(struct pay_lane *lane, enum pay_halt halt);

/* The suspicion that was first seen PAY_SUSPICION_MS or longer ago; NONE otherwise. */
enum pay_halt pay_lane_suspected_before(const struct pay_lane *lane, int64_t now_ms);
/* Remembers a suspicion; the clock of one already held goes on. */
void pay_lane_suspect(struct pay_lane *lane, enum pay_halt suspicion, int64_t now_ms);

enum pay_lane_receive {
    PAY_RECEIVE_DROP,   /* below `received`: a redelivery */
    PAY_RECEIVE_ANSWER, /* below P: reply only, its answer is looked up */
    PAY_RECEIVE_SETTLE,
    PAY_RECEIVE_NOT_ANCHOR /* the last record below P isn't the anchor: log_replaced */
};
/* A record arrived. ANSWER and SETTLE count it as unreplied. */
enum pay_lane_receive pay_lane_receive(struct pay_lane *lane, int64_t offset);
/* The end of the partition lies at `position`. False: the last record below P isn't the anchor (log_replaced). */
bool pay_lane_receive_end(struct pay_lane *lane, int64_t position);

/* More records may be fetched for this lane. */
bool pay_lane_has_room(const struct pay_lane *lane);

/* The settle that was fenced with these values committed. */
void pay_lane_committed(struct pay_lane *lane, int64_t processed, const struct pay_anchor *anchor,
                        int64_t replied_offset, int64_t reply_position);

/* A reply for `source_offset` goes out: answers its covers-from. Asserts source_offset < processed. */
int64_t pay_lane_reply_sent(struct pay_lane *lane, int64_t source_offset);

/* A delivery report. False: not an honest acknowledgement (failed, no offset, or not larger than the last): the session is over. */
bool pay_lane_acknowledged(struct pay_lane *lane, bool failed, int64_t log_offset, int64_t source_offset);

/* The P that an empty batch would write now: the end position when everything received is settled, else processed. */
int64_t pay_lane_rest_position(const struct pay_lane *lane);
/* True when an empty batch would change P or the replied pair. */
bool pay_lane_rest_due(const struct pay_lane *lane);

#endif
