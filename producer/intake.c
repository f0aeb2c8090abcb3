#include "producer/intake.h"

#include "base/admin.h"
#include "base/clock.h"
#include "base/listen.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/signals.h"
#include "producer/appender.h"
#include "producer/http.h"
#include "producer/lookup.h"
#include "producer/routes.h"
#include "producer/streams.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define TICK_MS 1000
#define FOLLOW_MS 10000  /* after the start: so long a call with Prefer: wait shall find the replies followed */
#define FOLLOW_SLOWLY 32 /* a turn takes PAY_FOLLOWER_TURN replies, and gives a stream a few */
#define FLUSH_MS 500     /* after a drain that ran out: for the last answers to leave */

enum source { HTTP, REPORTS, PROBE, SIGNALS, ADMIN, REPLIES, SCOUT, STREAMS, LOOKUP, SOURCE_COUNT };

struct pay_intake {
    struct pay_config config;
    struct pay_kafka_options kafka; /* of every handle */
    int epoll;
    struct pay_http *http;
    struct pay_appender *appender;
    struct pay_admin *admin;
    struct pay_service service;
    char version[160];
    bool draining;
    bool ready;              /* as last logged and told to systemd */
    int64_t tick_ms;         /* next one */
    int64_t follow_until_ms; /* not ready before the replies are followed, or this; 0: over */
    int64_t drain_until_ms;
    uint32_t turns_held;                      /* in which the replies weren't followed, for the streams' sake */
    struct pay_follower_subscription waiting; /* wakes those who wait for their reply */
    bool seen[SOURCE_COUNT];                  /* which descriptors were ready in this turn */
};

/* --- the admin port ----------------------------------------------------------------------------------------------------------- */

static bool is_ready(void *argument, char *reason, size_t reason_size) {
    struct pay_intake *intake = argument;
    if (!pay_appender_ready(intake->appender, reason, reason_size)) return false;
    const struct pay_follower *follower = intake->service.follower;
    if (follower == NULL || pay_follower_stands(follower, -1) || pay_clock_ms() >= intake->follow_until_ms)
        intake->follow_until_ms = 0; /* once is enough: payments are taken without it, too */
    if (intake->follow_until_ms != 0) snprintf(reason, reason_size, "the reply topic hasn't been found yet");
    return intake->follow_until_ms == 0;
}

/* A counter for each value of one label. */
static void write_labelled(FILE *out, const char *name, const char *help, const char *label, const char *const *values,
                           const uint64_t *counts, size_t count) {
    char text[64];
    pay_metrics_head(out, name, "counter", help);
    for (size_t i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%s=\"%s\"", label, values[i]);
        pay_metrics_value(out, name, text, counts[i]);
    }
}

static void write_problems(const struct pay_intake *intake, FILE *out) {
    const char *codes[PAY_PROBLEM_COUNT];
    for (int code = 0; code < PAY_PROBLEM_COUNT; code++) codes[code] = pay_problem_name((enum pay_problem_code)code);
    write_labelled(out, "paybuf_intake_refused_total", "Calls and lines of batches refused, by the code of the answer.",
                   "code", codes, intake->service.problems, PAY_PROBLEM_COUNT);
}

static void write_appender(const struct pay_intake *intake, FILE *out) {
    static const char *const refused[] = {"budget", "draining", "unreachable", "stalled"};
    static const char *const unknown[] = {"failed", "odd_acknowledgement", "deadline", "abandoned"};
    const struct pay_appender_counters *counters = pay_appender_counters(intake->appender);
    const struct pay_pending *pending = pay_appender_pending(intake->appender);
    const uint64_t refusals[] = {counters->refused_budget, counters->refused_draining, counters->refused_unreachable,
                                 counters->refused_stalled};
    const uint64_t unknowns[] = {counters->failed, counters->odd, counters->expired, counters->abandoned};
    write_labelled(out, "paybuf_intake_not_accepted_total", "Calls never given to Kafka, by reason.", "reason", refused,
                   refusals, 4);
    write_labelled(out, "paybuf_intake_unknown_total", "Records whose fate isn't known, by reason.", "reason", unknown,
                   unknowns, 4);
    pay_metrics_counter(out, "paybuf_intake_acknowledged_total", "Honest acknowledgements.", counters->acknowledged);
    pay_metrics_counter(out, "paybuf_intake_late_acknowledgements_total",
                        "... that came after the client was answered 504 or gone.", counters->late);
    pay_metrics_counter(out, "paybuf_intake_producers_replaced_total", "Kafka producers closed and opened again.",
                        counters->replaced);
    pay_metrics_gauge(out, "paybuf_intake_producers_in_use", "Kafka producers that share the partitions now.",
                      pay_appender_producers_in_use(intake->appender));
    pay_metrics_gauge(out, "paybuf_intake_in_flight_records", "Records given to Kafka and not reported back.",
                      pay_pending_count(pending));
    pay_metrics_gauge(out, "paybuf_intake_in_flight_bytes", "Their bytes.", (double)pay_pending_bytes(pending));
    pay_metrics_gauge(out, "paybuf_intake_waiting_clients", "Clients waiting for an acknowledgement.",
                      pay_pending_due_count(pending));
}

