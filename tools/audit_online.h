/*
 * audit_online.h - a ledger as the running servers have it.
 *
 * Order matters: the reply log's ends, then the database snapshot, then the request log's ends. A reply below those ends was
 * published after its commit, so the snapshot must have settled it; what the snapshot settled is in the request log that is
 * read. What came later on either side is in flight, not a difference.
 */
#ifndef PAY_TOOLS_AUDIT_ONLINE_H
#define PAY_TOOLS_AUDIT_ONLINE_H

#include "tools/audit.h"

/* Fills audit->source, lanes and names; audit->tool and quick are the caller's. */
enum pay_exit audit_online_open(struct audit *audit, const struct audit_scope *scope);

/* The snapshot, for what else must be of the same moment. */
struct pay_pg *audit_online_database(struct audit *audit);

#endif
