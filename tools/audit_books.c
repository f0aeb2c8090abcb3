#include "tools/audit_books.h"

#include "core/money.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void books_begin(struct books *books, struct differences *differences) {
    *books = (struct books){.differences = differences};
}

static const char *account_name(const struct books *books, char name[2 * PAY_ID_MAX + 2]) {
    snprintf(name, 2 * PAY_ID_MAX + 2, "%s/%s", books->tenant, books->account_id);
    return name;
}

#define DIFFERENCE(books, kind, ...)                                                                                   \
    do {                                                                                                               \
        char name[2 * PAY_ID_MAX + 2];                                                                                 \
        difference_add((books)->differences, kind, account_name(books, name), __VA_ARGS__);                            \
    } while (0)

/* ---- the end of an account ---- */

static void compare_end(struct books *books) {
    const struct adjusted_account *row = &books->row, *lived = &books->lived;
    if (row->version != lived->version)
        DIFFERENCE(books, "account_version", "version is %" PRId64 ", its events end at %" PRId64, row->version,
                   lived->version);
    if (row->balance_minor != lived->balance_minor)
        DIFFERENCE(books, "balance", "balance is %" PRId64 ", its events give %" PRId64, row->balance_minor,
                   lived->balance_minor);
    if (row->floor_minor != lived->floor_minor)
        DIFFERENCE(books, "floor", "floor is %" PRId64 ", its events give %" PRId64, row->floor_minor,
                   lived->floor_minor);
    if (row->state != lived->state)
        DIFFERENCE(books, "account_state", "state is %s, its events give %s", pay_account_state_name(row->state),
                   pay_account_state_name(lived->state));
    if (row->balance_minor < row->floor_minor)
        DIFFERENCE(books, "below_floor", "balance %" PRId64 " is below the floor, %" PRId64, row->balance_minor,
                   row->floor_minor);
}

void books_end(struct books *books) {
    if (books->has_row) compare_end(books);
    books->has_row = false;
}

/* ---- its beginning ---- */

static bool same_account(const struct books *books, const struct book_event *event) {
    return strcmp(books->tenant, event->tenant) == 0 && strcmp(books->account_id, event->account_id) == 0;
}

static void begin_account(struct books *books, const struct book_event *event) {
    books_end(books);
    snprintf(books->tenant, sizeof books->tenant, "%s", event->tenant);
    snprintf(books->account_id, sizeof books->account_id, "%s", event->account_id);
    books->lived = (struct adjusted_account){.state = PAY_ACCOUNT_ACTIVE};
    books->row = books->lived;
    books->accounts++;
}

static void take_row(struct books *books, const struct book_event *event) {
    books->has_row = true;
    books->row.floor_minor = event->amount_minor;
    books->row.balance_minor = event->balance_minor;
    books->row.version = strtoll(event->id, NULL, 10);
    snprintf(books->row.currency, sizeof books->row.currency, "%s", event->currency);
    if (!pay_account_state_from_name(event->kind, strlen(event->kind), &books->row.state))
        DIFFERENCE(books, "account_state", "'%s' is no state", event->kind);
}

/* ---- decisions ---- */

/* What the account of that moment answers to this payment; its own words, not the core's: a shared error would hide. */
static const char *due_reason(const struct books *books, const struct book_event *event) {
    int64_t left;
    if (books->lived.state == PAY_ACCOUNT_STATE_CLOSED) return "account_closed";
    if (books->lived.state == PAY_ACCOUNT_STATE_FROZEN) return "account_frozen";
    if (strcmp(books->row.currency, event->currency) != 0) return "currency_mismatch";
    if (!pay_money_subtract(books->lived.balance_minor, event->amount_minor, &left) || left < books->lived.floor_minor)
        return "insufficient_funds";
    return NULL;
}

static void take_decision(struct books *books, const struct book_event *event, bool paid) {
    const char *due = due_reason(books, event), *reason = event->reason != NULL ? event->reason : "";
    if (paid && due != NULL)
        DIFFERENCE(books, "wrong_decision", "version %" PRId64 ", order %s: paid, but %s was due", event->version,
                   event->id, due);
    if (!paid && (due == NULL || strcmp(due, reason) != 0))
        DIFFERENCE(books, "wrong_decision", "version %" PRId64 ", order %s: declined %s, but %s was due",
                   event->version, event->id, reason, due != NULL ? due : "paid");
    if (paid && !pay_money_subtract(books->lived.balance_minor, event->amount_minor, &books->lived.balance_minor))
        DIFFERENCE(books, "balance", "version %" PRId64 ": the balance can't be kept in 64 bits", event->version);
    if (!event->has_balance || event->balance_minor != books->lived.balance_minor)
        DIFFERENCE(books, "balance_after",
                   "version %" PRId64 ", order %s: balance_after_minor is %" PRId64 ", the events give %" PRId64,
                   event->version, event->id, event->balance_minor, books->lived.balance_minor);
    if (event->has_balance)
        books->lived.balance_minor = event->balance_minor; /* one fault is told once, not with every later event */
}

/* ---- adjustments ---- */

static void take_adjustment(struct books *books, const struct book_event *event, enum adjustment_kind kind) {
    if (kind == ADJUST_OPEN && event->version != 1)
        DIFFERENCE(books, "second_opening", "version %" PRId64 " opens it again (%s)", event->version, event->id);
    if (!adjustment_live(&books->lived, kind, event->amount_minor))
        DIFFERENCE(books, "balance", "version %" PRId64 ": the balance can't be kept in 64 bits", event->version);
}

/* ---- events ---- */

static void check_version(struct books *books, const struct book_event *event) {
    int64_t due = books->lived.version + 1;
    if (event->version != due)
        DIFFERENCE(books, event->version < due ? "version_twice" : "version_hole",
                   "version %" PRId64 " (%s %s) where %" PRId64 " was due", event->version, event->kind, event->id,
                   due);
    if (event->version == 1 && strcmp(event->kind, "open") != 0)
        DIFFERENCE(books, "no_opening", "version 1 is %s %s, not an opening", event->kind, event->id);
    books->lived.version = event->version;
}

void books_take(struct books *books, const struct book_event *event) {
    enum adjustment_kind kind;
    if (books->accounts == 0 || !same_account(books, event)) begin_account(books, event);
    if (event->version == 0) {
        take_row(books, event);
        return;
    }
    books->events++;
    if (!books->has_row) {
        if (books->events > 0 && books->lived.version == 0)
            DIFFERENCE(books, "account_missing", "%s %s has no account", event->kind, event->id);
        books->lived.version = event->version;
        return;
    }
    check_version(books, event);
    if (strcmp(event->kind, "paid") == 0 || strcmp(event->kind, "declined") == 0)
        take_decision(books, event, event->kind[0] == 'p');
    else if (adjustment_kind_from_name(event->kind, &kind))
        take_adjustment(books, event, kind);
    else
        DIFFERENCE(books, "unknown_event", "version %" PRId64 " is a '%s'", event->version, event->kind);
    if (books->lived.balance_minor < books->lived.floor_minor)
        DIFFERENCE(books, "below_floor", "version %" PRId64 " leaves %" PRId64 ", below the floor %" PRId64,
                   event->version, books->lived.balance_minor, books->lived.floor_minor);
}
