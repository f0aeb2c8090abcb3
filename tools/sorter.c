#include "tools/sorter.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN_BUFFER_BYTES 65536u
#define KEY_TEXT_MAX                                                                                                   \
    140u                                  /* twice what the contract allows an id: a longer one in a row made by \ hand
                                             is cut */
#define HEAD_BYTES (2 * sizeof(uint32_t)) /* key length, data length; the key and the data follow */

/* A sorted stretch of the file. */
struct run {
    uint64_t at, end; /* what is still to be read of it */
    uint8_t *buffer;
    size_t used, capacity; /* bytes in the buffer */
    size_t entry;          /* the run's first entry in it */
    struct sorter_entry head;
};

struct place {
    uint64_t prefix; /* the eight bytes behind what all keys of the run have in common */
    size_t offset;   /* in the arena */
    const uint8_t *arena;
};

struct sorter {
    uint8_t *arena;
    size_t arena_used, arena_bytes;
    struct place *places;
    size_t count, capacity, at;
    size_t common; /* bytes that all keys in the arena begin with */
    int file;
    uint64_t file_bytes;
    struct run *runs;
    size_t run_count;
    size_t *heap; /* runs with an entry, the smallest head first */
    size_t heap_count;
    bool given; /* heap[0]'s head was given out: it moves on at the next call */
    char folder[400];
    char why[512];
};

static void *must(void *memory) {
    if (memory == NULL) abort();
    return memory;
}

struct sorter *sorter_open(const char *folder, size_t memory_bytes) {
    struct sorter *sorter = must(calloc(1, sizeof *sorter));
    sorter->arena_bytes = memory_bytes;
    sorter->arena = must(malloc(memory_bytes));
    sorter->file = -1;
    snprintf(sorter->folder, sizeof sorter->folder, "%s", folder);
    return sorter;
}

static bool fail(struct sorter *sorter, const char *what) {
    snprintf(sorter->why, sizeof sorter->why, "%s: %s", what, strerror(errno));
    return false;
}

const char *sorter_failed(const struct sorter *sorter) { return sorter->why[0] != '\0' ? sorter->why : NULL; }

/* ---- entries in memory ---- */

static struct sorter_entry entry_at(const uint8_t *bytes) {
    uint32_t lengths[2];
    memcpy(lengths, bytes, sizeof lengths);
    return (struct sorter_entry){bytes + HEAD_BYTES, bytes + HEAD_BYTES + lengths[0], lengths[0], lengths[1]};
}

static size_t entry_bytes(const struct sorter_entry *entry) {
    return HEAD_BYTES + entry->key_length + entry->data_length;
}

static int compare_keys(const struct sorter_entry *a, const struct sorter_entry *b) {
    size_t shorter = a->key_length < b->key_length ? a->key_length : b->key_length;
    int order = memcmp(a->key, b->key, shorter);
    if (order != 0) return order;
    return (a->key_length > b->key_length) - (a->key_length < b->key_length);
}

static int compare_places(const void *a, const void *b) {
    const struct place *left = a, *right = b;
    if (left->prefix != right->prefix) return left->prefix < right->prefix ? -1 : 1;
    struct sorter_entry x = entry_at(left->arena + left->offset), y = entry_at(right->arena + right->offset);
    return compare_keys(&x, &y);
}

static uint64_t prefix_of(const struct sorter_entry *entry, size_t common) {
    uint8_t bytes[8] = {0};
    size_t left = entry->key_length - common;
    uint64_t prefix;
    memcpy(bytes, entry->key + common, left < 8 ? left : 8);
    memcpy(&prefix, bytes, 8);
    return __builtin_bswap64(prefix);
}

static void sort_arena(struct sorter *sorter) {
    for (size_t i = 0; i < sorter->count; i++) {
        struct sorter_entry entry = entry_at(sorter->arena + sorter->places[i].offset);
        sorter->places[i].prefix = prefix_of(&entry, sorter->common);
        sorter->places[i].arena = sorter->arena;
    }
    if (sorter->count > 0) qsort(sorter->places, sorter->count, sizeof *sorter->places, compare_places);
}

