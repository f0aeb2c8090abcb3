#include "producer/settled.h"

#include <stddef.h>

const struct pay_progress *pay_progress_of(const struct pay_progress *rows, uint32_t count, int32_t partition) {
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].partition == partition) return &rows[i];
    return NULL;
}

bool pay_settled_everywhere(const int64_t *ends, int32_t partitions, const struct pay_progress *rows, uint32_t count) {
    for (int32_t p = 0; p < partitions; p++) {
        const struct pay_progress *row = pay_progress_of(rows, count, p);
        /* A partition without a row is new to the workers: only an empty one has nothing in it. */
        if (ends[p] < 0 || (row != NULL ? row->settled : 0) < ends[p]) return false;
    }
    return partitions > 0;
}
