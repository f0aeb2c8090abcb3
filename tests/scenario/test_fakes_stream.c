/*
 * The fake broker keeps its own promises: producer state, leaders, readers, the group.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_lost_answer_is_sent_again_and_appended_once(void **state) {
    struct bench *bench = *state;
    struct pay_report report;
    bench_script(bench, "p1:lost-ack");
    bench_open_publisher(bench, 0);
    bench_publish(bench, 0, 0, 5);
    bench_pass(bench, 9000);
    assert_int_equal(bench_reply_end(bench), 1);
    assert_false(bench_next_report(bench, 0, &report));
    bench_pass(bench, 2000);
    assert_true(bench_next_report(bench, 0, &report));
    assert_int_equal(report.log_offset, 0);
    assert_int_equal(report.source_offset, 5);
    assert_int_equal(bench_reply_end(bench), 1);
}

static void a_lost_answer_without_producer_state_is_appended_twice(void **state) {
    struct bench *bench = *state;
    struct pay_report report;
    bench_script(bench, "p1:lost-ack-no-state");
    bench_open_publisher(bench, 0);
    bench_publish(bench, 0, 0, 5);
    bench_pass(bench, 11000);
    assert_true(bench_next_report(bench, 0, &report));
    assert_int_equal(report.log_offset, 1);
    assert_int_equal(bench_reply_end(bench), 2);
}

static void a_refused_first_request_of_several_leaves_a_hole_and_a_lie(void **state) {
    struct bench *bench = *state;
    struct pay_report report;
    bench_script(bench, "p1:refuse");
    bench->broker.requests_in_flight_max = 3;
    bench->broker.records_per_request = 1;
    bench->broker.latency_ms = 5;
    bench_open_publisher(bench, 0);
    for (int64_t i = 0; i < 3; i++) bench_publish(bench, 0, 0, i);
    bench_pass(bench, 500);
    assert_int_equal(bench_reply_end(bench), 2);
    assert_true(bench_next_report(bench, 0, &report));
    assert_int_equal(report.source_offset, 0);
    assert_false(report.failed);
    assert_int_equal(report.log_offset, -1001);
    assert_true(bench_next_report(bench, 0, &report));
    assert_int_equal(report.source_offset, 1);
    assert_int_equal(report.log_offset, 0);
}

static void a_refused_first_request_alone_keeps_the_order(void **state) {
    struct bench *bench = *state;
    struct pay_report report;
    bench_script(bench, "p1:refuse");
    bench->broker.records_per_request = 1;
    bench_open_publisher(bench, 0);
    for (int64_t i = 0; i < 3; i++) bench_publish(bench, 0, 0, i);
    bench_pass(bench, 500);
    for (int64_t i = 0; i < 3; i++) {
        assert_true(bench_next_report(bench, 0, &report));
        assert_int_equal(report.source_offset, i);
        assert_int_equal(report.log_offset, i);
    }
}

static void a_tail_that_was_not_replicated_is_cut_and_sent_again(void **state) {
    struct bench *bench = *state;
    struct pay_report report;
    bench_script(bench, "p1:truncated");
    bench_open_publisher(bench, 0);
    bench_publish(bench, 0, 0, 5);
    bench_pass(bench, 100);
    assert_int_equal(bench_reply_end(bench), 1);
    assert_int_equal(fake_broker_log(&bench->broker, TOPIC_REPLIES, 0)->high_watermark, 0);
    bench_pass(bench, 110);
    assert_int_equal(bench_reply_end(bench), 0);
    bench_pass(bench, 500);
    assert_true(bench_next_report(bench, 0, &report));
    assert_int_equal(report.log_offset, 0);
}

static void requests_of_a_dead_producer_still_land(void **state) {
    struct bench *bench = *state;
    bench_script(bench, "p1:late=7000");
    bench_open_publisher(bench, 0);
    bench_publish(bench, 0, 0, 5);
    bench_pass(bench, 1);
    fake_stream_crash(bench->streams[0]);
    bench_pass(bench, 5000);
    assert_int_equal(bench_reply_end(bench), 0);
    bench_pass(bench, 3000);
    assert_int_equal(bench_reply_end(bench), 1);
}

static void the_group_takes_everything_before_it_gives(void **state) {
    struct bench *bench = *state;
    struct pay_stream_event event;
    bench_join(bench, 0);
    assert_int_equal(bench_next_event(bench, 0, &event), PAY_STREAM_ASSIGNED);
    assert_int_equal(event.partition_count, 2);
    bench_join(bench, 1);
    assert_int_equal(bench_next_event(bench, 1, &event), PAY_STREAM_NOTHING);
    assert_int_equal(bench_next_event(bench, 0, &event), PAY_STREAM_REVOKED);
    assert_int_equal(bench_next_event(bench, 1, &event), PAY_STREAM_NOTHING);
    bench->streams[0]->port.ops->confirm_revoked(&bench->streams[0]->port);
    assert_int_equal(bench_next_event(bench, 0, &event), PAY_STREAM_ASSIGNED);
    assert_int_equal(event.partition_count, 1);
    assert_int_equal(bench_next_event(bench, 1, &event), PAY_STREAM_ASSIGNED);
    assert_int_equal(event.partitions[0], 1);
}

static void a_frozen_member_loses_its_partitions_after_ten_seconds(void **state) {
    struct bench *bench = *state;
    struct pay_stream_event event;
    bench_join(bench, 0);
    bench_next_event(bench, 0, &event);
    fake_stream_freeze(bench->streams[0], true);
    bench_join(bench, 1);
    bench_pass(bench, 9000);
    assert_int_equal(bench_next_event(bench, 1, &event), PAY_STREAM_NOTHING);
    bench_pass(bench, 2000);
    assert_int_equal(bench_next_event(bench, 1, &event), PAY_STREAM_ASSIGNED);
    assert_int_equal(event.partition_count, 2);
    fake_stream_freeze(bench->streams[0], false);
    assert_true(bench->streams[0]->port.ops->still_assigned(&bench->streams[0]->port, 0));
    assert_int_equal(bench_next_event(bench, 0, &event), PAY_STREAM_LOST);
    assert_false(bench->streams[0]->port.ops->still_assigned(&bench->streams[0]->port, 0));
}

static void readers_see_no_markers_nothing_aborted_and_nothing_beyond_an_open_transaction(void **state) {
    struct bench *bench = *state;
    struct pay_stream *port = &bench->streams[0]->port;
    struct pay_stream_event event;
    struct pay_log_record record;
    fake_broker_append_request(&bench->broker, 0, "a", "1");
    fake_broker_begin_transaction(&bench->broker, TOPIC_REQUESTS, 0);
    fake_broker_append_request(&bench->broker, 0, "b", "2");
    fake_broker_end_transaction(&bench->broker, TOPIC_REQUESTS, 0, false);
    fake_broker_append_request(&bench->broker, 0, "c", "3");
    fake_broker_begin_transaction(&bench->broker, TOPIC_REQUESTS, 0);
    fake_broker_append_request(&bench->broker, 0, "d", "4");
    bench_join(bench, 0);
    bench_next_event(bench, 0, &event);
    assert_int_equal(port->ops->fetch(port, 0, 0, &bench->error), PAY_OK);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_DATA);
    assert_int_equal(record.offset, 0);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_DATA);
    assert_int_equal(record.offset, 3);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_END);
    assert_int_equal(record.offset, 4);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_NONE);
    fake_broker_end_transaction(&bench->broker, TOPIC_REQUESTS, 0, true);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_DATA);
    assert_int_equal(record.offset, 4);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_END);
    assert_int_equal(record.offset, 6);
}

static void an_offset_outside_the_log_is_trouble_and_never_a_reset(void **state) {
    struct bench *bench = *state;
    struct pay_stream *port = &bench->streams[0]->port;
    struct pay_stream_event event;
    struct pay_log_record record;
    fake_broker_append_request(&bench->broker, 0, "a", "1");
    bench_join(bench, 0);
    bench_next_event(bench, 0, &event);
    port->ops->fetch(port, 0, 7, &bench->error);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_NONE);
    assert_int_equal(bench_next_event(bench, 0, &event), PAY_STREAM_TROUBLE);
    assert_int_equal(event.partition, 0);
}

/* ---- leaders ---- */

