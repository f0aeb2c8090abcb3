/*
 * recover_tell.h - replies made from rows alone, for decisions whose requests are gone: all members but metadata and traceparent.
 *
 * The lane is held first (halted, an epoch of its own), so nobody else publishes for it. Each reply covers from where the one
 * before ended, so readers take them without a gap. Killed in between, the next run goes on behind the last one.
 */
#ifndef PAY_TOOLS_RECOVER_TELL_H
#define PAY_TOOLS_RECOVER_TELL_H

#include "tools/recover_lane.h"

/* Tells the decisions of records in [n, until), n being the lane's next unanswered one. lane->row has the new epoch afterwards. */
enum pay_exit recover_tell(struct lane_case *lane, enum pay_halt reason, int64_t until, int64_t *ret_told);

#endif
