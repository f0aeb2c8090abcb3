/*
 * sim_plan.h - everything a simulated run does, as a value and as one line of text.
 *
 * A plan has settings, a script of faults at port calls (fault.h) and lists of entries `MS:NAME/A/B`: what outsiders append to the
 * logs, what clients ask of an intake, which readers follow, which troubles strike and when. An entry takes its choices from its
 * own two numbers, and the scheduler's random stream is a thing of its own: without one entry the others stay what they were.
 * That is what makes a plan shrink. The time of a trouble, a fault or a fate may be followed by the state of a lane that it waits
 * for: `300@commit-sent:crash/1/0`.
 *
 *     seed=17 partitions=2 workers=2 .. script=w1.17:crash-after work=40:pay/9/1 asks= readers= troubles=300:rebalance/5/9
 *
 * sim_plan_draw (sim_draw.c) makes one from a seed; print and parse are each other's opposite. Memory: plain values. Threads: any.
 */
#ifndef PAY_TESTS_SIM_PLAN_H
#define PAY_TESTS_SIM_PLAN_H

#include "fault.h"
#include "sim_state.h"
#include "trouble.h"

#define SIM_ENTRIES_MAX 128
#define SIM_PLAN_TEXT_MAX 16384

/* A fault (fault.h) strikes the next port call that it fits of the worker in slot `a`, a fate the next produce request for
   partition `a`: as the script's, but by time and state instead of number. */
enum sim_entry_kind { SIM_WORK, SIM_ASK, SIM_READER, SIM_TROUBLE, SIM_FAULT, SIM_FATE, SIM_ENTRY_KINDS };

/* What outsiders append. */
enum sim_work {
    WORK_PAY, /* a request, of few orders, attempts, accounts and amounts: duplicates and conflicts come by themselves */
    WORK_STORM,         /* the same request many times, some of them on another partition */
    WORK_GARBAGE,       /* bytes that are no request */
    WORK_CONTROL,       /* a transaction marker alone */
    WORK_ABORTED,       /* requests of an aborted transaction */
    WORK_COMMITTED,     /* and of one that commits */
    WORK_OPEN,          /* a transaction that stays open for a while */
    WORK_STRANGER,      /* a record in the reply log that is no reply */
    WORK_REPLY_CONTROL, /* a marker in the reply log */
    WORK_KINDS
};

struct sim_entry {
    enum sim_entry_kind kind;
    uint32_t at_ms;
    uint32_t name; /* enum sim_work, sim_reader_start, fault_kind, fault_fate; index into troubles; 0 for an ask */
    enum sim_state wait_for; /* SIM_STATES: strikes at its time, a fault or fate at the next occasion */
    uint32_t a, b;
};

/* Where a reader begins. */
enum sim_reader_start { READER_FROM_0, READER_FROM_MIDDLE, READER_FROM_END, READER_STARTS };

struct sim_plan {
    uint64_t seed; /* of the scheduler */
    uint32_t partitions, workers, batch_records;
    uint32_t switch_per_mille;
    uint32_t database_ms, broker_ms;
    uint32_t per_request, in_flight; /* of the reply producers; in_flight above 1 breaks PROTOCOL 3 on purpose: gaps */
    uint32_t intake_in_flight;
    uint32_t restart_ms;
    uint32_t quiet_ms; /* the run goes on for so long after everything is answered */
    struct fault_script script;
    struct sim_entry entries[SIM_ENTRIES_MAX];
    uint32_t entry_count;
};

void sim_plan_draw(uint64_t seed, struct sim_plan *ret_plan);
void sim_plan_print(const struct sim_plan *plan, char text[SIM_PLAN_TEXT_MAX]);
/* False: not a plan; *ret_wrong points to what isn't understood. */
bool sim_plan_parse(const char *text, struct sim_plan *ret_plan, const char **ret_wrong);

/* Numbers that belong to one entry: the n-th of (a, b). */
uint32_t sim_number(uint32_t a, uint32_t b, uint32_t n);
/* splitmix64's last step. */
uint64_t sim_mix(uint64_t z);

#endif
