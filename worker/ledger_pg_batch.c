/* A batch's arrays on their way out, its rows on their way in. */
#include "worker/ledger_pg_private.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

bool pay_ledger_pg_copy_text(const struct pay_pg_result *result, int row, int column, char *text, size_t size) {
    size_t length;
    const char *bytes = pay_pg_result_bytes(result, row, column, &length);
    if (length >= size) return false;
    memcpy(text, bytes, length);
    text[length] = '\0';
    return true;
}

enum pay_move pay_ledger_pg_strange(struct pay_error *error, const char *what) {
    *error = (struct pay_error){.move = PAY_SESSION_OVER};
    snprintf(error->text, sizeof error->text,
             "a row holds a value that paybuf doesn't write (%s): were rows changed by hand?", what);
    return PAY_SESSION_OVER;
}

/* ---- out: arrays in the order of the statements' parameters ---- */

static void begin_arrays(struct ledger_pg *ledger, const enum pay_pg_element *elements, uint32_t count) {
    assert(count <= ARRAYS_MAX);
    for (uint32_t i = 0; i < count; i++) pay_pg_array_begin(&ledger->arrays[i], elements[i]);
}

static void bind_arrays(struct ledger_pg *ledger, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) pay_pg_args_array(&ledger->args, &ledger->arrays[i]);
}

void pay_ledger_pg_bind_fences(struct ledger_pg *ledger) {
    static const enum pay_pg_element elements[] = {PAY_PG_INT4, PAY_PG_BYTEA, PAY_PG_INT8, PAY_PG_INT8, PAY_PG_INT8,
                                                   PAY_PG_INT8, PAY_PG_INT8,  PAY_PG_INT8, PAY_PG_INT8, PAY_PG_INT8};
    struct pay_pg_array *a = ledger->arrays;
    begin_arrays(ledger, elements, 10);
    for (uint32_t i = 0; i < ledger->fence_count; i++) {
        const struct pay_fence *fence = &ledger->fences[i];
        assert(i == 0 || ledger->fences[i - 1].partition < fence->partition); /* the global lock order */
        pay_pg_array_int4(&a[0], fence->partition);
        pay_pg_array_bytea(&a[1], fence->owner, PAY_OWNER_SIZE);
        pay_pg_array_int8(&a[2], fence->owner_epoch);
        pay_pg_array_int8(&a[3], fence->processed_before);
        pay_pg_array_int8(&a[4], fence->processed_after);
        pay_pg_array_optional_int8(&a[5], fence->anchor.present, fence->anchor.offset);
        pay_pg_array_optional_int8(&a[6], fence->anchor.present, fence->anchor.timestamp_ms);
        pay_pg_array_optional_int8(&a[7], fence->anchor.present, fence->anchor.crc32c);
        pay_pg_array_int8(&a[8], fence->replied_offset);
        pay_pg_array_int8(&a[9], fence->reply_position);
    }
    pay_pg_args_begin(&ledger->args);
    pay_pg_args_text(&ledger->args, ledger->topic);
    pay_pg_args_text(&ledger->args, ledger->group_id);
    pay_pg_args_text(&ledger->args, ledger->cluster_id);
    bind_arrays(ledger, 10);
}

void pay_ledger_pg_bind_accounts(struct ledger_pg *ledger) {
    static const enum pay_pg_element elements[] = {PAY_PG_TEXT, PAY_PG_TEXT};
    const struct pay_batch *batch = ledger->batch;
    begin_arrays(ledger, elements, 2);
    for (uint32_t i = 0; i < batch->account_count; i++) {
        const struct pay_account *account = &batch->accounts[i];
        assert(i == 0 || pay_tenant_id_compare(account[-1].tenant, account[-1].account_id, account->tenant,
                                               account->account_id) < 0);
        pay_pg_array_text(&ledger->arrays[0], account->tenant);
        pay_pg_array_text(&ledger->arrays[1], account->account_id);
    }
    pay_pg_args_begin(&ledger->args);
    bind_arrays(ledger, 2);
}

void pay_ledger_pg_bind_orders(struct ledger_pg *ledger, const struct pay_batch *batch) {
    static const enum pay_pg_element elements[] = {PAY_PG_TEXT, PAY_PG_TEXT};
    begin_arrays(ledger, elements, 2);
    for (uint32_t i = 0; i < batch->order_count; i++) {
        const struct pay_batch_order *order = &batch->orders[i];
        assert(i == 0 ||
               pay_tenant_id_compare(order[-1].tenant, order[-1].order_id, order->tenant, order->order_id) < 0);
        pay_pg_array_text(&ledger->arrays[0], order->tenant);
        pay_pg_array_text(&ledger->arrays[1], order->order_id);
    }
    pay_pg_args_begin(&ledger->args);
    bind_arrays(ledger, 2);
    pay_pg_args_int8(&ledger->args, PAY_BATCH_KNOWN_MAX + 1);
}

