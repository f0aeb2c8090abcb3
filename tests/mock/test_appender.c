/*
 * test_appender.c - what became of a record: on librdkafka's mock cluster, with its errors and delays.
 * The owners of the records are played by the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "core/murmur2.h"
#include "kafka_fixture.h"
#include "producer/appender.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#define TOPIC "pay.requests"
#define CALLS 64
#define LINGER_MS 4000

enum fate { WAITING, KNOWN, UNKNOWN };

struct client {
    struct pay_call *call;
    enum fate fate;
    int64_t offset;
    int32_t partition;
};

static struct mock mock;
static struct pay_config config;
static struct pay_appender *appender;
static struct client calls[CALLS];
static int epoll = -1;

static void on_done(void *owner, const struct pay_call *call, const struct pay_position *position) {
    struct client *client = owner;
    assert_ptr_equal(client->call, call);
    assert_int_equal(client->fate, WAITING);
    client->call = NULL;
    client->fate = position != NULL ? KNOWN : UNKNOWN;
    if (position == NULL) return;
    assert_int_equal(position->generation, 7 + position->partition);
    client->partition = position->partition;
    client->offset = position->offset;
}

static void lead(int32_t partition, int32_t broker) {
    rd_kafka_mock_partition_set_leader(mock.cluster, TOPIC, partition, broker);
}

static int64_t generation_of(void *argument, int32_t partition) {
    (void)argument;
    return 7 + partition;
}

static int open_with(int64_t records, int64_t linger_ms) {
    char message[512] = "";
    mock = open_mock(2);
    assert_int_equal(rd_kafka_mock_topic_create(mock.cluster, TOPIC, 4, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    for (int32_t partition = 0; partition < 4; partition++) lead(partition, 1);
    pay_config_defaults(&config);
    /* Tests of what runs out shorten these; in the others a slow machine is no stall. */
    config.producer_request_timeout_ms = PATIENCE_MS;
    config.producer_stall_ms = PATIENCE_MS;
    config.producer_linger_ms = linger_ms;
    config.producer_inflight_records_max = records;
    memset(calls, 0, sizeof calls);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    const struct pay_appender_options options = {.config = &config,
                                                 .kafka = options_for("test-appender"),
                                                 .epoll = epoll,
                                                 .report_tag = 1,
                                                 .probe_tag = 2,
                                                 .generation = generation_of};
    appender = pay_appender_open(&options, message, sizeof message);
    if (appender == NULL) fail_msg("%s", message);
    return 0;
}

static int open_all(void **state) {
    (void)state;
    return open_with(10, 0);
}

static int open_wide(void **state) {
    (void)state;
    return open_with(1000, 0);
}

static int open_lingering(void **state) {
    (void)state;
    return open_with(10, LINGER_MS);
}

static int close_all(void **state) {
    (void)state;
    pay_appender_close(appender);
    close(epoll);
    poll(NULL, 0, 50); /* the probe lets go of its handle by itself */
    pay_kafka_reaper_wait(PATIENCE_MS);
    close_mock(&mock);
    return 0;
}

/* The loop of intake.c, in small. */
static void turn(int64_t wait_ms) {
    struct epoll_event events[4];
    int count = epoll_wait(epoll, events, 4, (int)wait_ms);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == 1)
            pay_appender_run(appender);
        else
            pay_appender_look(appender);
    }
    pay_appender_tick(appender);
}

static bool is_ready(void) {
    char reason[400];
    return pay_appender_ready(appender, reason, sizeof reason);
}

static void turn_until_ready(void) {
    int64_t until_ms = pay_clock_ms() + PATIENCE_MS;
    while (!is_ready() && pay_clock_ms() < until_ms) turn(20);
    assert_true(is_ready());
}

static bool submit(uint32_t number, const char **ret_reason) {
    char order_id[24];
    snprintf(order_id, sizeof order_id, "o-%u", number);
    const struct pay_append record = {
        .order_id = order_id, .value = "{}", .value_length = 2, .owner = &calls[number], .done = on_done};
    return pay_appender_submit(appender, &record, &calls[number].call, ret_reason);
}

static void turn_until(uint32_t number, enum fate fate) {
    int64_t until_ms = pay_clock_ms() + PATIENCE_MS;
    while (calls[number].fate == WAITING && pay_clock_ms() < until_ms) turn(20);
    assert_int_equal(calls[number].fate, fate);
}

