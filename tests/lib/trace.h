/*
 * trace.h - what happens in a simulated world, one event after another: folded into a hash, and told to whoever wants to know.
 *
 * The same seed gives the same events, so two runs are the same when their hashes are. Told: to the coverage table, to a person
 * who reads a failing seed. Listening changes nothing: no event depends on whether somebody listens.
 * Memory: plain values; an event's text lives until the listener returns and isn't part of the hash. Threads: one.
 */
#ifndef PAY_TESTS_TRACE_H
#define PAY_TESTS_TRACE_H

#include "fake_clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trace_kind {
    TRACE_CALL, /* a port call is over: a = enum fault_call, b = enum pay_move, c = partition, d = a number that tells which */
    TRACE_FAULT,   /* the script strikes: a = enum fault_kind, b = enum fault_call, c = its number */
    TRACE_SENT,    /* a produce request is on the wire: a = its number, b = topic, c = partition, d = records */
    TRACE_DOOM,    /* it has a fate: a = enum fault_fate, b = topic, c = partition, d = its number */
    TRACE_FATE,    /* it lands: a = enum fault_fate, b = topic, c = partition, d = enum fake_answer */
    TRACE_APPEND,  /* b = topic, c = partition, d = offset */
    TRACE_CUT,     /* a leader's tail is gone: b = topic, c = partition, d = end */
    TRACE_COMMIT,  /* a = commit number, c = partition, d = P */
    TRACE_START,   /* a worker's process starts */
    TRACE_END,     /* it is gone: a = whether it crashed */
    TRACE_SAYS,    /* a worker's log line: text */
    TRACE_TROUBLE, /* a plan's trouble strikes: a = index into troubles, b = whether it was possible, c, d = its numbers; text = its name */
    TRACE_CLIENT,  /* a = enum sim_client_event, b = call number, c = partition, d = offset */
    TRACE_READER,  /* a = enum sim_reader_event, c = partition, d = source offset */
    TRACE_KIND_COUNT
};

struct trace_event {
    int64_t at_us;
    enum trace_kind kind;
    uint32_t who; /* worker, intake or reader number; 0: none */
    int64_t a, b, c, d;
    const char *text;
};

struct trace {
    const struct fake_clock *clock;
    uint64_t hash;
    uint64_t events;
    void (*tell)(void *argument, const struct trace_event *event); /* NULL: nobody listens */
    void *argument;
};

static inline uint64_t trace_mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
}

/* `trace` NULL: nothing is traced. */
static inline void trace_text(struct trace *trace, enum trace_kind kind, uint32_t who, int64_t a, int64_t b, int64_t c,
                              int64_t d, const char *text) {
    if (trace == NULL) return;
    uint64_t hash = trace_mix(trace->hash, (uint64_t)trace->clock->now_us);
    hash = trace_mix(hash, (uint64_t)kind << 32 | who);
    hash = trace_mix(hash, (uint64_t)a << 32 ^ (uint64_t)b);
    trace->hash = trace_mix(hash, (uint64_t)c << 40 ^ (uint64_t)d);
    trace->events++;
    if (trace->tell != NULL)
        trace->tell(trace->argument, &(struct trace_event){trace->clock->now_us, kind, who, a, b, c, d, text});
}

static inline void trace_event(struct trace *trace, enum trace_kind kind, uint32_t who, int64_t a, int64_t b, int64_t c,
                               int64_t d) {
    trace_text(trace, kind, who, a, b, c, d, NULL);
}

#endif
