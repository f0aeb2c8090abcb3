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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PAY_SETTINGS_MAX 48

enum pay_config_source { PAY_FROM_DEFAULT, PAY_FROM_FILE, PAY_FROM_ENVIRONMENT, PAY_FROM_FLAG };

struct pay_setting {
    char name[96];
    char value[1024];
    enum pay_config_source source;
};

#define PAY_CONFIG_KEYS_MAX 48                      /* rows of the table in config_table.c */

struct pay_config {
    struct pay_setting kafka[PAY_SETTINGS_MAX];     /* [kafka], among them bootstrap.servers (PAYBUF_KAFKA_BOOTSTRAP) */
    uint32_t kafka_count;
    char request_topic[250];                        /* [topics] request, PAYBUF_REQUEST_TOPIC */
    char reply_topic[250];                          /* [topics] reply, PAYBUF_REPLY_TOPIC */
    char dead_letter_topic[250];                    /* [topics] dlq, PAYBUF_DLQ_TOPIC */
    char database_url[1024];                        /* [database] url, PAYBUF_DATABASE_URL; secret (password) */
    bool database_allow_unix_socket;                /* [database] allow_unix_socket */
    bool database_allow_unsafe;                     /* [database] allow_unsafe: fsync or synchronous_commit off */

    char producer_listen[128];                      /* [producer] listen, PAYBUF_PRODUCER_LISTEN */
    char producer_admin[128];                       /* [producer] admin, PAYBUF_PRODUCER_ADMIN */
    int64_t producer_request_timeout_ms;            /* [producer] request_timeout_ms: 504 after this long without an acknowledgement */
    int64_t producer_stall_ms;                      /* [producer] stall_ms: no acknowledgement for this long while some are due: 503 up front */
    int64_t producer_inflight_records_max;          /* [producer] inflight_records_max */
    int64_t producer_inflight_bytes_max;            /* [producer] inflight_bytes_max */
    int64_t producer_connections_max;               /* [producer] connections_max */
    int64_t producer_linger_ms;                     /* [producer] linger_ms */
    int64_t producer_drain_ms;                      /* [producer] drain_ms: SIGTERM's bound */
    int64_t producer_log_generation;                /* [producer] log_generation, default 1 */

    char worker_admin[128];                         /* [worker] admin, PAYBUF_WORKER_ADMIN */
    char worker_group[128];                         /* [worker] group, PAYBUF_WORKER_GROUP */
    int64_t worker_batch_records_max;               /* [worker] batch_records_max, 1..2000 */
    int64_t worker_linger_ms;                       /* [worker] linger_ms of the reply producers */
    int64_t worker_drain_ms;                        /* [worker] drain_ms: SIGTERM's bound */
    bool allow_unsafe_topics;                       /* [topics] allow_unsafe: go on although a precondition of PROMISES fails */

    enum pay_config_source sources[PAY_CONFIG_KEYS_MAX];    /* where each row's value came from, in the table's order */
};

/* Defaults only; bootstrap.servers is 127.0.0.1:9092 then. */
void pay_config_defaults(struct pay_config *config);

/*
 * Loads `path` (NULL: PAYBUF_CONFIG from the environment, else no file), the environment, then flags `--section.key=value` found in argv
 * (they are taken out of argv; *argc shrinks). False: *ret_message says what, why and what to do; exit code 78 is meant.
 */
bool pay_config_load(struct pay_config *config, const char *path, int *argc, char **argv, char *ret_message, size_t message_size);

/* --print-config: every key with its value and where it came from; secrets hidden. */
void pay_config_print(const struct pay_config *config, FILE *out);
/* --help's list of keys, and the commented sample file. */
void pay_config_help(FILE *out);
void pay_config_sample(FILE *out, const char *section_or_null);

/* "host:port" -> both; false when it isn't that. IPv6 in brackets. */
bool pay_config_split_address(const char *address, char *ret_host, size_t host_size, uint16_t *ret_port);

#endif
