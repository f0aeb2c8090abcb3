#include "fiber.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#define STACK_BYTES ((size_t)512 * 1024)

struct fiber {
    ucontext_t inside, outside;
    void (*run)(void *argument);
    void *argument;
    void *stack;
    bool ended;
    struct fiber *resumed_by; /* the fiber that runs when this one yields; NULL: none */
    struct fiber *next_dead;
    /* the sanitizers' books */
    void *inside_shadow, *outside_shadow;
    const void *outside_stack;
    size_t outside_stack_size;
    void *tsan_inside, *tsan_outside;
};

static struct fiber *current;

struct fiber *fiber_current(void) {
    return current;
}

/* ---- telling the sanitizers ---- */

static void before_entering(struct fiber *fiber) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fiber->outside_shadow, fiber->stack, STACK_BYTES);
#endif
#if defined(__SANITIZE_THREAD__)
    fiber->tsan_outside = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber->tsan_inside, 0);
#endif
    (void)fiber;
}

static void after_leaving(struct fiber *fiber) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fiber->outside_shadow, NULL, NULL);
#endif
    (void)fiber;
}

static void after_entering(struct fiber *fiber) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fiber->inside_shadow, &fiber->outside_stack, &fiber->outside_stack_size);
#endif
    (void)fiber;
}

static void before_leaving(struct fiber *fiber, bool for_ever) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(for_ever ? NULL : &fiber->inside_shadow, fiber->outside_stack,
                                   fiber->outside_stack_size);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(fiber->tsan_outside, 0);
#endif
    (void)fiber;
    (void)for_ever;
}

/* ---- switching ---- */

static void entry(void) {
    struct fiber *fiber = current;
    after_entering(fiber);
    fiber->run(fiber->argument);
    fiber->ended = true;
    before_leaving(fiber, true);
    current = fiber->resumed_by;
    setcontext(&fiber->outside);
    abort();
}

struct fiber *fiber_new(void (*run)(void *argument), void *argument) {
    struct fiber *fiber = calloc(1, sizeof *fiber);
    assert(fiber != NULL);
    fiber->run = run;
    fiber->argument = argument;
    fiber->stack = malloc(STACK_BYTES);
    assert(fiber->stack != NULL);
    getcontext(&fiber->inside);
    fiber->inside.uc_stack.ss_sp = fiber->stack;
    fiber->inside.uc_stack.ss_size = STACK_BYTES;
    makecontext(&fiber->inside, entry, 0);
#if defined(__SANITIZE_THREAD__)
    fiber->tsan_inside = __tsan_create_fiber(0);
#endif
    return fiber;
}

bool fiber_resume(struct fiber *fiber) {
    assert(fiber != current);
    if (fiber->ended) return false;
    fiber->resumed_by = current;
    current = fiber;
    before_entering(fiber);
    swapcontext(&fiber->outside, &fiber->inside);
    after_leaving(fiber);
    return !fiber->ended;
}

void fiber_yield(void) {
    struct fiber *fiber = current;
    assert(fiber != NULL);
    current = fiber->resumed_by;
    before_leaving(fiber, false);
    swapcontext(&fiber->inside, &fiber->outside);
    after_entering(fiber);
}

void fiber_free(struct fiber *fiber) {
    if (fiber == NULL) return;
    assert(fiber != current);
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(fiber->tsan_inside);
#endif
#if defined(__SANITIZE_ADDRESS__)
    static struct fiber *dead;
    if (!fiber->ended) {
        fiber->next_dead = dead;
        dead = fiber;
        return;
    }
#endif
    free(fiber->stack);
    free(fiber);
}
