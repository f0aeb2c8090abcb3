#include "base/thread.h"

#include <signal.h>
#include <time.h>

bool pay_thread_start(void *(*run)(void *argument), void *argument) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attributes, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed == 0;
}

void pay_condition_init(pthread_cond_t *ret_condition) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(ret_condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

bool pay_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ms) {
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    return pthread_cond_timedwait(condition, lock, &until) == 0;
}
