/*
 * histogram.h - how long things took: log-linear buckets in fixed memory, for metrics and for bench.
 *
 * Values are non-negative integers (microseconds by custom). Below 64 every value has its own bucket; above, each power of two has
 * 32, so a quantile is at most 1/32 (3.2%) above the true one and never below it. Values from 2^40 on count as 2^40 - 1.
 * Memory: one plain struct of 9.5 KiB; zeroed is empty. Threads: one at a time.
 */
#ifndef PAY_BASE_HISTOGRAM_H
#define PAY_BASE_HISTOGRAM_H

#include <stdint.h>

#define PAY_HISTOGRAM_STEPS 32 /* buckets per power of two */
#define PAY_HISTOGRAM_BITS 40  /* 2^40 us are 12 days */
#define PAY_HISTOGRAM_BUCKETS ((PAY_HISTOGRAM_BITS - 5 + 1) * PAY_HISTOGRAM_STEPS)

struct pay_histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t buckets[PAY_HISTOGRAM_BUCKETS];
};

void pay_histogram_record(struct pay_histogram *histogram,
                          int64_t value); /* negative counts as 0 (a clock went back) */
void pay_histogram_merge(struct pay_histogram *into, const struct pay_histogram *from);
void pay_histogram_reset(struct pay_histogram *histogram);

/* The smallest bucket's upper end that at least `fraction` (0..1) of the values lie at or below; 0 when empty, never above max. */
uint64_t pay_histogram_quantile(const struct pay_histogram *histogram, double fraction);
/* How many values lie at or below `bound`, by whole buckets: exact when `bound` ends a bucket (2^n - 1 does). */
uint64_t pay_histogram_count_up_to(const struct pay_histogram *histogram, uint64_t bound);

#endif
