/*
 * fiber.h - a stack of its own for each simulated process, so that one can stand still in the middle of a call.
 *
 * fiber_resume runs it until it yields or ends; fiber_yield, from inside, goes back to who resumed it. fiber_free may be called
 * at any point: a crash. What the dead one had allocated on its own is lost with it; its stack is kept until the program's end
 * under a leak checker, so that this isn't called a leak.
 * AddressSanitizer and ThreadSanitizer are told about every switch. Threads: all fibers on one.
 */
#ifndef PAY_TESTS_FIBER_H
#define PAY_TESTS_FIBER_H

#include <stdbool.h>

struct fiber;

struct fiber *fiber_new(void (*run)(void *argument), void *argument);
/* False: it has ended. */
bool fiber_resume(struct fiber *fiber);
void fiber_yield(void);
/* The fiber that runs now; NULL outside of all. */
struct fiber *fiber_current(void);
void fiber_free(struct fiber *fiber);

#endif
