/*
 * kafka_group.h - membership in a consumer group, and nothing else: who reads which partition. It never delivers a record.
 *
 * Sequence: open; next until NOTHING whenever the descriptor is readable (and at least every few seconds); after REVOKED or LOST
 * drop the partitions, then confirm_revoked; close.
 * Eager assignors only: every rebalance takes all partitions away first (cooperative-sticky has six relevant bugs before 2.10.1).
 * The group waits for confirm_revoked up to max.poll.interval (5 min), then goes on without this member.
 * A crash or a freeze costs the session timeout, 10 s; then the others get the partitions.
 *
 * Memory: lists live until the next call. Threads: one per handle.
 */
#ifndef PAY_KAFKA_KAFKA_GROUP_H
#define PAY_KAFKA_KAFKA_GROUP_H

#include "kafka/kafka_conf.h"

#include <stdbool.h>
#include <stdint.h>

struct pay_kafka_group;

struct pay_kafka_group_options {
    struct pay_kafka_options kafka;
    const char *group;
    const char *topic;
};

enum pay_kafka_group_event_kind {
    PAY_KAFKA_GROUP_NOTHING,
    PAY_KAFKA_GROUP_ASSIGNED, /* exactly these partitions */
    PAY_KAFKA_GROUP_REVOKED,  /* all of these go; the others wait for confirm_revoked */
    PAY_KAFKA_GROUP_LOST,     /* they are gone already; confirm_revoked all the same */
    PAY_KAFKA_GROUP_TROUBLE
};

struct pay_kafka_group_event {
    enum pay_kafka_group_event_kind kind;
    const int32_t *partitions;
    uint32_t partition_count;
    struct pay_error error; /* TROUBLE */
};

enum pay_move pay_kafka_group_open(const struct pay_kafka_group_options *options, struct pay_kafka_group **ret_group,
                                   struct pay_error *error);

void pay_kafka_group_next(struct pay_kafka_group *group, struct pay_kafka_group_event *ret_event);
void pay_kafka_group_confirm_revoked(struct pay_kafka_group *group);

/* Asks the library anew: false as soon as a revocation has arrived, even before next has told it. */
bool pay_kafka_group_has(struct pay_kafka_group *group, int32_t partition);

/* Commits an offset for lag tools: within a second or two, the newest one of each partition; nobody minds when it fails. */
void pay_kafka_group_commit(struct pay_kafka_group *group, int32_t partition, int64_t offset);

int pay_kafka_group_descriptor(const struct pay_kafka_group *group);

/* Leaves the group, so that the others need not wait for the session timeout; at most timeout_ms. NULL is fine. */
void pay_kafka_group_close(struct pay_kafka_group *group, int64_t timeout_ms);

#endif
