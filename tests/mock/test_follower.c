/* test_follower.c - the intake's reader of the reply log on librdkafka's mock cluster: where it begins, what it tells, what it survives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "core/position.h"
#include "kafka_fixture.h"
#include "producer/follower.h"
#include "producer/results.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#define REQUESTS "pay.requests"
#define REPLIES "pay.replies"
#define LEDGER "d03dbc18-12e4-46be-9a87-433a64143dd2"
#define FETCH 1 /* Kafka's API keys */
#define TOLD_MAX 3000

static struct mock mock;
static struct pay_config config;
static struct pay_follower *follower;
static struct pay_kafka_publisher *worker;
static int epoll = -1;

/* What a subscriber heard, in order. */
struct hearer {
    struct pay_follower_subscription subscription;
    struct pay_position sources[TOLD_MAX];
    int count;
    struct hearer *leaves; /* this one, when the first is heard */
};

static void hear(void *argument, const struct pay_follower_reply *reply) {
    struct hearer *hearer = argument;
    assert_true(hearer->count < TOLD_MAX);
    hearer->sources[hearer->count++] = reply->source;
    assert_int_equal(reply->record->partition, reply->source.partition);
    char text[21];
    assert_int_equal(reply->record->value_length, pay_decimal_format(reply->source.offset, text));
    assert_memory_equal(reply->record->value, text, reply->record->value_length);
    if (hearer->leaves != NULL) pay_follower_unsubscribe(follower, &hearer->leaves->subscription);
    hearer->leaves = NULL;
}

static void subscribe(struct hearer *hearer) {
    memset(hearer, 0, sizeof *hearer);
    hearer->subscription.taken = hear;
    hearer->subscription.argument = hearer;
    pay_follower_subscribe(follower, &hearer->subscription);
}

/* A reply as a worker writes it; its value is the source offset. */
static void reply_of(const char *generation, int32_t partition, int64_t covers_from, int64_t source_offset,
                     const char *ledger_id) {
    char source[21], covers[21];
    size_t length = pay_decimal_format(source_offset, source);
    const struct pay_header headers[] = {{"source-offset", source, length},
                                         {"covers-from", covers, pay_decimal_format(covers_from, covers)},
                                         {"log-generation", generation, strlen(generation)},
                                         {"ledger-id", ledger_id, strlen(ledger_id)}};
    const struct pay_kafka_message message = {.partition = partition,
                                              .key = "o",
                                              .key_length = 1,
                                              .value = source,
                                              .value_length = length,
                                              .headers = headers,
                                              .header_count = 4};
    struct pay_error error;
    assert_int_equal(pay_kafka_publisher_publish(worker, &message, &error), PAY_OK);
    assert_false(await_report(worker).failed);
}

static void reply(int32_t partition, int64_t covers_from, int64_t source_offset, const char *ledger_id) {
    reply_of("1", partition, covers_from, source_offset, ledger_id);
}

static void replies(int32_t partition, int64_t from, int64_t to) {
    for (int64_t offset = from; offset < to; offset++) reply(partition, offset, offset, LEDGER);
}

static void open_follower(void) {
    char message[512] = "";
    const struct pay_follower_options options = {
        .config = &config, .kafka = options_for("test-follower"), .epoll = epoll, .record_tag = 1, .scout_tag = 2};
    follower = pay_follower_open(&options, message, sizeof message);
    if (follower == NULL) fail_msg("%s", message);
}

