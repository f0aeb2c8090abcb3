/* test_problem.c - every problem is well formed JSON, whatever text it carries. */
#include "producer/problem.h"
#include "unit.h"

#include <jansson.h>

static char buffer[PAY_PROBLEM_TEXT_MAX];

static json_t *problem(enum pay_problem_code code, const char *detail, const char *pointer) {
    size_t length = pay_problem_format(code, detail, pointer, "r-1", buffer);
    json_t *document = json_loadb(buffer, length, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    return document;
}

static void every_code_has_its_members(void **state) {
    (void)state;
    for (int code = 0; code < PAY_PROBLEM_COUNT; code++) {
        json_t *document = problem((enum pay_problem_code)code, "d", NULL);
        assert_string_equal(json_string_value(json_object_get(document, "code")),
                            pay_problem_name((enum pay_problem_code)code));
        assert_int_equal(json_integer_value(json_object_get(document, "status")),
                         pay_problem_status((enum pay_problem_code)code));
        assert_string_equal(json_string_value(json_object_get(document, "request_id")), "r-1");
        assert_string_equal(json_string_value(json_object_get(document, "detail")), "d");
        assert_true(json_is_string(json_object_get(document, "type")) &&
                    json_is_string(json_object_get(document, "title")));
        assert_true(json_is_boolean(json_object_get(document, "retryable")));
        assert_null(json_object_get(document, "errors"));
        json_decref(document);
    }
}

static void only_what_may_go_better_later_is_retryable(void **state) {
    (void)state;
    for (int code = 0; code < PAY_PROBLEM_COUNT; code++) {
        json_t *document = problem((enum pay_problem_code)code, "d", NULL);
        unsigned int status = pay_problem_status((enum pay_problem_code)code);
        assert_int_equal(json_is_true(json_object_get(document, "retryable")),
                         status == 503 || status == 504 || status == 429);
        json_decref(document);
    }
}

static void a_pointer_makes_an_errors_entry(void **state) {
    (void)state;
    json_t *document = problem(PAY_PROBLEM_BAD_FIELD, "d", "/a~1b");
    json_t *entry = json_array_get(json_object_get(document, "errors"), 0);
    assert_string_equal(json_string_value(json_object_get(entry, "pointer")), "/a~1b");
    assert_string_equal(json_string_value(json_object_get(entry, "detail")), "d");
    json_decref(document);
}

static void a_line_of_a_batch_has_the_members_of_a_problem(void **state) {
    (void)state;
    char text[PAY_PROBLEM_TEXT_MAX + 2];
    for (int code = 0; code < PAY_PROBLEM_COUNT; code++) {
        pay_problem_format_line((enum pay_problem_code)code, NULL, "/a\"b", buffer);
        snprintf(text, sizeof text, "{%s}", buffer);
        json_t *document = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(document);
        assert_true(json_is_boolean(json_object_get(document, "retryable")));
        assert_true(json_string_length(json_object_get(document, "detail")) > 0);
        assert_string_equal(
            json_string_value(json_object_get(json_array_get(json_object_get(document, "errors"), 0), "pointer")),
            "/a\"b");
        json_decref(document);
    }
}

static void any_text_is_escaped_and_cut_between_characters(void **state) {
    (void)state;
    static char text[4000];
    for (uint32_t length = 1; length < 1200; length++) {
        for (uint32_t i = 0; i < length; i++) text[i] = "\"\\\x01\x7f\n/a"[(i + length) % 7];
        text[length] = '\0';
        json_decref(problem(PAY_PROBLEM_BAD_FIELD, text, text));
    }
    for (uint32_t lead = 0; lead < 8; lead++) {
        memset(text, 'a', lead);
        for (uint32_t i = 0; i < 300; i++) memcpy(text + lead + 4 * i, "\xf0\x9f\x98\x80", 5);
        json_decref(problem(PAY_PROBLEM_BAD_FIELD, text, text));
        for (uint32_t i = 0; i < 300; i++) memcpy(text + lead + 3 * i, "\xe2\x82\xac", 4);
        json_decref(problem(PAY_PROBLEM_BAD_FIELD, text, text));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_members),
        cmocka_unit_test(only_what_may_go_better_later_is_retryable),
        cmocka_unit_test(a_pointer_makes_an_errors_entry),
        cmocka_unit_test(a_line_of_a_batch_has_the_members_of_a_problem),
        cmocka_unit_test(any_text_is_escaped_and_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
