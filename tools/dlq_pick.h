/* dlq_pick.h - which letters `list`, `export` and `discard` are about: by reason and by what became of them. Pure. */
#ifndef PAY_TOOLS_DLQ_PICK_H
#define PAY_TOOLS_DLQ_PICK_H

#include "tools/dlq.h"

struct dlq_pick {
    enum pay_reason reason; /* PAY_REASON_COUNT: any */
    bool open_only;
};

/* False: `text` is no reason that a letter can have. NULL: any. */
bool dlq_pick_reason(const char *text, struct dlq_pick *pick);
bool dlq_picked(const struct dlq_pick *pick, const struct dlq_entry *entry);

/* A letter as one JSON object: position, reason, state, times, key, headers, value as text or base64. */
json_t *dlq_json(const struct dlq_entry *entry, const struct pay_log_record *record);

#endif
