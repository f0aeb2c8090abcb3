#include "tools/log_writer.h"

#include "base/clock.h"

#include <openssl/sha.h>
#include <poll.h>
#include <string.h>

#define ACKNOWLEDGE_MS 30000

static enum pay_exit open_publisher(struct log_writer *writer) {
    struct pay_kafka_topic topic;
    struct pay_error error;
    if (writer->publisher != NULL) return PAY_EXIT_OK;
    enum pay_exit status = tool_topic(writer->tool, writer->topic, &topic);
    if (status != PAY_EXIT_OK) return status;
    const struct pay_kafka_publisher_options options = {.kafka = tool_kafka_options(writer->tool),
                                                        .topic = writer->topic,
                                                        .in_flight_max = 1,
                                                        .record_bytes_max = topic.message_bytes_max,
                                                        .wait_ms = TOOL_KAFKA_TIMEOUT_MS};
    if (pay_kafka_publisher_open(&options, &writer->publisher, &error) == PAY_OK) return PAY_EXIT_OK;
    writer->publisher = NULL;
    return tool_unavailable(writer->tool, &error);
}

static bool wait_for_report(struct pay_kafka_publisher *publisher, struct pay_kafka_report *ret_report) {
    for (int64_t until_ms = pay_clock_ms() + ACKNOWLEDGE_MS; pay_clock_ms() < until_ms;) {
        if (pay_kafka_publisher_next_report(publisher, ret_report)) return true;
        poll(&(struct pollfd){.fd = pay_kafka_publisher_descriptor(publisher), .events = POLLIN}, 1, 100);
    }
    return false;
}

static enum pay_exit append(struct log_writer *writer, const struct pay_kafka_message *message,
                            struct pay_kafka_report *ret_report, bool *ret_too_large) {
    struct pay_error error;
    *ret_too_large = false;
    enum pay_exit status = open_publisher(writer);
    if (status != PAY_EXIT_OK) return status;
    enum pay_move move = pay_kafka_publisher_publish(writer->publisher, message, &error);
    *ret_too_large = move == PAY_SPLIT;
    if (*ret_too_large) return PAY_EXIT_OK;
    if (move != PAY_OK)
        return tool_fail(writer->tool, PAY_EXIT_FAILURE, "%s didn't take it: %s", writer->topic, error.text);
    bool came = wait_for_report(writer->publisher, ret_report);
    if (came && !ret_report->failed && ret_report->offset >= 0) return PAY_EXIT_OK;
    return tool_fail(writer->tool, PAY_EXIT_TEMPORARY,
                     "%s didn't acknowledge it (%s): it may be stored or not; the same command again is safe",
                     writer->topic, came ? ret_report->code : "no answer");
}

enum pay_exit writer_append(struct log_writer *writer, const struct pay_kafka_message *message, int32_t *ret_partition,
                            int64_t *ret_offset) {
    struct pay_kafka_report report;
    bool too_large;
    enum pay_exit status = append(writer, message, &report, &too_large);
    if (status == PAY_EXIT_OK && too_large)
        status = tool_fail(writer->tool, PAY_EXIT_FAILURE, "the record is larger than %s takes (max.message.bytes)",
                           writer->topic);
    if (status != PAY_EXIT_OK) return status;
    *ret_partition = report.partition;
    *ret_offset = report.offset;
    return PAY_EXIT_OK;
}

static struct pay_kafka_message message_of(const struct pay_dead_letter *letter) {
    return (struct pay_kafka_message){.partition = -1,
                                      .key = letter->key,
                                      .key_length = letter->key_length,
                                      .value = letter->value,
                                      .value_length = letter->value_length,
                                      .headers = letter->headers,
                                      .header_count = letter->header_count};
}

enum pay_exit writer_letter(struct log_writer *writer, struct pay_dead_letter *letter, bool *ret_stub) {
    struct pay_kafka_message message = message_of(letter);
    struct pay_kafka_report report;
    int32_t partition;
    int64_t offset;
    enum pay_exit status = append(writer, &message, &report, ret_stub);
    if (status != PAY_EXIT_OK || !*ret_stub) return status;
    pay_dead_letter_shrink(letter, SHA256);
    message = message_of(letter);
    return writer_append(writer, &message, &partition, &offset);
}

void writer_close(struct log_writer *writer) {
    pay_kafka_publisher_close(writer->publisher);
    writer->publisher = NULL;
}
