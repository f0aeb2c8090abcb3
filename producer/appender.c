#include "producer/appender.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/murmur2.h"
#include "kafka/kafka_probe.h"
#include "kafka/kafka_publisher.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define IN_FLIGHT_MAX 1 /* with more, a leader change can append one call twice [run]: docs/decisions/026 */
/*
 * A broker connection has one request in flight, so partitions on one publisher wait for each other; on several, each has smaller
 * requests, which cost the broker and us the more (docs/decisions/044). So there are as many in use as keep that wait short.
 */
#define SHARING 4
#define TURN_US 5000 /* ... this short, where they suffice */
/* And one more, whose records don't linger: nobody comes to share the request of a record that is alone (docs/decisions/045). */
#define PROMPT SHARING
/* And one for records in bulk: longer waits make larger requests, which cost the broker and us less (docs/decisions/047). */
#define BULK (SHARING + 1)
#define BULK_LINGER_MS 5
#define PUBLISHERS (SHARING + 2)
#define RECORD_OVERHEAD 256 /* key, headers and librdkafka's own, per record, for the byte budget */

/* What is known of one partition; counted by the key's hash, so that the gate can judge before the library has chosen. */
struct lane {
    uint32_t outstanding;
    int32_t publisher; /* which takes its records; changes only while nothing is outstanding, so they stay in order */
    int64_t waiting_since_us; /* the last acknowledgement, or when the first record after a pause was given */
    int64_t last_offset;      /* on this handle; -1 at first */
};

struct pay_appender {
    struct pay_appender_options options;
    struct pay_pending *pending;
    struct pay_kafka_publisher *publishers[PUBLISHERS]; /* opened, and replaced, together */
    bool open;                                          /* false while they can't be opened */
    struct pay_kafka_probe *probe;
    struct pay_kafka_probe_state topic;
    struct lane *lanes; /* by partition */
    int32_t lane_count;
    struct lane whole; /* all partitions together */
    bool draining;
    bool broken; /* a handle is over; replace them outside of its own callbacks */
    bool reachable_logged;
    int64_t acknowledged_us; /* last honest acknowledgement */
    int64_t reopen_us;       /* not before */
    int64_t reopen_pause_ms;
    struct pay_appender_counters counters;
};

/* --- the handles -------------------------------------------------------------------------------------------------------------- */

