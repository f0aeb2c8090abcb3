/* The judge's look into the tables: rows against requests, accounts event by event. */
#include "asked.h"
#include "history.h"
#include "history_private.h"

#include <string.h>

/* ---- rows ---- */

static void judge_payment_row(struct history *history, const struct fake_payment *row) {
    const struct pay_decision *decision = &row->decision;
    const struct fake_record *record =
        history_request_at(history, decision->position.partition, decision->position.offset);
    struct asked asked = {0};
    if (record != NULL) asked_read(decision->position.partition, record, &asked);
    bool same = record != NULL && asked.invalid == NULL && strcmp(asked.tenant, row->tenant) == 0 &&
                strcmp(asked.order_id, row->order_id) == 0 && asked.attempt == decision->attempt &&
                strcmp(asked.account_id, decision->account_id) == 0 && asked.amount_minor == decision->amount_minor &&
                strcmp(asked.currency, decision->currency) == 0;
    if (!same)
        history_violate(history, "payment %s/%s/%d isn't what record 1-%d-%lld asked for", row->tenant, row->order_id,
                        decision->attempt, decision->position.partition, (long long)decision->position.offset);
    asked_forget(&asked);
}

static void judge_one_paid(struct history *history) {
    const struct fake_tables *tables = &history->database->tables;
    for (uint32_t i = 0; i < tables->payment_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const struct fake_payment *a = &tables->payments[i], *b = &tables->payments[j];
            if (strcmp(a->tenant, b->tenant) != 0 || strcmp(a->order_id, b->order_id) != 0) continue;
            if (a->decision.attempt == b->decision.attempt)
                history_violate(history, "two payments for %s/%s/%d", a->tenant, a->order_id, a->decision.attempt);
            if (a->decision.outcome == PAY_PAID && b->decision.outcome == PAY_PAID)
                history_violate(history, "order %s/%s was paid twice", a->tenant, a->order_id);
        }
    }
}

/* ---- accounts: from `open`, every event in version order ---- */

struct book {
    int64_t balance, floor;
    enum pay_account_state state;
};

static bool apply_adjustment(const struct fake_tables *tables, const struct pay_account *account, int64_t version,
                             struct book *book) {
    for (uint32_t i = 0; i < tables->adjustment_count; i++) {
        const struct fake_adjustment *row = &tables->adjustments[i];
        if (row->account_version != version || strcmp(row->account_id, account->account_id) != 0 ||
            strcmp(row->tenant, account->tenant) != 0)
            continue;
        if (strcmp(row->kind, "open") == 0 || strcmp(row->kind, "credit") == 0) book->balance += row->amount_minor;
        if (strcmp(row->kind, "debit") == 0) book->balance -= row->amount_minor;
        if (strcmp(row->kind, "freeze") == 0) book->state = PAY_ACCOUNT_STATE_FROZEN;
        if (strcmp(row->kind, "unfreeze") == 0) book->state = PAY_ACCOUNT_ACTIVE;
        if (strcmp(row->kind, "close") == 0) book->state = PAY_ACCOUNT_STATE_CLOSED;
        if (strcmp(row->kind, "floor") == 0) book->floor = row->amount_minor;
        return true;
    }
    return false;
}

static enum pay_reason judged_reason(const struct pay_account *account, const struct book *book,
                                     const struct pay_decision *decision) {
    if (book->state == PAY_ACCOUNT_STATE_CLOSED) return PAY_ACCOUNT_CLOSED;
    if (book->state == PAY_ACCOUNT_STATE_FROZEN) return PAY_ACCOUNT_FROZEN;
    if (strcmp(account->currency, decision->currency) != 0) return PAY_CURRENCY_MISMATCH;
    if (book->balance - decision->amount_minor < book->floor) return PAY_INSUFFICIENT_FUNDS;
    return PAY_REASON_NONE;
}

static uint32_t apply_decisions(struct history *history, const struct pay_account *account, int64_t version,
                                struct book *book) {
    const struct fake_tables *tables = &history->database->tables;
    uint32_t found = 0;
    for (uint32_t i = 0; i < tables->payment_count; i++) {
        const struct pay_decision *decision = &tables->payments[i].decision;
        if (!decision->has_account || decision->account_version != version ||
            strcmp(decision->account_id, account->account_id) != 0 ||
            strcmp(tables->payments[i].tenant, account->tenant) != 0)
            continue;
        found++;
        enum pay_reason reason = judged_reason(account, book, decision);
        if (reason == PAY_REASON_NONE) book->balance -= decision->amount_minor;
        bool right = decision->reason == reason &&
                     decision->outcome == (reason == PAY_REASON_NONE ? PAY_PAID : PAY_DECLINED) &&
                     decision->balance_after_minor == book->balance;
        if (!right)
            history_violate(history, "account %s, event %lld: order %s/%d doesn't follow from the events before it",
                            account->account_id, (long long)version, tables->payments[i].order_id, decision->attempt);
    }
    return found;
}

static void judge_account(struct history *history, const struct pay_account *account) {
    struct book book = {.floor = account->floor_minor, .state = PAY_ACCOUNT_ACTIVE};
    for (int64_t version = 1; version <= account->version; version++) {
        uint32_t events = apply_decisions(history, account, version, &book) +
                          apply_adjustment(&history->database->tables, account, version, &book);
        if (events != 1)
            history_violate(history, "account %s has %u events with version %lld", account->account_id, events,
                            (long long)version);
    }
    if (book.balance != account->balance_minor)
        history_violate(history, "account %s holds %lld, its events give %lld", account->account_id,
                        (long long)account->balance_minor, (long long)book.balance);
}

static void judge_unknown_accounts(struct history *history) {
    const struct fake_tables *tables = &history->database->tables;
    for (uint32_t i = 0; i < tables->payment_count; i++) {
        const struct pay_decision *decision = &tables->payments[i].decision;
        const struct pay_account *account =
            fake_database_account(history->database, tables->payments[i].tenant, decision->account_id);
        bool beyond = decision->has_account && (account == NULL || decision->account_version > account->version ||
                                                decision->account_version < 1);
        if (decision->has_account != (account != NULL) ||
            (!decision->has_account && decision->reason != PAY_UNKNOWN_ACCOUNT) || beyond)
            history_violate(history, "order %s/%d says of account %s what isn't so", tables->payments[i].order_id,
                            decision->attempt, decision->account_id);
    }
}

void history_judge_books(struct history *history) {
    const struct fake_tables *tables = &history->database->tables;
    for (uint32_t i = 0; i < tables->payment_count && !history_is_blind(history); i++)
        judge_payment_row(history, &tables->payments[i]);
    judge_one_paid(history);
    for (uint32_t i = 0; i < tables->account_count; i++) judge_account(history, &tables->accounts[i]);
    judge_unknown_accounts(history);
}
