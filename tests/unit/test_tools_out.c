/* Tables, JSON and NDJSON from the same rows. */
#include "unit.h"

#include "tools/out.h"

#include <stdlib.h>

static const struct out_column columns[] = {
    {"name", "NAME", false}, {"amount", "AMOUNT", false}, {"hidden", NULL, false}, {"halted", "HALTED", true}};

static json_t *row(const char *name, int amount, const char *halted) {
    json_t *object = json_object();
    json_object_set_new(object, "name", json_string(name));
    json_object_set_new(object, "amount", json_integer(amount));
    json_object_set_new(object, "hidden", json_true());
    json_object_set_new(object, "halted", halted != NULL ? json_string(halted) : json_null());
    return object;
}

struct printed {
    struct out out;
    char *text;
    size_t size;
    FILE *file;
};

static struct out *begin(struct printed *printed, enum out_format format, bool color) {
    printed->file = open_memstream(&printed->text, &printed->size);
    out_open(&printed->out, printed->file, format, color);
    return &printed->out;
}

static void assert_printed(struct printed *printed, const char *expected) {
    assert_true(out_close(&printed->out));
    fclose(printed->file);
    assert_string_equal(printed->text, expected);
    free(printed->text);
}

static void a_table_has_titles_numbers_to_the_right_and_dashes_for_null(void **state) {
    (void)state;
    struct printed printed;
    struct out *out = begin(&printed, OUT_TABLE, false);
    out_list(out, NULL, OUT_COLUMNS(columns));
    out_row(out, row("a", 5, NULL));
    out_row(out, row("long name", 12345678, "poison"));
    assert_printed(&printed, "NAME         AMOUNT  HALTED\n"
                             "a                 5  -\n"
                             "long name  12345678  poison\n");
}

static void an_empty_table_prints_nothing(void **state) {
    (void)state;
    struct printed printed;
    out_list(begin(&printed, OUT_TABLE, false), NULL, OUT_COLUMNS(columns));
    assert_printed(&printed, "");
}

static void a_table_longer_than_what_is_measured_goes_on_with_the_same_widths(void **state) {
    (void)state;
    struct printed printed;
    struct out *out = begin(&printed, OUT_TABLE, false);
    out_list(out, NULL, OUT_COLUMNS(columns));
    for (int i = 0; i < OUT_WIDTH_ROWS + 2; i++) out_row(out, row("ab", i, NULL));
    assert_true(out_close(out));
    fclose(printed.file);
    size_t lines = 0;
    for (const char *c = printed.text; *c != '\0'; c++) lines += *c == '\n';
    assert_int_equal(lines, OUT_WIDTH_ROWS + 3);
    assert_non_null(strstr(printed.text, "ab       501  -\n"));
    free(printed.text);
}

static void alarms_are_red_only_with_color(void **state) {
    (void)state;
    struct printed printed;
    struct out *out = begin(&printed, OUT_TABLE, true);
    out_list(out, NULL, OUT_COLUMNS(columns));
    out_row(out, row("a", 1, "poison"));
    assert_printed(&printed, "\033[1mNAME  AMOUNT  HALTED\033[0m\n"
                             "a          1  \033[31mpoison\033[0m\n");
}

static void control_characters_never_reach_the_terminal(void **state) {
    (void)state;
    struct printed printed;
    struct out *out = begin(&printed, OUT_TABLE, false);
    out_list(out, NULL, columns, 1);
    out_row(out, row("a\033[31mb\nc", 1, NULL));
    assert_printed(&printed, "NAME\na [31mb c\n");
}

static void sections_of_a_table_are_parted_by_a_blank_line(void **state) {
    (void)state;
    struct printed printed;
    struct out *out = begin(&printed, OUT_TABLE, false);
    out_object(out, "ledger", columns, 2, row("a", 1, NULL));
    out_list(out, "lanes", columns, 2);
    out_row(out, row("b", 2, NULL));
    out_line(out, "%d differences", 0);
    assert_printed(&printed, "NAME    a\nAMOUNT  1\n\nNAME  AMOUNT\nb          2\n0 differences\n");
}

static void json_without_names_is_the_document_itself(void **state) {
    (void)state;
    struct printed printed;
    struct out *out = begin(&printed, OUT_JSON, true);
    out_list(out, NULL, OUT_COLUMNS(columns));
    out_row(out, row("a", 1, NULL));
    out_row(out, row("b", 2, NULL));
    out_line(out, "not in JSON");
    assert_printed(&printed, "[\n{\"name\":\"a\",\"amount\":1,\"hidden\":true,\"halted\":null},\n{\"name\":\"b\","
                             "\"amount\":2,\"hidden\":true,\"halted\":null}\n]\n");
    out = begin(&printed, OUT_JSON, false);
    out_list(out, NULL, OUT_COLUMNS(columns));
    assert_printed(&printed, "[]\n");
}

static void json_with_names_is_one_object(void **state) {
    (void)state;
    struct printed printed;
    struct out *out = begin(&printed, OUT_JSON, false);
    out_object(out, "ledger", OUT_COLUMNS(columns), row("a", 1, NULL));
    out_list(out, "lanes", OUT_COLUMNS(columns));
    out_row(out, row("b", 2, NULL));
    out_list(out, "others", OUT_COLUMNS(columns));
    assert_true(out_close(out));
    fclose(printed.file);
    json_t *document = json_loads(printed.text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(document, "ledger"), "amount")), 1);
    assert_int_equal(json_array_size(json_object_get(document, "lanes")), 1);
    assert_int_equal(json_array_size(json_object_get(document, "others")), 0);
    json_decref(document);
    free(printed.text);
}

static void ndjson_has_a_line_per_object_with_its_section(void **state) {
    (void)state;
    struct printed printed;
    struct out *out = begin(&printed, OUT_NDJSON, false);
    out_list(out, "lanes", OUT_COLUMNS(columns));
    out_row(out, row("b", 2, NULL));
    out_list(out, NULL, OUT_COLUMNS(columns));
    out_row(out, row("c", 3, NULL));
    assert_printed(&printed, "{\"section\":\"lanes\",\"name\":\"b\",\"amount\":2,\"hidden\":true,\"halted\":null}\n"
                             "{\"name\":\"c\",\"amount\":3,\"hidden\":true,\"halted\":null}\n");
}

static void a_format_is_known_by_its_name(void **state) {
    (void)state;
    enum out_format format;
    assert_true(out_format_from_name("ndjson", &format));
    assert_int_equal(format, OUT_NDJSON);
    assert_false(out_format_from_name("xml", &format));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_has_titles_numbers_to_the_right_and_dashes_for_null),
        cmocka_unit_test(an_empty_table_prints_nothing),
        cmocka_unit_test(a_table_longer_than_what_is_measured_goes_on_with_the_same_widths),
        cmocka_unit_test(alarms_are_red_only_with_color),
        cmocka_unit_test(control_characters_never_reach_the_terminal),
        cmocka_unit_test(sections_of_a_table_are_parted_by_a_blank_line),
        cmocka_unit_test(json_without_names_is_the_document_itself),
        cmocka_unit_test(json_with_names_is_one_object),
        cmocka_unit_test(ndjson_has_a_line_per_object_with_its_section),
        cmocka_unit_test(a_format_is_known_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
