/* Members of accepted JSON, as their bytes were sent. What jansson is asked is test_request_codec's. */
#include "unit.h"

#include "codec/json_text.h"

#include <stdlib.h>

/* In a block of exactly its size: one byte too far is seen by the address sanitizer. NULL: there is none. */
static void expect(const char *json, const char *name, const char *value) {
    size_t length = strlen(json), found_length = 0;
    char *exact = malloc(length > 0 ? length : 1);
    assert_non_null(exact);
    memcpy(exact, json, length);
    const char *found = pay_json_member(exact, length, name, strlen(name), &found_length);
    if (value == NULL) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_int_equal(found_length, strlen(value));
        assert_memory_equal(found, value, found_length);
    }
    free(exact);
}

static void a_value_is_given_as_it_was_sent(void **state) {
    (void)state;
    expect("{\"a\":1.50,\"b\":\"x\\u0041\",\"c\":null,\"d\":true}", "a", "1.50");
    expect("{\"a\":1.50,\"b\":\"x\\u0041\",\"c\":null,\"d\":true}", "b", "\"x\\u0041\"");
    expect("{\"a\":1.50,\"b\":\"x\\u0041\",\"c\":null,\"d\":true}", "c", "null");
    expect("{\"a\":1.50,\"b\":\"x\\u0041\",\"c\":null,\"d\":true}", "d", "true");
}

static void whitespace_around_it_is_none_of_it(void **state) {
    (void)state;
    expect(" \t\r\n{ \"a\" : 1 , \"b\" : [ 1 , 2 ] } \n", "a", "1");
    expect(" \t\r\n{ \"a\" : 1 , \"b\" : [ 1 , 2 ] } \n", "b", "[ 1 , 2 ]");
    expect("{\"a\":1\t}", "a", "1");
}

static void objects_and_arrays_are_passed_as_one(void **state) {
    (void)state;
    expect("{\"o\":{\"a\":[{\"b\":1},2]},\"a\":3}", "a", "3");
    expect("{\"o\":{\"a\":[{\"b\":1},2]},\"a\":3}", "o", "{\"a\":[{\"b\":1},2]}");
    expect("{\"o\":[],\"p\":{},\"a\":3}", "a", "3");
    expect("{\"o\":[],\"p\":{},\"a\":3}", "p", "{}");
    expect("{\"o\":{\"b\":1}}", "b", NULL);
}

static void brackets_and_quotes_inside_strings_are_text(void **state) {
    (void)state;
    expect("{\"o\":\"}],\\\"{[\",\"a\":3}", "a", "3");
    expect("{\"o\":\"\\\\\",\"a\":3}", "a", "3");
    expect("{\"o\":[\"]\",\"\\\"]\"],\"a\":3}", "a", "3");
    expect("{\"}\":1,\"a\":3}", "a", "3");
}

static void a_name_is_known_however_it_is_escaped(void **state) {
    (void)state;
    expect("{\"\\u0061b\":1}", "ab", "1");
    expect("{\"a\\/b\":1}", "a/b", "1");
    expect("{\"\\u0061b\":1}", "\\u0061b", NULL);
    expect("{\"\\u00e9\":1,\"\\\"\":2}", "\"", "2");
    expect("{\"a\\u0062c\":1}", "abd", NULL);
    expect("{\"\\u0061\":1}", "ab", NULL);
    expect("{\"\\u0061b\":1}", "a", NULL);
}

static void a_part_of_a_name_is_another_name(void **state) {
    (void)state;
    expect("{\"ab\":1,\"abcd\":2,\"abc\":3}", "abc", "3");
    expect("{\"ab\":1}", "a", NULL);
    expect("{\"a\":1}", "ab", NULL);
    expect("{\"\":1}", "", "1");
}

static void what_is_not_there_or_no_object_has_no_member(void **state) {
    (void)state;
    static const char *const texts[] = {"{}", "{ }", "[]",        "[\"a\",1]",         "\"a\"", "1", "null",
                                        " ",  "",    "{\"b\":1}", "{\"b\":{\"a\":1} }"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) expect(texts[i], "a", NULL);
}

static void text_that_ends_early_is_read_no_further(void **state) {
    (void)state;
    static const char *const texts[] = {"{", "{\"b\"", "{\"b\":", "{\"b\":1", "{\"b\":1,", "{\"b\":[1", "{\"b\":1}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) expect(texts[i], "a", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_given_as_it_was_sent),
        cmocka_unit_test(whitespace_around_it_is_none_of_it),
        cmocka_unit_test(objects_and_arrays_are_passed_as_one),
        cmocka_unit_test(brackets_and_quotes_inside_strings_are_text),
        cmocka_unit_test(a_name_is_known_however_it_is_escaped),
        cmocka_unit_test(a_part_of_a_name_is_another_name),
        cmocka_unit_test(what_is_not_there_or_no_object_has_no_member),
        cmocka_unit_test(text_that_ends_early_is_read_no_further),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
