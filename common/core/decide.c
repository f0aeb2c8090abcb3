#include "core/decide.h"

#include "core/money.h"

#include <assert.h>
#include <string.h>

const struct pay_decision *pay_known_attempt(const struct pay_decision *known, int32_t attempt) {
    for (; known != NULL; known = known->next)
        if (known->attempt == attempt) return known;
    return NULL;
}

const struct pay_decision *pay_known_paid_below(const struct pay_decision *known, int32_t attempt) {
    for (; known != NULL; known = known->next)
        if (known->attempt < attempt && known->outcome == PAY_PAID) return known;
    return NULL;
}

bool pay_known_possible(const struct pay_decision *known) {
    for (; known != NULL; known = known->next)
        if (!pay_position_possible(&known->position)) return false;
    return true;
}

static enum pay_reason first_difference(const struct pay_request *request, const struct pay_decision *stored) {
    if (strcmp(request->account_id, stored->account_id) != 0) return PAY_ACCOUNT_ID_DIFFERS;
    if (request->amount_minor != stored->amount_minor) return PAY_AMOUNT_MINOR_DIFFERS;
    if (strcmp(request->currency, stored->currency) != 0) return PAY_CURRENCY_DIFFERS;
    return PAY_REASON_NONE;
}

static void answer_conflict(enum pay_reason reason, const struct pay_decision *in_the_way,
                            struct pay_answer *ret_answer) {
    *ret_answer = (struct pay_answer){.outcome = PAY_CONFLICT,
                                      .reason = reason,
                                      .has_decision = true,
                                      .decision = *in_the_way,
                                      .decided_at_us = in_the_way->decided_at_us};
    ret_answer->decision.next = NULL;
}

void pay_record_from_decision(const char *tenant, const char *order_id, const struct pay_decision *decision,
                              struct pay_record *ret_record) {
    *ret_record = (struct pay_record){.position = decision->position, .invalid = PAY_REASON_NONE};
    struct pay_request *request = &ret_record->request;
    assert(strlen(tenant) <= PAY_ID_MAX && strlen(order_id) <= PAY_ID_MAX);
    memcpy(ret_record->tenant, tenant, strlen(tenant) + 1);
    memcpy(ret_record->key, order_id, strlen(order_id) + 1);
    memcpy(request->tenant, tenant, strlen(tenant) + 1);
    memcpy(request->order_id, order_id, strlen(order_id) + 1);
    memcpy(request->account_id, decision->account_id, sizeof request->account_id);
    memcpy(request->currency, decision->currency, sizeof request->currency);
    request->attempt = decision->attempt;
    request->amount_minor = decision->amount_minor;
}

void pay_answer_from_decision(const struct pay_record *record, const struct pay_decision *stored,
                              struct pay_answer *ret_answer) {
    enum pay_reason difference = first_difference(&record->request, stored);
    if (difference != PAY_REASON_NONE) {
        answer_conflict(difference, stored, ret_answer);
        return;
    }
    *ret_answer = (struct pay_answer){.outcome = stored->outcome,
                                      .reason = stored->reason,
                                      .duplicate = !pay_position_equal(&stored->position, &record->position),
                                      .has_decision = true,
                                      .decision = *stored,
                                      .decided_at_us = stored->decided_at_us};
    ret_answer->decision.next = NULL;
}

void pay_answer_already_paid(const struct pay_decision *paid, struct pay_answer *ret_answer) {
    answer_conflict(PAY_ALREADY_PAID, paid, ret_answer);
}

void pay_answer_from_refusal(enum pay_reason code, enum pay_field field, int64_t decided_at_us,
                             struct pay_answer *ret_answer) {
    *ret_answer =
        (struct pay_answer){.outcome = PAY_INVALID, .reason = code, .field = field, .decided_at_us = decided_at_us};
}

/* The account's part of a first sight, judged in the contract's order; the balance it leaves goes to *ret_balance. */
static enum pay_reason judge_account(const struct pay_request *request, const struct pay_account *account,
                                     int64_t *ret_balance) {
    int64_t after;
    *ret_balance = account->balance_minor;
    if (account->state == PAY_ACCOUNT_STATE_CLOSED) return PAY_ACCOUNT_CLOSED;
    if (account->state == PAY_ACCOUNT_STATE_FROZEN) return PAY_ACCOUNT_FROZEN;
    if (strcmp(request->currency, account->currency) != 0) return PAY_CURRENCY_MISMATCH;
    if (!pay_money_subtract(account->balance_minor, request->amount_minor, &after) || after < account->floor_minor)
        return PAY_INSUFFICIENT_FUNDS;
    *ret_balance = after;
    return PAY_REASON_NONE;
}

static void decide_first_sight(const struct pay_record *record, struct pay_account *account, int64_t decided_at_us,
                               struct pay_answer *ret_answer) {
    const struct pay_request *request = &record->request;
    struct pay_decision decision = {.attempt = request->attempt,
                                    .amount_minor = request->amount_minor,
                                    .outcome = PAY_DECLINED,
                                    .reason = PAY_UNKNOWN_ACCOUNT,
                                    .position = record->position,
                                    .decided_at_us = decided_at_us};
    memcpy(decision.account_id, request->account_id, sizeof decision.account_id);
    memcpy(decision.currency, request->currency, sizeof decision.currency);
    if (account->found) {
        decision.has_account = true;
        decision.reason = judge_account(request, account, &decision.balance_after_minor);
        decision.outcome = decision.reason == PAY_REASON_NONE ? PAY_PAID : PAY_DECLINED;
        decision.account_version = account->version + 1;
        account->balance_minor = decision.balance_after_minor;
        account->version = decision.account_version;
        account->changed = true;
    }
    *ret_answer = (struct pay_answer){.outcome = decision.outcome,
                                      .reason = decision.reason,
                                      .has_decision = true,
                                      .decision = decision,
                                      .decided_at_us = decided_at_us};
}

enum pay_verdict pay_decide(const struct pay_record *record, const struct pay_decision *known,
                            struct pay_account *account, int64_t decided_at_us, struct pay_answer *ret_answer) {
    if (record->invalid != PAY_REASON_NONE) {
        pay_answer_from_refusal(record->invalid, record->invalid_field, decided_at_us, ret_answer);
        return PAY_VERDICT_REFUSED;
    }
    int32_t attempt = record->request.attempt;
    const struct pay_decision *stored = pay_known_attempt(known, attempt);
    if (stored != NULL) {
        pay_answer_from_decision(record, stored, ret_answer);
        return PAY_VERDICT_STORED;
    }
    const struct pay_decision *paid = pay_known_paid_below(known, attempt);
    if (paid != NULL) {
        pay_answer_already_paid(paid, ret_answer);
        return PAY_VERDICT_STORED;
    }
    if (attempt > 1 && pay_known_attempt(known, attempt - 1) == NULL) {
        pay_answer_from_refusal(PAY_ATTEMPT_OUT_OF_SEQUENCE, PAY_FIELD_NONE, decided_at_us, ret_answer);
        return PAY_VERDICT_REFUSED;
    }
    decide_first_sight(record, account, decided_at_us, ret_answer);
    return PAY_VERDICT_DECIDED;
}
