#include "fake_stream.h"
#include "fake_stream_private.h"

#include "core/position.h"
#include "core/request.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fake_stream *self(struct pay_stream *port) { return (struct fake_stream *)port; }

static const struct fake_stream *self_const(const struct pay_stream *port) { return (const struct fake_stream *)port; }

enum pay_move fake_stream_answer(struct fake_stream *stream, const struct fault_entry *entry, enum pay_move move,
                                 const char *code, struct pay_error *error) {
    enum pay_move wanted = fault_wanted(entry, true);
    stream->fault->answered = wanted != PAY_OK ? wanted : move;
    fault_leave(stream->fault);
    if (wanted != PAY_OK) return fault_error(error, wanted, "scripted", "as a fake says it");
    return fault_error(error, move, code, "as a fake says it");
}

/* The beginning of a call that asks the broker. OK: go on. */
static enum pay_move enter(struct fake_stream *stream, enum fault_call call, const struct fault_entry **ret_entry) {
    *ret_entry = fault_enter(stream->fault, call);
    fake_broker_run(stream->broker);
    enum pay_move wanted = fault_wanted(*ret_entry, false);
    if (wanted != PAY_OK) return wanted;
    if (!stream->broker->down) return PAY_OK;
    fault_pause(stream->fault, stream->call_timeout_ms);
    return PAY_AGAIN;
}

/* ---- the group ---- */

static enum pay_move stream_open(struct pay_stream *port, struct pay_error *error) {
    struct fake_stream *stream = self(port);
    const struct fault_entry *entry;
    enum pay_move move = enter(stream, CALL_OPEN, &entry);
    if (move == PAY_OK && stream->broker->refusal != NULL) {
        fault_leave(stream->fault);
        return fault_error(error, PAY_REFUSE, "precondition", stream->broker->refusal);
    }
    if (move == PAY_OK) {
        snprintf(port->cluster_id, sizeof port->cluster_id, "%s", stream->broker->cluster_id);
        if (!stream->opened) fake_broker_join(stream->broker, &stream->client);
        stream->opened = true;
    }
    return fake_stream_answer(stream, entry, move, "_TRANSPORT", error);
}

static uint32_t stream_partition_count(struct pay_stream *port) { return self(port)->broker->partition_count; }

static bool has_assignment(const struct fake_stream *stream) {
    for (uint32_t i = 0; i < stream->broker->partition_count; i++) {
        if (stream->assigned[i]) return true;
    }
    return false;
}

/* Which event the group has for this member now. A member that was thrown out while it held nothing just joins again. */
static enum pay_stream_event_kind group_event(const struct fake_stream *stream) {
    if (stream->unconfirmed || fake_client_deaf(stream->broker, &stream->client)) return PAY_STREAM_NOTHING;
    if (stream->client.lost) return has_assignment(stream) ? PAY_STREAM_LOST : PAY_STREAM_NOTHING;
    const struct fake_member *member = fake_broker_member(stream->broker, &stream->client);
    if (member == NULL) return PAY_STREAM_NOTHING;
    if (member->state == MEMBER_REVOKING) return PAY_STREAM_REVOKED;
    if (member->state == MEMBER_ASSIGNING) return PAY_STREAM_ASSIGNED;
    return PAY_STREAM_NOTHING;
}

static void list_partitions(struct fake_stream *stream, const bool *set, struct pay_stream_event *event) {
    event->partition_count = 0;
    for (uint32_t i = 0; i < stream->broker->partition_count; i++) {
        if (set[i]) stream->event_partitions[event->partition_count++] = (int32_t)i;
    }
    event->partitions = stream->event_partitions;
}

static void tell_group_event(struct fake_stream *stream, struct pay_stream_event *event) {
    struct fake_member *member = fake_broker_member(stream->broker, &stream->client);
    switch (event->kind) {
    case PAY_STREAM_ASSIGNED:
        member->state = MEMBER_STABLE;
        memcpy(stream->assigned, member->assigned, sizeof stream->assigned);
        list_partitions(stream, stream->assigned, event);
        break;
    case PAY_STREAM_REVOKED:
        member->state = MEMBER_CONFIRMING;
        stream->unconfirmed = true;
        list_partitions(stream, stream->assigned, event);
        memset(stream->assigned, 0, sizeof stream->assigned);
        break;
    case PAY_STREAM_LOST:
        stream->unconfirmed = true;
        list_partitions(stream, stream->assigned, event);
        memset(stream->assigned, 0, sizeof stream->assigned);
        break;
    default: break;
    }
}

