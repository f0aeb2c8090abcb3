#include "core/batch.h"

#include "core/answer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NO_INDEX UINT32_MAX

void pay_batch_reset(struct pay_batch *batch) {
    batch->count = batch->begin = batch->end = 0;
    batch->order_count = batch->account_count = batch->known_count = batch->insert_count = batch->refusal_count = 0;
    batch->pool_used = 0;
}

bool pay_batch_full(const struct pay_batch *batch) { return batch->count == PAY_BATCH_RECORDS_MAX; }

struct pay_record *pay_batch_next(struct pay_batch *batch) {
    return pay_batch_full(batch) ? NULL : &batch->records[batch->count];
}

void pay_batch_commit_next(struct pay_batch *batch, bool settled) {
    assert(batch->count < PAY_BATCH_RECORDS_MAX);
    batch->settled[batch->count] = settled;
    batch->dropped[batch->count] = false;
    batch->count++;
}

bool pay_batch_slice(struct pay_batch *batch, uint32_t limit) {
    assert(limit > 0);
    batch->begin = batch->end;
    if (batch->begin == batch->count) return false;
    bool settled = batch->settled[batch->begin];
    while (batch->end < batch->count && batch->end - batch->begin < limit && batch->settled[batch->end] == settled)
        batch->end++;
    return true;
}

void pay_batch_shrink(struct pay_batch *batch, uint32_t limit) {
    assert(limit > 0);
    if (batch->end - batch->begin > limit) batch->end = batch->begin + limit;
}

static int compare_sort(const void *a, const void *b) {
    const struct pay_batch_sort *left = a, *right = b;
    return pay_tenant_id_compare(left->tenant, left->id, right->tenant, right->id);
}

/* Fills batch->sort with the slice's valid records, sorted by (tenant, order_id) or by (tenant, account_id). */
static uint32_t sort_slice(struct pay_batch *batch, bool by_account) {
    uint32_t count = 0;
    for (uint32_t i = batch->begin; i < batch->end; i++) {
        const struct pay_record *record = &batch->records[i];
        if (batch->dropped[i] || record->invalid != PAY_REASON_NONE) continue;
        const struct pay_request *request = &record->request;
        batch->sort[count++] =
            (struct pay_batch_sort){request->tenant, by_account ? request->account_id : request->order_id, i};
    }
    qsort(batch->sort, count, sizeof batch->sort[0], compare_sort);
    return count;
}

static bool first_of_its_key(const struct pay_batch_sort *sort, uint32_t i) {
    return i == 0 || pay_tenant_id_compare(sort[i].tenant, sort[i].id, sort[i - 1].tenant, sort[i - 1].id) != 0;
}

static void collect_orders(struct pay_batch *batch) {
    uint32_t count = sort_slice(batch, false);
    for (uint32_t i = 0; i < count; i++) {
        if (first_of_its_key(batch->sort, i))
            batch->orders[batch->order_count++] =
                (struct pay_batch_order){batch->sort[i].tenant, batch->sort[i].id, NULL};
        batch->order_of[batch->sort[i].record] = batch->order_count - 1;
    }
}

static void collect_accounts(struct pay_batch *batch) {
    uint32_t count = sort_slice(batch, true);
    for (uint32_t i = 0; i < count; i++) {
        if (first_of_its_key(batch->sort, i)) {
            struct pay_account *account = &batch->accounts[batch->account_count++];
            *account = (struct pay_account){.found = false};
            memcpy(account->tenant, batch->sort[i].tenant, strlen(batch->sort[i].tenant) + 1);
            memcpy(account->account_id, batch->sort[i].id, strlen(batch->sort[i].id) + 1);
        }
        batch->account_of[batch->sort[i].record] = batch->account_count - 1;
    }
}

void pay_batch_prepare(struct pay_batch *batch) {
    batch->order_count = batch->account_count = batch->known_count = batch->insert_count = batch->refusal_count = 0;
    batch->pool_used = 0;
    for (uint32_t i = batch->begin; i < batch->end; i++) {
        batch->order_of[i] = batch->account_of[i] = NO_INDEX;
        batch->refusal_of[i] = NULL;
    }
    collect_accounts(batch);
    collect_orders(batch);
}

