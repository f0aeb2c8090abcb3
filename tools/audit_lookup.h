/* audit_lookup.h - what is on file about a batch of request records: the audit's own statements, not the worker's. */
#ifndef PAY_TOOLS_AUDIT_LOOKUP_H
#define PAY_TOOLS_AUDIT_LOOKUP_H

#include "core/batch.h"
#include "core/error.h"
#include "tools/lanes.h"

/* Fills known decisions and refusals of the prepared slice. SPLIT: too many decisions for one batch. */
enum pay_move audit_look_up(struct pay_pg *pg, const struct lane_view *lane, struct pay_batch *batch,
                            struct pay_error *error);

#endif
