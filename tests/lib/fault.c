#include "fault.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOVE(m) (1u << (m))

static const struct {
    const char *name;
    unsigned moves;
} call_table[CALL_COUNT] = {
    [CALL_CONNECT] = {"connect", MOVE(PAY_AGAIN) | MOVE(PAY_REFUSE)},
    [CALL_READ_LEDGER] = {"read_ledger", MOVE(PAY_AGAIN) | MOVE(PAY_SESSION_OVER)},
    [CALL_READ_ROWS] = {"read_rows", MOVE(PAY_AGAIN) | MOVE(PAY_SESSION_OVER)},
    [CALL_ADOPT] = {"adopt", MOVE(PAY_AGAIN) | MOVE(PAY_SESSION_OVER)},
    [CALL_HALT_LEDGER] = {"halt_ledger", MOVE(PAY_AGAIN) | MOVE(PAY_SESSION_OVER)},
    [CALL_CLAIM] = {"claim", MOVE(PAY_AGAIN) | MOVE(PAY_SESSION_OVER)},
    [CALL_CREATE_ROW] = {"create_row", MOVE(PAY_AGAIN) | MOVE(PAY_SESSION_OVER)},
    [CALL_HALT_LANE] = {"halt_lane", MOVE(PAY_AGAIN) | MOVE(PAY_SESSION_OVER)},
    [CALL_LOOK_UP] = {"look_up", MOVE(PAY_AGAIN) | MOVE(PAY_SPLIT) | MOVE(PAY_SESSION_OVER)},
    [CALL_SETTLE_BEGIN] = {"settle_begin", MOVE(PAY_SESSION_OVER)},
    [CALL_SETTLE_READ] = {"settle_read", MOVE(PAY_REDO) | MOVE(PAY_SPLIT) | MOVE(PAY_FENCED) | MOVE(PAY_HALTED) |
                                             MOVE(PAY_SESSION_OVER)},
    [CALL_SETTLE_WRITE] = {"settle_write", MOVE(PAY_REDO) | MOVE(PAY_SESSION_OVER)},
    [CALL_SETTLE_END] = {"settle_end", MOVE(PAY_REDO) | MOVE(PAY_SPLIT) | MOVE(PAY_SESSION_OVER)},
    [CALL_SETTLE_ABANDON] = {"settle_abandon", 0},
    [CALL_OPEN] = {"open", MOVE(PAY_AGAIN) | MOVE(PAY_REFUSE)},
    [CALL_NEXT_EVENT] = {"next_event", 0},
    [CALL_CONFIRM_REVOKED] = {"confirm_revoked", 0},
    [CALL_FETCH] = {"fetch", MOVE(PAY_AGAIN)},
    [CALL_STOP_FETCH] = {"stop_fetch", 0},
    [CALL_NEXT_RECORD] = {"next_record", 0},
    [CALL_REQUEST_BOUNDS] = {"request_bounds", MOVE(PAY_AGAIN)},
    [CALL_REPLY_BOUNDS] = {"reply_bounds", MOVE(PAY_AGAIN)},
    [CALL_READ_REPLIES] = {"read_replies", MOVE(PAY_AGAIN)},
    [CALL_READ_ANCHOR] = {"read_anchor", MOVE(PAY_AGAIN)},
    [CALL_OPEN_PUBLISHER] = {"open_publisher", MOVE(PAY_AGAIN)},
    [CALL_CLOSE_PUBLISHER] = {"close_publisher", 0},
    [CALL_PUBLISH] = {"publish", MOVE(PAY_AGAIN) | MOVE(PAY_SESSION_OVER)},
    [CALL_DEAD_LETTER] = {"dead_letter", MOVE(PAY_AGAIN) | MOVE(PAY_SPLIT) | MOVE(PAY_SESSION_OVER)},
    [CALL_RESET_DEAD_LETTERS] = {"reset_dead_letters", 0},
    [CALL_NEXT_REPORT] = {"next_report", 0},
};

static const char *const kind_names[FAULT_KIND_COUNT] = {
    [FAULT_FAIL] = "fail",
    [FAULT_LATE_FAIL] = "late-fail",
    [FAULT_DELAY] = "delay",
    [FAULT_CRASH_BEFORE] = "crash-before",
    [FAULT_CRASH_AFTER] = "crash-after",
    [FAULT_FREEZE_BEFORE] = "freeze-before",
    [FAULT_FREEZE_AFTER] = "freeze-after",
    [FAULT_STALE] = "stale",
    [FAULT_REDELIVER] = "redeliver",
    [FAULT_LIE] = "lie",
};

