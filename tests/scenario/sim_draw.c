/*
 * From a seed to a plan: how often what happens. Most runs are short: a few requests and a few troubles find more in a second than
 * many of both. Half of the runs have a theme, a state that their strikes wait for, with what brings it about and holds it:
 * left to chance, a settle's few milliseconds are hit often and a fenced lane's wait never.
 */
#include "sim_plan.h"

#include <assert.h>
#include <string.h>

/* splitmix64, a stream of its own. */
struct dice {
    uint64_t state;
};

static uint32_t roll(struct dice *dice) { return (uint32_t)(sim_mix(dice->state += 0x9e3779b97f4a7c15u) >> 32); }
static uint32_t below(struct dice *dice, uint32_t limit) { return roll(dice) % limit; }
static bool one_in(struct dice *dice, uint32_t n) { return below(dice, n) == 0; }

static struct sim_entry *add(struct sim_plan *plan, struct dice *dice, enum sim_entry_kind kind, uint32_t at_ms,
                             uint32_t name) {
    assert(plan->entry_count < SIM_ENTRIES_MAX);
    struct sim_entry *entry = &plan->entries[plan->entry_count++];
    *entry = (struct sim_entry){.kind = kind,
                                .at_ms = at_ms,
                                .name = name,
                                .wait_for = SIM_STATES,
                                .a = below(dice, 100000),
                                .b = below(dice, 100000)};
    return entry;
}

/* ---- the script ---- */

static struct fault_entry draw_fate(struct dice *dice) {
    struct fault_entry entry = {.produce = true, .call = 1 + below(dice, 30)};
    entry.fate = (enum fault_fate)(1 + below(dice, FATE_COUNT - 1));
    if (fault_takes_number(&entry)) entry.number = 1 + below(dice, 20000);
    return entry;
}

static struct fault_entry draw_fault(struct dice *dice, uint32_t workers) {
    static const enum pay_move moves[] = {PAY_AGAIN, PAY_REDO, PAY_SPLIT, PAY_FENCED, PAY_HALTED, PAY_SESSION_OVER};
    static const int64_t pauses[] = {50, 900, 1500, 2500, 6000, 15000, 40000};
    struct fault_entry entry = {.worker = 1 + below(dice, workers + 1)};
    entry.kind = (enum fault_kind)below(dice, FAULT_KIND_COUNT);
    if (entry.kind == FAULT_FAIL || entry.kind == FAULT_LATE_FAIL) entry.move = moves[below(dice, 6)];
    if (fault_takes_number(&entry)) entry.number = pauses[below(dice, 7)];
    if (entry.kind == FAULT_STALE || entry.kind == FAULT_REDELIVER) entry.number = 1 + below(dice, 5);
    entry.named = one_in(dice, 2);
    entry.name = (enum fault_call)below(dice, CALL_COUNT);
    entry.call = 1 + below(dice, entry.named ? 6 : 150);
    return entry;
}

/* ---- troubles ---- */

/* One that leaves the past as it was, by weight. */
static uint32_t draw_trouble(struct dice *dice) {
    uint32_t sum = 0, name = 0;
    for (size_t i = 0; i < trouble_count; i++) sum += troubles[i].tampers ? 0 : troubles[i].weight;
    for (uint32_t at = below(dice, sum); troubles[name].tampers || at >= troubles[name].weight; name++)
        at -= troubles[name].tampers ? 0 : troubles[name].weight;
    return name;
}

/* One that doesn't; each as often as the others. */
static uint32_t draw_tampering(struct dice *dice) {
    uint32_t count = 0, name = 0;
    for (size_t i = 0; i < trouble_count; i++) count += troubles[i].tampers;
    for (uint32_t at = below(dice, count); !troubles[name].tampers || at > 0; name++) at -= troubles[name].tampers;
    return name;
}

static uint32_t trouble_named(const char *name) {
    const struct trouble *trouble = trouble_find(name, strlen(name));
    assert(trouble != NULL);
    return (uint32_t)(trouble - troubles);
}

