#include "tools/audit_letters.h"

#include "core/request.h"
#include "tools/dlq_letter.h"

#include <stdlib.h>
#include <string.h>

static size_t hash(const struct pay_position *position) {
    uint64_t h = (uint64_t)position->offset * 0x9e3779b97f4a7c15u;
    h ^= (uint64_t)position->partition * 0xbf58476d1ce4e5b9u + (uint64_t)position->generation;
    return (size_t)(h ^ h >> 29);
}

static void insert(struct letters *letters, const struct letter *letter) {
    size_t at = hash(&letter->position) & (letters->capacity - 1);
    while (letters->slots[at].used) {
        if (pay_position_equal(&letters->slots[at].position, &letter->position) &&
            letters->slots[at].crc == letter->crc)
            return; /* a repeat */
        at = (at + 1) & (letters->capacity - 1);
    }
    letters->slots[at] = *letter;
    letters->count++;
}

static void grow(struct letters *letters) {
    struct letters larger = *letters;
    if (letters->capacity > 0 && letters->count * 2 < letters->capacity) return;
    larger.capacity = letters->capacity == 0 ? 1024 : 2 * letters->capacity;
    larger.count = 0;
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (larger.slots == NULL) abort();
    for (size_t i = 0; i < letters->capacity; i++)
        if (letters->slots[i].used) insert(&larger, &letters->slots[i]);
    free(letters->slots);
    *letters = larger;
}

void letters_add(struct letters *letters, const struct pay_log_record *record) {
    struct letter letter = {.used = true};
    struct dlq_letter read;
    bool found = false;
    dlq_read(record, &read);
    if (read.kind == DLQ_MARKER) return;
    letters->records++;
    for (size_t i = 0; i < record->header_count && !found; i++) {
        const struct pay_header *header = &record->headers[i];
        found = strcmp(header->name, "position") == 0 && header->value != NULL &&
                pay_position_parse(header->value, header->length, &letter.position);
    }
    if (!found) {
        letters->unreadable++;
        return;
    }
    letter.crc = pay_record_crc(record->key, record->key_length, record->value, record->value_length);
    letter.is_stub = dlq_is_stub(record);
    grow(letters);
    insert(letters, &letter);
}

enum letter_match letters_find(const struct letters *letters, const struct pay_position *position, uint32_t crc) {
    enum letter_match match = LETTER_MISSING;
    if (letters->capacity == 0) return match;
    for (size_t at = hash(position) & (letters->capacity - 1); letters->slots[at].used;
         at = (at + 1) & (letters->capacity - 1)) {
        const struct letter *letter = &letters->slots[at];
        if (!pay_position_equal(&letter->position, position)) continue;
        if (letter->crc == crc) return LETTER_SAME;
        match = letter->is_stub ? LETTER_STUB : match == LETTER_STUB ? match : LETTER_OTHER;
    }
    return match;
}

void letters_free(struct letters *letters) {
    free(letters->slots);
    *letters = (struct letters){.capacity = 0};
}
