#include "base/config_table.h"

#include "base/address.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT(field) offsetof(struct pay_config, field), sizeof(((struct pay_config *)0)->field), 0, 0
#define WHOLE(field, least, most) offsetof(struct pay_config, field), sizeof(int64_t), least, most
#define FLAG(field) offsetof(struct pay_config, field), sizeof(bool), 0, 1

/* clang-format off */
const struct pay_config_row pay_config_rows[] = {
    {"topics", "request", "PAYBUF_REQUEST_TOPIC", PAY_CONFIG_NAME, TEXT(request_topic), "pay.requests", false,
     "where requests are appended"},
    {"topics", "reply", "PAYBUF_REPLY_TOPIC", PAY_CONFIG_NAME, TEXT(reply_topic), "pay.replies", false,
     "where answers are published"},
    {"topics", "dlq", "PAYBUF_DLQ_TOPIC", PAY_CONFIG_NAME, TEXT(dead_letter_topic), "pay.dlq", false,
     "where bytes that are no request are kept"},
    {"topics", "allow_unsafe", NULL, PAY_CONFIG_BOOLEAN, FLAG(allow_unsafe_topics), "false", false,
     "go on although the topics' settings can lose payments"},

    {"database", "url", "PAYBUF_DATABASE_URL", PAY_CONFIG_TEXT, TEXT(database_url), "postgresql://paybuf@127.0.0.1:5432/paybuf", true,
     "libpq connection URL"},
    {"database", "allow_unix_socket", NULL, PAY_CONFIG_BOOLEAN, FLAG(database_allow_unix_socket), "false", false,
     "a frozen worker on a unix socket can't be timed out"},
    {"database", "allow_unsafe", NULL, PAY_CONFIG_BOOLEAN, FLAG(database_allow_unsafe), "false", false,
     "go on with fsync or synchronous_commit off"},

    {"producer", "listen", NULL, PAY_CONFIG_ADDRESS, TEXT(producer_listen), "127.0.0.1:8080", false,
     "address of the intake; loopback only as long as there are no API keys"},
    {"producer", "admin", NULL, PAY_CONFIG_ADDRESS, TEXT(producer_admin), "127.0.0.1:9464", false,
     "address of its /livez, /readyz, /metrics, /version"},
    {"producer", "request_timeout_ms", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_request_timeout_ms, 100, 120000), "5000", false,
     "504 outcome_unknown after so long without an acknowledgement"},
    {"producer", "stall_ms", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_stall_ms, 50, 120000), "2000", false,
     "503 up front when the broker acknowledged nothing for so long while something is due"},
    {"producer", "inflight_records_max", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_inflight_records_max, 1, 1000000), "20000", false,
     "records on their way to the broker; more are refused with 503"},
    {"producer", "inflight_bytes_max", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_inflight_bytes_max, 8192, 1073741824), "16777216", false,
     "their bytes"},
    {"producer", "connections_max", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_connections_max, 1, 60000), "4096", false,
     "client connections; more wait to be accepted"},
    {"producer", "linger_ms", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_linger_ms, 0, 1000), "1", false,
     "how long a record waits for company, one that comes alone never and lines of large batches 5 at least; 5 is better under 256 connections and more"},
    {"producer", "drain_ms", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_drain_ms, 0, 600000), "10000", false,
     "SIGTERM: how long calls under way may take to end"},
    {"producer", "log_generation", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_log_generation, 1, 1000000000), "1", false,
     "first number of a position; raised together with `paybuf recover`"},
    {"producer", "connections_per_address_max", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_connections_per_address_max, 0, 60000), "0", false,
     "client connections from one address; 0: half of connections_max, and no such limit when listening on the loopback"},
    {"producer", "batch_lines_max", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_batch_lines_max, 1, 100000), "10000", false,
     "payments in one batch"},
    {"producer", "batch_bytes_max", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_batch_bytes_max, 8192, 1073741824), "8388608", false,
     "bytes of one batch"},
    {"producer", "batches_max", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_batches_max, 1, 10000), "128", false,
     "batches open at once; more are refused with 503"},
    {"producer", "follow_replies", NULL, PAY_CONFIG_BOOLEAN, FLAG(producer_follow_replies), "true", false,
     "read the reply topic, for calls that wait for their result; off saves its work where nobody does"},
    {"producer", "results_bytes", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_results_bytes, 65536, 1073741824), "8388608", false,
     "memory for the last replies"},
    {"producer", "waiters_max", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_waiters_max, 1, 1000000), "10000", false,
     "calls that wait for their result; more are answered 202 at once"},
    {"producer", "known_results", NULL, PAY_CONFIG_BOOLEAN, FLAG(producer_known_results), "false", false,
     "answer a repeated payment from the last replies without a new record (docs/http.md)"},
    {"producer", "results_streams_max", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_results_streams_max, 0, 10000), "100", false,
     "streams of GET /v1/results open at once; more are refused with 503"},
    {"producer", "results_stream_bytes", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_results_stream_bytes, 1048576, 1073741824), "8388608", false,
     "replies kept for all streams together; who is further behind is ended and resumes from the log"},
    {"producer", "database", NULL, PAY_CONFIG_TEXT, TEXT(producer_database), "", true,
     "libpq connection URL of a login with the reader role, for GET /v1/payments/{order_id}; empty: that answers 501"},
    {"producer", "lookups_max", NULL, PAY_CONFIG_INTEGER, WHOLE(producer_lookups_max, 1, 100000), "1000", false,
     "such questions under way or waiting; more are refused with 503"},
    {"producer", "api_keys", NULL, PAY_CONFIG_TEXT, TEXT(producer_api_keys), "", false,
     "file of API keys, read again on SIGHUP (docs/http.md); empty: no keys, loopback only"},

    {"token", "required", NULL, PAY_CONFIG_BOOLEAN, FLAG(token_required), "false", false,
     "take only order ids that POST /v1/order-ids issued"},
    {"token", "secrets", NULL, PAY_CONFIG_TEXT, TEXT(token_secrets), "", false,
     "file of the secrets that sign issued order ids, one per line, the first signs; read again on SIGHUP; empty: ids aren't signed"},
    {"token", "expire_days", NULL, PAY_CONFIG_INTEGER, WHOLE(token_expire_days, 1, 36500), "30", false,
     "an issued order id is taken for so long; longer than any client retries"},

    {"worker", "admin", NULL, PAY_CONFIG_ADDRESS, TEXT(worker_admin), "127.0.0.1:9465", false,
     "address of its /livez, /readyz, /metrics, /version; each worker needs its own"},
    {"worker", "group", NULL, PAY_CONFIG_NAME, TEXT(worker_group), "paybuf", false,
     "consumer group of the workers of one ledger"},
    {"worker", "batch_records_max", NULL, PAY_CONFIG_INTEGER, WHOLE(worker_batch_records_max, 1, 2000), "2000", false,
     "records settled in one transaction; about 500 when workers share hot accounts"},
    {"worker", "linger_ms", NULL, PAY_CONFIG_INTEGER, WHOLE(worker_linger_ms, 0, 1000), "1", false,
     "how long a reply waits for company"},
    {"worker", "drain_ms", NULL, PAY_CONFIG_INTEGER, WHOLE(worker_drain_ms, 0, 600000), "10000", false,
     "SIGTERM: how long the batch under way may take to end"},
};
/* clang-format on */
const size_t pay_config_row_count = sizeof pay_config_rows / sizeof *pay_config_rows;
_Static_assert(sizeof pay_config_rows / sizeof *pay_config_rows <= PAY_CONFIG_KEYS_MAX, "raise PAY_CONFIG_KEYS_MAX");

