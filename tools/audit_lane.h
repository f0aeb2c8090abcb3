/*
 * audit_lane.h - one lane: every settled request has exactly the reply that the stored rows give it, and nothing else is there.
 * Fills lane->tally and the bits of the rows it has seen; differences go to audit->differences.
 */
#ifndef PAY_TOOLS_AUDIT_LANE_H
#define PAY_TOOLS_AUDIT_LANE_H

#include "tools/audit.h"

enum pay_exit audit_one_lane(struct audit *audit, struct audit_lane *lane);

#endif
