#include "pg/payment_row.h"

#include <stdlib.h>
#include <string.h>

static void copy(char *target, size_t size, const char *text) {
    size_t length = text != NULL ? strnlen(text, size - 1) : 0;
    if (length > 0) memcpy(target, text, length);
    target[length] = '\0';
}

static int64_t number(const char *text) { return text != NULL ? strtoll(text, NULL, 10) : 0; }

const char *pay_payment_row_parse(const char *const columns[PAY_PAYMENT_ROW_COLUMNS],
                                  struct pay_decision *ret_decision) {
    const char *outcome = columns[4], *reason = columns[5];
    ret_decision->attempt = (int32_t)number(columns[0]);
    copy(ret_decision->account_id, sizeof ret_decision->account_id, columns[1]);
    copy(ret_decision->currency, sizeof ret_decision->currency, columns[2]);
    ret_decision->amount_minor = number(columns[3]);
    ret_decision->reason = PAY_REASON_NONE;
    ret_decision->balance_after_minor = number(columns[6]);
    ret_decision->has_account = columns[7] != NULL;
    ret_decision->account_version = number(columns[7]);
    ret_decision->position =
        (struct pay_position){number(columns[8]), (int32_t)number(columns[9]), number(columns[10])};
    ret_decision->decided_at_us = number(columns[11]);
    if (outcome == NULL || !pay_outcome_from_name(outcome, strlen(outcome), &ret_decision->outcome))
        return "payment.outcome";
    if (reason != NULL && !pay_reason_from_name(reason, strlen(reason), &ret_decision->reason)) return "payment.reason";
    return NULL;
}

const char *pay_payment_row_read(const struct pay_pg_row *row, int first, struct pay_decision *ret_decision) {
    const char *columns[PAY_PAYMENT_ROW_COLUMNS];
    for (int i = 0; i < PAY_PAYMENT_ROW_COLUMNS; i++) columns[i] = pay_pg_column(row, first + i);
    return pay_payment_row_parse(columns, ret_decision);
}