/* Strictly increasing by primary key: batches in different orders deadlock. */
static void assert_insert_order(const struct pay_batch *batch, uint32_t i) {
    if (i == 0) return;
    const struct pay_request *last = &batch->records[batch->inserts[i - 1].record].request;
    const struct pay_request *this = &batch->records[batch->inserts[i].record].request;
    int order = pay_tenant_id_compare(last->tenant, last->order_id, this->tenant, this->order_id);
    assert(order < 0 || (order == 0 && last->attempt < this->attempt));
}

void pay_ledger_pg_bind_inserts(struct ledger_pg *ledger) {
    static const enum pay_pg_element elements[] = {PAY_PG_TEXT, PAY_PG_TEXT, PAY_PG_INT4, PAY_PG_TEXT,
                                                   PAY_PG_TEXT, PAY_PG_INT8, PAY_PG_TEXT, PAY_PG_INT8,
                                                   PAY_PG_INT8, PAY_PG_INT8, PAY_PG_INT4, PAY_PG_INT8};
    const struct pay_batch *batch = ledger->batch;
    struct pay_pg_array *a = ledger->arrays;
    begin_arrays(ledger, elements, 12);
    for (uint32_t i = 0; i < batch->insert_count; i++) {
        const struct pay_request *request = &batch->records[batch->inserts[i].record].request;
        const struct pay_decision *decision = batch->inserts[i].decision;
        assert_insert_order(batch, i);
        assert((decision->outcome == PAY_PAID) == (decision->reason == PAY_REASON_NONE));
        pay_pg_array_text(&a[0], request->tenant);
        pay_pg_array_text(&a[1], request->order_id);
        pay_pg_array_int4(&a[2], decision->attempt);
        pay_pg_array_text(&a[3], decision->account_id);
        pay_pg_array_text(&a[4], decision->currency);
        pay_pg_array_int8(&a[5], decision->amount_minor);
        pay_pg_array_text(&a[6], pay_reason_name(decision->reason));
        pay_pg_array_optional_int8(&a[7], decision->has_account, decision->balance_after_minor);
        pay_pg_array_optional_int8(&a[8], decision->has_account, decision->account_version);
        pay_pg_array_int8(&a[9], decision->position.generation);
        pay_pg_array_int4(&a[10], decision->position.partition);
        pay_pg_array_int8(&a[11], decision->position.offset);
    }
    pay_pg_args_begin(&ledger->args);
    bind_arrays(ledger, 12);
}

void pay_ledger_pg_bind_refusals(struct ledger_pg *ledger) {
    static const enum pay_pg_element elements[] = {PAY_PG_INT8, PAY_PG_INT4, PAY_PG_INT8, PAY_PG_TEXT, PAY_PG_TEXT};
    struct pay_pg_array *a = ledger->arrays;
    begin_arrays(ledger, elements, 5);
    for (uint32_t i = 0; i < ledger->batch->refusal_count; i++) {
        const struct pay_refusal *refusal = &ledger->batch->refusals[i];
        pay_pg_array_int8(&a[0], refusal->position.generation);
        pay_pg_array_int4(&a[1], refusal->position.partition);
        pay_pg_array_int8(&a[2], refusal->position.offset);
        pay_pg_array_text(&a[3], pay_reason_name(refusal->code));
        pay_pg_array_text(&a[4], pay_field_name(refusal->field));
    }
    pay_pg_args_begin(&ledger->args);
    bind_arrays(ledger, 5);
}

uint32_t pay_ledger_pg_bind_balances(struct ledger_pg *ledger) {
    static const enum pay_pg_element elements[] = {PAY_PG_TID, PAY_PG_INT8, PAY_PG_INT8};
    struct pay_pg_array *a = ledger->arrays;
    begin_arrays(ledger, elements, 3);
    for (uint32_t i = 0; i < ledger->batch->account_count; i++) {
        const struct pay_account *account = &ledger->batch->accounts[i];
        if (!account->changed) continue;
        assert(account->found);
        pay_pg_array_tid(&a[0], account->row_handle);
        pay_pg_array_int8(&a[1], account->balance_minor);
        pay_pg_array_int8(&a[2], account->version);
    }
    pay_pg_args_begin(&ledger->args);
    bind_arrays(ledger, 3);
    return a[0].count;
}

