/*
 * command.h - the command tree as data: each verb's name, help, examples, arguments and function.
 *
 * A verb lives in cmd_<verb>.c, which exports one struct command; a verb with children (`account`) has no function.
 * commands.c lists the top. Promise: --help works without configuration and servers.
 */
#ifndef PAY_TOOLS_COMMAND_H
#define PAY_TOOLS_COMMAND_H

#include "base/options.h"
#include "tools/args.h"

struct tool;

struct command {
    const char *name;
    const char *summary;  /* one line */
    const char *examples; /* lines, shown first */
    const char *notes;    /* paragraphs after the arguments; NULL: none */
    const struct cli_arg *args;
    size_t arg_count;
    enum pay_exit (*run)(struct tool *tool, const struct cli_value *values);
    const struct command *const *children; /* ends with NULL; NULL: none */
};

/* args and arg_count of a struct command. */
#define CLI_ARGS(table) .args = (table), .arg_count = sizeof(table) / sizeof(table)[0]

/* The whole program; its children are the verbs. */
extern const struct command paybuf_commands;

/* Where a command line leads. */
struct command_line {
    const struct command *command; /* the deepest one named */
    char path[64];                 /* "account open" */
    int used;                      /* words that named it */
};

/* Walks the tree along argv. False: *ret_message says which word isn't a verb and which one is near. */
bool command_find(const struct command *root, int argc, char **argv, struct command_line *ret_line, char *ret_message,
                  size_t message_size);

/* --help of `line`, on stdout. */
void command_help(const struct command_line *line);

#endif
