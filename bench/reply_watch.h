/*
 * reply_watch.h - listens to the reply log beside the storm: whether every accepted payment is answered, once, with its own answer,
 * and after how long.
 *
 * Sequence: open before the first request; accepted for each 202; run when the descriptor is readable, or now and then; close.
 *
 * It starts at the end of each reply partition and keeps the reader's rule (PROTOCOL section 5). A 202 and its reply meet by position,
 * in either order. It shares no code with the worker but the reader's rule and position texts, and reads no JSON.
 * Memory: 40 bytes a position, growing up to PAY_REPLY_WATCH_MAX positions. Threads: one.
 */
#ifndef PAY_BENCH_REPLY_WATCH_H
#define PAY_BENCH_REPLY_WATCH_H

#include "base/histogram.h"
#include "core/position.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PAY_REPLY_WATCH_MAX (1u << 25)

struct pay_reply_watch;

struct pay_reply_counts {
    uint64_t replies; /* taken: each request record's first reply */
    uint64_t copies;  /* dropped by the reader's rule: a new owner answered again */
    uint64_t gaps;    /* c > n: never while the promises hold */
    uint64_t foreign; /* records without our headers */
    uint64_t paid, declined, duplicates, conflicts,
        invalid;              /* of `replies`; paid and declined without their duplicates */
    uint64_t accepted;        /* positions of 202s */
    uint64_t answered;        /* ... of them with a reply */
    uint64_t doubly_accepted; /* one position in two 202s: never */
    uint64_t wrong_order;     /* reply and 202 of one position name different orders: never */
};

struct pay_reply_watch_options {
    const char *bootstrap, *request_topic, *reply_topic;
};

/* NULL: *ret_message says why. */
struct pay_reply_watch *pay_reply_watch_open(const struct pay_reply_watch_options *options, char *ret_message,
                                             size_t message_size);
void pay_reply_watch_close(struct pay_reply_watch *watch); /* NULL is fine */

/* A 202 said that this order lies at `position`; sent_us is when that request left. False: the table is full. */
bool pay_reply_watch_accepted(struct pay_reply_watch *watch, const struct pay_position *position, const char *order_id,
                              int64_t sent_us);

/* Takes what came, without waiting; at most `records`. Answers how many it took. */
uint32_t pay_reply_watch_run(struct pay_reply_watch *watch, uint32_t records);

int pay_reply_watch_descriptor(const struct pay_reply_watch *watch);
const struct pay_reply_counts *pay_reply_watch_counts(const struct pay_reply_watch *watch);
/* From sending the request to reading its reply, microseconds. */
const struct pay_histogram *pay_reply_watch_latency(const struct pay_reply_watch *watch);

/* Writes the accepted positions that have no reply, one a line, at most `most` of them. */
void pay_reply_watch_print_unanswered(const struct pay_reply_watch *watch, FILE *out, uint32_t most);

#endif
