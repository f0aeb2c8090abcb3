#include "tools/audit_lookup.h"

#include "sql/pay_sql.h"

#include <stdio.h>
#include <string.h>

struct looking {
    struct pay_batch *batch;
    const struct lane_view *lane;
    uint32_t *record_of; /* refusals: nth -> record */
    bool full;
    const char *broken; /* a row that can't be understood */
};

static void copy(char *target, size_t size, const char *text) {
    snprintf(target, size, "%s", text != NULL ? text : "");
}

static bool take_decision(void *argument, const struct pay_pg_row *row) {
    struct looking *looking = argument;
    struct pay_decision *decision = pay_batch_add_known(looking->batch, (uint32_t)pay_pg_column_int8(row, 0) - 1);
    const char *outcome = pay_pg_column(row, 5), *reason = pay_pg_column(row, 6);
    looking->full = decision == NULL;
    if (decision == NULL) return false;
    decision->attempt = (int32_t)pay_pg_column_int8(row, 1);
    copy(decision->account_id, sizeof decision->account_id, pay_pg_column(row, 2));
    copy(decision->currency, sizeof decision->currency, pay_pg_column(row, 3));
    decision->amount_minor = pay_pg_column_int8(row, 4);
    if (!pay_outcome_from_name(outcome, strlen(outcome), &decision->outcome)) looking->broken = "payment.outcome";
    decision->reason = PAY_REASON_NONE;
    if (reason != NULL && !pay_reason_from_name(reason, strlen(reason), &decision->reason))
        looking->broken = "payment.reason";
    decision->has_account = pay_pg_column(row, 8) != NULL;
    decision->balance_after_minor = pay_pg_column_int8(row, 7);
    decision->account_version = pay_pg_column_int8(row, 8);
    decision->position = (struct pay_position){pay_pg_column_int8(row, 9), (int32_t)pay_pg_column_int8(row, 10),
                                               pay_pg_column_int8(row, 11)};
    decision->decided_at_us = pay_pg_column_int8(row, 12);
    return true;
}

static bool take_refusal(void *argument, const struct pay_pg_row *row) {
    struct looking *looking = argument;
    uint32_t record = looking->record_of[pay_pg_column_int8(row, 0) - 1];
    struct pay_refusal *refusal = pay_batch_add_refusal(looking->batch, record);
    const char *code = pay_pg_column(row, 1), *field = pay_pg_column(row, 2);
    refusal->position = looking->batch->records[record].position;
    refusal->field = PAY_FIELD_NONE;
    if (!pay_reason_from_name(code, strlen(code), &refusal->code)) looking->broken = "refusal.code";
    if (field != NULL && !pay_field_from_name(field, strlen(field), &refusal->field)) looking->broken = "refusal.field";
    refusal->decided_at_us = pay_pg_column_int8(row, 3);
    return true;
}

static enum pay_move look_up_decisions(struct looking *looking, struct pay_pg *pg, struct pay_error *error) {
    static struct pay_pg_array tenants, orders;
    struct pay_pg_args args;
    pay_pg_array_begin(&tenants, PAY_PG_TEXT);
    pay_pg_array_begin(&orders, PAY_PG_TEXT);
    for (uint32_t i = 0; i < looking->batch->order_count; i++) {
        pay_pg_array_text(&tenants, looking->batch->orders[i].tenant);
        pay_pg_array_text(&orders, looking->batch->orders[i].order_id);
    }
    if (looking->batch->order_count == 0) return PAY_OK;
    pay_pg_args_begin(&args);
    pay_pg_args_array(&args, &tenants);
    pay_pg_args_array(&args, &orders);
    pay_pg_args_int8(&args, PAY_BATCH_KNOWN_MAX + 1);
    enum pay_move move = pay_pg_exec(pg, pay_sql_tools_audit_payments, &args, take_decision, looking, NULL, error);
    if (move != PAY_OK || !looking->full) return move;
    *error = (struct pay_error){.move = PAY_SPLIT, .text = "more decisions about one order than there can be attempts"};
    return PAY_SPLIT;
}

/* Only where a refusal can be the answer: bytes that are no request, and later attempts. Any other refusal row shows as one without a record. */
static enum pay_move look_up_refusals(struct looking *looking, struct pay_pg *pg, struct pay_error *error) {
    static struct pay_pg_array offsets;
    static uint32_t record_of[PAY_BATCH_RECORDS_MAX];
    struct pay_pg_args args;
    uint32_t count = 0;
    pay_pg_array_begin(&offsets, PAY_PG_INT8);
    for (uint32_t i = looking->batch->begin; i < looking->batch->end; i++) {
        const struct pay_record *record = &looking->batch->records[i];
        if (record->invalid == PAY_REASON_NONE && record->request.attempt == 1) continue;
        pay_pg_array_int8(&offsets, record->position.offset);
        record_of[count++] = i;
    }
    if (count == 0) return PAY_OK;
    looking->record_of = record_of;
    pay_pg_args_begin(&args);
    pay_pg_args_int8(&args, looking->lane->generation);
    pay_pg_args_int4(&args, looking->lane->partition);
    pay_pg_args_array(&args, &offsets);
    return pay_pg_exec(pg, pay_sql_tools_audit_refusals, &args, take_refusal, looking, NULL, error);
}

enum pay_move audit_look_up(struct pay_pg *pg, const struct lane_view *lane, struct pay_batch *batch,
                            struct pay_error *error) {
    struct looking looking = {.batch = batch, .lane = lane};
    enum pay_move move = look_up_decisions(&looking, pg, error);
    if (move == PAY_OK) move = look_up_refusals(&looking, pg, error);
    if (move != PAY_OK || looking.broken == NULL) return move;
    *error = (struct pay_error){.move = PAY_HALTED};
    snprintf(error->text, sizeof error->text, "%s holds a word that this program doesn't know; install a newer paybuf",
             looking.broken);
    return PAY_HALTED;
}
