/*
 * target_config.c - settings from a file, the environment and flags.
 *
 * Input: the file's text; behind a line that is "---": one PAYBUF_ variable (NAME=value) or flag (--section.key=value) a line.
 * Oracle: a message for each refusal, with the file and a line that exists; everything accepted is within the table's rules and the
 * allow list; what --print-config shows can be loaded again and says the same; a secret is in neither.
 * A secret is the word SECRET below, standing once in the whole input, where a person would write a password.
 */
#define _GNU_SOURCE /* memfd_create, memmem */
#include "base/address.h"
#include "base/config.h"
#include "base/config_table.h"
#include "base/kafka_settings.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECRET "s3cr3t"
#define WORDS_MAX 16

extern char **environ;

struct words {
    char *environment[WORDS_MAX + 1], *flags[WORDS_MAX + 2];
    int variables, flag_count;
};

/* ---- what is a secret ---- */

static bool begins(const char *line, size_t length, const char *start) {
    return length >= strlen(start) && memcmp(line, start, strlen(start)) == 0;
}

/* user:PASSWORD@ behind ://, as a person reads it: to the last @. Or a parameter of that name. */
static bool password_of_url(const char *url, const char *secret) {
    const char *scheme = strstr(url, "://"), *at = strrchr(url, '@');
    const char *colon = scheme != NULL ? strchr(scheme + 3, ':') : NULL;
    bool between = colon != NULL && at != NULL && colon < secret && secret < at;
    return between || (secret - url >= 9 && memcmp(secret - 9, "password=", 9) == 0);
}

static bool line_is_secret(const char *line, const char *secret) {
    static const char *const starts[] = {"sasl.password =",
                                         "sasl.password=",
                                         "ssl.key.password =",
                                         "PAYBUF_KAFKA_SASL_PASSWORD=",
                                         "PAYBUF_KAFKA_SSL_KEY_PEM=",
                                         "--kafka.sasl.password=",
                                         "--kafka.sasl.oauthbearer.config="};
    static const char *const urls[] = {"url =", "url=", "PAYBUF_DATABASE_URL=", "--database.url="};
    size_t length = strlen(line);
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (begins(line, length, starts[i]) && line + strlen(starts[i]) <= secret) return true;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        if (begins(line, length, urls[i])) return password_of_url(line, secret);
    return false;
}

static bool holds_a_secret(const char *whole) {
    const char *secret = strstr(whole, SECRET);
    if (secret == NULL || strstr(secret + 1, SECRET) != NULL) return false;
    const char *start = secret, *end = strchr(secret, '\n');
    while (start > whole && start[-1] != '\n') start--;
    char *line = fuzz_text(start, end != NULL ? (size_t)(end - start) : strlen(start));
    bool is = line_is_secret(line, line + (secret - start));
    free(line);
    return is;
}

/* ---- what was loaded ---- */

static void check_row(const struct pay_config_row *row, const struct pay_config *config) {
    const void *field = (const char *)config + row->offset;
    const char *text = field;
    char host[128];
    uint16_t port;
    switch (row->type) {
    case PAY_CONFIG_INTEGER:
        FUZZ_CHECK(*(const int64_t *)field >= row->least && *(const int64_t *)field <= row->most);
        return;
    case PAY_CONFIG_BOOLEAN: return;
    case PAY_CONFIG_NAME:
        FUZZ_CHECK(text[0] != '\0' && strcmp(text, ".") != 0 && strcmp(text, "..") != 0);
        for (; *text != '\0'; text++)
            FUZZ_CHECK(strchr("._-", *text) != NULL || (*text >= '0' && *text <= '9') ||
                       (*text >= 'A' && *text <= 'Z') || (*text >= 'a' && *text <= 'z'));
        return;
    case PAY_CONFIG_ADDRESS: FUZZ_CHECK(pay_address_split(text, host, sizeof host, &port)); return;
    case PAY_CONFIG_TEXT: FUZZ_CHECK(strlen(text) < row->size); return;
    }
}

static void check_loaded(const struct pay_config *config) {
    FUZZ_CHECK(config->kafka_count >= 1 && config->kafka_count <= PAY_SETTINGS_MAX);
    for (uint32_t i = 0; i < config->kafka_count; i++) {
        FUZZ_CHECK(pay_kafka_settings_find(config->kafka[i].name, NULL, 0) != NULL);
        FUZZ_CHECK(strncmp(config->kafka[i].name, "test.", 5) != 0 && strstr(config->kafka[i].name, "mock") == NULL);
        for (uint32_t j = 0; j < i; j++) FUZZ_CHECK(strcmp(config->kafka[i].name, config->kafka[j].name) != 0);
    }
    for (size_t i = 0; i < pay_config_row_count; i++) check_row(&pay_config_rows[i], config);
}