static const char *const fate_names[FATE_COUNT] = {
    [FATE_OK] = "ok",
    [FATE_REFUSE] = "refuse",
    [FATE_LOST] = "lost",
    [FATE_LOST_ACK] = "lost-ack",
    [FATE_LOST_ACK_NO_STATE] = "lost-ack-no-state",
    [FATE_LATE] = "late",
    [FATE_LATE_ACK] = "late-ack",
    [FATE_FAIL_KEPT] = "fail-kept",
    [FATE_FAIL_LOST] = "fail-lost",
    [FATE_LIE] = "lie",
    [FATE_LIE_KEPT] = "lie-kept",
    [FATE_FATAL] = "fatal",
    [FATE_TRUNCATED] = "truncated",
};

static const char *const move_names[] = {"OK", "AGAIN", "REDO", "SPLIT", "FENCED", "HALTED", "SESSION_OVER", "REFUSE"};
#define MOVE_COUNT (sizeof move_names / sizeof move_names[0])

const char *fault_call_name(enum fault_call call) {
    assert(call < CALL_COUNT);
    return call_table[call].name;
}

const char *fault_kind_name(enum fault_kind kind) { return kind_names[kind]; }
const char *fault_fate_name(enum fault_fate fate) { return fate_names[fate]; }

const char *fault_move_name(enum pay_move move) {
    assert((size_t)move < MOVE_COUNT);
    return move_names[move];
}

unsigned fault_call_moves(enum fault_call call) {
    assert(call < CALL_COUNT);
    return call_table[call].moves;
}

void fault_script_add(struct fault_script *script, struct fault_entry entry) {
    assert(script->count < FAULT_ENTRIES_MAX);
    script->entries[script->count++] = entry;
}

static bool takes_move(const struct fault_entry *entry) {
    return !entry->produce && (entry->kind == FAULT_FAIL || entry->kind == FAULT_LATE_FAIL);
}

bool fault_takes_number(const struct fault_entry *entry) {
    if (entry->produce) return entry->fate == FATE_LATE || entry->fate == FATE_LATE_ACK;
    return entry->kind == FAULT_DELAY || entry->kind == FAULT_FREEZE_BEFORE || entry->kind == FAULT_FREEZE_AFTER ||
           entry->kind == FAULT_STALE || entry->kind == FAULT_REDELIVER;
}

static bool find_name(const char *const *names, size_t count, const char *text, size_t length, size_t *ret_index) {
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) == length && memcmp(names[i], text, length) == 0) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

/* "17" or "claim#2", up to the colon. */
static const char *parse_call(const char *text, struct fault_entry *entry) {
    size_t length = strcspn(text, "#:");
    char *end;
    for (int call = 0; text[length] == '#' && call < CALL_COUNT; call++) {
        if (strlen(call_table[call].name) != length || memcmp(call_table[call].name, text, length) != 0) continue;
        entry->named = true;
        entry->name = (enum fault_call)call;
    }
    if (text[length] == '#' && !entry->named) return NULL;
    entry->call = (uint32_t)strtoul(entry->named ? text + length + 1 : text, &end, 10);
    return *end == ':' && entry->call > 0 ? end + 1 : NULL;
}

/* "w1.17", "w1.claim#2" or "p3"; answers what follows the colon, NULL when it isn't one. */
static const char *parse_place(const char *text, struct fault_entry *entry) {
    char *end;
    entry->produce = *text == 'p';
    if (entry->produce) return parse_call(text + 1, entry);
    if (*text != 'w') return NULL;
    entry->worker = (uint32_t)strtoul(text + 1, &end, 10);
    return *end == '.' ? parse_call(end + 1, entry) : NULL;
}

static bool parse_entry(const char *text, size_t length, struct fault_entry *entry) {
    memset(entry, 0, sizeof *entry);
    const char *end = text + length;
    const char *name = parse_place(text, entry);
    if (name == NULL || name > end) return false;
    const char *equals = memchr(name, '=', (size_t)(end - name));
    size_t name_length = (size_t)((equals != NULL ? equals : end) - name), index;
    if (!find_name(entry->produce ? fate_names : kind_names,
                   entry->produce ? (size_t)FATE_COUNT : (size_t)FAULT_KIND_COUNT, name, name_length, &index))
        return false;
    if (entry->produce)
        entry->fate = (enum fault_fate)index;
    else
        entry->kind = (enum fault_kind)index;
    if (takes_move(entry) && equals != NULL) {
        if (!find_name(move_names, MOVE_COUNT, equals + 1, (size_t)(end - equals - 1), &index)) return false;
        entry->move = (enum pay_move)index;
    } else if (fault_takes_number(entry)) {
        if (equals == NULL) return false;
        entry->number = strtoll(equals + 1, NULL, 10);
    }
    return true;
}

