/*
 * kafka_fixture.h - what the tests of common/kafka share: settings, records by number, waiting with a bound, a mock cluster.
 * Every wait ends after PATIENCE_MS with a failed test, never with a hang.
 */
#ifndef PAY_TESTS_KAFKA_FIXTURE_H
#define PAY_TESTS_KAFKA_FIXTURE_H

#include "kafka/kafka_publisher.h"
#include "kafka/kafka_reader.h"
#include "kafka/kafka_reaper.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define PATIENCE_MS 30000

/* Points every option made afterwards at these brokers. */
void use_brokers(const char *bootstrap);
struct pay_kafka_options options_for(const char *client_id);

/* The mock cluster: a handle of librdkafka that carries it, and its brokers. Topics are made by hand: it doesn't do CreateTopics. */
struct mock {
    rd_kafka_t *carrier;
    rd_kafka_mock_cluster_t *cluster;
};
struct mock open_mock(int brokers); /* and use_brokers */
void close_mock(struct mock *mock);

struct pay_kafka_publisher *open_publisher(const char *topic, int32_t in_flight_max);
struct pay_kafka_reader *open_reader(bool committed_only);

/* Publishes a record whose value is the decimal `number`, trying again as long as the answer is AGAIN. */
void publish_number(struct pay_kafka_publisher *publisher, int32_t partition, int64_t number);
int64_t number_in(const struct pay_log_record *record);

/* The next report; the test fails when none comes. */
struct pay_kafka_report await_report(struct pay_kafka_publisher *publisher);
/* True when a report came within the time. */
bool report_within(struct pay_kafka_publisher *publisher, int64_t timeout_ms, struct pay_kafka_report *ret_report);
/* Publishes numbers [from, to) to one partition and waits for honest acknowledgements of all. */
void publish_numbers(struct pay_kafka_publisher *publisher, int32_t partition, int64_t from, int64_t to);

/* The next record, end or trouble. */
struct pay_kafka_read await_read(struct pay_kafka_reader *reader);

void seek_to(struct pay_kafka_reader *reader, const char *topic, int32_t partition, int64_t offset);

#endif
