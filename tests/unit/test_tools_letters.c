/* The audit's index of dead letters. */
#include "unit.h"

#include "core/request.h"
#include "tools/audit_letters.h"
#include "tools/dlq_letter.h"

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

static void what_became_of_a_letter_is_no_letter(void **state) {
    (void)state;
    const struct pay_header headers[] = {{"marker", "discarded", 9}, {"of", "1-3-17", 6}};
    const struct pay_log_record marker = {.value = "{}", .value_length = 2, .headers = headers, .header_count = 2};
    struct dlq_letter read;
    add("1-3-17", "k", "v");
    int64_t before = letters.records;
    letters_add(&letters, &marker);
    assert_int_equal(letters.records, before);
    assert_int_equal(letters.unreadable, 0);
    assert_int_equal(find(17, "k", "v"), LETTER_SAME);
    dlq_read(&marker, &read);
    assert_int_equal(read.kind, DLQ_MARKER);
    assert_int_equal(read.state, DLQ_DISCARDED);
    assert_int_equal(read.position.offset, 17);
}

static void a_letter_cant_pass_for_a_marker_by_its_senders_headers(void **state) {
    (void)state;
    /* The worker puts orig- before the names of a record's own headers; and a record with a key is never a marker. */
    const struct pay_header headers[] = {{"position", "1-3-5", 5},
                                         {"reason", "bad_field", 9},
                                         {"orig-marker", "discarded", 9},
                                         {"orig-of", "1-3-17", 6}};
    const struct pay_header forged[] = {{"marker", "discarded", 9}, {"of", "1-3-17", 6}};
    struct dlq_letter read;
    dlq_read(&(struct pay_log_record){.value = "x", .value_length = 1, .headers = headers, .header_count = 4}, &read);
    assert_int_equal(read.kind, DLQ_LETTER);
    assert_int_equal(read.reason, PAY_BAD_FIELD);
    dlq_read(&(struct pay_log_record){.key = "k", .key_length = 1, .headers = forged, .header_count = 2}, &read);
    assert_int_equal(read.kind, DLQ_OTHER);
    const struct pay_header unknown[] = {{"marker", "lost", 4}, {"of", "1-3-17", 6}};
    dlq_read(&(struct pay_log_record){.headers = unknown, .header_count = 2}, &read);
    assert_int_equal(read.kind, DLQ_OTHER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_letter_is_found_by_position_and_bytes, release),
        cmocka_unit_test_teardown(one_right_letter_among_several_is_enough, release),
        cmocka_unit_test_teardown(a_stub_stands_for_what_is_too_large, release),
        cmocka_unit_test_teardown(letters_without_a_position_are_counted, release),
        cmocka_unit_test_teardown(many_letters_are_all_found, release),
        cmocka_unit_test_teardown(what_became_of_a_letter_is_no_letter, release),
        cmocka_unit_test_teardown(a_letter_cant_pass_for_a_marker_by_its_senders_headers, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
