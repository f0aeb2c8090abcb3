/*
 * Every trouble of the table by itself, at random moments of a random run: it ends where history.h says it must.
 * And each of them once by hand, where what the worker does is looked at more closely.
 * PAYBUF_TROUBLE=leader-change runs one of them only, PAYBUF_SEEDS=5000 that many seeds of each, from PAYBUF_SEED.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"
#include "trouble.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEEDS_BY_DEFAULT 10
#define SETTLED_WITHIN_MS 600000

static uint32_t below(struct rig *rig, uint32_t limit) { return rig_random(rig) % limit; }

static void append_something(struct rig *rig) {
    static const char *const accounts[] = {"alice", "bob", "carol", "dave", "nobody"};
    int32_t partition = (int32_t)below(rig, rig->broker.partition_count);
    char order_id[16];
    snprintf(order_id, sizeof order_id, "o-%u", below(rig, 8));
    if (below(rig, 12) == 0)
        fake_broker_append_request(&rig->broker, partition, "o-1", "garbage");
    else if (below(rig, 12) == 0)
        fake_broker_append_control(&rig->broker, TOPIC_REQUESTS, partition);
    else
        workload_pay(rig, partition, order_id, 1 + (int)below(rig, 3), accounts[below(rig, 5)], 100);
}

/* Nothing more is to come, and what came is answered. */
static bool all_over(struct rig *rig) { return rig->later_count == 0 && rig_all_answered(rig); }

static bool play(const struct trouble *trouble, uint64_t seed) {
    struct rig *rig = calloc(1, sizeof *rig);
    char repeat[128];
    snprintf(repeat, sizeof repeat, "PAYBUF_TROUBLE=%s PAYBUF_SEED=%llu PAYBUF_SEEDS=1", trouble->name,
             (unsigned long long)seed);
    scene_case(repeat);
    rig_init(rig, seed, "", 1 + (uint32_t)(seed % 3));
    rig->batch_records_max = 1 + below(rig, 6);
    rig->switch_per_mille = below(rig, 3) * 100;
    rig->broker.records_per_request = 1 + below(rig, 3);
    rig->database.latency_ms = below(rig, 30);
    workload_accounts(rig);
    for (uint32_t i = 1 + below(rig, 3); i > 0; i--) rig_start_worker(rig);
    for (uint32_t moves = 8 + below(rig, 8); moves > 0; moves--) {
        for (uint32_t i = below(rig, 4); i > 0; i--) append_something(rig);
        rig_run_for(rig, below(rig, 6) == 0 ? below(rig, 15000) : below(rig, 60));
        if (below(rig, 3) == 0) trouble->strike(rig, rig_random(rig), rig_random(rig));
        if (strcmp(trouble->name, "database-restore") == 0 && below(rig, 3) == 0) fake_database_back_up(&rig->database);
    }
    bool finished = rig_run(rig, all_over, SETTLED_WITHIN_MS);
    rig_run_for(rig, 5000);
    if (!finished) history_violate(&rig->history, "not at its end after %d s", SETTLED_WITHIN_MS / 1000);
    bool fine = history_judge_complete(&rig->history);
    if (!fine) {
        fprintf(stderr, "%s\n", repeat);
        rig_explain(rig);
    }
    scene_throw_away(rig);
    return fine;
}

static void every_trouble_ends_where_it_must(void **state) {
    (void)state;
    const char *only = getenv("PAYBUF_TROUBLE"), *one = getenv("PAYBUF_SEED"), *many = getenv("PAYBUF_SEEDS");
    uint64_t from = one != NULL ? strtoull(one, NULL, 10) : 1;
    uint64_t count = many != NULL ? strtoull(many, NULL, 10) : SEEDS_BY_DEFAULT;
    uint32_t failures = 0;
    for (size_t i = 0; i < trouble_count; i++) {
        if (only != NULL && strcmp(only, troubles[i].name) != 0) continue;
        uint32_t failed = 0;
        for (uint64_t seed = from; seed < from + count && failed < 2; seed++) failed += !play(&troubles[i], seed);
        if (failed > 0) print_message("%s failed\n", troubles[i].name);
        failures += failed;
    }
    assert_int_equal(failures, 0);
}

