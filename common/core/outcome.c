#include "core/outcome.h"

#include <string.h>

static const char *const outcome_names[PAY_OUTCOME_COUNT] = {
    [PAY_PAID] = "paid", [PAY_DECLINED] = "declined", [PAY_CONFLICT] = "conflict", [PAY_INVALID] = "invalid"};

static const char *const reason_names[PAY_REASON_COUNT] = {[PAY_UNKNOWN_ACCOUNT] = "unknown_account",
                                                           [PAY_ACCOUNT_CLOSED] = "account_closed",
                                                           [PAY_ACCOUNT_FROZEN] = "account_frozen",
                                                           [PAY_CURRENCY_MISMATCH] = "currency_mismatch",
                                                           [PAY_INSUFFICIENT_FUNDS] = "insufficient_funds",
                                                           [PAY_ACCOUNT_ID_DIFFERS] = "account_id_differs",
                                                           [PAY_AMOUNT_MINOR_DIFFERS] = "amount_minor_differs",
                                                           [PAY_CURRENCY_DIFFERS] = "currency_differs",
                                                           [PAY_ALREADY_PAID] = "already_paid",
                                                           [PAY_TOO_LARGE] = "too_large",
                                                           [PAY_MALFORMED_JSON] = "malformed_json",
                                                           [PAY_BAD_FIELD] = "bad_field",
                                                           [PAY_BAD_TENANT] = "bad_tenant",
                                                           [PAY_KEY_MISMATCH] = "key_mismatch",
                                                           [PAY_ATTEMPT_OUT_OF_SEQUENCE] = "attempt_out_of_sequence"};

static const char *const field_names[PAY_FIELD_COUNT] = {
    [PAY_FIELD_ORDER_ID] = "order_id",         [PAY_FIELD_ATTEMPT] = "attempt",   [PAY_FIELD_ACCOUNT_ID] = "account_id",
    [PAY_FIELD_AMOUNT_MINOR] = "amount_minor", [PAY_FIELD_CURRENCY] = "currency", [PAY_FIELD_METADATA] = "metadata"};

static const char *const account_state_names[PAY_ACCOUNT_STATE_COUNT] = {
    [PAY_ACCOUNT_ACTIVE] = "active", [PAY_ACCOUNT_STATE_FROZEN] = "frozen", [PAY_ACCOUNT_STATE_CLOSED] = "closed"};

static const struct {
    const char *name;
    const char *hint;
} halts[PAY_HALT_COUNT] = {
    [PAY_HALT_DATABASE_ROLLED_BACK] = {"database_rolled_back",
                                       "replies are in the log for requests that the database hasn't settled: it lost "
                                       "commits (an older backup, a failover); see docs/halts.md"},
    [PAY_HALT_LOG_TRUNCATED] = {"log_truncated", "the request log ends before what was settled from it; check the "
                                                 "broker's data and unclean elections; see docs/halts.md"},
    [PAY_HALT_LOG_REPLACED] = {"log_replaced", "the record at the anchor is another one: the request topic was deleted "
                                               "and re-created, or restored; see docs/halts.md"},
    [PAY_HALT_REQUESTS_LOST] = {"requests_lost", "the request log starts above the first unsettled offset: retention "
                                                 "deleted accepted requests; see docs/halts.md"},
    [PAY_HALT_REPLIES_LOST] = {"replies_lost", "the first unanswered request is no longer in the request log, so its "
                                               "reply can't be made again; see docs/halts.md"},
    [PAY_HALT_REPLY_LOG_TRUNCATED] = {"reply_log_truncated",
                                      "the reply log ends before an acknowledged reply; check the broker's data and "
                                      "unclean elections; see docs/halts.md"},
    [PAY_HALT_FOREIGN_LEDGER] = {"foreign_ledger", "the reply log holds replies of another ledger: this database isn't "
                                                   "the one that belongs to these topics; see docs/halts.md"},
    [PAY_HALT_OTHER_GROUP] = {"other_group", "the partition belongs to another consumer group; start the worker with "
                                             "that group, or move it by name; see docs/halts.md"},
    [PAY_HALT_OTHER_CLUSTER] =
        {"other_cluster",
         "the partition belongs to another Kafka cluster; point the worker at that one; see docs/halts.md"},
    [PAY_HALT_POISON] = {"poison", "the database refuses one record's decision again and again; the log names its "
                                   "position and the error; see docs/halts.md"},
    [PAY_HALT_BROKEN_INVARIANT] = {
        "broken_invariant",
        "a settled record has no reason on file: rows were deleted or changed by hand; see docs/halts.md"}};

const char *pay_outcome_name(enum pay_outcome outcome) { return outcome_names[outcome]; }
const char *pay_reason_name(enum pay_reason reason) { return reason_names[reason]; }
const char *pay_field_name(enum pay_field field) { return field_names[field]; }
const char *pay_account_state_name(enum pay_account_state state) { return account_state_names[state]; }
const char *pay_halt_name(enum pay_halt halt) { return halts[halt].name; }
const char *pay_halt_hint(enum pay_halt halt) { return halts[halt].hint; }

static bool same(const char *name, const char *text, size_t length) {
    return name != NULL && strlen(name) == length && memcmp(name, text, length) == 0;
}

bool pay_outcome_from_name(const char *name, size_t length, enum pay_outcome *ret_outcome) {
    for (int i = 0; i < PAY_OUTCOME_COUNT; i++)
        if (same(outcome_names[i], name, length)) return *ret_outcome = (enum pay_outcome)i, true;
    return false;
}

bool pay_reason_from_name(const char *name, size_t length, enum pay_reason *ret_reason) {
    for (int i = 0; i < PAY_REASON_COUNT; i++)
        if (same(reason_names[i], name, length)) return *ret_reason = (enum pay_reason)i, true;
    return false;
}

bool pay_field_from_name(const char *name, size_t length, enum pay_field *ret_field) {
    for (int i = 0; i < PAY_FIELD_COUNT; i++)
        if (same(field_names[i], name, length)) return *ret_field = (enum pay_field)i, true;
    return false;
}

bool pay_account_state_from_name(const char *name, size_t length, enum pay_account_state *ret_state) {
    for (int i = 0; i < PAY_ACCOUNT_STATE_COUNT; i++)
        if (same(account_state_names[i], name, length)) return *ret_state = (enum pay_account_state)i, true;
    return false;
}

bool pay_halt_from_name(const char *name, size_t length, enum pay_halt *ret_halt) {
    for (int i = 0; i < PAY_HALT_COUNT; i++)
        if (same(halts[i].name, name, length)) return *ret_halt = (enum pay_halt)i, true;
    return false;
}
