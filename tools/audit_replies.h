/*
 * audit_replies.h - the replies of one lane in the order a reader takes them, up to the end that was read at the start.
 *
 * Sequence: replies_begin; replies_next until it answers none; replies_end. A gap that the log itself closes later (a replay)
 * is none; one that stays is a difference, and reading goes on behind it. Copies must equal the reply that was taken.
 * Memory: a reply's record lives until the next call.
 * Threads: one.
 */
#ifndef PAY_TOOLS_AUDIT_REPLIES_H
#define PAY_TOOLS_AUDIT_REPLIES_H

#include "codec/reply_headers.h"
#include "core/reader.h"
#include "tools/audit.h"

#define COPIES_REMEMBERED                                                                                              \
    65536 /* source offsets whose fingerprint is known: copies of sessions that \ overlapped are near */

struct audit_replies {
    struct audit *audit;
    struct audit_lane *lane;
    struct pay_reader rule;
    bool in_the_middle; /* began where retention had deleted replies */
    bool older; /* replies of an earlier log generation were there: what lies below the new start was answered then */
    bool open;  /* the partition is being read */
    bool gap;
    int64_t gap_offset, gap_until;
    int64_t told_until;               /* reply offsets below it were read before, and what is wrong with them told */
    struct pay_reply_headers headers; /* of the reply that was taken last */
    struct pay_log_record record;
    struct audit_digest digest; /* of the replies that were taken */
    struct {
        int64_t offset;
        uint32_t crc;
    } copies[COPIES_REMEMBERED];
};

enum pay_exit replies_begin(struct audit_replies *replies, struct audit *audit, struct audit_lane *lane);
/* *ret_taken: whether there was another one. */
enum pay_exit replies_next(struct audit_replies *replies, bool *ret_taken);

void replies_end(struct audit_replies *replies);

/* Of an AUDIT_REPLIES log that was sought: the next reply of this ledger as it lies there, copies and any generation included. */
enum pay_exit replies_next_in_log(struct audit *audit, struct pay_reply_headers *ret_headers, bool *ret_found);

#endif
