#include "producer/reply_ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct pay_reply_ring {
    struct pay_reply_entry **entries; /* entry n lies at n modulo capacity, a power of two */
    uint64_t capacity, first, end;
    size_t bytes, bytes_max;
    struct pay_places before, behind;
};

struct pay_reply_ring *pay_reply_ring_new(size_t bytes_max, const struct pay_places *places) {
    struct pay_reply_ring *ring = calloc(1, sizeof *ring);
    if (ring == NULL) return NULL;
    ring->bytes_max = bytes_max;
    ring->before = ring->behind = *places;
    return ring;
}

static size_t size_of(const struct pay_reply_entry *entry) { return sizeof *entry + entry->length; }

static void drop_first(struct pay_reply_ring *ring) {
    struct pay_reply_entry *entry = pay_reply_ring_at(ring, ring->first++);
    ring->before.at[entry->source.partition] = (struct pay_place){entry->source.generation, entry->source.offset + 1};
    ring->bytes -= size_of(entry);
    free(entry);
}

void pay_reply_ring_free(struct pay_reply_ring *ring) {
    if (ring == NULL) return;
    while (ring->first < ring->end) drop_first(ring);
    free(ring->entries);
    free(ring);
}

static void grow(struct pay_reply_ring *ring) {
    uint64_t capacity = ring->capacity == 0 ? 1024 : 2 * ring->capacity;
    struct pay_reply_entry **entries = malloc(capacity * sizeof(struct pay_reply_entry *));
    if (entries == NULL) abort(); /* out of memory: accepted payments are in the log */
    for (uint64_t n = ring->first; n < ring->end; n++) entries[n & (capacity - 1)] = pay_reply_ring_at(ring, n);
    free(ring->entries);
    ring->entries = entries;
    ring->capacity = capacity;
}

static void append(struct pay_reply_ring *ring, struct pay_reply_entry *entry) {
    if (ring->end - ring->first == ring->capacity) grow(ring);
    ring->entries[ring->end++ & (ring->capacity - 1)] = entry;
    ring->bytes += size_of(entry);
    while (ring->bytes > ring->bytes_max && ring->end - ring->first > 1) drop_first(ring);
}

bool pay_reply_ring_add(struct pay_reply_ring *ring, const struct pay_position *source, int64_t covers_from,
                        const void *value, size_t length) {
    uint32_t count = (uint32_t)source->partition + 1;
    assert(count <= PAY_PLACES_MAX);
    pay_places_grow(&ring->before, count, source->generation);
    pay_places_grow(&ring->behind, count, source->generation);
    struct pay_place *place = &ring->behind.at[source->partition];
    /* Of a partition of which nothing was known, a stream that wants anything before this one must go to the log. */
    if (place->next < 0) ring->before.at[source->partition] = (struct pay_place){source->generation, covers_from};
    enum pay_reader_move move = pay_place_take(place, source->generation, source->offset, covers_from);
    if (move == PAY_READER_DROP || source->offset >= PAY_PLACE_NEXT_MAX) return false;
    if (move == PAY_READER_GAP) {
        while (ring->first < ring->end) drop_first(ring);
        ring->before.at[source->partition] = (struct pay_place){source->generation, covers_from};
        *place = (struct pay_place){source->generation, source->offset + 1};
    }
    struct pay_reply_entry *entry = malloc(sizeof *entry + length);
    if (entry == NULL) abort(); /* as above */
    *entry = (struct pay_reply_entry){.source = *source, .covers_from = covers_from, .length = length};
    if (length > 0) memcpy(entry->value, value, length);
    append(ring, entry);
    return true;
}

struct pay_reply_entry *pay_reply_ring_at(const struct pay_reply_ring *ring, uint64_t number) {
    return ring->entries[number & (ring->capacity - 1)];
}

const struct pay_result_facts *pay_reply_entry_facts(struct pay_reply_entry *entry) {
    if (!entry->has_facts) pay_result_facts_read(entry->value, entry->length, &entry->facts);
    entry->has_facts = true;
    return &entry->facts;
}

uint64_t pay_reply_ring_first(const struct pay_reply_ring *ring) { return ring->first; }
uint64_t pay_reply_ring_end(const struct pay_reply_ring *ring) { return ring->end; }
const struct pay_places *pay_reply_ring_before(const struct pay_reply_ring *ring) { return &ring->before; }
const struct pay_places *pay_reply_ring_behind(const struct pay_reply_ring *ring) { return &ring->behind; }
size_t pay_reply_ring_bytes(const struct pay_reply_ring *ring) { return ring->bytes; }
