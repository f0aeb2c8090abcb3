#include "base/config.h"

#include "base/config_table.h"
#include "base/kafka_settings.h"
#include "base/suggest.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PREFIX "PAYBUF_" /* of settings in the environment */

extern char **environ;

/* One load: where we are, and the first thing that was wrong. */
struct load {
    struct pay_config *config;
    enum pay_config_source source;
    const char *path;
    int line;
    bool too_long; /* the line that was read didn't fit */
    FILE *file;
    bool failed;
    char *message;
    size_t message_size;
};

static bool fail(struct load *load, const char *what, const char *why) {
    if (load->failed) return false; /* the first one is the one to repair first */
    load->failed = true;
    if (load->source == PAY_FROM_FILE)
        snprintf(load->message, load->message_size, "%s line %d: %s %s", load->path, load->line, what, why);
    else
        snprintf(load->message, load->message_size, "%s %s", what, why);
    return false;
}

/* "[producer] listen = x", "PAYBUF_PRODUCER_LISTEN=x", "--producer.listen=x": as it was written, for messages. */
static void describe(const struct load *load, const char *section, const char *key, const char *value, bool secret,
                     char *ret_text, size_t size) {
    const char *shown = secret ? "***" : value;
    if (load->source == PAY_FROM_FILE)
        snprintf(ret_text, size, "[%s] %s = %s", section, key, shown);
    else if (load->source == PAY_FROM_FLAG)
        snprintf(ret_text, size, "--%s.%s=%s", section, key, shown);
    else
        snprintf(ret_text, size, "%s=%s", key, shown);
}

static struct pay_setting *find_setting(struct pay_config *config, const char *name) {
    for (uint32_t i = 0; i < config->kafka_count; i++) {
        if (strcmp(config->kafka[i].name, name) == 0) return &config->kafka[i];
    }
    return NULL;
}

static bool store_kafka(struct load *load, const char *written, const char *name, const char *value) {
    struct pay_setting *setting = find_setting(load->config, name);
    if (strlen(value) >= sizeof setting->value) return fail(load, written, "is too long; at most 1023 characters");
    if (setting == NULL) {
        if (load->config->kafka_count == PAY_SETTINGS_MAX)
            return fail(load, written, "is one [kafka] setting too many; at most 48");
        setting = &load->config->kafka[load->config->kafka_count++];
        snprintf(setting->name, sizeof setting->name, "%s", name);
    } else if (load->source == PAY_FROM_FILE && setting->source == PAY_FROM_FILE) {
        return fail(load, written,
                    "is given twice; remove one (a line that begins with a blank continues the one before)");
    }
    memcpy(setting->value, value, strlen(value) + 1);
    setting->source = load->source;
    return true;
}

static bool set_kafka(struct load *load, const char *name, const char *value) {
    char written[640], hint[256];
    const struct pay_kafka_setting *known = pay_kafka_settings_find(name, hint, sizeof hint);
    describe(load, "kafka", name, value, known == NULL || known->secret, written, sizeof written);
    if (known != NULL) return store_kafka(load, written, name, value);
    char why[320];
    snprintf(why, sizeof why, "isn't a setting that [kafka] passes on: %s", hint);
    return fail(load, written, why);
}

static bool set_row(struct load *load, const struct pay_config_row *row, const char *written, const char *value) {
    char why[256];
    size_t index = (size_t)(row - pay_config_rows);
    if (load->source == PAY_FROM_FILE && load->config->sources[index] == PAY_FROM_FILE) {
        return fail(load, written,
                    "is given twice; remove one (a line that begins with a blank continues the one before)");
    }
    if (!pay_config_row_store(row, load->config, value, why, sizeof why)) return fail(load, written, why);
    load->config->sources[index] = load->source;
    return true;
}

static bool unknown_key(struct load *load, const char *section, const char *key, const char *written) {
    char wanted[192], why[320];
    struct pay_suggestion suggestion = {.word = wanted};
    static char names[PAY_CONFIG_KEYS_MAX][64]; /* filled the same way each time */
    snprintf(wanted, sizeof wanted, "%s.%s", section, key);
    for (size_t i = 0; i < pay_config_row_count; i++) {
        snprintf(names[i], sizeof names[i], "%s.%s", pay_config_rows[i].section, pay_config_rows[i].key);
        pay_suggestion_offer(&suggestion, names[i]);
    }
    const char *near = pay_suggestion_take(&suggestion);
    if (near == NULL) return fail(load, written, "isn't a setting; paybuf --help-settings lists them all");
    snprintf(why, sizeof why, "isn't a setting; did you mean %s in [%.*s]?", strchr(near, '.') + 1,
             (int)strcspn(near, "."), near);
    return fail(load, written, why);
}

