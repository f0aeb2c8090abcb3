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
    int64_t next;         /* n: the next source offset this reader wants */
    bool synced;          /* false: started in the middle and took no reply with s >= resync_until yet */
    bool started;         /* took a reply, or its n was known from the start */
    int64_t resync_until; /* E0, see pay_reader_start_in_the_middle */
    int64_t resync_count; /* jumps taken while not synced */
};

enum pay_reader_move {
    PAY_READER_DROP, /* s < n: seen before */
    PAY_READER_TAKE, /* take it; next has moved to s + 1 */
    PAY_READER_GAP /* c > n: don't take, don't move, alarm; `paybuf replay --reply` publishes the missing ones again */
};

/* A reader whose n is known: 0 where the reply log starts at 0, in a new generation, or a saved position. */
void pay_reader_start_at(struct pay_reader *reader, int64_t next);

/*
 * A reader that starts in the middle. E0 is the request partition's high watermark, read_uncommitted, read after the start
 * position in the reply log was fixed (its end looked up, a time turned into an offset) and before the first reply is taken:
 * then every reply before that position lies below E0. Read earlier, the repeats of a zombie can end the resync too soon, and
 * the owner's next reply looks like a gap (the test's search finds it).
 */
void pay_reader_start_in_the_middle(struct pay_reader *reader, int64_t request_high_watermark);

/* Judges a reply with `source-offset` s and `covers-from` c. A malformed one (c > s, s = 2^63-1, s < 0) is never taken. */
enum pay_reader_move pay_reader_take(struct pay_reader *reader, int64_t source_offset, int64_t covers_from);

#endif
