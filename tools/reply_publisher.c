#include "tools/reply_publisher.h"

#include "base/clock.h"

#include <poll.h>

#define SILENCE_MS 30000
#define LINGER_MS 5
#define OUTSTANDING_MAX 1000 /* before more is handed over, once the library has said that it is full */

enum pay_exit reply_publisher_open(struct reply_publisher *publisher, struct tool *tool, const char *topic,
                                   int32_t partition) {
    const struct pay_kafka_publisher_options options = {.kafka = tool_kafka_options(tool),
                                                        .topic = topic,
                                                        .in_flight_max = 1,
                                                        .linger_ms = LINGER_MS,
                                                        .wait_ms = TOOL_KAFKA_TIMEOUT_MS};
    struct pay_error error;
    *publisher = (struct reply_publisher){.partition = partition, .acknowledged = -1};
    if (pay_kafka_publisher_open(&options, &publisher->kafka, &error) == PAY_OK) return PAY_EXIT_OK;
    publisher->kafka = NULL;
    return tool_unavailable(tool, &error);
}

static bool take_reports(struct reply_publisher *publisher) {
    struct pay_kafka_report report;
    while (!publisher->failed && pay_kafka_publisher_next_report(publisher->kafka, &report)) {
        publisher->failed = report.failed || report.fatal || report.offset <= publisher->acknowledged;
        if (publisher->failed) snprintf(publisher->why, sizeof publisher->why, "%s", report.code);
        publisher->acknowledged = report.offset;
    }
    return !publisher->failed;
}

/* Until at most `left` are outstanding. */
static bool wait_for_reports(struct reply_publisher *publisher, uint64_t left) {
    uint64_t before = UINT64_MAX;
    for (int64_t until_ms = pay_clock_ms() + SILENCE_MS; take_reports(publisher);) {
        uint64_t outstanding = pay_kafka_publisher_outstanding(publisher->kafka);
        if (outstanding <= left) return true;
        if (outstanding < before) until_ms = pay_clock_ms() + SILENCE_MS;
        before = outstanding;
        if (pay_clock_ms() >= until_ms) {
            snprintf(publisher->why, sizeof publisher->why, "no acknowledgement for %d s", SILENCE_MS / 1000);
            return false;
        }
        poll(&(struct pollfd){.fd = pay_kafka_publisher_descriptor(publisher->kafka), .events = POLLIN}, 1, 100);
    }
    return false;
}

bool reply_publisher_publish(struct reply_publisher *publisher, const struct pay_reply_record *reply) {
    const struct pay_kafka_message message = {.partition = publisher->partition,
                                              .key = reply->key,
                                              .key_length = reply->key_length,
                                              .value = reply->value,
                                              .value_length = reply->value_length,
                                              .headers = reply->headers,
                                              .header_count = reply->header_count};
    struct pay_error error;
    for (;;) {
        enum pay_move move = pay_kafka_publisher_publish(publisher->kafka, &message, &error);
        if (move == PAY_OK) return take_reports(publisher);
        snprintf(publisher->why, sizeof publisher->why, "%.60s", error.text);
        if (move != PAY_AGAIN || !wait_for_reports(publisher, OUTSTANDING_MAX)) return false;
    }
}

bool reply_publisher_finish(struct reply_publisher *publisher) { return wait_for_reports(publisher, 0); }

void reply_publisher_close(struct reply_publisher *publisher) {
    pay_kafka_publisher_close(publisher->kafka);
    publisher->kafka = NULL;
}
