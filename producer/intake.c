#include "producer/intake.h"

#include "base/admin.h"
#include "base/clock.h"
#include "base/listen.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/signals.h"
#include "producer/appender.h"
#include "producer/http.h"
#include "producer/routes.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define TICK_MS 1000
#define FLUSH_MS 500 /* after a drain that ran out: for the last answers to leave */

enum source { HTTP, REPORTS, PROBE, SIGNALS, ADMIN };

struct pay_intake {
    struct pay_config config;
    int epoll;
    struct pay_http *http;
    struct pay_appender *appender;
    struct pay_admin *admin;
    struct pay_service service;
    char version[160];
    bool draining;
    bool ready;      /* as last logged and told to systemd */
    int64_t tick_ms; /* next one */
    int64_t drain_until_ms;
    bool seen[ADMIN + 1]; /* which descriptors were ready in this turn */
};

/* --- the admin port ----------------------------------------------------------------------------------------------------------- */

static bool is_ready(void *argument, char *reason, size_t reason_size) {
    struct pay_intake *intake = argument;
    return pay_appender_ready(intake->appender, reason, reason_size);
}

static void write_problems(const struct pay_intake *intake, FILE *out) {
    pay_metrics_head(out, "paybuf_intake_refused_total", "counter",
                     "Calls and lines of batches refused, by the code of the answer.");
    for (int code = 0; code < PAY_PROBLEM_COUNT; code++) {
        char label[64];
        snprintf(label, sizeof label, "code=\"%s\"", pay_problem_name((enum pay_problem_code)code));
        pay_metrics_value(out, "paybuf_intake_refused_total", label, intake->service.problems[code]);
    }
}

static void write_appender(const struct pay_intake *intake, FILE *out) {
    const struct pay_appender_counters *counters = pay_appender_counters(intake->appender);
    const struct pay_pending *pending = pay_appender_pending(intake->appender);
    const struct {
        const char *labels;
        uint64_t value;
    } reasons[] = {{"reason=\"budget\"", counters->refused_budget},
                   {"reason=\"draining\"", counters->refused_draining},
                   {"reason=\"unreachable\"", counters->refused_unreachable},
                   {"reason=\"stalled\"", counters->refused_stalled}},
      unknowns[] = {{"reason=\"failed\"", counters->failed},
                    {"reason=\"odd_acknowledgement\"", counters->odd},
                    {"reason=\"deadline\"", counters->expired},
                    {"reason=\"abandoned\"", counters->abandoned}};
    pay_metrics_head(out, "paybuf_intake_not_accepted_total", "counter", "Calls never given to Kafka, by reason.");
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        pay_metrics_value(out, "paybuf_intake_not_accepted_total", reasons[i].labels, reasons[i].value);
    }
    pay_metrics_head(out, "paybuf_intake_unknown_total", "counter", "Records whose fate isn't known, by reason.");
    for (size_t i = 0; i < sizeof unknowns / sizeof *unknowns; i++) {
        pay_metrics_value(out, "paybuf_intake_unknown_total", unknowns[i].labels, unknowns[i].value);
    }
    pay_metrics_counter(out, "paybuf_intake_acknowledged_total", "Honest acknowledgements.", counters->acknowledged);
    pay_metrics_counter(out, "paybuf_intake_late_acknowledgements_total",
                        "... that came after the client was answered 504 or gone.", counters->late);
    pay_metrics_counter(out, "paybuf_intake_producers_replaced_total", "Kafka producers closed and opened again.",
                        counters->replaced);
    pay_metrics_gauge(out, "paybuf_intake_in_flight_records", "Records given to Kafka and not reported back.",
                      pay_pending_count(pending));
    pay_metrics_gauge(out, "paybuf_intake_in_flight_bytes", "Their bytes.", (double)pay_pending_bytes(pending));
    pay_metrics_gauge(out, "paybuf_intake_waiting_clients", "Clients waiting for an acknowledgement.",
                      pay_pending_due_count(pending));
}

