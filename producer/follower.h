/*
 * follower.h - the intake's one reader of the reply log: every reply once, by the reader's rule (PROTOCOL 5), as it comes.
 *
 * Who wants replies subscribes; the last ones (results_bytes) are also kept and found again by the position that they answer.
 *
 * Sequence: open; watch its two descriptors (it adds them to the loop's epoll itself); run and look when they are ready, tick once a
 * second; close. Nothing here waits for a broker: records come through the reader's descriptor in the intake's own loop, at
 * most PAY_FOLLOWER_TURN a turn; where the logs begin and end, and how many partitions there are, is asked by a thread (scout.h).
 *
 * Where it starts: in each partition at the log's last record, so in the middle (its first reply there only tells what is
 * answered); partitions that are added later, at their start. From then on a partition `stands`, but for times of trouble: what is
 * appended now can't be answered unseen, late at most.
 *
 * What goes wrong: a broker that is away is waited for; after trouble reading goes on where it stopped. Where the log no longer has
 * that offset (retention, truncation, a topic made anew) it starts in the middle again: until the next reply of that partition
 * nothing is known to be answered, and replies in between were missed. At a gap a partition stands still until the missing replies are
 * published again. Records that aren't ours, replies of another ledger than the first one seen, and other generations than
 * log_generation are counted; the last ones still go to subscribers.
 *
 * Memory: results_bytes, and librdkafka's fetch queue. Threads: one. Reads no database, keeps nothing over a restart.
 */
#ifndef PAY_PRODUCER_FOLLOWER_H
#define PAY_PRODUCER_FOLLOWER_H

#include "base/config.h"
#include "core/log_record.h"
#include "core/position.h"
#include "kafka/kafka_conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAY_FOLLOWER_TURN 256 /* records taken in one turn of the loop */

struct pay_follower;
struct pay_results;

struct pay_follower_options {
    const struct pay_config *config;
    struct pay_kafka_options kafka;
    int epoll;           /* the loop's; our descriptors are added to it with these as data.u64 */
    uint64_t record_tag; /* call pay_follower_run */
    uint64_t scout_tag;  /* call pay_follower_look */
};

struct pay_follower_counters {
    uint64_t taken, repeated, skipped, foreign, gaps, open_gaps; /* as <paybuf/listener.h> counts them */
    uint64_t other_generation;                                   /* of those taken */
    uint64_t placed; /* partitions begun at their end: at first, and when what came next was lost */
    uint64_t troubles;
};

/* NULL: *ret_message says why (settings; never an unreachable broker). */
struct pay_follower *pay_follower_open(const struct pay_follower_options *options, char *ret_message,
                                       size_t message_size);
void pay_follower_run(struct pay_follower *follower);
void pay_follower_look(struct pay_follower *follower);
void pay_follower_tick(struct pay_follower *follower);
void pay_follower_close(struct pay_follower *follower); /* never blocks; NULL is fine */

/* A reply that was taken: `source` is the request it answers; record is the log's own (partition, offset, key, value, headers). */
struct pay_follower_reply {
    struct pay_position source;
    const struct pay_log_record *record;
};
/* From within pay_follower_run; the reply lives as long as the call. May subscribe and unsubscribe anybody. */
typedef void pay_follower_taken(void *argument, const struct pay_follower_reply *reply);

/* The subscriber's own memory, good until unsubscribe; taken and argument are set by him, the links are ours. */
struct pay_follower_subscription {
    pay_follower_taken *taken;
    void *argument;
    struct pay_follower_subscription *previous, *next;
};
void pay_follower_subscribe(struct pay_follower *follower, struct pay_follower_subscription *subscription);
void pay_follower_unsubscribe(struct pay_follower *follower, struct pay_follower_subscription *subscription);

/* Of the partition's request log: [producer] log_generation, or a later one that its replies are of (paybuf recover raised it). */
int64_t pay_follower_generation(const struct pay_follower *follower, int32_t partition);
/* Every request of the partition, in that generation, below this offset has its reply in the log; -1: nothing is known yet. */
int64_t pay_follower_answered_below(const struct pay_follower *follower, int32_t partition);

/* A reply to what is appended from now on to this partition will be seen; for -1: to every partition of the topic. */
bool pay_follower_stands(const struct pay_follower *follower, int32_t partition);
int32_t pay_follower_partitions(const struct pay_follower *follower); /* of the reply topic; 0: not known yet */
/* The log offset behind the last reply record read of this partition (by which "caught up with E" can be judged); -1: not reading. */
int64_t pay_follower_log_offset(const struct pay_follower *follower, int32_t partition);

const struct pay_results *pay_follower_results(const struct pay_follower *follower); /* the last ones taken */
void pay_follower_count(const struct pay_follower *follower, struct pay_follower_counters *ret_counters);

#endif
