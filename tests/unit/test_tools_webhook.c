/* Standard Webhooks: signatures by the standard's own example, and which secrets are taken. */
#include "unit.h"

#include "tools/webhook.h"

#include <stdlib.h>
#include <unistd.h>

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define BODY "{\"test\": 2432232314}"

static struct webhook_secrets secrets;
static char why[512];

static bool load(const char *text) {
    char path[] = "/tmp/paybuf-test-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    close(file);
    bool loaded = webhook_secrets_load(path, &secrets, why, sizeof why);
    unlink(path);
    return loaded;
}

static void a_signature_is_that_of_the_standards_example(void **state) {
    (void)state;
    char signatures[WEBHOOK_SIGNATURES_MAX];
    assert_true(load(SECRET "\n"));
    webhook_sign(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY, sizeof BODY - 1, signatures);
    assert_string_equal(signatures, SIGNATURE);
}

static void each_secret_gives_a_signature(void **state) {
    (void)state;
    char signatures[WEBHOOK_SIGNATURES_MAX];
    assert_true(load("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n" SECRET));
    assert_int_equal(secrets.count, 2);
    assert_int_equal(secrets.lengths[0], 32);
    webhook_sign(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY, sizeof BODY - 1, signatures);
    assert_int_equal(strlen(signatures), 2 * strlen(SIGNATURE) + 1);
    assert_string_equal(signatures + strlen(SIGNATURE) + 1, SIGNATURE);
}

static void what_is_no_secret_is_refused_with_its_line(void **state) {
    (void)state;
    assert_false(load(""));
    assert_non_null(strstr(why, " is empty: wanted are"));
    assert_false(load("secret\n"));
    assert_false(load(SECRET "\nwhsec_short===\n"));
    assert_non_null(strstr(why, "line 2"));
    assert_false(load("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"));                 /* 20 bytes */
    assert_false(load(SECRET "\n" SECRET "\n" SECRET "\n" SECRET "\n" SECRET)); /* five */
    assert_false(webhook_secrets_load("/nowhere/at-all", &secrets, why, sizeof why));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signature_is_that_of_the_standards_example),
        cmocka_unit_test(each_secret_gives_a_signature),
        cmocka_unit_test(what_is_no_secret_is_refused_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
