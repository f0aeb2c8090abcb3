/* The publisher where all goes well, or wrong in ordinary ways: order, queue bounds, purge, closing. */
#include "kafka_fixture.h"

#include "base/clock.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOPIC "pay.replies"

static struct mock mock;

static int set_up(void **state) {
    (void)state;
    mock = open_mock(3);
    assert_int_equal(rd_kafka_mock_topic_create(mock.cluster, TOPIC, 4, 3), 0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    close_mock(&mock);
    return 0;
}

static void brokers_down(void) {
    for (int32_t broker = 1; broker <= 3; broker++) rd_kafka_mock_broker_set_down(mock.cluster, broker);
}

static void brokers_up(void) {
    for (int32_t broker = 1; broker <= 3; broker++) rd_kafka_mock_broker_set_up(mock.cluster, broker);
}

/* The log holds exactly these numbers, in this order. */
static void assert_log_holds(int32_t partition, int64_t from, int64_t to) {
    struct pay_kafka_reader *reader = open_reader(false);
    seek_to(reader, TOPIC, partition, 0);
    for (int64_t number = from; number < to; number++) {
        struct pay_kafka_read read = await_read(reader);
        assert_int_equal(read.kind, PAY_KAFKA_READ_RECORD);
        assert_int_equal(number_in(&read.record), number);
    }
    assert_int_equal(await_read(reader).kind, PAY_KAFKA_READ_END);
    pay_kafka_reader_close(reader);
}

static void records_come_back_in_order_with_their_offsets(void **state) {
    (void)state;
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 1);
    publish_numbers(publisher, 2, 0, 2000);
    assert_int_equal(pay_kafka_publisher_outstanding(publisher), 0);
    pay_kafka_publisher_close(publisher);
    assert_log_holds(2, 0, 2000);
}

/* What a record carries is what a reader gets: key, value, headers, and the absence of each. */
static void a_record_is_carried_byte_for_byte(void **state) {
    (void)state;
    enum { HEADERS = 100 };
    struct pay_header headers[HEADERS];
    for (int i = 0; i < HEADERS; i++)
        headers[i] = (struct pay_header){i % 2 == 0 ? "even" : "odd", i % 10 == 9 ? NULL : "a\0b", i % 10 == 9 ? 0 : 3};
    const struct pay_kafka_message messages[] = {
        {0, "k\0k", 3, "v\0v", 3, headers, HEADERS, NULL},
        {0, NULL, 0, NULL, 0, NULL, 0, NULL},
        {0, "", 0, "", 0, NULL, 0, NULL},
    };
    struct pay_error error;
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 1);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pay_kafka_publisher_publish(publisher, &messages[i], &error), PAY_OK);
    for (size_t i = 0; i < 3; i++) assert_false(await_report(publisher).failed);
    pay_kafka_publisher_close(publisher);

    struct pay_kafka_reader *reader = open_reader(true);
    seek_to(reader, TOPIC, 0, 0);
    struct pay_log_record record = await_read(reader).record;
    assert_int_equal(record.key_length, 3);
    assert_memory_equal(record.key, "k\0k", 3);
    assert_memory_equal(record.value, "v\0v", 3);
    assert_int_equal(record.header_count, HEADERS);
    assert_string_equal(record.headers[1].name, "odd");
    assert_memory_equal(record.headers[1].value, "a\0b", 3);
    assert_null(record.headers[9].value);
    record = await_read(reader).record;
    assert_null(record.key);
    assert_null(record.value);
    assert_int_equal(record.header_count, 0);
    record = await_read(reader).record;
    assert_non_null(record.key);
    assert_int_equal(record.key_length, 0);
    assert_non_null(record.value);
    pay_kafka_reader_close(reader);
}

