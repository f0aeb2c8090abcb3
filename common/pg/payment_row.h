/* payment_row.h - a row of `payment` as a decision. Threads: any. Memory: plain values. */
#ifndef PAY_PG_PAYMENT_ROW_H
#define PAY_PG_PAYMENT_ROW_H

#include "core/decide.h"
#include "pg/pg.h"

/*
 * Twelve columns from `first` on: attempt, account_id, currency, amount_minor, outcome, reason, balance_after_minor, account_version,
 * log_generation, src_partition, src_offset, decided_at in microseconds. NULL, or which column holds a word that isn't known. Sets
 * everything but `next`.
 */
const char *pay_payment_row_read(const struct pay_pg_row *row, int first, struct pay_decision *ret_decision);

/* The same of the columns' texts, wherever they come from (a dump); NULL: null. */
#define PAY_PAYMENT_ROW_COLUMNS 12
const char *pay_payment_row_parse(const char *const columns[PAY_PAYMENT_ROW_COLUMNS],
                                  struct pay_decision *ret_decision);

#endif
