/*
 * listener.h - follows the reply log by the reader's rule (PROTOCOL 5): each reply once, in order per partition, gaps noticed.
 *
 * Sequence: listener_add_lane per partition, with what is known of it; listener_take per record of the reply log; what it answers
 * TAKE is printed. listener_state gives what to save after the lines were written.
 * A gap holds only its own lane: `gap` stays true until the missing replies were published again; then REWIND asks to read the
 * lane from `rewind_to` again, so that what came behind the gap is taken without a third publication.
 * Pure: no I/O. Memory: listener_free. Threads: one.
 */
#ifndef PAY_TOOLS_LISTENER_H
#define PAY_TOOLS_LISTENER_H

#include "codec/reply_headers.h"
#include "core/reader.h"
#include "tools/state_file.h"

struct listen_reader {
    int64_t generation;
    struct pay_reader reader;
    bool gap;
    int64_t gap_offset; /* reply offset of the first reply behind the gap */
    int64_t gap_until;  /* its covers-from: n when the gap is closed */
};

struct listen_lane {
    int32_t partition;
    struct listen_reader *readers; /* by generation */
    size_t reader_count;
    struct pay_reader first; /* how the first generation that is seen begins */
    int64_t reply_offset;    /* next reply offset to be read */
    bool at_end;
    bool broken; /* not being read: the caller seeks again */
};

struct listener {
    struct listen_lane *lanes; /* by partition */
    int32_t lane_count;
    char ledger_id[PAY_LEDGER_ID_TEXT_MAX];
    int64_t taken, dropped, skipped, foreign, resyncs, gaps;
};

enum listen_move {
    LISTEN_TAKE,
    LISTEN_DROP,           /* a repeat */
    LISTEN_SKIP,           /* not one of ours */
    LISTEN_FOREIGN,        /* of another ledger */
    LISTEN_GAP,            /* the first reply behind a gap: alarm; later ones of the same gap are LISTEN_DROP */
    LISTEN_TAKE_AND_REWIND /* taken, and the gap is closed: read again from *ret_rewind_to */
};

/* The next partition. `first`: the reader of its first generation, where none is known. */
struct listen_lane *listener_add_lane(struct listener *listener, const struct pay_reader *first, int64_t reply_offset);
/* What a state knows of the next partition; false: nothing, and no lane was added. */
bool listener_add_saved_lane(struct listener *listener, const struct state *state);

enum listen_move listener_take(struct listener *listener, const struct pay_log_record *record,
                               struct pay_reply_headers *ret_headers, int64_t *ret_rewind_to);

/* Lanes that stand at a gap now. */
int32_t listener_open_gaps(const struct listener *listener);
void listener_state(const struct listener *listener, struct state *ret_state);
void listener_free(struct listener *listener);

#endif
