/*
 * main.c - paybuf-producer, the intake: POST a payment, get 202 when every in-sync replica of the request log has it.
 *
 * Reading order of this folder: http.h (the seam to the library), routes.c (the table of routes and what all have in common), route.h
 * (what a route gets), route_payments.c, route_batch.c, route_order_ids.c (what a call means), payment.c (body to payment), auth.h,
 * order_token.h, appender.c (what became of a record), pending.h (the records on their way), follower.h (the replies as they come, found
 * by a scout.h, kept in results.h), waiters.h (who waits for one), streams.c and route_results.c (told to all who listen),
 * route_status.c, lookup.h, books.c (asked for one by one), intake.c (the loop).
 */
#include "base/listen.h"
#include "base/log.h"
#include "base/options.h"
#include "base/signals.h"
#include "codec/request_codec.h"
#include "kafka/kafka_conf.h"
#include "kafka/kafka_reaper.h"
#include "pg/pg.h"
#include "producer/auth.h"
#include "producer/http.h"
#include "producer/intake.h"
#include "producer/order_token.h"

#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define CLOSE_MS                                                                                                       \
    5000 /* librdkafka may hang in closing with the broker down (PITFALLS); everything is durable by then */

static const char examples[] =
    "  paybuf-producer --config /etc/paybuf/paybuf.conf\n"
    "  PAYBUF_KAFKA_BOOTSTRAP=127.0.0.1:9092 paybuf-producer --producer.listen=127.0.0.1:8080\n"
    "  curl -i http://127.0.0.1:8080/v1/payments -H 'Content-Type: application/json' \\\n"
    "       -d '{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\"}'\n";

/* A connection is a descriptor; the usual soft limit of 1024 would be reached long before connections_max. */
static void raise_descriptor_limit(int64_t connections_max) {
    struct rlimit limit;
    rlim_t wanted = (rlim_t)connections_max + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
        pay_log(PAY_LOG_WARNING,
                "only %ld file descriptors allowed: fewer than connections_max connections fit; raise the limit "
                "(LimitNOFILE)",
                (long)limit.rlim_cur);
    }
}

static bool check_files(const struct pay_config *config, char *ret_message, size_t message_size) {
    if (config->producer_api_keys[0] != '\0') {
        struct pay_auth *auth = pay_auth_open(config->producer_api_keys, ret_message, message_size);
        if (auth == NULL) return false;
        pay_auth_close(auth);
    }
    if (config->token_secrets[0] == '\0') return true;
    struct pay_order_tokens *tokens =
        pay_order_tokens_open(config->token_secrets, config->token_expire_days, ret_message, message_size);
    if (tokens == NULL) return false;
    pay_order_tokens_close(tokens);
    return true;
}

/* What can be judged without a broker. */
static bool check(const struct pay_config *config, char *ret_message, size_t message_size) {
    struct pay_error error;
    if (config->producer_api_keys[0] == '\0' && !pay_listen_is_loopback(config->producer_listen)) {
        snprintf(ret_message, message_size,
                 "refusing to listen on %s: no API keys are configured, so anybody could order payments; "
                 "set [producer] api_keys, or listen on 127.0.0.1:PORT behind something that authenticates",
                 config->producer_listen);
        return false;
    }
    if (config->token_required && config->token_secrets[0] == '\0') {
        snprintf(ret_message, message_size,
                 "[token] required needs [token] secrets: a file with the secret that signs order ids");
        return false;
    }
    if (config->producer_known_results && !config->producer_follow_replies) {
        snprintf(ret_message, message_size,
                 "[producer] known_results answers from the replies that were read; it needs follow_replies = true");
        return false;
    }
    if (!check_files(config, ret_message, message_size)) return false;
    if (config->producer_database[0] != '\0' && pay_pg_check_url(config->producer_database, &error) != PAY_OK) {
        snprintf(ret_message, message_size, "[producer] database: %s", error.text);
        return false;
    }
    if (pay_kafka_settings_check(config->kafka, config->kafka_count, &error) == PAY_OK) return true;
    snprintf(ret_message, message_size, "%s", error.text);
    return false;
}

/* Each of librdkafka's threads would get an arena of its own and keep there what fetches left behind: 116 MiB where two arenas hold 44. */
#define MALLOC_ARENAS 2

int main(int argc, char **argv) {
    static struct pay_config config;
    char version[200], message[512] = "out of memory";
    enum pay_exit code;
    mallopt(M_ARENA_MAX, MALLOC_ARENAS);
    snprintf(version, sizeof version, "%s (%s, %s)", PAY_VERSION, pay_kafka_library_version(),
             pay_http_library_version());
    const struct pay_program program = {
        .name = "paybuf-producer",
        .version = version,
        .examples = examples,
        .sample_section = "producer",
        .second_section = "token",
        .check = check,
        .purpose = "the HTTP intake: validates a payment, appends it to Kafka, answers 202 when it is stored"};
    pay_log_open("paybuf-producer", PAY_LOG_INFO);
    if (!pay_options_load(&program, argc, argv, &config, &code)) return code;
    raise_descriptor_limit(config.producer_connections_max);
    int signals = pay_signals_install();
    pay_codec_init();

    struct pay_intake *intake = signals >= 0 ? pay_intake_open(&config, signals, message, sizeof message) : NULL;
    if (intake == NULL) {
        pay_log(PAY_LOG_ERROR, "can't start: %s", message);
        return PAY_EXIT_FAILURE;
    }
    bool drained = pay_intake_run(intake);
    pay_intake_close(intake);
    pay_log(PAY_LOG_INFO, "stopped%s", drained ? "; every call was answered" : "");
    if (!pay_kafka_reaper_wait(CLOSE_MS)) _exit(PAY_EXIT_OK);
    return PAY_EXIT_OK;
}