static void expect_bounds(struct bench *bench, int64_t end) {
    struct pay_stream *port = &bench->streams[0]->port;
    int64_t start, told;
    assert_int_equal(port->ops->request_bounds(port, 0, &start, &told, &bench->error), PAY_OK);
    assert_int_equal(told, end);
}

static void a_dying_leader_takes_what_nobody_was_promised_and_nobody_saw(void **state) {
    struct bench *bench = *state;
    struct pay_report report;
    fake_broker_append_request(&bench->broker, 0, "a", "1");
    assert_true(fake_broker_elect(&bench->broker, TOPIC_REQUESTS, 0, 500, 0, 0));
    assert_true(fake_broker_elect(&bench->broker, TOPIC_REPLIES, 0, 500, 0, 0));
    fake_broker_append_request(&bench->broker, 0, "b", "2");
    bench_open_publisher(bench, 0);
    bench_publish(bench, 0, 0, 5);
    bench_pass(bench, 100);
    assert_int_equal(fake_broker_log(&bench->broker, TOPIC_REQUESTS, 0)->end, 2);
    assert_int_equal(bench_reply_end(bench), 1);
    expect_bounds(bench, 1);
    assert_false(bench_next_report(bench, 0, &report));
    bench_pass(bench, 410);
    assert_int_equal(fake_broker_log(&bench->broker, TOPIC_REQUESTS, 0)->end, 1);
    bench_pass(bench, 500);
    assert_true(bench_next_report(bench, 0, &report));
    assert_int_equal(report.log_offset, 0);
    assert_int_equal(bench_reply_end(bench), 1);
}

