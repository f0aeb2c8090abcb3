#include "base/histogram.h"

#include <assert.h>
#include <string.h>

#define STEP_BITS 5 /* log2 of PAY_HISTOGRAM_STEPS */

/* A value of b bits (b > 6) keeps its top 6: which power of two, and which of the 32 steps within it. */
static uint32_t bucket_of(uint64_t value) {
    if (value < 2 * PAY_HISTOGRAM_STEPS) return (uint32_t)value;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(value) - STEP_BITS;
    return shift * PAY_HISTOGRAM_STEPS + (uint32_t)(value >> shift);
}

/* The largest value that falls into a bucket. */
static uint64_t bucket_end(uint32_t bucket) {
    if (bucket < 2 * PAY_HISTOGRAM_STEPS) return bucket;
    uint32_t shift = bucket / PAY_HISTOGRAM_STEPS - 1;
    uint64_t top = bucket % PAY_HISTOGRAM_STEPS + PAY_HISTOGRAM_STEPS;
    return ((top + 1) << shift) - 1;
}

void pay_histogram_record(struct pay_histogram *histogram, int64_t value) {
    const uint64_t limit = (1ull << PAY_HISTOGRAM_BITS) - 1;
    uint64_t positive = value < 0 ? 0 : (uint64_t)value;
    if (positive > limit) positive = limit;
    uint32_t bucket = bucket_of(positive);
    assert(bucket < PAY_HISTOGRAM_BUCKETS);
    histogram->buckets[bucket]++;
    histogram->count++;
    histogram->sum += positive;
    if (positive > histogram->max) histogram->max = positive;
}

void pay_histogram_merge(struct pay_histogram *into, const struct pay_histogram *from) {
    for (uint32_t i = 0; i < PAY_HISTOGRAM_BUCKETS; i++) into->buckets[i] += from->buckets[i];
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max) into->max = from->max;
}

void pay_histogram_reset(struct pay_histogram *histogram) { memset(histogram, 0, sizeof *histogram); }

uint64_t pay_histogram_quantile(const struct pay_histogram *histogram, double fraction) {
    if (histogram->count == 0) return 0;
    double exact = fraction * (double)histogram->count;
    uint64_t wanted = exact <= 1 ? 1 : (uint64_t)exact;
    if ((double)wanted < exact) wanted++;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < PAY_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
    }
    return histogram->max;
}

uint64_t pay_histogram_count_up_to(const struct pay_histogram *histogram, uint64_t bound) {
    uint64_t seen = 0;
    for (uint32_t i = 0; i < PAY_HISTOGRAM_BUCKETS && bucket_end(i) <= bound; i++) seen += histogram->buckets[i];
    return seen;
}