/* What brings a state about that chance seldom does. */
static const struct bringer {
    enum sim_state state;
    enum sim_entry_kind kind;
    const char *trouble;     /* of that kind only */
    uint32_t name;           /* of the others */
    enum sim_state wait_for; /* SIM_STATES: a time */
    uint32_t b_least, b_most;
} bringers[] = {
    {STATE_NOBODY, SIM_TROUBLE, "crash", 0, SIM_STATES, 0, 99999},
    {STATE_CONNECTING, SIM_TROUBLE, "database-restart-keeps", 0, SIM_STATES, 1000, 3999},
    {STATE_LEDGER_HALTED, SIM_TROUBLE, "database-failover", 0, STATE_SETTLE_BEGUN, 300, 2999},
    {STATE_LEDGER_HALTED, SIM_TROUBLE, "database-cut", 0, STATE_CONNECTING, 0, 99999},
    {STATE_LEDGER_HALTED, SIM_WORK, NULL, WORK_GARBAGE, SIM_STATES, 0, 99999},
    {STATE_LEDGER_HALTED, SIM_FATE, NULL, FATE_LATE_ACK, STATE_LETTER_DUE, 5, 5},
    {STATE_UNSETTLED, SIM_TROUBLE, "database-restart-keeps", 0, SIM_STATES, 0, 500},
    {STATE_DRAINING, SIM_TROUBLE, "stop", 0, STATE_REPLIES_IN_FLIGHT, 0, 99999},
    {STATE_DRAINING, SIM_TROUBLE, "stop", 0, STATE_SETTLE_BEGUN, 0, 99999},
    {STATE_REVOKING, SIM_TROUBLE, "rebalance", 0, STATE_REPLIES_IN_FLIGHT, 0, 0},
    {STATE_REVOKING, SIM_TROUBLE, "rebalance", 0, STATE_SETTLE_BEGUN, 0, 0},
    {STATE_LANE_HALTED, SIM_TROUBLE, "poison", 0, STATE_SETTLE_BEGUN, 0, 99999},
    {STATE_LANE_HALTED, SIM_TROUBLE, "requests-cut", 0, STATE_IDLE, 0, 99999},
    {STATE_SUSPECTING, SIM_TROUBLE, "leader-change", 0, STATE_REPLIES_IN_FLIGHT, 0, 99999},
    {STATE_SUSPECTING, SIM_TROUBLE, "leader-change", 0, STATE_IDLE, 0, 99999},
    {STATE_SUSPECTING, SIM_TROUBLE, "brokers-trouble", 0, SIM_STATES, 0, 99999},
    {STATE_SUSPECTING, SIM_FATE, NULL, FATE_FATAL, STATE_REPLIES_IN_FLIGHT, 0, 0},
    {STATE_SUSPECTING, SIM_FAULT, NULL, FAULT_STALE, STATE_CLAIM_CHECKS, 4, 4},
    {STATE_SUSPECTING, SIM_FAULT, NULL, FAULT_STALE, STATE_CLAIM_READS, 4, 4},
    {STATE_FENCED_WAITS, SIM_FAULT, NULL, FAULT_FAIL, STATE_SETTLE_FENCED, PAY_FENCED, PAY_FENCED},
    {STATE_FENCED_WAITS, SIM_TROUBLE, "deaf-member", 0, SIM_STATES, 14000, 39999},
    {STATE_CLAIM_WAITS, SIM_TROUBLE, "statement-fails", 0, SIM_STATES, 0, 99999},
    {STATE_CLAIM_LOCKS, SIM_FATE, NULL, FATE_FATAL, STATE_REPLIES_IN_FLIGHT, 0, 0},
    {STATE_CLAIM_READS, SIM_FATE, NULL, FATE_FATAL, STATE_REPLIES_IN_FLIGHT, 0, 0},
    {STATE_CLAIM_CHECKS, SIM_FATE, NULL, FATE_FATAL, STATE_REPLIES_IN_FLIGHT, 0, 0},
    {STATE_CATCHING_UP, SIM_FATE, NULL, FATE_FAIL_LOST, STATE_REPLIES_IN_FLIGHT, 0, 0},
    {STATE_CATCHING_UP, SIM_FATE, NULL, FATE_FATAL, STATE_SETTLE_BEGUN, 0, 0},
    {STATE_SETTLE_FENCED, SIM_FAULT, NULL, FAULT_DELAY, STATE_SETTLE_BEGUN, 0, 0}, /* the server goes on meanwhile */
    {STATE_COMMIT_UNREAD, SIM_FAULT, NULL, FAULT_DELAY, STATE_COMMIT_SENT, 7, 7},
    {STATE_COMMIT_UNREAD, SIM_TROUBLE, "freeze", 0, STATE_COMMIT_SENT, 300, 3000},
    {STATE_LETTER_DUE, SIM_TROUBLE, "dead-letters-hang", 0, SIM_STATES, 500, 9000},
    {STATE_LETTER_DUE, SIM_WORK, NULL, WORK_GARBAGE, SIM_STATES, 0, 99999},
};

