/*
 * reply_publisher.h - replies into one partition of a reply topic, as a publishing session must (PROTOCOL 3): one request in flight, each
 * acknowledgement at a larger offset than the one before, and nothing more after the first odd one. Whether they may be published, and that
 * they are contiguous, is the caller's: `paybuf replay --reply`, `paybuf recover lane`.
 *
 * Sequence: open; publish, any number; finish; close. Bounds: 1,000 replies wait for room, 30 s without an acknowledgement end it.
 * Memory: owns its Kafka handle. Threads: one.
 */
#ifndef PAY_TOOLS_REPLY_PUBLISHER_H
#define PAY_TOOLS_REPLY_PUBLISHER_H

#include "codec/reply_record.h"
#include "kafka/kafka_publisher.h"
#include "tools/tool.h"

struct reply_publisher {
    struct pay_kafka_publisher *kafka; /* NULL: not open */
    int32_t partition;
    int64_t acknowledged; /* log offset of the last one; -1 */
    bool failed;
    char why[64]; /* after false */
};

/* PAY_EXIT_OK, or unavailable and said. */
enum pay_exit reply_publisher_open(struct reply_publisher *publisher, struct tool *tool, const char *topic,
                                   int32_t partition);
/* False: it ends here. What was published before is true, and in the log as far as it got. */
bool reply_publisher_publish(struct reply_publisher *publisher, const struct pay_reply_record *reply);
/* True: everything published is acknowledged. */
bool reply_publisher_finish(struct reply_publisher *publisher);
void reply_publisher_close(struct reply_publisher *publisher);

#endif
