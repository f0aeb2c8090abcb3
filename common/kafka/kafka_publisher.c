#include "kafka/kafka_publisher.h"

#include "core/limits.h"
#include "kafka/kafka_internal.h"
#include "kafka/kafka_statistics.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The broker judges a record together with the batch that it travels in; librdkafka knows only key, value and headers. A batch's head is 61
 * bytes, a record's own lengths and deltas at most 35: what was taken and then refused would end the handle.
 */
#define BATCH_OVERHEAD 128
#define LIBRARY_BYTES_DEFAULT 1000000
#define LIBRARY_BYTES_LEAST 1000 /* that it takes as a setting */

static int64_t library_bytes_max(int64_t record_bytes_max) {
    if (record_bytes_max == 0) return LIBRARY_BYTES_DEFAULT;
    int64_t bytes = record_bytes_max - BATCH_OVERHEAD;
    return bytes > LIBRARY_BYTES_LEAST ? bytes : LIBRARY_BYTES_LEAST;
}

struct pay_kafka_publisher {
    struct pay_kafka_handle *handle;
    rd_kafka_topic_t *topic;
    rd_kafka_event_t *reports; /* a batch of delivery reports that is being given out, NULL when none */
    uint64_t outstanding;
    int64_t turn_us;
    bool dead; /* purged or fatal: nothing more is published */
    bool fatal_told;
};

struct number_text {
    char text[24];
};

static const char *number(struct number_text *room, int64_t value) {
    snprintf(room->text, sizeof room->text, "%lld", (long long)value);
    return room->text;
}

static enum pay_move open_handle(const struct pay_kafka_publisher_options *options,
                                 struct pay_kafka_handle **ret_handle, struct pay_error *error) {
    struct number_text in_flight, linger, bytes;
    const struct pay_kafka_fixed fixed[] = {
        {"acks", "all", false},
        {"enable.idempotence", "true", false},
        {"enable.gapless.guarantee", "true", false},
        {"max.in.flight", number(&in_flight, options->in_flight_max), false},
        {"message.timeout.ms", "0", false},    /* the caller decides when to give up, by closing */
        {"request.timeout.ms", "8000", false}, /* the broker answers before socket.timeout.ms ends the connection */
        {"partitioner", "murmur2_random", false},
        {"retry.backoff.ms", "50", false},
        {"queue.buffering.max.kbytes", "131072", true},
        {"linger.ms", number(&linger, options->linger_ms), true},
        {"compression.codec", "lz4", true},
        {"statistics.interval.ms", options->measures ? "1000" : "0", !options->measures},
        /* A batch larger than the topic takes would be refused whole. */
        {"message.max.bytes", number(&bytes, library_bytes_max(options->record_bytes_max)), false},
        {NULL, NULL, false},
    };
    return pay_kafka_handle_open(&options->kafka, PAY_KAFKA_PRODUCER, fixed, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_STATS,
                                 ret_handle, error);
}

