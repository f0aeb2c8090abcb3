/*
 * stream_kafka_internal.h - for stream_kafka*.c only: the adapter's state, and what its parts need of each other.
 *   stream_kafka.c  opening, closing, waiting    stream_kafka_group.c  events    stream_kafka_lanes.c  request records, the watchdog
 *   stream_kafka_look.c  bounds, claim scans, anchors    stream_kafka_publish.c  replies, dead letters, reports
 */
#ifndef PAY_WORKER_STREAM_KAFKA_INTERNAL_H
#define PAY_WORKER_STREAM_KAFKA_INTERNAL_H

#include "kafka/kafka_group.h"
#include "kafka/kafka_publisher.h"
#include "kafka/kafka_reader.h"
#include "worker/stream_kafka.h"

#define TROUBLES_MAX 64u /* more at once become one trouble of everything */

/* Who has news: bits of `ready`. */
#define READY_GROUP (1ull << 0)
#define READY_LANES (1ull << 1)
#define READY_SELF (1ull << 2)
#define READY_LETTERS (1ull << 3)
#define READY_SLOT_0 4

struct fetched_lane {
    bool fetching;
    int64_t next; /* where a new handle goes on */
    int64_t heard_ms;
};

struct stream_kafka {
    struct pay_stream base;
    struct pay_setting *settings;
    struct pay_kafka_options kafka;
    char request_topic[PAY_TOPIC_MAX + 1];
    char reply_topic[PAY_TOPIC_MAX + 1];
    char dead_letter_topic[PAY_TOPIC_MAX + 1];
    char group_name[128];
    char ledger_id[64];
    int64_t linger_ms, call_timeout_ms;
    bool allow_unsafe_topics;

    uint32_t partitions;
    int64_t reply_bytes_max, dead_letter_bytes_max;
    struct pay_kafka_group *group;
    struct pay_kafka_reader *lanes;
    struct pay_kafka_reader *look;
    struct pay_kafka_publisher *publishers[PAY_PUBLISHERS_MAX];
    struct pay_kafka_publisher *letters;
    struct fetched_lane *fetched; /* of every partition */

    int epoll_fd;
    int self_fd;        /* eventfd: something waits in this struct, not in a library's queue */
    bool looked;        /* the descriptors were asked in this pass */
    bool records_muted; /* the lanes' descriptor asks for no event now */
    uint64_t ready;
    int64_t looked_ms; /* last time all handles were polled without being asked */
    int64_t watched_ms;
    bool lanes_dry; /* next_record found nothing more the last time */
    struct pay_stream_event troubles[TROUBLES_MAX];
    uint32_t trouble_first, trouble_count;
    bool whole_trouble; /* one of them is of a whole connection */
};

static inline struct stream_kafka *pay_self_of(struct pay_stream *stream) { return (struct stream_kafka *)stream; }

/* Waiting: a descriptor whose news set `bit`; whether any of `bits` has news (a bit stays until the caller polled that handle empty and cleared it). */
void pay_sk_watch(struct stream_kafka *self, int fd, uint64_t bit);
void pay_sk_unwatch(struct stream_kafka *self, int fd);
bool pay_sk_is_ready(struct stream_kafka *self, uint64_t bits);
void pay_sk_nudge(struct stream_kafka *self); /* something waits in this struct, not in a library's queue */

/* Will be told by next_event before any further record; partition -1: of a whole connection, at most one of these waits. */
void pay_sk_trouble(struct stream_kafka *self, int32_t partition, const struct pay_error *error);

/* An error for a call that came before open. */
enum pay_move pay_sk_not_open(struct pay_error *error);

enum pay_move pay_sk_open_lanes(struct stream_kafka *self, struct pay_error *error);
void pay_sk_close_lanes(struct stream_kafka *self);
void pay_sk_watchdog(struct stream_kafka *self, int64_t now_ms);

/* The ops (stream.h), by file. */
void pay_sk_next_event(struct pay_stream *stream, struct pay_stream_event *ret_event);
void pay_sk_confirm_revoked(struct pay_stream *stream);
bool pay_sk_still_assigned(struct pay_stream *stream, int32_t partition);
void pay_sk_commit_courtesy(struct pay_stream *stream, int32_t partition, int64_t offset);

enum pay_move pay_sk_fetch(struct pay_stream *stream, int32_t partition, int64_t offset, struct pay_error *error);
void pay_sk_stop_fetch(struct pay_stream *stream, int32_t partition);
enum pay_record_kind pay_sk_next_record(struct pay_stream *stream, struct pay_log_record *ret_record);

enum pay_move pay_sk_request_bounds(struct pay_stream *stream, int32_t partition, int64_t *ret_start, int64_t *ret_end,
                                    struct pay_error *error);
enum pay_move pay_sk_reply_bounds(struct pay_stream *stream, int32_t partition, int64_t *ret_start, int64_t *ret_end,
                                  struct pay_error *error);
enum pay_move pay_sk_read_replies(struct pay_stream *stream, int32_t partition, int64_t from, int64_t to,
                                  pay_reply_fn each, void *argument, struct pay_error *error);
enum pay_move pay_sk_read_anchor(struct pay_stream *stream, int32_t partition, int64_t offset,
                                 struct pay_anchor *ret_seen, struct pay_error *error);

enum pay_move pay_sk_open_publisher(struct pay_stream *stream, uint32_t slot, struct pay_error *error);
void pay_sk_close_publisher(struct pay_stream *stream, uint32_t slot);
enum pay_move pay_sk_publish(struct pay_stream *stream, uint32_t slot, const struct pay_outgoing *reply,
                             struct pay_error *error);
enum pay_move pay_sk_dead_letter(struct pay_stream *stream, const struct pay_outgoing *letter, struct pay_error *error);
void pay_sk_reset_dead_letters(struct pay_stream *stream);
bool pay_sk_next_report(struct pay_stream *stream, struct pay_report *ret_report);

#endif
