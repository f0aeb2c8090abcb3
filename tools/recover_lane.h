/*
 * recover_lane.h - one lane as the protocol's claim sees it, without taking it: what is wrong, and where a new start would be.
 *
 * Sequence: lane_case_read; then, where the request log is another or a shorter one, lane_case_find_cut. The checks are the core's
 * (core/claim.h), the same that a worker makes.
 * Memory: plain struct. Threads: one.
 */
#ifndef PAY_TOOLS_RECOVER_LANE_H
#define PAY_TOOLS_RECOVER_LANE_H

#include "tools/recover.h"

struct lane_case {
    struct recover *recover;
    int32_t partition;
    struct pay_lane_row row; /* as stored; row.halted is what the workers found */
    char group[256], cluster[64];
    struct pay_claim claim;
    struct pay_claim_view view;
    enum pay_halt found; /* what the claim's checks say now, halted_reason aside; NONE: the lane could be opened */
    int64_t resume_from; /* R */
    int64_t cut;         /* lane_case_find_cut: records below it are those that were settled; at and above it others */
    struct pay_reader kept; /* lane_case_find_pair's, over what is left of the reply log */
    int64_t kept_until, kept_position;
    int64_t compared; /* request records that were compared with their replies */
};

/* Reads row, reply log, bounds and anchor. `patient`: a truncation that the row doesn't know yet is looked at twice, 10 s apart. */
enum pay_exit lane_case_read(struct lane_case *lane, struct recover *recover, int32_t partition, bool patient);

/* The pair that what is left of the reply log proves: behind its last reply that readers take; 0 and 0 where there is none. */
enum pay_exit lane_case_find_pair(struct lane_case *lane, int64_t *ret_replied_offset, int64_t *ret_reply_position);

/* The first record of the request log that isn't the one its reply was for; the first unanswered one where all are. */
enum pay_exit lane_case_find_cut(struct lane_case *lane);

/* Opens the lane with `row` where nobody moved it since it was read. */
enum pay_exit recover_set_lane(const struct lane_case *lane, const struct pay_lane_row *row);

#endif
