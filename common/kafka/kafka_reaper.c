#include "kafka/kafka_reaper_internal.h"

#include "base/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t less = PTHREAD_COND_INITIALIZER;
static uint32_t closing;

static void *destroy(void *argument) {
    struct pay_kafka_handle *handle = argument;
    /* No LeaveGroup from here: the group's handle left before, and waiting for a coordinator that is gone is what hangs. */
    rd_kafka_destroy_flags(handle->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(handle);
    pthread_mutex_lock(&lock);
    closing--;
    pthread_cond_broadcast(&less);
    pthread_mutex_unlock(&lock);
    return NULL;
}

bool pay_kafka_reaper_has_room(void) { return pay_kafka_reaper_closing() < PAY_KAFKA_CLOSING_MAX; }

uint32_t pay_kafka_reaper_closing(void) {
    pthread_mutex_lock(&lock);
    uint32_t count = closing;
    pthread_mutex_unlock(&lock);
    return count;
}

void pay_kafka_reap(struct pay_kafka_handle *handle) {
    pthread_mutex_lock(&lock);
    closing++;
    pthread_mutex_unlock(&lock);

    /* No thread to be had: the handle is left alone (and counted), which costs memory, not correctness; blocking here could cost minutes. */
    (void)pay_thread_start(destroy, handle);
}

bool pay_kafka_reaper_wait(int64_t timeout_ms) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&lock);
    int waited = 0;
    while (closing > 0 && waited != ETIMEDOUT) waited = pthread_cond_timedwait(&less, &lock, &until);
    bool none_left = closing == 0;
    pthread_mutex_unlock(&lock);
    return none_left;
}
