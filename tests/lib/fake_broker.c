#include "fake_broker.h"
#include "fake_broker_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *fake_broker_must(void *memory) {
    assert(memory != NULL);
    return memory;
}

static void *copy_bytes(const void *bytes, size_t length) {
    if (bytes == NULL) return NULL;
    char *copy = fake_broker_must(malloc(length + 1));
    if (length > 0) memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

/* ---- records ---- */

static void copy_headers(struct fake_record *record, const struct pay_header *headers, size_t count) {
    record->headers = fake_broker_must(calloc(count + 1, sizeof *record->headers));
    record->header_count = count;
    for (size_t i = 0; i < count; i++) {
        record->headers[i].name = copy_bytes(headers[i].name, strlen(headers[i].name));
        record->headers[i].value = copy_bytes(headers[i].value, headers[i].length);
        record->headers[i].length = headers[i].length;
    }
}

struct fake_record *fake_record_new(const struct pay_outgoing *outgoing) {
    struct fake_record *record = fake_broker_must(calloc(1, sizeof *record));
    record->key = copy_bytes(outgoing->key, outgoing->key_length);
    record->key_length = outgoing->key_length;
    record->value = copy_bytes(outgoing->value, outgoing->value_length);
    record->value_length = outgoing->value_length;
    copy_headers(record, outgoing->headers, outgoing->header_count);
    return record;
}

struct fake_record *fake_broker_copy_record(const struct fake_record *record) {
    struct fake_record *copy = fake_broker_must(malloc(sizeof *copy));
    *copy = *record;
    copy->key = copy_bytes(record->key, record->key_length);
    copy->value = copy_bytes(record->value, record->value_length);
    copy_headers(copy, record->headers, record->header_count);
    return copy;
}

void fake_record_free(struct fake_record *record) {
    if (record == NULL) return;
    for (size_t i = 0; i < record->header_count; i++) {
        free((void *)(uintptr_t)record->headers[i].name);
        free((void *)(uintptr_t)record->headers[i].value);
    }
    free(record->headers);
    free(record->key);
    free(record->value);
    free(record);
}

bool fake_record_is_request(const struct fake_record *record) { return !record->control && !record->aborted; }

const struct pay_header *fake_record_header(const struct fake_record *record, const char *name) {
    for (size_t i = 0; i < record->header_count; i++) {
        if (strcmp(record->headers[i].name, name) == 0) return &record->headers[i];
    }
    return NULL;
}

/* ---- logs ---- */

struct fake_log *fake_broker_log(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition) {
    assert(partition >= 0 && (uint32_t)partition < broker->partition_count);
    return &broker->topics[topic].logs[partition];
}

int64_t fake_log_stable(const struct fake_log *log) {
    int64_t visible = fake_log_visible(log);
    return log->open_transaction >= 0 && log->open_transaction < visible ? log->open_transaction : visible;
}

size_t fake_log_seek(const struct fake_log *log, int64_t offset) {
    size_t low = 0, high = log->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->records[middle]->offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct fake_record *fake_log_find(const struct fake_log *log, int64_t offset) {
    size_t index = fake_log_seek(log, offset);
    if (index == log->count || log->records[index]->offset != offset || log->records[index]->control) return NULL;
    return log->records[index];
}

int64_t fake_broker_take(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition,
                         struct fake_record *record) {
    struct fake_log *log = fake_broker_log(broker, topic, partition);
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 16 : 2 * log->capacity;
        log->records = fake_broker_must(realloc(log->records, log->capacity * sizeof(struct fake_record *)));
    }
    record->offset = log->end++;
    record->timestamp_ms = fake_clock_ms(broker->clock);
    record->appended_us = broker->clock->now_us;
    log->records[log->count++] = record;
    if (log->tail_until_us == 0) log->high_watermark = log->end;
    trace_event(broker->trace, TRACE_APPEND, record->writer, 0, topic, partition, record->offset);
    if (broker->on_append != NULL && !record->control) broker->on_append(broker->argument, topic, partition, record);
    return record->offset;
}

void fake_log_cut(struct fake_log *log, int64_t end) {
    if (end < log->high_watermark) log->cuts++;
    while (log->count > 0 && log->records[log->count - 1]->offset >= end) fake_record_free(log->records[--log->count]);
    log->end = end;
    if (log->high_watermark > end) log->high_watermark = end;
    if (log->start > end) log->start = end;
    if (log->open_transaction >= end) log->open_transaction = -1;
}

void fake_log_forget_producers(struct fake_log *log) {
    free(log->states);
    log->states = NULL;
    log->state_count = 0;
}

static void empty_log(struct fake_log *log) { *log = (struct fake_log){.open_transaction = -1, .stale_watermark = -1}; }

static void free_log(struct fake_log *log) {
    fake_log_cut(log, 0);
    fake_log_forget_producers(log);
    free(log->states_before_tail);
    free(log->records);
    uint32_t cuts = log->cuts;
    empty_log(log);
    log->cuts = cuts;
}

struct fake_log *fake_log_copy(const struct fake_log *log) {
    struct fake_log *copy = fake_broker_must(malloc(sizeof *copy));
    *copy = *log;
    copy->states = copy->states_before_tail = NULL;
    copy->stale_watermark = -1;
    copy->records = fake_broker_must(malloc((log->count + 1) * sizeof(struct fake_record *)));
    for (size_t i = 0; i < log->count; i++) copy->records[i] = fake_broker_copy_record(log->records[i]);
    return copy;
}

void fake_log_free_copy(struct fake_log *log) {
    if (log != NULL) free_log(log);
    free(log);
}

int64_t fake_broker_append(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition, const char *key,
                           const char *value, const struct pay_header *headers, size_t header_count) {
    struct pay_outgoing outgoing = {.key = key,
                                    .key_length = key == NULL ? 0 : strlen(key),
                                    .value = value,
                                    .value_length = strlen(value),
                                    .headers = headers,
                                    .header_count = header_count};
    return fake_broker_take(broker, topic, partition, fake_record_new(&outgoing));
}

int64_t fake_broker_append_request(struct fake_broker *broker, int32_t partition, const char *key, const char *value) {
    return fake_broker_append(broker, TOPIC_REQUESTS, partition, key, value, NULL, 0);
}

void fake_broker_append_control(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition) {
    struct pay_outgoing nothing = {.value = ""};
    struct fake_record *marker = fake_record_new(&nothing);
    marker->control = true;
    fake_broker_take(broker, topic, partition, marker);
}

void fake_broker_begin_transaction(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition) {
    struct fake_log *log = fake_broker_log(broker, topic, partition);
    assert(log->open_transaction < 0);
    log->open_transaction = log->end;
}

void fake_broker_end_transaction(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition,
                                 bool commit) {
    struct fake_log *log = fake_broker_log(broker, topic, partition);
    if (log->open_transaction < 0) return; /* gone with the leader that knew of it */
    for (size_t i = fake_log_seek(log, log->open_transaction); !commit && i < log->count; i++)
        log->records[i]->aborted = true;
    log->open_transaction = -1;
    fake_broker_append_control(broker, topic, partition);
}

void fake_broker_move_start(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition, int64_t start) {
    struct fake_log *log = fake_broker_log(broker, topic, partition);
    assert(start >= log->start && start <= log->end);
    log->start = start;
}

void fake_broker_truncate(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition, int64_t end) {
    struct fake_log *log = fake_broker_log(broker, topic, partition);
    assert(end <= log->end);
    fake_log_cut(log, end);
    fake_log_forget_producers(log);
}

void fake_broker_recreate(struct fake_broker *broker, enum fake_topic_name topic) {
    for (uint32_t i = 0; i < broker->partition_count; i++) free_log(&broker->topics[topic].logs[i]);
    broker->topics[topic].created++;
}

void fake_broker_forget_producers(struct fake_broker *broker) {
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        for (uint32_t i = 0; i < broker->partition_count; i++)
            fake_log_forget_producers(&broker->topics[topic].logs[i]);
    }
}