static void a_new_leader_tells_less_than_the_truth_for_a_while_and_never_more(void **state) {
    struct bench *bench = *state;
    for (int i = 0; i < 4; i++) fake_broker_append_request(&bench->broker, 0, "a", "1");
    assert_true(fake_broker_elect(&bench->broker, TOPIC_REQUESTS, 0, 100, 3, 2000));
    assert_false(fake_broker_elect(&bench->broker, TOPIC_REQUESTS, 0, 100, 3, 2000));
    bench_pass(bench, 110);
    expect_bounds(bench, 1);
    fake_broker_append_request(&bench->broker, 0, "b", "2");
    expect_bounds(bench, 1);
    bench_pass(bench, 2000);
    expect_bounds(bench, 5);
    assert_true(fake_broker_log(&bench->broker, TOPIC_REQUESTS, 0)->told_stale_first_us > 0);
}

static void readers_beyond_what_a_new_leader_knows_wait_and_lose_nothing(void **state) {
    struct bench *bench = *state;
    struct pay_stream *port = &bench->streams[0]->port;
    struct pay_stream_event event;
    struct pay_log_record record;
    for (int i = 0; i < 3; i++) fake_broker_append_request(&bench->broker, 0, "a", "1");
    bench_join(bench, 0);
    bench_next_event(bench, 0, &event);
    assert_int_equal(port->ops->fetch(port, 0, 0, &bench->error), PAY_OK);
    for (int i = 0; i < 3; i++) assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_DATA);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_END);
    fake_broker_elect(&bench->broker, TOPIC_REQUESTS, 0, 100, 2, 2000);
    bench_pass(bench, 110);
    fake_broker_append_request(&bench->broker, 0, "b", "2");
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_NONE);
    bench_pass(bench, 2000);
    assert_int_equal(port->ops->next_record(port, &record), PAY_RECORD_DATA);
    assert_int_equal(record.offset, 3);
}