/* Submits again and again (fresh calls) until one is taken. */
static uint32_t submit_until_taken(uint32_t first) {
    const char *reason;
    int64_t until_ms = pay_clock_ms() + PATIENCE_MS;
    while (!submit(first, &reason)) {
        if (pay_clock_ms() > until_ms) fail_msg("still refused: %s", reason);
        turn(50);
    }
    return first;
}

static void an_acknowledged_record_has_its_position(void **state) {
    (void)state;
    const char *reason;
    turn_until_ready();
    for (uint32_t i = 0; i < 8; i++) assert_true(submit(i, &reason));
    for (uint32_t i = 0; i < 8; i++) {
        turn_until(i, KNOWN);
        assert_in_range(calls[i].partition, 0, 3);
        assert_true(calls[i].offset >= 0);
    }
    assert_int_equal(pay_pending_count(pay_appender_pending(appender)), 0);
    assert_int_equal(pay_appender_counters(appender)->acknowledged, 8);
}

static void a_full_budget_refuses_and_makes_room_again(void **state) {
    (void)state;
    const char *reason = NULL;
    turn_until_ready();
    rd_kafka_mock_broker_set_rtt(mock.cluster, 1, 200);
    for (uint32_t i = 0; i < 10; i++) assert_true(submit(i, &reason));
    assert_false(submit(10, &reason));
    assert_non_null(reason);
    assert_int_equal(pay_appender_counters(appender)->refused_budget, 1);
    for (uint32_t i = 0; i < 10; i++) turn_until(i, KNOWN);
    rd_kafka_mock_broker_set_rtt(mock.cluster, 1, 0);
    turn_until(submit_until_taken(11), KNOWN);
}

static void a_late_acknowledgement_is_unknown_at_the_deadline_and_harmless_afterwards(void **state) {
    (void)state;
    const char *reason;
    turn_until_ready();
    assert_true(submit(0, &reason));
    turn_until(0, KNOWN); /* so that its producer is connected, and only the next acknowledgement is slow */
    config.producer_request_timeout_ms = 1000;
    rd_kafka_mock_broker_set_rtt(mock.cluster, 1, 5000);
    int64_t began_ms = pay_clock_ms();
    assert_true(submit(1, &reason));
    turn_until(1, UNKNOWN);
    assert_in_range(pay_clock_ms() - began_ms, 1000, 4500);
    assert_int_equal(pay_pending_count(pay_appender_pending(appender)), 1);
    int64_t until_ms = pay_clock_ms() + PATIENCE_MS;
    while (pay_appender_counters(appender)->late == 0 && pay_clock_ms() < until_ms) turn(20);
    assert_int_equal(pay_appender_counters(appender)->late, 1);
    assert_int_equal(pay_pending_count(pay_appender_pending(appender)), 0);
}

static void a_client_that_went_away_changes_nothing_for_its_record(void **state) {
    (void)state;
    const char *reason;
    turn_until_ready();
    assert_true(submit(0, &reason));
    pay_appender_forget(appender, calls[0].call);
    int64_t until_ms = pay_clock_ms() + PATIENCE_MS;
    while (pay_appender_counters(appender)->acknowledged == 0 && pay_clock_ms() < until_ms) turn(20);
    assert_int_equal(calls[0].fate, WAITING);
    assert_int_equal(pay_pending_count(pay_appender_pending(appender)), 0);
}

static void silence_refuses_up_front_and_ends_with_the_first_acknowledgement(void **state) {
    (void)state;
    const char *reason;
    turn_until_ready();
    config.producer_request_timeout_ms = 1000;
    config.producer_stall_ms = 300;
    rd_kafka_mock_broker_set_down(mock.cluster, 1);
    assert_true(submit(0, &reason));
    turn_until(0, UNKNOWN);
    assert_false(submit(1, &reason));
    assert_false(is_ready());
    assert_true(
        pay_appender_counters(appender)->refused_stalled + pay_appender_counters(appender)->refused_unreachable == 1);
    config.producer_request_timeout_ms = PATIENCE_MS;
    rd_kafka_mock_broker_set_up(mock.cluster, 1);
    turn_until(submit_until_taken(2), KNOWN);
    turn_until_ready();
}

static int32_t partition_of(uint32_t number) {
    char order_id[24];
    snprintf(order_id, sizeof order_id, "o-%u", number);
    return pay_partition_of_key(order_id, strlen(order_id), 4);
}