/* Keys go where Java's clients send them: values from org.apache.kafka.common.utils.Utils, toPositive(murmur2(key)). */
static void keys_are_spread_by_murmur2(void **state) {
    (void)state;
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 5);
    struct pay_error error;
    static const struct {
        const char *key;
        int32_t partition;
    } known[] = {
        {"21", 1173551340 % 4},
        {"foobar", 1357151166 % 4},
        {"a-little-bit-long-string", 1161502112 % 4},
        {"o-1", 747680922 % 4},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const struct pay_kafka_message message = {-1, known[i].key, strlen(known[i].key), "v", 1, NULL, 0, NULL};
        assert_int_equal(pay_kafka_publisher_publish(publisher, &message, &error), PAY_OK);
        assert_int_equal(await_report(publisher).partition, known[i].partition);
    }
    pay_kafka_publisher_close(publisher);
}

/* #4627: librdkafka frees such a record's headers twice unless they are the caller's; under ASan this test would end here. */
static void a_partition_that_does_not_exist_is_refused(void **state) {
    (void)state;
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 1);
    const struct pay_header header = {"source-offset", "1", 1};
    const struct pay_kafka_message message = {4, "k", 1, "v", 1, &header, 1, NULL};
    struct pay_error error;
    assert_int_equal(pay_kafka_publisher_publish(publisher, &message, &error), PAY_SESSION_OVER);
    assert_int_equal(pay_kafka_publisher_outstanding(publisher), 0);
    pay_kafka_publisher_close(publisher);
}

static void goes_on_behind_a_record_of_3000_bytes(int64_t record_bytes_max) {
    char *large = calloc(1, 3000);
    struct pay_kafka_publisher_options options = {.kafka = options_for("small"),
                                                  .topic = TOPIC,
                                                  .in_flight_max = 1,
                                                  .record_bytes_max = record_bytes_max,
                                                  .wait_ms = 10000};
    struct pay_kafka_publisher *publisher = NULL;
    struct pay_error error;
    assert_int_equal(pay_kafka_publisher_open(&options, &publisher, &error), PAY_OK);
    const struct pay_kafka_message message = {0, NULL, 0, large, 3000, NULL, 0, NULL};
    assert_int_equal(pay_kafka_publisher_publish(publisher, &message, &error), PAY_SPLIT);
    publish_numbers(publisher, 0, 0, 3);
    pay_kafka_publisher_close(publisher);
    free(large);
}

static void a_record_that_is_too_large_is_refused_and_the_next_goes_on(void **state) {
    (void)state;
    goes_on_behind_a_record_of_3000_bytes(2000);
}

static void a_topic_that_takes_less_than_the_library_can_be_told_is_published_to(void **state) {
    (void)state;
    goes_on_behind_a_record_of_3000_bytes(300);
}

static void a_full_queue_says_again_and_keeps_the_order(void **state) {
    (void)state;
    struct pay_kafka_options kafka = options_for("small-queue");
    struct pay_setting settings[2];
    settings[0] = kafka.settings[0];
    memset(&settings[1], 0, sizeof settings[1]);
    snprintf(settings[1].name, sizeof settings[1].name, "queue.buffering.max.messages");
    snprintf(settings[1].value, sizeof settings[1].value, "100");
    kafka.settings = settings;
    kafka.setting_count = 2;
    struct pay_kafka_publisher_options options = {.kafka = kafka, .topic = TOPIC, .in_flight_max = 1, .wait_ms = 10000};
    struct pay_kafka_publisher *publisher = NULL;
    struct pay_error error;
    assert_int_equal(pay_kafka_publisher_open(&options, &publisher, &error), PAY_OK);
    int64_t next = 0, acknowledged = 0;
    uint32_t again = 0;
    for (int32_t broker = 1; broker <= 3; broker++)
        rd_kafka_mock_broker_set_rtt(mock.cluster, broker, 10); /* it fills faster */
    while (acknowledged < 3000) {
        char text[21];
        int length = snprintf(text, sizeof text, "%lld", (long long)next);
        const struct pay_kafka_message message = {1, NULL, 0, text, (size_t)length, NULL, 0, (void *)(intptr_t)next};
        enum pay_move move = next < 3000 ? pay_kafka_publisher_publish(publisher, &message, &error) : PAY_AGAIN;
        again += next < 3000 && move == PAY_AGAIN;
        next += move == PAY_OK;
        struct pay_kafka_report report;
        while (pay_kafka_publisher_next_report(publisher, &report)) {
            assert_false(report.failed);
            assert_int_equal((intptr_t)report.opaque, acknowledged++);
        }
    }
    assert_true(again > 0);
    pay_kafka_publisher_close(publisher);
    assert_log_holds(1, 0, 3000);
}

