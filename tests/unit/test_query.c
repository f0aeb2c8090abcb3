/* Query parameters, and the words of the two routes that have them. */
#include "tests/unit/unit.h"

#include "producer/query.h"
#include "producer/result_filter.h"

static const char *const names[] = {"attempt", "position", NULL};

static struct pay_query query;

/* name, value, ..., NULL */
static const char *take(const char *const *pairs) {
    pay_query_begin(&query, names);
    for (size_t i = 0; pairs[i] != NULL; i += 2) pay_query_take(&query, pairs[i], pairs[i + 1]);
    return query.wrong;
}

static void values_are_decoded_and_found_by_name(void **unused) {
    (void)unused;
    assert_null(take((const char *[]){"position", "1%2D3-4", "attempt", "2", NULL}));
    assert_string_equal(query.values[0], "2");
    assert_string_equal(query.values[1], "1-3-4");
    assert_null(take((const char *[]){NULL}));
    assert_null(query.values[0]);
}

static void what_is_unknown_doubled_or_empty_is_refused(void **unused) {
    (void)unused;
    assert_string_equal(take((const char *[]){"atempt", "2", NULL}), "The query parameter atempt isn't known here.");
    assert_non_null(take((const char *[]){"attempt", "2", "attempt", "2", NULL}));
    assert_non_null(take((const char *[]){"attempt", "", NULL}));
    assert_non_null(take((const char *[]){"attempt", "%0", NULL}));
    assert_non_null(take((const char *[]){"attempt", "1%00", NULL}));
    pay_query_begin(&query, names);
    pay_query_take(&query, "attempt", NULL);
    assert_non_null(query.wrong);
}

static void the_first_rule_broken_is_the_one_that_is_said(void **unused) {
    (void)unused;
    assert_string_equal(take((const char *[]){"a", "1", "attempt", "%", NULL}),
                        "The query parameter a isn't known here.");
}

static void a_value_that_doesnt_fit_is_refused(void **unused) {
    (void)unused;
    static char longest[PAY_QUERY_TEXT_MAX + 1];
    memset(longest, 'x', PAY_QUERY_TEXT_MAX);
    assert_non_null(take((const char *[]){"attempt", longest, NULL}));
    longest[PAY_QUERY_TEXT_MAX - 3] = '\0';
    assert_null(take((const char *[]){"attempt", longest, NULL}));
    pay_query_take(&query, "position", "1");
    assert_null(query.wrong);
}

static void a_number_is_decimal_and_in_its_bounds(void **unused) {
    (void)unused;
    long number = 7;
    assert_true(pay_query_number("1", 1, 30, &number) && number == 1);
    assert_true(pay_query_number("30", 1, 30, &number) && number == 30);
    static const char *const wrong[] = {"0", "31", "+1", "-1", "01", "1.0", "1 ", "", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_false(pay_query_number(wrong[i], 1, 30, &number));
}

static void outcomes_are_a_list_of_words(void **unused) {
    (void)unused;
    uint32_t outcomes;
    assert_true(pay_result_outcomes_parse("paid", &outcomes) && outcomes == 1u << PAY_PAID);
    assert_true(pay_result_outcomes_parse("invalid,paid", &outcomes) &&
                outcomes == (1u << PAY_PAID | 1u << PAY_INVALID));
    static const char *const wrong[] = {"", "payed", "paid,", ",paid", "paid declined", "PAID"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(pay_result_outcomes_parse(wrong[i], &outcomes));
}

static void a_filter_shows_its_tenants_results_only(void **unused) {
    (void)unused;
    static const char reply[] = "{\"schema\":1,\"tenant\":\"acme\",\"order_id\":\"o\",\"attempt\":1,\"outcome\":"
                                "\"paid\",\"reason\":null,\"duplicate\":false,"
                                "\"account_id\":\"alice\",\"amount_minor\":1,\"currency\":\"EUR\",\"balance_after_"
                                "minor\":1,\"account_version\":2,"
                                "\"position\":\"1-0-0\",\"original\":\"1-0-0\",\"decided_at\":\"2026-11-21T12:00:00."
                                "000000Z\",\"stored\":null,\"metadata\":null}";
    struct pay_result_facts facts;
    pay_result_facts_read(reply, sizeof reply - 1, &facts);
    assert_false(facts.odd);
    struct pay_result_filter filter = {.tenant = "acme"};
    assert_true(pay_result_filter_fits(&filter, &facts));
    filter.outcomes = 1u << PAY_DECLINED;
    assert_false(pay_result_filter_fits(&filter, &facts));
    filter.outcomes |= 1u << PAY_PAID;
    strcpy(filter.account_id, "alice");
    assert_true(pay_result_filter_fits(&filter, &facts));
    strcpy(filter.account_id, "bob");
    assert_false(pay_result_filter_fits(&filter, &facts));
    filter = (struct pay_result_filter){.tenant = "other"};
    assert_false(pay_result_filter_fits(&filter, &facts));
}

static void what_isnt_one_line_of_reply_is_shown_to_nobody(void **unused) {
    (void)unused;
    struct pay_result_facts facts;
    const struct pay_result_filter filter = {.tenant = ""};
    static const char *const odd[] = {"", "{}", "{\"schema\":1}\ndata: {}", "not JSON"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        pay_result_facts_read(odd[i], strlen(odd[i]), &facts);
        assert_true(facts.odd);
        assert_false(pay_result_filter_fits(&filter, &facts));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_decoded_and_found_by_name),
        cmocka_unit_test(what_is_unknown_doubled_or_empty_is_refused),
        cmocka_unit_test(the_first_rule_broken_is_the_one_that_is_said),
        cmocka_unit_test(a_value_that_doesnt_fit_is_refused),
        cmocka_unit_test(a_number_is_decimal_and_in_its_bounds),
        cmocka_unit_test(outcomes_are_a_list_of_words),
        cmocka_unit_test(a_filter_shows_its_tenants_results_only),
        cmocka_unit_test(what_isnt_one_line_of_reply_is_shown_to_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
