#include "fake_broker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAIL_LIVES_MS 200 /* from the append that isn't replicated to the leader change */

static void *must(void *memory) {
    assert(memory != NULL);
    return memory;
}

static void *copy_bytes(const void *bytes, size_t length) {
    if (bytes == NULL) return NULL;
    char *copy = must(malloc(length + 1));
    if (length > 0) memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

/* ---- records ---- */

static void copy_headers(struct fake_record *record, const struct pay_header *headers, size_t count) {
    record->headers = must(calloc(count + 1, sizeof *record->headers));
    record->header_count = count;
    for (size_t i = 0; i < count; i++) {
        record->headers[i].name = copy_bytes(headers[i].name, strlen(headers[i].name));
        record->headers[i].value = copy_bytes(headers[i].value, headers[i].length);
        record->headers[i].length = headers[i].length;
    }
}

struct fake_record *fake_record_new(const struct pay_outgoing *outgoing) {
    struct fake_record *record = must(calloc(1, sizeof *record));
    record->key = copy_bytes(outgoing->key, outgoing->key_length);
    record->key_length = outgoing->key_length;
    record->value = copy_bytes(outgoing->value, outgoing->value_length);
    record->value_length = outgoing->value_length;
    copy_headers(record, outgoing->headers, outgoing->header_count);
    return record;
}

static struct fake_record *copy_record(const struct fake_record *record) {
    struct fake_record *copy = must(malloc(sizeof *copy));
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
    return log->open_transaction >= 0 && log->open_transaction < log->high_watermark ? log->open_transaction
                                                                                     : log->high_watermark;
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

/* Takes the record over and stamps it: LogAppendTime. */
static int64_t append(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition,
                      struct fake_record *record) {
    struct fake_log *log = fake_broker_log(broker, topic, partition);
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 16 : 2 * log->capacity;
        log->records = must(realloc(log->records, log->capacity * sizeof(struct fake_record *)));
    }
    record->offset = log->end++;
    record->timestamp_ms = fake_clock_ms(broker->clock);
    record->appended_us = broker->clock->now_us;
    log->records[log->count++] = record;
    if (log->tail_until_us == 0) log->high_watermark = log->end;
    if (broker->on_append != NULL && !record->control) broker->on_append(broker->argument, topic, partition, record);
    return record->offset;
}

static void cut(struct fake_log *log, int64_t end) {
    while (log->count > 0 && log->records[log->count - 1]->offset >= end) fake_record_free(log->records[--log->count]);
    log->end = end;
    if (log->high_watermark > end) log->high_watermark = end;
    if (log->start > end) log->start = end;
    if (log->open_transaction >= end) log->open_transaction = -1;
}

static void forget_producers(struct fake_log *log) {
    free(log->states);
    log->states = NULL;
    log->state_count = 0;
}

static void free_log(struct fake_log *log) {
    cut(log, 0);
    forget_producers(log);
    free(log->states_before_tail);
    free(log->records);
    memset(log, 0, sizeof *log);
    log->open_transaction = -1;
}

int64_t fake_broker_append(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition, const char *key,
                           const char *value, const struct pay_header *headers, size_t header_count) {
    struct pay_outgoing outgoing = {.key = key,
                                    .key_length = key == NULL ? 0 : strlen(key),
                                    .value = value,
                                    .value_length = strlen(value),
                                    .headers = headers,
                                    .header_count = header_count};
    return append(broker, topic, partition, fake_record_new(&outgoing));
}

int64_t fake_broker_append_request(struct fake_broker *broker, int32_t partition, const char *key, const char *value) {
    return fake_broker_append(broker, TOPIC_REQUESTS, partition, key, value, NULL, 0);
}

void fake_broker_append_control(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition) {
    struct pay_outgoing nothing = {.value = ""};
    struct fake_record *marker = fake_record_new(&nothing);
    marker->control = true;
    append(broker, topic, partition, marker);
}

void fake_broker_begin_transaction(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition) {
    struct fake_log *log = fake_broker_log(broker, topic, partition);
    assert(log->open_transaction < 0);
    log->open_transaction = log->end;
}

void fake_broker_end_transaction(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition,
                                 bool commit) {
    struct fake_log *log = fake_broker_log(broker, topic, partition);
    assert(log->open_transaction >= 0);
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
    cut(log, end);
    forget_producers(log);
}

void fake_broker_recreate(struct fake_broker *broker, enum fake_topic_name topic) {
    for (uint32_t i = 0; i < broker->partition_count; i++) free_log(&broker->topics[topic].logs[i]);
    broker->topics[topic].created++;
}

void fake_broker_forget_producers(struct fake_broker *broker) {
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        for (uint32_t i = 0; i < broker->partition_count; i++) forget_producers(&broker->topics[topic].logs[i]);
    }
}