/* A topic that librdkafka doesn't know yet would take records into a waiting room; a missing one is better told now. */
static enum pay_move wait_for_topic(struct pay_kafka_publisher *publisher, const char *name, int64_t wait_ms,
                                    struct pay_error *error) {
    const rd_kafka_metadata_t *metadata = NULL;
    char what[PAY_TOPIC_MAX + 16];
    snprintf(what, sizeof what, "topic %s", name);
    rd_kafka_resp_err_t code = rd_kafka_metadata(publisher->handle->rk, 0, publisher->topic, &metadata, (int)wait_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
        rd_kafka_metadata_destroy(metadata);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return PAY_OK;
    enum pay_move move = pay_kafka_fail(error, code, what, NULL);
    if (move == PAY_SESSION_OVER) /* unknown topic: it may be in creation, or on a broker that just came up */
        error->move = move = PAY_AGAIN;
    return move;
}

enum pay_move pay_kafka_publisher_open(const struct pay_kafka_publisher_options *options,
                                       struct pay_kafka_publisher **ret_publisher, struct pay_error *error) {
    assert(options->in_flight_max >= 1 && options->in_flight_max <= 5);
    struct pay_kafka_publisher *publisher = calloc(1, sizeof *publisher);
    assert(publisher != NULL);
    publisher->turn_us = -1;
    enum pay_move move = open_handle(options, &publisher->handle, error);
    if (move != PAY_OK) {
        free(publisher);
        return move;
    }
    publisher->topic = rd_kafka_topic_new(publisher->handle->rk, options->topic, NULL);
    if (publisher->topic == NULL)
        move = pay_kafka_fail(error, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, "topic name", options->topic);
    else if (options->wait_ms > 0)
        move = wait_for_topic(publisher, options->topic, options->wait_ms, error);
    if (move != PAY_OK) {
        pay_kafka_publisher_close(publisher);
        return move;
    }
    *ret_publisher = publisher;
    return PAY_OK;
}

/* Headers are ours until the record is taken: with librdkafka's own ones a refused record would free them twice (#4627, open in 2.8). */
static rd_kafka_headers_t *make_headers(const struct pay_kafka_message *message) {
    if (message->header_count == 0) return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(message->header_count);
    for (size_t i = 0; i < message->header_count; i++) {
        const struct pay_header *header = &message->headers[i];
        rd_kafka_header_add(headers, header->name, -1, header->value,
                            header->value != NULL ? (ssize_t)header->length : 0);
    }
    return headers;
}

static enum pay_move refused(struct pay_kafka_publisher *publisher, rd_kafka_error_t *why, struct pay_error *error) {
    rd_kafka_resp_err_t code = rd_kafka_error_code(why);
    pay_kafka_fail(error, code, "not taken for publishing", rd_kafka_error_string(why));
    rd_kafka_error_destroy(why);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        error->move = PAY_AGAIN;
    else if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        error->move = PAY_SPLIT;
    else
        error->move = PAY_SESSION_OVER;
    publisher->dead = publisher->dead || error->move == PAY_SESSION_OVER;
    return error->move;
}

enum pay_move pay_kafka_publisher_publish(struct pay_kafka_publisher *publisher,
                                          const struct pay_kafka_message *message, struct pay_error *error) {
    if (publisher->dead) {
        pay_kafka_fail(error, RD_KAFKA_RESP_ERR__STATE, "not taken for publishing",
                       "this producer is dead: open another");
        return error->move = PAY_SESSION_OVER;
    }
    rd_kafka_headers_t *headers = make_headers(message);
    rd_kafka_vu_t parts[8];
    size_t count = 0;
    parts[count].vtype = RD_KAFKA_VTYPE_RKT;
    parts[count++].u.rkt = publisher->topic;
    parts[count].vtype = RD_KAFKA_VTYPE_PARTITION;
    parts[count++].u.i32 = message->partition < 0 ? RD_KAFKA_PARTITION_UA : message->partition;
    parts[count].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    parts[count++].u.i = RD_KAFKA_MSG_F_COPY;
    parts[count].vtype = RD_KAFKA_VTYPE_KEY;
    parts[count].u.mem.ptr = (void *)(uintptr_t)message->key;
    parts[count++].u.mem.size = message->key_length;
    parts[count].vtype = RD_KAFKA_VTYPE_VALUE;
    parts[count].u.mem.ptr = (void *)(uintptr_t)message->value;
    parts[count++].u.mem.size = message->value_length;
    parts[count].vtype = RD_KAFKA_VTYPE_OPAQUE;
    parts[count++].u.ptr = message->opaque;
    if (headers != NULL) {
        parts[count].vtype = RD_KAFKA_VTYPE_HEADERS;
        parts[count++].u.headers = headers;
    }
    rd_kafka_error_t *why = rd_kafka_produceva(publisher->handle->rk, parts, count);
    if (why != NULL) {
        if (headers != NULL) rd_kafka_headers_destroy(headers);
        return refused(publisher, why, error);
    }
    publisher->outstanding++;
    return PAY_OK;
}

static void describe(const rd_kafka_message_t *message, struct pay_kafka_report *ret_report) {
    memset(ret_report, 0, sizeof *ret_report);
    ret_report->opaque = message->_private;
    ret_report->partition = message->partition;
    ret_report->offset = message->offset;
    ret_report->failed = message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
    if (ret_report->failed) pay_kafka_code(ret_report->code, message->err);
}

static void take_statistics(struct pay_kafka_publisher *publisher, rd_kafka_event_t *event) {
    const char *text = rd_kafka_event_stats(event);
    int64_t turn_us = pay_kafka_turn_us(text, strlen(text), rd_kafka_topic_name(publisher->topic));
    if (turn_us >= 0) publisher->turn_us = turn_us;
}

/* The next batch of reports into publisher->reports; false when there is none. */
static bool next_batch(struct pay_kafka_publisher *publisher) {
    rd_kafka_event_t *event = pay_kafka_handle_poll(publisher->handle, 0);
    if (event == NULL) {
        pay_kafka_handle_drain(publisher->handle);
        event = pay_kafka_handle_poll(publisher->handle, 0);
    }
    if (event == NULL) return false;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR) {
        publisher->reports = event;
        return true;
    }
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_STATS) take_statistics(publisher, event);
    rd_kafka_event_destroy(event);
    return true;
}

