#include "fiber.h"

#include <assert.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

/* swapcontext asks the kernel for the signal mask at every switch; after the first entry a jump does the same without. The
   sanitizers know swapcontext better. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define JUMPS 1
#else
#define JUMPS 0
#endif

#define STACK_BYTES ((size_t)512 * 1024)
#define STACKS_KEPT 16

struct fiber {
    ucontext_t inside, outside;
    jmp_buf jump_inside, jump_outside;
    bool entered;
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
    if (JUMPS) _longjmp(fiber->jump_outside, 1);
    setcontext(&fiber->outside);
    abort();
}

/* ---- stacks: kept for the next fiber, so that a crash doesn't cost a mapping ---- */

static void *kept_stacks[STACKS_KEPT];
static uint32_t kept_count;

static void *take_stack(void) {
    if (kept_count > 0) return kept_stacks[--kept_count];
    void *stack = malloc(STACK_BYTES);
    assert(stack != NULL);
    return stack;
}

static void give_stack(void *stack) {
    if (JUMPS && kept_count < STACKS_KEPT)
        kept_stacks[kept_count++] = stack;
    else
        free(stack);
}

struct fiber *fiber_new(void (*run)(void *argument), void *argument) {
    struct fiber *fiber = calloc(1, sizeof *fiber);
    assert(fiber != NULL);
    fiber->run = run;
    fiber->argument = argument;
    fiber->stack = take_stack();
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
    if (!JUMPS)
        swapcontext(&fiber->outside, &fiber->inside);
    else if (_setjmp(fiber->jump_outside) == 0) {
        if (fiber->entered) _longjmp(fiber->jump_inside, 1);
        fiber->entered = true;
        setcontext(&fiber->inside);
    }
    after_leaving(fiber);
    return !fiber->ended;
}

void fiber_yield(void) {
    struct fiber *fiber = current;
    assert(fiber != NULL);
    current = fiber->resumed_by;
    before_leaving(fiber, false);
    if (!JUMPS)
        swapcontext(&fiber->inside, &fiber->outside);
    else if (_setjmp(fiber->jump_inside) == 0)
        _longjmp(fiber->jump_outside, 1);
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
    give_stack(fiber->stack);
    free(fiber);
}
