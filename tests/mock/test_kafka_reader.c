/* The reader: exactly from the offset that was asked for, through faults, and nothing of an earlier seek. */
#include "kafka_fixture.h"

#include "base/clock.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOPIC "pay.requests"
#define FETCH 1 /* Kafka's API keys */
#define LIST_OFFSETS 2

static struct mock mock;

static int set_up(void **state) {
    (void)state;
    mock = open_mock(3);
    assert_int_equal(rd_kafka_mock_topic_create(mock.cluster, TOPIC, 4, 3), 0);
    for (int32_t partition = 0; partition < 4; partition++)
        rd_kafka_mock_partition_set_leader(mock.cluster, TOPIC, partition, 1);
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 1);
    for (int32_t partition = 0; partition < 3; partition++) publish_numbers(publisher, partition, 0, 2000);
    pay_kafka_publisher_close(publisher);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    close_mock(&mock);
    return 0;
}

/* The next record of `partition` is `offset`; ends and troubles of others are passed over. */
static void assert_next_is(struct pay_kafka_reader *reader, int32_t partition, int64_t offset) {
    for (;;) {
        struct pay_kafka_read read = await_read(reader);
        if (read.kind != PAY_KAFKA_READ_RECORD) continue;
        assert_int_equal(read.record.partition, partition);
        assert_int_equal(read.record.offset, offset);
        assert_int_equal(number_in(&read.record), offset);
        return;
    }
}

static void reading_goes_to_the_end_and_tells_the_position(void **state) {
    (void)state;
    struct pay_kafka_reader *reader = open_reader(true);
    seek_to(reader, TOPIC, 0, 1990);
    for (int64_t offset = 1990; offset < 2000; offset++) assert_next_is(reader, 0, offset);
    struct pay_kafka_read read = await_read(reader);
    assert_int_equal(read.kind, PAY_KAFKA_READ_END);
    assert_int_equal(read.record.offset, 2000);
    assert_int_equal(read.record.partition, 0);
    assert_string_equal(read.topic, TOPIC);
    pay_kafka_reader_close(reader);
}

/* The reason for unassign + assign instead of seek: what was fetched before must never be taken for what was asked for. */
static void a_seek_delivers_from_exactly_that_offset(void **state) {
    (void)state;
    struct pay_kafka_reader *reader = open_reader(true);
    unsigned seed = 1;
    for (int i = 0; i < 200; i++) {
        int64_t offset = rand_r(&seed) % 1900;
        if (i % 3 == 0) seek_to(reader, TOPIC, 1, rand_r(&seed) % 1900); /* and at once somewhere else */
        seek_to(reader, TOPIC, 1, offset);
        for (int64_t more = i % 5 * 20; more >= 0; more--) assert_next_is(reader, 1, offset++);
    }
    pay_kafka_reader_close(reader);
}

static void a_partition_that_is_stopped_delivers_nothing_more(void **state) {
    (void)state;
    struct pay_kafka_reader *reader = open_reader(true);
    seek_to(reader, TOPIC, 0, 0);
    assert_next_is(reader, 0, 0);
    pay_kafka_reader_stop(reader, TOPIC, 0);
    struct pay_kafka_read read;
    pay_kafka_reader_next(reader, 300, &read);
    assert_int_equal(read.kind, PAY_KAFKA_READ_NOTHING);
    seek_to(reader, TOPIC, 0, 7);
    assert_next_is(reader, 0, 7);
    pay_kafka_reader_stop_all(reader);
    pay_kafka_reader_next(reader, 300, &read);
    assert_int_equal(read.kind, PAY_KAFKA_READ_NOTHING);
    pay_kafka_reader_close(reader);
}

static void partitions_are_independent(void **state) {
    (void)state;
    struct pay_kafka_reader *reader = open_reader(true);
    int64_t next[3] = {0, 500, 1000};
    bool ended[3] = {false};
    for (int32_t partition = 0; partition < 3; partition++) seek_to(reader, TOPIC, partition, next[partition]);
    while (!ended[0] || !ended[1] || !ended[2]) {
        struct pay_kafka_read read = await_read(reader);
        if (read.kind == PAY_KAFKA_READ_RECORD) assert_int_equal(read.record.offset, next[read.record.partition]++);
        if (read.kind == PAY_KAFKA_READ_END) ended[read.record.partition] = true;
        if (next[0] == 100 && read.record.partition == 0) {
            seek_to(reader, TOPIC, 2, 10); /* while the others go on; or at its end already */
            next[2] = 10;
            ended[2] = false;
        }
    }
    for (int32_t partition = 0; partition < 3; partition++) assert_int_equal(next[partition], 2000);
    pay_kafka_reader_close(reader);
}

static void fetch_errors_skip_nothing(void **state) {
    (void)state;
    struct pay_kafka_reader *reader = open_reader(true);
    seek_to(reader, TOPIC, 0, 0);
    rd_kafka_mock_push_request_errors(mock.cluster, FETCH, 6, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
                                      RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
                                      RD_KAFKA_RESP_ERR_UNKNOWN);
    for (int64_t offset = 0; offset < 2000; offset++) assert_next_is(reader, 0, offset);
    pay_kafka_reader_close(reader);
}

static void a_moved_leader_skips_nothing(void **state) {
    (void)state;
    struct pay_kafka_reader *reader = open_reader(true);
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 1);
    seek_to(reader, TOPIC, 3, 0);
    for (int64_t number = 0; number < 60; number++) {
        rd_kafka_mock_partition_set_leader(mock.cluster, TOPIC, 3, (int32_t)(number / 20) + 1);
        publish_numbers(publisher, 3, number, number + 1);
        assert_next_is(reader, 3, number);
    }
    pay_kafka_publisher_close(publisher);
    pay_kafka_reader_close(reader);
}