static char *print(const struct pay_config *config) {
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL) abort();
    pay_config_print(config, out);
    fclose(out);
    return text;
}

static int file_of(const char *text, size_t length, char path[32]) {
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, text, length) != (ssize_t)length) abort();
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

/* A value that INI can't carry (blanks at its ends, comment signs, control characters, too long) can't come back from the printed form. */
static bool fits_ini(const char *value) {
    size_t length = strlen(value);
    if (length == 0 || length > 120 || strpbrk(value, ";#\"") != NULL || value[0] == ' ' || value[length - 1] == ' ')
        return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)value[i] < ' ' || (unsigned char)value[i] > '~') return false;
    return true;
}

static void check_printed(const struct pay_config *config, const char *printed) {
    struct pay_config again;
    char path[32], message[1024] = "", text[1100], other[1100];
    bool clean = true;
    for (uint32_t i = 0; i < config->kafka_count; i++) clean = clean && fits_ini(config->kafka[i].value);
    for (size_t i = 0; i < pay_config_row_count; i++) {
        pay_config_row_text(&pay_config_rows[i], config, true, text, sizeof text);
        clean = clean && fits_ini(text);
    }
    if (!clean) return;
    int fd = file_of(printed, strlen(printed), path);
    environ[0] = NULL;
    FUZZ_CHECK(pay_config_load(&again, path, NULL, NULL, message, sizeof message));
    close(fd);
    for (size_t i = 0; i < pay_config_row_count; i++) {
        if (pay_config_rows[i].secret) continue;
        pay_config_row_text(&pay_config_rows[i], config, false, text, sizeof text);
        pay_config_row_text(&pay_config_rows[i], &again, false, other, sizeof other);
        FUZZ_CHECK(strcmp(text, other) == 0);
    }
    FUZZ_CHECK(again.kafka_count == config->kafka_count);
}

static void check_message(const char *message, const char *path, const char *file_text) {
    size_t length = strlen(path);
    FUZZ_CHECK(message[0] != '\0');
    if (strncmp(message, path, length) != 0) return; /* of the environment or a flag */
    long line = 0, lines = 1;
    for (const char *at = file_text; *at != '\0'; at++) lines += *at == '\n';
    FUZZ_CHECK(sscanf(message + length, " line %ld: ", &line) == 1 && line >= 1 && line <= lines);
}

static void take_words(struct fuzz_input *in, struct words *words) {
    while (in->left > 0) {
        size_t length;
        const char *line = fuzz_line(in, &length);
        if (begins(line, length, "PAYBUF_") && words->variables < WORDS_MAX)
            words->environment[words->variables++] = fuzz_text(line, length);
        else if (begins(line, length, "-") && words->flag_count < WORDS_MAX)
            words->flags[1 + words->flag_count++] = fuzz_text(line, length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char program[] = "fuzz", message[1024], path[32];
    struct words words = {.flags = {program}};
    struct pay_config config;
    char *whole = fuzz_text(data, size);
    bool secret = strlen(whole) == size && holds_a_secret(whole);
    const char *border = size > 0 ? memmem(data, size, "\n---\n", 5) : NULL;
    size_t file_length = border != NULL ? (size_t)(border - (const char *)data) + 1 : size;
    char *file_text = fuzz_text(data, file_length);
    struct fuzz_input rest = {data, size};
    if (border != NULL) {
        rest = (struct fuzz_input){data + file_length + 4, size - file_length - 4};
        take_words(&rest, &words);
    }
    int fd = file_of((const char *)data, file_length, path), argc = 1 + words.flag_count;
    char **environment_before = environ, *to_free[WORDS_MAX];
    memcpy(to_free, words.flags + 1, sizeof to_free);
    environ = words.environment;
    char *first_variable = words.environment[0];
    message[0] = '\0';
    bool loaded = pay_config_load(&config, path, &argc, words.flags, message, sizeof message);
    close(fd);
    if (loaded) {
        char *printed = print(&config);
        check_loaded(&config);
        FUZZ_CHECK(!secret || strstr(printed, SECRET) == NULL);
        check_printed(&config, printed);
        free(printed);
    } else {
        if (strlen(file_text) == file_length) check_message(message, path, file_text);
        FUZZ_CHECK(!secret || strstr(message, SECRET) == NULL);
    }
    environ = environment_before;
    words.environment[0] = first_variable;
    for (int i = 0; i < words.variables; i++) free(words.environment[i]);
    for (int i = 0; i < words.flag_count; i++) free(to_free[i]);
    free(file_text);
    free(whole);
    return 0;
}
