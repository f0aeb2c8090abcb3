/*
 * kafka_reaper.h - destroys old handles in detached threads, because rd_kafka_destroy can hang while a broker is down.
 *
 * Bounded: at most PAY_KAFKA_CLOSING_MAX handles may be closing; above that, opening another one answers AGAIN.
 * Threads: any.
 */
#ifndef PAY_KAFKA_KAFKA_REAPER_H
#define PAY_KAFKA_KAFKA_REAPER_H

#include <stdbool.h>
#include <stdint.h>

#define PAY_KAFKA_CLOSING_MAX                                                                                          \
    32 /* a reply producer per 3 lanes is at most 16; twice that is a broker that is gone for good */

/* How many handles are still being destroyed. */
uint32_t pay_kafka_reaper_closing(void);

/* Waits until every handle is destroyed, at most `timeout_ms`; true when none is left. For the end of a program and for tests. */
bool pay_kafka_reaper_wait(int64_t timeout_ms);

#endif
