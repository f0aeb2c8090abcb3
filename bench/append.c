#include "append.h"

#include "base/clock.h"
#include "base/options.h"
#include "base/signals.h"
#include "codec/time_text.h"
#include "kafka/kafka_publisher.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>

#define OPEN_WAIT_MS 15000
#define STANDSTILL_US 60000000 /* no report for so long: the broker is gone */
#define PUBLISH_AT_ONCE 512

struct append {
    const struct pay_storm_options *options;
    struct pay_kafka_publisher *publisher;
    uint64_t published, acknowledged, failed;
    bool over;        /* its seconds: nothing more is published */
    int64_t heard_us; /* the last report */
    bool dead;
};

/* What the intake sends for a line of a batch: key, value, three headers. False: the queue is full, or the handle is dead. */
static bool publish_one(struct append *append, const char *accepted_at) {
    static const char traceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    char body[PAY_WORKLOAD_BODY_MAX];
    struct pay_workload_item item;
    struct pay_error error;
    const struct pay_header headers[] = {{"tenant", "default", 7},
                                         {"accepted-at", accepted_at, strlen(accepted_at)},
                                         {"traceparent", traceparent, sizeof traceparent - 1}};
    pay_workload_item(&append->options->workload, append->published, &item);
    struct pay_kafka_message message = {.partition = -1,
                                        .key = item.order_id,
                                        .key_length = strlen(item.order_id),
                                        .value = body,
                                        .value_length = pay_workload_body(&item, body),
                                        .headers = headers,
                                        .header_count = sizeof headers / sizeof *headers};
    enum pay_move move = pay_kafka_publisher_publish(append->publisher, &message, &error);
    if (move == PAY_OK)
        append->published++;
    else if (move != PAY_AGAIN)
        append->dead = true;
    if (append->dead) fprintf(stderr, "paybuf-storm: %s\n", error.text);
    return move == PAY_OK;
}

static void take_reports(struct append *append) {
    struct pay_kafka_report report;
    while (pay_kafka_publisher_next_report(append->publisher, &report)) {
        append->heard_us = pay_clock_us();
        if (report.fatal)
            append->dead = true;
        else if (report.failed || report.offset < 0)
            append->failed++;
        else
            append->acknowledged++;
    }
}

static uint64_t waiting(const struct append *append) {
    return append->published - append->acknowledged - append->failed;
}

static bool has_more(const struct append *append) {
    uint64_t count = (uint64_t)append->options->count;
    return !append->over && (count == 0 || append->published < count);
}

static bool may_publish(const struct append *append) {
    uint64_t bound = (uint64_t)append->options->outstanding;
    return (bound == 0 || waiting(append) < bound) && has_more(append);
}

static void run(struct append *append) {
    struct pollfd descriptor = {.fd = pay_kafka_publisher_descriptor(append->publisher), .events = POLLIN};
    const int64_t began_us = pay_clock_us(), seconds = append->options->seconds;
    append->heard_us = began_us;
    while ((has_more(append) || waiting(append) > 0) && !append->dead && !pay_signals_stop_requested()) {
        bool full = false;
        char accepted_at[PAY_TIME_TEXT_MAX];
        pay_time_format(pay_wall_clock_us(), accepted_at);
        for (uint32_t i = 0; i < PUBLISH_AT_ONCE && !full && may_publish(append); i++)
            full = !publish_one(append, accepted_at);
        take_reports(append);
        if (full || !may_publish(append)) poll(&descriptor, 1, 10);
        pay_signals_collect();
        append->over = seconds > 0 && pay_clock_us() - began_us >= seconds * 1000000;
        if (pay_clock_us() - append->heard_us > STANDSTILL_US) append->dead = true;
    }
}

int pay_append_run(const struct pay_storm_options *options) {
    struct pay_setting bootstrap = {.name = "bootstrap.servers"};
    struct append append = {.options = options};
    const bool bounded = options->outstanding > 0;
    struct pay_error error;
    snprintf(bootstrap.value, sizeof bootstrap.value, "%s", options->kafka);
    struct pay_kafka_publisher_options publisher = {
        .kafka = {.settings = &bootstrap, .setting_count = 1, .client_id = "paybuf-storm"},
        .topic = options->request_topic,
        /* As SPEED measured the library alone; with a bound as the intake does, whose lone records don't linger. */
        .in_flight_max = bounded ? 1 : 5,
        .linger_ms = bounded ? options->outstanding > 1 : 5,
        .wait_ms = OPEN_WAIT_MS};
    if (pay_kafka_publisher_open(&publisher, &append.publisher, &error) != PAY_OK) {
        fprintf(stderr, "paybuf-storm: can't append to %s: %s\n", options->request_topic, error.text);
        return PAY_EXIT_UNAVAILABLE;
    }
    int64_t began_us = pay_clock_us();
    run(&append);
    double seconds = (double)(pay_clock_us() - began_us) / 1e6;
    printf("{\"payments\":%" PRIu64 ",\"acknowledged\":%" PRIu64 ",\"failed\":%" PRIu64
           ",\"seconds\":%.3f,\"rate\":%.0f}\n",
           append.published, append.acknowledged, append.failed, seconds, (double)append.acknowledged / seconds);
    pay_kafka_publisher_close(append.publisher);
    return waiting(&append) == 0 && !has_more(&append) && append.failed == 0 ? PAY_EXIT_OK : PAY_EXIT_FAILURE;
}
