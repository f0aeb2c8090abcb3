/*
 * The simulator as a library: the same plan gives the same run, plans can be printed, read and shrunk, strikes are counted, and
 * seeds end well. PAYBUF_SEEDS=5000 plays that many seeds; single ones are paybuf-sim's business (docs/simulator.md).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim_intake.h"
#include "sim_minimize.h"
#include "sim_reader.h"
#include "sim_run.h"
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_BY_DEFAULT 500

static struct sim_plan plan_of(uint64_t seed) {
    struct sim_plan plan;
    sim_plan_draw(seed, &plan);
    return plan;
}

static struct sim_plan plan_from(const char *text) {
    struct sim_plan plan;
    const char *wrong;
    assert_true(sim_plan_parse(text, &plan, &wrong));
    return plan;
}

static uint64_t hash_of(const struct sim_plan *plan) {
    struct sim_result result;
    sim_play(plan, NULL, &result);
    return result.hash;
}

/* ---- the same again ---- */

static void the_same_plan_gives_the_same_hash(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct sim_plan plan = plan_of(seed);
        assert_int_equal(hash_of(&plan), hash_of(&plan));
    }
}

static void another_seed_of_the_scheduler_gives_another_hash(void **state) {
    (void)state;
    struct sim_plan plan = plan_from("seed=1 partitions=2 workers=2 switch=200 work=1:pay/0/1,1:pay/1/1");
    uint64_t before = hash_of(&plan);
    plan.seed++;
    assert_int_not_equal(hash_of(&plan), before);
}

static void listening_changes_nothing(void **state) {
    (void)state;
    static struct sim_coverage coverage;
    struct sim_listener listener = {.coverage = &coverage, .trace = fopen("/dev/null", "w")};
    assert_non_null(listener.trace);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_plan plan = plan_of(seed);
        struct sim_result result;
        sim_play(&plan, &listener, &result);
        assert_int_equal(result.hash, hash_of(&plan));
    }
    fclose(listener.trace);
}

/* ---- plans as text ---- */

static void a_plan_printed_and_read_again_is_the_same(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        char text[SIM_PLAN_TEXT_MAX], again[SIM_PLAN_TEXT_MAX];
        struct sim_plan plan = plan_of(seed);
        sim_plan_print(&plan, text);
        struct sim_plan read = plan_from(text);
        sim_plan_print(&read, again);
        assert_string_equal(text, again);
        if (seed <= 20) assert_int_equal(hash_of(&plan), hash_of(&read));
    }
}