/* ---- in ---- */

enum pay_move pay_ledger_pg_take_fence(struct ledger_pg *ledger, const struct pay_pg_result *result,
                                       struct pay_error *error) {
    int32_t passed[PAY_LANES_MAX];
    if (pay_pg_result_rows(result) != 1) return pay_ledger_pg_strange(error, "no ledger row");
    bool halted = pay_pg_result_bool(result, 0, 0), mine = pay_pg_result_bool(result, 0, 1);
    if (halted || !mine) {
        *error = (struct pay_error){.move = PAY_HALTED};
        snprintf(error->text, sizeof error->text, "%s",
                 halted ? "the ledger is halted" : "the database server isn't the one that the workers agreed on");
        return PAY_HALTED;
    }
    ledger->decided_at_us = pay_pg_result_timestamp(result, 0, 2);
    uint32_t passed_count = pay_pg_result_int4s(result, 0, 3, passed, PAY_LANES_MAX);
    if (passed_count == ledger->fence_count) return PAY_OK;
    for (uint32_t i = 0; i < ledger->fence_count; i++) {
        ledger->fences[i].lost = true;
        for (uint32_t k = 0; k < passed_count; k++)
            if (passed[k] == ledger->fences[i].partition) ledger->fences[i].lost = false;
    }
    *error = (struct pay_error){.move = PAY_FENCED};
    snprintf(error->text, sizeof error->text, "%u of %u lanes belong to another session now",
             ledger->fence_count - passed_count, ledger->fence_count);
    return PAY_FENCED;
}

/* nth counts from 1, in the order of the arrays that were sent. */
static bool index_of(const struct pay_pg_result *result, int row, uint32_t count, uint32_t *ret_index) {
    int64_t nth = pay_pg_result_int8(result, row, 0);
    if (nth < 1 || nth > count) return false;
    *ret_index = (uint32_t)nth - 1;
    return true;
}

enum pay_move pay_ledger_pg_take_accounts(struct ledger_pg *ledger, const struct pay_pg_result *result,
                                          struct pay_error *error) {
    struct pay_batch *batch = ledger->batch;
    int rows = pay_pg_result_rows(result);
    for (int row = 0; row < rows; row++) {
        uint32_t index;
        size_t length;
        if (!index_of(result, row, batch->account_count, &index)) return pay_ledger_pg_strange(error, "account order");
        struct pay_account *account = &batch->accounts[index];
        account->row_handle = pay_pg_result_tid(result, row, 1);
        if (!pay_ledger_pg_copy_text(result, row, 2, account->currency, sizeof account->currency))
            return pay_ledger_pg_strange(error, "account currency");
        const char *state = pay_pg_result_bytes(result, row, 3, &length);
        if (!pay_account_state_from_name(state, length, &account->state))
            return pay_ledger_pg_strange(error, "account state");
        account->balance_minor = pay_pg_result_int8(result, row, 4);
        account->floor_minor = pay_pg_result_int8(result, row, 5);
        account->version = pay_pg_result_int8(result, row, 6);
        account->found = true;
        account->changed = false;
    }
    return PAY_OK;
}

static bool take_decision(const struct pay_pg_result *result, int row, struct pay_decision *decision) {
    size_t length;
    if (!pay_ledger_pg_copy_text(result, row, 2, decision->account_id, sizeof decision->account_id)) return false;
    if (!pay_ledger_pg_copy_text(result, row, 3, decision->currency, sizeof decision->currency)) return false;
    const char *outcome = pay_pg_result_bytes(result, row, 5, &length);
    if (!pay_outcome_from_name(outcome, length, &decision->outcome)) return false;
    decision->reason = PAY_REASON_NONE;
    if (!pay_pg_result_null(result, row, 6)) {
        const char *reason = pay_pg_result_bytes(result, row, 6, &length);
        if (!pay_reason_from_name(reason, length, &decision->reason)) return false;
    }
    decision->attempt = pay_pg_result_int4(result, row, 1);
    decision->amount_minor = pay_pg_result_int8(result, row, 4);
    decision->has_account = !pay_pg_result_null(result, row, 8);
    decision->balance_after_minor = decision->has_account ? pay_pg_result_int8(result, row, 7) : 0;
    decision->account_version = decision->has_account ? pay_pg_result_int8(result, row, 8) : 0;
    decision->position = (struct pay_position){pay_pg_result_int8(result, row, 9), pay_pg_result_int4(result, row, 10),
                                               pay_pg_result_int8(result, row, 11)};
    decision->decided_at_us = pay_pg_result_timestamp(result, row, 12);
    return true;
}