static void write_metrics(void *argument, FILE *out) {
    struct pay_intake *intake = argument;
    char reason[400];
    pay_metrics_gauge(out, "paybuf_intake_ready", "1 when /readyz says 200.", is_ready(intake, reason, sizeof reason));
    const struct pay_service *service = &intake->service;
    pay_metrics_counter(out, "paybuf_intake_accepted_total", "Payments answered 202, lines of batches among them.",
                        service->accepted);
    write_problems(intake, out);
    write_appender(intake, out);
    pay_metrics_gauge(out, "paybuf_intake_connections", "Open client connections.", pay_http_connections(intake->http));
    pay_metrics_histogram_us(out, "paybuf_intake_accept_seconds", "From the end of a body to its acknowledgement.",
                             &service->accepted_us);
    pay_metrics_counter(out, "paybuf_intake_batches_total", "Batches begun.", service->batches_total);
    pay_metrics_gauge(out, "paybuf_intake_batches", "Batches open now.", service->batches);
    pay_metrics_counter(out, "paybuf_intake_order_ids_total", "Order ids issued.", service->order_ids_total);
    if (service->auth != NULL)
        pay_metrics_gauge(out, "paybuf_intake_api_keys", "API keys that are good now.", pay_auth_count(service->auth));
    pay_metrics_process(out);
}

/* --- one turn of the loop ----------------------------------------------------------------------------------------------------- */

static int wait_ms(struct pay_intake *intake) {
    if (pay_http_due(intake->http)) return 0;
    int64_t next_us = pay_appender_next_us(intake->appender);
    int64_t until_us = intake->tick_ms * 1000 < next_us ? intake->tick_ms * 1000 : next_us;
    int64_t left_us = until_us - pay_clock_us();
    return left_us <= 0 ? 0 : (int)(left_us / 1000) + 1;
}

static void wait_for_events(struct pay_intake *intake) {
    struct epoll_event events[ADMIN + 1];
    memset(intake->seen, 0, sizeof intake->seen);
    int count = epoll_wait(intake->epoll, events, ADMIN + 1, wait_ms(intake));
    for (int i = 0; i < count; i++) intake->seen[events[i].data.u64] = true;
}

static void begin_drain(struct pay_intake *intake) {
    intake->draining = true;
    intake->drain_until_ms = pay_clock_ms() + intake->config.producer_drain_ms;
    pay_appender_drain(intake->appender);
    pay_http_stop_accepting(intake->http);
    pay_notify("STOPPING=1");
    pay_log(PAY_LOG_INFO, "stopping: new calls are refused, %u calls under way are finished within %d ms",
            pay_pending_due_count(pay_appender_pending(intake->appender)), (int)intake->config.producer_drain_ms);
}

static void reload(struct pay_intake *intake) {
    char message[512];
    struct pay_service *service = &intake->service;
    if (service->auth == NULL && service->tokens == NULL)
        pay_log(PAY_LOG_INFO, "SIGHUP: there are no API keys and no token secrets to read again");
    if (service->auth != NULL && pay_auth_reload(service->auth, message, sizeof message))
        pay_log(PAY_LOG_INFO, "SIGHUP: %u API keys are good from now on", pay_auth_count(service->auth));
    else if (service->auth != NULL)
        pay_log(PAY_LOG_ERROR, "SIGHUP: the API keys stay as they were: %s", message);
    if (service->tokens != NULL && pay_order_tokens_reload(service->tokens, message, sizeof message))
        pay_log(PAY_LOG_INFO, "SIGHUP: the token secrets were read again");
    else if (service->tokens != NULL)
        pay_log(PAY_LOG_ERROR, "SIGHUP: the token secrets stay as they were: %s", message);
}

static void handle_signals(struct pay_intake *intake) {
    pay_signals_collect();
    if (pay_signals_take_reload()) reload(intake);
    if (pay_signals_stop_requested() && !intake->draining) begin_drain(intake);
}

