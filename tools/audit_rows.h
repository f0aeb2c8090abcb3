/*
 * audit_rows.h - every row has its record: payments and refusals against the request log; every account's books; their digests.
 *
 * audit_count_rows and audit_all_books may run beside the lanes, on a source of their own; audit_compare_rows after them,
 * because it compares with what they saw.
 */
#ifndef PAY_TOOLS_AUDIT_ROWS_H
#define PAY_TOOLS_AUDIT_ROWS_H

#include "tools/audit.h"

struct audit_rows_result {
    struct audit_counts by_lane[PAY_LANES_MAX]; /* as audit->lanes */
    char sha256[AUDIT_TABLE_COUNT][AUDIT_DIGEST_TEXT];
    int64_t accounts, events; /* of the books */
};

enum pay_exit audit_count_rows(struct audit *audit, struct audit_rows_result *result);
enum pay_exit audit_all_books(struct audit *audit, struct audit_rows_result *result);
enum pay_exit audit_compare_rows(struct audit *audit, const struct audit_rows_result *result);

#endif