void pay_config_row_variable(const struct pay_config_row *row, char *ret_variable, size_t size) {
    if (row->variable != NULL) {
        snprintf(ret_variable, size, "%s", row->variable);
        return;
    }
    snprintf(ret_variable, size, "PAYBUF_%s_%s", row->section, row->key);
    for (char *at = ret_variable; *at != '\0'; at++) {
        if (*at >= 'a' && *at <= 'z') *at = (char)(*at - 'a' + 'A');
    }
}

const struct pay_config_row *pay_config_row_find(const char *section, const char *key) {
    for (size_t i = 0; i < pay_config_row_count; i++) {
        if (strcmp(pay_config_rows[i].section, section) == 0 && strcmp(pay_config_rows[i].key, key) == 0)
            return &pay_config_rows[i];
    }
    return NULL;
}

static bool store_integer(const struct pay_config_row *row, int64_t *ret_number, const char *value, char *ret_message,
                          size_t message_size) {
    char *end = NULL;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    bool digits = value[0] != '\0' && strspn(value, "0123456789") == strlen(value);
    if (!digits || errno != 0 || number < row->least || number > row->most) {
        snprintf(ret_message, message_size, "%s; write a whole number from %" PRId64 " to %" PRId64,
                 digits ? "is out of range" : "isn't a whole number", row->least, row->most);
        return false;
    }
    *ret_number = number;
    return true;
}

