/*
 * audit_row.h - a row of a table as text columns, in the order in which tools_dump_<table>.sql selects them; and back into
 * values.
 *
 * Rows come as PostgreSQL prints them, times as microseconds since 1970: the same from the database and from a dump.
 * Memory: columns point into what the row came from.
 * Threads: any.
 */
#ifndef PAY_TOOLS_AUDIT_ROW_H
#define PAY_TOOLS_AUDIT_ROW_H

#include "core/decide.h"

enum audit_table { AUDIT_PAYMENTS, AUDIT_REFUSALS, AUDIT_ACCOUNTS, AUDIT_ADJUSTMENTS, AUDIT_TABLE_COUNT };

#define AUDIT_COLUMNS_MAX 16

struct audit_row {
    size_t count;
    const char *columns[AUDIT_COLUMNS_MAX]; /* NULL: null */
};

/* Columns of the payment table, in the order of its primary key. */
enum {
    PAYMENT_TENANT,
    PAYMENT_ORDER,
    PAYMENT_ATTEMPT,
    PAYMENT_ACCOUNT,
    PAYMENT_CURRENCY,
    PAYMENT_AMOUNT,
    PAYMENT_OUTCOME,
    PAYMENT_REASON,
    PAYMENT_BALANCE_AFTER,
    PAYMENT_VERSION,
    PAYMENT_GENERATION,
    PAYMENT_PARTITION,
    PAYMENT_OFFSET,
    PAYMENT_DECIDED_AT,
    PAYMENT_COLUMNS
};
/* Of refusals, by partition, generation, offset. */
enum {
    REFUSAL_GENERATION,
    REFUSAL_PARTITION,
    REFUSAL_OFFSET,
    REFUSAL_CODE,
    REFUSAL_FIELD,
    REFUSAL_DECIDED_AT,
    REFUSAL_COLUMNS
};
/* Of accounts, by their key. */
enum {
    ACCOUNT_TENANT,
    ACCOUNT_ID,
    ACCOUNT_CURRENCY,
    ACCOUNT_BALANCE,
    ACCOUNT_FLOOR,
    ACCOUNT_STATE,
    ACCOUNT_VERSION,
    ACCOUNT_COLUMNS
};
/* Of adjustments, by account and version. */
enum {
    ADJUSTMENT_TENANT,
    ADJUSTMENT_ID,
    ADJUSTMENT_ACCOUNT,
    ADJUSTMENT_KIND,
    ADJUSTMENT_AMOUNT,
    ADJUSTMENT_VERSION,
    ADJUSTMENT_NOTE,
    ADJUSTMENT_CREATED_AT,
    ADJUSTMENT_COLUMNS
};

const char *audit_table_name(enum audit_table table); /* "payments" */
size_t audit_table_columns(enum audit_table table);

/* As many columns as the table has, and none null that never is: what comes from a file may be anything. */
bool audit_row_complete(enum audit_table table, const struct audit_row *row);

/* A whole number; 0 for null and for what is none. */
int64_t audit_number(const struct audit_row *row, size_t column);

/* NULL, or the column whose word this program doesn't know. `next` of the decision is NULL. */
const char *audit_row_decision(const struct audit_row *row, struct pay_decision *ret_decision);
const char *audit_row_refusal(const struct audit_row *row, struct pay_refusal *ret_refusal);

#endif
