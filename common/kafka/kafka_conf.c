#include "base/kafka_settings.h"
#include "kafka/kafka_conf_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Settings that only one kind of handle has; the other kind would complain in its log. */
static const struct {
    const char *prefix;
    enum pay_kafka_role role;
} one_role[] = {
    {"fetch.", PAY_KAFKA_CONSUMER},
    {"queued.", PAY_KAFKA_CONSUMER},
    {"max.partition.fetch.", PAY_KAFKA_CONSUMER},
    {"queue.buffering.", PAY_KAFKA_PRODUCER},
    {"linger.", PAY_KAFKA_PRODUCER},
    {"compression.", PAY_KAFKA_PRODUCER},
};

/* Ours, on every handle. */
static const struct pay_kafka_fixed always[] = {
    {"allow.auto.create.topics", "false", false},
    {"socket.timeout.ms", "10000", false},
    {"socket.nagle.disable", "true", false},
    {"socket.keepalive.enable", "true", true},
    {"reconnect.backoff.ms", "50", false},
    {"reconnect.backoff.max.ms", "1000", false}, /* a broker that is back is found within a second */
    {"topic.metadata.refresh.interval.ms", "30000", false},
    {"topic.metadata.refresh.fast.interval.ms", "100", false},
    {"log.queue", "true", false},             /* log lines come by the queue, in the polling thread */
    {"log.connection.close", "false", false}, /* brokers close idle connections: no news */
    {NULL, NULL, false},
};

static bool belongs(const char *name, int roles) {
    for (size_t i = 0; i < sizeof one_role / sizeof one_role[0]; i++) {
        if (strncmp(name, one_role[i].prefix, strlen(one_role[i].prefix)) == 0)
            return (roles & (int)one_role[i].role) != 0;
    }
    return true;
}

static enum pay_move refuse(struct pay_error *error, const char *code) {
    error->move = PAY_REFUSE;
    snprintf(error->code, sizeof error->code, "%s", code);
    return PAY_REFUSE;
}

/* What librdkafka says about a name and value; the value itself may be a password and isn't shown. */
static enum pay_move set_one(rd_kafka_conf_t *conf, const char *name, const char *value, struct pay_error *error) {
    char why[PAY_KAFKA_ERRSTR_MAX];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK) return PAY_OK;
    snprintf(error->text, sizeof error->text, "[kafka] %s: %s", name, why);
    return refuse(error, "setting");
}

static enum pay_move set_fixed(rd_kafka_conf_t *conf, const struct pay_kafka_fixed *fixed, bool may_override,
                               struct pay_error *error) {
    for (; fixed->name != NULL; fixed++) {
        if (fixed->may_override != may_override) continue;
        enum pay_move move = set_one(conf, fixed->name, fixed->value, error);
        if (move != PAY_OK) return move;
    }
    return PAY_OK;
}

static enum pay_move set_users(rd_kafka_conf_t *conf, const struct pay_setting *settings, uint32_t count, int roles,
                               struct pay_error *error) {
    bool has_servers = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct pay_setting *setting = &settings[i];
        char hint[192];
        if (pay_kafka_settings_find(setting->name, hint, sizeof hint) == NULL) {
            snprintf(error->text, sizeof error->text, "[kafka] %s: %s", setting->name, hint);
            return refuse(error, "setting");
        }
        has_servers = has_servers || (strcmp(setting->name, "bootstrap.servers") == 0 && setting->value[0] != '\0');
        enum pay_move move =
            belongs(setting->name, roles) ? set_one(conf, setting->name, setting->value, error) : PAY_OK;
        if (move != PAY_OK) return move;
    }
    if (has_servers) return PAY_OK;
    snprintf(error->text, sizeof error->text,
             "no broker to talk to: set [kafka] bootstrap.servers or PAYBUF_KAFKA_BOOTSTRAP to host:port");
    return refuse(error, "setting");
}

enum pay_move pay_kafka_settings_check(const struct pay_setting *settings, uint32_t count, struct pay_error *error) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum pay_move move = set_users(conf, settings, count, PAY_KAFKA_CONSUMER | PAY_KAFKA_PRODUCER, error);
    rd_kafka_conf_destroy(conf);
    return move;
}

const char *pay_kafka_library_version(void) {
    static char text[48];
    snprintf(text, sizeof text, "librdkafka %s", rd_kafka_version_str());
    return text;
}

static enum pay_move fill(rd_kafka_conf_t *conf, const struct pay_kafka_options *options, enum pay_kafka_role role,
                          const struct pay_kafka_fixed *fixed, struct pay_error *error) {
    assert(strlen(options->client_id) <= PAY_KAFKA_CLIENT_ID_MAX);
    enum pay_move move = set_one(conf, "client.id", options->client_id, error);
    if (move == PAY_OK) move = set_fixed(conf, always, true, error);
    if (move == PAY_OK) move = set_fixed(conf, fixed, true, error);
    if (move == PAY_OK) move = set_users(conf, options->settings, options->setting_count, (int)role, error);
    if (move == PAY_OK) move = set_fixed(conf, always, false, error);
    if (move == PAY_OK) move = set_fixed(conf, fixed, false, error);
    return move;
}

enum pay_move pay_kafka_conf_new(const struct pay_kafka_options *options, enum pay_kafka_role role,
                                 const struct pay_kafka_fixed *fixed, rd_kafka_conf_t **ret_conf,
                                 struct pay_error *error) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum pay_move move = fill(conf, options, role, fixed, error);
    if (move != PAY_OK)
        rd_kafka_conf_destroy(conf);
    else
        *ret_conf = conf;
    return move;
}