/* ---- by hand ---- */

static bool commit_is_on_its_way(struct rig *rig) {
    const struct fake_connection *connection = rig->workers[0].ledger->connection;
    return connection != NULL && connection->transaction.state == TRANSACTION_WRITING;
}

/* A worker whose connection is cut right after it sent the COMMIT of three payments. */
static struct rig *cut_at_commit(bool commit_arrives, int64_t server_ms) {
    struct rig *rig = scene_begin("", 1);
    rig->database.latency_ms = 20;
    workload_many(rig, 0, "c", 3);
    struct rig_worker *worker = rig_start_worker(rig);
    assert_true(rig_run(rig, commit_is_on_its_way, 5000));
    fake_database_cut(&rig->database, worker->ledger->connection, commit_arrives, server_ms);
    return rig;
}

static void a_commit_that_is_run_while_the_next_claim_waits_is_answered_from_its_rows(void **state) {
    (void)state;
    struct rig *rig = cut_at_commit(true, 2500);
    rig_run_for(rig, 2000);
    assert_int_equal(rig->database.tables.payment_count, 0);
    assert_int_equal(scene_row(rig, 0)->owner_epoch,
                     1); /* the claim waits: it must not decide by what it can read now */
    rig_run_for(rig, 3000);
    assert_int_equal(scene_counters(&rig->workers[0])->looked_up, 3);
    assert_int_equal(scene_counters(&rig->workers[0])->records, 0);
    scene_ends_well(rig, 5000);
}

static void a_commit_that_never_arrived_is_settled_again_when_the_server_has_given_up(void **state) {
    (void)state;
    struct rig *rig = cut_at_commit(false, 0);
    rig_run_for(rig, 1500);
    assert_int_equal(scene_row(rig, 0)->owner_epoch, 1);
    rig_run_for(rig, 4000);
    assert_int_equal(scene_counters(&rig->workers[0])->looked_up, 0);
    assert_int_equal(scene_counters(&rig->workers[0])->records, 3);
    scene_ends_well(rig, 5000);
}

static void any_sqlstate_at_any_statement_costs_a_redo_or_a_session_and_nothing_else(void **state) {
    static const char *const codes[] = {"40P01", "55P03", "57014", "54000", "XX000"};
    (void)state;
    for (uint32_t code = 0; code < 5; code++) {
        for (uint32_t after = 0; after < 12; after++) {
            struct rig *rig = scene_begin("", 1);
            struct rig_worker *worker = rig_start_worker(rig);
            rig_run_for(rig, 1000);
            workload_many(rig, 0, "s", 4);
            fake_database_upset(&rig->database, codes[code], after, 1);
            assert_true(rig_run(rig, rig_all_answered, 5000));
            if (after < STATEMENT_COMMIT - STATEMENT_FENCE)
                assert_true(scene_counters(worker)->redone + scene_counters(worker)->sessions_ended == 1);
            scene_ends_well(rig, 5000);
        }
    }
}

/* Somebody's adjustment takes 7 s: the lock is given up after 5, and asked for again. */
static void a_locked_account_parks_the_batch_and_not_the_worker(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 1);
    struct rig_worker *worker = rig_start_worker(rig);
    rig_run_for(rig, 1000);
    assert_true(trouble_find("account-locked", 14)->strike(rig, 0, 6999));
    workload_many(rig, 0, "p", 2);
    rig_run_for(rig, 6000);
    assert_int_equal(rig->database.tables.payment_count, 0);
    assert_int_equal(scene_counters(worker)->redone, 1);
    assert_int_equal(scene_counters(worker)->sessions_ended, 0);
    scene_ends_well(rig, 3000);
}

static bool something_is_published(struct rig *rig) { return fake_broker_log(&rig->broker, TOPIC_REPLIES, 0)->end > 0; }

