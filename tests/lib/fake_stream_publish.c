/* Publishers: queues, requests on the wire, reports honest and not. */
#include "fake_stream.h"
#include "fake_stream_private.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fake_stream *self(struct pay_stream *port) { return (struct fake_stream *)port; }

static struct fake_stream *of_client(struct fake_client *client) {
    return (struct fake_stream *)((char *)client - offsetof(struct fake_stream, client));
}

/* ---- the client's side of a produce request ---- */

static void free_queue(struct fake_publisher *publisher) {
    while (publisher->queue != NULL) {
        struct fake_queued *queued = publisher->queue;
        publisher->queue = queued->next;
        fake_record_free(queued->record);
        free(queued);
    }
    publisher->queued = 0;
}

static void drop_reports(struct fake_stream *stream, uint32_t slot) {
    for (struct fake_report **report = &stream->reports; *report != NULL;) {
        struct fake_report *dropped = *report;
        if (dropped->report.publisher != slot) {
            report = &dropped->next;
            continue;
        }
        *report = dropped->next;
        free(dropped);
    }
}

static uint32_t slot_number(uint32_t index) { return index == FAKE_LETTER_PUBLISHER ? PAY_DEAD_LETTER_SLOT : index; }

/* Purge and destroy: what is on the wire stays there, and nobody hears of it. */
void fake_stream_purge(struct fake_stream *stream, uint32_t index) {
    struct fake_publisher *publisher = &stream->publishers[index];
    if (publisher->open) fake_broker_orphan(stream->broker, publisher->producer_id);
    free_queue(publisher);
    drop_reports(stream, slot_number(index));
    memset(publisher, 0, sizeof *publisher);
}

static void open_publisher(struct fake_stream *stream, uint32_t index) {
    fake_stream_purge(stream, index);
    stream->publishers[index].open = true;
    stream->publishers[index].producer_id = ++stream->broker->producer_ids;
}

/* The first queued records of one partition become a request. */
static struct fake_produce *take_request(struct fake_stream *stream, struct fake_publisher *publisher) {
    struct fake_produce *produce = calloc(1, sizeof *produce);
    assert(produce != NULL);
    produce->topic = publisher->queue->topic;
    produce->partition = publisher->queue->partition;
    produce->producer_id = publisher->producer_id;
    produce->first_sequence = publisher->next_sequence[produce->partition];
    produce->writer = stream->fault->worker;
    produce->client = &stream->client;
    for (struct fake_queued **queued = &publisher->queue;
         *queued != NULL && produce->count < stream->broker->records_per_request;) {
        struct fake_queued *taken = *queued;
        if (taken->partition != produce->partition) {
            queued = &taken->next;
            continue;
        }
        *queued = taken->next;
        produce->records[produce->count] = taken->record;
        produce->source_offsets[produce->count++] = taken->source_offset;
        free(taken);
        publisher->queued--;
    }
    publisher->next_sequence[produce->partition] += (int32_t)produce->count;
    return produce;
}

void fake_stream_client_send(struct fake_client *client) {
    struct fake_stream *stream = of_client(client);
    for (uint32_t i = 0; i <= PAY_PUBLISHERS_MAX; i++) {
        struct fake_publisher *publisher = &stream->publishers[i];
        while (publisher->queue != NULL && !publisher->stalled && !publisher->dead &&
               publisher->requests_in_flight < stream->broker->requests_in_flight_max) {
            fake_broker_send(stream->broker, take_request(stream, publisher));
            publisher->requests_in_flight++;
        }
    }
}

static void add_report(struct fake_stream *stream, const struct pay_report *report, enum fake_topic_name topic) {
    struct fake_report *added = calloc(1, sizeof *added);
    assert(added != NULL);
    added->report = *report;
    added->topic = topic;
    struct fake_report **last = &stream->reports;
    while (*last != NULL) last = &(*last)->next;
    *last = added;
}

static uint32_t find_publisher(const struct fake_stream *stream, int64_t producer_id) {
    uint32_t i = 0;
    while (i <= PAY_PUBLISHERS_MAX && !(stream->publishers[i].open && stream->publishers[i].producer_id == producer_id))
        i++;
    return i;
}