static void write_following(const struct pay_service *service, FILE *out) {
    static const char *const waits[PAY_WAITED_COUNT] = {"answered", "over",   "cut_short",
                                                        "refused",  "missed", "unknown"};
    static const char *const replies[] = {"taken", "repeated", "skipped", "foreign"};
    static const char *const results[] = {"hit", "miss"};
    struct pay_follower_counters counters;
    pay_follower_count(service->follower, &counters);
    const uint64_t seen[] = {counters.taken, counters.repeated, counters.skipped, counters.foreign};
    const uint64_t known[] = {service->known_hits, service->known_misses};
    write_labelled(out, "paybuf_intake_waits_total", "Payments with Prefer: wait, by what came of it.", "end", waits,
                   service->waits, PAY_WAITED_COUNT);
    pay_metrics_gauge(out, "paybuf_intake_waiters", "Calls that wait for a result now.",
                      pay_waiters_count(service->waiters));
    write_labelled(out, "paybuf_intake_known_results_total",
                   "Payments looked up among the last replies, when [producer] known_results is on.", "result", results,
                   known, 2);
    write_labelled(out, "paybuf_intake_replies_total", "Records of the reply topic, by the reader's rule.", "move",
                   replies, seen, 4);
    pay_metrics_counter(out, "paybuf_intake_replies_other_generation_total",
                        "Replies of another log generation than [producer] log_generation.", counters.other_generation);
    pay_metrics_gauge(out, "paybuf_intake_reply_gaps", "Partitions whose results aren't told because of a gap.",
                      (double)counters.open_gaps);
    pay_metrics_gauge(out, "paybuf_intake_reply_partitions", "Partitions of the reply topic.",
                      pay_follower_partitions(service->follower));
    pay_metrics_gauge(out, "paybuf_intake_following", "1 when every partition of the reply topic is being read.",
                      pay_follower_stands(service->follower, -1));
    pay_metrics_counter(out, "paybuf_intake_reply_partitions_placed_total",
                        "Partitions of the reply topic begun at their end: at the start, and after a loss.",
                        counters.placed);
    pay_metrics_counter(out, "paybuf_intake_reply_troubles_total", "Errors met while following the replies.",
                        counters.troubles);
}

static void write_metrics(void *argument, FILE *out) {
    struct pay_intake *intake = argument;
    char reason[400];
    pay_metrics_gauge(out, "paybuf_intake_ready", "1 when /readyz says 200.", is_ready(intake, reason, sizeof reason));
    const struct pay_service *service = &intake->service;
    pay_metrics_counter(out, "paybuf_intake_accepted_total",
                        "Payments acknowledged by the log in time, lines of batches among them.", service->accepted);
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
    if (service->follower != NULL) write_following(service, out);
    if (service->streams != NULL) pay_streams_metrics(service->streams, out);
    if (service->lookup != NULL) pay_lookup_metrics(service->lookup, out);
    pay_metrics_process(out);
}

/* --- one turn of the loop ----------------------------------------------------------------------------------------------------- */

static int wait_ms(struct pay_intake *intake) {
    if (pay_http_due(intake->http)) return 0;
    int64_t next_us = pay_appender_next_us(intake->appender);
    int64_t until_us = intake->tick_ms * 1000 < next_us ? intake->tick_ms * 1000 : next_us;
    if (intake->service.waiters != NULL && pay_waiters_next_us(intake->service.waiters) < until_us)
        until_us = pay_waiters_next_us(intake->service.waiters);
    int64_t left_us = until_us - pay_clock_us();
    return left_us <= 0 ? 0 : (int)(left_us / 1000) + 1;
}

static void wait_for_events(struct pay_intake *intake) {
    struct epoll_event events[SOURCE_COUNT];
    memset(intake->seen, 0, sizeof intake->seen);
    int count = epoll_wait(intake->epoll, events, SOURCE_COUNT, wait_ms(intake));
    for (int i = 0; i < count; i++) intake->seen[events[i].data.u64] = true;
}

static void cut_waiters(struct pay_intake *intake, bool (*chosen)(void *owner)) {
    if (intake->service.waiters != NULL) pay_waiters_cut(intake->service.waiters, chosen);
}

static void begin_drain(struct pay_intake *intake) {
    intake->draining = true;
    intake->drain_until_ms = pay_clock_ms() + intake->config.producer_drain_ms;
    pay_appender_drain(intake->appender);
    pay_http_stop_accepting(intake->http);
    cut_waiters(intake, NULL);
    if (intake->service.streams != NULL) pay_streams_drain(intake->service.streams);
    if (intake->service.lookup != NULL) pay_lookup_drain(intake->service.lookup);
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
    if (intake->service.waiters != NULL) pay_waiters_expire(intake->service.waiters, pay_clock_us());
    if (now_ms < intake->tick_ms) return;
    intake->tick_ms = now_ms + TICK_MS;
    pay_appender_run(intake->appender); /* should a wake-up ever be lost, it costs a second */
    pay_http_tick(intake->http, now_ms);
    cut_waiters(intake, intake->draining ? NULL : pay_exchange_has_hung_up);
    if (intake->service.follower != NULL) pay_follower_tick(intake->service.follower);
    if (intake->service.streams != NULL) pay_streams_tick(intake->service.streams);
    pay_admin_run(intake->admin);
    tell_readiness(intake);
}

