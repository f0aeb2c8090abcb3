/*
 * listener_rule.h - the reader's rule (PROTOCOL 5) over all partitions of a reply log: each reply once, in order, gaps noticed.
 *
 * Sequence: pay_listener_rule_add or _restore per partition, in their order; pay_listener_rule_take per record of the reply log.
 * A gap holds only its own lane: `gap` stays true until the missing replies were published again; then REWIND asks to read the
 * lane from `rewind_to` again, so that what came behind the gap is taken without a third publication.
 * Pure: no I/O. Memory: pay_listener_rule_free. Threads: one.
 */
#ifndef PAY_LISTENER_LISTENER_RULE_H
#define PAY_LISTENER_LISTENER_RULE_H

#include "codec/reply_headers.h"
#include "core/reader.h"

#include <paybuf/listener.h>

struct pay_listener_reader {
    int64_t generation;
    struct pay_reader reader;
    int64_t replaced; /* n before the last reply that was taken */
    bool gap;
    int64_t gap_offset; /* reply offset of the first reply behind the gap */
    int64_t gap_until;  /* its covers-from: n when the gap is closed */
};

struct pay_listener_lane {
    int32_t partition;
    struct pay_listener_reader *readers; /* by generation */
    size_t reader_count;
    struct pay_reader first; /* how the first generation that is seen begins */
    int64_t reply_offset;    /* next reply offset to be read */

    /* For who reads the log; the rule only takes at_end back. */
    bool at_end;
    bool broken;                        /* not being read: to be sought again */
    enum paybuf_listener_result notice; /* to be told; NOTHING: none */
    int64_t notice_offset;
};

struct pay_listener_rule {
    struct pay_listener_lane *lanes; /* by partition */
    int32_t lane_count;
    char ledger_id[PAY_LEDGER_ID_TEXT_MAX];
    struct paybuf_listener_counts counts; /* but for gaps_now */
};

enum pay_listener_move {
    PAY_LISTENER_TAKE,
    PAY_LISTENER_DROP,           /* a repeat */
    PAY_LISTENER_SKIP,           /* not one of ours */
    PAY_LISTENER_FOREIGN,        /* of another ledger */
    PAY_LISTENER_GAP,            /* the first reply behind a gap: alarm; later ones of the same gap are DROP */
    PAY_LISTENER_TAKE_AND_REWIND /* taken, and the gap is closed: read again from *ret_rewind_to */
};

/* The next partition. `first`: the reader of its first generation, where none is known. */
struct pay_listener_lane *pay_listener_rule_add(struct pay_listener_rule *rule, const struct pay_reader *first,
                                                int64_t reply_offset);
/* What positions say of the next partition; NULL: nothing, and no lane was added. */
struct pay_listener_lane *pay_listener_rule_restore(struct pay_listener_rule *rule,
                                                    const struct paybuf_listener_position *positions, size_t count);

enum pay_listener_move pay_listener_rule_take(struct pay_listener_rule *rule, const struct pay_log_record *record,
                                              struct pay_reply_headers *ret_headers, int64_t *ret_rewind_to);

/* The reader of a generation; NULL: none yet. */
const struct pay_listener_reader *pay_listener_rule_reader(const struct pay_listener_lane *lane, int64_t generation);
struct paybuf_listener_position pay_listener_rule_position(const struct pay_listener_lane *lane,
                                                           const struct pay_listener_reader *reader);
/* All of them, at most `capacity`; answers how many there are. */
size_t pay_listener_rule_positions(const struct pay_listener_rule *rule, struct paybuf_listener_position *ret_positions,
                                   size_t capacity);

/* The latest one that a reply was taken of; 0: none yet. */
int64_t pay_listener_rule_generation(const struct pay_listener_lane *lane);

/* Lanes that stand at a gap now. */
int32_t pay_listener_rule_open_gaps(const struct pay_listener_rule *rule);
void pay_listener_rule_free(struct pay_listener_rule *rule);

#endif