static bool set(struct load *load, const char *section, const char *key, const char *value) {
    char written[640];
    if (strcmp(section, "kafka") == 0) return set_kafka(load, key, value);
    const struct pay_config_row *row = pay_config_row_find(section, key);
    describe(load, section, key, value, row == NULL || row->secret, written, sizeof written);
    if (row == NULL) return unknown_key(load, section, key, written);
    return set_row(load, row, written, value);
}

void pay_config_defaults(struct pay_config *config) {
    char ignored[256];
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < pay_config_row_count; i++) {
        if (!pay_config_row_store(&pay_config_rows[i], config, pay_config_rows[i].initial, ignored, sizeof ignored))
            abort();
    }
    config->kafka_count = 1;
    snprintf(config->kafka[0].name, sizeof config->kafka[0].name, "bootstrap.servers");
    snprintf(config->kafka[0].value, sizeof config->kafka[0].value, "127.0.0.1:9092");
}

/* --- the file ----------------------------------------------------------------------------------------------------------------- */

static int on_pair(void *argument, const char *section, const char *key, const char *value) {
    return set(argument, section, key, value) ? 1 : 0;
}

/* fgets that counts lines; libinih asks for one line at a time, and would read a longer one as two. */
static char *read_line(char *buffer, int size, void *argument) {
    struct load *load = argument;
    if (fgets(buffer, size, load->file) == NULL) return NULL;
    load->line++;
    if (strchr(buffer, '\n') != NULL || feof(load->file)) return buffer;
    char why[128];
    snprintf(why, sizeof why, "is longer than %d bytes; put the value into the environment or a flag", size - 2);
    fail(load, "the line", why);
    return NULL;
}

static bool load_file(struct load *load) {
    load->source = PAY_FROM_FILE;
    load->file = fopen(load->path, "re");
    if (load->file == NULL) {
        snprintf(load->message, load->message_size,
                 "can't read the configuration %s: %s; name another with --config FILE or PAYBUF_CONFIG", load->path,
                 strerror(errno));
        return false;
    }
    int bad_line = ini_parse_stream(read_line, load, on_pair, load);
    bool read_error = ferror(load->file) != 0;
    fclose(load->file);
    if (bad_line > 0 && !load->failed) {
        load->line = bad_line;
        fail(load, "this", "is neither [section] nor key = value nor a comment (# or ;)");
    } else if (read_error) {
        fail(load, "the file", "can't be read");
    }
    return !load->failed;
}

/* --- the environment ---------------------------------------------------------------------------------------------------------- */

static bool load_environment(struct load *load) {
    char variable[128], written[640];
    load->source = PAY_FROM_ENVIRONMENT;
    for (size_t i = 0; i < pay_config_row_count; i++) {
        const struct pay_config_row *row = &pay_config_rows[i];
        pay_config_row_variable(row, variable, sizeof variable);
        const char *value = getenv(variable);
        if (value == NULL) continue;
        describe(load, row->section, variable, value, row->secret, written, sizeof written);
        if (!set_row(load, row, written, value)) return false;
    }
    size_t count;
    const struct pay_kafka_setting *settings = pay_kafka_settings(&count);
    for (size_t i = 0; i < count; i++) {
        pay_kafka_settings_variable(settings[i].name, variable, sizeof variable);
        const char *value = getenv(variable);
        if (value == NULL) continue;
        describe(load, "kafka", variable, value, settings[i].secret, written, sizeof written);
        if (!store_kafka(load, written, settings[i].name, value)) return false;
    }
    return true;
}

/* Variables of the prefix that belong to ./dev, to tests and to other tools. */
static bool is_foreign_variable(const char *name) {
    static const char *const prefixes[] = {"PAYBUF_TEST_", "PAYBUF_PORT_", "PAYBUF_KAFKA_VERSION", "PAYBUF_KAFKA_HEAP",
                                           "PAYBUF_CONFIG"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) return true;
    }
    return false;
}

/* PAYBUF_SECTION_...: nothing but settings is named so. */
static bool is_of_section(const char *variable, const char *section) {
    size_t length = strlen(section);
    const char *name = variable + sizeof PREFIX - 1;
    return strncasecmp(name, section, length) == 0 && name[length] == '_';
}

static bool is_of_a_section(const char *variable) {
    for (size_t i = 0; i < pay_config_row_count; i++) {
        if (is_of_section(variable, pay_config_rows[i].section)) return true;
    }
    return is_of_section(variable, "kafka");
}

