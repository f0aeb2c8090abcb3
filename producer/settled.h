/*
 * settled.h - the rule by which "no such payment" may be said: only when nothing that was appended before the question came can
 * still turn into one (decision 031). Pure. Threads: any.
 */
#ifndef PAY_PRODUCER_SETTLED_H
#define PAY_PRODUCER_SETTLED_H

#include <stdbool.h>
#include <stdint.h>

/* A row of processed_offset. */
struct pay_progress {
    int32_t partition;
    int64_t generation;
    int64_t settled; /* P: everything below is settled */
    int64_t replied; /* everything below has an acknowledged reply */
};

const struct pay_progress *pay_progress_of(const struct pay_progress *rows, uint32_t count, int32_t partition);

/* `ends`: the high watermarks of partitions 0..partitions-1, read after the question came; `rows`: read after them. */
bool pay_settled_everywhere(const int64_t *ends, int32_t partitions, const struct pay_progress *rows, uint32_t count);

#endif