void fake_broker_acknowledged(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition,
                              int64_t offset) {
    const struct fake_log *log = fake_broker_log(broker, topic, partition);
    size_t index = fake_log_seek(log, offset);
    if (index < log->count && log->records[index]->offset == offset) log->records[index]->acknowledged = true;
}

/* ---- produce requests ---- */

void fake_produce_free(struct fake_produce *produce) {
    for (uint32_t i = 0; i < produce->count; i++) fake_record_free(produce->records[i]);
    free(produce);
}

void fake_broker_send(struct fake_broker *broker, struct fake_produce *produce) {
    produce->number = ++broker->produce_count;
    produce->fate = fault_fate(broker->script, produce->number);
    produce->landed = false;
    produce->base_offset = -1;
    produce->due_us = broker->clock->now_us + broker->latency_ms * 1000;
    if (produce->fate.fate == FATE_LATE) produce->due_us += produce->fate.number * 1000;
    struct fake_produce **last = &broker->wire;
    while (*last != NULL) last = &(*last)->next;
    produce->next = NULL;
    *last = produce;
}

void fake_broker_orphan(struct fake_broker *broker, int64_t producer_id) {
    for (struct fake_produce *produce = broker->wire; produce != NULL; produce = produce->next) {
        if (produce->producer_id == producer_id) produce->client = NULL;
    }
}

static bool is_earlier(const struct fake_produce *earlier, const struct fake_produce *produce) {
    return earlier->producer_id == produce->producer_id && earlier->topic == produce->topic &&
           earlier->partition == produce->partition && earlier->first_sequence < produce->first_sequence;
}

static bool earlier_on_wire(const struct fake_broker *broker, const struct fake_produce *produce) {
    for (const struct fake_produce *other = broker->wire; other != NULL; other = other->next) {
        if (is_earlier(other, produce)) return true;
    }
    return false;
}

struct fake_produce *fake_broker_recall(struct fake_broker *broker, const struct fake_produce *acknowledged) {
    for (struct fake_produce **produce = &broker->wire; *produce != NULL; produce = &(*produce)->next) {
        struct fake_produce *earlier = *produce;
        if (!is_earlier(earlier, acknowledged)) continue;
        *produce = earlier->next;
        return earlier;
    }
    return NULL;
}

static struct fake_producer_state *find_state(struct fake_log *log, int64_t producer_id) {
    for (uint32_t i = 0; i < log->state_count; i++) {
        if (log->states[i].producer_id == producer_id) return &log->states[i];
    }
    return NULL;
}

static struct fake_producer_state *add_state(struct fake_log *log, int64_t producer_id) {
    log->states = must(realloc(log->states, (log->state_count + 1) * sizeof *log->states));
    struct fake_producer_state *state = &log->states[log->state_count++];
    *state = (struct fake_producer_state){.producer_id = producer_id};
    return state;
}

static void drop_state(struct fake_log *log, int64_t producer_id) {
    struct fake_producer_state *state = find_state(log, producer_id);
    if (state != NULL) *state = log->states[--log->state_count];
}

static void append_request(struct fake_broker *broker, struct fake_produce *produce, struct fake_log *log,
                           struct fake_producer_state *state) {
    produce->base_offset = log->end;
    for (uint32_t i = 0; i < produce->count; i++) {
        struct fake_record *record = copy_record(produce->records[i]);
        record->writer = produce->writer;
        append(broker, produce->topic, produce->partition, record);
    }
    state->next_sequence = produce->first_sequence + (int32_t)produce->count;
    state->last_count = (int32_t)produce->count;
    state->last_offset = produce->base_offset;
}

/* The broker's own judgement of a request, by sequence number: without state it takes any (KAFKA-15591). */
static enum fake_answer judge_and_append(struct fake_broker *broker, struct fake_produce *produce) {
    struct fake_log *log = fake_broker_log(broker, produce->topic, produce->partition);
    struct fake_producer_state *state = find_state(log, produce->producer_id);
    if (state == NULL) {
        append_request(broker, produce, log, add_state(log, produce->producer_id));
        return ANSWER_OK;
    }
    if (produce->first_sequence == state->next_sequence) {
        append_request(broker, produce, log, state);
        return ANSWER_OK;
    }
    if (produce->first_sequence > state->next_sequence)
        return earlier_on_wire(broker, produce) ? ANSWER_RETRY : ANSWER_FATAL;
    if (produce->first_sequence + state->last_count == state->next_sequence &&
        (int32_t)produce->count == state->last_count) {
        produce->base_offset = state->last_offset;
        return ANSWER_OK;
    }
    return ANSWER_LIE; /* an older duplicate, or one that was refused before its followers were taken: the library calls it delivered */
}