static void tell_trouble(struct fake_stream *stream, struct pay_stream_event *event) {
    event->kind = PAY_STREAM_TROUBLE;
    event->partition = stream->client.troubles[0];
    stream->client.trouble_count--;
    memmove(&stream->client.troubles[0], &stream->client.troubles[1],
            stream->client.trouble_count * sizeof stream->client.troubles[0]);
    fault_error(&event->error, PAY_AGAIN, event->partition >= 0 ? "OFFSET_OUT_OF_RANGE" : "_ALL_BROKERS_DOWN",
                "as a fake says it");
}

/* It was thrown out, and knows, or held nothing. */
static void join_again(struct fake_stream *stream) {
    stream->client.lost = false;
    fake_broker_join(stream->broker, &stream->client);
    fake_broker_run(stream->broker);
}

static void stream_next_event(struct pay_stream *port, struct pay_stream_event *ret_event) {
    struct fake_stream *stream = self(port);
    fake_broker_run(stream->broker);
    memset(ret_event, 0, sizeof *ret_event);
    ret_event->partition = -1;
    bool idle_outsider = stream->client.lost && !stream->unconfirmed && !has_assignment(stream);
    if (idle_outsider && !fake_client_deaf(stream->broker, &stream->client)) join_again(stream);
    if (group_event(stream) == PAY_STREAM_NOTHING && stream->client.trouble_count == 0) return;
    fault_enter(stream->fault, CALL_NEXT_EVENT);
    fake_broker_run(stream->broker);
    ret_event->kind = group_event(stream); /* the call may have taken time */
    if (ret_event->kind != PAY_STREAM_NOTHING)
        tell_group_event(stream, ret_event);
    else if (stream->client.trouble_count > 0)
        tell_trouble(stream, ret_event);
    fault_note(stream->fault, ret_event->partition, ret_event->kind);
    fault_leave(stream->fault);
}

static void stop_all_fetches(struct fake_stream *stream) { memset(stream->fetching, 0, sizeof stream->fetching); }

static void stream_confirm_revoked(struct pay_stream *port) {
    struct fake_stream *stream = self(port);
    fault_enter(stream->fault, CALL_CONFIRM_REVOKED);
    fake_broker_run(stream->broker);
    struct fake_member *member = fake_broker_member(stream->broker, &stream->client);
    stop_all_fetches(stream);
    if (!stream->unconfirmed) {
        fault_complain(&stream->broker->complaints, "confirm_revoked without a REVOKED or LOST");
    } else if (stream->client.lost) {
        join_again(stream);
    } else if (member != NULL && member->state == MEMBER_CONFIRMING) {
        member->state = MEMBER_JOINED;
    }
    stream->unconfirmed = false;
    fake_broker_run(stream->broker);
    fault_leave(stream->fault);
}

static bool stream_still_assigned(struct pay_stream *port, int32_t partition) {
    return self_const(port)->assigned[partition];
}

static void stream_commit_courtesy(struct pay_stream *port, int32_t partition, int64_t offset) {
    self(port)->broker->group_offsets[partition] = offset;
}

/* ---- request records ---- */

static void add_trouble(struct fake_stream *stream, int32_t partition) {
    if (stream->client.trouble_count < FAKE_TROUBLES_MAX)
        stream->client.troubles[stream->client.trouble_count++] = partition;
}

static bool out_of_range(const struct fake_log *log, int64_t offset) {
    return offset < log->start || offset > log->end;
}

static enum pay_move stream_fetch(struct pay_stream *port, int32_t partition, int64_t offset, struct pay_error *error) {
    struct fake_stream *stream = self(port);
    const struct fault_entry *entry;
    enum pay_move move = enter(stream, CALL_FETCH, &entry);
    fault_note(stream->fault, partition, offset);
    if (move == PAY_OK && !stream->assigned[partition]) move = PAY_AGAIN;
    if (move == PAY_OK) {
        bool out = out_of_range(fake_broker_log(stream->broker, TOPIC_REQUESTS, partition), offset);
        stream->fetching[partition] = !out;
        stream->position[partition] = offset;
        stream->end_told[partition] = -1;
        if (out) add_trouble(stream, partition);
    }
    return fake_stream_answer(stream, entry, move, "_TIMED_OUT", error);
}

