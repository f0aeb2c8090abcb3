#include "sim_minimize.h"

#include <string.h>

struct shrinking {
    struct sim_plan *plan;
    uint32_t tries, tries_max;
    bool (*fails)(void *argument, const struct sim_plan *plan);
    void *argument;
};

/* Keeps the smaller plan if it fails too. */
static bool try_plan(struct shrinking *shrinking, const struct sim_plan *smaller) {
    if (shrinking->tries == shrinking->tries_max) return false;
    shrinking->tries++;
    if (!shrinking->fails(shrinking->argument, smaller)) return false;
    *shrinking->plan = *smaller;
    return true;
}

static bool drop_entries(struct shrinking *shrinking, uint32_t from, uint32_t count) {
    struct sim_plan smaller = *shrinking->plan;
    smaller.entry_count -= count;
    memmove(&smaller.entries[from], &smaller.entries[from + count],
            (smaller.entry_count - from) * sizeof smaller.entries[0]);
    return try_plan(shrinking, &smaller);
}

static bool drop_many(struct shrinking *shrinking) {
    bool dropped = false;
    for (uint32_t many = shrinking->plan->entry_count; many > 0; many /= 2) {
        for (uint32_t from = 0; from + many <= shrinking->plan->entry_count;) {
            if (drop_entries(shrinking, from, many))
                dropped = true;
            else
                from += many;
        }
    }
    return dropped;
}

static bool drop_faults(struct shrinking *shrinking) {
    bool dropped = false;
    for (uint32_t i = 0; i < shrinking->plan->script.count;) {
        struct sim_plan smaller = *shrinking->plan;
        struct fault_script *script = &smaller.script;
        script->count--;
        memmove(&script->entries[i], &script->entries[i + 1], (script->count - i) * sizeof script->entries[0]);
        if (try_plan(shrinking, &smaller))
            dropped = true;
        else
            i++;
    }
    return dropped;
}

static bool make_plainer(struct shrinking *shrinking, uint32_t *setting, uint32_t plain) {
    uint32_t before = *setting;
    if (before == plain) return false;
    struct sim_plan smaller = *shrinking->plan;
    uint32_t *same = (uint32_t *)(void *)((char *)&smaller + ((char *)setting - (char *)shrinking->plan));
    *same = plain;
    return try_plan(shrinking, &smaller);
}

static bool make_settings_plainer(struct shrinking *shrinking) {
    struct sim_plan *plan = shrinking->plan;
    bool changed = false;
    while (plan->workers > 1 && make_plainer(shrinking, &plan->workers, plan->workers - 1)) changed = true;
    while (plan->partitions > 1 && make_plainer(shrinking, &plan->partitions, plan->partitions - 1)) changed = true;
    changed |= make_plainer(shrinking, &plan->switch_per_mille, 0);
    changed |= make_plainer(shrinking, &plan->in_flight, 1);
    changed |= make_plainer(shrinking, &plan->intake_in_flight, 1);
    changed |= make_plainer(shrinking, &plan->database_ms, 1);
    changed |= make_plainer(shrinking, &plan->broker_ms, 1);
    changed |= make_plainer(shrinking, &plan->per_request, 1);
    changed |= make_plainer(shrinking, &plan->batch_records, 1);
    changed |= make_plainer(shrinking, &plan->quiet_ms, 0);
    return changed;
}

uint32_t sim_minimize(struct sim_plan *plan, uint32_t tries_max,
                      bool (*fails)(void *argument, const struct sim_plan *plan), void *argument) {
    struct shrinking shrinking = {.plan = plan, .tries_max = tries_max, .fails = fails, .argument = argument};
    bool smaller = true;
    while (smaller && shrinking.tries < tries_max) {
        smaller = drop_many(&shrinking);
        smaller |= drop_faults(&shrinking);
        smaller |= make_settings_plainer(&shrinking);
    }
    return shrinking.tries;
}

void sim_violation_kind(const char *violation, char kind[SIM_KIND_MAX]) {
    size_t length = 0;
    for (; *violation != '\0' && *violation != '{' && length + 1 < SIM_KIND_MAX; violation++) {
        if ((*violation < '0' || *violation > '9') && *violation != '-') kind[length++] = *violation;
    }
    kind[length] = '\0';
}
