/* What doesn't fit into memory comes back in order all the same. */
#include "unit.h"

#include "tools/sorter.h"

#include <stdio.h>
#include <stdlib.h>

static void sort_numbers(size_t count, size_t memory_bytes) {
    struct sorter *sorter = sorter_open("/tmp", memory_bytes);
    struct sorter_entry entry;
    uint32_t random = 1;
    int64_t sum = 0, last = INT64_MIN;
    size_t given = 0;
    for (size_t i = 0; i < count; i++) {
        struct sort_key key = {.length = 0};
        random = random * 1664525u + 1013904223u;
        int64_t number = (int64_t)(int32_t)random;
        sort_key_number(&key, number);
        sum += number;
        assert_true(sorter_add(sorter, key.bytes, key.length, &number, sizeof number));
    }
    assert_true(sorter_finish(sorter));
    for (; sorter_next(sorter, &entry); given++) {
        int64_t number;
        assert_int_equal(entry.data_length, sizeof number);
        memcpy(&number, entry.data, sizeof number);
        assert_true(number >= last);
        last = number;
        sum -= number;
    }
    assert_null(sorter_failed(sorter));
    assert_int_equal(given, count);
    assert_int_equal(sum, 0);
    sorter_close(sorter);
}

static void numbers_come_in_their_order_from_memory_and_from_many_runs(void **state) {
    (void)state;
    sort_numbers(0, 4096);
    sort_numbers(1, 4096);
    sort_numbers(5000, 1 << 20);
    sort_numbers(5000, 4096);
}

static void texts_come_in_the_order_of_collate_c(void **state) {
    (void)state;
    static const char *const texts[] = {"default", "a", "ab", "b", "aa", "", "B", "default"};
    static const char *const sorted[] = {"", "B", "a", "aa", "ab", "b", "default", "default"};
    struct sorter *sorter = sorter_open("/tmp", 64); /* two or three entries a run */
    struct sorter_entry entry;
    for (size_t i = 0; i < 8; i++) {
        struct sort_key key = {.length = 0};
        sort_key_text(&key, texts[i]);
        sort_key_text(&key, "behind");
        assert_true(sorter_add(sorter, key.bytes, key.length, NULL, 0));
    }
    assert_true(sorter_finish(sorter));
    for (size_t i = 0; i < 8; i++) {
        assert_true(sorter_next(sorter, &entry));
        assert_string_equal((const char *)entry.key, sorted[i]);
    }
    assert_false(sorter_next(sorter, &entry));
    sorter_close(sorter);
}

static void entries_larger_than_a_buffer_survive_the_file(void **state) {
    (void)state;
    size_t large = 200000;
    uint8_t *data = calloc(1, large);
    struct sorter *sorter = sorter_open("/tmp", 3 * large);
    struct sorter_entry entry;
    for (uint8_t i = 0; i < 20; i++) {
        uint8_t key = (uint8_t)(19 - i);
        memset(data, key, large);
        assert_true(sorter_add(sorter, &key, 1, data, large - key));
    }
    assert_true(sorter_finish(sorter));
    for (uint8_t i = 0; i < 20; i++) {
        assert_true(sorter_next(sorter, &entry));
        assert_int_equal(entry.key[0], i);
        assert_int_equal(entry.data_length, large - i);
        assert_int_equal(entry.data[0], i);
        assert_int_equal(entry.data[large - i - 1], i);
    }
    sorter_close(sorter);
    free(data);
}

static void a_folder_that_cant_be_written_is_said(void **state) {
    (void)state;
    struct sorter *sorter = sorter_open("/nonexistent", 64);
    bool good = true;
    for (int i = 0; i < 10 && good; i++) good = sorter_add(sorter, "key", 3, "data", 4);
    assert_false(good);
    assert_non_null(strstr(sorter_failed(sorter), "/nonexistent"));
    sorter_close(sorter);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_in_their_order_from_memory_and_from_many_runs),
        cmocka_unit_test(texts_come_in_the_order_of_collate_c),
        cmocka_unit_test(entries_larger_than_a_buffer_survive_the_file),
        cmocka_unit_test(a_folder_that_cant_be_written_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
