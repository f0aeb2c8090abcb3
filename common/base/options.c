#include "base/options.h"

#include "base/suggest.h"

#include <string.h>

enum action { RUN, HELP, VERSION, PRINT_CONFIG, CHECK_CONFIG, SAMPLE_CONFIG };

/* clang-format off */
static const struct { const char *flag, *short_flag; enum action action; const char *help; } flags[] = {
    {"--help", "-h", HELP, "this text"},
    {"--version", "-V", VERSION, "versions of the program and of what it stands on"},
    {"--print-config", NULL, PRINT_CONFIG, "every setting, its value and where it came from; secrets hidden"},
    {"--check-config", NULL, CHECK_CONFIG, "0 when the settings are right, else 78 and what is wrong"},
    {"--sample-config", NULL, SAMPLE_CONFIG, "a commented configuration file"},
};
/* clang-format on */

static void print_help(const struct pay_program *program) {
    printf("%s - %s\n\n%s\n", program->name, program->purpose, program->examples);
    printf("  %-22s %s\n", "--config FILE", "settings; else the file that PAYBUF_CONFIG names; else none");
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) printf("  %-22s %s\n", flags[i].flag, flags[i].help);
    printf("  %-22s %s\n\n", "--section.key=value", "one setting, stronger than file and environment");
    pay_config_help(stdout);
    printf("\nSIGTERM drains and ends. Exit codes: 0 ok, 1 failure, 2 usage, 69 unavailable, 78 configuration.\n");
}

static int usage_error(const struct pay_program *program, const char *argument) {
    struct pay_suggestion suggestion = {.word = argument};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) pay_suggestion_offer(&suggestion, flags[i].flag);
    pay_suggestion_offer(&suggestion, "--config");
    const char *near = pay_suggestion_take(&suggestion);
    fprintf(stderr, "%s: '%s' isn't understood%s%s%s; --help shows what there is\n", program->name, argument,
            near != NULL ? ", did you mean " : "", near != NULL ? near : "", near != NULL ? "?" : "");
    return PAY_EXIT_USAGE;
}

static bool read_flag(const char *argument, enum action *ret_action) {
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (strcmp(argument, flags[i].flag) != 0 &&
            (flags[i].short_flag == NULL || strcmp(argument, flags[i].short_flag) != 0))
            continue;
        *ret_action = flags[i].action;
        return true;
    }
    return false;
}

/* Takes --config FILE and the flags; what is left must be --section.key=value. False: usage error, already said. */
static bool read_arguments(const struct pay_program *program, int *argc, char **argv, const char **ret_path,
                           enum action *ret_action) {
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "-c") == 0) {
            if (i + 1 == *argc) {
                fprintf(stderr, "%s: --config wants the name of a file\n", program->name);
                return false;
            }
            *ret_path = argv[++i];
        } else if (strncmp(argv[i], "--config=", 9) == 0) {
            *ret_path = argv[i] + 9;
        } else if (!read_flag(argv[i], ret_action)) {
            argv[kept++] = argv[i];
        }
    }
    argv[kept] = NULL;
    *argc = kept;
    return true;
}

bool pay_options_load(const struct pay_program *program, int argc, char **argv, struct pay_config *config,
                      enum pay_exit *ret_exit) {
    enum action action = RUN;
    const char *path = NULL;
    char message[1024];
    *ret_exit = PAY_EXIT_USAGE;
    if (!read_arguments(program, &argc, argv, &path, &action)) return false;
    *ret_exit = PAY_EXIT_OK;
    switch (action) {
    case HELP: print_help(program); return false;
    case VERSION: printf("%s %s\n", program->name, program->version); return false;
    case SAMPLE_CONFIG:
        pay_config_sample(stdout, "kafka");
        putchar('\n');
        pay_config_sample(stdout, "topics");
        putchar('\n');
        pay_config_sample(stdout, program->sample_section);
        if (program->second_section == NULL) return false;
        putchar('\n');
        pay_config_sample(stdout, program->second_section);
        return false;
    case RUN:
    case PRINT_CONFIG:
    case CHECK_CONFIG: break;
    }
    bool right = pay_config_load(config, path, &argc, argv, message, sizeof message);
    if (right && program->check != NULL && action != PRINT_CONFIG)
        right = program->check(config, message, sizeof message);
    if (!right) {
        fprintf(stderr, "%s: %s\n", program->name, message);
        *ret_exit = PAY_EXIT_CONFIG;
        return false;
    }
    if (argc > 1) {
        *ret_exit = (enum pay_exit)usage_error(program, argv[1]);
        return false;
    }
    if (action == PRINT_CONFIG) pay_config_print(config, stdout);
    return action == RUN;
}
