/*
 * claim.h - taking over a lane: what was answered (R by reading, not by peeking) and every check of PROTOCOL section 1.
 *
 * Sequence: the caller locks and reads the row; pay_claim_begin; one pay_claim_reply per record read from the reply partition,
 * from pay_claim_scan_from to the high watermark taken at the start; fills the rest of the view; pay_claim_judge.
 * Pure: no clock ("twice 10 s apart" comes in as suspected_before). Memory: plain values. Threads: any.
 */
#ifndef PAY_CORE_CLAIM_H
#define PAY_CORE_CLAIM_H

#include "core/outcome.h"
#include "core/reader.h"

#include <stdbool.h>
#include <stdint.h>

#define PAY_OWNER_SIZE 16

/* The last data record below P, as the broker gave it. */
struct pay_anchor {
    bool present;
    int64_t offset;
    int64_t timestamp_ms;
    uint32_t crc32c;
};

/* A row of `processed_offset` as far as the protocol needs it. */
struct pay_lane_row {
    int32_t partition;
    int64_t log_generation;
    int64_t next_offset;    /* P */
    int64_t replied_offset; /* source offset of an acknowledged reply + 1; 0 before the first */
    int64_t reply_position; /* that reply's log offset + 1 */
    uint8_t owner[PAY_OWNER_SIZE];
    int64_t owner_epoch;
    struct pay_anchor anchor;
    bool same_group;   /* group_id is this worker's, or not set yet */
    bool same_cluster; /* likewise cluster_id */
    enum pay_halt halted;
};

/* What a claim reads of one record of the reply log. */
struct pay_reply_mark {
    bool ours;          /* has all of our headers, well formed; others are skipped and counted */
    bool same_ledger;   /* ledger-id is this ledger's */
    int64_t log_offset; /* where the reply lies in the reply log */
    int64_t source_offset;
    int64_t covers_from;
    int64_t log_generation;
};

struct pay_claim {
    struct pay_lane_row row;
    struct pay_reader reader; /* reader.next is n */
    int64_t replied_offset;   /* the best pair known: of the row, or of the last reply taken */
    int64_t reply_position;
    int64_t foreign_records;       /* skipped: not our kind of headers */
    int64_t largest_source_offset; /* of our replies in this generation, -1 none */
    bool answered_beyond;          /* a reply of ours with source offset >= P, or of a later generation */
    bool foreign_ledger;
};

/* What the claimer saw beside the replies. */
struct pay_claim_view {
    int64_t request_start;          /* L */
    int64_t request_end;            /* E, by a read_uncommitted handle */
    int64_t reply_start;            /* first offset of the reply partition */
    int64_t reply_end;              /* its high watermark */
    bool anchor_read;               /* the record at the anchor was looked for */
    struct pay_anchor anchor_seen;  /* present = false: no record at that offset */
    enum pay_halt suspected_before; /* the truncation that was seen 10 s ago or earlier, NONE otherwise */
};

enum pay_claim_move { PAY_CLAIM_OPEN, PAY_CLAIM_LOOK_AGAIN, PAY_CLAIM_HALT };

struct pay_claim_verdict {
    enum pay_claim_move move;
    enum pay_halt halt;  /* for HALT, and what is suspected for LOOK_AGAIN */
    int64_t resume_from; /* R, for OPEN: consume from here */
};

void pay_claim_begin(struct pay_claim *claim, const struct pay_lane_row *row);

/* Where to start reading the reply partition: the row's reply_position, or the log's start where that is above. */
int64_t pay_claim_scan_from(const struct pay_claim *claim, int64_t reply_start);

void pay_claim_reply(struct pay_claim *claim, const struct pay_reply_mark *mark);

/* R after all replies were read: P where no data record below P can be unanswered, else n. */
int64_t pay_claim_resume_from(const struct pay_claim *claim);

/* True when the anchor must be read before judging: there is one, and the log still holds its offset (L <= anchor < E). */
bool pay_claim_wants_anchor(const struct pay_claim *claim, const struct pay_claim_view *view);

struct pay_claim_verdict pay_claim_judge(const struct pay_claim *claim, const struct pay_claim_view *view);

/* verify_anchor between claims: L above the anchor is fine while P >= L. `judged` as pay_claim_judge does for the log's part only. */
struct pay_claim_verdict pay_anchor_judge(int64_t processed, const struct pay_anchor *anchor,
                                          const struct pay_claim_view *view);

#endif
