/*
 * append.h - the storm's payments straight into the request topic, as fast as librdkafka takes them: the preload of the worker's
 * bench, and the measure of what the intake's own Kafka client could do at most.
 */
#ifndef PAY_BENCH_APPEND_H
#define PAY_BENCH_APPEND_H

#include "storm_options.h"

/*
 * Appends options->count payments, or for options->seconds (no rate, no listening), at most options->outstanding of them without an
 * acknowledgement, and prints one JSON object. Answers the exit code.
 */
int pay_append_run(const struct pay_storm_options *options);

#endif