/* One partition's leader is gone: its orders are refused after stall_ms, everybody else's go on. */
static void a_dead_partition_doesnt_take_the_others_with_it(void **state) {
    (void)state;
    const char *reason;
    lead(0, 2);
    config.producer_stall_ms = 2000; /* a slow machine doesn't stand still for so long */
    turn_until_ready();
    rd_kafka_mock_broker_set_down(mock.cluster, 2);
    uint32_t number = 0, alive = 0, refused = 0;
    int64_t until_ms = pay_clock_ms() + PATIENCE_MS;
    while ((alive <= 10 || refused <= 3) && pay_clock_ms() < until_ms && number < CALLS) {
        bool dead = partition_of(number) == 0;
        bool taken = submit(number, &reason);
        if (dead) refused += !taken;
        if (!dead) {
            assert_true(taken);
            turn_until(number, KNOWN);
            alive++;
        }
        number++;
        poll(NULL, 0, 100);
        turn(0);
    }
    assert_true(alive > 10);
    assert_true(refused > 3);
    rd_kafka_mock_broker_set_up(mock.cluster, 2);
}

static void refused_append(rd_kafka_resp_err_t code) {
    const char *reason;
    turn_until_ready();
    assert_true(submit(0, &reason));
    turn_until(0, KNOWN);
    rd_kafka_mock_push_request_errors(mock.cluster, 0 /* Produce */, 1, code);
    assert_true(submit(1, &reason));
    turn_until(1, UNKNOWN);
    turn(0);
    assert_int_equal(pay_appender_counters(appender)->replaced, 1);
    turn_until(submit_until_taken(2), KNOWN);
}

