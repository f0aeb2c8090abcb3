/*
 * config.h - one table of settings: INI file, then PAYBUF_* environment, then --section.key=value flags (later wins).
 *
 * The table (config.c) names for each key: section, name, environment variable, type, range, default, whether it is secret, help;
 * from it come --help's list, --print-config, the sample files in deploy/ and the messages. Unknown keys are errors with a suggestion.
 * [kafka] passes through to librdkafka, names as librdkafka spells them, by an allow list (PITFALLS: a deny list always misses one).
 *
 * A line of the file is at most 199 bytes (libinih); longer values go into the environment or a flag. A key given twice in one file is
 * an error. An unknown PAYBUF_* variable is an error only when it is near a known one: other tools have variables of that prefix, too.
 *
 * Memory: one plain struct. Threads: load before the first thread, read-only afterwards.
 */
#ifndef PAY_BASE_CONFIG_H
#define PAY_BASE_CONFIG_H

#include "base/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Defaults only; bootstrap.servers is 127.0.0.1:9092 then. */
void pay_config_defaults(struct pay_config *config);

/*
 * Loads `path` (NULL: PAYBUF_CONFIG from the environment, else no file), the environment, then flags `--section.key=value` found in argv
 * (they are taken out of argv; *argc shrinks). False: *ret_message says what, why and what to do; exit code 78 is meant.
 */
bool pay_config_load(struct pay_config *config, const char *path, int *argc, char **argv, char *ret_message,
                     size_t message_size);

/* --print-config: every key with its value and where it came from; secrets hidden. */
void pay_config_print(const struct pay_config *config, FILE *out);
/* --help's list of keys, and the commented sample file. */
void pay_config_help(FILE *out);
void pay_config_sample(FILE *out, const char *section_or_null);

#endif
