/*
 * fake_clock.h - virtual time, shared by everything in one simulated world. Nothing moves it but the scheduler (rig.h) and,
 * where there is none, a port call that has to wait.
 */
#ifndef PAY_TESTS_FAKE_CLOCK_H
#define PAY_TESTS_FAKE_CLOCK_H

#include <stdint.h>

struct fake_clock {
    int64_t now_us; /* microseconds since 1970: the wall clock and the monotonic one at once */
};

#define FAKE_CLOCK_START_US 1700000000000000LL

static inline int64_t fake_clock_ms(const struct fake_clock *clock) { return clock->now_us / 1000; }

static inline void fake_clock_advance_ms(struct fake_clock *clock, int64_t ms) { clock->now_us += ms * 1000; }

#endif