static bool watch(struct pay_appender *appender, int descriptor, uint64_t tag) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};
    return epoll_ctl(appender->options.epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

static void close_publishers(struct pay_appender *appender) {
    for (int i = 0; i < PUBLISHERS; i++) {
        pay_kafka_publisher_close(appender->publishers[i]);
        appender->publishers[i] = NULL;
    }
    appender->open = false;
}

static int64_t linger_ms(const struct pay_config *config, int publisher) {
    if (publisher == PROMPT) return 0;
    if (publisher == BULK && config->producer_linger_ms < BULK_LINGER_MS) return BULK_LINGER_MS;
    return config->producer_linger_ms;
}

static enum pay_move open_publishers(struct pay_appender *appender, struct pay_error *error) {
    const struct pay_config *config = appender->options.config;
    struct pay_kafka_publisher_options options = {
        .kafka = appender->options.kafka,
        .topic = config->request_topic,
        .in_flight_max = IN_FLIGHT_MAX,
    };
    for (int i = 0; i < PUBLISHERS; i++) {
        options.measures = i == 0; /* it always shares */
        options.linger_ms = linger_ms(config, i);
        enum pay_move move = pay_kafka_publisher_open(&options, &appender->publishers[i], error);
        if (move != PAY_OK) {
            close_publishers(appender);
            return move;
        }
        if (!watch(appender, pay_kafka_publisher_descriptor(appender->publishers[i]), appender->options.report_tag))
            abort(); /* one descriptor, just made */
    }
    for (int32_t i = 0; i < appender->lane_count; i++) appender->lanes[i].last_offset = -1;
    appender->open = true;
    return PAY_OK;
}

static void finish(struct pay_appender *appender, struct pay_call *call, const struct pay_position *position) {
    if (call->partition >= 0 && call->partition < appender->lane_count) appender->lanes[call->partition].outstanding--;
    appender->whole.outstanding--;
    if (call->owner != NULL) call->done(call->owner, call, position);
    pay_pending_remove(appender->pending, call);
}

static void finish_all(struct pay_appender *appender) {
    struct pay_call *call;
    while ((call = pay_pending_oldest_due(appender->pending)) != NULL ||
           (call = pay_pending_oldest_late(appender->pending)) != NULL) {
        appender->counters.abandoned += call->owner != NULL;
        finish(appender, call, NULL);
    }
}

/* No report of the old handles comes after this, so their calls end here. */
static void end_publishers(struct pay_appender *appender) {
    close_publishers(appender);
    appender->broken = false;
    finish_all(appender);
}

static void reopen(struct pay_appender *appender, int64_t now_us) {
    struct pay_error error;
    if (now_us < appender->reopen_us) return;
    appender->reopen_pause_ms = appender->reopen_pause_ms == 0 ? 50 : appender->reopen_pause_ms * 2;
    if (appender->reopen_pause_ms > PAY_APPENDER_REOPEN_MAX_MS) appender->reopen_pause_ms = PAY_APPENDER_REOPEN_MAX_MS;
    appender->reopen_us = now_us + appender->reopen_pause_ms * 1000;
    if (open_publishers(appender, &error) != PAY_OK)
        pay_log(PAY_LOG_WARNING, "can't open a new producer yet, trying again: %s", error.text);
}

static void replace(struct pay_appender *appender, const char *why) {
    pay_log(PAY_LOG_WARNING, "replacing the Kafka producers: %s; %u calls under way are answered 504 outcome_unknown",
            why, pay_pending_due_count(appender->pending));
    appender->counters.replaced++;
    end_publishers(appender);
    reopen(appender, pay_clock_us());
}

/* --- the gate ----------------------------------------------------------------------------------------------------------------- */

static bool stalled(const struct pay_appender *appender, const struct lane *lane, int64_t now_us) {
    return lane->outstanding > 0 &&
           now_us - lane->waiting_since_us > appender->options.config->producer_stall_ms * 1000;
}

/* Something from the brokers not long ago: a metadata answer, or an acknowledgement. */
static bool proven(const struct pay_appender *appender, int64_t now_us) {
    int64_t since_us = now_us - PAY_APPENDER_PROOF_MS * 1000;
    return (appender->topic.answered_ms > 0 && appender->topic.answered_ms * 1000 >= since_us) ||
           (appender->acknowledged_us > 0 && appender->acknowledged_us >= since_us);
}

static struct lane *lane_of(struct pay_appender *appender, int32_t partition) {
    if (partition < 0) return NULL;
    if (partition >= appender->lane_count) {
        int32_t count = partition + 1 > appender->topic.partitions ? partition + 1 : appender->topic.partitions;
        struct lane *lanes = realloc(appender->lanes, (size_t)count * sizeof *lanes);
        if (lanes == NULL) return NULL;
        for (int32_t i = appender->lane_count; i < count; i++) lanes[i] = (struct lane){.last_offset = -1};
        appender->lanes = lanes;
        appender->lane_count = count;
    }
    return &appender->lanes[partition];
}

/* NULL: come in. */
static const char *judge(struct pay_appender *appender, const struct lane *lane, int64_t now_us) {
    struct pay_appender_counters *counters = &appender->counters;
    if (appender->draining) return counters->refused_draining++, "This server is shutting down.";
    if (!appender->open || appender->broken)
        return counters->refused_unreachable++, "The connection to the log is being renewed.";
    if (!proven(appender, now_us)) return counters->refused_unreachable++, "The log can't be reached.";
    if (stalled(appender, &appender->whole, now_us) || (lane != NULL && stalled(appender, lane, now_us))) {
        return counters->refused_stalled++, "The log hasn't acknowledged anything for some time.";
    }
    return NULL;
}

/* The first so many of those that share the partitions; all of them until it is known how far away the brokers are. */
int32_t pay_appender_producers_in_use(const struct pay_appender *appender) {
    int64_t turn_us = appender->open ? pay_kafka_publisher_turn_us(appender->publishers[0]) : -1;
    if (turn_us < 0) return SHARING;
    int64_t wanted = (turn_us + TURN_US - 1) / TURN_US;
    return wanted < 1 ? 1 : wanted > SHARING ? SHARING : (int32_t)wanted;
}

/* For a partition that has nothing under way. */
static int32_t choose_publisher(const struct pay_appender *appender, int32_t partition, bool bulk) {
    int32_t in_use = pay_appender_producers_in_use(appender);
    if (bulk && in_use == 1) return BULK;
    return appender->whole.outstanding == 0 ? PROMPT : partition % in_use;
}

static int32_t publisher_of(const struct pay_appender *appender, struct lane *lane, int32_t partition, bool bulk) {
    if (lane == NULL) return 0;
    if (lane->outstanding == 0) lane->publisher = choose_publisher(appender, partition, bulk);
    return lane->publisher;
}

static void count_in(struct lane *lane, int64_t now_us) {
    if (lane->outstanding++ == 0) lane->waiting_since_us = now_us;
}

/* --- submitting --------------------------------------------------------------------------------------------------------------- */

static enum pay_move publish(struct pay_appender *appender, int32_t publisher, const struct pay_append *record,
                             struct pay_call *call, struct pay_error *error) {
    const struct pay_kafka_message message = {
        .partition = -1, /* librdkafka's own murmur2 decides; ours is only the gate's opinion */
        .key = record->order_id,
        .key_length = strlen(record->order_id),
        .value = record->value,
        .value_length = record->value_length,
        .headers = record->headers,
        .header_count = record->header_count,
        .opaque = call,
    };
    return pay_kafka_publisher_publish(appender->publishers[publisher], &message, error);
}

bool pay_appender_submit(struct pay_appender *appender, const struct pay_append *record, struct pay_call **ret_call,
                         const char **ret_reason) {
    struct pay_error error;
    int64_t now_us = pay_clock_us();
    int32_t partitions = appender->topic.partitions;
    int32_t partition =
        partitions > 0 ? pay_partition_of_key(record->order_id, strlen(record->order_id), partitions) : -1;
    struct lane *lane = lane_of(appender, partition);
    *ret_reason = judge(appender, lane, now_us);
    if (*ret_reason != NULL) return false;

    struct pay_call *call =
        pay_pending_add(appender->pending, record->owner, (uint32_t)record->value_length + RECORD_OVERHEAD, now_us);
    if (call == NULL) {
        appender->counters.refused_budget++;
        *ret_reason = "Too many payments are on their way to the log.";
        return false;
    }
    call->done = record->done;
    int32_t publisher = publisher_of(appender, lane, partition, record->bulk);
    enum pay_move move = publish(appender, publisher, record, call, &error);
    if (move == PAY_OK) {
        call->partition = lane != NULL ? partition : -1;
        if (lane != NULL) count_in(lane, now_us);
        count_in(&appender->whole, now_us);
        *ret_call = call;
        return true;
    }
    pay_pending_remove(appender->pending, call); /* never taken by the library: certainly not stored */
    appender->broken = appender->broken || move == PAY_SESSION_OVER;
    appender->counters.refused_budget++;
    *ret_reason = "The log takes nothing just now.";
    return false;
}

void pay_appender_forget(struct pay_appender *appender, struct pay_call *call) {
    pay_pending_detach(appender->pending, call);
}

/* --- reports ------------------------------------------------------------------------------------------------------------------ */

/* A success counts only with an offset beyond the partition's last one (PITFALLS: a delivery report can lie). */
static bool is_honest(struct pay_appender *appender, const struct pay_kafka_report *report) {
    struct lane *lane = lane_of(appender, report->partition);
    if (report->failed || report->offset < 0 || lane == NULL || report->offset <= lane->last_offset) return false;
    lane->last_offset = report->offset;
    return true;
}

static void acknowledged(struct pay_appender *appender, struct pay_call *call, const struct pay_kafka_report *report,
                         int64_t now_us) {
    const struct pay_appender_options *options = &appender->options;
    const struct pay_position position = {.generation = options->generation(options->argument, report->partition),
                                          .partition = report->partition,
                                          .offset = report->offset};
    appender->counters.acknowledged++;
    appender->counters.late += call->owner == NULL;
    appender->acknowledged_us = now_us;
    appender->reopen_pause_ms = 0;
    appender->whole.waiting_since_us = now_us;
    if (call->partition >= 0) appender->lanes[call->partition].waiting_since_us = now_us;
    finish(appender, call, &position);
}

static void take_report(struct pay_appender *appender, const struct pay_kafka_report *report, int64_t now_us) {
    struct pay_call *call = report->opaque;
    if (report->fatal) {
        pay_log(PAY_LOG_WARNING, "the Kafka producer reports a fatal error: %s", report->code);
        appender->broken = true;
        return;
    }
    if (is_honest(appender, report)) {
        acknowledged(appender, call, report, now_us);
        return;
    }
    if (report->failed) {
        appender->counters.failed++;
        pay_log(PAY_LOG_WARNING, "an append failed: %s (partition %d); answered 504 outcome_unknown", report->code,
                report->partition);
    } else {
        appender->counters.odd++;
        pay_log(PAY_LOG_ERROR,
                "an acknowledgement that proves nothing: partition %d offset %" PRId64 "; answered 504 outcome_unknown",
                report->partition, report->offset);
    }
    appender->broken = true;
    finish(appender, call, NULL);
}

static void take_trouble(struct pay_appender *appender, struct pay_kafka_publisher *publisher) {
    struct pay_error trouble;
    while (pay_kafka_publisher_take_trouble(publisher, &trouble)) {
        pay_log(PAY_LOG_WARNING, "%s", trouble.text);
        if (trouble.move == PAY_SESSION_OVER) appender->broken = true;
    }
}

void pay_appender_look(struct pay_appender *appender) {
    pay_kafka_probe_look(appender->probe, &appender->topic);
    bool reachable = appender->topic.reason[0] == '\0';
    if (reachable == appender->reachable_logged) return;
    if (reachable)
        pay_log(PAY_LOG_INFO, "topic %s answers, %d partitions", appender->options.config->request_topic,
                appender->topic.partitions);
    else
        pay_log(PAY_LOG_WARNING, "the brokers don't answer, asking again: %s", appender->topic.reason);
    appender->reachable_logged = reachable;
}

void pay_appender_run(struct pay_appender *appender) {
    struct pay_kafka_report report;
    if (!appender->open) return;
    int64_t now_us = pay_clock_us();
    for (int i = 0; i < PUBLISHERS; i++) {
        while (pay_kafka_publisher_next_report(appender->publishers[i], &report))
            take_report(appender, &report, now_us);
        take_trouble(appender, appender->publishers[i]);
    }
}

/* --- time --------------------------------------------------------------------------------------------------------------------- */

static void expire(struct pay_appender *appender, int64_t now_us) {
    struct pay_call *call;
    const int64_t timeout_us = appender->options.config->producer_request_timeout_ms * 1000;
    while ((call = pay_pending_oldest_due(appender->pending)) != NULL && now_us - call->started_us >= timeout_us) {
        appender->counters.expired++;
        call->done(call->owner, call, NULL);
        pay_pending_detach(appender->pending, call); /* its record is still on its way */
    }
}

void pay_appender_tick(struct pay_appender *appender) {
    int64_t now_us = pay_clock_us();
    expire(appender, now_us);
    if (!appender->open) {
        reopen(appender, now_us);
        return;
    }
    if (appender->broken) {
        replace(appender, "it failed");
        return;
    }
    /* Nobody waits any more; what is still in the queue would be appended long after its client gave up. */
    int64_t silence_us = (appender->options.config->producer_request_timeout_ms + PAY_APPENDER_SILENCE_MS) * 1000;
    if (appender->whole.outstanding > 0 && now_us - appender->whole.waiting_since_us > silence_us)
        replace(appender, "nothing was acknowledged for long");
}

int64_t pay_appender_next_us(struct pay_appender *appender) {
    struct pay_call *call = pay_pending_oldest_due(appender->pending);
    int64_t next_us =
        call != NULL ? call->started_us + appender->options.config->producer_request_timeout_ms * 1000 : INT64_MAX;
    if (!appender->open && appender->reopen_us < next_us) next_us = appender->reopen_us;
    return next_us;
}

/* --- the rest ----------------------------------------------------------------------------------------------------------------- */

struct pay_appender *pay_appender_open(const struct pay_appender_options *options, char *ret_message,
                                       size_t message_size) {
    struct pay_error error = {.text = "out of memory"};
    const struct pay_config *config = options->config;
    struct pay_appender *appender = calloc(1, sizeof *appender);
    if (appender != NULL) {
        appender->options = *options;
        appender->pending = pay_pending_new((uint32_t)config->producer_inflight_records_max,
                                            (uint64_t)config->producer_inflight_bytes_max);
        if (appender->pending != NULL && open_publishers(appender, &error) == PAY_OK &&
            pay_kafka_probe_open(&options->kafka, config->request_topic, &appender->probe, &error) == PAY_OK) {
            appender->reachable_logged = true; /* so that the first failure is said, and the first answer after it */
            pay_kafka_probe_look(appender->probe, &appender->topic);
            if (watch(appender, pay_kafka_probe_descriptor(appender->probe), options->probe_tag)) return appender;
        }
    }
    snprintf(ret_message, message_size, "%s", error.text);
    pay_appender_close(appender);
    return NULL;
}

void pay_appender_close(struct pay_appender *appender) {
    if (appender == NULL) return;
    pay_kafka_probe_close(appender->probe);
    if (appender->pending != NULL) end_publishers(appender);
    pay_pending_free(appender->pending);
    free(appender->lanes);
    free(appender);
}

void pay_appender_drain(struct pay_appender *appender) { appender->draining = true; }
const struct pay_pending *pay_appender_pending(const struct pay_appender *appender) { return appender->pending; }
const struct pay_appender_counters *pay_appender_counters(const struct pay_appender *appender) {
    return &appender->counters;
}

bool pay_appender_ready(struct pay_appender *appender, char *reason, size_t reason_size) {
    int64_t now_us = pay_clock_us();
    if (appender->draining) {
        snprintf(reason, reason_size, "shutting down");
    } else if (appender->topic.answered_ms == 0 ||
               appender->topic.answered_ms * 1000 < now_us - PAY_APPENDER_PROOF_MS * 1000) {
        snprintf(reason, reason_size, "the brokers don't answer for topic %s: %s",
                 appender->options.config->request_topic, appender->topic.reason);
    } else if (!appender->open) {
        snprintf(reason, reason_size, "the Kafka producers are being replaced");
    } else if (stalled(appender, &appender->whole, now_us)) {
        snprintf(reason, reason_size, "nothing was acknowledged for %" PRId64 " ms",
                 (now_us - appender->whole.waiting_since_us) / 1000);
    } else {
        return true;
    }
    return false;
}
