/* stream_kafka_look.c - looking without consuming: bounds, claim scans of the reply log, anchors. */
#include "worker/stream_kafka_internal.h"

#include "base/clock.h"
#include "core/position.h"
#include "core/request.h"

#include <stdio.h>
#include <string.h>

#define SCAN_MS_MAX 120000          /* well below max.poll.interval, after which the group goes on without us */

enum pay_move pay_sk_request_bounds(struct pay_stream *stream, int32_t partition, int64_t *ret_start, int64_t *ret_end, struct pay_error *error)
{
    struct stream_kafka *self = pay_self_of(stream);
    return self->look == NULL ? pay_sk_not_open(error)
                              : pay_kafka_reader_bounds(self->look, self->request_topic, partition, self->call_timeout_ms, ret_start, ret_end, error);
}

enum pay_move pay_sk_reply_bounds(struct pay_stream *stream, int32_t partition, int64_t *ret_start, int64_t *ret_end, struct pay_error *error)
{
    struct stream_kafka *self = pay_self_of(stream);
    return self->look == NULL ? pay_sk_not_open(error)
                              : pay_kafka_reader_bounds(self->look, self->reply_topic, partition, self->call_timeout_ms, ret_start, ret_end, error);
}

/* The next record or end of the partition that is looked at. OK, or AGAIN when none came within the call timeout. */
static enum pay_move look_next(struct stream_kafka *self, struct pay_kafka_read *read, struct pay_error *error)
{
    int64_t until = pay_clock_ms() + self->call_timeout_ms;
    for (;;) {
        int64_t left = until - pay_clock_ms();
        pay_kafka_reader_next(self->look, left > 0 ? left : 0, read);
        if (read->kind == PAY_KAFKA_READ_RECORD || read->kind == PAY_KAFKA_READ_END)
            return PAY_OK;
        if (read->kind == PAY_KAFKA_READ_TROUBLE && read->record.partition >= 0) {
            *error = read->error;   /* out of range: the bounds have moved; anything else: not now */
            return error->move = PAY_AGAIN;
        }
        if (read->kind == PAY_KAFKA_READ_TROUBLE)
            pay_sk_trouble(self, -1, &read->error);
        else if (left <= 0)
            break;
    }
    *error = (struct pay_error){ .move = PAY_AGAIN, .code = "timeout" };
    snprintf(error->text, sizeof error->text, "no answer from the broker for %lld ms while reading a log", (long long)self->call_timeout_ms);
    return PAY_AGAIN;
}

static bool take_decimal(const struct pay_header *header, int64_t *ret_number)
{
    return header->value != NULL && pay_decimal_parse(header->value, header->length, ret_number);
}

/* Ours: each of the four headers exactly once and well formed. */
static void read_mark(const struct stream_kafka *self, const struct pay_log_record *record, struct pay_reply_mark *ret_mark)
{
    *ret_mark = (struct pay_reply_mark){ .log_offset = record->offset };
    uint32_t good = 0, seen = 0;
    for (size_t i = 0; i < record->header_count; i++) {
        const struct pay_header *header = &record->headers[i];
        bool fits;
        if (strcmp(header->name, "source-offset") == 0)
            fits = take_decimal(header, &ret_mark->source_offset);
        else if (strcmp(header->name, "covers-from") == 0)
            fits = take_decimal(header, &ret_mark->covers_from);
        else if (strcmp(header->name, "log-generation") == 0)
            fits = take_decimal(header, &ret_mark->log_generation) && ret_mark->log_generation > 0;
        else if (strcmp(header->name, "ledger-id") == 0) {
            fits = header->value != NULL && header->length > 0;
            ret_mark->same_ledger = fits && header->length == strlen(self->ledger_id) && memcmp(header->value, self->ledger_id, header->length) == 0;
        } else
            continue;
        seen++;
        good += fits;
    }
    ret_mark->ours = seen == 4 && good == 4 && ret_mark->log_generation > 0;
}

static enum pay_move scan_replies(struct stream_kafka *self, int64_t to, pay_reply_fn each, void *argument, struct pay_error *error)
{
    int64_t until = pay_clock_ms() + SCAN_MS_MAX;
    struct pay_kafka_read read;
    for (uint32_t count = 0;; count++) {
        enum pay_move move = look_next(self, &read, error);
        if (move != PAY_OK)
            return move;
        if (read.record.offset >= to)
            return PAY_OK;          /* a record behind the range, or an end of the log at or behind its end */
        if (read.kind == PAY_KAFKA_READ_RECORD) {
            struct pay_reply_mark mark;
            read_mark(self, &read.record, &mark);
            each(argument, &mark);
            if (read.record.offset + 1 >= to)
                return PAY_OK;
        }
        if (count % 1024 == 1023 && pay_clock_ms() >= until)
            break;
    }
    *error = (struct pay_error){ .move = PAY_AGAIN, .code = "timeout", .text = "the reply log is too long to be read in two minutes" };
    return PAY_AGAIN;
}

enum pay_move pay_sk_read_replies(struct pay_stream *stream, int32_t partition, int64_t from, int64_t to, pay_reply_fn each,
                                         void *argument, struct pay_error *error)
{
    struct stream_kafka *self = pay_self_of(stream);
    if (self->look == NULL)
        return pay_sk_not_open(error);
    if (from >= to)
        return PAY_OK;
    enum pay_move move = pay_kafka_reader_seek(self->look, self->reply_topic, partition, from, error);
    if (move == PAY_OK)
        move = scan_replies(self, to, each, argument, error);
    pay_kafka_reader_stop(self->look, self->reply_topic, partition);
    return move;
}

enum pay_move pay_sk_read_anchor(struct pay_stream *stream, int32_t partition, int64_t offset, struct pay_anchor *ret_seen, struct pay_error *error)
{
    struct stream_kafka *self = pay_self_of(stream);
    if (self->look == NULL)
        return pay_sk_not_open(error);
    struct pay_kafka_read read;
    enum pay_move move = pay_kafka_reader_seek(self->look, self->request_topic, partition, offset, error);
    if (move == PAY_OK)
        move = look_next(self, &read, error);
    if (move == PAY_OK) {
        const struct pay_log_record *record = &read.record;
        *ret_seen = (struct pay_anchor){ .present = read.kind == PAY_KAFKA_READ_RECORD && record->offset == offset, .offset = offset };
        if (ret_seen->present) {
            ret_seen->timestamp_ms = record->timestamp_ms;
            ret_seen->crc32c = pay_record_crc(record->key, record->key_length, record->value, record->value_length);
        }
    }
    pay_kafka_reader_stop(self->look, self->request_topic, partition);
    return move;
}
