/*
 * retry.h - what to do with a failed settle, and how long to wait: redo with jitter, halve, give up on one record.
 * Pure: randomness comes in as a value. Memory: plain struct. Threads: any.
 */
#ifndef PAY_CORE_RETRY_H
#define PAY_CORE_RETRY_H

#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

#define PAY_REDO_MAX 5     /* the same slice redone so often: halve it */
#define PAY_POISON_AFTER 3 /* a single record that failed so often the same way halts its lane */

/* Exponential backoff with full jitter: uniform in [base, base * 2^attempt], at most cap. `random` is any 32 random bits. */
int64_t pay_backoff_ms(uint32_t attempt, int64_t base_ms, int64_t cap_ms, uint32_t random);

struct pay_retry {
    uint32_t limit;     /* records a slice may hold now */
    uint32_t failures;  /* of this slice in a row */
    enum pay_move move; /* of the last failure, and its code: "the same way" */
    char code[32];
};

enum pay_retry_move { PAY_RETRY_SLICE, PAY_RETRY_HALVED, PAY_RETRY_POISON };

void pay_retry_reset(struct pay_retry *retry, uint32_t limit);
/* A slice of `count` records failed with a REDO or SPLIT error. HALVED: retry->limit is the new limit. After HALVED and POISON
   the count begins again. */
enum pay_retry_move pay_retry_failed(struct pay_retry *retry, const struct pay_error *error, uint32_t count);
/* A slice committed: the limit grows back, doubling up to `limit_max`. */
void pay_retry_succeeded(struct pay_retry *retry, uint32_t limit_max);

#endif
