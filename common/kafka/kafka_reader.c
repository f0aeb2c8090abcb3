#include "kafka/kafka_reader.h"

#include "base/clock.h"
#include "core/limits.h"
#include "kafka/kafka_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_AT_FIRST 16u

/* A partition that is delivered. */
struct place {
    char topic[PAY_TOPIC_MAX + 1];
    int32_t partition;
    int64_t next; /* smallest offset that may still be delivered */
};

struct pay_kafka_reader {
    struct pay_kafka_handle *handle;
    rd_kafka_event_t *held; /* what the last next() gave out points into it */
    struct pay_header *headers;
    size_t headers_capacity;
    struct place *places;
    uint32_t place_count, place_capacity;
    char trouble_topic[PAY_TOPIC_MAX + 1];
};

enum pay_move pay_kafka_reader_open(const struct pay_kafka_reader_options *options,
                                    struct pay_kafka_reader **ret_reader, struct pay_error *error) {
    char wait[24], bytes[24];
    snprintf(wait, sizeof wait, "%lld", (long long)options->fetch_wait_ms);
    snprintf(bytes, sizeof bytes, "%lld", (long long)(options->fetch_bytes > 0 ? options->fetch_bytes : 262144));
    const struct pay_kafka_fixed fixed[] = {
        {"group.id", options->group != NULL ? options->group : "paybuf-reader", false},
        {"isolation.level", options->committed_only ? "read_committed" : "read_uncommitted", false},
        {"enable.auto.commit", "false", false},
        {"enable.auto.offset.store", "false", false},
        {"auto.offset.reset", "error", false},
        {"enable.partition.eof", "true", false},
        {"check.crcs", "true", false},
        {"fetch.wait.max.ms", wait, options->committed_only}, /* a scan's must stay short */
        {"fetch.error.backoff.ms", "100", false},
        {"max.poll.interval.ms", "86400000", false}, /* there is no group to be thrown out of */
        /* Before 2.2 a full queue stops fetching for a whole second (#2879): the queue is large, a fetch small beside it. */
        {"queued.max.messages.kbytes", "16384", true},
        {"fetch.message.max.bytes", bytes, options->fetch_bytes <= 0},
        {NULL, NULL, false},
    };
    struct pay_kafka_reader *reader = calloc(1, sizeof *reader);
    assert(reader != NULL);
    enum pay_move move =
        pay_kafka_handle_open(&options->kafka, PAY_KAFKA_CONSUMER, fixed, RD_KAFKA_EVENT_FETCH, &reader->handle, error);
    if (move != PAY_OK) {
        free(reader);
        return move;
    }
    *ret_reader = reader;
    return PAY_OK;
}

static struct place *find(struct pay_kafka_reader *reader, const char *topic, int32_t partition) {
    for (uint32_t i = 0; i < reader->place_count; i++) {
        if (reader->places[i].partition == partition && strcmp(reader->places[i].topic, topic) == 0)
            return &reader->places[i];
    }
    return NULL;
}

static struct place *add(struct pay_kafka_reader *reader, const char *topic, int32_t partition) {
    if (reader->place_count == reader->place_capacity) {
        reader->place_capacity = reader->place_capacity == 0 ? 16 : 2 * reader->place_capacity;
        reader->places = realloc(reader->places, reader->place_capacity * sizeof *reader->places);
        assert(reader->places != NULL);
    }
    struct place *place = &reader->places[reader->place_count++];
    snprintf(place->topic, sizeof place->topic, "%s", topic);
    place->partition = partition;
    return place;
}

static rd_kafka_topic_partition_list_t *list_of(const char *topic, int32_t partition, int64_t offset) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    return list;
}

static void let_go(struct pay_kafka_reader *reader) {
    if (reader->held != NULL) rd_kafka_event_destroy(reader->held);
    reader->held = NULL;
}

