/*
 * args.h - a verb's arguments as data, and their values.
 *
 * A verb lists its arguments in one table; parsing, --help and messages come from it. A name with leading dashes is an option
 * ("--currency EUR" or "--currency=EUR"), any other one a place ("ACCOUNT"), filled in order. "--" ends the options; a number
 * with a sign is a value, not an option.
 * Memory: values point into argv and the table. Threads: any.
 */
#ifndef PAY_TOOLS_ARGS_H
#define PAY_TOOLS_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_kind {
    CLI_TEXT,     /* anything but the empty text */
    CLI_ID,       /* 1-64 of [A-Za-z0-9._:-] */
    CLI_CURRENCY, /* three letters A-Z */
    CLI_INTEGER,  /* least..most */
    CLI_FLAG      /* no value */
};

struct cli_arg {
    const char *name;
    enum cli_kind kind;
    bool required;
    const char *value_name; /* of an option's value, for --help */
    int64_t least, most;    /* CLI_INTEGER */
    const char *initial;    /* the default's text; NULL: none */
    const char *help;
};

#define CLI_ARGS_MAX 32

struct cli_value {
    bool given;       /* by the user, not by the default */
    const char *text; /* NULL: neither given nor a default */
    int64_t number;   /* CLI_INTEGER */
};

/* Fills values[0..count). False: *ret_message says what is wrong and what to write instead. */
bool cli_args_parse(const struct cli_arg *args, size_t count, int argc, char **argv, struct cli_value *values,
                    char *ret_message, size_t message_size);

#endif
