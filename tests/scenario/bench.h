/*
 * bench.h - the fakes alone: one database, one broker, two clients of each; no worker, no scheduler. For tests of the fakes.
 * Client i has worker number i + 1 in the script. Memory: bench_tear_down. Threads: one.
 */
#ifndef PAY_TESTS_BENCH_H
#define PAY_TESTS_BENCH_H

#include "fake_broker.h"
#include "fake_database.h"
#include "fake_ledger.h"
#include "fake_stream.h"

struct bench {
    struct fake_clock clock;
    struct fake_database database;
    struct fake_broker broker;
    struct fault_script script;
    struct fault faults[2];
    struct fake_ledger *ledgers[2];
    struct fake_stream *streams[2];
    struct pay_batch *batches[2];
    struct pay_fence fences[2];
    struct pay_lane_row rows[2];
    struct pay_error error;
};

int bench_set_up(void **state);
int bench_tear_down(void **state);
/* Millisecond by millisecond. */
void bench_pass(struct bench *bench, int64_t ms);
void bench_script(struct bench *bench, const char *text);

/* Client i connects and claims partition i. */
void bench_claim(struct bench *bench, uint32_t i);
/* One payment into the batch of client i. */
void bench_add_payment(struct bench *bench, uint32_t i, const char *order_id, const char *account_id);
void bench_begin_settle(struct bench *bench, uint32_t i);
enum pay_settle_state bench_poll_settle(struct bench *bench, uint32_t i);
enum pay_move bench_write_settle(struct bench *bench, uint32_t i);

void bench_open_publisher(struct bench *bench, uint32_t i);
void bench_publish(struct bench *bench, uint32_t i, int32_t partition, int64_t source_offset);
bool bench_next_report(struct bench *bench, uint32_t i, struct pay_report *report);
int64_t bench_reply_end(struct bench *bench); /* of partition 0 */
void bench_join(struct bench *bench, uint32_t i);
enum pay_stream_event_kind bench_next_event(struct bench *bench, uint32_t i, struct pay_stream_event *event);

#define on_bench(test) cmocka_unit_test_setup_teardown(test, bench_set_up, bench_tear_down)

#endif
