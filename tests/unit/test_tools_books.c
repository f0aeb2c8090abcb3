/* The audit's books: one right life of an account, and each way it can be broken by hand. */
#include "unit.h"

#include "tools/audit_books.h"

/* What an account lived through; ids are the events' numbers. */
static const struct book_event life[] = {
    {"default", "alice", 0, "active", -50, true, 340, "EUR", NULL, "11", {0}}, /* the row: floor, balance, version */
    {"default", "alice", 1, "open", 1000, false, 0, NULL, NULL, "open:alice", {0}},
    {"default", "alice", 2, "paid", 600, true, 400, "EUR", NULL, "o-1#1", {0}},
    {"default", "alice", 3, "declined", 500, true, 400, "EUR", "insufficient_funds", "o-2#1", {0}},
    {"default", "alice", 4, "declined", 1, true, 400, "USD", "currency_mismatch", "o-3#1", {0}},
    {"default", "alice", 5, "freeze", 0, false, 0, NULL, NULL, "f", {0}},
    {"default", "alice", 6, "declined", 1, true, 400, "EUR", "account_frozen", "o-4#1", {0}},
    {"default", "alice", 7, "unfreeze", 0, false, 0, NULL, NULL, "u", {0}},
    {"default", "alice", 8, "floor", -50, false, 0, NULL, NULL, "fl", {0}},
    {"default", "alice", 9, "paid", 450, true, -50, "EUR", NULL, "o-5#1", {0}},
    {"default", "alice", 10, "credit", 400, false, 0, NULL, NULL, "c", {0}},
    {"default", "alice", 11, "debit", 10, false, 0, NULL, NULL, "d", {0}},
};
#define EVENTS (sizeof life / sizeof *life)

static struct differences differences;
static struct books books;

static void live(const struct book_event *events, size_t count) {
    memset(&differences, 0, sizeof differences);
    books_begin(&books, &differences);
    for (size_t i = 0; i < count; i++) books_take(&books, &events[i]);
    books_end(&books);
}

static void assert_found(const char *kind) {
    for (int64_t i = 0; i < differences.count && i < DIFFERENCES_LISTED; i++)
        if (strcmp(differences.listed[i].kind, kind) == 0) return;
    fail_msg("%s wasn't found among %d differences (%s)", kind, (int)differences.count,
             differences.count > 0 ? differences.listed[0].kind : "none");
}

static void a_right_life_has_no_difference(void **state) {
    (void)state;
    live(life, EVENTS);
    assert_int_equal(differences.count, 0);
    assert_int_equal(books.accounts, 1);
    assert_int_equal(books.events, EVENTS - 1);
}

/* Changes one event of a copy. */
#define BROKEN(index, change, kind)                                                                                    \
    do {                                                                                                               \
        struct book_event copy[EVENTS];                                                                                \
        memcpy(copy, life, sizeof life);                                                                               \
        struct book_event *event = &copy[index];                                                                       \
        change;                                                                                                        \
        live(copy, EVENTS);                                                                                            \
        assert_found(kind);                                                                                            \
    } while (0)

static void each_hand_broken_event_is_found(void **state) {
    (void)state;
    BROKEN(0, event->balance_minor++, "balance");
    BROKEN(0, event->amount_minor--, "floor");
    BROKEN(0, event->kind = "frozen", "account_state");
    BROKEN(0, event->kind = "dead", "account_state");
    BROKEN(0, event->id = "12", "account_version");
    BROKEN(0, event->amount_minor = 341, "below_floor");
    BROKEN(1, event->kind = "credit", "no_opening");
    BROKEN(2, event->balance_minor = 401, "balance_after");
    BROKEN(2, event->amount_minor = 599, "balance_after");
    BROKEN(2, event->has_balance = false, "balance_after");
    BROKEN(2, event->amount_minor = 2000, "wrong_decision");
    BROKEN(2, event->currency = "USD", "wrong_decision");
    BROKEN(3, event->kind = "paid", "wrong_decision");
    BROKEN(3, event->amount_minor = 400, "wrong_decision");
    BROKEN(4, event->reason = "insufficient_funds", "wrong_decision");
    BROKEN(6, event->reason = "account_closed", "wrong_decision");
    BROKEN(7, event->kind = "close", "wrong_decision");
    BROKEN(8, event->amount_minor = 0, "wrong_decision");
    BROKEN(8, event->amount_minor = 401, "below_floor");
    BROKEN(10, event->amount_minor = INT64_MAX, "balance");
    BROKEN(10, event->kind = "gift", "unknown_event");
    BROKEN(10, event->version = 12, "version_hole");
    BROKEN(10, event->version = 9, "version_twice");
    BROKEN(11, event->kind = "open", "second_opening");
}

static void a_missing_event_is_a_hole(void **state) {
    (void)state;
    struct book_event copy[EVENTS];
    memcpy(copy, life, sizeof life);
    memmove(&copy[5], &copy[6], (EVENTS - 6) * sizeof *copy);
    live(copy, EVENTS - 1);
    assert_found("version_hole");
}

static void events_without_an_account_and_accounts_without_events_are_found(void **state) {
    (void)state;
    live(life + 1, EVENTS - 1);
    assert_found("account_missing");
    assert_int_equal(differences.count, 1); /* once per account */
    live(life, 1);
    assert_found("account_version");
}

static void accounts_are_told_apart_by_tenant(void **state) {
    (void)state;
    struct book_event two[2 * EVENTS];
    memcpy(two, life, sizeof life);
    memcpy(two + EVENTS, life, sizeof life);
    for (size_t i = EVENTS; i < 2 * EVENTS; i++) two[i].tenant = "shop";
    live(two, 2 * EVENTS);
    assert_int_equal(differences.count, 0);
    assert_int_equal(books.accounts, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_life_has_no_difference),
        cmocka_unit_test(each_hand_broken_event_is_found),
        cmocka_unit_test(a_missing_event_is_a_hole),
        cmocka_unit_test(events_without_an_account_and_accounts_without_events_are_found),
        cmocka_unit_test(accounts_are_told_apart_by_tenant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
