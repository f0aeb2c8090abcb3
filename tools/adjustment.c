#include "tools/adjustment.h"

#include "core/money.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const names[ADJUST_KIND_COUNT] = {
    [ADJUST_OPEN] = "open",         [ADJUST_CREDIT] = "credit", [ADJUST_DEBIT] = "debit", [ADJUST_FREEZE] = "freeze",
    [ADJUST_UNFREEZE] = "unfreeze", [ADJUST_CLOSE] = "close",   [ADJUST_FLOOR] = "floor"};

const char *adjustment_kind_name(enum adjustment_kind kind) { return names[kind]; }

bool adjustment_kind_from_name(const char *name, enum adjustment_kind *ret_kind) {
    for (int i = 0; i < ADJUST_KIND_COUNT; i++)
        if (strcmp(names[i], name) == 0) return *ret_kind = (enum adjustment_kind)i, true;
    return false;
}

struct judging {
    const struct adjusted_account *before;
    struct adjusted_account *after;
    char *why;
    size_t why_size;
};

static enum adjustment_verdict add(const struct judging *judging, int64_t amount_minor) {
    if (judging->before->state == PAY_ACCOUNT_STATE_CLOSED) {
        snprintf(judging->why, judging->why_size, "the account is closed, and a closed account takes nothing in");
        return ADJUST_REFUSE;
    }
    if (!pay_money_add(judging->before->balance_minor, amount_minor, &judging->after->balance_minor)) {
        snprintf(judging->why, judging->why_size,
                 "the balance is %" PRId64 "; a larger one than %" PRId64 " can't be kept",
                 judging->before->balance_minor, INT64_MAX);
        return ADJUST_REFUSE;
    }
    return ADJUST_APPLY;
}

/* Also from a frozen or closed account: how else would what is left be paid out. */
static enum adjustment_verdict take(const struct judging *judging, int64_t amount_minor) {
    int64_t left;
    if (pay_money_subtract(judging->before->balance_minor, amount_minor, &left) &&
        left >= judging->before->floor_minor) {
        judging->after->balance_minor = left;
        return ADJUST_APPLY;
    }
    snprintf(judging->why, judging->why_size, "the balance is %" PRId64 " and may not fall below the floor, %" PRId64,
             judging->before->balance_minor, judging->before->floor_minor);
    return ADJUST_REFUSE;
}

static enum adjustment_verdict set_floor(const struct judging *judging, int64_t floor_minor) {
    if (judging->before->state == PAY_ACCOUNT_STATE_CLOSED) {
        snprintf(judging->why, judging->why_size, "the account is closed");
        return ADJUST_REFUSE;
    }
    if (floor_minor == judging->before->floor_minor) return ADJUST_NOTHING;
    if (floor_minor > judging->before->balance_minor) {
        snprintf(judging->why, judging->why_size,
                 "the balance is %" PRId64 ", a floor above it would be broken at once; top up first",
                 judging->before->balance_minor);
        return ADJUST_REFUSE;
    }
    judging->after->floor_minor = floor_minor;
    return ADJUST_APPLY;
}

static enum adjustment_verdict move_state(const struct judging *judging, enum pay_account_state to) {
    if (judging->before->state == to) return ADJUST_NOTHING;
    if (judging->before->state == PAY_ACCOUNT_STATE_CLOSED) {
        snprintf(judging->why, judging->why_size, "the account is closed, and closing is final; open another one");
        return ADJUST_REFUSE;
    }
    judging->after->state = to;
    return ADJUST_APPLY;
}

enum adjustment_verdict adjustment_judge(enum adjustment_kind kind, int64_t amount_minor,
                                         const struct adjusted_account *before, struct adjusted_account *ret_after,
                                         char *ret_why, size_t why_size) {
    const struct judging judging = {before, ret_after, ret_why, why_size};
    *ret_after = *before;
    ret_after->version++;
    switch (kind) {
    case ADJUST_CREDIT: return add(&judging, amount_minor);
    case ADJUST_DEBIT: return take(&judging, amount_minor);
    case ADJUST_FLOOR: return set_floor(&judging, amount_minor);
    case ADJUST_FREEZE: return move_state(&judging, PAY_ACCOUNT_STATE_FROZEN);
    case ADJUST_UNFREEZE: return move_state(&judging, PAY_ACCOUNT_ACTIVE);
    case ADJUST_CLOSE: return move_state(&judging, PAY_ACCOUNT_STATE_CLOSED);
    case ADJUST_OPEN:
    case ADJUST_KIND_COUNT: break;
    }
    assert(!"an opening is not judged here");
    return ADJUST_REFUSE;
}

bool adjustment_live(struct adjusted_account *account, enum adjustment_kind kind, int64_t amount_minor) {
    switch (kind) {
    case ADJUST_OPEN:
    case ADJUST_CREDIT: return pay_money_add(account->balance_minor, amount_minor, &account->balance_minor);
    case ADJUST_DEBIT: return pay_money_subtract(account->balance_minor, amount_minor, &account->balance_minor);
    case ADJUST_FLOOR: account->floor_minor = amount_minor; break;
    case ADJUST_FREEZE: account->state = PAY_ACCOUNT_STATE_FROZEN; break;
    case ADJUST_UNFREEZE: account->state = PAY_ACCOUNT_ACTIVE; break;
    case ADJUST_CLOSE: account->state = PAY_ACCOUNT_STATE_CLOSED; break;
    case ADJUST_KIND_COUNT: break;
    }
    return true;
}
