#include "base/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void pay_metrics_head(FILE *out, const char *name, const char *type, const char *help) {
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_name(FILE *out, const char *name, const char *labels) {
    if (labels != NULL)
        fprintf(out, "%s{%s} ", name, labels);
    else
        fprintf(out, "%s ", name);
}

void pay_metrics_value(FILE *out, const char *name, const char *labels, uint64_t value) {
    write_name(out, name, labels);
    fprintf(out, "%" PRIu64 "\n", value);
}

void pay_metrics_decimal(FILE *out, const char *name, const char *labels, double value) {
    write_name(out, name, labels);
    fprintf(out, "%.9g\n", value);
}

void pay_metrics_counter(FILE *out, const char *name, const char *help, uint64_t value) {
    pay_metrics_head(out, name, "counter", help);
    pay_metrics_value(out, name, NULL, value);
}

void pay_metrics_gauge(FILE *out, const char *name, const char *help, double value) {
    pay_metrics_head(out, name, "gauge", help);
    pay_metrics_decimal(out, name, NULL, value);
}

void pay_metrics_histogram_us(FILE *out, const char *name, const char *help, const struct pay_histogram *histogram) {
    pay_metrics_head(out, name, "histogram", help);
    for (uint32_t bits = 7; bits <= 26; bits++) { /* 2^7 us = 0.128 ms ... 2^26 us = 67 s */
        uint64_t end_us = 1ull << bits;
        fprintf(out, "%s_bucket{le=\"%.9g\"} %" PRIu64 "\n", name, (double)end_us / 1e6,
                pay_histogram_count_up_to(histogram, end_us - 1));
    }
    fprintf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, histogram->count);
    fprintf(out, "%s_sum %.9g\n", name, (double)histogram->sum / 1e6);
    fprintf(out, "%s_count %" PRIu64 "\n", name, histogram->count);
}

static uint64_t resident_bytes(void) {
    unsigned long long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%llu %llu", &total, &resident) != 2) resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_descriptors(void) {
    uint64_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) return 0;
    while (readdir(directory) != NULL) count++;
    closedir(directory);
    return count > 3 ? count - 3 : 0; /* ".", "..", and this directory itself */
}

void pay_metrics_process(FILE *out) {
    struct rusage used;
    pay_metrics_gauge(out, "process_resident_memory_bytes", "Memory in RAM.", (double)resident_bytes());
    pay_metrics_gauge(out, "process_open_fds", "Open file descriptors.", (double)open_descriptors());
    if (getrusage(RUSAGE_SELF, &used) == 0) {
        pay_metrics_head(out, "process_cpu_seconds_total", "counter", "User and system time.");
        pay_metrics_decimal(out, "process_cpu_seconds_total", NULL,
                            (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                                (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    }
}
