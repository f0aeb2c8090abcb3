/*
 * lanes.h - every lane as database and broker know it: L, P, R, E, owner, why it is halted. For status and audit.
 * Threads: one. Memory: the caller frees with lanes_free.
 */
#ifndef PAY_TOOLS_LANES_H
#define PAY_TOOLS_LANES_H

#include "tools/tool.h"

struct lane_view {
    int32_t partition;
    bool has_row; /* in processed_offset */
    int64_t generation;
    int64_t processed;      /* P */
    int64_t replied_offset; /* R's lower bound as stored */
    int64_t reply_position;
    char owner[33]; /* hex; "" before the first claim */
    int64_t owner_epoch;
    char group[128];
    char halted[32]; /* reason, or "" */
    char updated_at[40];
    int64_t anchor_offset; /* the last data record below P; -1: none */

    bool has_bounds;                    /* of the request partition: the broker was asked */
    int64_t request_start, request_end; /* L, E (high watermark) */
    int64_t reply_start, reply_end;
    int64_t first_unsettled_ms; /* broker's time of the first record at or above P; -1: none, or not known */
    bool age_unknown;           /* it was asked for, and the broker didn't tell */
};

struct lanes {
    struct lane_view *all; /* by partition, 0..count-1 */
    int32_t count;
};

/* The rows. On an open transaction they belong to its snapshot. */
enum pay_exit lanes_read(struct tool *tool, struct pay_pg *pg, struct lanes *lanes);
/* The bounds of one topic; `lanes` grows to its partitions. `reader` must be read_uncommitted. */
enum pay_exit lanes_reply_bounds(struct tool *tool, struct pay_kafka_reader *reader, int32_t partitions,
                                 struct lanes *lanes);
enum pay_exit lanes_request_bounds(struct tool *tool, struct pay_kafka_reader *reader, int32_t partitions,
                                   struct lanes *lanes);
/* When the first unsettled record of each lane was appended; gives up after a while, and leaves age_unknown where it did. `reader`
   must be read_committed. */
enum pay_exit lanes_ages(struct tool *tool, struct pay_kafka_reader *reader, struct lanes *lanes);
void lanes_free(struct lanes *lanes);

#endif