static void report_request(struct fake_stream *stream, uint32_t index, const struct fake_produce *produce) {
    for (uint32_t i = 0; i < produce->count; i++) {
        struct pay_report report = {.publisher = slot_number(index),
                                    .partition = produce->partition,
                                    .source_offset = produce->source_offsets[i]};
        report.failed = produce->answer == ANSWER_FAILED;
        report.log_offset = produce->answer == ANSWER_OK ? produce->base_offset + (int64_t)i : -1001;
        snprintf(report.code, sizeof report.code, "%s", report.failed ? "NOT_LEADER_OR_FOLLOWER" : "");
        add_report(stream, &report, produce->topic);
    }
}

static void report_fatal(struct fake_stream *stream, uint32_t index) {
    struct pay_report report = {.publisher = slot_number(index),
                                .partition = -1,
                                .source_offset = -1,
                                .failed = true,
                                .log_offset = -1,
                                .fatal = true,
                                .code = "_FATAL"};
    add_report(stream, &report, TOPIC_REPLIES);
}

/*
 * An acknowledgement of a later request: the library takes the earlier ones, which it was about to send again, for acknowledged
 * too, and says so first - delivered, without an offset (PITFALLS: implicit acks).
 */
static void report_implicitly(struct fake_stream *stream, uint32_t index, const struct fake_produce *acknowledged) {
    struct fake_produce *earlier;
    while ((earlier = fake_broker_recall(stream->broker, acknowledged)) != NULL) {
        earlier->answer = ANSWER_LIE;
        report_request(stream, index, earlier);
        stream->publishers[index].requests_in_flight--;
        fake_produce_free(earlier);
    }
}

void fake_stream_client_answered(struct fake_client *client, struct fake_produce *produce) {
    struct fake_stream *stream = of_client(client);
    uint32_t index = find_publisher(stream, produce->producer_id);
    assert(index <= PAY_PUBLISHERS_MAX);
    struct fake_publisher *publisher = &stream->publishers[index];
    if (produce->answer == ANSWER_RETRY && !publisher->dead) {
        fake_broker_send(stream->broker, produce);
        return;
    }
    publisher->requests_in_flight--;
    bool lost = produce->answer == ANSWER_FAILED ||
                (produce->fate.fate == FATE_LIE && stream->broker->requests_in_flight_max == 1);
    if (lost && index != FAKE_LETTER_PUBLISHER) publisher->stalled = true; /* letters have no order to keep */
    if (produce->answer == ANSWER_FATAL) {
        publisher->dead = true;
        report_fatal(stream, index);
    } else if (!publisher->dead) {
        if (produce->answer == ANSWER_OK) report_implicitly(stream, index, produce);
        report_request(stream, index, produce);
    }
    fake_produce_free(produce);
}

/* ---- the worker's side ---- */

enum pay_move fake_stream_open_publisher(struct pay_stream *port, uint32_t slot, struct pay_error *error) {
    struct fake_stream *stream = self(port);
    const struct fault_entry *entry = fault_enter(stream->fault, CALL_OPEN_PUBLISHER);
    fake_broker_run(stream->broker);
    enum pay_move move = fault_wanted(entry, false);
    assert(slot < PAY_PUBLISHERS_MAX);
    if (move == PAY_OK) open_publisher(stream, slot);
    return fake_stream_answer(stream, entry, move, "_RESOURCE", error);
}

void fake_stream_close_publisher(struct pay_stream *port, uint32_t slot) {
    struct fake_stream *stream = self(port);
    fault_enter(stream->fault, CALL_CLOSE_PUBLISHER);
    assert(slot < PAY_PUBLISHERS_MAX);
    fake_stream_purge(stream, slot);
    fault_leave(stream->fault);
}

static enum pay_move enqueue(struct fake_stream *stream, uint32_t index, enum fake_topic_name topic,
                             const struct pay_outgoing *outgoing) {
    struct fake_publisher *publisher = &stream->publishers[index];
    if (publisher->dead) return PAY_SESSION_OVER;
    if (publisher->queued == FAKE_QUEUE_MAX) return PAY_AGAIN;
    struct fake_queued *queued = calloc(1, sizeof *queued);
    assert(queued != NULL);
    queued->record = fake_record_new(outgoing);
    queued->record->made_us = stream->broker->clock->now_us;
    queued->topic = topic;
    queued->partition = outgoing->partition;
    queued->source_offset = outgoing->source_offset;
    struct fake_queued **last = &publisher->queue;
    while (*last != NULL) last = &(*last)->next;
    *last = queued;
    publisher->queued++;
    return PAY_OK;
}