static void stream_stop_fetch(struct pay_stream *port, int32_t partition) {
    struct fake_stream *stream = self(port);
    fault_enter(stream->fault, CALL_STOP_FETCH);
    fault_note(stream->fault, partition, 0);
    stream->fetching[partition] = false;
    fault_leave(stream->fault);
}

/* What a partition has to say: moves its position over markers and aborted records; an offset that is gone becomes TROUBLE. */
static enum pay_record_kind look_at_partition(struct fake_stream *stream, int32_t partition,
                                              const struct fake_record **ret_record) {
    const struct fake_log *log = fake_broker_log(stream->broker, TOPIC_REQUESTS, partition);
    if (!stream->fetching[partition]) return PAY_RECORD_NONE;
    if (out_of_range(log, stream->position[partition])) {
        stream->fetching[partition] = false;
        add_trouble(stream, partition);
        return PAY_RECORD_NONE;
    }
    int64_t stable = fake_log_stable(log);
    if (stream->position[partition] > stable) return PAY_RECORD_NONE; /* a new leader that doesn't know it yet */
    size_t index = fake_log_seek(log, stream->position[partition]);
    while (index < log->count && log->records[index]->offset < stable && !fake_record_is_request(log->records[index]))
        index++;
    if (index < log->count && log->records[index]->offset < stable) {
        *ret_record = log->records[index];
        return PAY_RECORD_DATA;
    }
    if (stream->position[partition] < stable) stream->position[partition] = stable;
    return stream->end_told[partition] == stream->position[partition] ? PAY_RECORD_NONE : PAY_RECORD_END;
}

/* The next partition in turn that has something to say. */
static enum pay_record_kind find_turn(struct fake_stream *stream, int32_t *ret_partition,
                                      const struct fake_record **ret_record) {
    uint32_t count = stream->broker->partition_count;
    for (uint32_t i = 0; i < count; i++) {
        *ret_partition = (int32_t)((stream->turn + i) % count);
        enum pay_record_kind kind = look_at_partition(stream, *ret_partition, ret_record);
        if (kind != PAY_RECORD_NONE) return kind;
    }
    return PAY_RECORD_NONE;
}

/* A copy of its own that dies at the next call. */
static void give(struct fake_stream *stream, int32_t partition, const struct fake_record *record,
                 struct pay_log_record *ret_record) {
    struct pay_outgoing outgoing = {.key = record->key,
                                    .key_length = record->key_length,
                                    .value = record->value,
                                    .value_length = record->value_length,
                                    .headers = record->headers,
                                    .header_count = record->header_count};
    stream->given = fake_record_new(&outgoing);
    *ret_record = (struct pay_log_record){.partition = partition,
                                          .offset = record->offset,
                                          .timestamp_ms = record->timestamp_ms,
                                          .key = stream->given->key,
                                          .key_length = record->key_length,
                                          .value = stream->given->value,
                                          .value_length = record->value_length,
                                          .headers = stream->given->headers,
                                          .header_count = record->header_count};
    stream->position[partition] = record->offset + 1;
    stream->end_told[partition] = -1;
}

static void step_back(struct fake_stream *stream, int32_t partition, int64_t steps) {
    int64_t start = fake_broker_log(stream->broker, TOPIC_REQUESTS, partition)->start;
    int64_t back = stream->position[partition] - 1 - steps;
    stream->position[partition] = back > start ? back : start;
}

static void take_back_given(struct fake_stream *stream) {
    fake_record_free(stream->given);
    stream->given = NULL;
}

