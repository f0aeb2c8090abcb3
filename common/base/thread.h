/*
 * thread.h - a thread that nobody waits for, and a condition that can be waited for with a bound.
 * The thread gets no signals: those are the main thread's. Memory: the caller's. Threads: any.
 */
#ifndef PAY_BASE_THREAD_H
#define PAY_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* False: there is none to be had. */
bool pay_thread_start(void *(*run)(void *argument), void *argument);

/* On the clock of pay_clock_ms. */
void pay_condition_init(pthread_cond_t *ret_condition);
/* As pthread_cond_wait, at most until `until_ms`; false: that time has come. */
bool pay_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ms);

#endif