enum pay_move fake_stream_publish(struct pay_stream *port, uint32_t slot, const struct pay_outgoing *reply,
                                  struct pay_error *error) {
    struct fake_stream *stream = self(port);
    const struct fault_entry *entry = fault_enter(stream->fault, CALL_PUBLISH);
    fault_note(stream->fault, reply->partition, reply->source_offset);
    fake_broker_run(stream->broker);
    enum pay_move move = fault_wanted(entry, false);
    if (slot >= PAY_PUBLISHERS_MAX || !stream->publishers[slot].open) {
        fault_complain(&stream->broker->complaints, "publish to slot %u, which isn't open", slot);
        move = PAY_SESSION_OVER;
    }
    if (move == PAY_OK) move = enqueue(stream, slot, TOPIC_REPLIES, reply);
    return fake_stream_answer(stream, entry, move, move == PAY_AGAIN ? "_QUEUE_FULL" : "_FATAL", error);
}

static size_t outgoing_size(const struct pay_outgoing *outgoing) {
    size_t size = outgoing->key_length + outgoing->value_length;
    for (size_t i = 0; i < outgoing->header_count; i++)
        size += strlen(outgoing->headers[i].name) + outgoing->headers[i].length;
    return size;
}

enum pay_move fake_stream_dead_letter(struct pay_stream *port, const struct pay_outgoing *letter,
                                      struct pay_error *error) {
    struct fake_stream *stream = self(port);
    const struct fault_entry *entry = fault_enter(stream->fault, CALL_DEAD_LETTER);
    fault_note(stream->fault, letter->partition, letter->source_offset);
    fake_broker_run(stream->broker);
    enum pay_move move = fault_wanted(entry, false);
    if (move == PAY_OK && outgoing_size(letter) > stream->broker->dead_letter_max_bytes) move = PAY_SPLIT;
    if (!stream->publishers[FAKE_LETTER_PUBLISHER].open) open_publisher(stream, FAKE_LETTER_PUBLISHER);
    if (move == PAY_OK) move = enqueue(stream, FAKE_LETTER_PUBLISHER, TOPIC_DEAD_LETTERS, letter);
    return fake_stream_answer(stream, entry, move, move == PAY_SPLIT ? "MSG_SIZE_TOO_LARGE" : "_QUEUE_FULL", error);
}

void fake_stream_reset_dead_letters(struct pay_stream *port) {
    struct fake_stream *stream = self(port);
    fault_enter(stream->fault, CALL_RESET_DEAD_LETTERS);
    open_publisher(stream, FAKE_LETTER_PUBLISHER);
    fault_leave(stream->fault);
}

static void spoil_report(const struct fault_entry *entry, struct pay_report *report) {
    if (entry == NULL || report->fatal) return;
    if (entry->kind == FAULT_FAIL) {
        report->failed = true;
        report->log_offset = -1;
    }
    if (entry->kind == FAULT_LIE) report->log_offset = -1001;
}

bool fake_stream_next_report(struct pay_stream *port, struct pay_report *ret_report) {
    struct fake_stream *stream = self(port);
    fake_broker_run(stream->broker);
    if (stream->reports == NULL) return false;
    const struct fault_entry *entry = fault_enter(stream->fault, CALL_NEXT_REPORT);
    struct fake_report *report = stream->reports;
    stream->reports = report->next;
    *ret_report = report->report;
    spoil_report(entry, ret_report);
    fault_note(stream->fault, ret_report->partition, ret_report->source_offset);
    stream->fault->answered = ret_report->failed || ret_report->log_offset < 0 ? PAY_SESSION_OVER : PAY_OK;
    if (!ret_report->failed && ret_report->log_offset >= 0)
        fake_broker_acknowledged(stream->broker, report->topic, ret_report->partition, ret_report->log_offset);
    free(report);
    fault_leave(stream->fault);
    return true;
}
