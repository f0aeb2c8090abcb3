/* The state file of `paybuf listen`, and the file of its lines. */
#include "unit.h"

#include "tools/listen_output.h"
#include "tools/state_file.h"

#include <stdlib.h>
#include <sys/stat.h>

static char folder[] = "/tmp/paybuf-test-XXXXXX";
static char path[64], why[512];

static int make_folder(void **state) {
    (void)state;
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(path, sizeof path, "%s/state", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when anything was left beside it */
}

static void write_file(const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void what_was_saved_is_loaded(void **state) {
    (void)state;
    struct state saved = {.ledger_id = "d03dbc18-12e4-46be-9a87-433a64143dd2", .output_bytes = 4711}, loaded;
    state_add(&saved, &(struct paybuf_listener_position){1, 0, 17, 25, 0});
    state_add(&saved, &(struct paybuf_listener_position){2, 0, 0, 25, 0});
    state_add(&saved, &(struct paybuf_listener_position){0, 11, 0, INT64_MAX, 1000});
    assert_true(state_save(path, &saved, why, sizeof why));
    assert_int_equal(state_load(path, &loaded, why, sizeof why), STATE_LOADED);
    assert_string_equal(loaded.ledger_id, saved.ledger_id);
    assert_int_equal(loaded.output_bytes, 4711);
    assert_int_equal(loaded.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(loaded.entries[i].generation, saved.entries[i].generation);
        assert_int_equal(loaded.entries[i].partition, saved.entries[i].partition);
        assert_int_equal(loaded.entries[i].next, saved.entries[i].next);
        assert_int_equal(loaded.entries[i].reply_offset, saved.entries[i].reply_offset);
        assert_int_equal(loaded.entries[i].resync_until, saved.entries[i].resync_until);
    }
    state_free(&saved);
    state_free(&loaded);
}

static void a_file_that_is_not_there_is_absent(void **state) {
    (void)state;
    struct state loaded;
    unlink(path);
    assert_int_equal(state_load(path, &loaded, why, sizeof why), STATE_ABSENT);
}

static void anything_but_a_whole_state_is_refused_with_its_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *line;
    } wrong[] = {
        {"", "line 1"},
        {"something else\n", "line 1"},
        {"paybuf-reader 2\n", "line 1"},
        {"paybuf-reader 1\n1 0 17 25 0", "line 2"}, /* cut: 0 may have been 04711 */
        {"paybuf-reader 1\n1 0 17 25\n", "line 2"},
        {"paybuf-reader 1\n1 0 17 25 0 0\n", "line 2"},
        {"paybuf-reader 1\n1 0 -1 25 0\n", "line 2"},
        {"paybuf-reader 1\n1 0 017 25 0\n", "line 2"},
        {"paybuf-reader 1\n1 0 17 25 0\n1 0 18 26 0\n", "line 3"},
        {"paybuf-reader 1\n1 99999999999 17 25 0\n", "line 2"},
        {"paybuf-reader 1\nledger \n", "line 2"},
    };
    struct state loaded;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_file(wrong[i].text);
        assert_int_equal(state_load(path, &loaded, why, sizeof why), STATE_BAD);
        if (strstr(why, wrong[i].line) == NULL) fail_msg("case %zu: '%s'", i, why);
    }
}

/* Zeros where a file system lost the end of a line: "1 0 17 25 1\0\0\0" was 1000 and isn't 1. */
static void zero_bytes_are_refused_not_read_as_the_end_of_a_line(void **state) {
    (void)state;
    static const char text[] = "paybuf-reader 1\n1 0 17 25 1\0\0\0\n";
    struct state loaded;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fwrite(text, 1, sizeof text - 1, file);
    fclose(file);
    assert_int_equal(state_load(path, &loaded, why, sizeof why), STATE_BAD);
    assert_non_null(strstr(why, "line 2"));
}

static void a_save_that_fails_leaves_the_old_file(void **state) {
    (void)state;
    struct state saved = {.output_bytes = -1}, loaded;
    char beside[80];
    write_file("paybuf-reader 1\n1 0 17 25 0\n");
    snprintf(beside, sizeof beside, "%s.new", path);
    assert_int_equal(mkdir(beside, 0700), 0); /* the file beside it can't be made */
    assert_false(state_save(path, &saved, why, sizeof why));
    assert_int_equal(rmdir(beside), 0);
    assert_int_equal(state_load(path, &loaded, why, sizeof why), STATE_LOADED);
    assert_int_equal(loaded.entries[0].next, 17);
    assert_int_equal(loaded.output_bytes, -1);
    state_free(&loaded);
}

/* ---- the lines' file ---- */

static void assert_content(const char *expected) {
    char text[256] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    assert_int_equal(length, strlen(expected));
    assert_string_equal(text, expected);
}

static void lines_are_appended_and_what_the_state_does_not_know_is_cut_off(void **state) {
    (void)state;
    struct listen_output output;
    write_file("one\n");
    assert_true(listen_output_file(&output, path, -1, why, sizeof why));
    fputs("two\n", output.lines);
    assert_true(listen_output_write(&output));
    assert_int_equal(output.length, 8);
    fputs("three\n", output.lines);
    assert_true(listen_output_write(&output));
    fputs("never written\n", output.lines);
    listen_output_close(&output);
    assert_content("one\ntwo\nthree\n");

    assert_true(listen_output_file(&output, path, 8, why, sizeof why)); /* killed after "two" was kept */
    fputs("three\n", output.lines);
    assert_true(listen_output_write(&output));
    assert_int_equal(output.length, 14);
    listen_output_close(&output);
    assert_content("one\ntwo\nthree\n");
}

static void a_file_that_was_moved_away_begins_anew_and_a_shorter_one_is_refused(void **state) {
    (void)state;
    struct listen_output output;
    unlink(path);
    assert_true(listen_output_file(&output, path, 8, why, sizeof why));
    assert_int_equal(output.length, 0);
    listen_output_close(&output);
    write_file("other\n");
    assert_false(listen_output_file(&output, path, 8, why, sizeof why));
    assert_content("other\n");
    assert_false(listen_output_file(&output, "/dev/null", -1, why, sizeof why));
}

static void a_full_buffer_is_noticed(void **state) {
    (void)state;
    struct listen_output output;
    unlink(path);
    assert_true(listen_output_file(&output, path, -1, why, sizeof why));
    for (int i = 0; i < LISTEN_BUFFER_BYTES / 4; i++) {
        assert_false(listen_output_is_full(&output));
        fputs("abc\n", output.lines);
    }
    assert_true(listen_output_is_full(&output));
    assert_true(listen_output_write(&output));
    assert_false(listen_output_is_full(&output));
    assert_int_equal(output.length, LISTEN_BUFFER_BYTES);
    listen_output_close(&output);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_is_loaded),
        cmocka_unit_test(a_file_that_is_not_there_is_absent),
        cmocka_unit_test(anything_but_a_whole_state_is_refused_with_its_line),
        cmocka_unit_test(zero_bytes_are_refused_not_read_as_the_end_of_a_line),
        cmocka_unit_test(a_save_that_fails_leaves_the_old_file),
        cmocka_unit_test(lines_are_appended_and_what_the_state_does_not_know_is_cut_off),
        cmocka_unit_test(a_file_that_was_moved_away_begins_anew_and_a_shorter_one_is_refused),
        cmocka_unit_test(a_full_buffer_is_noticed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
