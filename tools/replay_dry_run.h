/*
 * replay_dry_run.h - decides selected requests again, with the core's own code, on a copy of the state, and writes nothing.
 *
 * The state as of each decision is lived from the rows: opening, adjustments and decisions before it, in the serial order that the
 * accounts' versions give. Records without a row of their own are judged where they stand: duplicates, conflicts, refusals.
 * A request about which nothing is on file is decided by its account's state at the end.
 * Memory: constant; what is selected is sorted by account on disk (TMPDIR).
 */
#ifndef PAY_TOOLS_REPLAY_DRY_RUN_H
#define PAY_TOOLS_REPLAY_DRY_RUN_H

#include "tools/audit.h"
#include "tools/replay_life.h"
#include "tools/replay_select.h"

struct replay_dry_run {
    int64_t read, selected; /* settled requests */
    int64_t differing;      /* requests that would be answered otherwise */
};

enum pay_exit replay_dry_run(struct audit *audit, const struct replay_selection *selection, replay_difference_fn told,
                             void *argument, struct replay_dry_run *ret_result);

/* Only the selected partitions, and of them only the selected offsets. */
void replay_narrow(struct audit *audit, const struct replay_selection *selection);

#endif
