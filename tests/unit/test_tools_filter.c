/* Which replies `paybuf listen` lets through. */
#include "unit.h"

#include "core/outcome.h"
#include "tools/listen_filter.h"

#define REPLY                                                                                                          \
    "{\"schema\":1,\"tenant\":\"t\",\"order_id\":\"o-1\",\"attempt\":1,\"outcome\":\"paid\",\"reason\":null,"          \
    "\"duplicate\":false,\"account_id\":\"alice\",\"amount_minor\":10,\"currency\":\"EUR\","                           \
    "\"balance_after_minor\":90,\"account_version\":2,\"position\":\"1-2-0\",\"original\":\"1-2-0\","                  \
    "\"decided_at\":\"2026-11-21T19:06:50.341349Z\",\"stored\":null,\"metadata\":null}"

static bool wants(const struct listen_filter *filter) { return listen_filter_wants(filter, REPLY, sizeof REPLY - 1); }

static void every_condition_must_hold(void **state) {
    (void)state;
    unsigned declined, both;
    assert_true(listen_filter_outcomes("declined", &declined));
    assert_true(listen_filter_outcomes("declined,paid", &both));
    assert_true(wants(&(struct listen_filter){.tenant = NULL}));
    assert_true(wants(&(struct listen_filter){.tenant = "t", .account = "alice", .order = "o-1", .outcomes = both}));
    assert_false(wants(&(struct listen_filter){.tenant = "T"}));
    assert_false(wants(&(struct listen_filter){.account = "alice2"}));
    assert_false(wants(&(struct listen_filter){.tenant = "t", .order = "o"}));
    assert_false(wants(&(struct listen_filter){.account = "alice", .outcomes = declined}));
}

static void what_cannot_be_read_passes_no_filter_but_the_empty_one(void **state) {
    (void)state;
    assert_true(listen_filter_wants(&(struct listen_filter){.tenant = NULL}, "x", 1));
    assert_false(listen_filter_wants(&(struct listen_filter){.tenant = "t"}, "x", 1));
}

static void an_unknown_outcome_is_refused(void **state) {
    (void)state;
    unsigned outcomes;
    assert_false(listen_filter_outcomes("", &outcomes));
    assert_false(listen_filter_outcomes("paid,", &outcomes));
    assert_false(listen_filter_outcomes("payed", &outcomes));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_condition_must_hold),
        cmocka_unit_test(what_cannot_be_read_passes_no_filter_but_the_empty_one),
        cmocka_unit_test(an_unknown_outcome_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
