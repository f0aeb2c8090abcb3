#include "tools/command.h"

#include "base/suggest.h"

#include <stdio.h>
#include <string.h>

static const struct command *child_named(const struct command *command, const char *name) {
    for (size_t i = 0; command->children[i] != NULL; i++)
        if (strcmp(command->children[i]->name, name) == 0) return command->children[i];
    return NULL;
}

static void no_such_verb(const struct command *command, const char *path, const char *word, char *ret_message,
                         size_t size) {
    struct pay_suggestion suggestion = {.word = word};
    for (size_t i = 0; command->children[i] != NULL; i++) pay_suggestion_offer(&suggestion, command->children[i]->name);
    const char *near = pay_suggestion_take(&suggestion);
    const char *space = path[0] != '\0' ? " " : "";
    if (near != NULL)
        snprintf(ret_message, size, "'%s%s%s' is no verb, did you mean '%s%s%s'?", path, space, word, path, space,
                 near);
    else
        snprintf(ret_message, size, "'%s%s%s' is no verb; paybuf%s%s --help lists them", path, space, word, space,
                 path);
}

bool command_find(const struct command *root, int argc, char **argv, struct command_line *ret_line, char *ret_message,
                  size_t message_size) {
    struct command_line line = {.command = root};
    while (line.command->children != NULL && line.used < argc && argv[line.used][0] != '-') {
        const char *word = argv[line.used];
        const struct command *child = child_named(line.command, word);
        if (child == NULL) {
            no_such_verb(line.command, line.path, word, ret_message, message_size);
            return false;
        }
        size_t length = strlen(line.path);
        snprintf(line.path + length, sizeof line.path - length, "%s%s", length > 0 ? " " : "", word);
        line.command = child;
        line.used++;
    }
    *ret_line = line;
    return true;
}

static void print_usage(const struct command_line *line) {
    const struct command *command = line->command;
    printf("usage: paybuf %s", line->path);
    if (command->children != NULL)
        printf(command->run != NULL ? "%s[VERB]" : "%sVERB", line->path[0] != '\0' ? " " : "");
    for (size_t i = 0; i < command->arg_count; i++)
        if (command->args[i].name[0] != '-') printf(command->args[i].required ? " %s" : " [%s]", command->args[i].name);
    for (size_t i = 0; i < command->arg_count; i++)
        if (command->args[i].name[0] == '-' && command->args[i].required)
            printf(" %s %s", command->args[i].name, command->args[i].value_name);
    printf(" [OPTIONS]\n");
}

static void print_args(const struct command *command) {
    for (size_t i = 0; i < command->arg_count; i++) {
        const struct cli_arg *arg = &command->args[i];
        char name[64];
        snprintf(name, sizeof name, "%s%s%s", arg->name, arg->value_name != NULL ? " " : "",
                 arg->value_name != NULL ? arg->value_name : "");
        printf("  %-26s %s", name, arg->help);
        if (arg->initial != NULL) printf(" (%s)", arg->initial);
        printf("\n");
    }
}

static void print_children(const struct command *command) {
    for (size_t i = 0; command->children[i] != NULL; i++)
        printf("  %-14s %s\n", command->children[i]->name, command->children[i]->summary);
}

static void print_global_options(void) {
    printf("\nfor every verb:\n"
           "  --config FILE              settings; else the file that PAYBUF_CONFIG names; else none\n"
           "  --section.key=value        one setting, stronger than file and environment (paybuf --help-settings lists "
           "them)\n"
           "  -o, --output FORMAT        table, json or ndjson (one object per line) on stdout; all else goes to "
           "stderr (table)\n"
           "  --help, --version\n"
           "\nexit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 differences or something halted,\n"
           "            69 a server isn't reachable, 75 not now (trying again is safe), 78 configuration\n");
}

void command_help(const struct command_line *line) {
    const struct command *command = line->command;
    printf("paybuf%s%s - %s\n\n%s\n", line->path[0] != '\0' ? " " : "", line->path, command->summary,
           command->examples);
    print_usage(line);
    if (command->children != NULL) print_children(command);
    print_args(command);
    if (command->notes != NULL) printf("\n%s", command->notes);
    print_global_options();
}
