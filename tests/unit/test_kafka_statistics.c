/* How long a partition waits for its turn on one producer, read from what librdkafka says of its requests. */
#include "tests/unit/unit.h"

#include "kafka/kafka_statistics.h"

#define BROKER(count, median, partitions)                                                                              \
    "{\"nodeid\":1,\"rtt\":{\"min\":5,\"avg\":9,\"cnt\":" #count ",\"p50\":" #median "},\"toppars\":{" partitions "}}"
#define LEADS(key, topic) "\"" key "\":{\"topic\":\"" topic "\",\"partition\":0}"

static int64_t turn_us(const char *text) { return pay_kafka_turn_us(text, strlen(text), "pay.requests"); }

static void a_turn_is_the_median_round_trip_times_the_partitions_of_the_topic(void **unused) {
    (void)unused;
    assert_int_equal(
        turn_us("{\"brokers\":{\"a\":" BROKER(
            7, 200, LEADS("r-0", "pay.requests") "," LEADS("r-1", "pay.requests") "," LEADS("o-0", "other")) "}}"),
        400);
}

static void of_several_brokers_the_one_that_takes_longest_counts(void **unused) {
    (void)unused;
    assert_int_equal(turn_us("{\"brokers\":{\"a\":" BROKER(7, 900, LEADS("r-0", "pay.requests")) ",\"b\":" BROKER(
                         7, 500, LEADS("r-1", "pay.requests") "," LEADS("r-2", "pay.requests")) "}}"),
                     1000);
}

static void nothing_is_known_where_nothing_was_sent(void **unused) {
    (void)unused;
    assert_int_equal(turn_us("{\"brokers\":{\"a\":" BROKER(0, 0, LEADS("r-0", "pay.requests")) "}}"), -1);
    assert_int_equal(turn_us("{\"brokers\":{}}"), -1);
}

static void what_isnt_statistics_says_nothing(void **unused) {
    (void)unused;
    assert_int_equal(turn_us(""), -1);
    assert_int_equal(turn_us("{\"brokers\":{\"a\":"), -1);
    assert_int_equal(turn_us("[1]"), -1);
    assert_int_equal(turn_us("{\"brokers\":{\"a\":{\"rtt\":{\"cnt\":3}}}}"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_is_the_median_round_trip_times_the_partitions_of_the_topic),
        cmocka_unit_test(of_several_brokers_the_one_that_takes_longest_counts),
        cmocka_unit_test(nothing_is_known_where_nothing_was_sent),
        cmocka_unit_test(what_isnt_statistics_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
