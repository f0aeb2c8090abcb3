/* replay_select.h - which records a replay is about. Pure. Memory: texts are the caller's. Threads: any. */
#ifndef PAY_TOOLS_REPLAY_SELECT_H
#define PAY_TOOLS_REPLAY_SELECT_H

#include "core/decide.h"

struct replay_selection {
    int32_t partition;                          /* -1: all */
    int64_t from_offset, to_offset;             /* both included */
    int64_t since_ms, until_ms;                 /* the broker's append time; until isn't included */
    const char *order_id, *account_id, *tenant; /* NULL: any */
    enum pay_outcome outcome;                   /* PAY_OUTCOME_COUNT: any */
};

/* Everything. */
void replay_select_all(struct replay_selection *selection);

/* `answer`: what is on file about the record, NULL: nothing. A record that is no request has no order and no account. */
bool replay_selected(const struct replay_selection *selection, const struct pay_record *record,
                     const struct pay_answer *answer);

#endif
