/*
 * replay_life.h - lives accounts again, and decides the selected payments anew on the way, with the core's own pay_decide.
 *
 * The events of every account come in the order of (tenant, account, version): what isn't selected counts as the rows have it, what
 * is selected is a case: decided from its request's bytes by the account as it stands then, and compared field by field with its row.
 * The replayed decision goes on: if it comes out otherwise, so do those behind it that depend on its money.
 *
 * Sequence: replay_life_begin; replay_life_case and replay_life_event in key order, a case before the event of the same version;
 * the event of a row that was a case is passed over.
 * A hole in the versions (rows that are missing) is told once; the account goes on as the next row has it.
 * Pure. Memory: plain struct. Threads: one.
 */
#ifndef PAY_TOOLS_REPLAY_LIFE_H
#define PAY_TOOLS_REPLAY_LIFE_H

#include "core/decide.h"
#include "tools/audit_books.h"

#define REPLAY_LOWER_MAX 99

/* A record to be decided again. */
struct replay_case {
    struct pay_record record;
    bool has_stored;
    struct pay_decision stored;                  /* its own row */
    uint32_t lower_count;                        /* decisions on file about lower attempts of its order */
    struct pay_decision lower[REPLAY_LOWER_MAX]; /* attempt and outcome only */
    bool elsewhere; /* only says: the row at this position isn't an event of this account */
};

/* One field of one decision that would come out otherwise. */
struct replay_difference {
    const struct pay_record *record;
    const char *field;
    char stored[80], replayed[80];
    char why[200];
};
typedef void (*replay_difference_fn)(void *argument, const struct replay_difference *difference);

#define REPLAY_PASSED_MAX 8

struct replay_life {
    replay_difference_fn told;
    void *argument;
    int64_t differing; /* cases */
    int64_t decided;   /* cases */
    char row_currency[PAY_CURRENCY_LENGTH + 1];
    struct pay_account account;                    /* as it is lived */
    struct pay_position passed[REPLAY_PASSED_MAX]; /* of the last cases: their rows come right behind them */
    size_t passed_count;
};

void replay_life_begin(struct replay_life *life, replay_difference_fn told, void *argument);
void replay_life_case(struct replay_life *life, const struct replay_case *one);
void replay_life_event(struct replay_life *life, const struct book_event *event);

/* Tells one difference that has nothing to do with accounts. NULL texts: nothing there. */
void replay_tell(struct replay_life *life, const struct pay_record *record, const char *field, const char *stored,
                 const char *replayed, const char *why);

#endif
