/*
 * request_scan.h: what it takes, what it hands over, and that it never says otherwise than jansson.
 * What isn't a good request at all is test_request_codec's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/request_codec.h"
#include "codec/request_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOOD "\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\""
#define WITH(member) "{" GOOD "," member "}"
#define METADATA(json) WITH("\"metadata\":" json)
#define AMOUNT(json) "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":" json ",\"currency\":\"EUR\"}"

/* On a copy that ends where the bytes end; metadata may be looked at until the next call. */
static bool scan(const char *order_id, const char *text, struct pay_request *ret_request) {
    static char *copy;
    size_t length = strlen(text);
    free(copy);
    copy = malloc(length + (length == 0));
    memcpy(copy, text, length);
    memset(ret_request, 0x5a, sizeof *ret_request);
    ret_request->metadata = NULL;
    ret_request->metadata_length = 0;
    return pay_request_scan(order_id, copy, length, ret_request);
}

static void takes(const char *text) {
    struct pay_request request;
    if (!scan(NULL, text, &request)) fail_msg("not understood: %s", text);
}

static void hands_over(const char *text) {
    struct pay_request request;
    if (scan(NULL, text, &request)) fail_msg("taken: %s", text);
}

static void the_form_that_the_intake_writes_is_taken_with_all_values(void **state) {
    (void)state;
    struct pay_request request;
    assert_true(scan(NULL,
                     "{\"order_id\":\"o-1\",\"attempt\":99,\"account_id\":\"alice\",\"amount_minor\":9007199254740991,"
                     "\"currency\":\"EUR\",\"metadata\":{\"invoice\":17}}",
                     &request));
    assert_string_equal(request.order_id, "o-1");
    assert_int_equal(request.attempt, 99);
    assert_string_equal(request.account_id, "alice");
    assert_int_equal(request.amount_minor, 9007199254740991);
    assert_string_equal(request.currency, "EUR");
    assert_int_equal(request.metadata_length, strlen("{\"invoice\":17}"));
    assert_memory_equal(request.metadata, "{\"invoice\":17}", request.metadata_length);
}

static void order_and_whitespace_are_free_and_the_attempt_may_be_absent(void **state) {
    (void)state;
    struct pay_request request;
    assert_true(scan(NULL,
                     " \t\r\n{ \"currency\" : \"EUR\" ,\n\"amount_minor\"\t:\r1250 , \"order_id\" : \"o-1\" , "
                     "\"account_id\" : \"alice\" } \n",
                     &request));
    assert_int_equal(request.attempt, 1);
    assert_int_equal(request.amount_minor, 1250);
    assert_null(request.metadata);
}

static void the_order_named_elsewhere_is_taken_when_the_body_names_none(void **state) {
    (void)state;
    struct pay_request request;
    static const char without[] = "{\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\"}";
    assert_true(scan("path", without, &request));
    assert_string_equal(request.order_id, "path");
    assert_true(scan("path", "{" GOOD "}", &request));
    assert_string_equal(request.order_id, "o-1");
    assert_false(scan(NULL, without, &request));
}

static void plain_metadata_is_taken(void **state) {
    (void)state;
    takes(METADATA("{}"));
    takes(METADATA(" { } "));
    takes(METADATA(" { \"a\" : 1 , \"b\" : \"\" , \"c\" : true , \"d\" : false , \"e\" : null } "));
    takes(METADATA("{\"a\":\"x y~!\",\"b\":1,\"c\":true,\"d\":false,\"e\":null,\"\":\"\"}"));
    takes(METADATA("{\"a\":999999999999999}"));
    takes(METADATA("{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1}"));
}

static void other_metadata_is_handed_over(void **state) {
    (void)state;
    hands_over(METADATA("null"));
    hands_over(METADATA(""));
    hands_over(METADATA("{\"a\":{}}"));
    hands_over(METADATA("{\"a\":[]}"));
    hands_over(METADATA("{\"a\":-1}"));
    hands_over(METADATA("{\"a\":0}"));
    hands_over(METADATA("{\"a\":1.5}"));
    hands_over(METADATA("{\"a\":1e3}"));
    hands_over(METADATA("{\"a\":1000000000000000}"));
    hands_over(METADATA("{\"a\":\"\\n\"}"));
    hands_over(METADATA("{\"a\":\"\xc3\xa9\"}"));
    hands_over(METADATA("{\"a\":\"\x7f\"}"));
    hands_over(METADATA("{\"a\":\"\x1f\"}"));
    hands_over(METADATA("{\"a\":tru}"));
    hands_over(METADATA("{\"a\":nul"));
    hands_over(METADATA("{\"a\":"));
    hands_over(METADATA("{\"a\" 1}"));
    hands_over(METADATA("{\"a\":1,}"));
    hands_over(METADATA("{\"a\":1 \"b\":1}"));
    hands_over(METADATA("{\"a\":1,\"b\":2,\"a\":3}"));
    hands_over("{" GOOD ",\"metadata\":{\"a\":1,\"a\"}");
    hands_over(METADATA("{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1}"));
    hands_over("{" GOOD ",\"metadata\":");
    hands_over("{" GOOD ",\"metadata\":{\"a\":");
    hands_over("{" GOOD ",\"metadata\":{\"a\":n");
    hands_over("{" GOOD ",\"metadata\":{\"a\":1");
}

