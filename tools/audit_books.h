/*
 * audit_books.h - lives every account again, event by event, and compares each balance, each decision and the end.
 *
 * Per account: versions 1..n without holes, the first one `open`; each balance_after follows from the one before; each decision is
 * the one that state, currency, floor and balance of that moment ask for; no balance below its floor; at the end the account's row.
 * Pure: the events come from the caller, in the order of (tenant, account, version). Memory: plain struct. Threads: one.
 */
#ifndef PAY_TOOLS_AUDIT_BOOKS_H
#define PAY_TOOLS_AUDIT_BOOKS_H

#include "core/position.h"
#include "core/request.h"
#include "tools/adjustment.h"
#include "tools/audit_differences.h"

struct book_event {
    const char *tenant, *account_id;
    int64_t version;      /* 0: the account's row itself */
    const char *kind;     /* adjustment kind, "paid", "declined"; for the row its state */
    int64_t amount_minor; /* for the row its floor */
    bool has_balance;
    int64_t balance_minor; /* of a decision: after it; of the row: now */
    const char *currency;  /* NULL for adjustments */
    const char *reason;
    const char *id;               /* order#attempt or adjustment id; for the row its version */
    struct pay_position position; /* of a decision's record; generation 0 for the others */
};

struct books {
    struct differences *differences;
    int64_t accounts, events;
    bool has_row;
    char tenant[PAY_ID_MAX + 1], account_id[PAY_ID_MAX + 1];
    struct adjusted_account row;   /* as the table has it */
    struct adjusted_account lived; /* as the events make it */
};

void books_begin(struct books *books, struct differences *differences);
void books_take(struct books *books, const struct book_event *event);
/* After the last event. */
void books_end(struct books *books);

#endif
