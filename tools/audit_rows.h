/*
 * audit_rows.h - every row has its record: payments and refusals against the request log, and the books.
 * After the lanes: it compares with what they saw.
 */
#ifndef PAY_TOOLS_AUDIT_ROWS_H
#define PAY_TOOLS_AUDIT_ROWS_H

#include "tools/audit.h"

enum pay_exit audit_rows(struct audit *audit);

struct audit_books_result {
    int64_t accounts, events;
};
enum pay_exit audit_all_books(struct audit *audit, struct audit_books_result *ret_result);

#endif
