#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int bench_set_up(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    bench->clock.now_us = FAKE_CLOCK_START_US;
    fake_database_init(&bench->database, &bench->clock);
    fake_broker_init(&bench->broker, &bench->clock, 2);
    bench->broker.script = &bench->script;
    fake_database_open_account(&bench->database, "default", "alice", "EUR", 100, 0);
    fake_database_open_account(&bench->database, "default", "bob", "EUR", 100, 0);
    for (uint32_t i = 0; i < 2; i++) {
        fake_database_add_lane(&bench->database, (int32_t)i);
        fault_init(&bench->faults[i], &bench->clock, &bench->script, i + 1);
        bench->ledgers[i] = fake_ledger_new(&bench->database, &bench->faults[i]);
        bench->streams[i] = fake_stream_new(&bench->broker, &bench->faults[i]);
        bench->batches[i] = calloc(1, sizeof *bench->batches[i]);
    }
    *state = bench;
    return 0;
}

int bench_tear_down(void **state) {
    struct bench *bench = *state;
    for (uint32_t i = 0; i < 2; i++) {
        fake_ledger_free(bench->ledgers[i]);
        fake_stream_free(bench->streams[i]);
        fault_free(&bench->faults[i]);
        free(bench->batches[i]);
    }
    fake_broker_free(&bench->broker);
    fake_database_free(&bench->database);
    free(bench);
    return 0;
}

void bench_pass(struct bench *bench, int64_t ms) {
    for (int64_t i = 0; i < ms; i++) {
        fake_clock_advance_ms(&bench->clock, 1);
        fake_database_run(&bench->database);
        fake_broker_run(&bench->broker);
    }
}

void bench_claim(struct bench *bench, uint32_t i) {
    struct pay_ledger *port = &bench->ledgers[i]->port;
    uint8_t owner[PAY_OWNER_SIZE] = {(uint8_t)(i + 1)};
    bool missing;
    assert_int_equal(port->ops->connect(port, &bench->error), PAY_OK);
    assert_int_equal(port->ops->claim(port, (int32_t)i, owner, &bench->rows[i], &missing, &bench->error), PAY_OK);
    assert_false(missing);
}

void bench_add_payment(struct bench *bench, uint32_t i, const char *order_id, const char *account_id) {
    struct pay_record *record = pay_batch_next(bench->batches[i]);
    memset(record, 0, sizeof *record);
    record->position = (struct pay_position){1, (int32_t)i, bench->batches[i]->count};
    snprintf(record->request.tenant, sizeof record->request.tenant, "default");
    snprintf(record->request.order_id, sizeof record->request.order_id, "%s", order_id);
    snprintf(record->request.account_id, sizeof record->request.account_id, "%s", account_id);
    snprintf(record->request.currency, sizeof record->request.currency, "EUR");
    record->request.attempt = 1;
    record->request.amount_minor = 10;
    pay_batch_commit_next(bench->batches[i], false);
}

void bench_begin_settle(struct bench *bench, uint32_t i) {
    struct pay_ledger *port = &bench->ledgers[i]->port;
    pay_batch_slice(bench->batches[i], 100);
    pay_batch_prepare(bench->batches[i]);
    bench->fences[i] = (struct pay_fence){.partition = (int32_t)i,
                                          .owner_epoch = bench->rows[i].owner_epoch,
                                          .processed_before = bench->rows[i].next_offset,
                                          .processed_after = bench->batches[i]->count};
    memcpy(bench->fences[i].owner, bench->rows[i].owner, PAY_OWNER_SIZE);
    assert_int_equal(port->ops->settle_begin(port, bench->batches[i], &bench->fences[i], 1, &bench->error), PAY_OK);
}

enum pay_settle_state bench_poll_settle(struct bench *bench, uint32_t i) {
    int64_t decided_at_us;
    struct pay_ledger *port = &bench->ledgers[i]->port;
    enum pay_settle_state state = port->ops->settle_poll(port, &decided_at_us, &bench->error);
    if (state == PAY_SETTLE_READ) pay_batch_decide(bench->batches[i], decided_at_us);
    return state;
}

enum pay_move bench_write_settle(struct bench *bench, uint32_t i) {
    struct pay_ledger *port = &bench->ledgers[i]->port;
    return port->ops->settle_write(port, &bench->error);
}

void bench_publish(struct bench *bench, uint32_t i, int32_t partition, int64_t source_offset) {
    struct pay_stream *port = &bench->streams[i]->port;
    struct pay_outgoing reply = {.partition = partition,
                                 .source_offset = source_offset,
                                 .key = "k",
                                 .key_length = 1,
                                 .value = "v",
                                 .value_length = 1};
    assert_int_equal(port->ops->publish(port, 0, &reply, &bench->error), PAY_OK);
}

void bench_open_publisher(struct bench *bench, uint32_t i) {
    struct pay_stream *port = &bench->streams[i]->port;
    assert_int_equal(port->ops->open_publisher(port, 0, &bench->error), PAY_OK);
}

bool bench_next_report(struct bench *bench, uint32_t i, struct pay_report *report) {
    struct pay_stream *port = &bench->streams[i]->port;
    return port->ops->next_report(port, report);
}

void bench_script(struct bench *bench, const char *text) { assert_true(fault_script_parse(text, &bench->script)); }

int64_t bench_reply_end(struct bench *bench) { return fake_broker_log(&bench->broker, TOPIC_REPLIES, 0)->end; }

enum pay_stream_event_kind bench_next_event(struct bench *bench, uint32_t i, struct pay_stream_event *event) {
    struct pay_stream *port = &bench->streams[i]->port;
    port->ops->next_event(port, event);
    return event->kind;
}

void bench_join(struct bench *bench, uint32_t i) {
    struct pay_stream *port = &bench->streams[i]->port;
    assert_int_equal(port->ops->open(port, &bench->error), PAY_OK);
}
