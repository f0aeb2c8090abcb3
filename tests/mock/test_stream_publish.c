/* What the worker's reply producers are opened with, and what they do to a log: the stream adapter's part of PROTOCOL 3. */
#include "kafka_fixture.h"

#include "kafka/kafka_internal.h"
#include "worker/stream_kafka_internal.h"

#include "base/clock.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define REPLIES "pay.replies"
#define PARTITIONS 4
#define PRODUCE 0 /* Kafka's API key */

static struct mock mock;
static struct pay_stream *stream;

static int set_up(void **state) {
    (void)state;
    mock = open_mock(1);
    assert_int_equal(rd_kafka_mock_topic_create(mock.cluster, REPLIES, PARTITIONS, 1), 0);
    struct pay_kafka_options kafka = options_for("unused");
    const struct pay_stream_kafka_options options = {.settings = kafka.settings,
                                                     .setting_count = kafka.setting_count,
                                                     .request_topic = "pay.requests",
                                                     .reply_topic = REPLIES,
                                                     .dead_letter_topic = "pay.dlq",
                                                     .group = "paybuf",
                                                     .call_timeout_ms = 10000};
    stream = pay_stream_kafka_new(&options);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    stream->ops->close(stream, 5000);
    close_mock(&mock);
    return 0;
}

static void open_slot(void) {
    struct pay_error error = {.text = ""};
    if (stream->ops->open_publisher(stream, 0, &error) != PAY_OK) fail_msg("%s", error.text);
}

static void publish(int32_t partition, int64_t source_offset) {
    struct pay_error error = {.text = ""};
    const struct pay_outgoing reply = {.partition = partition,
                                       .source_offset = source_offset,
                                       .key = "the same for all",
                                       .key_length = 16,
                                       .value = "{}",
                                       .value_length = 2};
    if (stream->ops->publish(stream, 0, &reply, &error) != PAY_OK) fail_msg("%s", error.text);
}

static struct pay_report await(void) {
    struct pay_report report;
    int64_t until = pay_clock_ms() + PATIENCE_MS;
    while (!stream->ops->next_report(stream, &report)) {
        struct pay_stream_event event;
        if (pay_clock_ms() > until) fail_msg("no report");
        poll(NULL, 0, 1);
        stream->ops->next_event(stream, &event);
    }
    return report;
}

static int64_t records_in(int32_t partition) {
    int64_t count = 0;
    struct pay_kafka_reader *reader = open_reader(false);
    seek_to(reader, REPLIES, partition, 0);
    while (await_read(reader).kind == PAY_KAFKA_READ_RECORD) count++;
    pay_kafka_reader_close(reader);
    return count;
}

static void is_set(const struct pay_kafka_handle *handle, const char *name, const char *value) {
    char text[64] = "";
    size_t size = sizeof text;
    assert_int_equal(rd_kafka_conf_get(rd_kafka_conf(handle->rk), name, text, &size), RD_KAFKA_CONF_OK);
    if (strcmp(text, value) != 0) fail_msg("%s is %s instead of %s", name, text, value);
}

static void reply_producers_are_opened_as_the_protocol_demands(void **state) {
    (void)state;
    open_slot();
    const struct pay_kafka_handle *handle = pay_kafka_publisher_handle(pay_self_of(stream)->publishers[0]);
    is_set(handle, "acks", "-1");
    is_set(handle, "enable.idempotence", "true");
    is_set(handle, "enable.gapless.guarantee", "true");
    is_set(handle, "max.in.flight.requests.per.connection", "1");
    is_set(handle, "message.timeout.ms", "0");
    is_set(handle, "partitioner", "murmur2_random");
    is_set(handle, "allow.auto.create.topics", "false");
}

static void lanes_are_read_committed_and_never_silently_reset(void **state) {
    (void)state;
    struct pay_error error = {.text = ""};
    assert_int_equal(pay_sk_open_lanes(pay_self_of(stream), &error), PAY_OK);
    const struct pay_kafka_handle *handle = pay_kafka_reader_handle(pay_self_of(stream)->lanes);
    is_set(handle, "isolation.level", "read_committed");
    is_set(handle, "auto.offset.reset", "error");
    is_set(handle, "enable.auto.commit", "false");
    is_set(handle, "enable.auto.offset.store", "false");
    is_set(handle, "enable.partition.eof", "true");
    is_set(handle, "check.crcs", "true");
}

static void a_reply_lies_in_the_partition_of_its_request_whatever_its_key(void **state) {
    (void)state;
    open_slot();
    for (int32_t partition = 0; partition < PARTITIONS; partition++) {
        publish(partition, 7);
        struct pay_report report = await();
        assert_false(report.failed);
        assert_int_equal(report.partition, partition);
        assert_int_equal(report.source_offset, 7);
        assert_int_equal(report.log_offset, 0);
    }
    for (int32_t partition = 0; partition < PARTITIONS; partition++) assert_int_equal(records_in(partition), 1);
}

/* Its session is over: what was queued would come behind the replies of the next one. */
static void what_a_closed_producer_had_queued_never_arrives(void **state) {
    (void)state;
    for (int again = 0; again < 2; again++) { /* closed by name, and by opening the slot anew */
        open_slot();
        publish(1, 0);
        await();
        rd_kafka_mock_broker_set_down(mock.cluster, 1);
        for (int64_t offset = 1; offset < 5; offset++) publish(1, offset);
        if (again == 0) stream->ops->close_publisher(stream, 0);
        rd_kafka_mock_broker_set_up(mock.cluster, 1);
        open_slot();
        poll(NULL, 0, 1500); /* an old producer would be connected again by now */
        publish(1, 9);
        assert_int_equal(await().source_offset, 9);
        assert_int_equal(records_in(1), 2 * (again + 1));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reply_producers_are_opened_as_the_protocol_demands, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lanes_are_read_committed_and_never_silently_reset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reply_lies_in_the_partition_of_its_request_whatever_its_key, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_a_closed_producer_had_queued_never_arrives, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