static void note_common(struct sorter *sorter, const void *key, size_t key_length) {
    if (sorter->count == 0) {
        sorter->common = key_length;
        return;
    }
    struct sorter_entry first = entry_at(sorter->arena);
    size_t most = sorter->common < key_length ? sorter->common : key_length, same = 0;
    if (memcmp(first.key, key, most) == 0) {
        sorter->common = most;
        return;
    }
    while (first.key[same] == ((const uint8_t *)key)[same]) same++;
    sorter->common = same;
}

/* ---- runs in the file ---- */

static bool write_all(struct sorter *sorter, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(sorter->file, bytes, length);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail(sorter, "sorting needs room on the disk");
        bytes += written;
        length -= (size_t)written;
        sorter->file_bytes += (uint64_t)written;
    }
    return true;
}

static bool open_file(struct sorter *sorter) {
    char name[440];
    if (sorter->file >= 0) return true;
    snprintf(name, sizeof name, "%s/paybuf-sort-XXXXXX", sorter->folder);
    sorter->file = mkstemp(name);
    if (sorter->file < 0) return fail(sorter, sorter->folder);
    unlink(name);
    return true;
}

/* The arena, sorted, as the file's next run; then the arena is empty. */
static bool spill(struct sorter *sorter) {
    uint8_t *out = must(malloc(1 << 20));
    size_t used = 0;
    struct run run = {0};
    bool good = open_file(sorter);
    run.at = sorter->file_bytes;
    sort_arena(sorter);
    for (size_t i = 0; i < sorter->count && good; i++) {
        const uint8_t *bytes = sorter->arena + sorter->places[i].offset;
        struct sorter_entry entry = entry_at(bytes);
        size_t length = entry_bytes(&entry);
        if (used + length > 1 << 20) {
            good = write_all(sorter, out, used);
            used = 0;
        }
        if (length > 1 << 20)
            good = good && write_all(sorter, bytes, length);
        else {
            memcpy(out + used, bytes, length);
            used += length;
        }
    }
    good = good && write_all(sorter, out, used);
    free(out);
    run.end = sorter->file_bytes;
    sorter->runs = must(realloc(sorter->runs, (sorter->run_count + 1) * sizeof *sorter->runs));
    sorter->runs[sorter->run_count++] = run;
    sorter->count = sorter->arena_used = 0;
    return good;
}

bool sorter_add(struct sorter *sorter, const void *key, size_t key_length, const void *data, size_t data_length) {
    uint32_t lengths[2] = {(uint32_t)key_length, (uint32_t)data_length};
    size_t length = HEAD_BYTES + key_length + data_length;
    assert(length <= sorter->arena_bytes);
    if (sorter->arena_used + length > sorter->arena_bytes && !spill(sorter)) return false;
    if (sorter->count == sorter->capacity) {
        sorter->capacity = sorter->capacity == 0 ? 4096 : 2 * sorter->capacity;
        sorter->places = must(realloc(sorter->places, sorter->capacity * sizeof *sorter->places));
    }
    note_common(sorter, key, key_length);
    uint8_t *at = sorter->arena + sorter->arena_used;
    memcpy(at, lengths, sizeof lengths);
    memcpy(at + HEAD_BYTES, key, key_length);
    if (data_length > 0) memcpy(at + HEAD_BYTES + key_length, data, data_length);
    sorter->places[sorter->count++].offset = sorter->arena_used;
    sorter->arena_used += length;
    return true;
}

/* ---- merging ---- */

