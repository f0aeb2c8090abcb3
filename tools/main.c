/* main.c - paybuf: finds the verb, its arguments and the settings, and runs it. */
#include "codec/request_codec.h"
#include "kafka/kafka_conf.h"
#include "kafka/kafka_reaper.h"
#include "tools/command.h"
#include "tools/tool.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLOSE_MS 500 /* librdkafka's closing can hang with the broker down; nothing depends on it */

/* What isn't a verb's own. */
struct globals {
    const char *config_path;
    enum out_format format;
    bool help, version, help_settings;
    int setting_count;
    char **settings; /* argv of its own for pay_config_load: "paybuf" and the --section.key=value words */
    int word_count;
    char **words; /* the verb and its arguments */
};

static enum pay_exit usage(const char *path, const char *message) {
    fprintf(stderr, "paybuf%s%s: %s\n       paybuf%s%s --help shows examples\n", path[0] != '\0' ? " " : "", path,
            message, path[0] != '\0' ? " " : "", path);
    return PAY_EXIT_USAGE;
}

/* --section.key=value: a dot before any '='. */
static bool is_setting(const char *word) {
    return strncmp(word, "--", 2) == 0 && word[2] != '\0' && word[2] != '=' && word[2 + strcspn(word + 2, ".=")] == '.';
}

/* "--name VALUE" or "--name=VALUE"; false when `word` is another one. */
static bool global_value(const char *word, const char *name, const char *short_name, int argc, char **argv, int *at,
                         const char **ret_value) {
    size_t length = strlen(name);
    if (strcmp(word, name) == 0 || (short_name != NULL && strcmp(word, short_name) == 0)) {
        *ret_value = *at + 1 < argc ? argv[++*at] : NULL;
        return true;
    }
    if (strncmp(word, name, length) != 0 || word[length] != '=') return false;
    *ret_value = word + length + 1;
    return true;
}

/* True when the word was a global one. *ret_wrong: with a value that isn't right, already said. */
static bool take_global(struct globals *globals, int argc, char **argv, int *at, bool *ret_wrong) {
    const char *word = argv[*at], *value = NULL;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return globals->help = true;
    if (strcmp(word, "--help-settings") == 0) return globals->help_settings = true;
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) return globals->version = true;
    if (is_setting(word)) {
        globals->settings[globals->setting_count++] = argv[*at];
        return true;
    }
    if (global_value(word, "--config", "-c", argc, argv, at, &value)) {
        *ret_wrong = value == NULL;
        if (value == NULL) usage("", "--config wants the name of a file");
        globals->config_path = value;
        return true;
    }
    if (global_value(word, "--output", "-o", argc, argv, at, &value)) {
        *ret_wrong = value == NULL || !out_format_from_name(value, &globals->format);
        if (*ret_wrong) usage("", "-o wants one of table, json, ndjson");
        return true;
    }
    return false;
}

static bool split(struct globals *globals, int argc, char **argv) {
    bool wrong = false, verbatim = false;
    globals->settings = calloc((size_t)argc + 2, sizeof *globals->settings);
    globals->words = calloc((size_t)argc + 1, sizeof *globals->words);
    if (globals->settings == NULL || globals->words == NULL) abort();
    globals->settings[globals->setting_count++] = argv[0];
    for (int i = 1; i < argc && !wrong; i++) {
        verbatim = verbatim || strcmp(argv[i], "--") == 0;
        if (verbatim || !take_global(globals, argc, argv, &i, &wrong)) globals->words[globals->word_count++] = argv[i];
    }
    return !wrong;
}

static bool is_pipe(int descriptor) {
    struct stat about;
    return fstat(descriptor, &about) == 0 && (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode));
}

static enum pay_exit run(const struct command_line *line, struct globals *globals, const struct cli_value *values) {
    static struct tool tool;
    char message[1024];
    tool.verb = line->path;
    if (!pay_config_load(&tool.config, globals->config_path, &globals->setting_count, globals->settings, message,
                         sizeof message))
        return tool_fail(&tool, PAY_EXIT_CONFIG, "%s", message);
    out_open(&tool.out, stdout, globals->format, out_wants_color(stdout));
    pay_codec_init();
    signal(SIGPIPE, SIG_IGN);
    enum pay_exit status = line->command->run(&tool, values);
    bool written = out_close(&tool.out);
    pay_kafka_reaper_wait(CLOSE_MS);
    if (!written && status == PAY_EXIT_OK && is_pipe(STDOUT_FILENO))
        return PAY_EXIT_FAILURE; /* `| head` has seen enough */
    if (!written && status == PAY_EXIT_OK)
        return tool_fail(&tool, PAY_EXIT_FAILURE, "stdout can't be written; what was printed isn't complete");
    return status;
}

static enum pay_exit main_of(int argc, char **argv) {
    struct globals globals = {.format = OUT_TABLE};
    struct command_line line;
    struct cli_value values[CLI_ARGS_MAX];
    char message[256];
    if (!split(&globals, argc, argv)) return PAY_EXIT_USAGE;
    if (globals.version) {
        printf("paybuf %s (%s)\n", PAY_VERSION, pay_kafka_library_version());
        return PAY_EXIT_OK;
    }
    if (globals.help_settings) {
        pay_config_help(stdout);
        return PAY_EXIT_OK;
    }
    if (!command_find(&paybuf_commands, globals.word_count, globals.words, &line, message, sizeof message))
        return usage("", message);
    bool incomplete = line.command->run == NULL;
    if (globals.help || (incomplete && globals.word_count == 0)) {
        command_help(&line);
        return PAY_EXIT_OK;
    }
    if (incomplete) return usage(line.path, "which verb?");
    if (!cli_args_parse(line.command->args, line.command->arg_count, globals.word_count - line.used,
                        globals.words + line.used, values, message, sizeof message))
        return usage(line.path, message);
    enum pay_exit status = run(&line, &globals, values);
    free(globals.settings);
    free(globals.words);
    return status;
}

/* _exit: a Kafka handle that is still closing must not be pulled from under its thread by the C library's clean-up. */
int main(int argc, char **argv) {
    enum pay_exit status = main_of(argc, argv);
    bool flushed = fflush(stdout) == 0;
    if (pay_kafka_reaper_closing() > 0) _exit(flushed ? (int)status : PAY_EXIT_FAILURE);
    return flushed ? (int)status : PAY_EXIT_FAILURE;
}
