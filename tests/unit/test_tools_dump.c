/* What a dump's files hold: entries come back as they were written, and no altered byte passes. */
#include "unit.h"

#include "tools/dump_file.h"
#include "tools/dump_format.h"

#include <stdlib.h>
#include <sys/stat.h>

static const struct pay_header headers[] = {{"tenant", "shop", 4}, {"empty", "", 0}, {"none", NULL, 0}};
static const struct pay_log_record record = {.offset = 1234567890123,
                                             .timestamp_ms = -5,
                                             .key = "o-1",
                                             .key_length = 3,
                                             .value = "{\"a\0b\":1}",
                                             .value_length = 9,
                                             .headers = headers,
                                             .header_count = 3};

static void a_log_record_comes_back_with_nulls_and_empty_texts_told_apart(void **state) {
    (void)state;
    struct dump_bytes bytes = {0};
    struct dump_headers room = {0};
    struct pay_log_record back = {.partition = 7};
    dump_encode_record(&bytes, &record);
    assert_true(dump_decode_record(bytes.bytes, bytes.length, &room, &back));
    assert_int_equal(back.offset, record.offset);
    assert_int_equal(back.timestamp_ms, record.timestamp_ms);
    assert_int_equal(back.partition, 7);
    assert_int_equal(back.key_length, 3);
    assert_memory_equal(back.value, record.value, 9);
    assert_int_equal(back.header_count, 3);
    assert_string_equal(back.headers[0].name, "tenant");
    assert_memory_equal(back.headers[0].value, "shop", 4);
    assert_non_null(back.headers[1].value);
    assert_int_equal(back.headers[1].length, 0);
    assert_null(back.headers[2].value);
    bytes.length = 0;
    dump_encode_record(&bytes, &(struct pay_log_record){.offset = 1});
    assert_true(dump_decode_record(bytes.bytes, bytes.length, &room, &back));
    assert_null(back.key);
    assert_null(back.value);
    dump_headers_free(&room);
    dump_bytes_free(&bytes);
}

static void any_number_of_headers_comes_back(void **state) {
    (void)state;
    static struct pay_header many[1000];
    struct dump_bytes bytes = {0};
    struct dump_headers room = {0};
    struct pay_log_record back;
    for (size_t i = 0; i < 1000; i++) many[i] = (struct pay_header){"h", "value", i % 5};
    dump_encode_record(&bytes, &(struct pay_log_record){.headers = many, .header_count = 1000});
    assert_true(dump_decode_record(bytes.bytes, bytes.length, &room, &back));
    assert_int_equal(back.header_count, 1000);
    assert_int_equal(back.headers[999].length, 4);
    dump_headers_free(&room);
    dump_bytes_free(&bytes);
}

static void a_row_comes_back_with_its_nulls(void **state) {
    (void)state;
    struct dump_bytes bytes = {0};
    struct audit_row back;
    char long_text[1001];
    memset(long_text, 'x', 1000);
    long_text[1000] = '\0';
    dump_encode_row(&bytes, &(struct audit_row){4, {"default", NULL, "", long_text}});
    assert_true(dump_decode_row(bytes.bytes, bytes.length, &back));
    assert_int_equal(back.count, 4);
    assert_string_equal(back.columns[0], "default");
    assert_null(back.columns[1]);
    assert_string_equal(back.columns[2], "");
    assert_string_equal(back.columns[3], long_text);
    dump_bytes_free(&bytes);
}

static void any_cut_of_an_entry_is_refused_and_never_read_beyond(void **state) {
    (void)state;
    struct dump_bytes bytes = {0};
    struct dump_headers room = {0};
    struct pay_log_record back;
    struct audit_row row;
    dump_encode_record(&bytes, &record);
    for (size_t length = 0; length < bytes.length; length++) {
        uint8_t *exact = malloc(length + 1); /* so that a sanitizer sees the end */
        memcpy(exact, bytes.bytes, length);
        assert_false(dump_decode_record(exact, length, &room, &back));
        dump_decode_row(exact, length, &row);
        free(exact);
    }
    dump_headers_free(&room);
    dump_bytes_free(&bytes);
}

/* ---- files ---- */

