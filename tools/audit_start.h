/*
 * audit_start.h - what the audit reads before it compares anything: the ends of the logs, the snapshot, the lanes, the dead letters.
 *
 * Order matters: the reply log's ends, then the database snapshot, then the request log's ends. A reply below those ends was
 * published after its commit, so the snapshot must have settled it; what the snapshot settled is in the request log that is read.
 * What came later on either side is in flight, not a difference.
 */
#ifndef PAY_TOOLS_AUDIT_START_H
#define PAY_TOOLS_AUDIT_START_H

#include "tools/audit.h"

struct audit_scope {
    int64_t wait_seconds; /* first wait so long for everything to be settled and answered; 0: don't */
    int32_t partition;    /* only this one; -1: all */
};

enum pay_exit audit_start(struct audit *audit, const struct audit_scope *scope);
enum pay_exit audit_read_letters(struct audit *audit);
void audit_close(struct audit *audit);

#endif
