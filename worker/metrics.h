/* metrics.h - the worker's counters and lanes as Prometheus text. Threads: the loop's. */
#ifndef PAY_WORKER_METRICS_H
#define PAY_WORKER_METRICS_H

#include "worker/worker.h"

#include <stdio.h>

void pay_worker_metrics(const struct pay_worker *worker, FILE *out);

#endif