/* A slot that a worker is in at the start. */
static uint32_t aim(const struct sim_plan *plan, struct dice *dice, uint32_t a) {
    return a - a % RIG_WORKERS_MAX + below(dice, plan->workers);
}

/* It stands there for a while. */
static void hold(struct sim_plan *plan, struct dice *dice, enum sim_state state, uint32_t from_ms) {
    struct sim_entry *entry = add(plan, dice, SIM_FAULT, from_ms, FAULT_DELAY);
    entry->a = aim(plan, dice, entry->a);
    entry->b = entry->b - entry->b % 7 + 1 + below(dice, 4);
    entry->wait_for = state;
}

static void bring_about(struct sim_plan *plan, struct dice *dice, enum sim_state state, uint32_t until_ms) {
    for (size_t i = 0; i < sizeof bringers / sizeof bringers[0]; i++) {
        const struct bringer *bringer = &bringers[i];
        if (bringer->state != state) continue;
        if (state == STATE_LANE_HALTED && one_in(dice, 2)) continue; /* each of them alone, too */
        uint32_t name = bringer->kind == SIM_TROUBLE ? trouble_named(bringer->trouble) : bringer->name;
        struct sim_entry *entry = add(plan, dice, bringer->kind, below(dice, until_ms), name);
        entry->a = aim(plan, dice, entry->a);
        entry->b = bringer->b_least + below(dice, bringer->b_most - bringer->b_least + 1);
        entry->wait_for = bringer->wait_for;
    }
    for (uint32_t i = below(dice, 3); i > 0; i--) hold(plan, dice, state, one_in(dice, 2) ? 0 : below(dice, until_ms));
    /* the states that come late, or last for seconds, must find something going on */
    for (uint32_t i = below(dice, 4); i > 0; i--) {
        add(plan, dice, SIM_ASK, 10 + below(dice, one_in(dice, 2) ? 1500 : 16000), 0);
        add(plan, dice, SIM_WORK, 10 + below(dice, one_in(dice, 2) ? 1500 : 24000), WORK_PAY);
    }
}

/* What a run is made of. */
struct outline {
    bool is_long;
    uint32_t until_ms;
    enum sim_state theme; /* SIM_STATES: none */
};

static void draw_strike(struct sim_plan *plan, struct dice *dice, const struct outline *outline,
                        enum sim_entry_kind kind, uint32_t name) {
    struct sim_entry *entry = add(plan, dice, kind, below(dice, outline->until_ms), name);
    if (kind != SIM_FATE && !one_in(dice, 4)) entry->a = aim(plan, dice, entry->a);
    if (outline->theme != SIM_STATES && !one_in(dice, 4)) {
        entry->wait_for = outline->theme;
        entry->at_ms = below(dice, 1 + entry->at_ms); /* in time for it */
    } else if (one_in(dice, 3)) {
        entry->wait_for = (enum sim_state)below(dice, SIM_STATES);
    }
}

static void draw_tamperings(struct sim_plan *plan, struct dice *dice, const struct outline *outline) {
    uint32_t name = draw_tampering(dice);
    if (name == trouble_named("database-restore"))
        add(plan, dice, SIM_TROUBLE, below(dice, outline->until_ms / 2), trouble_named("database-backup"));
    draw_strike(plan, dice, outline, SIM_TROUBLE, name);
}

/* Those that fit one kind of call only are tried more often. */
static enum fault_kind draw_kind(struct dice *dice) {
    static const uint8_t choosy[] = {FAULT_STALE, FAULT_REDELIVER, FAULT_LIE, FAULT_LATE_FAIL};
    return one_in(dice, 3) ? (enum fault_kind)choosy[below(dice, sizeof choosy)]
                           : (enum fault_kind)below(dice, FAULT_KIND_COUNT);
}

