#include "listener/listener_rule.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct pay_listener_lane *pay_listener_rule_add(struct pay_listener_rule *rule, const struct pay_reader *first,
                                                int64_t reply_offset) {
    rule->lanes = realloc(rule->lanes, ((size_t)rule->lane_count + 1) * sizeof *rule->lanes);
    if (rule->lanes == NULL) abort();
    struct pay_listener_lane *lane = &rule->lanes[rule->lane_count];
    *lane = (struct pay_listener_lane){.partition = rule->lane_count, .first = *first, .reply_offset = reply_offset};
    rule->lane_count++;
    return lane;
}

static struct pay_listener_reader *add_reader(struct pay_listener_lane *lane, int64_t generation,
                                              const struct pay_reader *reader) {
    lane->readers = realloc(lane->readers, (lane->reader_count + 1) * sizeof *lane->readers);
    if (lane->readers == NULL) abort();
    lane->readers[lane->reader_count] = (struct pay_listener_reader){.generation = generation, .reader = *reader};
    return &lane->readers[lane->reader_count++];
}

static void restore(struct pay_listener_lane *lane, const struct paybuf_listener_position *position) {
    struct pay_reader reader;
    if (position->resync_until > 0)
        pay_reader_start_in_the_middle(&reader, position->resync_until);
    else
        pay_reader_start_at(&reader, position->next);
    if (position->generation == 0) {
        lane->first = reader;
        return;
    }
    reader.next = position->next;
    reader.started = true;
    add_reader(lane, position->generation, &reader);
}

struct pay_listener_lane *pay_listener_rule_restore(struct pay_listener_rule *rule,
                                                    const struct paybuf_listener_position *positions, size_t count) {
    struct pay_listener_lane *lane = NULL;
    struct pay_reader beginning;
    int32_t partition = rule->lane_count;
    int64_t latest = -1;
    pay_reader_start_at(&beginning, 0);
    for (size_t i = 0; i < count; i++) {
        if (positions[i].partition != partition) continue;
        if (lane == NULL) lane = pay_listener_rule_add(rule, &beginning, 0);
        restore(lane, &positions[i]);
        /* A partition's rows were stored at different times. Each said then where to read on for all generations, and what lies
           behind it may be read again: the latest generation's serves, also where the log was made anew for it. */
        if (positions[i].generation <= latest) continue;
        latest = positions[i].generation;
        lane->reply_offset = positions[i].reply_offset;
    }
    return lane;
}

static struct pay_listener_reader *find(const struct pay_listener_lane *lane, int64_t generation) {
    for (size_t i = 0; i < lane->reader_count; i++)
        if (lane->readers[i].generation == generation) return &lane->readers[i];
    return NULL;
}

const struct pay_listener_reader *pay_listener_rule_reader(const struct pay_listener_lane *lane, int64_t generation) {
    return find(lane, generation);
}

/* The lane's first generation begins as the lane does, a later one at 0. */
static struct pay_listener_reader *reader_of(struct pay_listener_lane *lane, int64_t generation) {
    struct pay_listener_reader *known = find(lane, generation);
    if (known != NULL) return known;
    struct pay_reader fresh = lane->first;
    if (lane->reader_count > 0) pay_reader_start_at(&fresh, 0);
    return add_reader(lane, generation, &fresh);
}

static bool same_ledger(struct pay_listener_rule *rule, const struct pay_reply_headers *headers) {
    if (rule->ledger_id[0] == '\0') memcpy(rule->ledger_id, headers->ledger_id, sizeof rule->ledger_id);
    return strcmp(rule->ledger_id, headers->ledger_id) == 0;
}

