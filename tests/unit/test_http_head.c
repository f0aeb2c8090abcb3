/* test_http_head.c - the heads that are refused because two readers of one message could disagree about them. */
#include "producer/http_head.h"
#include "unit.h"

/* Lines "Name: value" after the request line; judged as HTTP/1.1. */
static const char *judge(const char *const *lines) {
    struct pay_http_head head;
    pay_http_head_begin(&head, "POST", "HTTP/1.1");
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
    struct pay_http_head head;
    pay_http_head_begin(&head, "POST", "HTTP/1.0");
    assert_null(pay_http_head_judge(&head));
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
    static const struct {
        const char *text;
        uint64_t length;
    } cases[] = {{"99999999999999999999", UINT64_MAX}, {"18446744073709551615", UINT64_MAX}, {"008192", 8192}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pay_http_head head;
        pay_http_head_begin(&head, "POST", "HTTP/1.1");
        pay_http_head_take(&head, "Content-Length", 14, cases[i].text, strlen(cases[i].text));
        assert_true(head.length == cases[i].length);
    }
}

static void only_two_versions_and_methods_that_are_tokens_are_taken(void **state) {
    (void)state;
    static const char *const wrong[][2] = {{"POST", "HTTP/1.2"}, {"POST", "HTTP/2.0"}, {"POST", "HTTP/1.10"},
                                           {"POST", ""},         {"P@ST", "HTTP/1.0"}, {"P\tST", "HTTP/1.0"},
                                           {"", "HTTP/1.0"}};
    struct pay_http_head head;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        pay_http_head_begin(&head, wrong[i][0], wrong[i][1]);
        assert_non_null(pay_http_head_judge(&head));
    }
    pay_http_head_begin(&head, "post", "HTTP/1.0");
    assert_null(pay_http_head_judge(&head));
}

static void no_expectation_but_one_is_known(void **state) {
    (void)state;
    assert_null(JUDGE("Host: a", "Expect: 100-Continue"));
    assert_non_null(JUDGE("Host: a", "Expect: 200-ok"));
    assert_non_null(JUDGE("Host: a", "Expect: 100-continue, x"));
    assert_non_null(JUDGE("Host: a", "Expect: 100-continue", "Expect: y"));
}

static void odd_names_and_values_are_refused(void **state) {
    (void)state;
    assert_non_null(JUDGE("Host: a", "Content-Length : 5"));
    assert_non_null(JUDGE("Host: a", "Trans\tfer: x"));
    assert_non_null(JUDGE("Host: a", "X: a\rb"));
    assert_non_null(JUDGE("Host: a", "X: a\nb"));
    assert_non_null(JUDGE("Host: a", "X: \x7f"));
    struct pay_http_head head;
    pay_http_head_begin(&head, "POST", "HTTP/1.1");
    pay_http_head_take(&head, "Host", 4, "a", 1);
    assert_null(pay_http_head_judge(&head));
    pay_http_head_take(&head, "X", 1, "a\0b", 3);
    assert_non_null(pay_http_head_judge(&head));
}

static void hosts_are_wanted_and_judged(void **state) {
    (void)state;
    assert_non_null(JUDGE("Content-Length: 1"));
    static const char *const right[] = {"a",  "A-b_c.example~", "127.0.0.1:8080", "[::1]", "[::ffff:1.2.3.4]:1",
                                        "a:", "a:65535"};
    static const char *const wrong[] = {"",     " ",     "a, b",  "user@b", "a/b",    "a?b", "a#b",
                                        "a\\b", "a%20b", "\"a\"", "<a>",    "\xff",   ":80", "a:x",
                                        "a:-1", "a:1:2", "[]",    "[::1",   "[::1]x", "[g]", "a:123456"};
    char line[80];
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        snprintf(line, sizeof line, "Host: %s", right[i]);
        if (JUDGE(line) != NULL) fail_msg("%s: %s", line, JUDGE(line));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(line, sizeof line, "Host: %s", wrong[i]);
        if (JUDGE(line) == NULL) fail_msg("%s is taken", line);
    }
}

static void a_target_is_a_path_or_has_the_hosts_name_before_it(void **state) {
    (void)state;
    const char *path;
    assert_null(pay_http_target_path("/a?b", "h", &path));
    assert_string_equal(path, "/a?b");
    assert_null(pay_http_target_path("HTTP://h:1/a", "H:1", &path));
    assert_string_equal(path, "/a");
    assert_null(pay_http_target_path("https://h", "h", &path));
    assert_string_equal(path, "/");
    static const char *const wrong[][2] = {{"http://h/a", "i"}, {"http://h/a", NULL}, {"http://hh/a", "h"},
                                           {"http:///a", "h"},  {"a", "h"},           {"*", "h"},
                                           {"", "h"},           {"h:80", "h"},        {"ftp://h/a", "h"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_non_null(pay_http_target_path(wrong[i][0], wrong[i][1], &path));
}

static void a_target_has_only_what_uris_have(void **state) {
    (void)state;
    assert_null(pay_http_target_judge("/v1/payments:batch?a=b&c=%20;d'(e)"));
    static const char *const wrong[] = {"/a b", "/a#b", "/a\\b", "/\xff", "/\x01", "/a\tb", "/\x7f"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_non_null(pay_http_target_judge(wrong[i]));
}

static void paths_are_decoded_once_and_strictly(void **state) {
    (void)state;
    char path[32];
    assert_null(pay_http_path_decode("/v1/payments/a%3Ab%2e", path, sizeof path));
    assert_string_equal(path, "/v1/payments/a:b.");
    assert_null(pay_http_path_decode("/%2525", path, sizeof path));
    assert_string_equal(path, "/%25");
    assert_null(pay_http_path_decode("/.a/b./...", path, sizeof path));
    static const char *const wrong[] = {"/%00",   "/%0a",      "/a%",     "/a%4",
                                        "/a%4g",  "/%zz",      "/\x01",   "/%7f",
                                        "/a%2fb", "/%2F",      "/a/../b", "/.",
                                        "/..",    "/a/%2e%2E", "/a/./b",  "/0123456789012345678901234567890123456789"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_non_null(pay_http_path_decode(wrong[i], path, sizeof path));
}

static void lines_between_chunks_end_with_cr_lf(void **state) {
    (void)state;
    static const struct {
        const char *buffer; /* up to the piece */
        bool well;
    } cases[] = {{"", true},
                 {"5\r\n", true},
                 {"5;a=b\r\n", true},
                 {"5;a\rb\r\n", false},
                 {"hello\r\n5;\r\r\n", false},
                 {"\r\n5\r\n", true},
                 {"hello\r\n5\r\n", true},
                 {"a\n\r\n5\r\n", true},
                 {"5\n", false},
                 {"\r\n5\n", false},
                 {"\n5\r\n", false},
                 {"hello\n5\r\n", false},
                 {"a\r\n\n5\r\n", false},
                 {"\n", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *buffer = cases[i].buffer;
        if (pay_http_chunk_begins_well(buffer, buffer + strlen(buffer)) != cases[i].well) fail_msg("case %zu", i);
    }
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
        cmocka_unit_test(only_two_versions_and_methods_that_are_tokens_are_taken),
        cmocka_unit_test(no_expectation_but_one_is_known),
        cmocka_unit_test(a_target_is_a_path_or_has_the_hosts_name_before_it),
        cmocka_unit_test(a_target_has_only_what_uris_have),
        cmocka_unit_test(lines_between_chunks_end_with_cr_lf),
        cmocka_unit_test(paths_are_decoded_once_and_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
