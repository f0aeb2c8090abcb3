/* stream_kafka_publish.c - replies by slots, dead letters, and their raw reports. */
#include "worker/stream_kafka_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define OFFSET_BITS                                                                                                    \
    48 /* a report's tag: partition above, source offset below; 2^48 records are 280,000 a second for 30 years */

static uint64_t slot_bit(uint32_t slot) { return 1ull << (READY_SLOT_0 + slot); }

static void close_producer(struct stream_kafka *self, struct pay_kafka_publisher **publisher, uint64_t bit) {
    if (*publisher == NULL) return;
    pay_sk_unwatch(self, pay_kafka_publisher_descriptor(*publisher));
    pay_kafka_publisher_close(*publisher);
    *publisher = NULL;
    self->ready &= ~bit;
}

void pay_sk_close_publisher(struct pay_stream *stream, uint32_t slot) {
    struct stream_kafka *self = pay_self_of(stream);
    assert(slot < PAY_PUBLISHERS_MAX);
    close_producer(self, &self->publishers[slot], slot_bit(slot));
}

enum pay_move pay_sk_open_publisher(struct pay_stream *stream, uint32_t slot, struct pay_error *error) {
    struct stream_kafka *self = pay_self_of(stream);
    char name[PAY_KAFKA_CLIENT_ID_MAX + 1];
    pay_sk_close_publisher(stream, slot);
    snprintf(name, sizeof name, "paybuf-worker-replies-%u", (unsigned)slot);
    struct pay_kafka_publisher_options options = {.kafka = self->kafka,
                                                  .topic = self->reply_topic,
                                                  .in_flight_max = 1,
                                                  .linger_ms = self->linger_ms,
                                                  .record_bytes_max = self->reply_bytes_max,
                                                  .wait_ms = self->call_timeout_ms};
    options.kafka.client_id = name;
    enum pay_move move = pay_kafka_publisher_open(&options, &self->publishers[slot], error);
    if (move == PAY_OK) pay_sk_watch(self, pay_kafka_publisher_descriptor(self->publishers[slot]), slot_bit(slot));
    return move;
}

static enum pay_move open_letters(struct stream_kafka *self, struct pay_error *error) {
    struct pay_kafka_publisher_options options = {.kafka = self->kafka,
                                                  .topic = self->dead_letter_topic,
                                                  .in_flight_max = 1,
                                                  .linger_ms = self->linger_ms,
                                                  .record_bytes_max = self->dead_letter_bytes_max};
    options.kafka.client_id = "paybuf-worker-letters";
    enum pay_move move = pay_kafka_publisher_open(&options, &self->letters, error);
    if (move == PAY_OK) pay_sk_watch(self, pay_kafka_publisher_descriptor(self->letters), READY_LETTERS);
    return move;
}

static struct pay_kafka_message message_of(const struct pay_outgoing *outgoing, int32_t partition) {
    assert(outgoing->source_offset >= 0 && outgoing->source_offset < 1ll << OFFSET_BITS);
    assert(outgoing->partition >= 0 && outgoing->partition < 1 << (64 - OFFSET_BITS));
    uint64_t tag = (uint64_t)outgoing->partition << OFFSET_BITS | (uint64_t)outgoing->source_offset;
    return (struct pay_kafka_message){
        partition,         outgoing->key,          outgoing->key_length,  outgoing->value, outgoing->value_length,
        outgoing->headers, outgoing->header_count, (void *)(uintptr_t)tag};
}

enum pay_move pay_sk_publish(struct pay_stream *stream, uint32_t slot, const struct pay_outgoing *reply,
                             struct pay_error *error) {
    struct stream_kafka *self = pay_self_of(stream);
    assert(slot < PAY_PUBLISHERS_MAX);
    if (self->publishers[slot] == NULL) {
        *error = (struct pay_error){.move = PAY_SESSION_OVER, .text = "this producer is closed"};
        return PAY_SESSION_OVER;
    }
    struct pay_kafka_message message = message_of(reply, reply->partition);
    return pay_kafka_publisher_publish(self->publishers[slot], &message, error);
}

enum pay_move pay_sk_dead_letter(struct pay_stream *stream, const struct pay_outgoing *letter,
                                 struct pay_error *error) {
    struct stream_kafka *self = pay_self_of(stream);
    enum pay_move move = self->letters != NULL ? PAY_OK : open_letters(self, error);
    if (move != PAY_OK) return move;
    struct pay_kafka_message message = message_of(letter, -1);
    return pay_kafka_publisher_publish(self->letters, &message, error);
}

void pay_sk_reset_dead_letters(struct pay_stream *stream) {
    struct stream_kafka *self = pay_self_of(stream);
    close_producer(self, &self->letters, READY_LETTERS); /* the next letter opens another */
}

/* One report of one producer; false, and its bit cleared, when it has none. */
static bool take_report(struct stream_kafka *self, struct pay_kafka_publisher *publisher, uint64_t bit, uint32_t slot,
                        struct pay_report *ret_report) {
    struct pay_kafka_report report;
    struct pay_error error;
    bool got = publisher != NULL && pay_kafka_publisher_next_report(publisher, &report);
    if (publisher != NULL && pay_kafka_publisher_take_trouble(publisher, &error)) pay_sk_trouble(self, -1, &error);
    if (!got) {
        self->ready &= ~bit;
        return false;
    }
    uint64_t tag = (uint64_t)(uintptr_t)report.opaque;
    *ret_report = (struct pay_report){.publisher = slot,
                                      .partition = (int32_t)(tag >> OFFSET_BITS),
                                      .source_offset = (int64_t)(tag & ((1ull << OFFSET_BITS) - 1)),
                                      .failed = report.failed,
                                      .log_offset = report.offset,
                                      .fatal = report.fatal};
    memcpy(ret_report->code, report.code, sizeof ret_report->code);
    return true;
}

bool pay_sk_next_report(struct pay_stream *stream, struct pay_report *ret_report) {
    struct stream_kafka *self = pay_self_of(stream);
    const uint64_t slots = ((1ull << PAY_PUBLISHERS_MAX) - 1) << READY_SLOT_0;
    while (pay_sk_is_ready(self, slots | READY_LETTERS)) {
        if ((self->ready & READY_LETTERS) != 0 &&
            take_report(self, self->letters, READY_LETTERS, PAY_DEAD_LETTER_SLOT, ret_report))
            return true;
        for (uint32_t slot = 0; slot < PAY_PUBLISHERS_MAX; slot++) {
            if ((self->ready & slot_bit(slot)) != 0 &&
                take_report(self, self->publishers[slot], slot_bit(slot), slot, ret_report))
                return true;
        }
    }
    return false;
}
