/*
 * storm_report.h - what the storm counts, and how it says it: progress for people, a status file for the demo, JSON at the end.
 * Memory: plain values. Threads: one.
 */
#ifndef PAY_BENCH_STORM_REPORT_H
#define PAY_BENCH_STORM_REPORT_H

#include "base/histogram.h"
#include "reply_watch.h"
#include "storm_options.h"

struct pay_storm_counts {
    uint64_t payments;                 /* begun */
    uint64_t sent;                     /* requests, each try counts */
    uint64_t accepted;                 /* 202 */
    uint64_t retried;                  /* payments that needed more than one try */
    uint64_t unknown, refused, broken; /* tries that ended in 504; in 503 or 429; without an answer */
    uint64_t errors;                   /* other answers; never sent again */
    uint64_t gave_up;                  /* payments that never got their 202 */
    uint64_t kinds[PAY_WORKLOAD_NEXT_ATTEMPT + 1];
};

struct pay_storm_report {
    const struct pay_storm_options *options;
    struct pay_storm_counts counts;
    struct pay_histogram latency; /* of each 202, from sending that try */
    struct pay_histogram recent;  /* the same, of the last second */
    int64_t began_us, ended_us;
    uint64_t recent_rate, recent_p99_us;
    int64_t told_us, tick_us, said_us;
    uint64_t accepted_at_tick;
    bool terminal;
};

void pay_storm_report_begin(struct pay_storm_report *report, const struct pay_storm_options *options);

/* When something is due: the line on standard error, the status file. Cheap when not. `watch` may be NULL; `phase` is a word. */
void pay_storm_report_tell(struct pay_storm_report *report, const struct pay_reply_watch *watch, const char *phase);

void pay_storm_report_end(struct pay_storm_report *report, const struct pay_reply_watch *watch, bool interrupted);

#endif