static enum pay_listener_move judge(struct pay_listener_rule *rule, struct pay_listener_reader *reader,
                                    const struct pay_reply_headers *headers, int64_t log_offset,
                                    int64_t *ret_rewind_to) {
    int64_t resyncs = reader->reader.resync_count, next = reader->reader.next;
    switch (pay_reader_take(&reader->reader, headers->source_offset, headers->covers_from)) {
    case PAY_READER_DROP: rule->counts.dropped++; return PAY_LISTENER_DROP;
    case PAY_READER_GAP:
        if (reader->gap) {
            rule->counts.dropped++;
            return PAY_LISTENER_DROP;
        }
        reader->gap = true;
        reader->gap_offset = log_offset;
        reader->gap_until = headers->covers_from;
        rule->counts.gaps++;
        return PAY_LISTENER_GAP;
    case PAY_READER_TAKE: break;
    }
    reader->replaced = next;
    rule->counts.taken++;
    rule->counts.resyncs += reader->reader.resync_count - resyncs;
    if (!reader->gap || reader->reader.next < reader->gap_until) return PAY_LISTENER_TAKE;
    reader->gap = false;
    *ret_rewind_to = reader->gap_offset;
    return PAY_LISTENER_TAKE_AND_REWIND;
}

enum pay_listener_move pay_listener_rule_take(struct pay_listener_rule *rule, const struct pay_log_record *record,
                                              struct pay_reply_headers *ret_headers, int64_t *ret_rewind_to) {
    assert(record->partition >= 0 && record->partition < rule->lane_count);
    struct pay_listener_lane *lane = &rule->lanes[record->partition];
    lane->at_end = false;
    lane->reply_offset = record->offset + 1;
    if (!pay_reply_headers_read(record, ret_headers)) {
        rule->counts.skipped++;
        return PAY_LISTENER_SKIP;
    }
    if (!same_ledger(rule, ret_headers)) {
        rule->counts.foreign++;
        return PAY_LISTENER_FOREIGN;
    }
    enum pay_listener_move move =
        judge(rule, reader_of(lane, ret_headers->log_generation), ret_headers, record->offset, ret_rewind_to);
    if (move == PAY_LISTENER_TAKE_AND_REWIND) lane->reply_offset = *ret_rewind_to;
    return move;
}

int64_t pay_listener_rule_generation(const struct pay_listener_lane *lane) {
    int64_t latest = 0;
    for (size_t i = 0; i < lane->reader_count; i++)
        if (lane->readers[i].generation > latest) latest = lane->readers[i].generation;
    return latest;
}

int32_t pay_listener_rule_open_gaps(const struct pay_listener_rule *rule) {
    int32_t open = 0;
    for (int32_t p = 0; p < rule->lane_count; p++) {
        bool gap = false;
        for (size_t i = 0; i < rule->lanes[p].reader_count; i++) gap = gap || rule->lanes[p].readers[i].gap;
        open += gap;
    }
    return open;
}

/* What is behind an open gap must be read again after a restart. */
static int64_t resume_from(const struct pay_listener_lane *lane) {
    int64_t from = lane->reply_offset;
    for (size_t i = 0; i < lane->reader_count; i++)
        if (lane->readers[i].gap && lane->readers[i].gap_offset < from) from = lane->readers[i].gap_offset;
    return from;
}

static struct paybuf_listener_position position_of(const struct pay_listener_lane *lane, int64_t generation,
                                                   const struct pay_reader *reader) {
    return (struct paybuf_listener_position){generation, lane->partition, reader->next, resume_from(lane),
                                             reader->synced ? 0 : reader->resync_until};
}

struct paybuf_listener_position pay_listener_rule_position(const struct pay_listener_lane *lane,
                                                           const struct pay_listener_reader *reader) {
    return position_of(lane, reader->generation, &reader->reader);
}

size_t pay_listener_rule_positions(const struct pay_listener_rule *rule, struct paybuf_listener_position *ret_positions,
                                   size_t capacity) {
    size_t count = 0;
    for (int32_t p = 0; p < rule->lane_count; p++) {
        const struct pay_listener_lane *lane = &rule->lanes[p];
        if (lane->reader_count == 0 && count++ < capacity)
            ret_positions[count - 1] = position_of(lane, 0, &lane->first);
        for (size_t i = 0; i < lane->reader_count; i++)
            if (count++ < capacity) ret_positions[count - 1] = pay_listener_rule_position(lane, &lane->readers[i]);
    }
    return count;
}

void pay_listener_rule_free(struct pay_listener_rule *rule) {
    for (int32_t p = 0; p < rule->lane_count; p++) free(rule->lanes[p].readers);
    free(rule->lanes);
    *rule = (struct pay_listener_rule){.lane_count = 0};
}
