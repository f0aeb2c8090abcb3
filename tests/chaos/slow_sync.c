/*
 * slow_sync.c - a slow disk for PostgreSQL: a library to preload, in which fsync and fdatasync wait before they work, as many
 * milliseconds as the file CHAOS_SLOW_FILE says at that moment. No file, no wait. Built by ./dev chaos only, used by tests only.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SLOW_MAX_MS 5000

static void wait_as_told(void) {
    const char *path = getenv("CHAOS_SLOW_FILE");
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    char text[16] = {0};
    long ms = read(file, text, sizeof text - 1) > 0 ? strtol(text, NULL, 10) : 0;
    close(file);
    if (ms <= 0) return;
    if (ms > SLOW_MAX_MS) ms = SLOW_MAX_MS;
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0) continue;
}

int fsync(int file) {
    static int (*real)(int);
    if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_as_told();
    return real(file);
}

int fdatasync(int file) {
    static int (*real)(int);
    if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_as_told();
    return real(file);
}