void pay_kafka_reader_stop(struct pay_kafka_reader *reader, const char *topic, int32_t partition) {
    struct place *place = find(reader, topic, partition);
    if (place == NULL) return;
    /* From here on librdkafka drops what it has already fetched of it; the answer can only be that it wasn't assigned. */
    rd_kafka_topic_partition_list_t *list = list_of(topic, partition, RD_KAFKA_OFFSET_INVALID);
    rd_kafka_error_t *why = rd_kafka_incremental_unassign(reader->handle->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (why != NULL) rd_kafka_error_destroy(why);
    *place = reader->places[--reader->place_count];
}

void pay_kafka_reader_stop_all(struct pay_kafka_reader *reader) {
    reader->place_count = 0;
    rd_kafka_assign(reader->handle->rk, NULL);
}

enum pay_move pay_kafka_reader_seek(struct pay_kafka_reader *reader, const char *topic, int32_t partition,
                                    int64_t offset, struct pay_error *error) {
    assert(offset >= 0);
    /* Not a seek in place: unassign and assign begin a new fetch session of the partition, without any state of the old one. */
    pay_kafka_reader_stop(reader, topic, partition);
    rd_kafka_topic_partition_list_t *list = list_of(topic, partition, offset);
    rd_kafka_error_t *why = rd_kafka_incremental_assign(reader->handle->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (why != NULL) {
        pay_kafka_fail(error, rd_kafka_error_code(why), "reading can't begin", rd_kafka_error_string(why));
        rd_kafka_error_destroy(why);
        return error->move;
    }
    add(reader, topic, partition)->next = offset;
    return PAY_OK;
}

static void take_headers(struct pay_kafka_reader *reader, const rd_kafka_message_t *message,
                         struct pay_log_record *record) {
    rd_kafka_headers_t *headers = NULL;
    record->headers = NULL;
    record->header_count = 0;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    size_t count = rd_kafka_header_cnt(headers);
    if (count > reader->headers_capacity) {
        reader->headers_capacity = count < HEADERS_AT_FIRST ? HEADERS_AT_FIRST : count;
        free(reader->headers);
        reader->headers = malloc(reader->headers_capacity * sizeof *reader->headers);
        assert(reader->headers != NULL);
    }
    for (size_t i = 0; i < count; i++) {
        struct pay_header *header = &reader->headers[i];
        rd_kafka_header_get_all(headers, i, &header->name, &header->value, &header->length);
    }
    record->headers = reader->headers;
    record->header_count = count;
}

/* False: a record that nobody asked for (of an earlier seek); it is dropped. */
static bool give_record(struct pay_kafka_reader *reader, rd_kafka_event_t *event, struct pay_kafka_read *ret_read) {
    const rd_kafka_message_t *message = rd_kafka_event_message_next(event);
    if (message == NULL) return false;
    const char *topic = rd_kafka_topic_name(message->rkt);
    struct place *place = find(reader, topic, message->partition);
    if (place == NULL || message->offset < place->next) return false;
    place->next = message->offset + 1;
    ret_read->kind = PAY_KAFKA_READ_RECORD;
    ret_read->topic = place->topic;
    struct pay_log_record *record = &ret_read->record;
    record->partition = message->partition;
    record->offset = message->offset;
    record->timestamp_ms = rd_kafka_message_timestamp(message, NULL);
    record->key = message->key;
    record->key_length = message->key_len;
    record->value = message->payload;
    record->value_length = message->len;
    take_headers(reader, message, record);
    reader->held = event;
    return true;
}

/* An end of partition, or an error of one partition. False: of a partition that isn't read any more. */
static bool give_partition_event(struct pay_kafka_reader *reader, rd_kafka_event_t *event,
                                 struct pay_kafka_read *ret_read) {
    rd_kafka_topic_partition_t *where = rd_kafka_event_topic_partition(event);
    assert(where != NULL); /* pay_kafka_handle_poll keeps the others */
    struct place *place = find(reader, where->topic, where->partition);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (place != NULL) {
        ret_read->record.partition = where->partition;
        ret_read->record.offset = where->offset;
        snprintf(reader->trouble_topic, sizeof reader->trouble_topic, "%s", where->topic);
        ret_read->topic = reader->trouble_topic;
        ret_read->kind = code == RD_KAFKA_RESP_ERR__PARTITION_EOF ? PAY_KAFKA_READ_END : PAY_KAFKA_READ_TROUBLE;
    }
    if (place != NULL && ret_read->kind == PAY_KAFKA_READ_TROUBLE) {
        char what[PAY_TOPIC_MAX + 64];
        snprintf(what, sizeof what, "reading %s partition %d", where->topic, (int)where->partition);
        pay_kafka_fail(&ret_read->error, code, what, rd_kafka_event_error_string(event));
    }
    rd_kafka_topic_partition_destroy(where);
    return place != NULL;
}

/* True when `event` was given out. It is destroyed, or held. */
static bool give(struct pay_kafka_reader *reader, rd_kafka_event_t *event, struct pay_kafka_read *ret_read) {
    bool given = false;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH)
        given = give_record(reader, event, ret_read);
    else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
        given = give_partition_event(reader, event, ret_read);
    if (reader->held == NULL) rd_kafka_event_destroy(event);
    return given;
}

static bool give_handle_trouble(struct pay_kafka_reader *reader, struct pay_kafka_read *ret_read) {
    if (!reader->handle->has_trouble) return false;
    reader->handle->has_trouble = false;
    ret_read->kind = PAY_KAFKA_READ_TROUBLE;
    ret_read->topic = NULL;
    ret_read->record.partition = -1;
    ret_read->error = reader->handle->trouble;
    return true;
}

void pay_kafka_reader_next(struct pay_kafka_reader *reader, int64_t timeout_ms, struct pay_kafka_read *ret_read) {
    let_go(reader);
    ret_read->kind = PAY_KAFKA_READ_NOTHING;
    int64_t until = pay_clock_ms() + timeout_ms;
    int64_t left =
        0; /* what is there already first, then one more look after the descriptor was emptied, then waiting */
    bool drained = false;
    for (;;) {
        if (give_handle_trouble(reader, ret_read)) return;
        rd_kafka_event_t *event = pay_kafka_handle_poll(reader->handle, (int)left);
        if (event != NULL && give(reader, event, ret_read)) return;
        if (event != NULL || reader->handle->has_trouble) continue;
        if (!drained) {
            pay_kafka_handle_drain(reader->handle);
            drained = true;
            continue;
        }
        left = until - pay_clock_ms();
        if (timeout_ms <= 0 || left <= 0) return;
    }
}

/* The library asks the leader that it knows, and keeps him until its next look, up to 30 s away; "not leader" doesn't make it look
   again [run]. So the metadata are asked for here; the caller's next try goes to the new one. */
static void look_for_leader(struct pay_kafka_reader *reader, const char *topic, int64_t timeout_ms) {
    int32_t partitions;
    struct pay_error error;
    if (timeout_ms > 0) pay_kafka_reader_partitions(reader, topic, timeout_ms, &partitions, &error);
}

/* The offset for a time, or for RD_KAFKA_OFFSET_BEGINNING or _END: the protocol's own numbers, passed on as they are. Not by
   rd_kafka_query_watermark_offsets: it waits without any bound once its request is under way and the broker goes. */
static enum pay_move ask_offset(struct pay_kafka_reader *reader, const char *topic, int32_t partition, int64_t which,
                                int64_t timeout_ms, int64_t *ret_offset, struct pay_error *error) {
    int64_t until = pay_clock_ms() + timeout_ms;
    rd_kafka_topic_partition_list_t *list = list_of(topic, partition, which);
    rd_kafka_resp_err_t code = timeout_ms > 0 ? rd_kafka_offsets_for_times(reader->handle->rk, list, (int)timeout_ms)
                                              : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = list->elems[0].err;
    int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION) look_for_leader(reader, topic, until - pay_clock_ms());
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        char what[PAY_TOPIC_MAX + 64];
        snprintf(what, sizeof what, "offsets of %s partition %d", topic, (int)partition);
        return pay_kafka_fail(error, code, what, NULL);
    }
    *ret_offset = offset;
    return PAY_OK;
}

