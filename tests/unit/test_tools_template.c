/* A reply as a line of the user's own: what a template may be, what it says when it isn't one, what it makes of a reply. */
#include "unit.h"

#include "tools/listen_template.h"

#include <stdlib.h>

#define REPLY_WITH(stored, metadata)                                                                                   \
    "{\"schema\":1,\"tenant\":\"t\",\"order_id\":\"o-1\",\"attempt\":2,\"outcome\":\"conflict\",\"reason\":"           \
    "\"amount_minor_differs\",\"duplicate\":false,\"account_id\":\"alice\",\"amount_minor\":1250,"                     \
    "\"currency\":\"EUR\",\"balance_after_minor\":null,\"account_version\":null,\"position\":\"1-2-7\","               \
    "\"original\":\"1-2-3\",\"decided_at\":\"2026-11-21T19:06:50.341349Z\",\"stored\":" stored                         \
    ",\"metadata\":" metadata "}"
#define REPLY(metadata) REPLY_WITH("{\"attempt\":1,\"account_id\":\"bob\"}", metadata)

static char why[256];
static char *line;

static bool parse(const char *text, struct listen_template *template) {
    return listen_template_parse(text, template, why, sizeof why);
}

/* The line; NULL: the value is no reply. It lives until the next one. */
static const char *made_of(const char *text, const char *value) {
    struct listen_template template;
    size_t length;
    const struct paybuf_listener_reply reply = {.value = value,
                                                .value_length = strlen(value),
                                                .position = {.generation = 1, .partition = 2, .next = 8},
                                                .source_offset = 7,
                                                .reply_offset = 40,
                                                .appended_ms = 1795000000123,
                                                .ledger_id = "ledger"};
    free(line);
    line = NULL;
    if (!parse(text, &template)) fail_msg("%s: %s", text, why);
    FILE *file = open_memstream(&line, &length);
    bool printed = listen_template_print(&template, &reply, file);
    fclose(file);
    assert_true(printed || length == 0);
    return printed ? line : NULL;
}

static void assert_refused(const char *text, const char *word) {
    struct listen_template template = {.count = 77};
    why[0] = '\0';
    assert_false(parse(text, &template));
    if (strstr(why, word) == NULL) fail_msg("'%s' isn't in '%s'", word, why);
    assert_int_equal(template.count, 77);
}

static void members_stand_where_they_are_named_and_text_between_them(void **state) {
    (void)state;
    assert_string_equal(made_of("{order_id} {outcome}\t{amount_minor} {currency}!", REPLY("null")),
                        "o-1 conflict\t1250 EUR!");
    assert_string_equal(made_of("plain", REPLY("null")), "plain");
    assert_string_equal(made_of("{duplicate}{attempt}", REPLY("null")), "false2");
}

static void a_fallback_stands_for_null_and_for_what_is_not_there(void **state) {
    (void)state;
    assert_string_equal(made_of("<{balance_after_minor|none at all}>", REPLY("null")), "<none at all>");
    assert_string_equal(made_of("<{balance_after_minor}{field}>", REPLY("null")), "<>");
    assert_string_equal(made_of("{field|-}{metadata.a|--}{order_id|---}", REPLY("null")), "---o-1");
    assert_string_equal(made_of("{field|a|b}{field|}", REPLY("null")), "a|b");
    assert_string_equal(made_of("<{metadata.a|-}>", REPLY("{\"a\":\"\"}")), "<>"); /* an empty text is a text */
}

static void braces_that_are_there_twice_are_braces(void **state) {
    (void)state;
    assert_string_equal(made_of("{{{order_id}}}", REPLY("null")), "{o-1}");
    assert_string_equal(made_of("}}{{ {{order_id}}", REPLY("null")), "}{ {order_id}");
}

static void what_comes_with_a_reply_has_names_too(void **state) {
    (void)state;
    assert_string_equal(
        made_of("{ledger_id} {log_generation} {partition} {source_offset} {reply_offset} {appended_ms}", REPLY("null")),
        "ledger 1 2 7 40 1795000000123");
}

static void stored_and_metadata_are_reached_by_their_paths(void **state) {
    (void)state;
    assert_string_equal(made_of("{stored.account_id} {stored.currency|?}", REPLY("null")), "bob ?");
    assert_string_equal(made_of("{stored.account_id|?}", REPLY_WITH("null", "null")), "?");
    const char *nested = REPLY("{\"x\":[{\"b\":0}],\"a\":{\"c\":\"}{\\\"\",\"b\":{\"c\":7}},\"b\":9}");
    assert_string_equal(made_of("{metadata.a.b.c} {metadata.b}", nested), "7 9");
    assert_string_equal(made_of("{metadata.b.c|no} {metadata.a.z|no} {metadata.x.b|no}", nested), "no no no");
    assert_string_equal(made_of("{metadata.a.c}", nested), "}{\"");
}

static void names_are_found_however_they_are_escaped_and_spaced(void **state) {
    (void)state;
    assert_string_equal(made_of("{metadata.ab}", REPLY("{\"\\u0061c\":1,\"\\u0061b\":2}")), "2");
    assert_string_equal(made_of("{metadata.a}{metadata.b}", REPLY(" { \"b\" : 1 , \"a\" : 2 } ")), "21");
    assert_string_equal(made_of("{metadata.a|empty}", REPLY("{ }")), "empty");
}

