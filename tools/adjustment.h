/*
 * adjustment.h - what an adjustment makes of an account: the pure part, without SQL.
 *
 * `open` carries the opening amount, credit adds, debit takes, `floor` sets the floor; freeze, unfreeze and close move the state.
 * Memory: plain values. Threads: any.
 */
#ifndef PAY_TOOLS_ADJUSTMENT_H
#define PAY_TOOLS_ADJUSTMENT_H

#include "core/outcome.h"
#include "core/request.h"

enum adjustment_kind {
    ADJUST_OPEN,
    ADJUST_CREDIT,
    ADJUST_DEBIT,
    ADJUST_FREEZE,
    ADJUST_UNFREEZE,
    ADJUST_CLOSE,
    ADJUST_FLOOR,
    ADJUST_KIND_COUNT
};

const char *adjustment_kind_name(enum adjustment_kind kind);
bool adjustment_kind_from_name(const char *name, enum adjustment_kind *ret_kind);

struct adjusted_account {
    char currency[PAY_CURRENCY_LENGTH + 1];
    int64_t balance_minor;
    int64_t floor_minor;
    enum pay_account_state state;
    int64_t version;
};

enum adjustment_verdict {
    ADJUST_APPLY,   /* *ret_after is the account with its next version */
    ADJUST_NOTHING, /* the account is so already */
    ADJUST_REFUSE   /* *ret_why says why */
};

/* Judges every kind but ADJUST_OPEN. */
enum adjustment_verdict adjustment_judge(enum adjustment_kind kind, int64_t amount_minor,
                                         const struct adjusted_account *before, struct adjusted_account *ret_after,
                                         char *ret_why, size_t why_size);

/* An adjustment on file, as it was made: the account's version isn't touched. False: the balance can't be kept in 64 bits. */
bool adjustment_live(struct adjusted_account *account, enum adjustment_kind kind, int64_t amount_minor);

#endif