/* At most one turn in FOLLOW_SLOWLY while a stream that is being read is far behind. */
static void follow(struct pay_intake *intake) {
    if (pay_streams_behind(intake->service.streams) && ++intake->turns_held < FOLLOW_SLOWLY) return;
    intake->turns_held = 0;
    pay_follower_run(intake->service.follower);
}

static void loop_once(struct pay_intake *intake) {
    wait_for_events(intake);
    if (intake->seen[SIGNALS]) handle_signals(intake);
    if (intake->seen[PROBE]) pay_appender_look(intake->appender);
    if (intake->seen[REPORTS]) pay_appender_run(intake->appender);
    if (intake->seen[SCOUT]) pay_follower_look(intake->service.follower);
    if (intake->seen[REPLIES]) follow(intake);
    if (intake->seen[STREAMS]) pay_streams_run(intake->service.streams);
    if (intake->seen[LOOKUP]) pay_lookup_run(intake->service.lookup);
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

static void wake_waiters(void *argument, const struct pay_follower_reply *reply) {
    struct pay_intake *intake = argument;
    pay_waiters_take(intake->service.waiters, &reply->source, reply->record->value, reply->record->value_length);
}

static bool open_follower(struct pay_intake *intake, char *ret_message, size_t message_size) {
    const struct pay_follower_options follower = {.config = &intake->config,
                                                  .kafka = intake->kafka,
                                                  .epoll = intake->epoll,
                                                  .record_tag = REPLIES,
                                                  .scout_tag = SCOUT};
    if (!intake->config.producer_follow_replies) return true;
    snprintf(ret_message, message_size, "out of memory");
    intake->service.waiters = pay_waiters_new((uint32_t)intake->config.producer_waiters_max);
    if (intake->service.waiters == NULL) return false;
    intake->service.follower = pay_follower_open(&follower, ret_message, message_size);
    if (intake->service.follower == NULL) return false;
    intake->waiting = (struct pay_follower_subscription){.taken = wake_waiters, .argument = intake};
    pay_follower_subscribe(intake->service.follower, &intake->waiting);
    intake->service.streams = pay_streams_open(&intake->config, &intake->kafka, intake->service.follower);
    return intake->service.streams != NULL && watch(intake, pay_streams_descriptor(intake->service.streams), STREAMS);
}

static bool open_lookup(struct pay_intake *intake, char *ret_message, size_t message_size) {
    struct pay_error error;
    if (intake->config.producer_database[0] == '\0') return true;
    intake->service.lookup = pay_lookup_open(&intake->config, &intake->kafka, &error);
    if (intake->service.lookup != NULL && watch(intake, pay_lookup_descriptor(intake->service.lookup), LOOKUP))
        return true;
    snprintf(ret_message, message_size, "%s", error.text);
    return false;
}

static int64_t generation_of(void *argument, int32_t partition) {
    const struct pay_intake *intake = argument;
    return pay_service_generation(&intake->service, partition);
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
                                                  .generation = generation_of,
                                                  .argument = intake,
                                                  .kafka = intake->kafka};
    const struct pay_admin_source admin = {
        .ready = is_ready, .metrics = write_metrics, .argument = intake, .version_json = intake->version};
    if (!open_secrets(intake, ret_message, message_size)) return false;
    intake->appender = pay_appender_open(&appender, ret_message, message_size);
    if (intake->appender == NULL) return false;
    intake->service.appender = intake->appender;
    if (!open_follower(intake, ret_message, message_size) || !open_lookup(intake, ret_message, message_size))
        return false;
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
    intake->kafka = (struct pay_kafka_options){.settings = intake->config.kafka,
                                               .setting_count = config->kafka_count,
                                               .client_id = "paybuf-producer",
                                               .log = log_kafka};
    intake->service.config = &intake->config;
    intake->follow_until_ms = pay_clock_ms() + FOLLOW_MS;
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
    cut_waiters(intake, NULL);
    if (intake->service.streams != NULL) pay_streams_drain(intake->service.streams);
    pay_lookup_close(intake->service.lookup);
    intake->service.lookup = NULL;
    pay_follower_close(intake->service.follower);
    intake->service.follower = NULL;
    int64_t until_ms = pay_clock_ms() + FLUSH_MS;
    while (intake->http != NULL && pay_http_busy(intake->http) > 0 && pay_clock_ms() < until_ms) {
        pay_http_run(intake->http);
        usleep(1000);
    }
    pay_http_close(intake->http);
    pay_streams_close(intake->service.streams); /* its last clients are gone */
    pay_waiters_free(intake->service.waiters);
    pay_admin_close(intake->admin);
    pay_auth_close(intake->service.auth);
    pay_order_tokens_close(intake->service.tokens);
    if (intake->epoll >= 0) close(intake->epoll);
    free(intake);
}
