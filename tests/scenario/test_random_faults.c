/*
 * Whole workers on both fakes under several faults at once, chosen by a seed: calls that fail, crash, freeze; produce requests that
 * get lost or lie; rebalances, restarts of database and broker, transactions on the request log - and one to three workers whose
 * port calls interleave. In the end every request is decided once and answered once.
 * PAYBUF_SEED=17 runs one seed (RIG_VERBOSE=1: with its log); PAYBUF_SEEDS=5000 that many, from 1 or from PAYBUF_SEED.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workload.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTLED_WITHIN_MS 600000
#define SEEDS_BY_DEFAULT 400

static char case_at_work[64];

static void on_abort(int signal_number) {
    (void)signal_number;
    (void)!write(STDERR_FILENO, case_at_work, strlen(case_at_work));
}

static uint32_t below(struct rig *rig, uint32_t limit) { return rig_random(rig) % limit; }

/* ---- requests ---- */

static void append_transaction(struct rig *rig, int32_t partition) {
    fake_broker_begin_transaction(&rig->broker, TOPIC_REQUESTS, partition);
    if (below(rig, 3) > 0) workload_pay(rig, partition, "o-t", 1, "alice", 3);
    fake_broker_end_transaction(&rig->broker, TOPIC_REQUESTS, partition, below(rig, 2) == 0);
}

static void append_something(struct rig *rig) {
    static const char *const accounts[] = {"alice", "bob", "bob", "carol", "dave", "nobody"};
    int32_t partition = (int32_t)below(rig, rig->broker.partition_count);
    char order_id[16];
    snprintf(order_id, sizeof order_id, "o-%u", below(rig, 6));
    switch (below(rig, 12)) {
    case 0: fake_broker_append_request(&rig->broker, partition, "o-1", "garbage"); break;
    case 1: fake_broker_append_control(&rig->broker, TOPIC_REQUESTS, partition); break;
    case 2: append_transaction(rig, partition); break;
    case 3: fake_broker_append(&rig->broker, TOPIC_REPLIES, partition, "x", "a stranger's record", NULL, 0); break;
    case 4: fake_broker_append_control(&rig->broker, TOPIC_REPLIES, partition); break;
    default:
        workload_pay(rig, partition, order_id, 1 + (int)below(rig, 3), accounts[below(rig, 6)],
                     100 * (1 + below(rig, 4)));
        break;
    }
}

/* ---- trouble ---- */

static struct fault_entry random_fault(struct rig *rig) {
    static const enum pay_move moves[] = {PAY_AGAIN, PAY_REDO, PAY_SPLIT, PAY_FENCED, PAY_HALTED, PAY_SESSION_OVER};
    static const int64_t pauses[] = {50, 900, 1500, 2500, 6000, 15000, 40000};
    struct fault_entry entry = {
        .produce = below(rig, 4) == 0, .worker = 1 + below(rig, 4), .call = 1 + below(rig, 150)};
    entry.kind = (enum fault_kind)below(rig, FAULT_KIND_COUNT);
    entry.fate = (enum fault_fate)(1 + below(rig, FATE_COUNT - 1));
    entry.move = moves[below(rig, 6)];
    entry.number = pauses[below(rig, 7)];
    if (entry.kind == FAULT_STALE || entry.kind == FAULT_REDELIVER) entry.number = 1 + below(rig, 5);
    if (entry.produce) entry.call = 1 + below(rig, 40);
    return entry;
}

static void restart_database(struct rig *rig) {
    rig->database.commits_get_lost = below(rig, 2) == 0;
    if (!rig->database.down) fake_database_stop(&rig->database);
    rig_run_for(rig, below(rig, 4000));
    rig->clock.now_us++;
    fake_database_start(&rig->database);
}

static void restart_broker(struct rig *rig) {
    rig->broker.down = true;
    rig_run_for(rig, below(rig, 15000));
    rig->broker.down = false;
}

static struct rig_worker *some_worker(struct rig *rig) {
    struct rig_worker *worker = &rig->workers[below(rig, RIG_WORKERS_MAX)];
    return worker->alive ? worker : NULL;
}

static void stop_somebody(struct rig *rig) {
    struct rig_worker *worker = some_worker(rig);
    if (worker == NULL || worker->stopping) return;
    rig_stop(worker);
    rig_run_for(rig, 6000);
    rig_start_worker(rig);
}

