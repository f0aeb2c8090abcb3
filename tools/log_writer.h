/*
 * log_writer.h - records into one topic, one after the other, each acknowledged before the next: dead letters, what became of
 * them, and requests sent again.
 *
 * Sequence: a struct with tool and topic; writer_append, writer_letter; writer_close. The connection is made by the first record.
 * Errors: said. PAY_EXIT_TEMPORARY: the record may be stored or not; after it nothing more is written with this one.
 * Memory: owns its Kafka handle. Threads: one.
 */
#ifndef PAY_TOOLS_LOG_WRITER_H
#define PAY_TOOLS_LOG_WRITER_H

#include "codec/dead_letter.h"
#include "kafka/kafka_publisher.h"
#include "tools/tool.h"

struct log_writer {
    struct tool *tool;
    const char *topic;
    struct pay_kafka_publisher *publisher; /* NULL before the first record */
};

/* Where the record lies now, in ret_partition and ret_offset. */
enum pay_exit writer_append(struct log_writer *writer, const struct pay_kafka_message *message, int32_t *ret_partition,
                            int64_t *ret_offset);

/* A letter, as the worker sends it: one too large for the topic goes as its stub, and *ret_stub is true. */
enum pay_exit writer_letter(struct log_writer *writer, struct pay_dead_letter *letter, bool *ret_stub);

void writer_close(struct log_writer *writer);

#endif
