#include "append.h"

#include "base/clock.h"
#include "base/options.h"
#include "base/signals.h"
#include "kafka/kafka_publisher.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>

#define OPEN_WAIT_MS 15000
#define IN_FLIGHT_MAX 5
#define LINGER_MS 5            /* as SPEED measured the library alone */
#define STANDSTILL_US 60000000 /* no report for so long: the broker is gone */
#define PUBLISH_AT_ONCE 512

struct append {
    const struct pay_storm_options *options;
    struct pay_kafka_publisher *publisher;
    uint64_t published, acknowledged, failed;
    int64_t heard_us; /* the last report */
    bool dead;
};

/* What the intake sends: key, value, two headers. False: the queue is full, or the handle is dead. */
static bool publish_one(struct append *append) {
    char body[PAY_WORKLOAD_BODY_MAX];
    struct pay_workload_item item;
    struct pay_error error;
    static const struct pay_header headers[] = {{"tenant", "default", 7}};
    pay_workload_item(&append->options->workload, append->published, &item);
    struct pay_kafka_message message = {.partition = -1,
                                        .key = item.order_id,
                                        .key_length = strlen(item.order_id),
                                        .value = body,
                                        .value_length = pay_workload_body(&item, body),
                                        .headers = headers,
                                        .header_count = 1};
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

static bool all_told(const struct append *append) {
    return append->published == (uint64_t)append->options->count &&
           append->acknowledged + append->failed == append->published;
}

static void run(struct append *append) {
    struct pollfd descriptor = {.fd = pay_kafka_publisher_descriptor(append->publisher), .events = POLLIN};
    append->heard_us = pay_clock_us();
    while (!all_told(append) && !append->dead && !pay_signals_stop_requested()) {
        bool full = false;
        for (uint32_t i = 0; i < PUBLISH_AT_ONCE && !full && append->published < (uint64_t)append->options->count; i++)
            full = !publish_one(append);
        take_reports(append);
        if (full || append->published == (uint64_t)append->options->count) poll(&descriptor, 1, 10);
        pay_signals_collect();
        if (pay_clock_us() - append->heard_us > STANDSTILL_US) append->dead = true;
    }
}

int pay_append_run(const struct pay_storm_options *options) {
    struct pay_setting bootstrap = {.name = "bootstrap.servers"};
    struct append append = {.options = options};
    struct pay_error error;
    snprintf(bootstrap.value, sizeof bootstrap.value, "%s", options->kafka);
    struct pay_kafka_publisher_options publisher = {
        .kafka = {.settings = &bootstrap, .setting_count = 1, .client_id = "paybuf-storm"},
        .topic = options->request_topic,
        .in_flight_max = IN_FLIGHT_MAX,
        .linger_ms = LINGER_MS,
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
    return all_told(&append) && append.failed == 0 ? PAY_EXIT_OK : PAY_EXIT_FAILURE;
}
