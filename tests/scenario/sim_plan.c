#include "sim_plan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t sim_mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t sim_number(uint32_t a, uint32_t b, uint32_t n) {
    return (uint32_t)(sim_mix(((uint64_t)a << 32 | b) + 0x9e3779b97f4a7c15u * (n + 1)) >> 32);
}

/* ---- names ---- */

static const char *const work_names[WORK_KINDS] = {
    [WORK_PAY] = "pay",         [WORK_STORM] = "storm",       [WORK_GARBAGE] = "garbage",
    [WORK_CONTROL] = "control", [WORK_ABORTED] = "aborted",   [WORK_COMMITTED] = "committed",
    [WORK_OPEN] = "open",       [WORK_STRANGER] = "stranger", [WORK_REPLY_CONTROL] = "reply-control",
};
static const char *const start_names[READER_STARTS] = {"from-0", "from-middle", "from-end"};

static uint32_t name_count(enum sim_entry_kind kind) {
    switch (kind) {
    case SIM_WORK: return WORK_KINDS;
    case SIM_READER: return READER_STARTS;
    case SIM_TROUBLE: return (uint32_t)trouble_count;
    case SIM_FAULT: return FAULT_KIND_COUNT;
    case SIM_FATE: return FATE_COUNT;
    default: return 1;
    }
}

static const char *entry_name(enum sim_entry_kind kind, uint32_t name) {
    switch (kind) {
    case SIM_WORK: return work_names[name];
    case SIM_READER: return start_names[name];
    case SIM_TROUBLE: return troubles[name].name;
    case SIM_FAULT: return fault_kind_name((enum fault_kind)name);
    case SIM_FATE: return fault_fate_name((enum fault_fate)name);
    default: return "ask";
    }
}

static const char *const list_names[SIM_ENTRY_KINDS] = {
    [SIM_WORK] = "work",        [SIM_ASK] = "asks",     [SIM_READER] = "readers",
    [SIM_TROUBLE] = "troubles", [SIM_FAULT] = "faults", [SIM_FATE] = "fates"};

static bool can_wait(enum sim_entry_kind kind) { return kind == SIM_TROUBLE || kind == SIM_FAULT || kind == SIM_FATE; }

/* The settings, as print, parse and minimize see them. */
static const struct setting {
    const char *name;
    size_t offset;
    uint32_t least, most;
} settings[] = {
    {"partitions", offsetof(struct sim_plan, partitions), 1, FAKE_PARTITIONS_MAX},
    {"workers", offsetof(struct sim_plan, workers), 1, RIG_WORKERS_MAX},
    {"batch", offsetof(struct sim_plan, batch_records), 1, 64},
    {"switch", offsetof(struct sim_plan, switch_per_mille), 0, 1000},
    {"database-ms", offsetof(struct sim_plan, database_ms), 0, 10000},
    {"broker-ms", offsetof(struct sim_plan, broker_ms), 0, 10000},
    {"per-request", offsetof(struct sim_plan, per_request), 1, FAKE_REQUEST_RECORDS_MAX},
    {"in-flight", offsetof(struct sim_plan, in_flight), 1, 5},
    {"intake-in-flight", offsetof(struct sim_plan, intake_in_flight), 1, 5},
    {"restart-ms", offsetof(struct sim_plan, restart_ms), 1, 100000},
    {"quiet-ms", offsetof(struct sim_plan, quiet_ms), 0, 1000000},
};
#define SETTINGS (sizeof settings / sizeof settings[0])

static uint32_t *setting_of(struct sim_plan *plan, const struct setting *setting) {
    return (uint32_t *)(void *)((char *)plan + setting->offset);
}

/* ---- text ---- */

static void print_entry(const struct sim_entry *entry, char text[96]) {
    char state[32] = "";
    if (entry->wait_for != SIM_STATES) snprintf(state, sizeof state, "@%s", sim_state_name(entry->wait_for));
    snprintf(text, 96, "%u%s:%s/%u/%u", entry->at_ms, state, entry_name(entry->kind, entry->name), entry->a, entry->b);
}

void sim_plan_print(const struct sim_plan *plan, char text[SIM_PLAN_TEXT_MAX]) {
    struct sim_plan copy = *plan;
    char script[FAULT_TEXT_MAX], one[96];
    size_t used = (size_t)snprintf(text, SIM_PLAN_TEXT_MAX, "seed=%llu", (unsigned long long)plan->seed);
    for (size_t i = 0; i < SETTINGS; i++)
        used += (size_t)snprintf(text + used, SIM_PLAN_TEXT_MAX - used, " %s=%u", settings[i].name,
                                 *setting_of(&copy, &settings[i]));
    fault_script_format(&plan->script, script);
    used += (size_t)snprintf(text + used, SIM_PLAN_TEXT_MAX - used, " script=%s", script);
    for (enum sim_entry_kind kind = 0; kind < SIM_ENTRY_KINDS; kind++) {
        const char *before = "";
        used += (size_t)snprintf(text + used, SIM_PLAN_TEXT_MAX - used, " %s=", list_names[kind]);
        for (uint32_t i = 0; i < plan->entry_count; i++) {
            if (plan->entries[i].kind != kind) continue;
            print_entry(&plan->entries[i], one);
            used += (size_t)snprintf(text + used, SIM_PLAN_TEXT_MAX - used, "%s%s", before, one);
            before = ",";
        }
    }
    assert(used < SIM_PLAN_TEXT_MAX);
}