/* Of no setting, but named after a section, or another by a letter or two: a slip, which silently ignored would be a trap. */
static bool check_variable(struct load *load, const char *name) {
    static char names[PAY_CONFIG_KEYS_MAX + 64][128];
    size_t count, filled = 0;
    const struct pay_kafka_setting *settings = pay_kafka_settings(&count);
    struct pay_suggestion suggestion = {.word = name};
    for (size_t i = 0; i < pay_config_row_count; i++)
        pay_config_row_variable(&pay_config_rows[i], names[filled++], sizeof names[0]);
    for (size_t i = 0; i < count && filled < sizeof names / sizeof *names; i++) {
        pay_kafka_settings_variable(settings[i].name, names[filled++], sizeof names[0]);
    }
    for (size_t i = 0; i < filled; i++) pay_suggestion_offer(&suggestion, names[i]);
    bool similar = suggestion.best_distance <= 2;
    if (suggestion.best_distance == 0 || (!similar && !is_of_a_section(name))) return true;
    char why[256] = "in the environment isn't a setting; paybuf --help-settings lists them all";
    if (similar) snprintf(why, sizeof why, "in the environment isn't a setting; did you mean %s?", suggestion.best);
    return fail(load, name, why);
}

static bool check_environment(struct load *load) {
    for (char **at = environ; at != NULL && *at != NULL; at++) {
        char name[128];
        size_t length = strcspn(*at, "=");
        if (strncmp(*at, PREFIX, sizeof PREFIX - 1) != 0 || length >= sizeof name) continue;
        memcpy(name, *at, length);
        name[length] = '\0';
        if (!is_foreign_variable(name) && !check_variable(load, name)) return false;
    }
    return true;
}

/* --- flags -------------------------------------------------------------------------------------------------------------------- */

/* "--section.key=value" into its parts; false: another kind of argument. *ret_value NULL: there is no '='. */
static bool split_flag(const char *argument, char *ret_section, size_t section_size, char *ret_key, size_t key_size,
                       const char **ret_value) {
    if (strncmp(argument, "--", 2) != 0) return false;
    const char *name = argument + 2;
    size_t name_length = strcspn(name, "=");
    size_t section_length = strcspn(name, ".=");
    if (section_length == 0 || name[section_length] != '.') return false;
    size_t key_length = name_length - section_length - 1;
    if (section_length >= section_size || key_length == 0 || key_length >= key_size) return false;
    memcpy(ret_section, name, section_length);
    ret_section[section_length] = '\0';
    memcpy(ret_key, name + section_length + 1, key_length);
    ret_key[key_length] = '\0';
    *ret_value = name[name_length] == '=' ? name + name_length + 1 : NULL;
    return true;
}

static bool load_flags(struct load *load, int *argc, char **argv) {
    int kept = 1, i = 1;
    load->source = PAY_FROM_FLAG;
    for (; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        char section[64], key[96];
        const char *value;
        if (!split_flag(argv[i], section, sizeof section, key, sizeof key, &value)) {
            argv[kept++] = argv[i];
            continue;
        }
        if (value == NULL) return fail(load, argv[i], "has no value; write --section.key=value");
        if (!set(load, section, key, value)) return false;
    }
    for (; i < *argc; i++) argv[kept++] = argv[i]; /* from "--" on nothing is ours */
    *argc = kept;
    argv[kept] = NULL;
    return true;
}

/* --- what only all of them together show --------------------------------------------------------------------------------------- */

/* A worker that answers into its own requests would answer its answers, for ever. */
static bool check_topics(struct load *load) {
    const struct pay_config *config = load->config;
    const struct {
        const char *left, *right, *names;
    } pairs[] = {{config->request_topic, config->reply_topic, "request and reply"},
                 {config->request_topic, config->dead_letter_topic, "request and dlq"},
                 {config->reply_topic, config->dead_letter_topic, "reply and dlq"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (strcmp(pairs[i].left, pairs[i].right) != 0) continue;
        snprintf(load->message, load->message_size, "[topics] %s are both %s; give each a topic of its own",
                 pairs[i].names, pairs[i].left);
        return false;
    }
    return true;
}

bool pay_config_load(struct pay_config *config, const char *path, int *argc, char **argv, char *ret_message,
                     size_t message_size) {
    struct load load = {.config = config,
                        .path = path != NULL ? path : getenv("PAYBUF_CONFIG"),
                        .message = ret_message,
                        .message_size = message_size};
    pay_config_defaults(config);
    if (load.path != NULL && load.path[0] != '\0' && !load_file(&load)) return false;
    return load_environment(&load) && check_environment(&load) && (argc == NULL || load_flags(&load, argc, argv)) &&
           check_topics(&load);
}
