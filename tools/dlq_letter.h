/*
 * dlq_letter.h - a record of the dead letter topic: a letter, or a marker that says what became of one.
 *
 * A letter is what codec/dead_letter.h makes of a record, or its stub. A marker has no key; headers `marker` (redriven, discarded)
 * and `of` (the letter's position), `redriven-to` where it was sent again; its value is JSON for people: who, when, why.
 * So nothing is ever deleted: a letter is open until a marker says otherwise.
 * Pure. Memory: points into the record. Threads: any.
 */
#ifndef PAY_TOOLS_DLQ_LETTER_H
#define PAY_TOOLS_DLQ_LETTER_H

#include "core/log_record.h"
#include "core/outcome.h"
#include "core/position.h"

enum dlq_kind { DLQ_LETTER, DLQ_MARKER, DLQ_OTHER };
enum dlq_state { DLQ_OPEN, DLQ_REDRIVEN, DLQ_DISCARDED, DLQ_STATE_COUNT };

struct dlq_letter {
    enum dlq_kind kind;
    struct pay_position position; /* of the request record */
    enum pay_reason reason;       /* LETTER */
    bool is_stub;                 /* LETTER: the bytes were too large to be kept */
    enum dlq_state state;         /* MARKER: what it says */
};

const char *dlq_state_name(enum dlq_state state);

bool dlq_is_stub(const struct pay_log_record *record);

void dlq_read(const struct pay_log_record *record, struct dlq_letter *ret_letter);

/* NULL: the record has none, or several. */
const struct pay_header *dlq_header(const struct pay_log_record *record, const char *name);

#endif