static bool read_more(struct sorter *sorter, struct run *run) {
    size_t kept = run->used - run->entry;
    memmove(run->buffer, run->buffer + run->entry, kept);
    run->used = kept;
    run->entry = 0;
    size_t wanted = run->capacity - kept;
    if (wanted > run->end - run->at) wanted = (size_t)(run->end - run->at);
    while (wanted > 0) {
        ssize_t got = pread(sorter->file, run->buffer + run->used, wanted, (off_t)run->at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return fail(sorter, "reading what was sorted");
        run->used += (size_t)got;
        run->at += (uint64_t)got;
        wanted -= (size_t)got;
    }
    return true;
}

/* True: the run's head is its next entry. False: the run is over, or the disk failed. */
static bool next_head(struct sorter *sorter, struct run *run) {
    for (;;) {
        size_t left = run->used - run->entry;
        if (left >= HEAD_BYTES) {
            run->head = entry_at(run->buffer + run->entry);
            size_t length = entry_bytes(&run->head);
            if (left >= length) {
                run->entry += length;
                return true;
            }
            if (length > run->capacity) {
                run->capacity = length;
                run->buffer = must(realloc(run->buffer, run->capacity));
            }
        }
        if (run->at == run->end || !read_more(sorter, run)) return false;
    }
}

static bool before(const struct sorter *sorter, size_t a, size_t b) {
    return compare_keys(&sorter->runs[sorter->heap[a]].head, &sorter->runs[sorter->heap[b]].head) < 0;
}

static void sink(struct sorter *sorter, size_t at) {
    for (;;) {
        size_t least = at, left = 2 * at + 1, right = left + 1;
        if (left < sorter->heap_count && before(sorter, left, least)) least = left;
        if (right < sorter->heap_count && before(sorter, right, least)) least = right;
        if (least == at) return;
        size_t moved = sorter->heap[at];
        sorter->heap[at] = sorter->heap[least];
        sorter->heap[least] = moved;
        at = least;
    }
}

bool sorter_finish(struct sorter *sorter) {
    if (sorter->run_count == 0) {
        sort_arena(sorter);
        return true;
    }
    if (sorter->count > 0 && !spill(sorter)) return false;
    free(sorter->arena);
    free(sorter->places);
    sorter->arena = NULL;
    sorter->places = NULL;
    sorter->heap = must(calloc(sorter->run_count, sizeof *sorter->heap));
    for (size_t i = 0; i < sorter->run_count; i++) {
        struct run *run = &sorter->runs[i];
        run->capacity = RUN_BUFFER_BYTES;
        run->buffer = must(malloc(run->capacity));
        if (next_head(sorter, run)) sorter->heap[sorter->heap_count++] = i;
    }
    for (size_t i = sorter->heap_count; i-- > 0;) sink(sorter, i);
    return sorter->why[0] == '\0';
}

bool sorter_next(struct sorter *sorter, struct sorter_entry *ret_entry) {
    if (sorter->run_count == 0) {
        if (sorter->at == sorter->count) return false;
        *ret_entry = entry_at(sorter->arena + sorter->places[sorter->at++].offset);
        return true;
    }
    if (sorter->given) {
        if (!next_head(sorter, &sorter->runs[sorter->heap[0]])) sorter->heap[0] = sorter->heap[--sorter->heap_count];
        sink(sorter, 0);
    }
    sorter->given = sorter->heap_count > 0 && sorter->why[0] == '\0';
    if (sorter->given) *ret_entry = sorter->runs[sorter->heap[0]].head;
    return sorter->given;
}

void sorter_close(struct sorter *sorter) {
    if (sorter == NULL) return;
    for (size_t i = 0; i < sorter->run_count; i++) free(sorter->runs[i].buffer);
    if (sorter->file >= 0) close(sorter->file);
    free(sorter->runs);
    free(sorter->heap);
    free(sorter->places);
    free(sorter->arena);
    free(sorter);
}

/* ---- keys ---- */

void sort_key_text(struct sort_key *key, const char *text) {
    size_t length = strnlen(text, KEY_TEXT_MAX);
    assert(key->length + length + 1 <= sizeof key->bytes);
    memcpy(key->bytes + key->length, text, length);
    key->bytes[key->length + length] = '\0';
    key->length += length + 1;
}

void sort_key_number(struct sort_key *key, int64_t number) {
    uint64_t ordered = __builtin_bswap64((uint64_t)number ^ (UINT64_C(1) << 63));
    assert(key->length + sizeof ordered <= sizeof key->bytes);
    memcpy(key->bytes + key->length, &ordered, sizeof ordered);
    key->length += sizeof ordered;
}