bool fault_script_parse(const char *text, struct fault_script *ret_script) {
    struct fault_script script = {.count = 0};
    while (*text != '\0') {
        size_t length = strcspn(text, ",");
        if (script.count == FAULT_ENTRIES_MAX || !parse_entry(text, length, &script.entries[script.count]))
            return false;
        script.count++;
        text += length;
        if (*text == ',') text++;
    }
    *ret_script = script;
    return true;
}

void fault_script_format(const struct fault_script *script, char text[FAULT_TEXT_MAX]) {
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < script->count; i++) {
        const struct fault_entry *e = &script->entries[i];
        char place[64], argument[32] = "";
        if (e->produce)
            snprintf(place, sizeof place, "p%u", e->call);
        else if (e->named)
            snprintf(place, sizeof place, "w%u.%s#%u", e->worker, fault_call_name(e->name), e->call);
        else
            snprintf(place, sizeof place, "w%u.%u", e->worker, e->call);
        if (takes_move(e) && e->move != PAY_OK)
            snprintf(argument, sizeof argument, "=%s", fault_move_name(e->move));
        else if (fault_takes_number(e))
            snprintf(argument, sizeof argument, "=%lld", (long long)e->number);
        int wrote = snprintf(text + used, FAULT_TEXT_MAX - used, "%s%s:%s%s", i > 0 ? "," : "", place,
                             e->produce ? fate_names[e->fate] : kind_names[e->kind], argument);
        used += (size_t)wrote;
        assert(used < FAULT_TEXT_MAX);
    }
}

/* A list with room that drops what doesn't fit. */
struct entry_list {
    struct fault_entry *entries;
    uint32_t count, capacity;
};

static void list_add(struct entry_list *list, enum fault_kind kind, enum pay_move move, int64_t number) {
    if (list->count == list->capacity) return;
    list->entries[list->count++] = (struct fault_entry){.kind = kind, .move = move, .number = number};
}

/* Calls whose effect can be done although their answer says otherwise. */
static bool can_fail_late(enum fault_call call, enum pay_move move) {
    switch (call) {
    case CALL_ADOPT:
    case CALL_HALT_LEDGER:
    case CALL_CLAIM:
    case CALL_CREATE_ROW:
    case CALL_HALT_LANE:
    case CALL_SETTLE_WRITE:
    case CALL_SETTLE_END: return move == PAY_SESSION_OVER;
    case CALL_FETCH:
    case CALL_OPEN_PUBLISHER: return move == PAY_AGAIN;
    default: return false;
    }
}

uint32_t fault_kinds_of(enum fault_call call, struct fault_entry *ret_entries, uint32_t capacity) {
    struct entry_list list = {.entries = ret_entries, .capacity = capacity};
    for (enum pay_move move = PAY_AGAIN; (size_t)move < MOVE_COUNT; move++) {
        if ((fault_call_moves(call) & MOVE(move)) == 0) continue;
        list_add(&list, FAULT_FAIL, move, 0);
        if (can_fail_late(call, move)) list_add(&list, FAULT_LATE_FAIL, move, 0);
    }
    list_add(&list, FAULT_CRASH_BEFORE, PAY_OK, 0);
    list_add(&list, FAULT_CRASH_AFTER, PAY_OK, 0);
    list_add(&list, FAULT_DELAY, PAY_OK, 1500);
    list_add(&list, FAULT_FREEZE_BEFORE, PAY_OK, 2500);  /* past the server's patience, not past the group's */
    list_add(&list, FAULT_FREEZE_BEFORE, PAY_OK, 15000); /* past both */
    list_add(&list, FAULT_FREEZE_AFTER, PAY_OK, 15000);
    if (call == CALL_REQUEST_BOUNDS || call == CALL_REPLY_BOUNDS) list_add(&list, FAULT_STALE, PAY_OK, 2);
    if (call == CALL_NEXT_RECORD) list_add(&list, FAULT_REDELIVER, PAY_OK, 2);
    if (call == CALL_NEXT_REPORT) {
        list_add(&list, FAULT_FAIL, PAY_OK, 0);
        list_add(&list, FAULT_LIE, PAY_OK, 0);
    }
    return list.count;
}

void fault_init(struct fault *fault, struct fake_clock *clock, const struct fault_script *script, uint32_t worker) {
    memset(fault, 0, sizeof *fault);
    fault->clock = clock;
    fault->script = script;
    fault->worker = worker;
    fault->at = CALL_COUNT;
}

void fault_free(struct fault *fault) {
    free(fault->seen);
    fault->seen = NULL;
    fault->seen_capacity = 0;
}

