/*
 * audit_run.h - the whole judgement: dead letters, lanes, rows, books; and one hash over what was covered. A source that can be
 * sharded is judged by several threads; what is found doesn't depend on that, nor its order.
 */
#ifndef PAY_TOOLS_AUDIT_RUN_H
#define PAY_TOOLS_AUDIT_RUN_H

#include "tools/audit_rows.h"

/* `books` false: a part of the ledger only. */
enum pay_exit audit_run(struct audit *audit, bool books, struct audit_rows_result *ret_result);

/* Of ledger id, lanes and tables; equal for equal ledgers, wherever they are read from. */
void audit_hash(const struct audit *audit, const struct audit_rows_result *result, char ret_hex[AUDIT_DIGEST_TEXT]);

#endif