/* The leader appends, and dies before its followers have it. */
static void append_tail(struct fake_broker *broker, struct fake_produce *produce) {
    struct fake_log *log = fake_broker_log(broker, produce->topic, produce->partition);
    log->tail_until_us = broker->clock->now_us + TAIL_LIVES_MS * 1000;
    log->states_before_tail_count = log->state_count;
    log->states_before_tail = must(realloc(log->states_before_tail, (log->state_count + 1) * sizeof *log->states));
    if (log->state_count > 0) memcpy(log->states_before_tail, log->states, log->state_count * sizeof *log->states);
    judge_and_append(broker, produce);
}

static void lose_tail(struct fake_log *log) {
    cut(log, log->high_watermark);
    forget_producers(log);
    log->states = log->states_before_tail;
    log->state_count = log->states_before_tail_count;
    log->states_before_tail = NULL;
    log->states_before_tail_count = 0;
    log->tail_until_us = 0;
}

static int64_t answer_due_us(const struct fake_broker *broker, const struct fake_produce *produce) {
    int64_t now = broker->clock->now_us;
    switch (produce->fate.fate) {
    case FATE_LOST:
    case FATE_LOST_ACK:
    case FATE_LOST_ACK_NO_STATE: return now + broker->socket_timeout_ms * 1000;
    case FATE_TRUNCATED: return now + (TAIL_LIVES_MS + broker->retry_ms) * 1000;
    case FATE_LATE_ACK: return now + produce->fate.number * 1000;
    default: return now + (broker->latency_ms + (produce->answer == ANSWER_RETRY ? broker->retry_ms : 0)) * 1000;
    }
}

static void land(struct fake_broker *broker, struct fake_produce *produce) {
    switch (produce->fate.fate) {
    case FATE_LOST:
    case FATE_REFUSE: produce->answer = ANSWER_RETRY; break;
    case FATE_LOST_ACK:
        judge_and_append(broker, produce);
        produce->answer = ANSWER_RETRY;
        break;
    case FATE_LOST_ACK_NO_STATE:
        judge_and_append(broker, produce);
        drop_state(fake_broker_log(broker, produce->topic, produce->partition), produce->producer_id);
        produce->answer = ANSWER_RETRY;
        break;
    case FATE_FAIL_KEPT:
        judge_and_append(broker, produce);
        produce->answer = ANSWER_FAILED;
        break;
    case FATE_FAIL_LOST: produce->answer = ANSWER_FAILED; break;
    case FATE_LIE: produce->answer = ANSWER_LIE; break;
    case FATE_LIE_KEPT:
        judge_and_append(broker, produce);
        produce->answer = ANSWER_LIE;
        break;
    case FATE_FATAL: produce->answer = ANSWER_FATAL; break;
    case FATE_TRUNCATED:
        append_tail(broker, produce);
        produce->answer = ANSWER_RETRY;
        break;
    default: produce->answer = judge_and_append(broker, produce); break;
    }
    produce->landed = true;
    produce->due_us = answer_due_us(broker, produce);
}

/* Not now: nobody there to take it. */
static bool must_wait(const struct fake_broker *broker, const struct fake_produce *produce) {
    if (broker->down) return true;
    if (produce->landed) return produce->client != NULL && produce->client->frozen;
    if (produce->topic == TOPIC_DEAD_LETTERS && broker->dead_letters_hang) return true;
    return broker->topics[produce->topic].logs[produce->partition].tail_until_us != 0;
}

/* The first request on the wire that something is due for. */
static struct fake_produce **find_due(struct fake_broker *broker) {
    for (struct fake_produce **produce = &broker->wire; *produce != NULL; produce = &(*produce)->next) {
        if ((*produce)->due_us <= broker->clock->now_us && !must_wait(broker, *produce)) return produce;
    }
    return NULL;
}

static void run_wire(struct fake_broker *broker) {
    for (struct fake_produce **due = find_due(broker); due != NULL; due = find_due(broker)) {
        struct fake_produce *produce = *due;
        if (!produce->landed) {
            land(broker, produce);
            continue;
        }
        *due = produce->next;
        if (produce->client != NULL)
            produce->client->answered(produce->client, produce);
        else
            fake_produce_free(produce);
    }
}

static void run_tails(struct fake_broker *broker) {
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        for (uint32_t i = 0; i < broker->partition_count; i++) {
            struct fake_log *log = &broker->topics[topic].logs[i];
            if (log->tail_until_us != 0 && log->tail_until_us <= broker->clock->now_us) lose_tail(log);
        }
    }
}

/* ---- the group ---- */