static bool store_boolean(bool *ret_flag, const char *value, char *ret_message, size_t message_size) {
    static const struct {
        const char *word;
        bool flag;
    } words[] = {{"true", true},   {"yes", true}, {"on", true},   {"1", true},
                 {"false", false}, {"no", false}, {"off", false}, {"0", false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(value, words[i].word) != 0) continue;
        *ret_flag = words[i].flag;
        return true;
    }
    snprintf(ret_message, message_size, "is neither yes nor no; write true or false");
    return false;
}

/* Kafka's rule for topics, and good enough for group names. */
static bool is_kafka_name(const char *value) {
    return value[0] != '\0' && strcmp(value, ".") != 0 && strcmp(value, "..") != 0 &&
           strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == strlen(value);
}

static bool check_text(const struct pay_config_row *row, const char *value, char *ret_message, size_t message_size) {
    char host[128];
    uint16_t port;
    if (strlen(value) >= row->size) {
        snprintf(ret_message, message_size, "is too long; at most %zu characters", row->size - 1);
    } else if (row->type == PAY_CONFIG_NAME && !is_kafka_name(value)) {
        snprintf(ret_message, message_size, "isn't a name that Kafka takes; use letters, digits, '.', '_' and '-'");
    } else if (row->type == PAY_CONFIG_ADDRESS && !pay_address_split(value, host, sizeof host, &port)) {
        snprintf(ret_message, message_size,
                 "isn't an address; write host:port, for example 127.0.0.1:8080 or [::1]:8080");
    } else {
        return true;
    }
    return false;
}

bool pay_config_row_store(const struct pay_config_row *row, struct pay_config *config, const char *value,
                          char *ret_message, size_t message_size) {
    void *field = (char *)config + row->offset;
    switch (row->type) {
    case PAY_CONFIG_INTEGER: return store_integer(row, field, value, ret_message, message_size);
    case PAY_CONFIG_BOOLEAN: return store_boolean(field, value, ret_message, message_size);
    case PAY_CONFIG_TEXT:
    case PAY_CONFIG_NAME:
    case PAY_CONFIG_ADDRESS: break;
    }
    if (!check_text(row, value, ret_message, message_size)) return false;
    memcpy(field, value, strlen(value) + 1);
    return true;
}

/*
 * A URL's password becomes ***; what may hold one in another way is hidden whole. libpq takes a password with ? or @ in it, and a
 * person writes one with / in it, so it reaches to the last @: rather too much is hidden than a letter of it shown.
 */
static void hide_secret(const char *value, char *ret_text, size_t size) {
    bool is_url = strncmp(value, "postgresql://", 13) == 0 || strncmp(value, "postgres://", 11) == 0;
    const char *query = strchr(value, '?');
    bool encoded_names = query != NULL && strchr(query, '%') != NULL; /* p%61ssword=... */
    if (!is_url || encoded_names || strstr(value, "password") != NULL) {
        snprintf(ret_text, size, "%s", value[0] == '\0' ? "" : "***");
        return;
    }
    const char *user = strstr(value, "://") + 3, *at = strrchr(user, '@');
    const char *colon = at != NULL ? memchr(user, ':', (size_t)(at - user)) : NULL;
    if (colon == NULL)
        snprintf(ret_text, size, "%s", value);
    else
        snprintf(ret_text, size, "%.*s:***%s", (int)(colon - value), value, at);
}

void pay_config_row_text(const struct pay_config_row *row, const struct pay_config *config, bool hide, char *ret_text,
                         size_t size) {
    const void *field = (const char *)config + row->offset;
    switch (row->type) {
    case PAY_CONFIG_INTEGER: snprintf(ret_text, size, "%" PRId64, *(const int64_t *)field); break;
    case PAY_CONFIG_BOOLEAN: snprintf(ret_text, size, "%s", *(const bool *)field ? "true" : "false"); break;
    case PAY_CONFIG_TEXT:
    case PAY_CONFIG_NAME:
    case PAY_CONFIG_ADDRESS:
        if (row->secret && hide)
            hide_secret(field, ret_text, size);
        else
            snprintf(ret_text, size, "%s", (const char *)field);
        break;
    }
}
