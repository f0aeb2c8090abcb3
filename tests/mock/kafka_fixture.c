#include "kafka_fixture.h"

#include "base/clock.h"
#include "core/position.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct pay_setting settings[1];

void use_brokers(const char *bootstrap) {
    memset(settings, 0, sizeof settings);
    snprintf(settings[0].name, sizeof settings[0].name, "bootstrap.servers");
    snprintf(settings[0].value, sizeof settings[0].value, "%s", bootstrap);
}

struct pay_kafka_options options_for(const char *client_id) {
    return (struct pay_kafka_options){.settings = settings, .setting_count = 1, .client_id = client_id};
}

struct mock open_mock(int brokers) {
    char why[256];
    struct mock mock;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "3", why, sizeof why); /* it has no brokers of its own, and needs none */
    mock.carrier = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    assert_non_null(mock.carrier);
    mock.cluster = rd_kafka_mock_cluster_new(mock.carrier, brokers);
    assert_non_null(mock.cluster);
    use_brokers(rd_kafka_mock_cluster_bootstraps(mock.cluster));
    return mock;
}

void close_mock(struct mock *mock) {
    assert_true(pay_kafka_reaper_wait(PATIENCE_MS)); /* no handle outlives its brokers */
    rd_kafka_mock_cluster_destroy(mock->cluster);
    rd_kafka_destroy(mock->carrier);
}

struct pay_kafka_publisher *open_publisher(const char *topic, int32_t in_flight_max) {
    struct pay_kafka_publisher_options options = {
        .kafka = options_for("test-publisher"), .topic = topic, .in_flight_max = in_flight_max, .wait_ms = 10000};
    struct pay_kafka_publisher *publisher = NULL;
    struct pay_error error = {.text = ""};
    if (pay_kafka_publisher_open(&options, &publisher, &error) != PAY_OK) fail_msg("publisher: %s", error.text);
    return publisher;
}

struct pay_kafka_reader *open_reader(bool committed_only) {
    struct pay_kafka_reader_options options = {options_for("test-reader"), NULL, committed_only, 10, 0};
    struct pay_kafka_reader *reader = NULL;
    struct pay_error error = {.text = ""};
    if (pay_kafka_reader_open(&options, &reader, &error) != PAY_OK) fail_msg("reader: %s", error.text);
    return reader;
}

void publish_number(struct pay_kafka_publisher *publisher, int32_t partition, int64_t number) {
    char text[21];
    size_t length = pay_decimal_format(number, text);
    const struct pay_header header = {"number", text, length};
    const struct pay_kafka_message message = {partition, text,    length, text,
                                              length,    &header, 1,      (void *)(intptr_t)number};
    struct pay_error error = {.text = ""};
    enum pay_move move;
    int64_t until = pay_clock_ms() + PATIENCE_MS;
    while ((move = pay_kafka_publisher_publish(publisher, &message, &error)) == PAY_AGAIN && pay_clock_ms() < until)
        poll(NULL, 0, 1);
    if (move != PAY_OK) fail_msg("publish: %s", error.text);
}

int64_t number_in(const struct pay_log_record *record) {
    int64_t number = -1;
    assert_true(pay_decimal_parse(record->value, record->value_length, &number));
    return number;
}

bool report_within(struct pay_kafka_publisher *publisher, int64_t timeout_ms, struct pay_kafka_report *ret_report) {
    int64_t until = pay_clock_ms() + timeout_ms;
    for (;;) {
        if (pay_kafka_publisher_next_report(publisher, ret_report)) return true;
        int64_t left = until - pay_clock_ms();
        if (left <= 0) return false;
        struct pollfd descriptor = {.fd = pay_kafka_publisher_descriptor(publisher), .events = POLLIN};
        poll(&descriptor, 1, (int)left); /* only the descriptor wakes us: a lost wake-up fails the test */
    }
}

struct pay_kafka_report await_report(struct pay_kafka_publisher *publisher) {
    struct pay_kafka_report report;
    if (!report_within(publisher, PATIENCE_MS, &report)) fail_msg("no report");
    return report;
}

void publish_numbers(struct pay_kafka_publisher *publisher, int32_t partition, int64_t from, int64_t to) {
    int64_t last = -1;
    for (int64_t number = from; number < to; number++) publish_number(publisher, partition, number);
    for (int64_t number = from; number < to; number++) {
        struct pay_kafka_report report = await_report(publisher);
        assert_false(report.failed);
        assert_int_equal((intptr_t)report.opaque, number);
        assert_true(report.offset > last);
        last = report.offset;
    }
}

struct pay_kafka_read await_read(struct pay_kafka_reader *reader) {
    struct pay_kafka_read read;
    int64_t until = pay_clock_ms() + PATIENCE_MS;
    do {
        pay_kafka_reader_next(reader, 100, &read);
    } while (read.kind == PAY_KAFKA_READ_NOTHING && pay_clock_ms() < until);
    if (read.kind == PAY_KAFKA_READ_NOTHING) fail_msg("nothing came");
    return read;
}

void seek_to(struct pay_kafka_reader *reader, const char *topic, int32_t partition, int64_t offset) {
    struct pay_error error = {.text = ""};
    if (pay_kafka_reader_seek(reader, topic, partition, offset, &error) != PAY_OK) fail_msg("seek: %s", error.text);
}