static enum pay_record_kind stream_next_record(struct pay_stream *port, struct pay_log_record *ret_record) {
    struct fake_stream *stream = self(port);
    const struct fake_record *record;
    int32_t partition;
    take_back_given(stream);
    fake_broker_run(stream->broker);
    if (stream->broker->down || find_turn(stream, &partition, &record) == PAY_RECORD_NONE) return PAY_RECORD_NONE;
    const struct fault_entry *entry = fault_enter(stream->fault, CALL_NEXT_RECORD);
    fake_broker_run(stream->broker);
    enum pay_record_kind kind = find_turn(stream, &partition, &record); /* the call may have taken time */
    if (kind == PAY_RECORD_DATA) {
        give(stream, partition, record, ret_record);
        if (entry != NULL && entry->kind == FAULT_REDELIVER) step_back(stream, partition, entry->number);
    } else if (kind == PAY_RECORD_END) {
        stream->end_told[partition] = stream->position[partition];
        *ret_record = (struct pay_log_record){.partition = partition, .offset = stream->position[partition]};
    }
    stream->turn = (uint32_t)partition + 1;
    fault_note(stream->fault, partition, stream->position[partition]);
    fault_leave(stream->fault);
    return kind;
}

/* ---- looking ---- */

static enum pay_move bounds(struct fake_stream *stream, enum fault_call call, enum fake_topic_name topic,
                            int32_t partition, int64_t *ret_start, int64_t *ret_end, struct pay_error *error) {
    const struct fault_entry *entry;
    enum pay_move move = enter(stream, call, &entry);
    if (move == PAY_OK) {
        struct fake_log *log = fake_broker_log(stream->broker, topic, partition);
        *ret_start = log->start;
        *ret_end = fake_log_visible(log);
        if (entry != NULL && entry->kind == FAULT_STALE) *ret_end -= entry->number;
        if (*ret_end < *ret_start) *ret_end = *ret_start;
        fake_log_told(log, *ret_end, stream->broker->clock->now_us);
        fault_note(stream->fault, partition, *ret_end);
    }
    return fake_stream_answer(stream, entry, move, "_TIMED_OUT", error);
}

static enum pay_move stream_request_bounds(struct pay_stream *port, int32_t partition, int64_t *ret_start,
                                           int64_t *ret_end, struct pay_error *error) {
    return bounds(self(port), CALL_REQUEST_BOUNDS, TOPIC_REQUESTS, partition, ret_start, ret_end, error);
}

static enum pay_move stream_reply_bounds(struct pay_stream *port, int32_t partition, int64_t *ret_start,
                                         int64_t *ret_end, struct pay_error *error) {
    return bounds(self(port), CALL_REPLY_BOUNDS, TOPIC_REPLIES, partition, ret_start, ret_end, error);
}

static bool header_number(const struct fake_record *record, const char *name, int64_t *ret_number) {
    const struct pay_header *header = fake_record_header(record, name);
    return header != NULL && header->value != NULL && pay_decimal_parse(header->value, header->length, ret_number);
}

static struct pay_reply_mark read_mark(const struct fake_stream *stream, const struct fake_record *record) {
    struct pay_reply_mark mark = {.log_offset = record->offset};
    const struct pay_header *ledger = fake_record_header(record, "ledger-id");
    mark.ours = header_number(record, "source-offset", &mark.source_offset) &&
                header_number(record, "covers-from", &mark.covers_from) &&
                header_number(record, "log-generation", &mark.log_generation) && ledger != NULL && ledger->length == 36;
    mark.same_ledger = mark.ours && strlen(stream->ledger_id) == ledger->length &&
                       memcmp(ledger->value, stream->ledger_id, ledger->length) == 0;
    return mark;
}

static enum pay_move stream_read_replies(struct pay_stream *port, int32_t partition, int64_t from, int64_t to,
                                         pay_reply_fn each, void *argument, struct pay_error *error) {
    struct fake_stream *stream = self(port);
    const struct fault_entry *entry;
    enum pay_move move = enter(stream, CALL_READ_REPLIES, &entry);
    fault_note(stream->fault, partition, from);
    const struct fake_log *log = fake_broker_log(stream->broker, TOPIC_REPLIES, partition);
    if (move == PAY_OK && (from < log->start || to > fake_log_visible(log))) move = PAY_AGAIN;
    if (move == PAY_OK) {
        for (size_t i = fake_log_seek(log, from); i < log->count && log->records[i]->offset < to; i++) {
            if (log->records[i]->control) continue;
            struct pay_reply_mark mark = read_mark(stream, log->records[i]);
            each(argument, &mark);
        }
    }
    return fake_stream_answer(stream, entry, move, "_TIMED_OUT", error);
}