bool pay_kafka_publisher_next_report(struct pay_kafka_publisher *publisher, struct pay_kafka_report *ret_report) {
    do {
        const rd_kafka_message_t *message =
            publisher->reports != NULL ? rd_kafka_event_message_next(publisher->reports) : NULL;
        if (message != NULL) {
            describe(message, ret_report);
            assert(publisher->outstanding > 0);
            publisher->outstanding--;
            return true;
        }
        if (publisher->reports != NULL) rd_kafka_event_destroy(publisher->reports);
        publisher->reports = NULL;
    } while (next_batch(publisher));

    if (!publisher->handle->fatal || publisher->fatal_told) return false;
    publisher->fatal_told = true;
    publisher->dead = true;
    memset(ret_report, 0, sizeof *ret_report);
    *ret_report = (struct pay_kafka_report){.partition = -1, .offset = -1, .failed = true, .fatal = true};
    snprintf(ret_report->code, sizeof ret_report->code, "%s", publisher->handle->trouble.code);
    return true;
}

bool pay_kafka_publisher_take_trouble(struct pay_kafka_publisher *publisher, struct pay_error *ret_error) {
    if (!publisher->handle->has_trouble) return false;
    *ret_error = publisher->handle->trouble;
    publisher->handle->has_trouble = false;
    return true;
}

int64_t pay_kafka_publisher_turn_us(const struct pay_kafka_publisher *publisher) { return publisher->turn_us; }
uint64_t pay_kafka_publisher_outstanding(const struct pay_kafka_publisher *publisher) { return publisher->outstanding; }

const struct pay_kafka_handle *pay_kafka_publisher_handle(const struct pay_kafka_publisher *publisher) {
    return publisher->handle;
}

int pay_kafka_publisher_descriptor(const struct pay_kafka_publisher *publisher) { return publisher->handle->wake_fd; }

void pay_kafka_publisher_purge(struct pay_kafka_publisher *publisher) {
    publisher->dead = true;
    rd_kafka_purge(publisher->handle->rk,
                   RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

void pay_kafka_publisher_close(struct pay_kafka_publisher *publisher) {
    if (publisher == NULL) return;
    pay_kafka_publisher_purge(publisher);
    if (publisher->reports != NULL) rd_kafka_event_destroy(publisher->reports);
    if (publisher->topic != NULL) rd_kafka_topic_destroy(publisher->topic);
    pay_kafka_handle_release(publisher->handle);
    free(publisher);
}
