/* stream_kafka_look.c - looking without consuming: bounds, claim scans of the reply log, anchors. */
#include "worker/stream_kafka_internal.h"

#include "base/clock.h"
#include "codec/reply_headers.h"
#include "core/request.h"

#include <stdio.h>
#include <string.h>

#define SCAN_MS_MAX 120000 /* well below max.poll.interval, after which the group goes on without us */

enum pay_move pay_sk_request_bounds(struct pay_stream *stream, int32_t partition, int64_t *ret_start, int64_t *ret_end,
                                    struct pay_error *error) {
    struct stream_kafka *self = pay_self_of(stream);
    return self->look == NULL ? pay_sk_not_open(error)
                              : pay_kafka_reader_bounds(self->look, self->request_topic, partition,
                                                        self->call_timeout_ms, ret_start, ret_end, error);
}

enum pay_move pay_sk_reply_bounds(struct pay_stream *stream, int32_t partition, int64_t *ret_start, int64_t *ret_end,
                                  struct pay_error *error) {
    struct stream_kafka *self = pay_self_of(stream);
    return self->look == NULL ? pay_sk_not_open(error)
                              : pay_kafka_reader_bounds(self->look, self->reply_topic, partition, self->call_timeout_ms,
                                                        ret_start, ret_end, error);
}

/* The next record or end of the partition that is looked at. OK, or AGAIN when none came within the call timeout. */
static enum pay_move look_next(struct stream_kafka *self, struct pay_kafka_read *read, struct pay_error *error) {
    int64_t until = pay_clock_ms() + self->call_timeout_ms;
    for (;;) {
        int64_t left = until - pay_clock_ms();
        pay_kafka_reader_next(self->look, left > 0 ? left : 0, read);
        if (read->kind == PAY_KAFKA_READ_RECORD || read->kind == PAY_KAFKA_READ_END) return PAY_OK;
        if (read->kind == PAY_KAFKA_READ_TROUBLE && read->record.partition >= 0) {
            *error = read->error; /* out of range: the bounds have moved; anything else: not now */
            return error->move = PAY_AGAIN;
        }
        if (read->kind == PAY_KAFKA_READ_TROUBLE)
            pay_sk_trouble(self, -1, &read->error);
        else if (left <= 0)
            break;
    }
    *error = (struct pay_error){.move = PAY_AGAIN, .code = "timeout"};
    snprintf(error->text, sizeof error->text, "no answer from the broker for %lld ms while reading a log",
             (long long)self->call_timeout_ms);
    return PAY_AGAIN;
}

static void read_mark(const struct stream_kafka *self, const struct pay_log_record *record,
                      struct pay_reply_mark *ret_mark) {
    struct pay_reply_headers headers;
    *ret_mark = (struct pay_reply_mark){.log_offset = record->offset};
    if (!pay_reply_headers_read(record, &headers)) return;
    ret_mark->ours = true;
    ret_mark->same_ledger = strcmp(headers.ledger_id, self->ledger_id) == 0;
    ret_mark->source_offset = headers.source_offset;
    ret_mark->covers_from = headers.covers_from;
    ret_mark->log_generation = headers.log_generation;
}

static enum pay_move scan_replies(struct stream_kafka *self, int64_t to, pay_reply_fn each, void *argument,
                                  struct pay_error *error) {
    int64_t until = pay_clock_ms() + SCAN_MS_MAX;
    struct pay_kafka_read read;
    for (uint32_t count = 0;; count++) {
        enum pay_move move = look_next(self, &read, error);
        if (move != PAY_OK) return move;
        if (read.record.offset >= to)
            return PAY_OK; /* a record behind the range, or an end of the log at or behind its end */
        if (read.kind == PAY_KAFKA_READ_RECORD) {
            struct pay_reply_mark mark;
            read_mark(self, &read.record, &mark);
            each(argument, &mark);
            if (read.record.offset + 1 >= to) return PAY_OK;
        }
        if (count % 1024 == 1023 && pay_clock_ms() >= until) break;
    }
    *error = (struct pay_error){
        .move = PAY_AGAIN, .code = "timeout", .text = "the reply log is too long to be read in two minutes"};
    return PAY_AGAIN;
}

enum pay_move pay_sk_read_replies(struct pay_stream *stream, int32_t partition, int64_t from, int64_t to,
                                  pay_reply_fn each, void *argument, struct pay_error *error) {
    struct stream_kafka *self = pay_self_of(stream);
    if (self->look == NULL) return pay_sk_not_open(error);
    if (from >= to) return PAY_OK;
    enum pay_move move = pay_kafka_reader_seek(self->look, self->reply_topic, partition, from, error);
    if (move == PAY_OK) move = scan_replies(self, to, each, argument, error);
    pay_kafka_reader_stop(self->look, self->reply_topic, partition);
    return move;
}

enum pay_move pay_sk_read_anchor(struct pay_stream *stream, int32_t partition, int64_t offset,
                                 struct pay_anchor *ret_seen, struct pay_error *error) {
    struct stream_kafka *self = pay_self_of(stream);
    if (self->look == NULL) return pay_sk_not_open(error);
    struct pay_kafka_read read;
    enum pay_move move = pay_kafka_reader_seek(self->look, self->request_topic, partition, offset, error);
    if (move == PAY_OK) move = look_next(self, &read, error);
    if (move == PAY_OK) {
        const struct pay_log_record *record = &read.record;
        *ret_seen = (struct pay_anchor){.present = read.kind == PAY_KAFKA_READ_RECORD && record->offset == offset,
                                        .offset = offset};
        if (ret_seen->present) {
            ret_seen->timestamp_ms = record->timestamp_ms;
            ret_seen->crc32c = pay_record_crc(record->key, record->key_length, record->value, record->value_length);
        }
    }
    pay_kafka_reader_stop(self->look, self->request_topic, partition);
    return move;
}