struct pay_decision *pay_batch_add_known(struct pay_batch *batch, uint32_t order) {
    assert(order < batch->order_count);
    if (batch->known_count == PAY_BATCH_KNOWN_MAX) return NULL;
    batch->known_count++;
    struct pay_decision *decision = &batch->pool[batch->pool_used++];
    *decision = (struct pay_decision){.next = batch->orders[order].known};
    batch->orders[order].known = decision;
    return decision;
}

struct pay_refusal *pay_batch_add_refusal(struct pay_batch *batch, uint32_t record) {
    assert(record >= batch->begin && record < batch->end);
    assert(batch->refusal_of[record] == NULL);
    struct pay_refusal *refusal = &batch->refusals[batch->refusal_count++];
    *refusal = (struct pay_refusal){.position = batch->records[record].position};
    batch->refusal_of[record] = refusal;
    return refusal;
}

bool pay_batch_known_possible(const struct pay_batch *batch, uint32_t *ret_record) {
    for (uint32_t i = batch->begin; i < batch->end; i++) {
        if (batch->dropped[i] || batch->order_of[i] == NO_INDEX) continue;
        if (pay_known_possible(batch->orders[batch->order_of[i]].known)) continue;
        *ret_record = i;
        return false;
    }
    return true;
}

/* A new decision joins its order's list, so that a later record of the batch sees it, and waits to be inserted. */
static void keep_decision(struct pay_batch *batch, uint32_t record) {
    uint32_t order = batch->order_of[record];
    struct pay_decision *decision = &batch->pool[batch->pool_used++];
    *decision = batch->answers[record].decision;
    decision->next = batch->orders[order].known;
    batch->orders[order].known = decision;
    batch->inserts[batch->insert_count++] = (struct pay_batch_insert){record, order, decision};
}

static void keep_refusal(struct pay_batch *batch, uint32_t record) {
    const struct pay_answer *answer = &batch->answers[record];
    batch->refusals[batch->refusal_count++] =
        (struct pay_refusal){batch->records[record].position, answer->reason, answer->field, answer->decided_at_us};
}

static int compare_inserts(const void *a, const void *b) {
    const struct pay_batch_insert *left = a, *right = b;
    if (left->order != right->order) return left->order < right->order ? -1 : 1; /* orders are sorted by key */
    return left->decision->attempt - right->decision->attempt;
}

static int compare_refusals(const void *a, const void *b) {
    const struct pay_position *left = &((const struct pay_refusal *)a)->position,
                              *right = &((const struct pay_refusal *)b)->position;
    if (left->partition != right->partition) return left->partition < right->partition ? -1 : 1;
    return (left->offset > right->offset) - (left->offset < right->offset);
}

void pay_batch_decide(struct pay_batch *batch, int64_t decided_at_us) {
    static struct pay_account nobody; /* for records that need none; never changed: they are refused before */
    for (uint32_t i = batch->begin; i < batch->end; i++) {
        if (batch->dropped[i]) continue;
        bool valid = batch->records[i].invalid == PAY_REASON_NONE;
        const struct pay_decision *known = valid ? batch->orders[batch->order_of[i]].known : NULL;
        struct pay_account *account = valid ? &batch->accounts[batch->account_of[i]] : &nobody;
        enum pay_verdict verdict = pay_decide(&batch->records[i], known, account, decided_at_us, &batch->answers[i]);
        if (verdict == PAY_VERDICT_DECIDED) keep_decision(batch, i);
        if (verdict == PAY_VERDICT_REFUSED) keep_refusal(batch, i);
    }
    qsort(batch->inserts, batch->insert_count, sizeof batch->inserts[0], compare_inserts);
    qsort(batch->refusals, batch->refusal_count, sizeof batch->refusals[0], compare_refusals);
}

bool pay_batch_find_answers(struct pay_batch *batch, uint32_t *ret_record) {
    for (uint32_t i = batch->begin; i < batch->end; i++) {
        if (batch->dropped[i]) continue;
        const struct pay_decision *known =
            batch->order_of[i] == NO_INDEX ? NULL : batch->orders[batch->order_of[i]].known;
        if (!pay_answer_find(&batch->records[i], batch->refusal_of[i], known, &batch->answers[i])) {
            *ret_record = i;
            return false;
        }
    }
    return true;
}

void pay_batch_drop(struct pay_batch *batch, uint32_t record) {
    assert(record < batch->count);
    batch->dropped[record] = true;
}
