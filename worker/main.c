/*
 * paybuf-worker - joins the loop with PostgreSQL and Kafka, waits for both, drains on SIGTERM.
 * Exit codes: 0 drained, 69 nothing was drained in time, 78 a precondition or the configuration is wrong.
 */
#include "base/admin.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/options.h"
#include "base/signals.h"
#include "codec/request_codec.h"
#include "kafka/kafka_conf.h"
#include "pg/pg.h"
#ifdef PAY_CRASH_POINTS
#include "worker/crash_point.h"
#endif
#include "worker/ledger_pg.h"
#include "worker/metrics.h"
#include "worker/stream_kafka.h"
#include "worker/worker.h"

#include <poll.h>
#include <stddef.h>

#define BOOKS_TIMEOUT_MS 5000
#define LOGS_TIMEOUT_MS 2000 /* a look at a broker that is away; the admin port waits behind it */
#define CLOSE_TIMEOUT_MS 5000

struct program {
    struct pay_config config;
    struct pay_ledger *ledger;
    struct pay_stream *stream;
    struct pay_worker *worker;
    struct pay_admin *admin;
    int signals;
    bool ready;
};

static int64_t now_ms(void *argument) {
    (void)argument;
    return pay_clock_ms();
}

static void random_bytes(void *argument, void *bytes, size_t length) {
    (void)argument;
    pay_random(bytes, length);
}

static void log_line(void *argument, enum pay_worker_log level, const char *text) {
    (void)argument;
    pay_log(level == PAY_WORKER_INFO      ? PAY_LOG_INFO
            : level == PAY_WORKER_WARNING ? PAY_LOG_WARNING
                                          : PAY_LOG_ERROR,
            "%s", text);
}

/* librdkafka's own words about what keeps it from working (authentication, addresses); what happens then, the loop says. */
static void kafka_line(void *argument, int level, const char *facility, const char *text) {
    static int64_t told_ms;
    (void)argument;
    if (level > 3 || (told_ms != 0 && pay_clock_ms() - told_ms < 1000)) return;
    told_ms = pay_clock_ms();
    pay_log(PAY_LOG_WARNING, "librdkafka: %s: %s", facility, text);
}

static void ledger_known(void *argument, const char *ledger_id) {
    struct program *program = argument;
    pay_stream_kafka_set_ledger_id(program->stream, ledger_id);
}

static void cluster_known(void *argument, const char *cluster_id) {
    struct program *program = argument;
    pay_ledger_pg_set_cluster(program->ledger, cluster_id);
}

static bool admin_ready(void *argument, char *reason, size_t reason_size) {
    struct program *program = argument;
    return pay_worker_ready(program->worker, reason, reason_size);
}

static void admin_metrics(void *argument, FILE *out) {
    struct program *program = argument;
    pay_worker_metrics(program->worker, out);
}

/* What can be judged without servers. */
static bool check(const struct pay_config *config, char *ret_message, size_t message_size) {
    struct pay_error error;
    if (pay_pg_check_url(config->database_url, &error) == PAY_OK &&
        pay_kafka_settings_check(config->kafka, config->kafka_count, &error) == PAY_OK)
        return true;
    snprintf(ret_message, message_size, "%s", error.text);
    return false;
}

static bool open_parts(struct program *program) {
    const struct pay_config *config = &program->config;
    struct pay_ledger_pg_options books = {.url = config->database_url,
                                          .topic = config->request_topic,
                                          .group_id = config->worker_group,
                                          .allow_unix_socket = config->database_allow_unix_socket,
                                          .allow_unsafe = config->database_allow_unsafe,
                                          .call_timeout_ms = BOOKS_TIMEOUT_MS};
    struct pay_stream_kafka_options logs = {.settings = config->kafka,
                                            .setting_count = config->kafka_count,
                                            .request_topic = config->request_topic,
                                            .reply_topic = config->reply_topic,
                                            .dead_letter_topic = config->dead_letter_topic,
                                            .group = config->worker_group,
                                            .linger_ms = config->worker_linger_ms,
                                            .call_timeout_ms = LOGS_TIMEOUT_MS,
                                            .log = kafka_line,
                                            .allow_unsafe_topics = config->allow_unsafe_topics};
    struct pay_worker_options options = {.now_ms = now_ms,
                                         .random = random_bytes,
                                         .log = log_line,
                                         .ledger_known = ledger_known,
                                         .cluster_known = cluster_known,
                                         .argument = program,
                                         .request_topic = config->request_topic,
                                         .batch_records_max = (uint32_t)config->worker_batch_records_max};
    options.ledger = program->ledger = pay_ledger_pg_new(&books);
    options.stream = program->stream = pay_stream_kafka_new(&logs);
    if (program->ledger == NULL || program->stream == NULL) return false;
#ifdef PAY_CRASH_POINTS
    pay_crash_points(&options.ledger, &options.stream);
#endif
    program->worker = pay_worker_new(&options);
    return program->worker != NULL;
}

