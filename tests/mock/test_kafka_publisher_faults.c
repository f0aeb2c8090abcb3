/* The publisher when brokers refuse, lose and lie. */
#include "kafka_fixture.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOPIC "pay.replies"
#define PRODUCE 0 /* Kafka's API key */

static struct mock mock;

static int set_up(void **state) {
    (void)state;
    mock = open_mock(3);
    assert_int_equal(rd_kafka_mock_topic_create(mock.cluster, TOPIC, 4, 3), 0);
    for (int32_t partition = 0; partition < 4; partition++)
        rd_kafka_mock_partition_set_leader(mock.cluster, TOPIC, partition, 1);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    close_mock(&mock);
    return 0;
}

/* How often each number of [0, count) is in the log, in *ret_times; true when the first occurrences are in order. */
static bool read_log(int32_t partition, int64_t count, uint32_t *ret_times) {
    struct pay_kafka_reader *reader = open_reader(false);
    struct pay_kafka_read read;
    int64_t last = -1;
    bool in_order = true;
    memset(ret_times, 0, (size_t)count * sizeof *ret_times);
    seek_to(reader, TOPIC, partition, 0);
    while ((read = await_read(reader)).kind == PAY_KAFKA_READ_RECORD) {
        int64_t number = number_in(&read.record);
        assert_in_range(number, 0, count - 1);
        in_order = in_order && (ret_times[number] > 0 || number > last);
        last = number > last ? number : last;
        ret_times[number]++;
    }
    pay_kafka_reader_close(reader);
    return in_order;
}

static void assert_all_once_in_order(int32_t partition, int64_t count) {
    uint32_t times[200];
    assert_in_range(count, 1, 200);
    assert_true(read_log(partition, count, times));
    for (int64_t number = 0; number < count; number++) assert_int_equal(times[number], 1);
}

static void refusals_that_pass_are_retried_in_order(void **state) {
    (void)state;
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 1);
    rd_kafka_mock_push_request_errors(mock.cluster, PRODUCE, 5, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, RD_KAFKA_RESP_ERR__TRANSPORT,
                                      RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
    publish_numbers(publisher, 0, 0, 50);
    publish_numbers(publisher, 0, 50, 100);
    pay_kafka_publisher_close(publisher);
}

/* KAFKA-15591: the first request of a new producer is refused with a retriable error, the next ones are accepted, because a broker
   without state takes any first sequence. With one request in flight there is no next one yet: nothing is lost, nothing overtakes. */
static void a_refused_first_request_leaves_no_hole_with_one_in_flight(void **state) {
    (void)state;
    for (int32_t round = 0; round < 4; round++) {
        static const rd_kafka_resp_err_t refusals[] = {
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR__TRANSPORT};
        struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 1);
        struct pay_kafka_report report;
        rd_kafka_mock_broker_set_rtt(mock.cluster, 1, 200);
        rd_kafka_mock_push_request_errors(mock.cluster, PRODUCE, 1, refusals[round]);
        for (int64_t number = 0; number < 4; number++) {
            publish_number(publisher, round, number);
            report_within(publisher, 30,
                          &report); /* nothing: the broker answers later; a pause makes it a request of its own */
        }
        rd_kafka_mock_broker_set_rtt(mock.cluster, 1, 0);
        for (int64_t number = 0; number < 4; number++) {
            report = await_report(publisher);
            assert_false(report.failed);
            assert_int_equal(report.offset, number);
        }
        pay_kafka_publisher_close(publisher);
        assert_all_once_in_order(round, 4);
    }
}

/*
 * The same with five in flight: the lie. librdkafka reports the refused records as delivered (err 0) with offset -1001, and they are in
 * no log (2.0.2 and 2.8.0 alike). This test says what the library does, so that the day it stops lying is noticed; the rule that saves us is that a report
 * without a real offset is no acknowledgement.
 */
