#include "base/log.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048
#define SITES 64 /* call sites remembered at a time; a collision only means less limiting */
#define SITE_WINDOW_MS 10000
#define SITE_LINES_MAX 10 /* lines of one call site per window */

struct site {
    const char *format; /* a call site's key: its format string */
    int64_t window_start_ms;
    uint32_t lines;
    uint32_t left_out;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct site sites[SITES];
static const char *program_name = "paybuf";
static enum pay_log_level least_level = PAY_LOG_INFO;
static bool journal;

void pay_log_open(const char *program, enum pay_log_level least) {
    program_name = program;
    least_level = least;
    journal = getenv("JOURNAL_STREAM") != NULL;
}

/* Whether the line may be written; *ret_left_out: how many of this site were left out in the window that ended. */
static bool admit(const char *format, uint32_t *ret_left_out) {
    struct site *site = &sites[((uintptr_t)format >> 3) % SITES];
    int64_t now_ms = pay_clock_ms();
    *ret_left_out = 0;
    if (site->format != format || now_ms - site->window_start_ms >= SITE_WINDOW_MS) {
        if (site->format == format) *ret_left_out = site->left_out;
        *site = (struct site){.format = format, .window_start_ms = now_ms};
    }
    if (site->lines >= SITE_LINES_MAX) {
        site->left_out++;
        return false;
    }
    site->lines++;
    return true;
}

static size_t write_prefix(char *line, size_t size, enum pay_log_level level) {
    static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    static const int priorities[] = {7, 6, 4, 3};
    int length;
    if (journal) {
        length = snprintf(line, size, "<%d>", priorities[level]);
    } else {
        int64_t now_us = pay_wall_clock_us();
        time_t seconds = (time_t)(now_us / 1000000);
        struct tm utc;
        char when[32];
        gmtime_r(&seconds, &utc);
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
        length =
            snprintf(line, size, "%s.%03dZ %s %s: ", when, (int)(now_us / 1000 % 1000), names[level], program_name);
    }
    return (size_t)length;
}

void pay_log(enum pay_log_level level, const char *format, ...) {
    char line[LINE_MAX_BYTES];
    uint32_t left_out;
    if (level < least_level) return;

    pthread_mutex_lock(&lock);
    bool admitted = admit(format, &left_out);
    pthread_mutex_unlock(&lock);
    if (!admitted) return;

    size_t length = write_prefix(line, sizeof line, level);
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(line + length, sizeof line - length - 64, format, arguments);
    va_end(arguments);
    if (written < 0) return;
    size_t room = sizeof line - length - 64 - 1;
    length += (size_t)written < room ? (size_t)written : room;
    if (left_out > 0)
        length += (size_t)snprintf(line + length, sizeof line - length - 1, " (and %u more like this)", left_out);
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)line[i] < ' ') line[i] = ' '; /* one event, one line, whatever a library's text holds */
    }
    line[length++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, length); /* one write: lines of two threads never mix */
    (void)ignored;
}