void fake_broker_acknowledged(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition,
                              int64_t offset) {
    const struct fake_log *log = fake_broker_log(broker, topic, partition);
    size_t index = fake_log_seek(log, offset);
    if (index < log->count && log->records[index]->offset == offset) log->records[index]->acknowledged = true;
}

/* ---- the broker's own time ---- */

void fake_broker_add_client(struct fake_broker *broker, struct fake_client *client) {
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        if (broker->clients[i] != NULL) continue;
        broker->clients[i] = client;
        return;
    }
    assert(!"more clients than FAKE_MEMBERS_MAX");
}

void fake_broker_remove_client(struct fake_broker *broker, struct fake_client *client) {
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        if (broker->clients[i] == client) broker->clients[i] = NULL;
        if (broker->members[i].client == client) broker->members[i].client = NULL;
    }
    for (struct fake_produce *produce = broker->wire; produce != NULL; produce = produce->next) {
        if (produce->client == client) produce->client = NULL;
    }
}

void fake_broker_run(struct fake_broker *broker) {
    fake_broker_run_leaders(broker);
    fake_broker_run_wire(broker);
    if (broker->down) return;
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        if (broker->clients[i] != NULL && !broker->clients[i]->frozen) broker->clients[i]->send(broker->clients[i]);
    }
    fake_broker_run_group(broker);
}

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

int64_t fake_broker_next_due_us(const struct fake_broker *broker) {
    int64_t due = earlier(broker->leaders_due_us, fake_broker_wire_due_us(broker));
    return broker->down ? due : earlier(due, fake_broker_group_due_us(broker));
}

void fake_broker_init(struct fake_broker *broker, struct fake_clock *clock, uint32_t partition_count) {
    assert(partition_count > 0 && partition_count <= FAKE_PARTITIONS_MAX);
    memset(broker, 0, sizeof *broker);
    broker->clock = clock;
    snprintf(broker->cluster_id, sizeof broker->cluster_id, "fake-cluster");
    broker->partition_count = partition_count;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        broker->topics[topic].created = 1;
        for (uint32_t i = 0; i < partition_count; i++) empty_log(&broker->topics[topic].logs[i]);
    }
    broker->leaders_due_us = INT64_MAX;
    broker->latency_ms = 1;
    broker->socket_timeout_ms = 10000;
    broker->retry_ms = 100;
    broker->session_timeout_ms = 10000;
    broker->requests_in_flight_max = 1;
    broker->records_per_request = 3;
    broker->dead_letter_max_bytes = 32768;
}

void fake_broker_free(struct fake_broker *broker) {
    while (broker->wire != NULL) {
        struct fake_produce *produce = broker->wire;
        broker->wire = produce->next;
        fake_produce_free(produce);
    }
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        for (uint32_t i = 0; i < broker->partition_count; i++) free_log(&broker->topics[topic].logs[i]);
    }
}
