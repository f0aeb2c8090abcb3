/*
 * unit.h - what every unit test of the core needs: cmocka in the order it wants, a programmer's error that must abort, and a
 * small random generator whose seed is in the test, so that a failure comes again.
 */
#ifndef PAY_TESTS_UNIT_UNIT_H
#define PAY_TESTS_UNIT_UNIT_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* True when `act` ends its process by abort(), as a failed assert does. In a child, silently, without a core file. */
static inline bool aborts(void (*act)(void *argument), void *argument) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(2);
        act(argument);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* splitmix64: any seed is good. */
static inline uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint32_t random_below(uint64_t *state, uint32_t limit) { return (uint32_t)(random_next(state) % limit); }
static inline bool random_percent(uint64_t *state, uint32_t percent) { return random_below(state, 100) < percent; }

#endif