static enum pay_move stream_read_anchor(struct pay_stream *port, int32_t partition, int64_t offset,
                                        struct pay_anchor *ret_seen, struct pay_error *error) {
    struct fake_stream *stream = self(port);
    const struct fault_entry *entry;
    enum pay_move move = enter(stream, CALL_READ_ANCHOR, &entry);
    fault_note(stream->fault, partition, offset);
    if (move == PAY_OK) {
        const struct fake_log *log = fake_broker_log(stream->broker, TOPIC_REQUESTS, partition);
        bool there = offset >= log->start && offset < log->high_watermark;
        const struct fake_record *record = there ? fake_log_find(log, offset) : NULL;
        if (there && offset >= fake_log_visible(log)) move = PAY_AGAIN;
        *ret_seen = (struct pay_anchor){.present = false};
        if (record != NULL) {
            *ret_seen = (struct pay_anchor){
                true, offset, record->timestamp_ms,
                pay_record_crc(record->key, record->key_length, record->value, record->value_length)};
        }
    }
    return fake_stream_answer(stream, entry, move, "_TIMED_OUT", error);
}

/* ---- life ---- */

static int stream_descriptor(struct pay_stream *port, bool wants_records) {
    (void)port;
    (void)wants_records;
    return -1;
}

static void release(struct fake_stream *stream) {
    stop_all_fetches(stream);
    for (uint32_t i = 0; i <= PAY_PUBLISHERS_MAX; i++) fake_stream_purge(stream, i);
    fake_broker_remove_client(stream->broker, &stream->client);
    take_back_given(stream);
}

static void stream_close(struct pay_stream *port, int64_t timeout_ms) {
    struct fake_stream *stream = self(port);
    (void)timeout_ms;
    fake_broker_leave(stream->broker, fake_broker_member(stream->broker, &stream->client));
    release(stream);
}

static const struct pay_stream_ops fake_stream_ops = {
    .open = stream_open,
    .partition_count = stream_partition_count,
    .next_event = stream_next_event,
    .confirm_revoked = stream_confirm_revoked,
    .still_assigned = stream_still_assigned,
    .commit_courtesy = stream_commit_courtesy,
    .fetch = stream_fetch,
    .stop_fetch = stream_stop_fetch,
    .next_record = stream_next_record,
    .request_bounds = stream_request_bounds,
    .reply_bounds = stream_reply_bounds,
    .read_replies = stream_read_replies,
    .read_anchor = stream_read_anchor,
    .open_publisher = fake_stream_open_publisher,
    .close_publisher = fake_stream_close_publisher,
    .publish = fake_stream_publish,
    .dead_letter = fake_stream_dead_letter,
    .reset_dead_letters = fake_stream_reset_dead_letters,
    .next_report = fake_stream_next_report,
    .descriptor = stream_descriptor,
    .close = stream_close,
};

struct fake_stream *fake_stream_new(struct fake_broker *broker, struct fault *fault) {
    struct fake_stream *stream = calloc(1, sizeof *stream);
    assert(stream != NULL);
    stream->port.ops = &fake_stream_ops;
    stream->client.send = fake_stream_client_send;
    stream->client.answered = fake_stream_client_answered;
    stream->broker = broker;
    stream->fault = fault;
    stream->call_timeout_ms = 1000;
    fake_broker_add_client(broker, &stream->client);
    return stream;
}

void fake_stream_know_ledger(struct fake_stream *stream, const char *ledger_id) {
    snprintf(stream->ledger_id, sizeof stream->ledger_id, "%s", ledger_id);
}

void fake_stream_crash(struct fake_stream *stream) { release(stream); }

void fake_stream_freeze(struct fake_stream *stream, bool frozen) { stream->client.frozen = frozen; }

bool fake_stream_has_news(const struct fake_stream *stream) {
    struct fake_stream *looked_at =
        (struct fake_stream *)(uintptr_t)stream; /* looking moves positions over markers, nothing else */
    const struct fake_record *record;
    int32_t partition;
    if (stream->reports != NULL || stream->client.trouble_count > 0) return true;
    if (group_event(stream) != PAY_STREAM_NOTHING) return true;
    return !stream->broker->down && find_turn(looked_at, &partition, &record) != PAY_RECORD_NONE;
}

void fake_stream_free(struct fake_stream *stream) {
    if (stream == NULL) return;
    release(stream);
    free(stream);
}