static void records_wait_for_brokers_that_come_back(void **state) {
    (void)state;
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 1);
    publish_numbers(publisher, 0, 0, 10);
    brokers_down();
    for (int64_t number = 10; number < 60; number++) publish_number(publisher, 0, number);
    struct pay_kafka_report report;
    assert_false(report_within(publisher, 1500, &report));
    struct pay_error error;
    int64_t until = pay_clock_ms() + PATIENCE_MS;
    while (!pay_kafka_publisher_take_trouble(publisher, &error)) {
        assert_true(pay_clock_ms() < until);
        assert_false(report_within(publisher, 50, &report));
    }
    assert_int_equal(error.move, PAY_AGAIN);
    brokers_up();
    for (int64_t number = 10; number < 60; number++) {
        report = await_report(publisher);
        assert_false(report.failed);
        assert_int_equal((intptr_t)report.opaque, number);
    }
    pay_kafka_publisher_close(publisher);
    assert_log_holds(0, 0, 60);
}

static void purging_gives_every_record_back_and_another_handle_works(void **state) {
    (void)state;
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 5);
    brokers_down();
    for (int64_t number = 0; number < 100; number++) publish_number(publisher, (int32_t)(number % 4), number);
    pay_kafka_publisher_purge(publisher);
    bool back[100] = {false};
    for (int i = 0; i < 100; i++) {
        struct pay_kafka_report report = await_report(publisher);
        assert_true(report.failed);
        assert_true(report.offset < 0);
        assert_false(back[(intptr_t)report.opaque]);
        back[(intptr_t)report.opaque] = true;
    }
    assert_int_equal(pay_kafka_publisher_outstanding(publisher), 0);
    const struct pay_kafka_message message = {0, NULL, 0, "v", 1, NULL, 0, NULL};
    struct pay_error error;
    assert_int_equal(pay_kafka_publisher_publish(publisher, &message, &error), PAY_SESSION_OVER);
    pay_kafka_publisher_close(publisher);
    brokers_up();
    publisher = open_publisher(TOPIC, 5);
    publish_numbers(publisher, 3, 0, 10);
    pay_kafka_publisher_close(publisher);
}

static void closing_never_waits_for_a_broker_that_is_down(void **state) {
    (void)state;
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 1);
    publish_number(publisher, 0, 1);
    brokers_down();
    publish_number(publisher, 0, 2);
    int64_t began = pay_clock_ms();
    pay_kafka_publisher_close(publisher);
    assert_true(pay_clock_ms() - began < 2000);
    assert_true(pay_kafka_reaper_wait(PATIENCE_MS));
    brokers_up();
}

static void opening_without_a_broker_says_again_in_time(void **state) {
    (void)state;
    brokers_down();
    struct pay_kafka_publisher_options options = {
        .kafka = options_for("nobody-home"), .topic = TOPIC, .in_flight_max = 1, .wait_ms = 700};
    struct pay_kafka_publisher *publisher = NULL;
    struct pay_error error;
    int64_t began = pay_clock_ms();
    assert_int_equal(pay_kafka_publisher_open(&options, &publisher, &error), PAY_AGAIN);
    assert_in_range(pay_clock_ms() - began, 700, 7000);
    assert_null(publisher);
    brokers_up();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_come_back_in_order_with_their_offsets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_record_is_carried_byte_for_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_are_spread_by_murmur2, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_partition_that_does_not_exist_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_record_that_is_too_large_is_refused_and_the_next_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_topic_that_takes_less_than_the_library_can_be_told_is_published_to, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_queue_says_again_and_keeps_the_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(records_wait_for_brokers_that_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(purging_gives_every_record_back_and_another_handle_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_never_waits_for_a_broker_that_is_down, set_up, tear_down),
        cmocka_unit_test_setup_teardown(opening_without_a_broker_says_again_in_time, set_up, tear_down),
    };
    cmocka_set_test_filter(getenv("PAYBUF_TEST_NAME"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
