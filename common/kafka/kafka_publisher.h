/*
 * kafka_publisher.h - one idempotent producer handle on one topic, with its delivery reports raw.
 *
 * Sequence: open; publish as long as it answers OK; wait for the descriptor; next_report until it answers false; close.
 *
 * Promises: acks=all, gapless, no message timeout: librdkafka retries until the record is acknowledged, purged, or the handle
 * is dead (a report with `fatal`). publish never blocks. On AGAIN the record was not taken: the same one again later, so the
 * order is kept. Records of one partition are appended in publish order. Record timestamps are never set.
 *
 * A report is raw on purpose: `failed = false` is an acknowledgement only when the caller also finds offset >= 0 and larger
 * than the last one of that partition on this handle. With several requests in flight librdkafka 2.0.2 reports records that are
 * in no log as delivered, with offset -1001; so replies go out with in_flight_max = 1, and a failed report never proves absence.
 *
 * A handle that reported fatal, or whose report was odd, never produces again: close it (what is outstanding is purged) and
 * open another. Closing: the caller's thread only purges and lets go; the destruction, which can hang with the broker down,
 * runs in a detached thread (kafka_reaper).
 * A crash loses what was not yet acknowledged, or leaves it in the log: that is what the reports are for.
 *
 * Memory: everything given to publish is copied; `opaque` is carried and never followed. Threads: one per handle.
 */
#ifndef PAY_KAFKA_KAFKA_PUBLISHER_H
#define PAY_KAFKA_KAFKA_PUBLISHER_H

#include "core/log_record.h"
#include "kafka/kafka_conf.h"

struct pay_kafka_publisher;

struct pay_kafka_publisher_options {
    struct pay_kafka_options kafka;
    const char *topic;
    int32_t in_flight_max; /* requests in flight per broker connection: 1 for replies, at most 5 */
    int64_t linger_ms;
    int64_t record_bytes_max; /* the topic's max.message.bytes; 0: librdkafka's default, 1,000,000 */
    bool measures;            /* pay_kafka_publisher_turn_us is asked: the handle counts, and tells once a second */
    int64_t wait_ms;          /* open waits this long for the topic to be known: AGAIN when it isn't. 0: doesn't wait */
};

/* A record to append. */
struct pay_kafka_message {
    int32_t partition; /* -1: by the key's murmur2 hash, as Java's clients do; no key: any */
    const void *key;   /* NULL: no key */
    size_t key_length;
    const void *value; /* NULL: no value */
    size_t value_length;
    const struct pay_header *headers;
    size_t header_count;
    void *opaque; /* comes back in the report */
};

/* A delivery report, or the death of the handle. */
struct pay_kafka_report {
    void *opaque;      /* the message's; NULL with fatal */
    int32_t partition; /* -1 when the library never chose one */
    int64_t offset;    /* where it lies; negative when the library gave none */
    bool failed;
    bool fatal;    /* the handle is dead; not about one message. Reports of what is outstanding follow, all failed */
    char code[32]; /* librdkafka's error name, "" when not failed */
};

/* OK; AGAIN: broker or topic not reachable within wait_ms, or too many old handles still closing; REFUSE: settings, rights. */
enum pay_move pay_kafka_publisher_open(const struct pay_kafka_publisher_options *options,
                                       struct pay_kafka_publisher **ret_publisher, struct pay_error *error);

/*
 * OK: taken, exactly one report will come for it (unless the handle is closed before).
 * AGAIN: the library's queue is full; the same message later. SPLIT: larger than the topic takes; not taken.
 * SESSION_OVER: the handle is dead, or its topic or partition is gone; not taken.
 */
enum pay_move pay_kafka_publisher_publish(struct pay_kafka_publisher *publisher,
                                          const struct pay_kafka_message *message, struct pay_error *error);

/* The next report; false: none now. Never blocks. */
bool pay_kafka_publisher_next_report(struct pay_kafka_publisher *publisher, struct pay_kafka_report *ret_report);

/* An error of connection or handle that isn't a report (broker down, authentication), at most once per event; false: none. Seen by next_report. */
bool pay_kafka_publisher_take_trouble(struct pay_kafka_publisher *publisher, struct pay_error *ret_error);

/*
 * How long a partition waits for its turn here when all of the topic's are on this handle, each taking one request: the longest over the
 * brokers, by the last second in which something was sent (kafka_statistics.h). -1: not known yet. Seen by next_report.
 */
int64_t pay_kafka_publisher_turn_us(const struct pay_kafka_publisher *publisher);

/* Messages taken whose report hasn't been given out yet. */
uint64_t pay_kafka_publisher_outstanding(const struct pay_kafka_publisher *publisher);

/* Readable when next_report may have something; it stays so until next_report answered false. Belongs to the publisher. */
int pay_kafka_publisher_descriptor(const struct pay_kafka_publisher *publisher);

/* Everything outstanding comes back soon as a failed report; the handle never publishes again (publish answers SESSION_OVER). */
void pay_kafka_publisher_purge(struct pay_kafka_publisher *publisher);

/* Purges and lets go; no report comes after this. Never blocks. NULL is fine. */
void pay_kafka_publisher_close(struct pay_kafka_publisher *publisher);

#endif
