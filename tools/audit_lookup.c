#include "tools/audit_lookup.h"

#include "pg/payment_row.h"
#include "sql/pay_sql.h"
#include "tools/audit_requests.h"

#include <stdio.h>

struct looking {
    struct pay_batch *batch;
    const struct lane_view *lane;
    uint32_t *record_of; /* refusals: nth -> record */
    bool full;
    const char *broken; /* a refusal's column that can't be understood */
    uint32_t broken_record;
};

static bool take_decision(void *argument, const struct pay_pg_row *row) {
    struct looking *looking = argument;
    struct pay_decision *decision = pay_batch_add_known(looking->batch, (uint32_t)pay_pg_column_int8(row, 0) - 1);
    looking->full = decision == NULL;
    if (decision == NULL) return false;
    if (pay_payment_row_read(row, 1, decision) != NULL)
        decision->position = (struct pay_position){0}; /* pay_known_possible */
    return true;
}

static bool take_refusal(void *argument, const struct pay_pg_row *row) {
    struct looking *looking = argument;
    uint32_t record = looking->record_of[pay_pg_column_int8(row, 0) - 1];
    struct audit_row columns;
    columns.count = REFUSAL_COLUMNS;
    for (int i = 0; i < REFUSAL_COLUMNS; i++) columns.columns[i] = pay_pg_column(row, 1 + i);
    const char *broken = audit_row_refusal(&columns, pay_batch_add_refusal(looking->batch, record));
    if (broken != NULL && looking->broken == NULL) {
        looking->broken = broken;
        looking->broken_record = record;
    }
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

static enum pay_move look_up_refusals(struct looking *looking, struct pay_pg *pg, struct pay_error *error) {
    static struct pay_pg_array offsets;
    static uint32_t record_of[PAY_BATCH_RECORDS_MAX];
    struct pay_pg_args args;
    uint32_t count = 0;
    pay_pg_array_begin(&offsets, PAY_PG_INT8);
    for (uint32_t i = looking->batch->begin; i < looking->batch->end; i++) {
        const struct pay_record *record = &looking->batch->records[i];
        uint32_t order = looking->batch->order_of[i];
        if (!audit_can_be_refused(record, order != UINT32_MAX ? looking->batch->orders[order].known : NULL)) continue;
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
    char where[PAY_POSITION_TEXT_MAX];
    pay_position_format(&batch->records[looking.broken_record].position, where);
    snprintf(error->text, sizeof error->text,
             "%s of %s holds a word that this program doesn't know; was the row changed by hand?", looking.broken,
             where);
    return PAY_HALTED;
}