static void a_failed_append_is_unknown_and_the_producer_is_replaced(void **state) {
    (void)state;
    refused_append(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
}

static void a_fatal_producer_is_routine(void **state) {
    (void)state;
    refused_append(RD_KAFKA_RESP_ERR_INVALID_RECORD);
}

/* librdkafka takes "duplicate sequence number" for a delivery whose offset it doesn't know. */
static void a_success_without_an_offset_is_unknown_and_the_producer_is_replaced(void **state) {
    (void)state;
    refused_append(RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER);
}

static void a_retriable_error_is_nothing_anybody_sees(void **state) {
    (void)state;
    const char *reason;
    turn_until_ready();
    assert_true(submit(0, &reason));
    turn_until(0, KNOWN);
    rd_kafka_mock_push_request_errors(mock.cluster, 0, 2, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
    assert_true(submit(1, &reason));
    turn_until(1, KNOWN);
    assert_int_equal(pay_appender_counters(appender)->replaced, 0);
}

static void draining_refuses_new_ones_and_ends_the_old_ones(void **state) {
    (void)state;
    const char *reason;
    turn_until_ready();
    assert_true(submit(0, &reason));
    pay_appender_drain(appender);
    assert_false(submit(1, &reason));
    assert_false(is_ready());
    turn_until(0, KNOWN);
}

static void closing_with_calls_under_way_leaves_them_unknown(void **state) {
    (void)state;
    const char *reason;
    turn_until_ready();
    rd_kafka_mock_broker_set_rtt(mock.cluster, 1, 1000);
    for (uint32_t i = 0; i < 5; i++) assert_true(submit(i, &reason));
    pay_appender_close(appender);
    appender = NULL;
    for (uint32_t i = 0; i < 5; i++) assert_int_equal(calls[i].fate, UNKNOWN);
    rd_kafka_mock_broker_set_rtt(mock.cluster, 1, 0);
}

static int64_t acknowledged_after_ms(uint32_t number, int64_t began_ms) {
    turn_until(number, KNOWN);
    return pay_clock_ms() - began_ms;
}

static void a_record_that_comes_alone_doesnt_linger_others_do(void **state) {
    (void)state;
    const char *reason;
    turn_until_ready();
    assert_true(submit(0, &reason));
    assert_in_range(acknowledged_after_ms(0, pay_clock_ms()), 0, LINGER_MS - 100);
    rd_kafka_mock_broker_set_rtt(mock.cluster, 1, 200);
    uint32_t other = 2;
    while (partition_of(other) == partition_of(1)) other++;
    int64_t began_ms = pay_clock_ms();
    assert_true(submit(1, &reason));
    assert_true(submit(other, &reason));
    assert_in_range(acknowledged_after_ms(1, began_ms), 200, LINGER_MS - 100);
    assert_in_range(acknowledged_after_ms(other, began_ms), LINGER_MS, PATIENCE_MS);
}

#define MANY 200000

static struct client many[MANY];
static uint32_t sent;

static void send_one(bool bulk) {
    const char *reason;
    char order_id[24];
    snprintf(order_id, sizeof order_id, "o-%u", sent);
    const struct pay_append record = {
        .order_id = order_id, .value = "{}", .value_length = 2, .bulk = bulk, .owner = &many[sent], .done = on_done};
    assert_true(sent < MANY);
    sent += pay_appender_submit(appender, &record, &many[sent].call, &reason);
}

static void send_some(void) {
    for (int i = 0; i < 4; i++) send_one(i % 2 == 1);
    turn(0);
    poll(NULL, 0, 2);
}

/* Until so many producers are in use, and a little longer: a busy machine's brokers may then be somewhat farther away again. */
static void send_until_in_use(int32_t count) {
    int64_t until_ms = pay_clock_ms() + PATIENCE_MS;
    while (pay_appender_producers_in_use(appender) != count && pay_clock_ms() < until_ms) send_some();
    assert_int_equal(pay_appender_producers_in_use(appender), count);
    for (int i = 0; i < 100; i++) send_some();
}

static void turn_until_all_are_known(void) {
    int64_t until_ms = pay_clock_ms() + PATIENCE_MS;
    while (pay_pending_count(pay_appender_pending(appender)) > 0 && pay_clock_ms() < until_ms) turn(20);
    for (uint32_t i = 0; i < sent; i++) assert_int_equal(many[i].fate, KNOWN);
}

/* The shortest time of fifty, from submission to acknowledgement. A busy machine's brokers may seem far for a while. */
static int64_t least_us_near_brokers(bool bulk) {
    int64_t least_us = INT64_MAX;
    for (int i = 0; i < 50; i++) {
        if (pay_appender_producers_in_use(appender) != 1) send_until_in_use(1);
        turn_until_all_are_known();
        int64_t began_us = pay_clock_us();
        send_one(bulk);
        turn_until_all_are_known();
        int64_t took_us = pay_clock_us() - began_us;
        if (took_us < least_us) least_us = took_us;
    }
    return least_us;
}

static void a_record_in_bulk_waits_for_others_where_the_brokers_are_near(void **state) {
    (void)state;
    memset(many, 0, sizeof many);
    sent = 0;
    turn_until_ready();
    int64_t bulk_us = least_us_near_brokers(true), alone_us = least_us_near_brokers(false);
    assert_true(bulk_us >= 4500); /* 5 ms, as librdkafka counts them */
    assert_true(alone_us < bulk_us);
}

static void far_brokers_get_several_producers_near_ones_one_and_the_order_stays(void **state) {
    (void)state;
    int64_t last[4] = {-1, -1, -1, -1};
    memset(many, 0, sizeof many);
    sent = 0;
    turn_until_ready();
    assert_int_equal(pay_appender_producers_in_use(appender), 4); /* nothing is known yet */
    send_until_in_use(1);
    rd_kafka_mock_broker_set_rtt(mock.cluster, 1, 60);
    send_until_in_use(4);
    rd_kafka_mock_broker_set_rtt(mock.cluster, 1, 0);
    send_until_in_use(1);
    turn_until_all_are_known();
    for (uint32_t i = 0; i < sent; i++) {
        assert_true(many[i].offset > last[many[i].partition]);
        last[many[i].partition] = many[i].offset;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_acknowledged_record_has_its_position),
        TEST(a_full_budget_refuses_and_makes_room_again),
        TEST(a_late_acknowledgement_is_unknown_at_the_deadline_and_harmless_afterwards),
        TEST(a_client_that_went_away_changes_nothing_for_its_record),
        TEST(silence_refuses_up_front_and_ends_with_the_first_acknowledgement),
        TEST(a_dead_partition_doesnt_take_the_others_with_it),
        TEST(a_failed_append_is_unknown_and_the_producer_is_replaced),
        TEST(a_fatal_producer_is_routine),
        TEST(a_success_without_an_offset_is_unknown_and_the_producer_is_replaced),
        TEST(a_retriable_error_is_nothing_anybody_sees),
        TEST(draining_refuses_new_ones_and_ends_the_old_ones),
        TEST(closing_with_calls_under_way_leaves_them_unknown),
        cmocka_unit_test_setup_teardown(a_record_that_comes_alone_doesnt_linger_others_do, open_lingering, close_all),
        cmocka_unit_test_setup_teardown(a_record_in_bulk_waits_for_others_where_the_brokers_are_near, open_wide,
                                        close_all),
        cmocka_unit_test_setup_teardown(far_brokers_get_several_producers_near_ones_one_and_the_order_stays, open_wide,
                                        close_all),
    };
    cmocka_set_test_filter(getenv("PAYBUF_TEST_NAME"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
