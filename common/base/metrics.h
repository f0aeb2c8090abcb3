/*
 * metrics.h - Prometheus' text format, a line at a time. Names begin with paybuf_, durations are in seconds.
 * Threads: any; each writes its own FILE.
 */
#ifndef PAY_BASE_METRICS_H
#define PAY_BASE_METRICS_H

#include "base/histogram.h"

#include <stdint.h>
#include <stdio.h>

/* # HELP and # TYPE; type is "counter" or "gauge". Once per name, before its values. */
void pay_metrics_head(FILE *out, const char *name, const char *type, const char *help);
/* One value; labels like `code="bad_field"` or NULL. */
void pay_metrics_value(FILE *out, const char *name, const char *labels, uint64_t value);
void pay_metrics_decimal(FILE *out, const char *name, const char *labels, double value);
/* head + value in one, for a name without labels. */
void pay_metrics_counter(FILE *out, const char *name, const char *help, uint64_t value);
void pay_metrics_gauge(FILE *out, const char *name, const char *help, double value);
/* A histogram of microseconds, written in seconds with bounds from 0.1 ms to 67 s (powers of two, so the counts are exact). */
void pay_metrics_histogram_us(FILE *out, const char *name, const char *help, const struct pay_histogram *histogram);
/* process_resident_memory_bytes, process_cpu_seconds_total, process_open_fds. */
void pay_metrics_process(FILE *out);

#endif
