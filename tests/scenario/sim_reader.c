#include "sim_reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct fake_log *replies_of(const struct sim_reader *reader) {
    return &reader->rig->broker.topics[TOPIC_REPLIES].logs[reader->partition];
}

static void tell(struct sim_reader *reader, enum sim_reader_event event, int64_t offset) {
    trace_event(&reader->rig->trace, TRACE_READER, reader->number, event, 0, reader->partition, offset);
}

/* The start position first; E0 and the rest at the next turn. */
static void choose_position(struct sim_reader *reader) {
    const struct fake_log *log = replies_of(reader);
    int64_t visible = log->high_watermark - log->start;
    reader->memory.position = log->start;
    if (reader->start == READER_FROM_MIDDLE && visible > 0)
        reader->memory.position += (int64_t)(reader->b % (uint64_t)(visible + 1));
    if (reader->start == READER_FROM_END) reader->memory.position = log->high_watermark;
    reader->positioned = true;
}

static void begin_in_the_middle(struct sim_reader *reader) {
    int64_t end = reader->rig->broker.topics[TOPIC_REQUESTS].logs[reader->partition].high_watermark;
    pay_reader_start_in_the_middle(&reader->memory.reader, end);
}

static void begin(struct sim_reader *reader) {
    if (reader->start == READER_FROM_0 && reader->memory.position == 0)
        pay_reader_start_at(&reader->memory.reader, 0);
    else
        begin_in_the_middle(reader);
    reader->started = true;
    tell(reader, READER_STARTS_AT, reader->memory.position);
}

static void add_effect(struct sim_reader *reader, int64_t source) {
    if (reader->memory.effects == reader->capacity) {
        reader->capacity = reader->capacity == 0 ? 32 : 2 * reader->capacity;
        reader->effects = realloc(reader->effects, reader->capacity * sizeof *reader->effects);
        assert(reader->effects != NULL);
    }
    reader->effects[reader->memory.effects++] = source;
}

/* What it takes must be the next request; before it is synced, whatever comes. */
static void take(struct sim_reader *reader, int64_t before, bool was_synced, int64_t source) {
    struct history *history = &reader->rig->history;
    add_effect(reader, source);
    tell(reader, READER_TAKES, source);
    int64_t due = history_next_request(history, reader->partition, before);
    if (was_synced && !history->tampered && due >= 0 && due != source)
        history_violate(history, "reader %u of partition %d takes %lld and passes over %lld", reader->number,
                        reader->partition, (long long)source, (long long)due);
}

/* True: it begins in the middle again, with the record that made the gap. */
static bool alarm(struct sim_reader *reader, int64_t source) {
    struct history *history = &reader->rig->history;
    tell(reader, READER_ALARMS, source);
    if (reader->memory.passed_by) {
        reader->memory.passed_by = false;
        begin_in_the_middle(reader);
        return true;
    }
    if (!history->tampered && !history->gaps_allowed)
        history_violate(history, "reader %u of partition %d alarms a gap at %lld, and nothing is gone (it is at %lld)",
                        reader->number, reader->partition, (long long)source, (long long)reader->memory.reader.next);
    return false;
}

static void read_record(struct sim_reader *reader, const struct fake_record *record) {
    int64_t source, covers;
    reader->memory.position = record->offset + 1;
    if (!history_reply_marks(&reader->rig->history, record, &source, &covers)) return;
    struct pay_reader *rule = &reader->memory.reader;
    int64_t before = rule->next;
    bool was_synced = rule->synced;
    enum pay_reader_move move = pay_reader_take(rule, source, covers);
    if (move == PAY_READER_GAP && alarm(reader, source)) {
        was_synced = false;
        move = pay_reader_take(rule, source, covers);
    }
    if (move == PAY_READER_TAKE) take(reader, before, was_synced, source);
}

static void follow_retention(struct sim_reader *reader) {
    const struct fake_log *log = replies_of(reader);
    if (reader->memory.position < log->start) {
        reader->memory.passed_by = true;
        reader->memory.position = log->start;
        tell(reader, READER_JUMPS, log->start);
    }
    if (reader->memory.position > log->high_watermark && reader->rig->history.tampered)
        reader->memory.position = log->high_watermark; /* the log was cut below it */
}

static void step(struct rig *rig, struct rig_actor *actor) {
    struct sim_reader *reader = (struct sim_reader *)actor;
    uint32_t chance = sim_number(reader->a, reader->b, 100 + reader->turns++);
    actor->wake_us = rig->clock.now_us + 1000 * (20 + chance % 200);
    if (rig->broker.down) return;
    if (!reader->positioned) {
        choose_position(reader);
        return;
    }
    if (!reader->started) begin(reader);
    follow_retention(reader);
    const struct fake_log *log = replies_of(reader);
    uint32_t many = 1 + chance / 256 % 6;
    for (size_t i = fake_log_seek(log, reader->memory.position); many > 0 && i < log->count; i++, many--) {
        if (log->records[i]->offset >= log->high_watermark) break;
        read_record(reader, log->records[i]);
    }
    if (chance >> 28 == 0 && reader->turns > 2) { /* crashes: what isn't stored never was */
        tell(reader, READER_CRASHES, reader->store.position);
        reader->memory = reader->store;
        if (reader->store.position == 0 && reader->store.effects == 0) reader->started = reader->positioned = false;
        actor->wake_us += 1000 * (int64_t)(chance % 3000);
    } else if (chance >> 31 == 0) {
        reader->store = reader->memory;
    }
}

bool sim_reader_done(const struct sim_reader *reader) {
    return reader->started && reader->memory.position >= replies_of(reader)->high_watermark;
}

void sim_reader_judge(const struct sim_reader *reader, bool complete) {
    struct history *history = &reader->rig->history;
    for (size_t i = 1; i < reader->memory.effects; i++) {
        if (reader->effects[i] <= reader->effects[i - 1])
            history_violate(history, "reader %u of partition %d took %lld after %lld", reader->number,
                            reader->partition, (long long)reader->effects[i], (long long)reader->effects[i - 1]);
    }
    if (!complete || rig_has_halted(reader->rig, reader->partition) || !sim_reader_done(reader) ||
        !reader->memory.reader.synced || reader->memory.passed_by)
        return;
    int64_t due = history_next_request(history, reader->partition, reader->memory.reader.next);
    if (due >= 0)
        history_violate(history, "reader %u of partition %d never gets the reply to %lld", reader->number,
                        reader->partition, (long long)due);
}

void sim_reader_init(struct sim_reader *reader, struct rig *rig, uint32_t number, enum sim_reader_start start,
                     uint32_t a, uint32_t b) {
    memset(reader, 0, sizeof *reader);
    reader->rig = rig;
    reader->number = number;
    reader->a = a;
    reader->b = b;
    reader->partition = (int32_t)(a % rig->broker.partition_count);
    reader->start = start;
    reader->actor = (struct rig_actor){.step = step, .wake_us = rig->clock.now_us};
    rig_add_actor(rig, &reader->actor);
}

void sim_reader_free(struct sim_reader *reader) {
    free(reader->effects);
    reader->effects = NULL;
}
