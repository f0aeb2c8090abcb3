/* Arguments and the command tree of `paybuf`. */
#include "unit.h"

#include "tools/args.h"
#include "tools/command.h"

enum { ACCOUNT, AMOUNT, CURRENCY, TENANT, YES };
static const struct cli_arg table[] = {
    [ACCOUNT] = {"ACCOUNT", CLI_ID, true, .help = "its id"},
    [AMOUNT] = {"AMOUNT_MINOR", CLI_INTEGER, false, NULL, -1000, INT64_MAX, NULL, "how much"},
    [CURRENCY] = {"--currency", CLI_CURRENCY, true, "EUR", .help = "letters"},
    [TENANT] = {"--tenant", CLI_ID, false, "T", .initial = "default", .help = "whose"},
    [YES] = {"--yes", CLI_FLAG, .help = "do it"},
};

static struct cli_value values[5];
static char message[256];

/* argv of string literals; nothing writes into them. */
#define WORDS(...)                                                                                                     \
    (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *[]) { __VA_ARGS__ }
#define PARSE(...) parse(WORDS(__VA_ARGS__))
#define FIND(...) find(WORDS(__VA_ARGS__))

static bool parse(int argc, const char *const *argv) {
    char *words[16];
    memcpy(words, argv, (size_t)argc * sizeof *words);
    message[0] = '\0';
    return cli_args_parse(table, sizeof table / sizeof *table, argc, words, values, message, sizeof message);
}

static void places_options_and_defaults_are_filled(void **state) {
    (void)state;
    assert_true(PARSE("alice", "--currency", "EUR", "500"));
    assert_string_equal(values[ACCOUNT].text, "alice");
    assert_int_equal(values[AMOUNT].number, 500);
    assert_string_equal(values[TENANT].text, "default");
    assert_false(values[TENANT].given);
    assert_false(values[YES].given);
}

static void an_option_takes_its_value_after_a_blank_or_an_equals_sign(void **state) {
    (void)state;
    assert_true(PARSE("--currency=USD", "--tenant", "shop", "--yes", "alice"));
    assert_string_equal(values[CURRENCY].text, "USD");
    assert_string_equal(values[TENANT].text, "shop");
    assert_true(values[TENANT].given && values[YES].given);
}

static void a_negative_number_is_a_value_and_no_option(void **state) {
    (void)state;
    assert_true(PARSE("alice", "-500", "--currency=EUR"));
    assert_int_equal(values[AMOUNT].number, -500);
}

static void after_two_dashes_everything_is_a_place(void **state) {
    (void)state;
    assert_true(PARSE("--currency=EUR", "--", "-alice-"));
    assert_string_equal(values[ACCOUNT].text, "-alice-");
}

static void assert_message(const char *part) {
    if (strstr(message, part) == NULL) fail_msg("'%s' isn't in '%s'", part, message);
}

static void what_is_wrong_is_said(void **state) {
    (void)state;
    assert_false(PARSE("alice"));
    assert_message("--currency is missing");
    assert_false(PARSE("--currency=EUR"));
    assert_message("ACCOUNT is missing");
    assert_false(PARSE("alice", "--currency"));
    assert_message("--currency wants a value");
    assert_false(PARSE("alice", "--currency", "euro"));
    assert_message("three capital letters");
    assert_false(PARSE("al ice", "--currency", "EUR"));
    assert_message("isn't an id");
    assert_false(PARSE("alice", "1.5", "--currency", "EUR"));
    assert_message("isn't a whole number");
    assert_false(PARSE("alice", "-1001", "--currency", "EUR"));
    assert_message("out of range");
    assert_false(PARSE("alice", "9223372036854775808", "--currency", "EUR"));
    assert_message("out of range");
    assert_false(PARSE("alice", "1", "2", "--currency", "EUR"));
    assert_message("one argument too many");
    assert_false(PARSE("alice", "--currency", "EUR", "--currency", "EUR"));
    assert_message("given twice");
    assert_false(PARSE("alice", "--curency", "EUR"));
    assert_message("did you mean --currency?");
    assert_false(PARSE("alice", "--currency", "EUR", "--yes=1"));
    assert_message("takes no value");
}

/* ---- the tree ---- */

static struct command_line line;

static bool find(int argc, const char *const *argv) {
    char *words[16];
    memcpy(words, argv, (size_t)argc * sizeof *words);
    return command_find(&paybuf_commands, argc, words, &line, message, sizeof message);
}

static void a_command_line_leads_to_its_verb(void **state) {
    (void)state;
    assert_true(FIND("account", "open", "alice"));
    assert_string_equal(line.path, "account open");
    assert_string_equal(line.command->name, "open");
    assert_int_equal(line.used, 2);
    assert_true(FIND("--yes"));
    assert_ptr_equal(line.command, &paybuf_commands);
}

static void an_unknown_verb_gets_the_nearest_one(void **state) {
    (void)state;
    assert_false(FIND("acount"));
    assert_message("did you mean 'account'?");
    assert_false(FIND("account", "opne"));
    assert_message("did you mean 'account open'?");
    assert_false(FIND("xyzzy"));
    assert_message("paybuf --help lists them");
}

static void check_command(const struct command *command, int depth) {
    assert_non_null(command->summary);
    assert_non_null(command->examples);
    assert_true(depth < 3 && command->arg_count <= CLI_ARGS_MAX);
    assert_true(command->run != NULL || command->children != NULL);
    for (size_t i = 0; i < command->arg_count; i++) {
        const struct cli_arg *arg = &command->args[i];
        bool option = arg->name[0] == '-';
        assert_non_null(arg->help);
        assert_true(!option || arg->kind == CLI_FLAG || arg->value_name != NULL); /* --help shows what to write */
        assert_true(arg->kind != CLI_INTEGER || arg->least < arg->most);
    }
    for (size_t i = 0; command->children != NULL && command->children[i] != NULL; i++)
        check_command(command->children[i], depth + 1);
}

static void every_verb_has_help_examples_and_sane_arguments(void **state) {
    (void)state;
    check_command(&paybuf_commands, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_options_and_defaults_are_filled),
        cmocka_unit_test(an_option_takes_its_value_after_a_blank_or_an_equals_sign),
        cmocka_unit_test(a_negative_number_is_a_value_and_no_option),
        cmocka_unit_test(after_two_dashes_everything_is_a_place),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(a_command_line_leads_to_its_verb),
        cmocka_unit_test(an_unknown_verb_gets_the_nearest_one),
        cmocka_unit_test(every_verb_has_help_examples_and_sane_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
