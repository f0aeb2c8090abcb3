/*
 * money.h - sums of minor units that can't wrap.
 * Units: minor units of the account's currency (cents), signed 64 bit. Threads: any.
 */
#ifndef PAY_CORE_MONEY_H
#define PAY_CORE_MONEY_H

#include <stdbool.h>
#include <stdint.h>

/* *ret_sum = a + b; false, and *ret_sum untouched, when it doesn't fit. */
static inline bool pay_money_add(int64_t a, int64_t b, int64_t *ret_sum) {
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *ret_sum = sum;
    return true;
}

/* *ret_difference = a - b; false, and untouched, when it doesn't fit. */
static inline bool pay_money_subtract(int64_t a, int64_t b, int64_t *ret_difference) {
    int64_t difference;
    if (__builtin_sub_overflow(a, b, &difference)) return false;
    *ret_difference = difference;
    return true;
}

#endif
