/*
 * fake_stream.h - the stream port (worker/stream.h) in memory: one worker's client of a fake_broker, with a fault script.
 *
 * Calling sequence: fake_stream_new; give &stream->port to a worker, tell the ledger id when it is known;
 * fake_stream_free when that worker is gone. A worker that crashed: fake_stream_crash first (what it had put on the wire may still
 * land, its group member falls silent). A worker that stands still: fake_stream_freeze, and thaw: it is a zombie then.
 *
 * A publisher holds a queue; its requests of one partition each go to the broker as requests_in_flight_max allows, are sent again
 * after a refusal or a timeout, and end in one report for each record - honest or not, as the request's fate says.
 * Promises: the port's contract; what a record points to is overwritten at the next next_record (who keeps it sees rubbish);
 * complains (broker->complaints) about a caller that publishes to a slot that isn't open.
 * Threads: one.
 */
#ifndef PAY_TESTS_FAKE_STREAM_H
#define PAY_TESTS_FAKE_STREAM_H

#include "fake_broker.h"
#include "fault.h"

#include "worker/stream.h"

#define FAKE_QUEUE_MAX 64 /* records a publisher holds; then publish answers AGAIN */

/* A record in a publisher's queue. */
struct fake_queued {
    struct fake_record *record;
    enum fake_topic_name topic;
    int32_t partition;
    int64_t source_offset;
    struct fake_queued *next;
};

struct fake_publisher {
    bool open;
    bool dead;    /* fatal: nothing more is sent */
    bool stalled; /* gapless (replies): something failed, what comes after it isn't sent */
    int64_t producer_id;
    int32_t next_sequence[FAKE_PARTITIONS_MAX];
    uint32_t requests_in_flight;
    uint32_t queued;
    struct fake_queued *queue;
};

struct fake_report {
    struct pay_report report;
    enum fake_topic_name topic;
    struct fake_report *next;
};

#define FAKE_LETTER_PUBLISHER PAY_PUBLISHERS_MAX

struct fake_stream {
    struct pay_stream port;    /* first: the worker's view */
    struct fake_client client; /* the broker's view */
    struct fake_broker *broker;
    struct fault *fault;
    char ledger_id[40]; /* ours; "" until told */
    bool opened;
    int64_t call_timeout_ms;

    bool assigned[FAKE_PARTITIONS_MAX]; /* as last told to the worker */
    int32_t event_partitions[FAKE_PARTITIONS_MAX];
    bool unconfirmed; /* REVOKED or LOST was told: nothing new before confirm_revoked */

    bool fetching[FAKE_PARTITIONS_MAX];
    int64_t position[FAKE_PARTITIONS_MAX];
    int64_t end_told[FAKE_PARTITIONS_MAX]; /* the end of partition that was told last; -1 none */
    uint32_t turn;                         /* whose record comes next */
    struct fake_record *given;             /* what next_record gave; dies at the next call */

    struct fake_publisher publishers[PAY_PUBLISHERS_MAX + 1]; /* the last one: dead letters */
    struct fake_report *reports;
};

struct fake_stream *fake_stream_new(struct fake_broker *broker, struct fault *fault);
void fake_stream_know_ledger(struct fake_stream *stream, const char *ledger_id);
void fake_stream_crash(struct fake_stream *stream);
void fake_stream_freeze(struct fake_stream *stream, bool frozen);
/* True when a next_* has something to say: the scheduler needn't wait. */
bool fake_stream_has_news(const struct fake_stream *stream);
void fake_stream_free(struct fake_stream *stream);

#endif
