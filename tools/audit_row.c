#include "tools/audit_row.h"

#include "pg/payment_row.h"

#include <string.h>

#define BIT(column) (1u << (column))

static const struct {
    const char *name;
    size_t columns;
    uint32_t nullable;
} tables[AUDIT_TABLE_COUNT] = {
    [AUDIT_PAYMENTS] = {"payments", PAYMENT_COLUMNS,
                        BIT(PAYMENT_REASON) | BIT(PAYMENT_BALANCE_AFTER) | BIT(PAYMENT_VERSION)},
    [AUDIT_REFUSALS] = {"refusals", REFUSAL_COLUMNS, BIT(REFUSAL_FIELD)},
    [AUDIT_ACCOUNTS] = {"accounts", ACCOUNT_COLUMNS, 0},
    [AUDIT_ADJUSTMENTS] = {"adjustments", ADJUSTMENT_COLUMNS, BIT(ADJUSTMENT_NOTE)},
};

bool audit_row_complete(enum audit_table table, const struct audit_row *row) {
    if (row->count != tables[table].columns) return false;
    for (size_t i = 0; i < row->count; i++)
        if (row->columns[i] == NULL && !(tables[table].nullable & BIT(i))) return false;
    return true;
}

const char *audit_table_name(enum audit_table table) { return tables[table].name; }

size_t audit_table_columns(enum audit_table table) { return tables[table].columns; }

int64_t audit_number(const struct audit_row *row, size_t column) {
    const char *text = row->columns[column];
    if (text == NULL) return 0;
    bool negative = text[0] == '-';
    uint64_t number = 0;
    for (text += negative; *text >= '0' && *text <= '9'; text++) number = number * 10 + (uint64_t)(*text - '0');
    return (int64_t)(negative ? 0 - number : number);
}

_Static_assert(PAYMENT_DECIDED_AT - PAYMENT_ATTEMPT + 1 == PAY_PAYMENT_ROW_COLUMNS, "the columns of payment_row.h");

const char *audit_row_decision(const struct audit_row *row, struct pay_decision *ret_decision) {
    return pay_payment_row_parse(&row->columns[PAYMENT_ATTEMPT], ret_decision);
}

const char *audit_row_refusal(const struct audit_row *row, struct pay_refusal *ret_refusal) {
    const char *code = row->columns[REFUSAL_CODE], *field = row->columns[REFUSAL_FIELD];
    *ret_refusal = (struct pay_refusal){.position = {audit_number(row, REFUSAL_GENERATION),
                                                     (int32_t)audit_number(row, REFUSAL_PARTITION),
                                                     audit_number(row, REFUSAL_OFFSET)},
                                        .field = PAY_FIELD_NONE,
                                        .decided_at_us = audit_number(row, REFUSAL_DECIDED_AT)};
    if (code == NULL || !pay_reason_from_name(code, strlen(code), &ret_refusal->code)) return "refusal.code";
    if (field != NULL && !pay_field_from_name(field, strlen(field), &ret_refusal->field)) return "refusal.field";
    return NULL;
}
