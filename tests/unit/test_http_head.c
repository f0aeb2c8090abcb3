/* test_http_head.c - the heads that are refused because two readers of one message could disagree about them. */
#include "producer/http_head.h"
#include "unit.h"

/* Lines "Name: value" after the request line; judged as HTTP/1.1. */
static const char *judge(const char *const *lines) {
    struct pay_http_head head = {.http_1_1 = true};
    for (; *lines != NULL; lines++) {
        const char *colon = strstr(*lines, ": ");
        assert_non_null(colon);
        pay_http_head_take(&head, *lines, (size_t)(colon - *lines), colon + 2, strlen(colon + 2));
    }
    return pay_http_head_judge(&head);
}

#define JUDGE(...) judge((const char *const[]){__VA_ARGS__, NULL})

static void an_ordinary_head_is_fine(void **state) {
    (void)state;
    assert_null(JUDGE("Host: 127.0.0.1:8080", "Content-Length: 12", "content-type: application/json",
                      "Authorization: Bearer x", "X-Odd-1: \t caf\xc3\xa9"));
    assert_null(JUDGE("host: [::1]:80", "Transfer-Encoding: chunked"));
    assert_null(JUDGE("Host: a", "transfer-encoding: CHUNKED"));
}

static void doubled_headers_are_refused(void **state) {
    (void)state;
    assert_non_null(JUDGE("Host: a", "Host: a"));
    assert_non_null(JUDGE("Host: a", "Content-Length: 1", "content-length: 1"));
    assert_non_null(JUDGE("Host: a", "Content-Type: application/json", "Content-Type: application/json"));
    assert_non_null(JUDGE("Host: a", "Authorization: x", "Authorization: x"));
    assert_non_null(JUDGE("Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"));
}

static void length_beside_coding_is_refused(void **state) {
    (void)state;
    assert_non_null(JUDGE("Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"));
}

static void any_coding_but_chunked_is_refused(void **state) {
    (void)state;
    static const char *const codings[] = {"gzip",     "identity",    "gzip, chunked", "chunked, chunked",
                                          "xchunked", "chunked;q=1", "\"chunked\"",   "chunke",
                                          ""};
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
        char line[80];
        snprintf(line, sizeof line, "Transfer-Encoding: %s", codings[i]);
        assert_non_null(JUDGE("Host: a", line));
    }
}

static void a_coding_in_http_1_0_is_refused(void **state) {
    (void)state;
    struct pay_http_head head = {.http_1_1 = false};
    pay_http_head_take(&head, "Transfer-Encoding", 17, "chunked", 7);
    assert_non_null(pay_http_head_judge(&head));
}

static void odd_lengths_are_refused(void **state) {
    (void)state;
    static const char *const lengths[] = {"-1", "+1", "1,1", "1 1", "0x1", "1.0", " ", "1e1"};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char line[80];
        snprintf(line, sizeof line, "Content-Length: %s", lengths[i]);
        assert_non_null(JUDGE("Host: a", line));
    }
}

static void a_length_beyond_64_bits_counts_as_huge(void **state) {
    (void)state;
    struct pay_http_head head = {.http_1_1 = true};
    pay_http_head_take(&head, "Content-Length", 14, "99999999999999999999", 20);
    assert_true(head.length == UINT64_MAX);
    head = (struct pay_http_head){.http_1_1 = true};
    pay_http_head_take(&head, "Content-Length", 14, "18446744073709551615", 20);
    assert_true(head.length == UINT64_MAX);
    head = (struct pay_http_head){.http_1_1 = true};
    pay_http_head_take(&head, "Content-Length", 14, "008192", 6);
    assert_int_equal(head.length, 8192);
}

static void odd_names_and_values_are_refused(void **state) {
    (void)state;
    assert_non_null(JUDGE("Host: a", "Content-Length : 5"));
    assert_non_null(JUDGE("Host: a", "Trans\tfer: x"));
    assert_non_null(JUDGE("Host: a", "X: a\rb"));
    assert_non_null(JUDGE("Host: a", "X: a\nb"));
    assert_non_null(JUDGE("Host: a", "X: \x7f"));
    struct pay_http_head head = {.http_1_1 = true};
    pay_http_head_take(&head, "X", 1, "a\0b", 3);
    assert_non_null(pay_http_head_judge(&head));
}

static void hosts_are_wanted_and_judged(void **state) {
    (void)state;
    assert_non_null(JUDGE("Content-Length: 1"));
    assert_non_null(JUDGE("Host: a, b"));
    assert_non_null(JUDGE("Host: user@b"));
    assert_non_null(JUDGE("Host: a/b"));
}

static void paths_are_decoded_once_and_strictly(void **state) {
    (void)state;
    char path[32];
    assert_null(pay_http_path_decode("/v1/payments/a%3Ab%2e", path, sizeof path));
    assert_string_equal(path, "/v1/payments/a:b.");
    assert_null(pay_http_path_decode("/%2525", path, sizeof path));
    assert_string_equal(path, "/%25");
    static const char *const wrong[] = {
        "/%00", "/%0a", "/a%", "/a%4", "/a%4g", "/%zz", "/\x01", "/%7f", "/0123456789012345678901234567890123456789"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_non_null(pay_http_path_decode(wrong[i], path, sizeof path));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_head_is_fine),
        cmocka_unit_test(doubled_headers_are_refused),
        cmocka_unit_test(length_beside_coding_is_refused),
        cmocka_unit_test(any_coding_but_chunked_is_refused),
        cmocka_unit_test(a_coding_in_http_1_0_is_refused),
        cmocka_unit_test(odd_lengths_are_refused),
        cmocka_unit_test(a_length_beyond_64_bits_counts_as_huge),
        cmocka_unit_test(odd_names_and_values_are_refused),
        cmocka_unit_test(hosts_are_wanted_and_judged),
        cmocka_unit_test(paths_are_decoded_once_and_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