static void replies_that_a_dying_leader_took_with_it_come_again(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 1);
    rig->broker.records_per_request = 1;
    struct rig_worker *worker = rig_start_worker(rig);
    rig_run_for(rig, 1000);
    assert_true(fake_broker_elect(&rig->broker, TOPIC_REPLIES, 0, 1500, 0, 0));
    workload_many(rig, 0, "t", 3);
    assert_true(rig_run(rig, something_is_published, 1000));
    rig_run_for(rig, 200);
    assert_int_equal(scene_counters(worker)->replies_acknowledged, 0);
    rig_run_for(rig, 1400);
    assert_int_equal(scene_counters(worker)->publishers_lost, 0);
    scene_ends_well(rig, 5000);
}

static void a_request_that_a_dying_leader_took_with_it_was_never_seen(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 1);
    rig_start_worker(rig);
    rig_run_for(rig, 1000);
    assert_true(fake_broker_elect(&rig->broker, TOPIC_REQUESTS, 0, 1500, 0, 0));
    workload_pay(rig, 0, "gone", 1, "alice", 5);
    rig_run_for(rig, 2000);
    assert_int_equal(rig->database.tables.payment_count, 0);
    workload_pay(rig, 0, "kept", 1, "alice", 5);
    scene_ends_well(rig, 5000);
}

static void a_new_leader_that_knows_less_than_p_halts_nothing_when_it_learns_the_truth(void **state) {
    (void)state;
    struct rig *rig = scene_answered(1, 4);
    struct rig_worker *worker = &rig->workers[0];
    assert_true(fake_broker_elect(&rig->broker, TOPIC_REQUESTS, 0, 1, 3, 7000));
    assert_true(fake_broker_elect(&rig->broker, TOPIC_REPLIES, 0, 1, 3, 7000));
    rig_run_for(rig, 10);
    fake_broker_rebalance(&rig->broker);
    rig_run_for(rig, 5000);
    assert_int_equal(scene_counters(worker)->claims, 2);
    assert_int_equal(pay_worker_lane(worker->worker, 0)->suspicion, PAY_HALT_LOG_TRUNCATED);
    workload_many(rig, 0, "later", 2);
    scene_ends_well(rig, 15000);
}

/* The group gives its lane to another one while it believes in its assignment: each may take it from the other, but rarely. */
static void a_lost_rebalance_race_is_neither_a_duel_nor_an_orphan(void **state) {
    (void)state;
    struct rig *rig = scene_begin("", 1);
    struct rig_worker *deaf = rig_start_worker(rig);
    rig_run_for(rig, 1000);
    fake_broker_deafen(&rig->broker, &deaf->stream->client, 60000);
    struct rig_worker *other = rig_start_worker(rig);
    for (int second = 0; second < 90; second++) {
        char order_id[32];
        snprintf(order_id, sizeof order_id, "d-%d", second);
        workload_pay(rig, 0, order_id, 1, "alice", 1);
        rig_run_for(rig, 1000);
    }
    assert_true(scene_counters(deaf)->fenced >= 1);
    assert_true(scene_counters(other)->claims >= 1);
    assert_true(scene_row(rig, 0)->owner_epoch <= 9); /* at most one claim in ten seconds */
    scene_ends_well(rig, 15000);
}

int main(void) {
    const struct CMUnitTest tests_of_seeds[] = {cmocka_unit_test(every_trouble_ends_where_it_must)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_trouble_ends_where_it_must),
        cmocka_unit_test(a_commit_that_is_run_while_the_next_claim_waits_is_answered_from_its_rows),
        cmocka_unit_test(a_commit_that_never_arrived_is_settled_again_when_the_server_has_given_up),
        cmocka_unit_test(any_sqlstate_at_any_statement_costs_a_redo_or_a_session_and_nothing_else),
        cmocka_unit_test(a_locked_account_parks_the_batch_and_not_the_worker),
        cmocka_unit_test(replies_that_a_dying_leader_took_with_it_come_again),
        cmocka_unit_test(a_request_that_a_dying_leader_took_with_it_was_never_seen),
        cmocka_unit_test(a_new_leader_that_knows_less_than_p_halts_nothing_when_it_learns_the_truth),
        cmocka_unit_test(a_lost_rebalance_race_is_neither_a_duel_nor_an_orphan),
    };
    if (getenv("PAYBUF_TROUBLE") != NULL || getenv("PAYBUF_SEEDS") != NULL)
        return cmocka_run_group_tests(tests_of_seeds, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
