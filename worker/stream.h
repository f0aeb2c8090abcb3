/*
 * stream.h - the port to the logs: group membership, request records, the reply log, publishing. Real adapter: stream_kafka
 * (librdkafka); twin in memory, as nasty as a broker, with a fault script: tests/lib/fake_stream.
 *
 * Promises: next_* and publish never block; the others block for a bounded time (call_timeout_ms) and answer AGAIN when it
 * passed. Nothing is consumed that wasn't asked for by fetch(). The stream trusts no committed offset. Nothing is logged here.
 * Threads: one. Ownership: the adapter owns itself, `close` frees it (bounded: 5 s).
 */
#ifndef PAY_WORKER_STREAM_H
#define PAY_WORKER_STREAM_H

#include "core/claim.h"
#include "core/error.h"
#include "core/limits.h"
#include "core/log_record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* struct pay_log_record, as next_record gives it: all pointers live until the next call of next_record or close. */

enum pay_stream_event_kind {
    PAY_STREAM_NOTHING,
    PAY_STREAM_ASSIGNED, /* the group gave me exactly `partitions` (eager: the whole list) */
    PAY_STREAM_REVOKED,  /* the group takes all back; it waits for confirm_revoked (flush within PAY_REVOKE_FLUSH_MS) */
    PAY_STREAM_LOST,     /* membership is gone already: drop everything, then confirm_revoked */
    PAY_STREAM_TROUBLE   /* an error event; partition or -1: anchors are read again before the next settle */
};

struct pay_stream_event {
    enum pay_stream_event_kind kind;
    int32_t partition;
    const int32_t *partitions; /* ASSIGNED, REVOKED: valid until the next call */
    uint32_t partition_count;
    struct pay_error error; /* TROUBLE */
};

enum pay_record_kind {
    PAY_RECORD_NONE,
    PAY_RECORD_DATA,
    PAY_RECORD_END /* end of partition: .offset is the position */
};

/* A delivery report, raw: the lane judges whether it is an acknowledgement. */
struct pay_report {
    uint32_t publisher; /* slot; PAY_DEAD_LETTER_SLOT for the dead letter producer */
    int32_t partition;  /* of the request (= of the reply) */
    int64_t source_offset;
    bool failed;
    int64_t log_offset; /* -1 or stranger when the library gave none */
    bool fatal;         /* the producer is dead; partition and source_offset mean nothing */
    char code[32];
};

#define PAY_DEAD_LETTER_SLOT UINT32_MAX

/* A record to publish; everything is copied. */
struct pay_outgoing {
    int32_t partition;
    int64_t source_offset; /* comes back in the report */
    const void *key;       /* NULL: no key */
    size_t key_length;
    const void *value;
    size_t value_length;
    const struct pay_header *headers;
    size_t header_count;
};

typedef void (*pay_reply_fn)(void *argument, const struct pay_reply_mark *mark);

struct pay_stream;

struct pay_stream_ops {
    /* Cluster id, and the preconditions of topics and cluster (PROMISES). REFUSE with every failed one named. AGAIN: broker not reachable. */
    enum pay_move (*open)(struct pay_stream *stream, struct pay_error *error);
    uint32_t (*partition_count)(struct pay_stream *stream);

    /* The group. Called first in each pass of the loop, until NOTHING: the other next_* see what was there then. */
    void (*next_event)(struct pay_stream *stream, struct pay_stream_event *ret_event);
    void (*confirm_revoked)(struct pay_stream *stream);
    bool (*still_assigned)(struct pay_stream *stream, int32_t partition);
    /* Courtesy to lag tools (G); nothing ever trusts it. Never blocks. */
    void (*commit_courtesy)(struct pay_stream *stream, int32_t partition, int64_t offset);

    /* Request records, read_committed, of the lanes that are fetched. fetch: from this offset on, replacing an earlier fetch.
       offset < log start or > end comes as TROUBLE event, never as a silent reset. */
    enum pay_move (*fetch)(struct pay_stream *stream, int32_t partition, int64_t offset, struct pay_error *error);
    void (*stop_fetch)(struct pay_stream *stream, int32_t partition);
    enum pay_record_kind (*next_record)(struct pay_stream *stream, struct pay_log_record *ret_record);

    /* Looking, read_uncommitted, on a handle of its own. */
    enum pay_move (*request_bounds)(struct pay_stream *stream, int32_t partition, int64_t *ret_start, int64_t *ret_end,
                                    struct pay_error *error);
    enum pay_move (*reply_bounds)(struct pay_stream *stream, int32_t partition, int64_t *ret_start, int64_t *ret_end,
                                  struct pay_error *error);
    /* Every record of the reply partition in [from, to), in order. AGAIN: incomplete, begin the claim again. */
    enum pay_move (*read_replies)(struct pay_stream *stream, int32_t partition, int64_t from, int64_t to,
                                  pay_reply_fn each, void *argument, struct pay_error *error);
    /* The one request record at `offset`; ret_seen->present = false when there is none there. */
    enum pay_move (*read_anchor)(struct pay_stream *stream, int32_t partition, int64_t offset,
                                 struct pay_anchor *ret_seen, struct pay_error *error);

    /* Publishing. A slot is one idempotent producer with one request in flight. open_publisher on an open slot purges and destroys the old one first. */
    enum pay_move (*open_publisher)(struct pay_stream *stream, uint32_t slot, struct pay_error *error);
    void (*close_publisher)(struct pay_stream *stream, uint32_t slot); /* purge and destroy; its reports never come */
    /* OK; AGAIN: its queue is full, the same record later; SESSION_OVER: the handle is dead. */
    enum pay_move (*publish)(struct pay_stream *stream, uint32_t slot, const struct pay_outgoing *reply,
                             struct pay_error *error);
    /* To the dead letter topic (any of its partitions). SPLIT: too large even for that topic, send a stub. */
    enum pay_move (*dead_letter)(struct pay_stream *stream, const struct pay_outgoing *letter, struct pay_error *error);
    void (*reset_dead_letters)(struct pay_stream *stream); /* purge and recreate that producer */
    bool (*next_report)(struct pay_stream *stream, struct pay_report *ret_report);

    /* What the loop waits for: one descriptor that is readable when any next_* has something (-1: none, poll always).
       `wants_records` false: records don't count, because the loop has no room for them (it would spin). */
    int (*descriptor)(struct pay_stream *stream, bool wants_records);
    /* Leaves the group and closes everything, at most timeout_ms; then the caller may _exit: state is durable. */
    void (*close)(struct pay_stream *stream, int64_t timeout_ms);
};

struct pay_stream {
    const struct pay_stream_ops *ops;
    char cluster_id[64]; /* set by open */
};

#endif
