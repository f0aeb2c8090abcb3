/* Produce requests on the wire, and what becomes of each. */
#include "fake_broker.h"
#include "fake_broker_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TAIL_LIVES_MS 200 /* from the append that isn't replicated to the leader change */

static struct fake_log *log_of(const struct fake_broker *broker, const struct fake_produce *produce) {
    return fake_broker_log((struct fake_broker *)(uintptr_t)broker, produce->topic, produce->partition);
}

void fake_produce_free(struct fake_produce *produce) {
    for (uint32_t i = 0; i < produce->count; i++) fake_record_free(produce->records[i]);
    free(produce);
}

bool fake_broker_doom(struct fake_broker *broker, uint32_t ahead, enum fault_fate fate, int64_t ms) {
    if (broker->doom_count == FAKE_DOOMS_MAX) return false;
    broker->dooms[broker->doom_count++] = (struct fake_doom){broker->produce_count + 1 + ahead, fate, ms};
    return true;
}

/* The script's, or one that was asked for meanwhile. */
static struct fault_entry find_fate(struct fake_broker *broker, uint32_t number) {
    struct fault_entry fate = fault_fate(broker->script, number);
    for (uint32_t i = 0; i < broker->doom_count; i++) {
        if (broker->dooms[i].number > number) continue;
        fate.fate = broker->dooms[i].fate;
        fate.number = broker->dooms[i].ms;
        broker->dooms[i] = broker->dooms[--broker->doom_count];
        break;
    }
    return fate;
}

void fake_broker_send(struct fake_broker *broker, struct fake_produce *produce) {
    produce->number = ++broker->produce_count;
    produce->fate = find_fate(broker, produce->number);
    if (produce->fate.fate == FATE_OK && broker->choose_fate != NULL)
        produce->fate = broker->choose_fate(broker->fate_argument, produce);
    produce->landed = false;
    produce->base_offset = -1;
    produce->due_us = broker->clock->now_us + broker->latency_ms * 1000;
    if (produce->fate.fate == FATE_LATE) produce->due_us += produce->fate.number * 1000;
    struct fake_produce **last = &broker->wire;
    while (*last != NULL) last = &(*last)->next;
    produce->next = NULL;
    *last = produce;
    trace_event(broker->trace, TRACE_SENT, produce->writer, produce->number, produce->topic, produce->partition,
                produce->count);
    if (produce->fate.fate != FATE_OK)
        trace_event(broker->trace, TRACE_DOOM, produce->writer, produce->fate.fate, produce->topic, produce->partition,
                    produce->number);
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
    log->states = fake_broker_must(realloc(log->states, (log->state_count + 1) * sizeof *log->states));
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
        struct fake_record *record = fake_broker_copy_record(produce->records[i]);
        record->writer = produce->writer;
        fake_broker_take(broker, produce->topic, produce->partition, record);
    }
    state->next_sequence = produce->first_sequence + (int32_t)produce->count;
    state->last_count = (int32_t)produce->count;
    state->last_offset = produce->base_offset;
}

/* The broker's own judgement of a request, by sequence number: without state it takes any (KAFKA-15591). */
static enum fake_answer judge_and_append(struct fake_broker *broker, struct fake_produce *produce) {
    struct fake_log *log = log_of(broker, produce);
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

/* Nothing is acknowledged before the followers have it, or before a new leader knows that they do. */
static int64_t answer_due_us(const struct fake_broker *broker, const struct fake_produce *produce) {
    const struct fake_log *log = log_of(broker, produce);
    int64_t now = broker->clock->now_us;
    if (log->tail_until_us != 0 && (produce->fate.fate <= FATE_LATE || produce->fate.fate == FATE_TRUNCATED))
        return log->tail_until_us + broker->retry_ms * 1000;
    if (log->stale_watermark >= 0 && produce->answer == ANSWER_OK) return log->stale_until_us;
    switch (produce->fate.fate) {
    case FATE_LOST:
    case FATE_LOST_ACK:
    case FATE_LOST_ACK_NO_STATE: return now + broker->socket_timeout_ms * 1000;
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
        drop_state(log_of(broker, produce), produce->producer_id);
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
        fake_log_begin_tail(broker, log_of(broker, produce), TAIL_LIVES_MS);
        judge_and_append(broker, produce);
        produce->answer = ANSWER_RETRY;
        break;
    default: produce->answer = judge_and_append(broker, produce); break;
    }
    /* acks=all: no word about what isn't replicated, not even an odd one */
    bool kept = produce->answer == ANSWER_OK || produce->fate.fate == FATE_LIE_KEPT;
    if (log_of(broker, produce)->tail_until_us != 0 && kept) produce->answer = ANSWER_RETRY;
    produce->landed = true;
    trace_event(broker->trace, TRACE_FATE, produce->writer, produce->fate.fate, produce->topic, produce->partition,
                produce->answer);
    produce->due_us = answer_due_us(broker, produce);
}

/* Not now: nobody there to take it. */
static bool must_wait(const struct fake_broker *broker, const struct fake_produce *produce) {
    if (broker->down) return true;
    if (produce->landed) return produce->client != NULL && produce->client->frozen;
    return produce->topic == TOPIC_DEAD_LETTERS && broker->dead_letters_hang;
}

/* The first request on the wire that something is due for. */
static struct fake_produce **find_due(struct fake_broker *broker) {
    for (struct fake_produce **produce = &broker->wire; *produce != NULL; produce = &(*produce)->next) {
        if ((*produce)->due_us <= broker->clock->now_us && !must_wait(broker, *produce)) return produce;
    }
    return NULL;
}

void fake_broker_run_wire(struct fake_broker *broker) {
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

int64_t fake_broker_wire_due_us(const struct fake_broker *broker) {
    int64_t due = INT64_MAX;
    for (const struct fake_produce *produce = broker->wire; produce != NULL; produce = produce->next) {
        if (produce->due_us < due && !must_wait(broker, produce)) due = produce->due_us;
    }
    return due;
}
