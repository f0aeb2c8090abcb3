/*
 * batches.h - the storm's payments as NDJSON batches: what an intake takes of a client that has many at once.
 */
#ifndef PAY_BENCH_BATCHES_H
#define PAY_BENCH_BATCHES_H

#include "storm_options.h"

/*
 * Posts batches of options->batch lines over options->connections connections, one batch at a time on each, until options->seconds
 * are over (or options->count payments are sent), sends nothing again, and prints one JSON object. Answers the exit code: failure
 * when a line wasn't accepted.
 */
int pay_batches_run(const struct pay_storm_options *options);

#endif
