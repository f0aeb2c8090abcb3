/* test_order_token.c - issued order ids: their form, their order, and who may use them how long. */
#include "core/request.h"
#include "producer/order_token.h"
#include "temp_file.h"

#include <stdlib.h>

#define FIRST "0123456789abcdef0123456789abcdef\n"
#define SECOND "fedcba9876543210fedcba9876543210\n"
#define DAY_US 86400000000LL
#define NOW_US (1800000000LL * 1000000)

static struct temp_file file;
static char message[512], id[PAY_ID_MAX + 1];
static struct pay_order_tokens *tokens;

static int begin(void **state) {
    (void)state;
    tokens = NULL;
    return 0;
}

static int end(void **state) {
    (void)state;
    pay_order_tokens_close(tokens);
    temp_file_remove(&file);
    return 0;
}

static void open_secrets(const char *text) {
    temp_file_write(&file, text);
    tokens = pay_order_tokens_open(file.path, 30, message, sizeof message);
    if (tokens == NULL) fail_msg("%s", message);
}

static enum pay_token_verdict judge(const char *tenant, int64_t now_us) {
    return pay_order_token_judge(tokens, tenant, id, now_us);
}

static void without_a_secret_an_id_is_a_uuid_of_version_7(void **state) {
    (void)state;
    pay_order_id_make(NULL, "acme", NOW_US, id);
    assert_int_equal(strlen(id), PAY_UUID_LENGTH);
    assert_int_equal(strspn(id, "0123456789abcdef-"), PAY_UUID_LENGTH);
    assert_int_equal(id[14], '7');
    assert_non_null(strchr("89ab", id[19]));
    char time[14] = {0};
    memcpy(time, id, 8);
    memcpy(time + 8, id + 9, 4);
    assert_int_equal(strtoll(time, NULL, 16), NOW_US / 1000);
}

static void ids_rise_even_when_the_clock_doesnt(void **state) {
    (void)state;
    char last[PAY_ID_MAX + 1] = "";
    for (int64_t i = 0; i < 20000; i++) {
        pay_order_id_make(NULL, "acme", NOW_US - i, id);
        assert_true(strcmp(last, id) < 0);
        strcpy(last, id);
    }
}

static void an_id_with_its_token_is_an_order_id_and_good_for_its_tenant(void **state) {
    (void)state;
    open_secrets(FIRST);
    pay_order_id_make(tokens, "acme", NOW_US, id);
    assert_true(pay_id_valid(id, strlen(id)));
    assert_int_equal(judge("acme", NOW_US), PAY_TOKEN_GOOD);
    assert_int_equal(judge("acmf", NOW_US), PAY_TOKEN_WRONG);
    assert_int_equal(judge("acm", NOW_US), PAY_TOKEN_WRONG);
}

static void every_issued_id_is_a_valid_order_id(void **state) {
    (void)state;
    open_secrets(FIRST);
    for (int i = 0; i < 2000; i++) {
        pay_order_id_make(tokens, "acme", NOW_US, id);
        if (!pay_id_valid(id, strlen(id))) fail_msg("%s", id);
    }
}

static void a_changed_id_is_wrong_at_every_place(void **state) {
    (void)state;
    open_secrets(FIRST);
    pay_order_id_make(tokens, "acme", NOW_US, id);
    for (size_t i = 0; id[i] != '\0'; i++) {
        char kept = id[i];
        id[i] = kept == 'a' ? 'b' : 'a';
        assert_int_not_equal(judge("acme", NOW_US), PAY_TOKEN_GOOD);
        id[i] = kept;
    }
    assert_int_equal(judge("acme", NOW_US), PAY_TOKEN_GOOD);
}

static void an_id_that_never_was_issued_has_no_token(void **state) {
    (void)state;
    static const char *const others[] = {"",
                                         "o-1",
                                         "018f0000-0000-7000-8000-000000000000",
                                         "018f0000-0000-7000-8000-000000000000.",
                                         "018f0000x0000-7000-8000-000000000000.AAAAAAAAAAAAAAAAAAAAAA",
                                         "................................................................"};
    open_secrets(FIRST);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        strcpy(id, others[i]);
        assert_int_equal(judge("acme", NOW_US), PAY_TOKEN_NONE);
    }
}

static void a_token_ends_after_its_days_and_not_before(void **state) {
    (void)state;
    open_secrets(FIRST);
    pay_order_id_make(tokens, "acme", NOW_US + DAY_US, id); /* other tests have used earlier milliseconds up */
    assert_int_equal(judge("acme", NOW_US + 31 * DAY_US), PAY_TOKEN_GOOD);
    assert_int_equal(judge("acme", NOW_US + 31 * DAY_US + 60000000), PAY_TOKEN_EXPIRED);
    assert_int_equal(judge("other", NOW_US + 32 * DAY_US), PAY_TOKEN_WRONG);
}

static void a_new_secret_signs_and_the_old_one_is_still_good(void **state) {
    (void)state;
    open_secrets(FIRST);
    pay_order_id_make(tokens, "acme", NOW_US, id);
    temp_file_write(&file, SECOND FIRST);
    assert_true(pay_order_tokens_reload(tokens, message, sizeof message));
    assert_int_equal(judge("acme", NOW_US), PAY_TOKEN_GOOD);
    temp_file_write(&file, SECOND);
    assert_true(pay_order_tokens_reload(tokens, message, sizeof message));
    assert_int_equal(judge("acme", NOW_US), PAY_TOKEN_WRONG);
}

static void a_file_that_is_wrong_says_why_and_changes_nothing(void **state) {
    (void)state;
    static const char *const files[][2] = {
        {"", "no secret"}, {"short\n", "at least 32"}, {FIRST "short\n", "at least 32"}, {"\n\n", "no secret"}};
    open_secrets(FIRST);
    pay_order_id_make(tokens, "acme", NOW_US, id);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        temp_file_write(&file, files[i][0]);
        assert_false(pay_order_tokens_reload(tokens, message, sizeof message));
        assert_non_null(strstr(message, files[i][1]));
        assert_int_equal(judge("acme", NOW_US), PAY_TOKEN_GOOD);
    }
    unlink(file.path);
    assert_null(pay_order_tokens_open(file.path, 30, message, sizeof message));
    assert_non_null(strstr(message, "No such file"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(without_a_secret_an_id_is_a_uuid_of_version_7),
        TEST(ids_rise_even_when_the_clock_doesnt),
        TEST(an_id_with_its_token_is_an_order_id_and_good_for_its_tenant),
        TEST(every_issued_id_is_a_valid_order_id),
        TEST(a_changed_id_is_wrong_at_every_place),
        TEST(an_id_that_never_was_issued_has_no_token),
        TEST(a_token_ends_after_its_days_and_not_before),
        TEST(a_new_secret_signs_and_the_old_one_is_still_good),
        TEST(a_file_that_is_wrong_says_why_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
