/*
 * reader.h - the reader's rule (PROTOCOL section 5): one integer per (generation, partition), every reply exactly once,
 * and a gap is noticed. Used by listeners, the claim, `listen` and `audit`.
 *
 * Memory: the struct below; store it together with your own effects. Threads: one at a time.
 */
#ifndef PAY_CORE_READER_H
#define PAY_CORE_READER_H

#include <stdbool.h>
#include <stdint.h>

struct pay_reader {
    int64_t next;           /* n: the next source offset this reader wants */
    bool synced;            /* false: started in the middle and took no reply with s >= resync_until yet */
    bool started;           /* took a reply, or its n was known from the start */
    int64_t resync_until;   /* E0: the request partition's high watermark read before the start */
    int64_t resync_count;   /* jumps taken while not synced */
};

enum pay_reader_move {
    PAY_READER_DROP,    /* s < n: seen before */
    PAY_READER_TAKE,    /* take it; next has moved to s + 1 */
    PAY_READER_GAP      /* c > n: don't take, don't move, alarm; `paybuf replay --reply` publishes the missing ones again */
};

/* A reader whose n is known: 0 where the reply log starts at 0, in a new generation, or a saved position. */
void pay_reader_start_at(struct pay_reader *reader, int64_t next);

/* A reader that starts in the middle; `request_high_watermark` was read before its first reply. */
void pay_reader_start_in_the_middle(struct pay_reader *reader, int64_t request_high_watermark);

/* Judges a reply with `source-offset` s and `covers-from` c. c > s is a malformed reply and counts as a gap. */
enum pay_reader_move pay_reader_take(struct pay_reader *reader, int64_t source_offset, int64_t covers_from);

#endif
