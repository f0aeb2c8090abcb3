/* core_values.h - short ways to write requests, records, decisions, accounts in the core's tests, and to compare answers. */
#ifndef PAY_TESTS_UNIT_CORE_VALUES_H
#define PAY_TESTS_UNIT_CORE_VALUES_H

#include "tests/unit/unit.h"

#include "core/decide.h"

static inline void put_text(char *to, size_t capacity, const char *text) {
    size_t length = strlen(text);
    assert_true(length < capacity);
    memset(to, 0, capacity);
    memcpy(to, text, length);
}

/* A valid record of tenant "t" with key = order_id at 1-0-offset. */
static inline struct pay_record a_record(int64_t offset, const char *order_id, int32_t attempt, const char *account_id,
                                         int64_t amount_minor, const char *currency) {
    struct pay_record record = {.position = {1, 0, offset}, .timestamp_ms = 1700000000000 + offset};
    put_text(record.tenant, sizeof record.tenant, "t");
    put_text(record.key, sizeof record.key, order_id);
    put_text(record.request.tenant, sizeof record.request.tenant, "t");
    put_text(record.request.order_id, sizeof record.request.order_id, order_id);
    put_text(record.request.account_id, sizeof record.request.account_id, account_id);
    put_text(record.request.currency, sizeof record.request.currency, currency);
    record.request.attempt = attempt;
    record.request.amount_minor = amount_minor;
    return record;
}

static inline struct pay_record an_invalid_record(int64_t offset, enum pay_reason reason, enum pay_field field) {
    return (struct pay_record){.position = {1, 0, offset}, .invalid = reason, .invalid_field = field};
}

/* The decision that is on file once `record` was decided so. */
static inline struct pay_decision a_decision(const struct pay_record *record, enum pay_outcome outcome,
                                             enum pay_reason reason) {
    struct pay_decision decision = {.attempt = record->request.attempt,
                                    .amount_minor = record->request.amount_minor,
                                    .outcome = outcome,
                                    .reason = reason,
                                    .has_account = reason != PAY_UNKNOWN_ACCOUNT,
                                    .balance_after_minor = reason != PAY_UNKNOWN_ACCOUNT ? 1000 : 0,
                                    .account_version = reason != PAY_UNKNOWN_ACCOUNT ? 7 : 0,
                                    .position = record->position,
                                    .decided_at_us = 1600000000000000 + record->position.offset};
    put_text(decision.account_id, sizeof decision.account_id, record->request.account_id);
    put_text(decision.currency, sizeof decision.currency, record->request.currency);
    return decision;
}

static inline struct pay_account an_account(const char *account_id, int64_t balance_minor) {
    struct pay_account account = {.found = true, .balance_minor = balance_minor, .version = 1};
    put_text(account.tenant, sizeof account.tenant, "t");
    put_text(account.account_id, sizeof account.account_id, account_id);
    put_text(account.currency, sizeof account.currency, "EUR");
    return account;
}

static inline void assert_same_decision(const struct pay_decision *a, const struct pay_decision *b) {
    assert_int_equal(a->attempt, b->attempt);
    assert_string_equal(a->account_id, b->account_id);
    assert_string_equal(a->currency, b->currency);
    assert_true(a->amount_minor == b->amount_minor);
    assert_int_equal(a->outcome, b->outcome);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->has_account, b->has_account);
    assert_true(a->balance_after_minor == b->balance_after_minor);
    assert_true(a->account_version == b->account_version);
    assert_true(pay_position_equal(&a->position, &b->position));
    assert_true(a->decided_at_us == b->decided_at_us);
}

static inline void assert_same_answer(const struct pay_answer *a, const struct pay_answer *b) {
    assert_int_equal(a->outcome, b->outcome);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->field, b->field);
    assert_int_equal(a->duplicate, b->duplicate);
    assert_true(a->decided_at_us == b->decided_at_us);
    assert_int_equal(a->has_decision, b->has_decision);
    if (a->has_decision) assert_same_decision(&a->decision, &b->decision);
}

#endif
