/* The audit's index of dead letters. */
#include "unit.h"

#include "core/request.h"
#include "tools/audit_letters.h"

static struct letters letters;

static void add(const char *position, const char *key, const char *value) {
    const struct pay_header headers[] = {{"reason", "bad_field", 9},
                                         {"position", position, position != NULL ? strlen(position) : 0}};
    const struct pay_log_record record = {.key = key,
                                          .key_length = key != NULL ? strlen(key) : 0,
                                          .value = value,
                                          .value_length = strlen(value),
                                          .headers = headers,
                                          .header_count = 2};
    letters_add(&letters, &record);
}

static enum letter_match find(int64_t offset, const char *key, const char *value) {
    return letters_find(&letters, &(struct pay_position){1, 3, offset},
                        pay_record_crc(key, key != NULL ? strlen(key) : 0, value, strlen(value)));
}

static int release(void **state) {
    (void)state;
    letters_free(&letters);
    return 0;
}

static void a_letter_is_found_by_position_and_bytes(void **state) {
    (void)state;
    assert_int_equal(find(17, "k", "v"), LETTER_MISSING);
    add("1-3-17", "k", "v");
    assert_int_equal(find(17, "k", "v"), LETTER_SAME);
    assert_int_equal(find(17, "k", "w"), LETTER_OTHER);
    assert_int_equal(find(17, NULL, "v"), LETTER_OTHER);
    assert_int_equal(find(18, "k", "v"), LETTER_MISSING);
}

static void one_right_letter_among_several_is_enough(void **state) {
    (void)state;
    add("1-3-17", "k", "w");
    add("1-3-17", "k", "v");
    add("1-3-17", "k", "v");
    assert_int_equal(find(17, "k", "v"), LETTER_SAME);
    assert_int_equal(letters.count, 2);
    assert_int_equal(letters.records, 3);
}

static void a_stub_stands_for_what_is_too_large(void **state) {
    (void)state;
    add("1-3-17", NULL, "{\"stub\":true,\"size\":1048576,\"sha256\":\"00\"}");
    assert_int_equal(find(17, "k", "v"), LETTER_STUB);
}

static void letters_without_a_position_are_counted(void **state) {
    (void)state;
    add("somewhere", "k", "v");
    add(NULL, "k", "v");
    assert_int_equal(letters.unreadable, 2);
    assert_int_equal(letters.count, 0);
}

static void many_letters_are_all_found(void **state) {
    (void)state;
    char position[PAY_POSITION_TEXT_MAX];
    for (int64_t i = 0; i < 20000; i++) {
        pay_position_format(&(struct pay_position){1, 3, i * 7}, position);
        add(position, NULL, "v");
    }
    for (int64_t i = 0; i < 20000; i++) {
        assert_int_equal(find(i * 7, NULL, "v"), LETTER_SAME);
        assert_int_equal(find(i * 7 + 1, NULL, "v"), LETTER_MISSING);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_letter_is_found_by_position_and_bytes, release),
        cmocka_unit_test_teardown(one_right_letter_among_several_is_enough, release),
        cmocka_unit_test_teardown(a_stub_stands_for_what_is_too_large, release),
        cmocka_unit_test_teardown(letters_without_a_position_are_counted, release),
        cmocka_unit_test_teardown(many_letters_are_all_found, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
