#include "tools/listener.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct listen_lane *listener_add_lane(struct listener *listener, const struct pay_reader *first, int64_t reply_offset) {
    listener->lanes = realloc(listener->lanes, ((size_t)listener->lane_count + 1) * sizeof *listener->lanes);
    if (listener->lanes == NULL) abort();
    struct listen_lane *lane = &listener->lanes[listener->lane_count];
    *lane = (struct listen_lane){.partition = listener->lane_count, .first = *first, .reply_offset = reply_offset};
    listener->lane_count++;
    return lane;
}

static struct listen_reader *add_reader(struct listen_lane *lane, int64_t generation, const struct pay_reader *reader) {
    lane->readers = realloc(lane->readers, (lane->reader_count + 1) * sizeof *lane->readers);
    if (lane->readers == NULL) abort();
    lane->readers[lane->reader_count] = (struct listen_reader){.generation = generation, .reader = *reader};
    return &lane->readers[lane->reader_count++];
}

static void restore(struct listen_lane *lane, const struct state_entry *entry) {
    struct pay_reader reader;
    if (entry->resync_until > 0)
        pay_reader_start_in_the_middle(&reader, entry->resync_until);
    else
        pay_reader_start_at(&reader, entry->next);
    lane->reply_offset = entry->reply_offset;
    if (entry->generation == 0) {
        lane->first = reader;
        return;
    }
    reader.next = entry->next;
    reader.started = true;
    add_reader(lane, entry->generation, &reader);
}

bool listener_add_saved_lane(struct listener *listener, const struct state *state) {
    struct listen_lane *lane = NULL;
    struct pay_reader beginning;
    int32_t partition = listener->lane_count;
    pay_reader_start_at(&beginning, 0);
    for (size_t i = 0; i < state->count; i++) {
        if (state->entries[i].partition != partition) continue;
        if (lane == NULL) lane = listener_add_lane(listener, &beginning, 0);
        restore(lane, &state->entries[i]);
    }
    return lane != NULL;
}

/* The lane's first generation begins as the lane does, a later one at 0. */
static struct listen_reader *reader_of(struct listen_lane *lane, int64_t generation) {
    for (size_t i = 0; i < lane->reader_count; i++)
        if (lane->readers[i].generation == generation) return &lane->readers[i];
    struct pay_reader fresh = lane->first;
    if (lane->reader_count > 0) pay_reader_start_at(&fresh, 0);
    return add_reader(lane, generation, &fresh);
}

static bool same_ledger(struct listener *listener, const struct pay_reply_headers *headers) {
    if (listener->ledger_id[0] == '\0') memcpy(listener->ledger_id, headers->ledger_id, sizeof listener->ledger_id);
    return strcmp(listener->ledger_id, headers->ledger_id) == 0;
}

static enum listen_move judge(struct listener *listener, struct listen_reader *reader,
                              const struct pay_reply_headers *headers, int64_t log_offset, int64_t *ret_rewind_to) {
    int64_t resyncs = reader->reader.resync_count;
    switch (pay_reader_take(&reader->reader, headers->source_offset, headers->covers_from)) {
    case PAY_READER_DROP: listener->dropped++; return LISTEN_DROP;
    case PAY_READER_GAP:
        if (reader->gap) return LISTEN_DROP;
        reader->gap = true;
        reader->gap_offset = log_offset;
        reader->gap_until = headers->covers_from;
        listener->gaps++;
        return LISTEN_GAP;
    case PAY_READER_TAKE: break;
    }
    listener->taken++;
    listener->resyncs += reader->reader.resync_count - resyncs;
    if (!reader->gap || reader->reader.next < reader->gap_until) return LISTEN_TAKE;
    reader->gap = false;
    *ret_rewind_to = reader->gap_offset;
    return LISTEN_TAKE_AND_REWIND;
}

enum listen_move listener_take(struct listener *listener, const struct pay_log_record *record,
                               struct pay_reply_headers *ret_headers, int64_t *ret_rewind_to) {
    assert(record->partition >= 0 && record->partition < listener->lane_count);
    struct listen_lane *lane = &listener->lanes[record->partition];
    lane->at_end = false;
    lane->reply_offset = record->offset + 1;
    if (!pay_reply_headers_read(record, ret_headers)) {
        listener->skipped++;
        return LISTEN_SKIP;
    }
    if (!same_ledger(listener, ret_headers)) {
        listener->foreign++;
        return LISTEN_FOREIGN;
    }
    enum listen_move move =
        judge(listener, reader_of(lane, ret_headers->log_generation), ret_headers, record->offset, ret_rewind_to);
    if (move == LISTEN_TAKE_AND_REWIND) lane->reply_offset = *ret_rewind_to;
    return move;
}

int32_t listener_open_gaps(const struct listener *listener) {
    int32_t open = 0;
    for (int32_t p = 0; p < listener->lane_count; p++) {
        bool gap = false;
        for (size_t i = 0; i < listener->lanes[p].reader_count; i++) gap = gap || listener->lanes[p].readers[i].gap;
        open += gap;
    }
    return open;
}

/* What is behind an open gap must be read again after a restart. */
static int64_t resume_from(const struct listen_lane *lane) {
    int64_t from = lane->reply_offset;
    for (size_t i = 0; i < lane->reader_count; i++)
        if (lane->readers[i].gap && lane->readers[i].gap_offset < from) from = lane->readers[i].gap_offset;
    return from;
}

static struct state_entry entry_of(const struct listen_lane *lane, int64_t generation,
                                   const struct pay_reader *reader) {
    return (struct state_entry){generation, lane->partition, reader->next, resume_from(lane),
                                reader->synced ? 0 : reader->resync_until};
}

void listener_state(const struct listener *listener, struct state *ret_state) {
    *ret_state = (struct state){.output_bytes = -1};
    memcpy(ret_state->ledger_id, listener->ledger_id, sizeof ret_state->ledger_id);
    for (int32_t p = 0; p < listener->lane_count; p++) {
        const struct listen_lane *lane = &listener->lanes[p];
        struct state_entry entry = entry_of(lane, 0, &lane->first);
        if (lane->reader_count == 0) state_add(ret_state, &entry);
        for (size_t i = 0; i < lane->reader_count; i++) {
            entry = entry_of(lane, lane->readers[i].generation, &lane->readers[i].reader);
            state_add(ret_state, &entry);
        }
    }
}

void listener_free(struct listener *listener) {
    for (int32_t p = 0; p < listener->lane_count; p++) free(listener->lanes[p].readers);
    free(listener->lanes);
    *listener = (struct listener){.lane_count = 0};
}