struct fake_member *fake_broker_join(struct fake_broker *broker, struct fake_client *client) {
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        struct fake_member *member = &broker->members[i];
        if (member->state != MEMBER_OUT) continue;
        *member = (struct fake_member){.state = MEMBER_JOINED, .client = client, .heard_us = broker->clock->now_us};
        broker->rebalancing = true;
        return member;
    }
    assert(!"more members than FAKE_MEMBERS_MAX");
    return NULL;
}

struct fake_member *fake_broker_member(struct fake_broker *broker, const struct fake_client *client) {
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        if (broker->members[i].state != MEMBER_OUT && broker->members[i].client == client) return &broker->members[i];
    }
    return NULL;
}

void fake_broker_leave(struct fake_broker *broker, struct fake_member *member) {
    if (member == NULL) return;
    member->state = MEMBER_OUT;
    member->client = NULL;
    broker->rebalancing = true;
}

void fake_broker_rebalance(struct fake_broker *broker) { broker->rebalancing = true; }

void fake_broker_trouble(struct fake_broker *broker, int32_t partition) {
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        struct fake_client *client = broker->clients[i];
        if (client != NULL && client->trouble_count < FAKE_TROUBLES_MAX)
            client->troubles[client->trouble_count++] = partition;
    }
}

/* Who is silent for too long is out; it finds out by itself. */
static void expire_members(struct fake_broker *broker) {
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        struct fake_member *member = &broker->members[i];
        if (member->state == MEMBER_OUT) continue;
        if (member->client != NULL && !member->client->frozen) member->heard_us = broker->clock->now_us;
        if (broker->clock->now_us - member->heard_us < broker->session_timeout_ms * 1000) continue;
        if (member->client != NULL) member->client->lost = true;
        fake_broker_leave(broker, member);
    }
}

/* Everybody gives everything back first; true when all have. */
static bool all_joined(struct fake_broker *broker) {
    bool all = true;
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        struct fake_member *member = &broker->members[i];
        if (member->state == MEMBER_ASSIGNING) member->state = MEMBER_JOINED;
        if (member->state == MEMBER_STABLE) member->state = MEMBER_REVOKING;
        if (member->state != MEMBER_OUT && member->state != MEMBER_JOINED) all = false;
    }
    return all;
}

/* The range assignor over members in order of their slots. */
static void assign(struct fake_broker *broker) {
    struct fake_member *members[FAKE_MEMBERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        if (broker->members[i].state == MEMBER_JOINED) members[count++] = &broker->members[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t each = broker->partition_count / count, more = broker->partition_count % count;
        uint32_t from = i * each + (i < more ? i : more), to = from + each + (i < more ? 1 : 0);
        memset(members[i]->assigned, 0, sizeof members[i]->assigned);
        for (uint32_t partition = from; partition < to; partition++) members[i]->assigned[partition] = true;
        members[i]->state = MEMBER_ASSIGNING;
    }
    broker->rebalancing = false;
    broker->rebalances++;
}

static void run_group(struct fake_broker *broker) {
    expire_members(broker);
    if (broker->rebalancing && all_joined(broker)) assign(broker);
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
    run_tails(broker);
    run_wire(broker);
    if (broker->down) return;
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        if (broker->clients[i] != NULL && !broker->clients[i]->frozen) broker->clients[i]->send(broker->clients[i]);
    }
    run_group(broker);
}

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

int64_t fake_broker_next_due_us(const struct fake_broker *broker) {
    int64_t due = INT64_MAX;
    for (const struct fake_produce *produce = broker->wire; produce != NULL; produce = produce->next) {
        if (!must_wait(broker, produce)) due = earlier(due, produce->due_us);
    }
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        for (uint32_t i = 0; i < broker->partition_count; i++) {
            const struct fake_log *log = &broker->topics[topic].logs[i];
            if (log->tail_until_us != 0) due = earlier(due, log->tail_until_us);
        }
    }
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX && !broker->down; i++) {
        const struct fake_member *member = &broker->members[i];
        bool silent = member->client == NULL || member->client->frozen;
        if (member->state != MEMBER_OUT && silent)
            due = earlier(due, member->heard_us + broker->session_timeout_ms * 1000);
    }
    return due;
}

void fake_broker_init(struct fake_broker *broker, struct fake_clock *clock, uint32_t partition_count) {
    assert(partition_count > 0 && partition_count <= FAKE_PARTITIONS_MAX);
    memset(broker, 0, sizeof *broker);
    broker->clock = clock;
    snprintf(broker->cluster_id, sizeof broker->cluster_id, "fake-cluster");
    broker->partition_count = partition_count;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        broker->topics[topic].created = 1;
        for (uint32_t i = 0; i < partition_count; i++) broker->topics[topic].logs[i].open_transaction = -1;
    }
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
