/* test_auth.c - the file of API keys, the comparison, and the token buckets. */
#include "producer/auth.h"
#include "temp_file.h"

/* SHA-256 of the texts key-1 and key-2. */
#define ONE "be2974546978e3739e6d6da85c4be9f334ce32df2b9fd4b6ff1b55c0d57e9d44"
#define TWO "7c36b0a9dedde119c75165957c6c9c187e65df1ee5db87c4c58ad503ad88cbe3"
#define SECOND_US 1000000

static struct temp_file file;
static char message[512];
static struct pay_auth *auth;
static struct pay_caller caller;

static int begin(void **state) {
    (void)state;
    auth = NULL;
    message[0] = '\0';
    memset(&caller, 0, sizeof caller);
    return 0;
}

static int end(void **state) {
    (void)state;
    pay_auth_close(auth);
    temp_file_remove(&file);
    return 0;
}

static bool open_keys(const char *text) {
    temp_file_write(&file, text);
    auth = pay_auth_open(file.path, message, sizeof message);
    return auth != NULL;
}

static void a_key_is_found_by_its_text_and_nothing_near_it(void **state) {
    (void)state;
    assert_true(open_keys("# a comment\n\n  shop acme pay,read " ONE "\r\n\tback office admin " TWO "\n"));
    assert_int_equal(pay_auth_count(auth), 2);
    assert_true(pay_auth_find(auth, "Bearer key-1", &caller));
    assert_string_equal(caller.tenant, "acme");
    assert_int_equal(caller.scopes, PAY_SCOPE_PAY | PAY_SCOPE_READ);
    assert_null(caller.quota);
    assert_true(pay_auth_find(auth, "bearer   key-2", &caller));
    assert_string_equal(caller.tenant, "office");
    assert_int_equal(caller.scopes, PAY_SCOPE_ALL);
    static const char *const wrong[] = {
        "Bearer key-3", "Bearer key-1 ", "Bearer key-", "Bearer ", "Bearer", "key-1", "", "Basic key-1", "Bearer " ONE};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_false(pay_auth_find(auth, wrong[i], &caller));
    assert_false(pay_auth_find(auth, NULL, &caller));
}

static void a_file_that_is_wrong_says_where_and_why(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "no key"},
        {"# only this\n", "no key"},
        {"a b pay\n", "line 1: a line is"},
        {"a b pay " ONE "\nc d pay " ONE "\n", "line 2: this key was given before"},
        {"a b pay " ONE "\na b pay " TWO "\n", "line 2: this name was given before"},
        {"a b pays " ONE "\n", "the scopes are"},
        {"a b , " ONE "\n", "the scopes are missing"},
        {"a b pay be29\n", "64 hexadecimal"},
        {"a b pay x" ONE "\n", "64 hexadecimal"},
        {"a/ b pay " ONE "\n", "the name must be"},
        {"a b/ pay " ONE "\n", "the tenant must be"},
        {"a b pay " ONE " rate=0\n", "from 1"},
        {"a b pay " ONE " rate=\n", "only rate=N"},
        {"a b pay " ONE " rate=1x\n", "only rate=N"},
        {"a b pay " ONE " speed=1\n", "only rate=N"},
        {"a b pay " ONE " burst=1\n", "burst needs a rate"},
        {"a b pay " ONE " rate=1 burst=2 rate=3\n", "too many words"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(open_keys(cases[i][0]));
        if (strstr(message, cases[i][1]) == NULL) fail_msg("case %zu: %s", i, message);
        assert_non_null(strstr(message, file.path));
    }
    unlink(file.path);
    assert_null(pay_auth_open(file.path, message, sizeof message));
    assert_non_null(strstr(message, "No such file"));
}

static void a_reload_takes_away_and_adds(void **state) {
    (void)state;
    assert_true(open_keys("a b pay " ONE "\n"));
    temp_file_write(&file, "a b pay " TWO "\n");
    assert_true(pay_auth_reload(auth, message, sizeof message));
    assert_false(pay_auth_find(auth, "Bearer key-1", &caller));
    assert_true(pay_auth_find(auth, "Bearer key-2", &caller));
}

static void a_reload_that_fails_changes_nothing(void **state) {
    (void)state;
    assert_true(open_keys("a b pay " ONE "\n"));
    temp_file_write(&file, "a b pay " TWO "\nnonsense\n");
    assert_false(pay_auth_reload(auth, message, sizeof message));
    assert_true(pay_auth_find(auth, "Bearer key-1", &caller));
    assert_false(pay_auth_find(auth, "Bearer key-2", &caller));
}

