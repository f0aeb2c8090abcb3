#include "tools/args.h"

#include "base/suggest.h"
#include "core/request.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_option(const struct cli_arg *arg) { return arg->name[0] == '-'; }

/* "-500" is an amount, "-x" an option. */
static bool looks_like_option(const char *word) {
    return word[0] == '-' && word[1] != '\0' && !(word[1] >= '0' && word[1] <= '9');
}

static bool take_integer(const struct cli_arg *arg, const char *text, struct cli_value *value, char *ret_why,
                         size_t why_size) {
    char *end = NULL;
    const char *digits = text + (text[0] == '-');
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (digits[0] == '\0' || strspn(digits, "0123456789") != strlen(digits)) {
        snprintf(ret_why, why_size, "isn't a whole number");
        return false;
    }
    if (errno != 0 || number < arg->least || number > arg->most) {
        snprintf(ret_why, why_size, "is out of range: %" PRId64 " to %" PRId64, arg->least, arg->most);
        return false;
    }
    value->number = number;
    return true;
}

static bool take_value(const struct cli_arg *arg, const char *text, struct cli_value *value, char *ret_why,
                       size_t why_size) {
    value->text = text;
    switch (arg->kind) {
    case CLI_INTEGER: return take_integer(arg, text, value, ret_why, why_size);
    case CLI_ID:
        snprintf(ret_why, why_size, "isn't an id: 1 to %d letters, digits and . _ : -", PAY_ID_MAX);
        return pay_id_valid(text, strlen(text));
    case CLI_CURRENCY:
        snprintf(ret_why, why_size, "isn't a currency: three capital letters, as EUR");
        return pay_currency_valid(text, strlen(text));
    case CLI_TEXT: snprintf(ret_why, why_size, "is empty"); return text[0] != '\0';
    case CLI_FLAG: return true;
    }
    return false;
}

struct parse {
    const struct cli_arg *args;
    size_t count;
    struct cli_value *values;
    char *message;
    size_t message_size;
};

static bool store(struct parse *parse, size_t index, const char *text) {
    char why[96];
    const struct cli_arg *arg = &parse->args[index];
    if (parse->values[index].given) {
        snprintf(parse->message, parse->message_size, "%s is given twice", arg->name);
        return false;
    }
    if (!take_value(arg, text, &parse->values[index], why, sizeof why)) {
        snprintf(parse->message, parse->message_size, "%s: '%s' %s", arg->name, text, why);
        return false;
    }
    parse->values[index].given = true;
    return true;
}

static bool unknown_option(struct parse *parse, const char *word, size_t length) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    struct pay_suggestion suggestion = {.word = name};
    for (size_t i = 0; i < parse->count; i++)
        if (is_option(&parse->args[i])) pay_suggestion_offer(&suggestion, parse->args[i].name);
    const char *near = pay_suggestion_take(&suggestion);
    if (near != NULL)
        snprintf(parse->message, parse->message_size, "there is no option %s, did you mean %s?", name, near);
    else
        snprintf(parse->message, parse->message_size, "there is no option %s", name);
    return false;
}

/* Takes the option at argv[*at], and its value. */
static bool take_option(struct parse *parse, int argc, char **argv, int *at) {
    const char *word = argv[*at];
    size_t length = strcspn(word, "=");
    for (size_t i = 0; i < parse->count; i++) {
        const struct cli_arg *arg = &parse->args[i];
        if (!is_option(arg) || strlen(arg->name) != length || strncmp(arg->name, word, length) != 0) continue;
        if (arg->kind == CLI_FLAG && word[length] == '=') {
            snprintf(parse->message, parse->message_size, "%s takes no value", arg->name);
            return false;
        }
        if (arg->kind == CLI_FLAG) return store(parse, i, "");
        if (word[length] == '=') return store(parse, i, word + length + 1);
        if (*at + 1 == argc) {
            snprintf(parse->message, parse->message_size, "%s wants a value: %s %s", arg->name, arg->name,
                     arg->value_name);
            return false;
        }
        return store(parse, i, argv[++*at]);
    }
    return unknown_option(parse, word, length);
}

static bool take_place(struct parse *parse, const char *word) {
    for (size_t i = 0; i < parse->count; i++)
        if (!is_option(&parse->args[i]) && !parse->values[i].given) return store(parse, i, word);
    snprintf(parse->message, parse->message_size, "'%s' is one argument too many", word);
    return false;
}

static bool complete(struct parse *parse) {
    for (size_t i = 0; i < parse->count; i++) {
        const struct cli_arg *arg = &parse->args[i];
        if (parse->values[i].given) continue;
        if (arg->required) {
            snprintf(parse->message, parse->message_size, "%s is missing: %s", arg->name, arg->help);
            return false;
        }
        char why[96];
        bool right = arg->initial == NULL || take_value(arg, arg->initial, &parse->values[i], why, sizeof why);
        assert(right);
    }
    return true;
}

bool cli_args_parse(const struct cli_arg *args, size_t count, int argc, char **argv, struct cli_value *values,
                    char *ret_message, size_t message_size) {
    struct parse parse = {args, count, values, ret_message, message_size};
    bool options = true;
    assert(count <= CLI_ARGS_MAX);
    memset(values, 0, count * sizeof *values);
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && looks_like_option(argv[i]) ? !take_option(&parse, argc, argv, &i)
                                                       : !take_place(&parse, argv[i]))
            return false;
    }
    return complete(&parse);
}