enum pay_move pay_kafka_reader_bounds(struct pay_kafka_reader *reader, const char *topic, int32_t partition,
                                      int64_t timeout_ms, int64_t *ret_start, int64_t *ret_end,
                                      struct pay_error *error) {
    int64_t until = pay_clock_ms() + timeout_ms;
    int64_t start = 0;
    enum pay_move move = ask_offset(reader, topic, partition, RD_KAFKA_OFFSET_BEGINNING, timeout_ms, &start, error);
    if (move == PAY_OK)
        move = ask_offset(reader, topic, partition, RD_KAFKA_OFFSET_END, until - pay_clock_ms(), ret_end, error);
    if (move == PAY_OK) *ret_start = start;
    return move;
}

enum pay_move pay_kafka_reader_ends(struct pay_kafka_reader *reader, const char *topic, int32_t count,
                                    int64_t timeout_ms, int64_t *ret_ends, struct pay_error *error) {
    int64_t until = pay_clock_ms() + timeout_ms;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int32_t p = 0; p < count; p++) rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_resp_err_t code = timeout_ms > 0 ? rd_kafka_offsets_for_times(reader->handle->rk, list, (int)timeout_ms)
                                              : RD_KAFKA_RESP_ERR__TIMED_OUT;
    for (int32_t i = 0; i < count && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = list->elems[i].err;
        ret_ends[list->elems[i].partition] = list->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return PAY_OK;
    if (code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION) look_for_leader(reader, topic, until - pay_clock_ms());
    char what[PAY_TOPIC_MAX + 64];
    snprintf(what, sizeof what, "the ends of %s", topic);
    return pay_kafka_fail(error, code, what, NULL);
}