/* Retention: replies at any moment, requests up to what the row knows to be answered. */
static void retain(struct rig *rig) {
    int32_t partition = (int32_t)below(rig, rig->broker.partition_count);
    const struct fake_log *replies = fake_broker_log(&rig->broker, TOPIC_REPLIES, partition);
    const struct fake_log *requests = fake_broker_log(&rig->broker, TOPIC_REQUESTS, partition);
    int64_t answered = fake_database_lane(&rig->database, partition)->row.replied_offset;
    uint32_t visible = (uint32_t)(replies->high_watermark - replies->start);
    fake_broker_move_start(&rig->broker, TOPIC_REPLIES, partition, replies->start + below(rig, visible + 1));
    if (answered > requests->start) fake_broker_move_start(&rig->broker, TOPIC_REQUESTS, partition, answered);
}

static void make_trouble(struct rig *rig) {
    struct rig_worker *worker = some_worker(rig);
    switch (below(rig, 14)) {
    case 0:
    case 1: fake_broker_rebalance(&rig->broker); break;
    case 2: restart_database(rig); break;
    case 3: restart_broker(rig); break;
    case 4: fake_broker_forget_producers(&rig->broker); break;
    case 5: fake_broker_trouble(&rig->broker, (int32_t)below(rig, rig->broker.partition_count + 1) - 1); break;
    case 6:
        if (worker != NULL) rig_crash(rig, worker);
        break;
    case 7:
        if (worker != NULL && !worker->frozen) rig_freeze(worker, 1 + below(rig, 30000));
        break;
    case 8: stop_somebody(rig); break;
    case 9: retain(rig); break;
    default: break;
    }
}

/* ---- one seed ---- */

static bool play(uint64_t seed) {
    struct rig *rig = calloc(1, sizeof *rig);
    snprintf(case_at_work, sizeof case_at_work, "\nPAYBUF_SEED=%llu\n", (unsigned long long)seed);
    rig_init(rig, seed, "", 1 + (uint32_t)(seed % 3));
    rig->batch_records_max = 1 + below(rig, 6);
    rig->switch_per_mille = below(rig, 3) * 100;
    rig->broker.records_per_request = 1 + below(rig, 4);
    if (below(rig, 2) == 0) rig->database.latency_ms = below(rig, 40);
    if (below(rig, 2) == 0) rig->broker.latency_ms = 1 + below(rig, 80);
    if (below(rig, 8) == 0) {
        rig->broker.requests_in_flight_max = 3;
        rig->history.gaps_allowed = true;
    }
    for (uint32_t i = below(rig, 6); i > 0; i--) fault_script_add(&rig->script, random_fault(rig));
    workload_accounts(rig);
    uint32_t workers = 1 + below(rig, 3);
    for (uint32_t i = 0; i < workers; i++) rig_start_worker(rig);
    for (uint32_t moves = 6 + below(rig, 20); moves > 0; moves--) {
        for (uint32_t i = below(rig, 4); i > 0; i--) append_something(rig);
        rig_run_for(rig, below(rig, 10) == 0 ? below(rig, 20000) : below(rig, 40));
        make_trouble(rig);
    }
    bool answered = rig_run(rig, rig_all_answered, SETTLED_WITHIN_MS);
    rig_run_for(rig, 5000);
    if (!answered) history_violate(&rig->history, "not everything is answered after %d s", SETTLED_WITHIN_MS / 1000);
    bool fine = history_judge_complete(&rig->history);
    if (!fine) {
        fprintf(stderr, "\nPAYBUF_SEED=%llu ", (unsigned long long)seed);
        rig_explain(rig);
    }
    rig_free(rig);
    free(rig);
    return fine;
}

static void every_seed_ends_with_every_request_answered_once(void **state) {
    (void)state;
    const char *one = getenv("PAYBUF_SEED"), *many = getenv("PAYBUF_SEEDS");
    uint64_t from = one != NULL ? strtoull(one, NULL, 10) : 1;
    uint64_t count = many != NULL ? strtoull(many, NULL, 10) : one != NULL ? 1 : SEEDS_BY_DEFAULT;
    uint32_t failures = 0;
    for (uint64_t seed = from; seed < from + count && failures < 3; seed++) failures += !play(seed);
    print_message("%llu seeds from %llu\n", (unsigned long long)count, (unsigned long long)from);
    assert_int_equal(failures, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_seed_ends_with_every_request_answered_once)};
    signal(SIGABRT, on_abort);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