static void a_bucket_gives_its_burst_and_then_its_rate(void **state) {
    (void)state;
    int64_t now_us = 5 * SECOND_US;
    assert_true(open_keys("a b pay " ONE " rate=10 burst=3\n"));
    assert_true(pay_auth_find(auth, "Bearer key-1", &caller));
    for (int i = 0; i < 3; i++) assert_true(pay_quota_take(caller.quota, now_us, NULL));
    assert_false(pay_quota_take(caller.quota, now_us, NULL));
    assert_false(pay_quota_take(caller.quota, now_us + SECOND_US / 10 - 1, NULL));
    assert_true(pay_quota_take(caller.quota, now_us + SECOND_US / 10, NULL));
    int taken = 0;
    for (int64_t us = SECOND_US; us < 11 * SECOND_US;
         us += SECOND_US / 100) /* ten seconds, asked a hundred times each */
        taken += pay_quota_take(caller.quota, now_us + us, NULL);
    assert_in_range(taken, 100, 103);
}

static void a_bucket_says_how_it_stands(void **state) {
    (void)state;
    struct pay_quota_state stands;
    assert_true(open_keys("a b pay " ONE " rate=2 burst=10\n"));
    assert_true(pay_auth_find(auth, "Bearer key-1", &caller));
    assert_true(pay_quota_take(caller.quota, SECOND_US, &stands));
    assert_int_equal(stands.limit, 10);
    assert_int_equal(stands.left, 9);
    assert_int_equal(stands.rate, 2);
    assert_int_equal(stands.reset_s, 1);
    for (int i = 0; i < 9; i++) pay_quota_take(caller.quota, SECOND_US, &stands);
    assert_false(pay_quota_take(caller.quota, SECOND_US, &stands));
    assert_int_equal(stands.left, 0);
    assert_int_equal(stands.reset_s, 5);
}

static void without_a_rate_there_is_no_end(void **state) {
    (void)state;
    for (int i = 0; i < 1000; i++) assert_true(pay_quota_take(NULL, 1, NULL));
}

static void a_long_silence_fills_the_bucket_and_not_more(void **state) {
    (void)state;
    struct pay_quota_state stands;
    assert_true(open_keys("a b pay " ONE " rate=1000000 burst=1000000\n"));
    assert_true(pay_auth_find(auth, "Bearer key-1", &caller));
    assert_true(pay_quota_take(caller.quota, SECOND_US, &stands));
    assert_true(pay_quota_take(caller.quota, INT64_MAX / 4, &stands));
    assert_int_equal(stands.left, 999999);
}

static void a_bucket_that_runs_over_is_only_full(void **state) {
    (void)state;
    struct pay_quota_state stands;
    assert_true(open_keys("a b pay " ONE " rate=10 burst=3\n"));
    assert_true(pay_auth_find(auth, "Bearer key-1", &caller));
    assert_true(pay_quota_take(caller.quota, SECOND_US, NULL));
    assert_true(pay_quota_take(caller.quota, SECOND_US + SECOND_US / 5, &stands)); /* two came in for the one taken */
    assert_int_equal(stands.left, 2);
}

static void a_reload_keeps_what_is_used_up_and_what_callers_hold(void **state) {
    (void)state;
    struct pay_caller gone;
    assert_true(open_keys("a b pay " ONE " rate=1\nc d pay " TWO " rate=5\n"));
    assert_true(pay_auth_find(auth, "Bearer key-1", &caller));
    assert_true(pay_auth_find(auth, "Bearer key-2", &gone));
    assert_true(pay_quota_take(caller.quota, SECOND_US, NULL));
    temp_file_write(&file, "a b pay " ONE " rate=1\n");
    assert_true(pay_auth_reload(auth, message, sizeof message));
    assert_false(pay_quota_take(caller.quota, SECOND_US, NULL));
    assert_true(pay_auth_find(auth, "Bearer key-1", &caller));
    assert_false(pay_quota_take(caller.quota, SECOND_US, NULL));
    assert_true(pay_quota_take(gone.quota, SECOND_US, NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_found_by_its_text_and_nothing_near_it),
        TEST(a_file_that_is_wrong_says_where_and_why),
        TEST(a_reload_takes_away_and_adds),
        TEST(a_reload_that_fails_changes_nothing),
        TEST(a_bucket_gives_its_burst_and_then_its_rate),
        TEST(a_bucket_says_how_it_stands),
        TEST(without_a_rate_there_is_no_end),
        TEST(a_long_silence_fills_the_bucket_and_not_more),
        TEST(a_bucket_that_runs_over_is_only_full),
        TEST(a_reload_keeps_what_is_used_up_and_what_callers_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
