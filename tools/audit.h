/*
 * audit.h - what the parts of `paybuf audit` share.
 *
 * One database snapshot for everything; the reply log's ends were read before it, so that a reply below them at or beyond the
 * snapshot's P is a difference and not a race. Memory: bounded by the batch, two bits per request offset and the dead letters.
 */
#ifndef PAY_TOOLS_AUDIT_H
#define PAY_TOOLS_AUDIT_H

#include "tools/audit_differences.h"
#include "tools/audit_letters.h"
#include "tools/lanes.h"
#include "tools/progress.h"
#include "tools/tool.h"

/* What was counted in one lane. */
struct audit_tally {
    int64_t requests; /* settled data records that the log still holds */
    int64_t replies;  /* taken by the reader's rule, for those */
    int64_t paid, declined, duplicates, conflicts, invalid;
    int64_t repeats;                    /* dropped copies of replies */
    int64_t in_flight;                  /* data records not answered yet, settled or not */
    int64_t expired;                    /* replies whose requests, or requests whose replies, retention has deleted */
    int64_t skipped;                    /* records in the reply log that aren't ours */
    int64_t payment_rows, refusal_rows; /* of those requests */
    int64_t differences;
};

struct audit_lane {
    struct lane_view view;
    struct audit_tally tally;
    /* A bit per offset from view.request_start: its record left its own payment row, its own refusal row. NULL with --quick. */
    uint8_t *own_payment, *own_refusal;
};

struct audit {
    struct tool *tool;
    struct pay_pg *pg;                 /* in the snapshot */
    struct pay_kafka_reader *requests; /* read_committed */
    struct pay_kafka_reader *replies;  /* read_uncommitted */
    bool quick;
    char ledger_id[37];
    struct audit_lane *lanes;
    int32_t lane_count;
    struct letters letters;
    struct differences differences;
    struct progress progress;
    int64_t progress_done;
};

#define AUDIT_SILENCE_MS 60000 /* a broker that delivers nothing for so long isn't there */

/* "g-p-o" of a record of the lane. */
const char *audit_where(const struct audit_lane *lane, int64_t offset, char text[PAY_POSITION_TEXT_MAX]);

/* The next record or end of `reader`; PAY_EXIT_OK, or unavailable and said. */
enum pay_exit audit_read(struct audit *audit, struct pay_kafka_reader *reader, struct pay_kafka_read *ret_read);

#endif