static int open_all(void **state) {
    (void)state;
    mock = open_mock(1);
    assert_int_equal(rd_kafka_mock_topic_create(mock.cluster, REQUESTS, 3, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_mock_topic_create(mock.cluster, REPLIES, 3, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    worker = open_publisher(REPLIES, 1);
    pay_config_defaults(&config);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    return 0;
}

static int close_all(void **state) {
    (void)state;
    pay_follower_close(follower);
    follower = NULL;
    pay_kafka_publisher_close(worker);
    close(epoll);
    for (int64_t until = pay_clock_ms() + 5000; pay_clock_ms() < until && pay_kafka_reaper_closing() < 1;)
        poll(NULL, 0, 20);
    poll(NULL, 0, 300); /* the scout lets go of its handle by itself */
    close_mock(&mock);
    return 0;
}

/* The loop of intake.c, in small. */
static void turn(void) {
    struct epoll_event events[2];
    static int64_t tick_ms;
    int count = epoll_wait(epoll, events, 2, 100);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == 1) pay_follower_run(follower);
        if (events[i].data.u64 == 2) pay_follower_look(follower);
    }
    if (pay_clock_ms() < tick_ms) return;
    tick_ms = pay_clock_ms() + 1000;
    pay_follower_tick(follower);
}

#define TURN_UNTIL(condition)                                                                                          \
    do {                                                                                                               \
        int64_t until_ = pay_clock_ms() + PATIENCE_MS;                                                                 \
        while (!(condition) && pay_clock_ms() < until_) turn();                                                        \
        if (!(condition)) fail_msg("not in time: %s", #condition);                                                     \
    } while (0)

static struct pay_follower_counters counted(void) {
    struct pay_follower_counters counters;
    pay_follower_count(follower, &counters);
    return counters;
}

static void it_begins_at_the_last_reply_and_knows_what_is_answered(void **state) {
    (void)state;
    static struct hearer hearer;
    replies(0, 0, 10);
    replies(1, 0, 1);
    open_follower();
    subscribe(&hearer);
    assert_false(pay_follower_stands(follower, -1));
    assert_int_equal(pay_follower_partitions(follower), 0);
    assert_int_equal(pay_follower_answered_below(follower, 0), -1);
    assert_int_equal(pay_follower_log_offset(follower, 0), -1);
    TURN_UNTIL(pay_follower_stands(follower, -1) && hearer.count == 2);
    TURN_UNTIL(pay_follower_log_offset(follower, 0) == 10);
    assert_int_equal(pay_follower_partitions(follower), 3);
    for (int32_t p = 0; p < 3; p++) assert_true(pay_follower_stands(follower, p));
    assert_false(pay_follower_stands(follower, 3));
    assert_int_equal(pay_follower_answered_below(follower, 0), 10);
    assert_int_equal(pay_follower_answered_below(follower, 1), 1);
    assert_int_equal(pay_follower_answered_below(follower, 2), 0);
    assert_int_equal(pay_follower_answered_below(follower, 3), -1);
    assert_int_equal(pay_follower_answered_below(follower, -1), -1);
    assert_int_equal(counted().placed, 3);
}

static void each_reply_is_told_once_and_found_by_its_position(void **state) {
    (void)state;
    static struct hearer hearer;
    struct pay_result result;
    open_follower();
    subscribe(&hearer);
    TURN_UNTIL(pay_follower_stands(follower, -1));
    replies(2, 0, 5);
    replies(2, 3, 5);                            /* a zombie's */
    reply(2, 5, 5, "another-ledger-altogether"); /* not ours */
    replies(2, 5, 1000);
    TURN_UNTIL(hearer.count == 1000);
    for (int i = 0; i < 1000; i++) assert_int_equal(hearer.sources[i].offset, i);
    assert_int_equal(pay_follower_answered_below(follower, 2), 1000);
    const struct pay_results *results = pay_follower_results(follower);
    assert_true(pay_results_find(results, &(struct pay_position){1, 2, 777}, &result));
    assert_memory_equal(result.value, "777", 3);
    assert_int_equal(result.value_length, 3);
    assert_false(pay_results_find(results, &(struct pay_position){1, 2, 1000}, &result));
    struct pay_follower_counters counters = counted();
    assert_int_equal(counters.taken, 1000);
    assert_int_equal(counters.repeated, 2);
    assert_int_equal(counters.foreign, 1);
}

/* As after `paybuf recover lane 1`: that partition's positions begin with the new number, and with offset 3. */
static void a_reply_of_a_later_generation_raises_that_of_its_partition(void **state) {
    (void)state;
    static struct hearer hearer;
    replies(0, 0, 2);
    replies(1, 0, 5);
    open_follower();
    subscribe(&hearer);
    TURN_UNTIL(pay_follower_stands(follower, -1) && hearer.count == 2);
    assert_int_equal(pay_follower_generation(follower, 1), 1);
    reply_of("2", 1, 0, 3, LEDGER);
    TURN_UNTIL(hearer.count == 3);
    assert_int_equal(pay_follower_generation(follower, 1), 2);
    assert_int_equal(pay_follower_answered_below(follower, 1), 4);
    assert_int_equal(pay_follower_generation(follower, 0), 1);
    assert_int_equal(pay_follower_answered_below(follower, 0), 2);
    assert_int_equal(pay_follower_generation(follower, 3), 1);
}

static void a_gap_stops_its_partition_until_it_is_mended(void **state) {
    (void)state;
    static struct hearer hearer;
    open_follower();
    subscribe(&hearer);
    TURN_UNTIL(pay_follower_stands(follower, -1));
    replies(0, 0, 2);
    replies(0, 3, 6);
    replies(1, 0, 1);
    TURN_UNTIL(hearer.count == 3 && counted().open_gaps == 1);
    assert_int_equal(pay_follower_answered_below(follower, 0), 2);
    replies(0, 2, 3);
    TURN_UNTIL(hearer.count == 7);
    assert_int_equal(counted().open_gaps, 0);
    assert_int_equal(pay_follower_answered_below(follower, 0), 6);
}

static void subscribers_come_and_go_even_while_they_are_told(void **state) {
    (void)state;
    static struct hearer first, second, third;
    open_follower();
    TURN_UNTIL(pay_follower_stands(follower, -1));
    subscribe(&first);
    subscribe(&second);
    subscribe(&third);
    first.leaves = &second; /* the next in turn */
    replies(0, 0, 1);
    TURN_UNTIL(third.count == 1);
    assert_int_equal(second.count, 0);
    third.leaves = &third;
    replies(0, 1, 2);
    TURN_UNTIL(third.count == 2);
    replies(0, 2, 3);
    TURN_UNTIL(first.count == 3);
    assert_int_equal(third.count, 2);
}

static void errors_of_the_broker_lose_nothing(void **state) {
    (void)state;
    static struct hearer hearer;
    open_follower();
    subscribe(&hearer);
    TURN_UNTIL(pay_follower_stands(follower, -1));
    replies(0, 0, 100);
    rd_kafka_mock_push_request_errors(mock.cluster, FETCH, 5, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_UNKNOWN);
    replies(0, 100, 300);
    TURN_UNTIL(hearer.count == 300);
    for (int i = 0; i < 300; i++) assert_int_equal(hearer.sources[i].offset, i);
    TURN_UNTIL(pay_follower_stands(follower, -1));
}

/* librdkafka stops reading a partition whose offset is refused; the log still has it, so reading goes on there. */
static void a_refused_offset_that_the_log_has_is_read_again(void **state) {
    (void)state;
    static struct hearer hearer;
    replies(0, 0, 1);
    open_follower();
    subscribe(&hearer);
    TURN_UNTIL(pay_follower_stands(follower, -1) && hearer.count == 1);
    /* Several, as an answer to a fetch from before the seek is dropped. */
    rd_kafka_mock_push_request_errors(mock.cluster, FETCH, 4, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
                                      RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
                                      RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE);
    TURN_UNTIL(counted().troubles > 0);
    replies(0, 1, 20);
    replies(1, 0, 20);
    replies(2, 0, 20);
    TURN_UNTIL(hearer.count == 60 && pay_follower_stands(follower, -1));
    assert_int_equal(counted().placed, 3);
    assert_int_equal(counted().repeated, 0);
}

static void a_broker_that_is_away_at_first_is_waited_for(void **state) {
    (void)state;
    static struct hearer hearer;
    replies(0, 0, 5);
    rd_kafka_mock_broker_set_down(mock.cluster, 1);
    open_follower();
    subscribe(&hearer);
    for (int i = 0; i < 10; i++) turn();
    assert_false(pay_follower_stands(follower, -1));
    TURN_UNTIL(counted().troubles > 0);
    rd_kafka_mock_broker_set_up(mock.cluster, 1);
    TURN_UNTIL(pay_follower_stands(follower, -1) && hearer.count == 1);
    assert_int_equal(pay_follower_answered_below(follower, 0), 5);
    rd_kafka_mock_broker_set_down(mock.cluster, 1);
    for (int i = 0; i < 5; i++) turn();
    rd_kafka_mock_broker_set_up(mock.cluster, 1);
    replies(0, 5, 50);
    TURN_UNTIL(hearer.count == 46);
}

static void it_can_be_closed_at_any_time(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        open_follower();
        for (int n = 0; n < i; n++) turn();
        pay_follower_close(follower);
    }
    follower = NULL;
    pay_follower_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(it_begins_at_the_last_reply_and_knows_what_is_answered),
        TEST(each_reply_is_told_once_and_found_by_its_position),
        TEST(a_reply_of_a_later_generation_raises_that_of_its_partition),
        TEST(a_gap_stops_its_partition_until_it_is_mended),
        TEST(subscribers_come_and_go_even_while_they_are_told),
        TEST(errors_of_the_broker_lose_nothing),
        TEST(a_refused_offset_that_the_log_has_is_read_again),
        TEST(a_broker_that_is_away_at_first_is_waited_for),
        TEST(it_can_be_closed_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