/* Sleeps until PostgreSQL, Kafka, a signal or an admin request has something, or the worker has a deadline. */
static void wait_for_something(struct program *program) {
    bool wants_write = false;
    int books = program->ledger->ops->descriptor(program->ledger, &wants_write);
    struct pollfd descriptors[] = {
        {.fd = books, .events = (short)(POLLIN | (wants_write ? POLLOUT : 0))},
        {.fd = program->stream->ops->descriptor(program->stream, pay_worker_wants_records(program->worker)),
         .events = POLLIN},
        {.fd = program->signals, .events = POLLIN},
        {.fd = pay_admin_descriptor(program->admin), .events = POLLIN},
    };
    int64_t wait_ms = pay_worker_wait_ms(program->worker);
    poll(descriptors, sizeof descriptors / sizeof descriptors[0], (int)wait_ms);
    if (descriptors[2].revents != 0) pay_signals_collect();
    if (descriptors[3].revents != 0 || wait_ms > 0) pay_admin_run(program->admin); /* its own idle timeouts too */
}

static void tell_systemd(struct program *program) {
    char reason[256];
    static int64_t told_ms;
    bool ready = pay_worker_ready(program->worker, reason, sizeof reason);
    if (ready && !program->ready) {
        pay_notify("READY=1");
        pay_log(PAY_LOG_INFO, "ready");
    }
    program->ready = program->ready || ready;
    if (pay_clock_ms() - told_ms > 5000) {
        told_ms = pay_clock_ms();
        pay_notify("WATCHDOG=1");
    }
}

static enum pay_exit run(struct program *program) {
    int64_t drain_until_ms = 0;
    for (;;) {
        pay_worker_pass(program->worker);
        const char *refusal = pay_worker_refusal(program->worker);
        if (refusal != NULL) {
            pay_log(PAY_LOG_ERROR, "refuses to start: %s", refusal);
            return PAY_EXIT_CONFIG;
        }
        tell_systemd(program);
        if (pay_signals_stop_requested() && drain_until_ms == 0) {
            pay_log(PAY_LOG_INFO, "draining: settles and answers what was received");
            pay_notify("STOPPING=1");
            pay_worker_drain(program->worker);
            drain_until_ms = pay_clock_ms() + program->config.worker_drain_ms;
        }
        if (drain_until_ms != 0 && pay_worker_drained(program->worker)) {
            pay_log(PAY_LOG_INFO, "drained");
            return PAY_EXIT_OK;
        }
        if (drain_until_ms != 0 && pay_clock_ms() > drain_until_ms) {
            pay_log(PAY_LOG_WARNING, "not drained in time; the next owner answers the rest from the rows");
            return PAY_EXIT_UNAVAILABLE;
        }
        wait_for_something(program);
    }
}

int main(int argc, char **argv) {
    static struct program program;
    static const struct pay_program about = {
        .name = "paybuf-worker",
        .purpose = "Claims request partitions, settles their payments in PostgreSQL and publishes the replies.",
        .examples = "  paybuf-worker --config /etc/paybuf/worker.conf\n"
                    "  PAYBUF_WORKER_ADMIN=127.0.0.1:9465 paybuf-worker --worker.batch_records_max=500\n",
        .version = PAY_VERSION,
        .sample_section = "worker",
        .check = check,
    };
    char message[512];
    enum pay_exit status;
    if (!pay_options_load(&about, argc, argv, &program.config, &status)) return status;
    pay_log_open("paybuf-worker", PAY_LOG_INFO);
    pay_codec_init();
    program.signals = pay_signals_install();
    if (!open_parts(&program)) {
        pay_log(PAY_LOG_ERROR, "can't start: out of memory, or a [kafka] setting was refused");
        return PAY_EXIT_CONFIG;
    }
    struct pay_admin_source source = {.ready = admin_ready,
                                      .metrics = admin_metrics,
                                      .argument = &program,
                                      .version_json =
                                          "{\"program\":\"paybuf-worker\",\"version\":\"" PAY_VERSION "\"}"};
    program.admin = pay_admin_open(program.config.worker_admin, &source, message, sizeof message);
    if (program.admin == NULL) {
        pay_log(PAY_LOG_ERROR, "%s", message);
        return PAY_EXIT_CONFIG;
    }
    status = run(&program);
    /* State is durable: closing is a courtesy to the group, and librdkafka's can hang (PITFALLS), so it is bounded. */
    program.stream->ops->close(program.stream, CLOSE_TIMEOUT_MS);
    program.ledger->ops->close(program.ledger);
    pay_worker_free(program.worker);
    pay_admin_close(program.admin);
    return status;
}