enum pay_move pay_ledger_pg_take_known(struct pay_batch *batch, const struct pay_pg_result *result,
                                       struct pay_error *error) {
    int rows = pay_pg_result_rows(result);
    for (int row = 0; row < rows; row++) {
        uint32_t index;
        if (!index_of(result, row, batch->order_count, &index)) return pay_ledger_pg_strange(error, "payment order");
        struct pay_decision *decision = pay_batch_add_known(batch, index);
        if (decision == NULL) {
            *error = (struct pay_error){
                .move = PAY_SPLIT, .text = "the batch's orders have more attempts on file than one settle may read"};
            return PAY_SPLIT;
        }
        if (!take_decision(result, row, decision))
            decision->position = (struct pay_position){0}; /* pay_known_possible */
    }
    return PAY_OK;
}

/* ---- reply-only ---- */

/* *ret_records[i]: which record the i-th position belongs to. */
static uint32_t bind_positions(struct ledger_pg *ledger, const struct pay_batch *batch, uint32_t *ret_records) {
    static const enum pay_pg_element elements[] = {PAY_PG_INT8, PAY_PG_INT4, PAY_PG_INT8};
    uint32_t count = 0;
    begin_arrays(ledger, elements, 3);
    for (uint32_t i = batch->begin; i < batch->end; i++) {
        if (batch->dropped[i]) continue;
        const struct pay_position *position = &batch->records[i].position;
        pay_pg_array_int8(&ledger->arrays[0], position->generation);
        pay_pg_array_int4(&ledger->arrays[1], position->partition);
        pay_pg_array_int8(&ledger->arrays[2], position->offset);
        ret_records[count++] = i;
    }
    pay_pg_args_begin(&ledger->args);
    bind_arrays(ledger, 3);
    return count;
}

static enum pay_move take_refusals(struct pay_batch *batch, const uint32_t *records, uint32_t count,
                                   const struct pay_pg_result *result, struct pay_error *error) {
    int rows = pay_pg_result_rows(result);
    for (int row = 0; row < rows; row++) {
        uint32_t index;
        size_t length;
        enum pay_reason code;
        enum pay_field field = PAY_FIELD_NONE;
        if (!index_of(result, row, count, &index)) return pay_ledger_pg_strange(error, "refusal order");
        const char *name = pay_pg_result_bytes(result, row, 1, &length);
        if (!pay_reason_from_name(name, length, &code)) return pay_ledger_pg_strange(error, "refusal code");
        name = pay_pg_result_bytes(result, row, 2, &length);
        if (!pay_pg_result_null(result, row, 2) && !pay_field_from_name(name, length, &field))
            return pay_ledger_pg_strange(error, "refusal field");
        struct pay_refusal *refusal = pay_batch_add_refusal(batch, records[index]);
        refusal->position = batch->records[records[index]].position;
        refusal->code = code;
        refusal->field = field;
        refusal->decided_at_us = pay_pg_result_timestamp(result, row, 3);
    }
    return PAY_OK;
}

enum pay_move pay_ledger_pg_look_up(struct pay_ledger *port, struct pay_batch *batch, struct pay_error *error) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    struct pay_pg_result *results[2] = {NULL, NULL};
    uint32_t records[PAY_BATCH_RECORDS_MAX];
    enum pay_move move = pay_ledger_pg_ready(ledger, error);
    if (move != PAY_OK) return move;
    pay_ledger_pg_bind_orders(ledger, batch);
    pay_pg_send_prepared(ledger->pg, pay_ledger_pg_statement_name(KNOWN_PAYMENTS), &ledger->args);
    uint32_t count = bind_positions(ledger, batch, records);
    pay_pg_send_prepared(ledger->pg, pay_ledger_pg_statement_name(FOUND_REFUSALS), &ledger->args);
    pay_pg_sync(ledger->pg);
    move = pay_ledger_pg_read_group(ledger, results, 2, error);
    if (move == PAY_OK) move = pay_ledger_pg_take_known(batch, results[0], error);
    if (move == PAY_OK) move = take_refusals(batch, records, count, results[1], error);
    pay_ledger_pg_free_results(results, 2);
    return move == PAY_REDO ? (error->move = PAY_AGAIN) : move;
}
