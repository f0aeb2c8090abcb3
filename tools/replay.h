/*
 * replay.h - the modes of `paybuf replay`.
 */
#ifndef PAY_TOOLS_REPLAY_H
#define PAY_TOOLS_REPLAY_H

#include "tools/audit.h"
#include "tools/replay_select.h"

/* Decides again and shows what would come out otherwise; PAY_EXIT_DIFFERENCES when anything would. */
enum pay_exit replay_show_dry_run(struct audit *audit, const struct replay_selection *selection, int64_t limit);

struct replay_how {
    bool yes;          /* without it only the count is shown */
    int64_t rate;      /* records a second at most; 0: no limit */
    const char *topic; /* replies: another topic than the ledger's own; NULL */
    const char *file;  /* replies: a file of lines; NULL */
    const char *state; /* requests: where to go on after an interruption; NULL */
};

/*
 * Publishes the stored answers of one lane (audit->lanes[0]) again, from source offset `from` on. Into the ledger's own reply topic
 * only what decision 036 allows: contiguous, from where a reader can be, and nothing that no worker has answered before.
 */
enum pay_exit replay_replies(struct audit *audit, const struct replay_selection *selection, int64_t from,
                             const struct replay_how *how);

/* Sends the selected requests to the intake again, lane by lane; those on file are answered as duplicates. */
enum pay_exit replay_requests(struct audit *audit, const struct replay_selection *selection,
                              const struct replay_how *how);

#endif