static void brokers_that_come_back_are_read_on(void **state) {
    (void)state;
    struct pay_kafka_reader *reader = open_reader(true);
    seek_to(reader, TOPIC, 0, 1999);
    assert_next_is(reader, 0, 1999);
    for (int32_t broker = 1; broker <= 3; broker++) rd_kafka_mock_broker_set_down(mock.cluster, broker);
    struct pay_kafka_read read;
    bool trouble = false;
    int64_t until = pay_clock_ms() + PATIENCE_MS;
    while (!trouble && pay_clock_ms() < until) {
        pay_kafka_reader_next(reader, 100, &read);
        trouble = read.kind == PAY_KAFKA_READ_TROUBLE && read.record.partition == -1;
    }
    assert_true(trouble);
    for (int32_t broker = 1; broker <= 3; broker++) rd_kafka_mock_broker_set_up(mock.cluster, broker);
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 1);
    publish_numbers(publisher, 0, 2000, 2010);
    for (int64_t offset = 2000; offset < 2010; offset++) assert_next_is(reader, 0, offset);
    pay_kafka_publisher_close(publisher);
    pay_kafka_reader_close(reader);
}

/* auto.offset.reset=error: never silently to the beginning or the end. */
static void an_offset_that_is_not_there_is_trouble_with_the_partition(void **state) {
    (void)state;
    struct pay_kafka_reader *reader = open_reader(true);
    seek_to(reader, TOPIC, 0, 2001);
    struct pay_kafka_read read = await_read(reader);
    assert_int_equal(read.kind, PAY_KAFKA_READ_TROUBLE);
    assert_int_equal(read.record.partition, 0);
    assert_string_not_equal(read.error.code, "");
    seek_to(reader, TOPIC, 0, 5);
    assert_next_is(reader, 0, 5);
    pay_kafka_reader_close(reader);
}

static void bounds_are_asked_and_bounded_in_time(void **state) {
    (void)state;
    struct pay_kafka_reader *reader = open_reader(false);
    int64_t start = -1, end = -1;
    struct pay_error error;
    assert_int_equal(pay_kafka_reader_bounds(reader, TOPIC, 1, 5000, &start, &end, &error), PAY_OK);
    assert_int_equal(start, 0);
    assert_int_equal(end, 2000);
    for (int32_t broker = 1; broker <= 3; broker++) rd_kafka_mock_broker_set_down(mock.cluster, broker);
    int64_t began = pay_clock_ms();
    assert_int_equal(pay_kafka_reader_bounds(reader, TOPIC, 1, 700, &start, &end, &error), PAY_AGAIN);
    assert_true(pay_clock_ms() - began < 7000);
    began = pay_clock_ms();
    pay_kafka_reader_close(reader);
    assert_true(pay_clock_ms() - began < 2000);
}

/* Waiting on the descriptor alone finds everything: a lost wake-up would hang here. */
static void the_descriptor_tells_of_everything(void **state) {
    (void)state;
    struct pay_kafka_reader *reader = open_reader(true);
    struct pay_kafka_publisher *publisher = open_publisher(TOPIC, 1);
    seek_to(reader, TOPIC, 3, 0);
    for (int64_t number = 0; number < 300; number++) {
        publish_numbers(publisher, 3, number, number + 1);
        for (bool got = false; !got;) {
            struct pay_kafka_read read;
            do {
                pay_kafka_reader_next(reader, 0, &read);
                got = got || read.kind == PAY_KAFKA_READ_RECORD;
            } while (read.kind != PAY_KAFKA_READ_NOTHING);
            struct pollfd descriptor = {.fd = pay_kafka_reader_descriptor(reader), .events = POLLIN};
            if (!got) assert_int_equal(poll(&descriptor, 1, PATIENCE_MS), 1);
        }
    }
    pay_kafka_publisher_close(publisher);
    pay_kafka_reader_close(reader);
}

/* The library keeps a partition's leader for up to 30 s, and the answer "not leader" alone doesn't make it look again. */
static void bounds_find_a_new_leader_at_the_second_look(void **state) {
    (void)state;
    struct pay_kafka_reader *reader = open_reader(false);
    struct pay_error error;
    int64_t start = 0, end = 0;
    assert_int_equal(pay_kafka_reader_bounds(reader, TOPIC, 1, 5000, &start, &end, &error), PAY_OK);
    rd_kafka_mock_partition_set_leader(mock.cluster, TOPIC, 1, 2);
    if (pay_kafka_reader_bounds(reader, TOPIC, 1, 5000, &start, &end, &error) == PAY_OK)
        fail_msg("the mock doesn't mind");
    assert_int_equal(pay_kafka_reader_bounds(reader, TOPIC, 1, 5000, &start, &end, &error), PAY_OK);
    assert_int_equal(end, 2000);
    pay_kafka_reader_close(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reading_goes_to_the_end_and_tells_the_position, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_seek_delivers_from_exactly_that_offset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_partition_that_is_stopped_delivers_nothing_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(partitions_are_independent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fetch_errors_skip_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_moved_leader_skips_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(brokers_that_come_back_are_read_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_offset_that_is_not_there_is_trouble_with_the_partition, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bounds_are_asked_and_bounded_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bounds_find_a_new_leader_at_the_second_look, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_descriptor_tells_of_everything, set_up, tear_down),
    };
    cmocka_set_test_filter(getenv("PAYBUF_TEST_NAME"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