static void objects_and_arrays_are_json_and_numbers_keep_their_digits(void **state) {
    (void)state;
    assert_string_equal(made_of("{stored}", REPLY("null")), "{\"attempt\":1,\"account_id\":\"bob\"}");
    assert_string_equal(made_of("{metadata.a}", REPLY("{\"a\":[1,\n\t\"\\n\\\\\"]}")), "[1,  \"\\n\\\\\"]");
    assert_string_equal(
        made_of("{metadata.a} {metadata.b}", REPLY("{\"a\":1.10,\"b\":123456789012345678901234567890}")),
        "1.10 123456789012345678901234567890");
}

static void a_text_of_somebody_else_never_makes_a_second_line(void **state) {
    (void)state;
    assert_string_equal(made_of("{metadata.a}", REPLY("{\"a\":\"x\\ny\\r\\t\\u001b[2J\\u007f\"}")),
                        "x\\ny\\r\\t\\u001b[2J\\u007f");
    assert_string_equal(made_of("{metadata.a}", REPLY("{\"a\":\"\xc2\x85\xc2\x9b\xe2\x80\xa8\xe2\x80\xa9\x7f\"}")),
                        "\\u0085\\u009b\\u2028\\u2029\\u007f");
    assert_string_equal(made_of("{metadata}", REPLY("{\"a\":\"\xe2\x80\xa8\"}")), "{\"a\":\"\\u2028\"}");
    assert_string_equal(made_of("{metadata.a}", REPLY("{\"a\":\"C:\\\\new\"}")), "C:\\\\new");
}

static void other_characters_are_as_they_are(void **state) {
    (void)state;
    assert_string_equal(made_of("{metadata.a} é", REPLY("{\"a\":\"h\\u00e9 \xc2\xa0\xe2\x80\xa7\xf0\x9f\x98\x80\"}")),
                        "h\xc3\xa9 \xc2\xa0\xe2\x80\xa7\xf0\x9f\x98\x80 é");
}

static void what_is_no_reply_has_no_line(void **state) {
    (void)state;
    assert_null(made_of("{order_id}", "x"));
    assert_null(made_of("{order_id}", ""));
    assert_null(made_of("{order_id}", "{\"order_id\":\"o-1\"}"));
}

static void an_unknown_member_is_refused_with_the_nearest_name(void **state) {
    (void)state;
    assert_refused("{ordr_id}", "did you mean 'order_id'?");
    assert_refused("{ order_id }", "did you mean 'order_id'?");
    assert_refused("{stored.acount_id|-}", "did you mean 'stored.account_id'?");
    assert_refused("{metdata.note}", "did you mean 'metadata'?");
    assert_refused("{order_id.first}", "did you mean 'order_id'?");
    assert_refused("{xyzzy_plugh}", "--help");
    assert_refused("{metadata.}", "'metadata.'");
    assert_refused("{metadata.a..b}", "'metadata.a..b'");
}

static void a_very_long_unknown_name_is_refused_too(void **state) {
    (void)state;
    char text[3000];
    memset(text, 'a', sizeof text);
    text[0] = '{';
    text[sizeof text - 2] = '}';
    text[sizeof text - 1] = '\0';
    assert_refused(text, "--help");
}

static void a_brace_out_of_place_is_refused(void **state) {
    (void)state;
    assert_refused("a } b", "}}");
    assert_refused("{order_id", "never closed");
    assert_refused("{", "never closed");
    assert_refused("{order_id {outcome}", "never closed");
    assert_refused("{field|a{b}", "never closed");
    assert_refused("{}", "without a name");
    assert_refused("{|x}", "without a name");
}

static void a_template_is_one_line_and_not_empty(void **state) {
    (void)state;
    assert_refused("", "empty");
    assert_refused("{order_id}\n{outcome}", "line end");
    assert_refused("{field|\033[1m}", "line end");
    assert_refused("\x7f", "line end");
}

static void a_template_has_at_most_so_many_parts(void **state) {
    (void)state;
    char text[LISTEN_TEMPLATE_PARTS_MAX * 2 + 3] = "";
    struct listen_template template;
    for (int i = 0; i < LISTEN_TEMPLATE_PARTS_MAX; i++) strcat(text, "{{");
    assert_true(parse(text, &template));
    assert_int_equal(template.count, LISTEN_TEMPLATE_PARTS_MAX);
    assert_refused(strcat(text, "x"), "too many");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_stand_where_they_are_named_and_text_between_them),
        cmocka_unit_test(a_fallback_stands_for_null_and_for_what_is_not_there),
        cmocka_unit_test(braces_that_are_there_twice_are_braces),
        cmocka_unit_test(what_comes_with_a_reply_has_names_too),
        cmocka_unit_test(stored_and_metadata_are_reached_by_their_paths),
        cmocka_unit_test(names_are_found_however_they_are_escaped_and_spaced),
        cmocka_unit_test(objects_and_arrays_are_json_and_numbers_keep_their_digits),
        cmocka_unit_test(a_text_of_somebody_else_never_makes_a_second_line),
        cmocka_unit_test(other_characters_are_as_they_are),
        cmocka_unit_test(what_is_no_reply_has_no_line),
        cmocka_unit_test(an_unknown_member_is_refused_with_the_nearest_name),
        cmocka_unit_test(a_very_long_unknown_name_is_refused_too),
        cmocka_unit_test(a_brace_out_of_place_is_refused),
        cmocka_unit_test(a_template_is_one_line_and_not_empty),
        cmocka_unit_test(a_template_has_at_most_so_many_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
