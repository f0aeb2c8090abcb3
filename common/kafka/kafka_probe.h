/*
 * kafka_probe.h - asks every second, in a thread of its own, whether the brokers know a topic: the intake's readiness.
 *
 * librdkafka can only be asked by a blocking call, and the intake's loop never blocks; so a thread does it, on its own handle, which
 * also means that the answer says nothing good about a producer that is broken. A metadata answer doesn't promise that appends work.
 * Memory: owned by both sides; the last one frees it. Threads: open, look and close from one; `log` is called from the probe's.
 */
#ifndef PAY_KAFKA_KAFKA_PROBE_H
#define PAY_KAFKA_KAFKA_PROBE_H

#include "kafka/kafka_conf.h"

struct pay_kafka_probe;

struct pay_kafka_probe_state {
    int64_t answered_ms;             /* pay_clock_ms of the last good answer; 0: there was none yet */
    int32_t partitions;              /* as of then */
    uint64_t failures;               /* failed questions since the last good answer */
    char reason[PAY_ERROR_TEXT_MAX]; /* why the last question failed; "" when it didn't */
};

enum pay_move pay_kafka_probe_open(const struct pay_kafka_options *options, const char *topic,
                                   struct pay_kafka_probe **ret_probe, struct pay_error *error);

/* What it found last. Readable descriptor: something new was found since the last look. */
void pay_kafka_probe_look(struct pay_kafka_probe *probe, struct pay_kafka_probe_state *ret_state);
int pay_kafka_probe_descriptor(const struct pay_kafka_probe *probe);

/* Never blocks: the thread ends by itself, within its question's time-out. NULL is fine. */
void pay_kafka_probe_close(struct pay_kafka_probe *probe);

#endif