static void metadata_of_2048_bytes_is_taken_and_more_is_handed_over(void **state) {
    (void)state;
    char text[2300];
    for (int length = PAY_METADATA_MAX; length <= PAY_METADATA_MAX + 1; length++) {
        struct pay_request request;
        snprintf(text, sizeof text, METADATA("{\"a\":\"%0*d\"}"), length - (int)strlen("{\"a\":\"\"}"), 7);
        assert_int_equal(scan(NULL, text, &request), length == PAY_METADATA_MAX);
        assert_int_equal(request.metadata_length, length);
    }
}

static void what_has_a_fault_or_an_escape_is_handed_over(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "[",
        "{",
        "{}",
        "{" GOOD,
        "{" GOOD ",",
        "{" GOOD "} x",
        "{" GOOD "}{",
        "{" GOOD ",}",
        "{," GOOD "}",
        "\xef\xbb\xbf{" GOOD "}",
        WITH("\"x\":1"),
        WITH("\"order_id\":\"o-1\""),
        WITH("\"attempt\":1,\"attempt\":1"),
        WITH("\"attempt\" 1"),
        WITH("\"attempt\":0"),
        WITH("\"attempt\":100"),
        WITH("\"attempt\":null"),
        WITH("\"attempt\":01"),
        WITH("attempt:1"),
        WITH("\"none\":{}"),
        WITH("\"\":{}"),
        WITH("\"\\u0061ttempt\":1"),
        AMOUNT("0"),
        AMOUNT("-1"),
        AMOUNT("1.0"),
        AMOUNT("1e3"),
        AMOUNT("\"1\""),
        AMOUNT("9007199254740992"),
        AMOUNT("10000000000000000"),
        AMOUNT("99999999999999999999"),
        AMOUNT(""),
        "{\"order_id\":\"o 1\",\"account_id\":\"alice\",\"amount_minor\":1,\"currency\":\"EUR\"}",
        "{\"order_id\":\"\\u006f\",\"account_id\":\"alice\",\"amount_minor\":1,\"currency\":\"EUR\"}",
        "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1,\"currency\":\"eur\"}",
        "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1}",
        "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"currency\":\"EUR\"}",
        "{\"order_id\":\"o-1\",\"amount_minor\":1,\"currency\":\"EUR\"}",
        "{\"order_id\":\"o-1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) hands_over(texts[i]);
}

/* The same document with one letter of a name escaped, which only jansson reads. */
static bool ask_jansson(const char *text, struct pay_request *ret_request) {
    static char other[512]; /* metadata points into it */
    struct pay_codec_error error;
    const char *name = strstr(text, "\"order_id\"");
    if (name == NULL) return false;
    snprintf(other, sizeof other, "%.*s\"\\u006frder_id\"%s", (int)(name - text), text, name + strlen("\"order_id\""));
    struct pay_request scanned;
    assert_false(pay_request_scan(NULL, other, strlen(other), &scanned));
    return pay_request_parse(other, strlen(other), PAY_CODEC_STRICT, ret_request, &error);
}

static uint32_t draw(uint32_t below) {
    static uint64_t state = 20261121;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static void of_many_broken_requests_it_takes_none_that_jansson_reads_otherwise(void **state) {
    (void)state;
    static const char pieces[] = "{}[]\":,0123456789eE.+-\\u tfn\x01\x7f\xc3";
    uint32_t taken = 0;
    for (int round = 0; round < 200000; round++) {
        char text[256] = "{\"order_id\":\"o-1\",\"attempt\":2,\"account_id\":\"alice\",\"amount_minor\":1250,"
                         "\"currency\":\"EUR\",\"metadata\":{\"a\":\"b\",\"c\":12,\"d\":true}}";
        size_t length = strlen(text);
        for (uint32_t change = draw(3); change > 0; change--) {
            size_t at = draw((uint32_t)length);
            if (draw(2) == 0)
                text[at] = pieces[draw(sizeof pieces - 1)];
            else
                memmove(text + at, text + at + 1, length-- - at);
        }
        struct pay_request scanned = {.metadata = NULL}, read = {.metadata = NULL};
        if (!pay_request_scan(NULL, text, length, &scanned)) continue;
        taken++;
        if (!ask_jansson(text, &read)) fail_msg("jansson refuses %s", text);
        assert_string_equal(scanned.order_id, read.order_id);
        assert_string_equal(scanned.account_id, read.account_id);
        assert_string_equal(scanned.currency, read.currency);
        assert_int_equal(scanned.attempt, read.attempt);
        assert_int_equal(scanned.amount_minor, read.amount_minor);
        assert_int_equal(scanned.metadata_length, read.metadata_length);
        if (scanned.metadata != NULL) assert_memory_equal(scanned.metadata, read.metadata, read.metadata_length);
    }
    assert_true(taken > 50000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_form_that_the_intake_writes_is_taken_with_all_values),
        cmocka_unit_test(order_and_whitespace_are_free_and_the_attempt_may_be_absent),
        cmocka_unit_test(the_order_named_elsewhere_is_taken_when_the_body_names_none),
        cmocka_unit_test(plain_metadata_is_taken),
        cmocka_unit_test(other_metadata_is_handed_over),
        cmocka_unit_test(metadata_of_2048_bytes_is_taken_and_more_is_handed_over),
        cmocka_unit_test(what_has_a_fault_or_an_escape_is_handed_over),
        cmocka_unit_test(of_many_broken_requests_it_takes_none_that_jansson_reads_otherwise),
    };
    pay_codec_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
