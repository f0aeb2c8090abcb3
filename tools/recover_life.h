/*
 * recover_life.h - lives an account on with the decisions that listeners were told, from where an older database stands.
 *
 * Sequence, per account: life_begin; life_take per told event, in the order of its versions; life->account is what the row must
 * become. Each told decision must be the one that state, currency, floor and balance of its moment ask for (the core judges), and
 * must leave the balance that was told.
 *
 * A hole before a told version is filled, so that versions stay 1..n and every told balance holds:
 *   1. with untold requests: decided before the loss, never answered, still in the request log behind the last told one. When some
 *      of them make up the hole exactly, they were what is missing, or nobody can tell the difference: they move the same money, and
 *      nobody was told. They are stored as decided, at their own positions; their lane answers them when it comes there.
 *   2. with adjustments that are lost with the database: what was told says how much money and which state they must have made.
 * What no filling explains is a contradiction, in words.
 *
 * Pure: no I/O. Memory: life_free. Threads: one.
 */
#ifndef PAY_TOOLS_RECOVER_LIFE_H
#define PAY_TOOLS_RECOVER_LIFE_H

#include "core/decide.h"
#include "tools/adjustment.h"

#define LIFE_HOLE_MAX                                                                                                  \
    65536 /* versions in one hole: more than all lanes of a worker can have unanswered for one account */

/* A decision as it was told. */
struct life_event {
    int64_t version;
    bool paid;
    enum pay_reason reason; /* of a decline */
    const char *currency;
    int64_t amount_minor;
    int64_t balance_after_minor;
    int64_t decided_at_ms;
};

/* A request behind the last told one of its partition that would be decided, and not refused or known. */
struct life_untold {
    struct pay_position position;
    char order_id[PAY_ID_MAX + 1];
    char currency[PAY_CURRENCY_LENGTH + 1];
    int32_t attempt;
    int64_t amount_minor;
    int64_t appended_at_ms; /* the broker's clock, brought to the database's: not decided before */
    int64_t told_until; /* version of the account's last told event in this partition: not decided before that one */
    bool used;
};

/* What fills one version of a hole. */
struct life_step {
    int64_t version;
    const struct life_untold *untold; /* NULL: an adjustment */
    struct pay_decision decision;     /* of an untold request */
    enum adjustment_kind kind;
    int64_t amount_minor;
    const char *note; /* of an adjustment */
};

struct life {
    struct adjusted_account account;
    bool found;                 /* has a row or, by now, an opening */
    struct life_untold *untold; /* by partition, then offset; the caller's */
    size_t untold_count;
    struct life_step *steps; /* of the last life_take */
    size_t step_count, step_capacity;
    char why[256]; /* the contradiction */
};

/* `row` NULL: the database has no such account. The arrays of `life` are kept for the next account. */
void life_begin(struct life *life, const struct adjusted_account *row, struct life_untold *untold, size_t untold_count);
/* False: a contradiction, life->why; the account stands as it was told all the same, so that one fault is told once. */
bool life_take(struct life *life, const struct life_event *event);
void life_free(struct life *life);

#endif
