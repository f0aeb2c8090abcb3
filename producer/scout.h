/*
 * scout.h - asks the brokers, in a thread of its own, what the intake's loop mustn't wait for: how many partitions the reply topic has,
 * and where its logs begin and end.
 *
 * It asks every PAY_SCOUT_PAUSE_MS, and soon after pay_scout_ask. In each round a partition's request log is asked for its end after the
 * reply log was: a reader that begins at or before reply_end may take request_end for E0 (core/reader.h).
 * Memory: owned by both sides, the last one frees it; what look gives is good until the next look. Threads: all calls from one; `log` of the
 * Kafka options is called from the scout's.
 */
#ifndef PAY_PRODUCER_SCOUT_H
#define PAY_PRODUCER_SCOUT_H

#include "kafka/kafka_conf.h"

#define PAY_SCOUT_PAUSE_MS 10000
#define PAY_SCOUT_HURRY_MS 250 /* between two rounds when it was asked to, or the last one failed */

struct pay_scout;

struct pay_scout_log {
    bool found; /* false: the leader didn't tell */
    int64_t reply_start, reply_end;
    int64_t request_end; /* -1: not told, as while the request topic has fewer partitions */
};

struct pay_scout_report {
    uint64_t round; /* 0: there was none yet */
    int32_t partitions;
    const struct pay_scout_log *logs;
    char reason[PAY_ERROR_TEXT_MAX]; /* why the last round found less than all; "" when it didn't */
};

enum pay_move pay_scout_open(const struct pay_kafka_options *kafka, const char *reply_topic, const char *request_topic,
                             struct pay_scout **ret_scout, struct pay_error *error);
void pay_scout_ask(struct pay_scout *scout);
const struct pay_scout_report *pay_scout_look(struct pay_scout *scout);
int pay_scout_descriptor(const struct pay_scout *scout); /* readable: a round ended since the last look */
void pay_scout_close(struct pay_scout *scout);           /* never blocks: the thread ends by itself. NULL is fine */

#endif
