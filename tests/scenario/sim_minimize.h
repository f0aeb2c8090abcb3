/*
 * sim_minimize.h - a smaller plan that still fails in the same way.
 *
 * Drops entries and faults, first many at once, then one by one, then makes the settings plainer, until nothing more can go or the
 * tries are used up. What "fails in the same way" is, the caller says. Memory: none. Threads: one.
 */
#ifndef PAY_TESTS_SIM_MINIMIZE_H
#define PAY_TESTS_SIM_MINIMIZE_H

#include "sim_plan.h"

/* Answers how many tries it took, at most `tries_max`. */
uint32_t sim_minimize(struct sim_plan *plan, uint32_t tries_max,
                      bool (*fails)(void *argument, const struct sim_plan *plan), void *argument);

/* Violations of the same kind differ in their numbers only: the text without them, in `kind`. */
#define SIM_KIND_MAX 64
void sim_violation_kind(const char *violation, char kind[SIM_KIND_MAX]);

#endif