static void a_doomed_request_has_its_fate_and_the_one_before_it_has_not(void **state) {
    struct bench *bench = *state;
    struct pay_report report;
    bench->broker.records_per_request = 1;
    assert_true(fake_broker_doom(&bench->broker, 1, FATE_LIE_KEPT, 0));
    bench_open_publisher(bench, 0);
    for (int64_t i = 0; i < 2; i++) bench_publish(bench, 0, 0, i);
    bench_pass(bench, 50);
    assert_true(bench_next_report(bench, 0, &report));
    assert_int_equal(report.log_offset, 0);
    assert_true(bench_next_report(bench, 0, &report));
    assert_int_equal(report.log_offset, -1001);
    assert_int_equal(bench_reply_end(bench), 2);
}

static void a_deaf_member_is_thrown_out_and_believes_in_its_assignment_until_it_hears_again(void **state) {
    struct bench *bench = *state;
    struct pay_stream_event event;
    bench_join(bench, 0);
    bench_next_event(bench, 0, &event);
    fake_broker_deafen(&bench->broker, &bench->streams[0]->client, 15000);
    bench_join(bench, 1);
    bench_pass(bench, 11000);
    assert_int_equal(bench_next_event(bench, 1, &event), PAY_STREAM_ASSIGNED);
    assert_int_equal(event.partition_count, 2);
    assert_int_equal(bench_next_event(bench, 0, &event), PAY_STREAM_NOTHING);
    assert_true(bench->streams[0]->port.ops->still_assigned(&bench->streams[0]->port, 0));
    bench_pass(bench, 4500);
    assert_int_equal(bench_next_event(bench, 0, &event), PAY_STREAM_LOST);
}

static void requests_of_a_frozen_client_land_while_it_stands_still_and_what_it_still_holds_when_it_thaws(void **state) {
    struct bench *bench = *state;
    bench->broker.records_per_request = 1;
    bench->broker.latency_ms = 20;
    bench_open_publisher(bench, 0);
    for (int64_t i = 0; i < 2; i++) bench_publish(bench, 0, 0, i);
    bench_pass(bench, 1);
    fake_stream_freeze(bench->streams[0], true);
    bench_pass(bench, 1000);
    assert_int_equal(bench_reply_end(bench), 1);
    fake_stream_freeze(bench->streams[0], false);
    bench_pass(bench, 100);
    assert_int_equal(bench_reply_end(bench), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        on_bench(a_lost_answer_is_sent_again_and_appended_once),
        on_bench(a_lost_answer_without_producer_state_is_appended_twice),
        on_bench(a_refused_first_request_of_several_leaves_a_hole_and_a_lie),
        on_bench(a_refused_first_request_alone_keeps_the_order),
        on_bench(a_tail_that_was_not_replicated_is_cut_and_sent_again),
        on_bench(requests_of_a_dead_producer_still_land),
        on_bench(the_group_takes_everything_before_it_gives),
        on_bench(a_frozen_member_loses_its_partitions_after_ten_seconds),
        on_bench(readers_see_no_markers_nothing_aborted_and_nothing_beyond_an_open_transaction),
        on_bench(an_offset_outside_the_log_is_trouble_and_never_a_reset),
        on_bench(a_dying_leader_takes_what_nobody_was_promised_and_nobody_saw),
        on_bench(a_new_leader_tells_less_than_the_truth_for_a_while_and_never_more),
        on_bench(readers_beyond_what_a_new_leader_knows_wait_and_lose_nothing),
        on_bench(a_doomed_request_has_its_fate_and_the_one_before_it_has_not),
        on_bench(a_deaf_member_is_thrown_out_and_believes_in_its_assignment_until_it_hears_again),
        on_bench(requests_of_a_frozen_client_land_while_it_stands_still_and_what_it_still_holds_when_it_thaws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