static void draw_strikes(struct sim_plan *plan, struct dice *dice, const struct outline *outline) {
    bool is_long = outline->is_long;
    if (outline->theme != SIM_STATES) bring_about(plan, dice, outline->theme, outline->until_ms);
    for (uint32_t i = below(dice, is_long ? 14 : 5); i > 0; i--)
        draw_strike(plan, dice, outline, SIM_TROUBLE, draw_trouble(dice));
    if (below(dice, 10) < (outline->theme != SIM_STATES ? 4 : 1)) draw_tamperings(plan, dice, outline);
    for (uint32_t i = below(dice, is_long ? 8 : 4); i > 0; i--)
        draw_strike(plan, dice, outline, SIM_FAULT, draw_kind(dice));
    for (uint32_t i = below(dice, is_long ? 8 : 4); i > 0; i--)
        draw_strike(plan, dice, outline, SIM_FATE, 1 + below(dice, FATE_COUNT - 1));
}

/* ---- the rest ---- */

static enum sim_work draw_work(struct dice *dice) {
    static const uint8_t odd[] = {WORK_STORM, WORK_GARBAGE,  WORK_GARBAGE,       WORK_CONTROL,   WORK_ABORTED,
                                  WORK_OPEN,  WORK_STRANGER, WORK_REPLY_CONTROL, WORK_COMMITTED, WORK_STORM};
    return one_in(dice, 3) ? (enum sim_work)odd[below(dice, sizeof odd)] : WORK_PAY;
}

static void draw_settings(struct sim_plan *plan, struct dice *dice) {
    plan->partitions = 1 + below(dice, 3);
    plan->workers = one_in(dice, 3) ? 1 : 1 + below(dice, RIG_WORKERS_MAX);
    plan->batch_records = 1 + below(dice, 6);
    plan->switch_per_mille = below(dice, 3) * 100;
    plan->database_ms = one_in(dice, 2) ? below(dice, 40) : 1;
    plan->broker_ms = one_in(dice, 2) ? 1 + below(dice, 80) : 1;
    plan->per_request = 1 + below(dice, 4);
    plan->in_flight = one_in(dice, 16) ? 3 : 1;
    plan->intake_in_flight = 1 + below(dice, 4);
    plan->restart_ms = one_in(dice, 2) ? 500 : 1 + below(dice, 5000);
    plan->quiet_ms = one_in(dice, 10) ? 1000 + below(dice, 30000) : 1000;
}

static void draw_traffic(struct sim_plan *plan, struct dice *dice, const struct outline *outline) {
    bool is_long = outline->is_long;
    for (uint32_t i = 2 + below(dice, is_long ? 40 : 8); i > 0; i--)
        add(plan, dice, SIM_WORK, below(dice, outline->until_ms), draw_work(dice));
    for (uint32_t i = below(dice, is_long ? 10 : 4); i > 0; i--)
        add(plan, dice, SIM_ASK, below(dice, outline->until_ms), 0);
    for (uint32_t i = below(dice, 3); i > 0; i--)
        add(plan, dice, SIM_READER, below(dice, outline->until_ms), below(dice, READER_STARTS));
}

/* With one partition everything strikes the lane that the theme is about. */
static enum sim_state draw_theme(struct sim_plan *plan, struct dice *dice) {
    static const uint8_t hard[] = {STATE_LANE_HALTED,   STATE_SUSPECTING,   STATE_LANE_HALTED, STATE_SUSPECTING,
                                   STATE_LEDGER_HALTED, STATE_FENCED_WAITS, STATE_CLAIM_READS, STATE_CLAIM_CHECKS};
    if (one_in(dice, 2)) return SIM_STATES;
    if (one_in(dice, 2)) plan->partitions = 1;
    return one_in(dice, 3) ? (enum sim_state)hard[below(dice, sizeof hard)] : (enum sim_state)below(dice, SIM_STATES);
}

void sim_plan_draw(uint64_t seed, struct sim_plan *ret_plan) {
    struct sim_plan *plan = ret_plan;
    struct dice dice = {.state = sim_mix(seed + 0x632be59bd9b4e019u)};
    memset(plan, 0, sizeof *plan);
    plan->seed = seed;
    draw_settings(plan, &dice);
    struct outline outline = {.is_long = one_in(&dice, 20)};
    outline.until_ms = outline.is_long ? 40000 : 200 + below(&dice, one_in(&dice, 4) ? 20000 : 1500);
    outline.theme = draw_theme(plan, &dice);
    draw_traffic(plan, &dice, &outline);
    for (uint32_t i = below(&dice, outline.is_long ? 8 : 3); i > 0; i--)
        fault_script_add(&plan->script, one_in(&dice, 3) ? draw_fate(&dice) : draw_fault(&dice, plan->workers));
    draw_strikes(plan, &dice, &outline);
}
