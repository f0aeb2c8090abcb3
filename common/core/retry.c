#include "core/retry.h"

#include <assert.h>
#include <string.h>

int64_t pay_backoff_ms(uint32_t attempt, int64_t base_ms, int64_t cap_ms, uint32_t random) {
    assert(base_ms > 0 && cap_ms >= base_ms);
    int64_t ceiling_ms = attempt < 62 && base_ms <= (cap_ms - 1) >> attempt ? base_ms << attempt : cap_ms;
    return base_ms + (int64_t)(random % (uint64_t)(ceiling_ms - base_ms + 1));
}

void pay_retry_reset(struct pay_retry *retry, uint32_t limit) { *retry = (struct pay_retry){.limit = limit}; }

enum pay_retry_move pay_retry_failed(struct pay_retry *retry, const struct pay_error *error, uint32_t count) {
    assert(error->move == PAY_REDO || error->move == PAY_SPLIT);
    if (retry->move != error->move || strcmp(retry->code, error->code) != 0) {
        retry->move = error->move;
        memcpy(retry->code, error->code, sizeof retry->code);
        retry->failures = 0;
    }
    retry->failures++;
    if (error->move == PAY_REDO && retry->failures < PAY_REDO_MAX) return PAY_RETRY_SLICE;
    if (count > 1) {
        retry->limit = count / 2;
        retry->failures = 0;
        return PAY_RETRY_HALVED;
    }
    if (error->move == PAY_REDO || retry->failures < PAY_POISON_AFTER) return PAY_RETRY_SLICE;
    retry->failures = 0; /* the next record has tries of its own */
    return PAY_RETRY_POISON;
}

void pay_retry_succeeded(struct pay_retry *retry, uint32_t limit_max) {
    uint32_t limit = retry->limit > limit_max / 2 ? limit_max : retry->limit * 2;
    pay_retry_reset(retry, limit);
}