static void remember(struct fault *fault, enum fault_call call) {
    if (fault->calls == fault->seen_capacity) {
        fault->seen_capacity = fault->seen_capacity == 0 ? 256 : 2 * fault->seen_capacity;
        fault->seen = realloc(fault->seen, fault->seen_capacity);
        assert(fault->seen != NULL);
    }
    fault->seen[fault->calls++] = (uint8_t)call;
    fault->calls_of[call]++;
}

bool fault_fits(const struct fault_entry *entry, enum fault_call call) {
    switch (entry->kind) {
    case FAULT_FAIL: return call == CALL_NEXT_REPORT || (fault_call_moves(call) & MOVE(entry->move)) != 0;
    case FAULT_LATE_FAIL: return (fault_call_moves(call) & MOVE(entry->move)) != 0 && can_fail_late(call, entry->move);
    case FAULT_STALE: return call == CALL_REQUEST_BOUNDS || call == CALL_REPLY_BOUNDS;
    case FAULT_REDELIVER: return call == CALL_NEXT_RECORD;
    case FAULT_LIE: return call == CALL_NEXT_REPORT;
    default: return true;
    }
}

static bool is_due(const struct fault *fault, const struct fault_entry *entry, enum fault_call call) {
    if (entry->produce || entry->worker != fault->worker) return false;
    return entry->named ? entry->name == call && entry->call == fault->calls_of[call] : entry->call == fault->calls;
}

static const struct fault_entry *find_entry(const struct fault *fault, enum fault_call call) {
    for (uint32_t i = 0; fault->script != NULL && i < fault->script->count; i++) {
        const struct fault_entry *entry = &fault->script->entries[i];
        if (is_due(fault, entry, call) && fault_fits(entry, call)) return entry;
    }
    return NULL;
}

static void stand_still(struct fault *fault, int64_t ms, bool frozen) {
    if (fault->pause != NULL)
        fault->pause(fault->argument, ms, frozen);
    else
        fake_clock_advance_ms(fault->clock, ms);
}

static void crash(struct fault *fault) {
    if (fault->crash != NULL) fault->crash(fault->argument);
    abort();
}

void fault_pause(struct fault *fault, int64_t ms) { stand_still(fault, ms, false); }

const struct fault_entry *fault_enter(struct fault *fault, enum fault_call call) {
    remember(fault, call);
    fault->at = call;
    fault->answered = PAY_OK;
    fault_note(fault, -1, 0);
    if (fault->before_call != NULL) fault->before_call(fault->argument, call);
    fault->now = find_entry(fault, call);
    if (fault->now == NULL && fault->choose != NULL) fault->now = fault->choose(fault->argument, call);
    if (fault->now == NULL) return NULL;
    trace_event(fault->trace, TRACE_FAULT, fault->worker, fault->now->kind, call, fault->calls, fault->now->number);
    if (fault->now->kind == FAULT_CRASH_BEFORE) crash(fault);
    if (fault->now->kind == FAULT_FREEZE_BEFORE) stand_still(fault, fault->now->number, true);
    if (fault->now->kind == FAULT_DELAY) stand_still(fault, fault->now->number, false);
    return fault->now;
}

void fault_leave(struct fault *fault) {
    const struct fault_entry *now = fault->now;
    trace_event(fault->trace, TRACE_CALL, fault->worker, fault->at, fault->answered, fault->partition, fault->about);
    fault->now = NULL;
    fault->at = CALL_COUNT;
    if (now == NULL) return;
    if (now->kind == FAULT_CRASH_AFTER) crash(fault);
    if (now->kind == FAULT_FREEZE_AFTER) stand_still(fault, now->number, true);
}

enum pay_move fault_wanted(const struct fault_entry *entry, bool late) {
    if (entry == NULL || entry->kind != (late ? FAULT_LATE_FAIL : FAULT_FAIL)) return PAY_OK;
    return entry->move;
}

enum pay_move fault_error(struct pay_error *error, enum pay_move move, const char *code, const char *text) {
    if (error != NULL && move != PAY_OK) {
        error->move = move;
        snprintf(error->code, sizeof error->code, "%s", code);
        snprintf(error->text, sizeof error->text, "%s", text);
    }
    return move;
}

struct fault_entry fault_fate(const struct fault_script *script, uint32_t number) {
    for (uint32_t i = 0; script != NULL && i < script->count; i++) {
        if (script->entries[i].produce && script->entries[i].call == number) return script->entries[i];
    }
    return (struct fault_entry){.produce = true, .call = number, .fate = FATE_OK};
}

void fault_complain(struct fault_complaints *complaints, const char *format, ...) {
    if (complaints->count < FAULT_COMPLAINTS_MAX) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(complaints->text[complaints->count], sizeof complaints->text[0], format, arguments);
        va_end(arguments);
    }
    complaints->count++;
}
