/* listener.h - what the files of paybuf_listener share: the listener itself. <paybuf/listener.h> is what callers see. */
#ifndef PAY_LISTENER_LISTENER_H
#define PAY_LISTENER_LISTENER_H

#include "core/error.h"
#include "core/limits.h"
#include "kafka/kafka_reader.h"
#include "listener/listener_rule.h"

#define PAY_LISTENER_WHY_MAX 768

struct paybuf_listener {
    struct pay_kafka_reader *reader;
    struct pay_listener_rule rule;
    char reply_topic[PAY_TOPIC_MAX + 1], request_topic[PAY_TOPIC_MAX + 1];
    enum paybuf_listener_start start;
    int64_t start_time_ms, timeout_ms;
    int32_t broken, notices; /* lanes that are to be sought again; that have something to tell */
    int64_t mended_ms, grown_ms, told_ms;
    struct paybuf_listener_reply reply; /* the last one given out */
    char why[PAY_LISTENER_WHY_MAX];
    char kafka_trouble[256]; /* the last line of librdkafka's own log: often the reason of a timeout */
};

/*
 * Adds the lanes lane_count..partitions-1, each from its positions or as `start` says, and begins to read them. Asks the broker.
 * A lane that begins in the middle needs E0, the request partition's high watermark, read after its start was fixed and before
 * its first reply: read earlier, a zombie's repeat could end its resynchronisation too soon.
 */
enum pay_move pay_listener_begin(struct paybuf_listener *listener, int32_t partitions,
                                 const struct paybuf_listener_position *positions, size_t count,
                                 struct pay_error *error);

/* Reads a lane again from its reply_offset, or from the log's start where the log doesn't have that any more: a notice then. */
enum pay_move pay_listener_seek(struct paybuf_listener *listener, struct pay_listener_lane *lane, int64_t timeout_ms,
                                struct pay_error *error);

#endif