static void tell_readiness(struct pay_intake *intake) {
    char reason[400] = "";
    bool ready = is_ready(intake, reason, sizeof reason);
    pay_notify("WATCHDOG=1");
    if (ready == intake->ready) return;
    intake->ready = ready;
    if (ready)
        pay_log(PAY_LOG_INFO, "ready");
    else
        pay_log(PAY_LOG_WARNING, "not ready: %s", reason);
    pay_notify(ready ? "STATUS=ready" : "STATUS=not ready, see /readyz");
}

static void tick(struct pay_intake *intake) {
    int64_t now_ms = pay_clock_ms();
    pay_appender_tick(intake->appender);
    if (now_ms < intake->tick_ms) return;
    intake->tick_ms = now_ms + TICK_MS;
    pay_appender_run(intake->appender); /* should a wake-up ever be lost, it costs a second */
    pay_http_tick(intake->http, now_ms);
    pay_admin_run(intake->admin);
    tell_readiness(intake);
}

static void loop_once(struct pay_intake *intake) {
    wait_for_events(intake);
    if (intake->seen[SIGNALS]) handle_signals(intake);
    if (intake->seen[PROBE]) pay_appender_look(intake->appender);
    if (intake->seen[REPORTS]) pay_appender_run(intake->appender);
    if (intake->seen[HTTP] || pay_http_due(intake->http)) pay_http_run(intake->http);
    if (intake->seen[ADMIN]) pay_admin_run(intake->admin);
    tick(intake);
}

/* Nothing under way: no record unreported that somebody waits for, no call being read, no answer unsent. */
static bool is_drained(const struct pay_intake *intake) {
    return pay_pending_due_count(pay_appender_pending(intake->appender)) == 0 && pay_http_busy(intake->http) == 0;
}

static bool drain_ended(const struct pay_intake *intake) {
    return intake->draining && (is_drained(intake) || pay_clock_ms() >= intake->drain_until_ms);
}

bool pay_intake_run(struct pay_intake *intake) {
    pay_notify("READY=1");
    while (!drain_ended(intake)) loop_once(intake);
    bool drained = is_drained(intake);
    if (!drained) {
        pay_log(PAY_LOG_WARNING, "drain_ms is over: %u calls under way are answered 504 outcome_unknown",
                pay_pending_due_count(pay_appender_pending(intake->appender)));
    }
    return drained;
}

/* --- open and close ----------------------------------------------------------------------------------------------------------- */

static void log_kafka(void *argument, int level, const char *facility, const char *text) {
    (void)argument;
    if (strcmp(facility, "CONFWARN") == 0) return; /* about our own fixed settings */
    pay_log(level <= 3 ? PAY_LOG_WARNING : level <= 4 ? PAY_LOG_INFO : PAY_LOG_DEBUG, "kafka: %s: %s", facility, text);
}