/* A number up to one of the characters of `ends`; NULL: there is none. */
static const char *parse_number(const char *text, const char *ends, uint32_t *ret_number) {
    char *end;
    if (*text < '0' || *text > '9') return NULL;
    unsigned long long number = strtoull(text, &end, 10);
    if (number > UINT32_MAX || (*end != '\0' && strchr(ends, *end) == NULL)) return NULL;
    *ret_number = (uint32_t)number;
    return end;
}

static bool find_entry_name(struct sim_entry *entry, const char *text, size_t length) {
    for (entry->name = 0; entry->name < name_count(entry->kind); entry->name++) {
        const char *name = entry_name(entry->kind, entry->name);
        if (strlen(name) == length && memcmp(name, text, length) == 0) return true;
    }
    return false;
}

/* "300@commit-sent:crash/1/0" up to a comma or a space. Answers what follows; NULL: no entry. */
static const char *parse_entry(const char *text, struct sim_entry *entry) {
    text = parse_number(text, "@:", &entry->at_ms);
    entry->wait_for = SIM_STATES;
    if (text != NULL && *text == '@') {
        size_t length = strcspn(text + 1, ": ");
        if (!can_wait(entry->kind) || !sim_state_find(text + 1, length, &entry->wait_for)) return NULL;
        text += 1 + length;
    }
    if (text == NULL || *text != ':') return NULL;
    size_t length = strcspn(++text, "/ ");
    if (!find_entry_name(entry, text, length) || text[length] != '/') return NULL;
    text = parse_number(text + length + 1, "/", &entry->a);
    if (text == NULL || *text != '/') return NULL;
    return parse_number(text + 1, ", ", &entry->b);
}

static bool parse_list(struct sim_plan *plan, enum sim_entry_kind kind, const char *text, const char **ret_end) {
    while (*text != '\0' && *text != ' ') {
        *ret_end = text;
        if (plan->entry_count == SIM_ENTRIES_MAX) return false;
        struct sim_entry *entry = &plan->entries[plan->entry_count];
        entry->kind = kind;
        text = parse_entry(text, entry);
        if (text == NULL) return false;
        plan->entry_count++;
        if (*text == ',') text++;
    }
    *ret_end = text;
    return true;
}

static bool parse_script(struct sim_plan *plan, const char *text, const char **ret_end) {
    char script[FAULT_TEXT_MAX];
    size_t length = strcspn(text, " ");
    *ret_end = text + length;
    if (length >= sizeof script) return false;
    memcpy(script, text, length);
    script[length] = '\0';
    return fault_script_parse(script, &plan->script);
}

static bool parse_seed(struct sim_plan *plan, const char *text, const char **ret_end) {
    char *end;
    plan->seed = strtoull(text, &end, 10);
    *ret_end = end;
    return end != text;
}

static bool is_word(const char *text, size_t length, const char *word) {
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

static bool parse_value(struct sim_plan *plan, const char *word, size_t length, const char *value,
                        const char **ret_end) {
    if (is_word(word, length, "seed")) return parse_seed(plan, value, ret_end);
    if (is_word(word, length, "script")) return parse_script(plan, value, ret_end);
    for (enum sim_entry_kind kind = 0; kind < SIM_ENTRY_KINDS; kind++) {
        if (is_word(word, length, list_names[kind])) return parse_list(plan, kind, value, ret_end);
    }
    for (size_t i = 0; i < SETTINGS; i++) {
        if (!is_word(word, length, settings[i].name)) continue;
        uint32_t *number = setting_of(plan, &settings[i]);
        *ret_end = parse_number(value, " ", number);
        return *ret_end != NULL && *number >= settings[i].least && *number <= settings[i].most;
    }
    return false;
}

bool sim_plan_parse(const char *text, struct sim_plan *ret_plan, const char **ret_wrong) {
    struct sim_plan plan = {.partitions = 1,
                            .workers = 1,
                            .batch_records = 4,
                            .database_ms = 1,
                            .broker_ms = 1,
                            .per_request = 3,
                            .in_flight = 1,
                            .intake_in_flight = 3,
                            .restart_ms = 500,
                            .quiet_ms = 3000};
    while (*text != '\0') {
        size_t length = strcspn(text, "= ");
        const char *end = NULL;
        *ret_wrong = text;
        if (text[length] != '=' || !parse_value(&plan, text, length, text + length + 1, &end)) return false;
        if (*end != '\0' && *end != ' ') return false;
        text = end + strspn(end, " ");
    }
    *ret_plan = plan;
    return true;
}
