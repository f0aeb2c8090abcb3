/*
 * kafka_reader.h - reads partitions of logs from offsets that the caller names: request lanes, claim scans, anchors, listeners, audit.
 *
 * Sequence: open; seek per partition; next until END, or for ever; stop per partition, or seek again; close.
 *
 * Promises: no group, no committed offset, no reset: an offset that the log doesn't have comes as TROUBLE with the partition,
 * and that partition stands still until the next seek. After seek(p, n) the first record of p has the smallest existing
 * offset >= n, then strictly increasing ones; nothing of an earlier seek is delivered any more. END is given each time the end
 * of the log (committed_only: of its stable part) is reached; its offset is the position there, behind holes.
 * Opening, seek and stop never wait for a broker.
 *
 * Memory: what next gives lives until the next call on the reader. Threads: one per reader.
 */
#ifndef PAY_KAFKA_KAFKA_READER_H
#define PAY_KAFKA_KAFKA_READER_H

#include "core/log_record.h"
#include "kafka/kafka_conf.h"

struct pay_kafka_reader;

struct pay_kafka_reader_options {
    struct pay_kafka_options kafka;
    const char *group;   /* for the broker's rights only, never joined; NULL: "paybuf-reader" */
    bool committed_only; /* read_committed; else read_uncommitted, whose bounds are the real high watermark */
    int64_t
        fetch_wait_ms; /* how long an empty fetch may wait at the broker: it also delays the first record after a seek */
    int64_t fetch_bytes; /* of a partition in one fetch; 0: 262144. Small for looking at single records */
};

enum pay_kafka_read_kind { PAY_KAFKA_READ_NOTHING, PAY_KAFKA_READ_RECORD, PAY_KAFKA_READ_END, PAY_KAFKA_READ_TROUBLE };

struct pay_kafka_read {
    enum pay_kafka_read_kind kind;
    const char *topic; /* NULL with a TROUBLE of the whole handle */
    struct pay_log_record
        record; /* RECORD: all of it; END: partition and offset (the position); TROUBLE: partition, -1 for the handle */
    struct pay_error error; /* TROUBLE */
};

enum pay_move pay_kafka_reader_open(const struct pay_kafka_reader_options *options,
                                    struct pay_kafka_reader **ret_reader, struct pay_error *error);

/* Delivers `topic`/`partition` from `offset` on, instead of whatever was delivered of it before. */
enum pay_move pay_kafka_reader_seek(struct pay_kafka_reader *reader, const char *topic, int32_t partition,
                                    int64_t offset, struct pay_error *error);
void pay_kafka_reader_stop(struct pay_kafka_reader *reader, const char *topic, int32_t partition);
void pay_kafka_reader_stop_all(struct pay_kafka_reader *reader);

/* The next thing; waits at most timeout_ms for it (0: not at all). */
void pay_kafka_reader_next(struct pay_kafka_reader *reader, int64_t timeout_ms, struct pay_kafka_read *ret_read);

/* First offset, and the end: the high watermark (read_uncommitted) or the last stable offset (committed_only). Asks the broker. */
enum pay_move pay_kafka_reader_bounds(struct pay_kafka_reader *reader, const char *topic, int32_t partition,
                                      int64_t timeout_ms, int64_t *ret_start, int64_t *ret_end,
                                      struct pay_error *error);

/* The ends of partitions 0..count-1, asked for together. */
enum pay_move pay_kafka_reader_ends(struct pay_kafka_reader *reader, const char *topic, int32_t count,
                                    int64_t timeout_ms, int64_t *ret_ends, struct pay_error *error);

/* The first offset whose record was appended at or after `time_ms`; the end of the log when there is none. */
enum pay_move pay_kafka_reader_offset_at(struct pay_kafka_reader *reader, const char *topic, int32_t partition,
                                         int64_t time_ms, int64_t timeout_ms, int64_t *ret_offset,
                                         struct pay_error *error);

/* How many partitions the topic has; REFUSE where there is no such topic. Asks the broker. */
enum pay_move pay_kafka_reader_partitions(struct pay_kafka_reader *reader, const char *topic, int64_t timeout_ms,
                                          int32_t *ret_partitions, struct pay_error *error);

/* Readable when next may have something; stays so until next answered NOTHING with timeout 0. */
int pay_kafka_reader_descriptor(const struct pay_kafka_reader *reader);

/* Never blocks. NULL is fine. */
void pay_kafka_reader_close(struct pay_kafka_reader *reader);

#endif