static void with_five_in_flight_an_honest_looking_report_can_be_a_lie(void **state) {
    (void)state;
    enum { COUNT = 4 }; /* librdkafka has at most 5 records of a partition in flight, not 5 requests */
    uint32_t times[COUNT];
    uint32_t lies = 0;
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 5);
    publish_numbers(publisher, 3, 0, 1); /* connected, and known as a producer */
    rd_kafka_mock_broker_set_rtt(mock.cluster, 1,
                                 3000); /* so that the next requests leave before the first one's answer */
    rd_kafka_mock_push_request_errors(mock.cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
    for (int64_t number = 0; number < COUNT; number++) {
        struct pay_kafka_report none;
        publish_number(publisher, 0, number);
        assert_false(report_within(publisher, 200, &none)); /* a pause: the next one is another request */
    }
    bool acknowledged[COUNT] = {false};
    for (int i = 0; i < COUNT; i++) {
        struct pay_kafka_report report = await_report(publisher);
        acknowledged[(intptr_t)report.opaque] = !report.failed && report.offset >= 0;
        lies += !report.failed && report.offset < 0;
    }
    pay_kafka_publisher_close(publisher);
    rd_kafka_mock_broker_set_rtt(mock.cluster, 1, 0);
    read_log(0, COUNT, times);
    uint32_t lost = 0;
    for (int64_t number = 0; number < COUNT; number++) {
        assert_true(!acknowledged[number] || times[number] > 0); /* what counts as acknowledged is in the log */
        lost += times[number] == 0;
    }
    print_message("%u reports of success without an offset, %u records in no log\n", lies, lost);
    assert_int_equal(lost, lies);
    assert_int_equal(lies, 1);
}

/* A leader that appends and then answers an error: the retry appends again, or is told so; a failed report never proves absence. */
static void a_final_refusal_comes_back_with_its_name(void **state) {
    (void)state;
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 5);
    rd_kafka_mock_push_request_errors(mock.cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    publish_number(publisher, 0, 1);
    struct pay_kafka_report report = await_report(publisher);
    if (report.fatal) report = await_report(publisher);
    assert_true(report.failed);
    assert_string_not_equal(report.code, "");
    pay_kafka_publisher_close(publisher);
}

static void a_dead_handle_says_so_and_another_one_works(void **state) {
    (void)state;
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 1);
    rd_kafka_mock_push_request_errors(mock.cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    for (int64_t number = 0; number < 10; number++) publish_number(publisher, 0, number);
    bool fatal = false;
    struct pay_kafka_report report;
    while (!fatal) {
        report = await_report(publisher);
        fatal = report.fatal;
        assert_true(report.failed);
    }
    assert_string_not_equal(report.code, "");
    const struct pay_kafka_message message = {0, NULL, 0, "v", 1, NULL, 0, NULL};
    struct pay_error error;
    assert_int_equal(pay_kafka_publisher_publish(publisher, &message, &error), PAY_SESSION_OVER);
    pay_kafka_publisher_close(publisher);
    publisher = open_publisher(TOPIC, 1);
    publish_numbers(publisher, 0, 0, 10);
    pay_kafka_publisher_close(publisher);
}

static void the_leader_may_move_at_any_time(void **state) {
    (void)state;
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 1);
    int64_t acknowledged = 0;
    struct pay_kafka_report report;
    for (int64_t number = 0; number < 200; number++) {
        publish_number(publisher, 2, number);
        if (number % 50 == 25)
            rd_kafka_mock_partition_set_leader(mock.cluster, TOPIC, 2, (int32_t)(number / 50 % 3) + 1);
        while (report_within(publisher, 1, &report)) {
            assert_false(report.failed);
            assert_int_equal((intptr_t)report.opaque, acknowledged++);
        }
    }
    while (acknowledged < 200) {
        report = await_report(publisher);
        assert_false(report.failed);
        assert_int_equal((intptr_t)report.opaque, acknowledged++);
    }
    pay_kafka_publisher_close(publisher);
    assert_all_once_in_order(2, 200);
}

/* More handles than can be closing at once, while no broker answers: opening says AGAIN instead of piling up threads. */
static void handles_that_are_closing_are_bounded(void **state) {
    (void)state;
    for (int i = 0; i < 3 * PAY_KAFKA_CLOSING_MAX; i++) {
        struct pay_kafka_publisher_options options = {.kafka = options_for("many"), .topic = TOPIC, .in_flight_max = 1};
        struct pay_kafka_publisher *publisher = NULL;
        struct pay_error error;
        enum pay_move move = pay_kafka_publisher_open(&options, &publisher, &error);
        assert_true(move == PAY_OK || move == PAY_AGAIN);
        assert_true(pay_kafka_reaper_closing() <= PAY_KAFKA_CLOSING_MAX);
        pay_kafka_publisher_close(publisher);
    }
    assert_true(pay_kafka_reaper_wait(PATIENCE_MS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refusals_that_pass_are_retried_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refused_first_request_leaves_no_hole_with_one_in_flight, set_up, tear_down),
        cmocka_unit_test_setup_teardown(with_five_in_flight_an_honest_looking_report_can_be_a_lie, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_final_refusal_comes_back_with_its_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dead_handle_says_so_and_another_one_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_leader_may_move_at_any_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(handles_that_are_closing_are_bounded, set_up, tear_down),
    };
    cmocka_set_test_filter(getenv("PAYBUF_TEST_NAME"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
