/*
 * aborted.h - payments that a transactional producer appends and then takes back: no request (INTERFACES), though they lie in the log,
 * and a control record behind them. The only place in bench that uses librdkafka itself, as our own publisher has no transactions.
 */
#ifndef PAY_BENCH_ABORTED_H
#define PAY_BENCH_ABORTED_H

#include "storm_options.h"

/* Appends options->count payments, aborts, and prints one JSON object. Answers the exit code. */
int pay_aborted_run(const struct pay_storm_options *options);

#endif
