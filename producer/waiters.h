/*
 * waiters.h - the calls that wait for a reply: bounded, each until the reply to its own record came or its time is over.
 *
 * Sequence: add when the call came, before its record is appended (its reply can be first); place once the record's position is
 * known; then exactly one `done`, unless remove came before it. A waiter that was never placed is done when its time is over.
 * Nothing but the position joins a reply to a waiter: another record's answer under the same identity wakes nobody.
 *
 * Memory: waiters_max of some 100 bytes, taken as they are needed. Pure: time is given. Threads: one.
 */
#ifndef PAY_PRODUCER_WAITERS_H
#define PAY_PRODUCER_WAITERS_H

#include "core/position.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAY_WAIT_S_MAX 30

enum pay_wait_end {
    PAY_WAIT_ANSWERED, /* value is the reply's, good during the call */
    PAY_WAIT_OVER,     /* its time */
    PAY_WAIT_CUT_SHORT /* before its time: the intake stops, or the client has hung up */
};

struct pay_waiter;
struct pay_waiters;

/* The waiter is dead when this is called. May add and remove others. */
typedef void pay_waiter_done(void *owner, enum pay_wait_end end, const char *value, size_t length);

struct pay_waiters *pay_waiters_new(uint32_t waiters_max); /* NULL: out of memory */
void pay_waiters_free(struct pay_waiters *waiters);        /* no `done` comes; NULL is fine */

/* Waits 1..PAY_WAIT_S_MAX seconds from now_us, which never goes back. NULL: waiters_max wait already. */
struct pay_waiter *pay_waiters_add(struct pay_waiters *waiters, void *owner, pay_waiter_done *done, int32_t seconds,
                                   int64_t now_us);
void pay_waiters_place(struct pay_waiters *waiters, struct pay_waiter *waiter, const struct pay_position *position);
void pay_waiters_remove(struct pay_waiters *waiters, struct pay_waiter *waiter);

/* The reply to `position` came: all who wait for it are done. */
void pay_waiters_take(struct pay_waiters *waiters, const struct pay_position *position, const char *value,
                      size_t length);
void pay_waiters_expire(struct pay_waiters *waiters, int64_t now_us);
int64_t pay_waiters_next_us(const struct pay_waiters *waiters); /* when the next one's time is over; INT64_MAX: none */

/* Cuts short those for whose owner `chosen` says true; NULL: all of them. */
void pay_waiters_cut(struct pay_waiters *waiters, bool (*chosen)(void *owner));
uint32_t pay_waiters_count(const struct pay_waiters *waiters);

#endif
