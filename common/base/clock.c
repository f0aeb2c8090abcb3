#include "base/clock.h"

#include <assert.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_us(clockid_t id) {
    struct timespec now;
    int status = clock_gettime(id, &now);
    assert(status == 0);
    (void)status;
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t pay_clock_us(void) { return read_us(CLOCK_MONOTONIC); }

int64_t pay_clock_ms(void) { return pay_clock_us() / 1000; }

int64_t pay_wall_clock_us(void) { return read_us(CLOCK_REALTIME); }

void pay_random(void *bytes, size_t length) {
    unsigned char *at = bytes;
    while (length > 0) {
        ssize_t got = getrandom(at, length, 0);
        if (got < 0) continue; /* EINTR: the only failure of a valid call */
        at += got;
        length -= (size_t)got;
    }
}
