/*
 * kafka_statistics.h - what a producer needs of librdkafka's statistics (its STATISTICS.md, JSON once an interval).
 *
 * Pure: no memory kept, any thread.
 */
#ifndef PAY_KAFKA_KAFKA_STATISTICS_H
#define PAY_KAFKA_KAFKA_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

/*
 * How long a partition of `topic` waits for its turn when all of them share one handle with one request in flight per broker: a
 * broker's median round trip times the partitions that it leads, and of these the longest. In microseconds; -1: no request of
 * that interval says it, or the text isn't what librdkafka writes.
 */
int64_t pay_kafka_turn_us(const char *text, size_t length, const char *topic);

#endif
