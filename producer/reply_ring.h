/*
 * reply_ring.h - the last replies in the order in which they came, for streams of results: each stream is a number into it.
 *
 * Numbers only rise; [first, end) are there. `before` says how far every partition was before the first, `behind` after the last: a
 * stream whose places have reached `before` loses nothing by reading on from `first` (it drops what it has).
 * A reply behind a gap empties the ring, so that `before` is always true: what lies between is only in the log.
 * Memory: bytes_max and the largest reply. Pure. Threads: one.
 */
#ifndef PAY_PRODUCER_REPLY_RING_H
#define PAY_PRODUCER_REPLY_RING_H

#include "producer/places.h"
#include "producer/result_filter.h"

struct pay_reply_ring;

struct pay_reply_entry {
    struct pay_position source;
    int64_t covers_from;
    bool has_facts;
    struct pay_result_facts facts; /* by pay_reply_entry_facts: following costs no parsing while nobody listens */
    size_t length;
    char value[];
};

struct pay_reply_ring *pay_reply_ring_new(size_t bytes_max, const struct pay_places *places);
void pay_reply_ring_free(struct pay_reply_ring *ring); /* NULL is fine */

/* False: it was there before. */
bool pay_reply_ring_add(struct pay_reply_ring *ring, const struct pay_position *source, int64_t covers_from,
                        const void *value, size_t length);
uint64_t pay_reply_ring_first(const struct pay_reply_ring *ring);
uint64_t pay_reply_ring_end(const struct pay_reply_ring *ring);
struct pay_reply_entry *pay_reply_ring_at(const struct pay_reply_ring *ring,
                                          uint64_t number); /* first <= number < end */
const struct pay_places *pay_reply_ring_before(const struct pay_reply_ring *ring);
const struct pay_places *pay_reply_ring_behind(const struct pay_reply_ring *ring);
size_t pay_reply_ring_bytes(const struct pay_reply_ring *ring);

const struct pay_result_facts *pay_reply_entry_facts(struct pay_reply_entry *entry);

#endif
