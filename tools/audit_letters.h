/*
 * audit_letters.h - which dead letters there are: by position, the fingerprints of their key and value.
 * Memory: 24 bytes a letter, in a hash table; letters_free. Threads: one.
 */
#ifndef PAY_TOOLS_AUDIT_LETTERS_H
#define PAY_TOOLS_AUDIT_LETTERS_H

#include "core/log_record.h"
#include "core/position.h"

struct letter {
    struct pay_position position;
    uint32_t crc;
    bool used, is_stub;
};

struct letters {
    struct letter *slots;
    size_t capacity, count;      /* capacity: a power of two, or 0 */
    int64_t records, unreadable; /* of the topic; without a position that can be read */
    bool from_the_start;         /* the topic still holds its first record */
};

/* Takes a record of the dead letter topic; what became of a letter (a marker of `paybuf dlq`) is no letter. */
void letters_add(struct letters *letters, const struct pay_log_record *record);

enum letter_match { LETTER_MISSING, LETTER_SAME, LETTER_OTHER, LETTER_STUB };
/* SAME: one of the position's letters has these bytes. */
enum letter_match letters_find(const struct letters *letters, const struct pay_position *position, uint32_t crc);
void letters_free(struct letters *letters);

#endif