static bool watch(struct pay_intake *intake, int descriptor, enum source source) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = source};
    return epoll_ctl(intake->epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

/* Beyond the loopback one address may not take them all; on it a proxy brings everybody's. */
static uint32_t connections_per_address(const struct pay_config *config) {
    if (config->producer_connections_per_address_max > 0) return (uint32_t)config->producer_connections_per_address_max;
    if (pay_listen_is_loopback(config->producer_listen)) return 0;
    return (uint32_t)(config->producer_connections_max + 1) / 2;
}

static bool open_secrets(struct pay_intake *intake, char *ret_message, size_t message_size) {
    const struct pay_config *config = &intake->config;
    struct pay_service *service = &intake->service;
    if (config->producer_api_keys[0] != '\0') {
        service->auth = pay_auth_open(config->producer_api_keys, ret_message, message_size);
        if (service->auth == NULL) return false;
        pay_log(PAY_LOG_INFO, "%u API keys in %s", pay_auth_count(service->auth), config->producer_api_keys);
    } else {
        pay_log(PAY_LOG_WARNING, "no API keys: everybody on this machine may order payments, as tenant default; only "
                                 "the loopback is served");
    }
    if (config->token_secrets[0] == '\0') return true;
    service->tokens =
        pay_order_tokens_open(config->token_secrets, config->token_expire_days, ret_message, message_size);
    return service->tokens != NULL;
}

static bool open_parts(struct pay_intake *intake, int signal_descriptor, char *ret_message, size_t message_size) {
    const struct pay_config *config = &intake->config;
    const struct pay_http_options http = {.address = config->producer_listen,
                                          .connections_max = (uint32_t)config->producer_connections_max,
                                          .connections_per_address_max = connections_per_address(config),
                                          .body_max = PAY_VALUE_MAX,
                                          .fault = pay_routes_fault,
                                          .head = pay_routes_head,
                                          .piece = pay_routes_piece,
                                          .complete = pay_routes_complete,
                                          .gone = pay_routes_gone,
                                          .argument = &intake->service};
    const struct pay_appender_options appender = {.config = config,
                                                  .epoll = intake->epoll,
                                                  .report_tag = REPORTS,
                                                  .probe_tag = PROBE,
                                                  .kafka = {.settings = config->kafka,
                                                            .setting_count = config->kafka_count,
                                                            .client_id = "paybuf-producer",
                                                            .log = log_kafka}};
    const struct pay_admin_source admin = {
        .ready = is_ready, .metrics = write_metrics, .argument = intake, .version_json = intake->version};
    if (!open_secrets(intake, ret_message, message_size)) return false;
    intake->appender = pay_appender_open(&appender, ret_message, message_size);
    if (intake->appender == NULL) return false;
    intake->service.appender = intake->appender;
    intake->http = pay_http_open(&http, ret_message, message_size);
    if (intake->http == NULL) return false;
    intake->admin = pay_admin_open(config->producer_admin, &admin, ret_message, message_size);
    if (intake->admin == NULL) return false;
    snprintf(ret_message, message_size, "can't wait for events: %s", strerror(errno));
    return watch(intake, signal_descriptor, SIGNALS) && watch(intake, pay_http_descriptor(intake->http), HTTP) &&
           watch(intake, pay_admin_descriptor(intake->admin), ADMIN);
}

struct pay_intake *pay_intake_open(const struct pay_config *config, int signal_descriptor, char *ret_message,
                                   size_t message_size) {
    struct pay_intake *intake = calloc(1, sizeof *intake);
    if (intake == NULL) return NULL;
    intake->config = *config;
    intake->service.config = &intake->config;
    intake->epoll = epoll_create1(EPOLL_CLOEXEC);
    snprintf(intake->version, sizeof intake->version,
             "{\"program\":\"paybuf-producer\",\"version\":\"%s\",\"kafka\":\"%s\",\"http\":\"%s\"}\n", PAY_VERSION,
             pay_kafka_library_version(), pay_http_library_version());
    if (intake->epoll >= 0 && open_parts(intake, signal_descriptor, ret_message, message_size)) {
        pay_log(PAY_LOG_INFO, "listening on %s (port %u), admin on %s; topic %s, log generation %d",
                config->producer_listen, pay_http_port(intake->http), config->producer_admin, config->request_topic,
                (int)config->producer_log_generation);
        return intake;
    }
    pay_intake_close(intake);
    return NULL;
}

void pay_intake_close(struct pay_intake *intake) {
    if (intake == NULL) return;
    pay_appender_close(intake->appender); /* answers what is still under way */
    intake->appender = intake->service.appender = NULL;
    int64_t until_ms = pay_clock_ms() + FLUSH_MS;
    while (intake->http != NULL && pay_http_busy(intake->http) > 0 && pay_clock_ms() < until_ms) {
        pay_http_run(intake->http);
        usleep(1000);
    }
    pay_http_close(intake->http);
    pay_admin_close(intake->admin);
    pay_auth_close(intake->service.auth);
    pay_order_tokens_close(intake->service.tokens);
    if (intake->epoll >= 0) close(intake->epoll);
    free(intake);
}
