/*
 * settings.h - the values that config.h loads: one plain struct, each member named after its section and key.
 * Units are in the names. Memory: no pointers, copy it as you like.
 */
#ifndef PAY_BASE_SETTINGS_H
#define PAY_BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAY_SETTINGS_MAX 48

enum pay_config_source { PAY_FROM_DEFAULT, PAY_FROM_FILE, PAY_FROM_ENVIRONMENT, PAY_FROM_FLAG };

struct pay_setting {
    char name[96];
    char value[1024];
    enum pay_config_source source;
};

#define PAY_CONFIG_KEYS_MAX 48 /* rows of the table in config_table.c */

struct pay_config {
    struct pay_setting kafka[PAY_SETTINGS_MAX]; /* [kafka], among them bootstrap.servers (PAYBUF_KAFKA_BOOTSTRAP) */
    uint32_t kafka_count;
    char request_topic[250];         /* [topics] request, PAYBUF_REQUEST_TOPIC */
    char reply_topic[250];           /* [topics] reply, PAYBUF_REPLY_TOPIC */
    char dead_letter_topic[250];     /* [topics] dlq, PAYBUF_DLQ_TOPIC */
    char database_url[1024];         /* [database] url, PAYBUF_DATABASE_URL; secret (password) */
    bool database_allow_unix_socket; /* [database] allow_unix_socket */
    bool database_allow_unsafe;      /* [database] allow_unsafe: fsync or synchronous_commit off */

    char producer_listen[128];             /* [producer] listen, PAYBUF_PRODUCER_LISTEN */
    char producer_admin[128];              /* [producer] admin, PAYBUF_PRODUCER_ADMIN */
    int64_t producer_request_timeout_ms;   /* [producer] request_timeout_ms: 504 after it */
    int64_t producer_stall_ms;             /* [producer] stall_ms: so long without any acknowledgement: 503 */
    int64_t producer_inflight_records_max; /* [producer] inflight_records_max */
    int64_t producer_inflight_bytes_max;   /* [producer] inflight_bytes_max */
    int64_t producer_connections_max;      /* [producer] connections_max */
    int64_t producer_linger_ms;            /* [producer] linger_ms */
    int64_t producer_drain_ms;             /* [producer] drain_ms: SIGTERM's bound */
    int64_t producer_log_generation;       /* [producer] log_generation, default 1 */
    int64_t
        producer_connections_per_address_max; /* [producer] connections_per_address_max; 0: by the address listened on */
    int64_t producer_batch_lines_max;         /* [producer] batch_lines_max */
    int64_t producer_batch_bytes_max;         /* [producer] batch_bytes_max */
    int64_t producer_batches_max;             /* [producer] batches_max: open at once */
    bool producer_follow_replies;             /* [producer] follow_replies */
    int64_t producer_results_bytes;           /* [producer] results_bytes: of the last replies */
    int64_t producer_waiters_max;             /* [producer] waiters_max */
    int64_t producer_results_streams_max;     /* [producer] results_streams_max */
    int64_t producer_results_stream_bytes;    /* [producer] results_stream_bytes */
    char producer_database[1024];             /* [producer] database; "": none; secret (password) */
    int64_t producer_lookups_max;             /* [producer] lookups_max */
    bool producer_known_results;              /* [producer] known_results */
    char producer_api_keys[512];              /* [producer] api_keys: a file; "": none, loopback only */
    bool token_required;                      /* [token] required */
    char token_secrets[512];                  /* [token] secrets: a file; "": order ids carry no token */
    int64_t token_expire_days;                /* [token] expire_days */

    char worker_admin[128];           /* [worker] admin, PAYBUF_WORKER_ADMIN */
    char worker_group[128];           /* [worker] group, PAYBUF_WORKER_GROUP */
    int64_t worker_batch_records_max; /* [worker] batch_records_max, 1..2000 */
    int64_t worker_linger_ms;         /* [worker] linger_ms of the reply producers */
    int64_t worker_drain_ms;          /* [worker] drain_ms: SIGTERM's bound */
    bool allow_unsafe_topics;         /* [topics] allow_unsafe: go on although a precondition of PROMISES fails */

    enum pay_config_source sources[PAY_CONFIG_KEYS_MAX]; /* where each row's value came from, in the table's order */
};

#endif