static char folder[] = "/tmp/paybuf-test-dump-XXXXXX";
static char why[DUMP_WHY_MAX];

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state) {
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static struct dump_extent write_file(const char *name) {
    struct dump_extent extent;
    struct dump_writer *writer = dump_writer_open(folder, name, "payments", why);
    assert_non_null(writer);
    for (int i = 0; i < 20; i++) assert_true(dump_writer_add(writer, "payload of an entry", (size_t)i, why));
    assert_true(dump_writer_close(writer, &extent, why));
    return extent;
}

/* How many entries came before the end or the damage. */
static int read_file(const char *name, const struct dump_extent *extent, enum dump_read *ret_end) {
    struct dump_reader *reader = dump_reader_open(folder, name, "payments", extent, why);
    const uint8_t *payload;
    size_t length;
    int count = 0;
    *ret_end = DUMP_DAMAGED;
    if (reader == NULL) return 0;
    while ((*ret_end = dump_reader_next(reader, &payload, &length, why)) == DUMP_ENTRY) {
        assert_int_equal(length, count);
        assert_memory_equal(payload, "payload of an entry", length);
        count++;
    }
    dump_reader_close(reader);
    return count;
}

static void entries_come_back_in_order(void **state) {
    (void)state;
    enum dump_read end;
    struct dump_extent extent = write_file("whole");
    assert_int_equal(extent.entries, 20);
    assert_int_equal(read_file("whole", &extent, &end), 20);
    assert_int_equal(end, DUMP_END);
    assert_null(dump_writer_open(folder, "whole", "payments", why)); /* never over another one */
    assert_null(dump_reader_open(folder, "whole", "accounts", &extent, why));
    assert_null(dump_reader_open(folder, "absent", "payments", &extent, why));
}

static void each_altered_byte_and_each_cut_is_found(void **state) {
    (void)state;
    char path[128];
    uint8_t bytes[1024], broken[1024];
    enum dump_read end;
    struct dump_extent extent = write_file("altered");
    snprintf(path, sizeof path, "%s/altered", folder);
    FILE *file = fopen(path, "r+");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    assert_int_equal(size, extent.bytes);
    for (size_t at = 0; at < size; at++) {
        memcpy(broken, bytes, size);
        broken[at] ^= (uint8_t)(1u << (at % 8));
        rewind(file);
        fwrite(broken, 1, size, file);
        fflush(file);
        read_file("altered", &extent, &end);
        assert_int_equal(end, DUMP_DAMAGED);
        assert_non_null(strstr(why, "altered, byte "));
    }
    rewind(file);
    fwrite(bytes, 1, size, file);
    fflush(file);
    for (size_t length = 0; length < size; length++) {
        assert_int_equal(truncate(path, (off_t)(size - length - 1)), 0);
        read_file("altered", &extent, &end);
        assert_int_equal(end, DUMP_DAMAGED);
    }
    fclose(file);
}

static void entries_exchanged_or_left_out_are_found(void **state) {
    (void)state;
    enum dump_read end;
    struct dump_extent extent = write_file("chain");
    struct dump_extent other = extent;
    other.chain ^= 1;
    read_file("chain", &other, &end);
    assert_int_equal(end, DUMP_DAMAGED);
    other = extent;
    other.entries++;
    read_file("chain", &other, &end);
    assert_int_equal(end, DUMP_DAMAGED);
}

static void a_reader_returns_to_a_mark_and_still_knows_the_chain(void **state) {
    (void)state;
    struct dump_extent extent = write_file("marks");
    struct dump_reader *reader = dump_reader_open(folder, "marks", "payments", &extent, why);
    struct dump_mark mark = {0};
    const uint8_t *payload;
    size_t length;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(dump_reader_next(reader, &payload, &length, why), DUMP_ENTRY);
        if (i == 7) mark = dump_reader_mark(reader);
    }
    assert_true(dump_reader_return(reader, &mark, why));
    for (size_t i = 7; i < 20; i++) {
        assert_int_equal(dump_reader_next(reader, &payload, &length, why), DUMP_ENTRY);
        assert_int_equal(length, i);
    }
    assert_int_equal(dump_reader_next(reader, &payload, &length, why), DUMP_END);
    dump_reader_close(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_record_comes_back_with_nulls_and_empty_texts_told_apart),
        cmocka_unit_test(any_number_of_headers_comes_back),
        cmocka_unit_test(a_row_comes_back_with_its_nulls),
        cmocka_unit_test(any_cut_of_an_entry_is_refused_and_never_read_beyond),
        cmocka_unit_test(entries_come_back_in_order),
        cmocka_unit_test(each_altered_byte_and_each_cut_is_found),
        cmocka_unit_test(entries_exchanged_or_left_out_are_found),
        cmocka_unit_test(a_reader_returns_to_a_mark_and_still_knows_the_chain),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
