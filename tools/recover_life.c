#include "tools/recover_life.h"

#include "core/money.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Looked at for one hole, a second of work at most: beyond it the hole is taken as not explained. */
#define STATES_MAX 32768
#define STEPS_MAX 2000000

void life_begin(struct life *life, const struct adjusted_account *row, struct life_untold *untold,
                size_t untold_count) {
    life->account = row != NULL ? *row : (struct adjusted_account){.state = PAY_ACCOUNT_ACTIVE};
    life->found = row != NULL;
    life->untold = untold;
    life->untold_count = untold_count;
    life->step_count = 0;
    life->why[0] = '\0';
}

void life_free(struct life *life) {
    free(life->steps);
    *life = (struct life){.steps = NULL};
}

static bool contradicts(struct life *life, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool contradicts(struct life *life, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(life->why, sizeof life->why, format, arguments);
    va_end(arguments);
    return false;
}

static struct life_step *add_step(struct life *life) {
    if (life->step_count == life->step_capacity) {
        life->step_capacity = life->step_capacity > 0 ? 2 * life->step_capacity : 64;
        life->steps = realloc(life->steps, life->step_capacity * sizeof *life->steps);
        if (life->steps == NULL) abort();
    }
    life->steps[life->step_count] = (struct life_step){.version = ++life->account.version};
    return &life->steps[life->step_count++];
}

/* What the core decides about this content for the account as it is lived. */
static struct pay_decision judge(const struct adjusted_account *lived, int64_t balance_minor, const char *currency,
                                 int64_t amount_minor) {
    struct pay_record record = {.request = {.attempt = 1, .amount_minor = amount_minor}};
    struct pay_account account = {.found = true,
                                  .state = lived->state,
                                  .balance_minor = balance_minor,
                                  .floor_minor = lived->floor_minor,
                                  .version = lived->version};
    struct pay_answer answer;
    snprintf(record.request.currency, sizeof record.request.currency, "%s", currency);
    snprintf(account.currency, sizeof account.currency, "%s", lived->currency);
    pay_decide(&record, NULL, &account, 0, &answer);
    return answer.decision;
}

/* ---- holes: untold requests ---- */

/* So many of the hole's versions are made up, and the account has this balance then. */
struct state {
    uint32_t count;
    uint32_t before; /* the state that this one continues, with the untold requests begin..last of one partition */
    uint32_t begin, last;
    int64_t balance_minor;
};

struct search {
    struct life *life;
    const struct life_event *event;
    uint32_t hole;
    int64_t steps;
    struct state *states;
    uint32_t state_count;
    uint32_t *seen; /* hash table: state + 1; 0: free */
};

#define SEEN_SLOTS (4 * STATES_MAX)

/* Unless there are too many, or one as good is known. */
static void add_state(struct search *search, const struct state *state) {
    uint64_t hash =
        ((uint64_t)state->balance_minor * 0x9e3779b97f4a7c15u) ^ ((uint64_t)state->count * 0xc2b2ae3d27d4eb4fu);
    hash ^= hash >> 29;
    for (size_t slot = hash % SEEN_SLOTS;; slot = (slot + 1) % SEEN_SLOTS) {
        if (search->seen[slot] == 0) {
            if (search->state_count == STATES_MAX) return;
            search->states[search->state_count] = *state;
            search->seen[slot] = ++search->state_count;
            return;
        }
        const struct state *known = &search->states[search->seen[slot] - 1];
        if (known->count == state->count && known->balance_minor == state->balance_minor) return;
    }
}

/* Could it have been decided in this hole? */
static bool fits(const struct search *search, const struct life_untold *untold) {
    return !untold->used && untold->told_until < search->event->version &&
           untold->appended_at_ms <= search->event->decided_at_ms;
}

/* One more partition: each known state goes on with the first 0, 1, 2.. of its untold requests, in order. */
static void extend(struct search *search, size_t begin, size_t end) {
    const struct life *life = search->life;
    uint32_t known = search->state_count;
    for (uint32_t i = 0; i < known; i++) {
        struct state state = search->states[i];
        state.before = i;
        state.begin = (uint32_t)begin;
        for (size_t j = begin; j < end && state.count < search->hole && search->steps < STEPS_MAX; j++) {
            const struct life_untold *untold = &life->untold[j];
            if (untold->used) continue;
            if (!fits(search, untold)) break;
            search->steps++;
            state.balance_minor =
                judge(&life->account, state.balance_minor, untold->currency, untold->amount_minor).balance_after_minor;
            state.count++;
            state.last = (uint32_t)j;
            add_state(search, &state);
        }
    }
}

/* The state that makes up the hole exactly; else the one that leaves the fewest versions to adjustments, at least `room`. */
static uint32_t best_state(const struct search *search, int64_t wanted_minor, uint32_t room) {
    uint32_t best = 0;
    for (uint32_t i = 0; i < search->state_count; i++) {
        const struct state *state = &search->states[i];
        if (room == 0 && state->count == search->hole && state->balance_minor == wanted_minor) return i;
        uint32_t needs = room + (state->balance_minor != wanted_minor);
        if (state->count + needs <= search->hole && state->count > search->states[best].count) best = i;
    }
    return best;
}

static void take_untold(struct life *life, struct life_untold *untold) {
    struct life_step *step = add_step(life);
    struct adjusted_account before = life->account;
    before.version--; /* judge counts it again */
    struct pay_decision decision = judge(&before, before.balance_minor, untold->currency, untold->amount_minor);
    decision.attempt = untold->attempt;
    decision.position = untold->position;
    untold->used = true;
    step->untold = untold;
    step->decision = decision;
    life->account.balance_minor = decision.balance_after_minor;
}

static void take_chain(struct search *search, uint32_t at) {
    uint32_t *chain = malloc((search->hole + 1) * sizeof *chain), length = 0;
    if (chain == NULL) abort();
    for (; search->states[at].count > 0; at = search->states[at].before) chain[length++] = at;
    while (length > 0) {
        const struct state *state = &search->states[chain[--length]];
        for (uint32_t j = state->begin; j <= state->last; j++)
            if (!search->life->untold[j].used) take_untold(search->life, &search->life->untold[j]);
    }
    free(chain);
}

/* Fills what untold requests explain; `room`: versions that state and floor need anyway. */
static void fill_with_untold(struct life *life, const struct life_event *event, uint32_t hole, int64_t wanted_minor,
                             uint32_t room) {
    struct search search = {.life = life, .event = event, .hole = hole};
    if (life->untold_count == 0 || !life->found) return;
    search.states = malloc(STATES_MAX * sizeof *search.states);
    search.seen = calloc(SEEN_SLOTS, sizeof *search.seen);
    if (search.states == NULL || search.seen == NULL) abort();
    add_state(&search, &(struct state){.balance_minor = life->account.balance_minor});
    for (size_t begin = 0, end; begin < life->untold_count; begin = end) {
        for (end = begin; end < life->untold_count &&
                          life->untold[end].position.partition == life->untold[begin].position.partition;)
            end++;
        extend(&search, begin, end);
    }
    take_chain(&search, best_state(&search, wanted_minor, room));
    free(search.states);
    free(search.seen);
}

/* ---- holes: lost adjustments ---- */

/* What must have happened to the account beside money, so that the event is due. */
struct needs {
    bool state, floor;
    enum pay_account_state to_state;
    int64_t to_floor_minor;
};

static enum pay_account_state state_told_by(const struct life_event *event) {
    if (event->paid) return PAY_ACCOUNT_ACTIVE;
    if (event->reason == PAY_ACCOUNT_CLOSED) return PAY_ACCOUNT_STATE_CLOSED;
    return event->reason == PAY_ACCOUNT_FROZEN ? PAY_ACCOUNT_STATE_FROZEN : PAY_ACCOUNT_ACTIVE;
}

static struct needs needs_of(const struct life *life, const struct life_event *event, int64_t balance_minor) {
    struct needs needs = {.to_state = state_told_by(event), .to_floor_minor = life->account.floor_minor};
    int64_t left = 0;
    bool fits = pay_money_subtract(balance_minor, event->amount_minor, &left);
    needs.state = needs.to_state != life->account.state;
    if (event->paid && left < needs.to_floor_minor) needs.to_floor_minor = left;
    if (!event->paid && event->reason == PAY_INSUFFICIENT_FUNDS && fits && left >= needs.to_floor_minor)
        needs.to_floor_minor = left + 1;
    if (balance_minor < needs.to_floor_minor) needs.to_floor_minor = balance_minor;
    needs.floor = needs.to_floor_minor != life->account.floor_minor;
    return needs;
}

static void adjust(struct life *life, enum adjustment_kind kind, int64_t amount_minor, const char *note) {
    struct life_step *step = add_step(life);
    step->kind = kind;
    step->amount_minor = amount_minor;
    step->note = note;
}

static void adjust_floor(struct life *life, int64_t floor_minor, const char *note) {
    adjust(life, ADJUST_FLOOR, floor_minor, note);
    life->account.floor_minor = floor_minor;
}

static void adjust_money(struct life *life, int64_t balance_minor) {
    int64_t change = balance_minor - life->account.balance_minor;
    adjust(life, change > 0 ? ADJUST_CREDIT : ADJUST_DEBIT, change > 0 ? change : -change,
           "lost with the database; the amount follows from the balance that was told");
    life->account.balance_minor = balance_minor;
}

static void adjust_state(struct life *life, enum pay_account_state state) {
    adjust(life,
           state == PAY_ACCOUNT_STATE_CLOSED   ? ADJUST_CLOSE
           : state == PAY_ACCOUNT_STATE_FROZEN ? ADJUST_FREEZE
                                               : ADJUST_UNFREEZE,
           0, "lost with the database; a decision that was told shows it");
    life->account.state = state;
}

static const char told_floor[] = "lost with the database; a decision that was told shows it, not its exact amount";

/* Money before the state, because a closed account takes none in; the floor never above the balance. */
static void make_adjustments(struct life *life, const struct needs *needs, int64_t balance_minor) {
    bool floor_first = needs->floor && needs->to_floor_minor < life->account.floor_minor;
    if (floor_first) adjust_floor(life, needs->to_floor_minor, told_floor);
    if (balance_minor != life->account.balance_minor) adjust_money(life, balance_minor);
    if (needs->floor && !floor_first) adjust_floor(life, needs->to_floor_minor, told_floor);
    if (needs->state) adjust_state(life, needs->to_state);
}

/* An account whose opening is lost: version 1 opens it with what it had. */
static bool open_account(struct life *life, const struct life_event *event, int64_t balance_minor) {
    if (!event->paid && event->reason != PAY_INSUFFICIENT_FUNDS)
        return contradicts(life, "the database has no such account and nothing told says its currency; open it by hand "
                                 "(paybuf account open) and run this again");
    snprintf(life->account.currency, sizeof life->account.currency, "%s", event->currency);
    life->account.balance_minor = balance_minor > 0 ? balance_minor : 0;
    life->found = true;
    adjust(life, ADJUST_OPEN, life->account.balance_minor,
           "lost with the database; the amount follows from the balance that was told");
    return true;
}

static bool fill_hole(struct life *life, const struct life_event *event, int64_t balance_minor) {
    int64_t until = event->version - 1, change;
    if (!pay_money_subtract(balance_minor, life->account.balance_minor, &change))
        return contradicts(life, "version %" PRId64 ": its balance can't be kept in 64 bits", event->version);
    if (until - life->account.version > LIFE_HOLE_MAX)
        return contradicts(life, "%" PRId64 " events are missing before version %" PRId64 ", more than can be untold",
                           until - life->account.version, event->version);
    if (!life->found && until > life->account.version && !open_account(life, event, balance_minor)) return false;
    struct needs needs = needs_of(life, event, balance_minor);
    uint32_t hole = (uint32_t)(until - life->account.version);
    if (hole > 0) fill_with_untold(life, event, hole, balance_minor, (uint32_t)needs.state + needs.floor);
    needs = needs_of(life, event, balance_minor);
    int64_t wants = needs.state + needs.floor + (balance_minor != life->account.balance_minor);
    int64_t room = until - life->account.version;
    if (life->account.state == PAY_ACCOUNT_STATE_CLOSED && (needs.state || balance_minor > life->account.balance_minor))
        return contradicts(life,
                           "the account is closed here, and the decision that was told at version %" PRId64
                           " was made while it was open",
                           event->version);
    if (wants > room)
        return contradicts(life,
                           "version %" PRId64 ": told with balance %" PRId64 " before it, here it is %" PRId64
                           "; %" PRId64 " lost event%s can't explain that",
                           event->version, balance_minor, life->account.balance_minor, room, room == 1 ? "" : "s");
    make_adjustments(life, &needs, balance_minor);
    while (life->account.version < until)
        adjust_floor(life, life->account.floor_minor, "an event that is lost with the database and left no trace");
    return true;
}

/* ---- events ---- */

static bool is_due(struct life *life, const struct life_event *event) {
    if (!life->found)
        return contradicts(life, "version %" PRId64 " was told, and the account has no opening", event->version);
    struct pay_decision due = judge(&life->account, life->account.balance_minor, event->currency, event->amount_minor);
    if ((due.outcome == PAY_PAID) == event->paid && (event->paid || due.reason == event->reason)) return true;
    const char *told = event->paid ? "paid" : pay_reason_name(event->reason);
    return contradicts(life, "version %" PRId64 ": %s was told, and %s is due", event->version, told,
                       due.outcome == PAY_PAID ? "paid" : pay_reason_name(due.reason));
}

bool life_take(struct life *life, const struct life_event *event) {
    int64_t before = event->balance_after_minor;
    bool follows = true;
    life->step_count = 0;
    life->why[0] = '\0';
    if (event->version <= life->account.version)
        return contradicts(life,
                           "version %" PRId64 " was told as a decision that the database doesn't have, and it has "
                           "another event there: was the account changed after the database came back?",
                           event->version);
    if (event->paid && !pay_money_add(before, event->amount_minor, &before))
        follows = contradicts(life, "version %" PRId64 ": its balance can't be kept in 64 bits", event->version);
    follows = follows && fill_hole(life, event, before) && is_due(life, event);
    life->account.version = event->version;
    life->account.balance_minor = event->balance_after_minor;
    return follows;
}
