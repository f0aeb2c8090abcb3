/*
 * stream_kafka.h - the real adapter of the stream port (stream.h), made of the parts in common/kafka.
 *
 * Handles: one for group membership (it never fetches), one that reads the lanes (read_committed), one that looks
 * (read_uncommitted: bounds, claim scans, anchors), one idempotent producer per publisher slot, one for dead letters.
 * Blocking calls wait at most call_timeout_ms for the next sign of life; read_replies goes on as long as records come, at most 2 min.
 * A lane that has records below the last stable offset and hears nothing for 30 s gets a new reading handle (a TROUBLE event tells).
 */
#ifndef PAY_WORKER_STREAM_KAFKA_H
#define PAY_WORKER_STREAM_KAFKA_H

#include "kafka/kafka_conf.h"
#include "worker/stream.h"

/* Everything is copied. */
struct pay_stream_kafka_options {
    const struct pay_setting *settings; /* [kafka] */
    uint32_t setting_count;
    const char *request_topic;
    const char *reply_topic;
    const char *dead_letter_topic;
    const char *group;
    int64_t linger_ms; /* of the reply producers */
    int64_t call_timeout_ms;
    bool
        allow_unsafe_topics; /* open although a precondition fails (missing topics and unequal partition counts still refuse) */
    pay_kafka_log_fn log; /* librdkafka's own lines; NULL: dropped. Called inside calls of the stream only */
    void *log_argument;
};

/* Opens nothing yet. */
struct pay_stream *pay_stream_kafka_new(const struct pay_stream_kafka_options *options);

/* Whose replies count as same_ledger; before the first claim. */
void pay_stream_kafka_set_ledger_id(struct pay_stream *stream, const char *ledger_id);

#endif
