/*
 * worker_state.h - the worker's insides. loop.c calls the steps, one file each; the steps call session.c (how sessions
 * end) and works.c. Not for anybody else.
 *
 * Records travel through at most WORKS works: one is filled, one is settled, the others wait for their replies to be taken by
 * a producer. A record belongs to the session of its lane in which it was received: when that session is over (session number
 * moved on), the record is skipped everywhere, and comes again after the next claim.
 */
#ifndef PAY_WORKER_WORKER_STATE_H
#define PAY_WORKER_WORKER_STATE_H

#include "core/batch.h"
#include "core/lane.h"
#include "core/retry.h"
#include "worker/worker.h"

#define WORKS                                                                                                          \
    6 /* one filled, one settled, one published; the rest may be held by a lane that waits for a dead letter */
#define ARENA_BYTES ((size_t)PAY_BATCH_RECORDS_MAX * 256 + PAY_VALUE_MAX)

/* A batch on its way, with the bytes that its records point to. */
struct work {
    struct pay_batch batch;
    uint32_t session[PAY_BATCH_RECORDS_MAX]; /* lane session in which a record was received */
    bool letter_due[PAY_BATCH_RECORDS_MAX];  /* its dead letter isn't acknowledged yet */
    bool done[PAY_BATCH_RECORDS_MAX];        /* its reply is with a producer, or isn't ours to send any more */
    uint32_t next;                           /* first record not done */
    size_t arena_used;
    char arena[ARENA_BYTES]; /* metadata and traceparents */
};

struct pay_worker {
    struct pay_worker_options options;
    struct pay_ledger *ledger;
    struct pay_stream *stream;
    struct pay_worker_counters counters;
    int64_t now_ms; /* of this pass */

    /* the connection and what it agreed on */
    bool refused; /* a precondition fails and nothing was claimed yet */
    char refusal[PAY_ERROR_TEXT_MAX];
    bool stream_open;
    bool connected;
    bool agreed; /* the ledger isn't halted and its incarnation is this server's */
    uint32_t connect_attempts;
    int64_t connect_at_ms;
    int64_t agree_at_ms; /* look at the ledger row again, or compare after a restart, from then on */
    bool comparing;      /* waiting for replies on the wire before the comparison */
    int64_t looked_ms;   /* when the idle connection was looked at */
    struct pay_ledger_row books;

    struct pay_lane_row rows_before[PAY_LANES_MAX],
        rows_after[PAY_LANES_MAX]; /* of comparisons: too large for the stack */
    struct pay_claim comparisons[PAY_LANES_MAX];

    /* lanes, by partition */
    bool joined; /* the group has answered once */
    uint32_t lane_count;
    struct pay_lane lanes[PAY_LANES_MAX];
    uint32_t session_of[PAY_LANES_MAX];
    uint32_t slot_of[PAY_LANES_MAX];
    bool stuck[PAY_LANES_MAX];          /* in this pass: its next reply can't go out yet */
    bool slot_open[PAY_PUBLISHERS_MAX]; /* the reply producers */

    int64_t trouble_told_ms;
    bool revoking; /* the group waits for confirm_revoked */
    int64_t revoke_deadline_ms;
    bool draining;

    /* works */
    struct work *works[WORKS];
    struct work *filling;
    struct work *settling;
    struct work *publishing[WORKS]; /* oldest first */
    uint32_t publishing_count;

    /* the settle in flight */
    bool settle_in_flight;
    bool settle_written;      /* the second half was sent: it may commit whatever happens here */
    bool slice_chosen;        /* settling->batch has a slice that isn't answered yet */
    int64_t settle_at_ms;     /* redo not before */
    int64_t settle_looked_ms; /* when it was last looked at: the loop may have been frozen since */
    struct pay_retry retry;
    struct pay_fence fences[PAY_LANES_MAX];
    uint32_t fence_session[PAY_LANES_MAX];
    uint32_t fence_count;
    int64_t rested_at_ms;
    bool wants_records; /* the last look for records found none, and there is room */
    bool busy;          /* this pass did something: no sleep before the next */
};

/* group.c */
void worker_observe_group(struct pay_worker *w);
void worker_finish_revoke(struct pay_worker *w);

/* session.c: connection, agreement, and how sessions end */
void worker_connect(struct pay_worker *w);
void worker_close_all_slots(struct pay_worker *w);
/* Folds the reply partition, up to the high watermark taken at the start, into a claim: R by reading, not by peeking. */
enum pay_move worker_read_reply_log(struct pay_worker *w, struct pay_claim *claim, int64_t *ret_start, int64_t *ret_end,
                                    struct pay_error *error);
void worker_end_session(struct pay_worker *w, const struct pay_error *why); /* of all lanes: reconnect */
void worker_end_slot(struct pay_worker *w, uint32_t slot, const char *why); /* of the lanes of one producer */
void worker_end_lane(struct pay_worker *w, struct pay_lane *lane, int64_t claim_at_ms,
                     const char *why); /* of a lane, and of those that share its producer */
void worker_halt_lane(struct pay_worker *w, struct pay_lane *lane, enum pay_halt reason, const char *detail);
void worker_halt_ledger(struct pay_worker *w, enum pay_halt reason, const char *detail);

/* claiming.c */
void worker_claim_lanes(struct pay_worker *w);
bool worker_verify_anchor(struct pay_worker *w,
                          struct pay_lane *lane); /* false: the lane isn't open any more, or must wait */

/* receiving.c */
void worker_receive(struct pay_worker *w);

/* settling.c */
void worker_settle(struct pay_worker *w);

/* publishing.c */
void worker_publish(struct pay_worker *w);
void worker_free_a_work(
    struct pay_worker *w); /* all are on their way: a lane that holds one back gives its session up */
void worker_acknowledge(struct pay_worker *w);
void worker_send_dead_letter(struct pay_worker *w, const struct pay_log_record *raw, const struct pay_record *record);

/* works.c: what every step uses */
void worker_stop_fetch(struct pay_worker *w, struct pay_lane *lane);
void worker_stop_all_fetches(struct pay_worker *w);
void worker_doubt_anchors(struct pay_worker *w); /* each is read again before its lane's next settle */
uint32_t worker_random(struct pay_worker *w);
void worker_log(struct pay_worker *w, enum pay_worker_log level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct work *worker_take_work(struct pay_worker *w); /* an empty work, NULL when all are on their way */
void worker_drop_works(struct pay_worker *w);        /* everything on its way is forgotten */
bool worker_current(const struct pay_worker *w, const struct work *work, uint32_t record);
bool worker_quiet(const struct pay_worker *w); /* nothing received that isn't settled and acknowledged */

/* The clock itself, for waits that begin with something seen just now: now_ms is the pass's, and a pass may have stood still. */
static inline int64_t worker_clock_ms(const struct pay_worker *w) { return w->options.now_ms(w->options.argument); }

static inline struct pay_lane *worker_lane(struct pay_worker *w, int32_t partition) {
    return partition >= 0 && (uint32_t)partition < w->lane_count ? &w->lanes[partition] : NULL;
}

#endif