static void what_is_no_plan_is_refused_where_it_begins(void **state) {
    (void)state;
    static const struct {
        const char *text, *wrong;
    } cases[] = {
        {"partitions=0", "partitions=0"},
        {"workers=2 wrokers=3", "wrokers=3"},
        {"troubles=300:crahs/1/0", "troubles=300:crahs/1/0"},
        {"seed=1 troubles=300@nowhere:crash/1/0", "troubles=300@nowhere:crash/1/0"},
        {"work=1@idle:pay/1/2", "work=1@idle:pay/1/2"},
        {"work=1:pay/1", "work=1:pay/1"},
        {"script=w1.x:crash-after", "script=w1.x:crash-after"},
        {"seed", "seed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sim_plan plan;
        const char *wrong = NULL;
        assert_false(sim_plan_parse(cases[i].text, &plan, &wrong));
        assert_string_equal(wrong, cases[i].wrong);
    }
}

static void an_entry_less_leaves_the_others_what_they_were(void **state) {
    (void)state;
    static struct sim_coverage coverage;
    struct sim_listener listener = {.coverage = &coverage};
    struct sim_result result;
    struct sim_plan both = plan_from("work=1:pay/0/1 troubles=900:crash/0/0,15000:freeze/0/700"),
                    one = plan_from("work=1:pay/0/1 troubles=15000:freeze/0/700");
    size_t freeze = (size_t)(trouble_find("freeze", 6) - troubles);
    memset(&coverage, 0, sizeof coverage);
    sim_play(&both, &listener, &result);
    sim_play(&one, &listener, &result);
    assert_int_equal(coverage.hits[freeze][STATE_IDLE], 2);
}

/* ---- shrinking ---- */

static bool crashes_while_the_commit_is_sent(void *argument, const struct sim_plan *plan) {
    static struct sim_coverage coverage;
    struct sim_listener listener = {.coverage = &coverage};
    struct sim_result result;
    (void)argument;
    memset(&coverage, 0, sizeof coverage);
    sim_play(plan, &listener, &result);
    return coverage.hits[trouble_find("crash", 5) - troubles][STATE_COMMIT_SENT] > 0;
}

static void shrinking_keeps_what_it_takes_and_nothing_else(void **state) {
    (void)state;
    struct sim_plan plan = plan_from(
        "seed=5 partitions=3 workers=2 switch=100 database-ms=20 script=w1.9:delay=50,p3:late=50 "
        "work=50:pay/1/1,400:storm/2/9,600:garbage/0/3,900:pay/7/7,900:pay/2/2,1900:storm/1/1 asks=10:ask/3/4 "
        "readers=20:from-0/1/1 "
        "troubles=50:rebalance/1/1,200@commit-sent:crash/1/0,250@commit-sent:crash/0/0,400:freeze/2/100 "
        "fates=20:lost/0/0");
    assert_true(crashes_while_the_commit_is_sent(NULL, &plan));
    uint32_t tries = sim_minimize(&plan, 1000, crashes_while_the_commit_is_sent, NULL);
    assert_in_range(tries, 10, 999);
    assert_int_equal(plan.script.count, 0);
    assert_int_equal(plan.entry_count, 2); /* something to commit, and the crash */
    assert_int_equal(plan.partitions, 1);
    assert_true(crashes_while_the_commit_is_sent(NULL, &plan));
}

static void shrinking_ends_when_its_tries_are_used_up(void **state) {
    (void)state;
    struct sim_plan plan = plan_from("work=5:pay/0/1,40:pay/1/9 troubles=200@commit-sent:crash/0/0,400:freeze/2/100");
    assert_int_equal(sim_minimize(&plan, 3, crashes_while_the_commit_is_sent, NULL), 3);
}

static void violations_of_one_kind_differ_in_numbers_only(void **state) {
    (void)state;
    char a[SIM_KIND_MAX], b[SIM_KIND_MAX], c[SIM_KIND_MAX];
    sim_violation_kind("reader 1 of partition 0 never gets the reply to 2", a);
    sim_violation_kind("reader 2 of partition 1 never gets the reply to 17", b);
    sim_violation_kind("partition 1: request 2 has no reply that a reader takes", c);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
}

/* ---- counting ---- */

static void a_strike_is_counted_in_the_state_it_met(void **state) {
    (void)state;
    static struct sim_coverage coverage;
    static const struct {
        const char *plan, *fault;
        enum sim_state met;
    } cases[] = {
        {"partitions=1 work=1:pay/0/1 troubles=900:crash/0/0", "crash", STATE_IDLE},
        {"partitions=1 database-ms=30 work=1:pay/0/1 troubles=1@settle-begun:freeze/0/5", "freeze", STATE_SETTLE_BEGUN},
        {"partitions=1 database-ms=30 work=1:pay/0/1 troubles=1@commit-sent:crash/0/0", "crash", STATE_COMMIT_SENT},
        {"partitions=1 script=w1.settle_read#1:crash-before work=1:pay/0/1", "call:crash-before", STATE_SETTLE_FENCED},
        {"partitions=1 script=w1.read_replies#1:delay=50 work=1:stranger/0/0,2:pay/0/1 troubles=1:crash/0/0",
         "call:delay", SIM_STATES},
        {"partitions=1 work=1:pay/0/1 faults=0@claim-locks:crash-after/0/0", "call:crash-after", STATE_CLAIM_LOCKS},
        {"partitions=1 asks=900:ask/1/1 fates=500:lost/0/0", "produce:lost", STATE_IDLE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sim_listener listener = {.coverage = &coverage};
        struct sim_result result;
        struct sim_plan plan = plan_from(cases[i].plan);
        memset(&coverage, 0, sizeof coverage);
        sim_play(&plan, &listener, &result);
        assert_int_equal(result.violation_count, 0);
        uint64_t sum = 0, met = 0;
        for (size_t fault = 0; fault < sim_fault_count(); fault++) {
            if (strcmp(sim_fault_name(fault), cases[i].fault) != 0) continue;
            for (size_t s = 0; s < SIM_STATES; s++) sum += coverage.hits[fault][s];
            if (cases[i].met != SIM_STATES) met = coverage.hits[fault][cases[i].met];
        }
        assert_int_equal(sum, cases[i].met == SIM_STATES ? 0 : 1);
        assert_int_equal(met, sum);
    }
}

/* ---- the judges of clients and readers ---- */

struct judged {
    struct rig rig;
    struct sim_intake intake;
    struct sim_reader reader;
};

/* One worker, one partition, a client's two payments answered, a reader that has both. */
static struct judged *two_answered(void) {
    struct judged *judged = calloc(1, sizeof *judged);
    assert_non_null(judged);
    rig_init(&judged->rig, 1, "", 1);
    workload_accounts(&judged->rig);
    sim_intake_init(&judged->intake, &judged->rig, 1);
    sim_reader_init(&judged->reader, &judged->rig, 1, READER_FROM_0, 0, 0);
    rig_start_worker(&judged->rig);
    sim_intake_ask(&judged->intake, 1, 1);
    rig_run_for(&judged->rig, 3000);
    sim_intake_ask(&judged->intake, 1, 2);
    rig_run_for(&judged->rig, 20000);
    assert_int_equal(judged->intake.calls[0].answer, ANSWERED_202);
    assert_true(judged->reader.memory.effects >= 2);
    return judged;
}

/* Violations that its judges find now. */
static uint32_t violations_of(struct judged *judged) {
    judged->rig.history.violation_count = 0;
    sim_intake_judge(&judged->intake, true);
    sim_reader_judge(&judged->reader, true);
    return judged->rig.history.violation_count;
}

static void forget(struct judged *judged) {
    sim_reader_free(&judged->reader);
    sim_intake_free(&judged->intake);
    rig_free(&judged->rig);
    free(judged);
}

static void what_clients_were_told_is_held_against_the_logs(void **state) {
    (void)state;
    struct judged *judged = two_answered();
    struct sim_call *call = &judged->intake.calls[0];
    assert_int_equal(violations_of(judged), 0);
    call->offset++; /* another's record */
    assert_int_equal(violations_of(judged), 1);
    call->offset--;
    call->answer = ANSWERED_503; /* and it lies in the log */
    assert_int_equal(violations_of(judged), 1);
    call->answer = ANSWERED_504;
    assert_int_equal(violations_of(judged), 0);
    forget(judged);
}

static void what_a_reader_took_is_held_against_the_log(void **state) {
    (void)state;
    struct judged *judged = two_answered();
    struct sim_reader *reader = &judged->reader;
    size_t last = reader->memory.effects - 1;
    assert_int_equal(violations_of(judged), 0);
    reader->effects[last] = reader->effects[last - 1]; /* twice */
    assert_int_equal(violations_of(judged), 1);
    reader->effects[last]++;
    reader->memory.reader.next--; /* at the end, and without the last one */
    assert_int_equal(violations_of(judged), 1);
    forget(judged);
}

/* ---- seeds ---- */

static void every_seed_ends_well(void **state) {
    (void)state;
    const char *many = getenv("PAYBUF_SEEDS");
    uint64_t count = many != NULL ? strtoull(many, NULL, 10) : SEEDS_BY_DEFAULT;
    uint32_t failures = 0;
    for (uint64_t seed = 1; seed <= count && failures < 3; seed++) {
        struct sim_plan plan = plan_of(seed);
        struct sim_result result;
        sim_play(&plan, NULL, &result);
        if (result.violation_count == 0) continue;
        failures++;
        print_error("paybuf-sim --seed %llu: %s\n", (unsigned long long)seed, result.violations[0]);
    }
    assert_int_equal(failures, 0);
}

static void a_run_that_never_gets_its_answers_is_a_violation(void **state) {
    (void)state;
    struct sim_plan plan = plan_from("partitions=1 script=w1.10:freeze-before=2000000 work=1:pay/0/1");
    struct sim_result result;
    sim_play(&plan, NULL, &result);
    assert_int_equal(result.violation_count, 2);
    assert_non_null(strstr(result.violations[0], "not everything is answered"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_plan_gives_the_same_hash),
        cmocka_unit_test(another_seed_of_the_scheduler_gives_another_hash),
        cmocka_unit_test(listening_changes_nothing),
        cmocka_unit_test(a_plan_printed_and_read_again_is_the_same),
        cmocka_unit_test(what_is_no_plan_is_refused_where_it_begins),
        cmocka_unit_test(an_entry_less_leaves_the_others_what_they_were),
        cmocka_unit_test(shrinking_keeps_what_it_takes_and_nothing_else),
        cmocka_unit_test(shrinking_ends_when_its_tries_are_used_up),
        cmocka_unit_test(violations_of_one_kind_differ_in_numbers_only),
        cmocka_unit_test(a_strike_is_counted_in_the_state_it_met),
        cmocka_unit_test(what_clients_were_told_is_held_against_the_logs),
        cmocka_unit_test(what_a_reader_took_is_held_against_the_log),
        cmocka_unit_test(every_seed_ends_well),
        cmocka_unit_test(a_run_that_never_gets_its_answers_is_a_violation),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sim_forget();
    return failed;
}
