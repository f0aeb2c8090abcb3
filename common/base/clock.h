/* clock.h - the only place that asks the system for time and randomness. Threads: any. */
#ifndef PAY_BASE_CLOCK_H
#define PAY_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t pay_clock_ms(void);                  /* monotonic milliseconds */
int64_t pay_clock_us(void);                  /* monotonic microseconds */
int64_t pay_wall_clock_us(void);             /* microseconds since 1970, may jump */
void pay_random(void *bytes, size_t length); /* getrandom, never fails on a booted system */

#endif
