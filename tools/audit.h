/*
 * audit.h - what the parts of `paybuf audit` share.
 *
 * One moment of the ledger for everything: online a database snapshot, taken after the reply log's ends were read, so that a
 * reply below them at or beyond the snapshot's P is a difference and not a race; a dump was taken in the same way.
 * Memory: two bits per request offset, the dead letters, and what the source needs.
 */
#ifndef PAY_TOOLS_AUDIT_H
#define PAY_TOOLS_AUDIT_H

#include "tools/audit_differences.h"
#include "tools/audit_digest.h"
#include "tools/audit_letters.h"
#include "tools/audit_source.h"
#include "tools/progress.h"
#include "tools/tool.h"

#include <stdatomic.h>

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
    char requests_sha256[AUDIT_DIGEST_TEXT], replies_sha256[AUDIT_DIGEST_TEXT]; /* "" with --quick */
};

/* Shared by the threads of an audit; one of them draws. */
struct audit_progress {
    struct progress bar;
    atomic_int_least64_t done;
};

struct audit {
    struct tool *tool;
    struct audit_source *source;
    bool quick;
    bool draws; /* the progress line */
    bool whole; /* all lanes */
    char ledger_id[37];
    char request_topic[PAY_TOPIC_MAX + 1], reply_topic[PAY_TOPIC_MAX + 1], dead_letter_topic[PAY_TOPIC_MAX + 1];
    int64_t taken_at_us;        /* the moment that is judged */
    int32_t letters_partitions; /* of the dead letter topic */
    int64_t *letters_bounds;    /* start and end of each */
    struct audit_lane *lanes;
    int32_t lane_count;
    struct letters letters;
    struct differences differences;
    struct audit_progress *progress;
};

struct audit_scope {
    int64_t wait_seconds; /* online: first wait so long for everything to be settled and answered; 0: don't */
    int32_t partition;    /* only this one; -1: all */
};

/* "g-p-o" of a record of the lane. */
const char *audit_where(const struct audit_lane *lane, int64_t offset, char text[PAY_POSITION_TEXT_MAX]);

void audit_step(struct audit *audit); /* one more request record was read */

/* Where is sorted what memory doesn't hold: TMPDIR, else /var/tmp. */
const char *audit_work_folder(void);

/* Reads the dead letter topic into audit->letters. */
enum pay_exit audit_read_letters(struct audit *audit);

/* Keeps those lanes of `lanes` that `scope` asks for. */
enum pay_exit audit_take_lanes(struct audit *audit, const struct lanes *lanes, const struct audit_scope *scope);

/* Closes the source, too. */
void audit_close(struct audit *audit);

#endif
