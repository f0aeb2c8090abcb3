/*
 * audit_offline.h - a ledger as a dump has it: no server is needed.
 *
 * Requests meet their rows by sorting, so memory doesn't grow with the dump: request keys by order, merged with the payments
 * (which lie by order), then by position again, merged with the request log. A shard does that for its own lanes. What doesn't
 * fit into memory is written to files without a name in TMPDIR (/var/tmp): about 150 bytes a request and 170 a payment.
 */
#ifndef PAY_TOOLS_AUDIT_OFFLINE_H
#define PAY_TOOLS_AUDIT_OFFLINE_H

#include "tools/audit.h"

/* Fills audit->source, lanes and names; audit->tool and quick are the caller's. */
enum pay_exit audit_offline_open(struct audit *audit, const char *folder, const struct audit_scope *scope);

/* Reads every file to its end and names each that isn't as it was written, with the byte. */
enum pay_exit audit_offline_verify(struct audit *audit);

/* Files without entries are never opened while judging; a byte may be changed in them, too. */
bool audit_offline_empty_files_whole(const struct audit *audit);

#endif
