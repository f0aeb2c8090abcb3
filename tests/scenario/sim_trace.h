/*
 * sim_trace.h - a run as a story: one line for each event, who did what, to what, and what came of it.
 *
 *          seconds  who      what                 partition  about       result
 *          0.041203 w1.23    settle_begin         1          P 7         ok
 * w1.23 is the 23rd port call of worker 1: what a script calls it, so that a fault can be put there by hand. Threads: one.
 */
#ifndef PAY_TESTS_SIM_TRACE_H
#define PAY_TESTS_SIM_TRACE_H

#include "rig.h"

#include <stdio.h>

void sim_trace_print(FILE *out, const struct rig *rig, const struct trace_event *event);

#endif
