/* What an adjustment makes of an account, and a line of `account import`. */
#include "unit.h"

#include "tools/account_lines.h"
#include "tools/adjustment.h"

static const struct adjusted_account active = {"EUR", 1000, -200, PAY_ACCOUNT_ACTIVE, 7};
static struct adjusted_account after;
static char why[256];

static enum adjustment_verdict judge(enum adjustment_kind kind, int64_t amount_minor,
                                     const struct adjusted_account *before) {
    return adjustment_judge(kind, amount_minor, before, &after, why, sizeof why);
}

static void money_comes_and_goes_with_the_next_version(void **state) {
    (void)state;
    assert_int_equal(judge(ADJUST_CREDIT, 50, &active), ADJUST_APPLY);
    assert_int_equal(after.balance_minor, 1050);
    assert_int_equal(after.version, 8);
    assert_int_equal(judge(ADJUST_DEBIT, 1200, &active), ADJUST_APPLY);
    assert_int_equal(after.balance_minor, -200);
    assert_int_equal(judge(ADJUST_DEBIT, 1201, &active), ADJUST_REFUSE);
}

static void nothing_wraps(void **state) {
    (void)state;
    struct adjusted_account full = active, empty = active;
    full.balance_minor = INT64_MAX;
    empty.balance_minor = empty.floor_minor = INT64_MIN;
    assert_int_equal(judge(ADJUST_CREDIT, 1, &full), ADJUST_REFUSE);
    assert_int_equal(judge(ADJUST_DEBIT, 1, &empty), ADJUST_REFUSE);
}

static void a_floor_is_at_most_the_balance(void **state) {
    (void)state;
    assert_int_equal(judge(ADJUST_FLOOR, 1000, &active), ADJUST_APPLY);
    assert_int_equal(after.floor_minor, 1000);
    assert_int_equal(judge(ADJUST_FLOOR, 1001, &active), ADJUST_REFUSE);
    assert_int_equal(judge(ADJUST_FLOOR, -200, &active), ADJUST_NOTHING);
}

static void states_move_and_closing_is_final(void **state) {
    (void)state;
    struct adjusted_account frozen = active, closed = active;
    assert_int_equal(judge(ADJUST_FREEZE, 0, &active), ADJUST_APPLY);
    assert_int_equal(after.state, PAY_ACCOUNT_STATE_FROZEN);
    frozen.state = PAY_ACCOUNT_STATE_FROZEN;
    assert_int_equal(judge(ADJUST_FREEZE, 0, &frozen), ADJUST_NOTHING);
    assert_int_equal(judge(ADJUST_UNFREEZE, 0, &frozen), ADJUST_APPLY);
    assert_int_equal(judge(ADJUST_UNFREEZE, 0, &active), ADJUST_NOTHING);
    assert_int_equal(judge(ADJUST_CLOSE, 0, &frozen), ADJUST_APPLY);
    closed.state = PAY_ACCOUNT_STATE_CLOSED;
    assert_int_equal(judge(ADJUST_CLOSE, 0, &closed), ADJUST_NOTHING);
    assert_int_equal(judge(ADJUST_UNFREEZE, 0, &closed), ADJUST_REFUSE);
    assert_int_equal(judge(ADJUST_FREEZE, 0, &closed), ADJUST_REFUSE);
    assert_int_equal(judge(ADJUST_CREDIT, 1, &closed), ADJUST_REFUSE);
    assert_int_equal(judge(ADJUST_FLOOR, 0, &closed), ADJUST_REFUSE);
    assert_int_equal(judge(ADJUST_DEBIT, 1000, &closed), ADJUST_APPLY); /* what is left is paid out */
}

static void every_kind_has_its_name(void **state) {
    (void)state;
    for (int i = 0; i < ADJUST_KIND_COUNT; i++) {
        enum adjustment_kind kind;
        assert_true(adjustment_kind_from_name(adjustment_kind_name((enum adjustment_kind)i), &kind));
        assert_int_equal(kind, i);
    }
}

static struct opening opening;
static bool parse(const char *line) { return account_line_parse(line, strlen(line), &opening, why, sizeof why); }

static void a_line_has_the_members_of_account_open(void **state) {
    (void)state;
    assert_true(parse("{\"account_id\":\"alice\",\"currency\":\"EUR\"}"));
    assert_string_equal(opening.tenant, "default");
    assert_string_equal(opening.adjustment_id, "");
    assert_int_equal(opening.opening_minor, 0);
    assert_true(parse("{\"account\":\"alice\",\"currency\":\"EUR\",\"tenant\":\"shop\",\"floor_minor\":-5,\"opening_"
                      "minor\":7,\"id\":\"x:1\"}\n"));
    assert_string_equal(opening.tenant, "shop");
    assert_string_equal(opening.adjustment_id, "x:1");
    assert_int_equal(opening.floor_minor, -5);
    assert_int_equal(opening.opening_minor, 7);
    assert_true(parse("{\"account_id\":\"alice\",\"currency\":\"EUR\",\"tenant\":null}"));
}

static void a_wrong_line_says_what_is_wrong(void **state) {
    (void)state;
    static const struct {
        const char *line, *part;
    } wrong[] = {
        {"alice EUR", "no JSON object"},
        {"[1]", "no JSON object"},
        {"{\"account_id\":\"alice\"}", "required"},
        {"{\"currency\":\"EUR\"}", "required"},
        {"{\"account_id\":\"al ice\",\"currency\":\"EUR\"}", "account_id"},
        {"{\"account_id\":\"alice\",\"currency\":\"eur\"}", "currency"},
        {"{\"account_id\":\"alice\",\"currency\":\"EUR\",\"opening_minor\":-1}", "opening_minor"},
        {"{\"account_id\":\"alice\",\"currency\":\"EUR\",\"opening_minor\":1.0}", "opening_minor"},
        {"{\"account_id\":\"alice\",\"currency\":\"EUR\",\"opening_minor\":\"1\"}", "opening_minor"},
        {"{\"account_id\":\"alice\",\"currency\":\"EUR\",\"floor_minor\":1}", "above the opening"},
        {"{\"account_id\":\"alice\",\"currency\":\"EUR\",\"flor_minor\":-1}", "no member"},
        {"{\"account_id\":\"alice\",\"currency\":\"EUR\",\"currency\":\"EUR\"}", "no JSON object"},
        {"{\"account_id\":\"alice\",\"currency\":\"EUR\",\"id\":\"a b\"}", "\"id\""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(parse(wrong[i].line));
        if (strstr(why, wrong[i].part) == NULL) fail_msg("%s: '%s'", wrong[i].line, why);
    }
}

/* jansson steps over a NUL that follows a number or a word. */
static void a_line_with_a_zero_byte_is_refused(void **state) {
    (void)state;
    static const char line[] = "{\"account_id\":\"alice\",\"currency\":\"EUR\",\"opening_minor\":1\0}";
    assert_false(account_line_parse(line, sizeof line - 1, &opening, why, sizeof why));
    assert_non_null(strstr(why, "zero byte"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(money_comes_and_goes_with_the_next_version),
        cmocka_unit_test(nothing_wraps),
        cmocka_unit_test(a_floor_is_at_most_the_balance),
        cmocka_unit_test(states_move_and_closing_is_final),
        cmocka_unit_test(every_kind_has_its_name),
        cmocka_unit_test(a_line_has_the_members_of_account_open),
        cmocka_unit_test(a_wrong_line_says_what_is_wrong),
        cmocka_unit_test(a_line_with_a_zero_byte_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