enum pay_move pay_kafka_reader_offset_at(struct pay_kafka_reader *reader, const char *topic, int32_t partition,
                                         int64_t time_ms, int64_t timeout_ms, int64_t *ret_offset,
                                         struct pay_error *error) {
    int64_t until = pay_clock_ms() + timeout_ms;
    int64_t offset = 0;
    enum pay_move move = ask_offset(reader, topic, partition, time_ms < 0 ? 0 : time_ms, timeout_ms, &offset, error);
    if (move == PAY_OK && offset < 0) /* no record that late */
        move = ask_offset(reader, topic, partition, RD_KAFKA_OFFSET_END, until - pay_clock_ms(), &offset, error);
    if (move == PAY_OK) *ret_offset = offset;
    return move;
}

enum pay_move pay_kafka_reader_partitions(struct pay_kafka_reader *reader, const char *topic, int64_t timeout_ms,
                                          int32_t *ret_partitions, struct pay_error *error) {
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(reader->handle->rk, topic, NULL);
    if (handle == NULL) return pay_kafka_fail(error, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, topic, NULL);
    rd_kafka_resp_err_t code = rd_kafka_metadata(reader->handle->rk, 0, handle, &metadata, (int)timeout_ms);
    rd_kafka_topic_destroy(handle);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return pay_kafka_fail(error, code, topic, NULL);
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) *ret_partitions = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return PAY_OK;
    pay_kafka_fail(error, code, topic, NULL);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) error->move = PAY_REFUSE; /* nobody creates it by asking */
    return error->move;
}

const struct pay_kafka_handle *pay_kafka_reader_handle(const struct pay_kafka_reader *reader) { return reader->handle; }

int pay_kafka_reader_descriptor(const struct pay_kafka_reader *reader) { return reader->handle->wake_fd; }

void pay_kafka_reader_close(struct pay_kafka_reader *reader) {
    if (reader == NULL) return;
    let_go(reader);
    pay_kafka_reader_stop_all(reader); /* a handle that is only destroyed slowly shall at least fetch nothing */
    pay_kafka_handle_release(reader->handle);
    free(reader->places);
    free(reader->headers);
    free(reader);
}
