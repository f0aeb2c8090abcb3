/*
 * decide.h - the one place where a payment's fate is chosen.
 *
 * Promises (each is a test in tests/unit/test_decide.c):
 *   1. Total: every (request, known decisions, account) gives exactly one verdict.
 *   2. An identity on file never debits again, whatever the message says now.
 *   3. Same identity, same fields: the stored decision comes back, declines included.
 *   4. Same identity, other fields: conflict, naming the first field that differs.
 *   5. A lower attempt that is paid stops every later attempt: conflict already_paid.
 *   6. Attempt n > 1 without attempt n-1 on file: invalid attempt_out_of_sequence, nothing stored but the refusal.
 *   7. paid only when balance - amount stays at or above the floor, without overflow.
 *   8. Every decision that saw an account takes its next version; unknown_account takes none.
 *
 * Not here: parsing (codec), SQL (ledger_pg), retries (retry), time.
 * Memory: allocates nothing, keeps nothing. Threads: any.
 */
#ifndef PAY_CORE_DECIDE_H
#define PAY_CORE_DECIDE_H

#include "core/request.h"

/* A row of `payment`: the stored decision about one identity. */
struct pay_decision {
    int32_t attempt;
    char account_id[PAY_ID_MAX + 1];
    char currency[PAY_CURRENCY_LENGTH + 1];
    int64_t amount_minor;
    enum pay_outcome outcome; /* PAY_PAID or PAY_DECLINED */
    enum pay_reason reason;
    bool has_account; /* false for unknown_account: balance and version are null */
    int64_t balance_after_minor;
    int64_t account_version;
    struct pay_position position; /* of the record that was decided */
    int64_t decided_at_us;        /* microseconds since 1970, the deciding transaction's now() */
    struct pay_decision *next;    /* the order's next decision on file, any order of attempts */
};

/* A row of `refusal`: why one record was answered invalid. */
struct pay_refusal {
    struct pay_position position;
    enum pay_reason code;
    enum pay_field field;
    int64_t decided_at_us;
};

/* An account as locked by this transaction, changed by each decision in turn. */
struct pay_account {
    char tenant[PAY_ID_MAX + 1];
    char account_id[PAY_ID_MAX + 1];
    char currency[PAY_CURRENCY_LENGTH + 1];
    bool found;
    enum pay_account_state state;
    int64_t balance_minor;
    int64_t floor_minor;
    int64_t version;
    uint64_t row_handle; /* the ledger adapter's own (the row's ctid); core never looks */
    bool changed;        /* a decision moved version or balance: it must be written */
};

/* What a reply says: built from the record and from stored rows only, so it can be made again, the same, at any time. */
struct pay_answer {
    enum pay_outcome outcome;
    enum pay_reason reason;
    enum pay_field field; /* for bad_field */
    bool duplicate;
    bool has_decision; /* `decision` is: own or stored for paid/declined, the one in the way for conflict */
    struct pay_decision decision;
    int64_t decided_at_us;
};

enum pay_verdict {
    PAY_VERDICT_STORED,  /* *ret_answer comes from a decision on file: nothing to write */
    PAY_VERDICT_DECIDED, /* answer->decision is new: a payment row to insert; `account` has moved with it */
    PAY_VERDICT_REFUSED  /* a refusal row to insert */
};

/*
 * Decides `record`, given every decision on file for its (tenant, order_id) (list, NULL when none; for a record whose bytes
 * are invalid it isn't looked at) and its account as locked (never NULL; found = false when there is none).
 * Changes `account` (balance, version, changed) exactly when the verdict is DECIDED and it was found.
 */
enum pay_verdict pay_decide(const struct pay_record *record, const struct pay_decision *known,
                            struct pay_account *account, int64_t decided_at_us, struct pay_answer *ret_answer);

/* The record that a decision on file was made of, as far as its row knows: without metadata and traceparent, checksum and time. */
void pay_record_from_decision(const char *tenant, const char *order_id, const struct pay_decision *decision,
                              struct pay_record *ret_record);

/* The answer that a decision on file gives to a record with its identity: own, duplicate or conflict. */
void pay_answer_from_decision(const struct pay_record *record, const struct pay_decision *stored,
                              struct pay_answer *ret_answer);
/* conflict already_paid, with that payment in the way. */
void pay_answer_already_paid(const struct pay_decision *paid, struct pay_answer *ret_answer);
void pay_answer_from_refusal(enum pay_reason code, enum pay_field field, int64_t decided_at_us,
                             struct pay_answer *ret_answer);

/* The decision about `attempt`; NULL when not on file. */
const struct pay_decision *pay_known_attempt(const struct pay_decision *known, int32_t attempt);
/* A paid decision about an attempt below `attempt`; NULL when none. */
const struct pay_decision *pay_known_paid_below(const struct pay_decision *known, int32_t attempt);
/* False: one of them lies where no record can. No worker writes such a row, and nothing may be answered or decided by it. */
bool pay_known_possible(const struct pay_decision *known);

#endif
