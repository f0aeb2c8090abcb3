/*
 * progress.h - how far a long work is, on stderr: a line that is redrawn on a terminal, nothing otherwise.
 * Threads: one.
 */
#ifndef PAY_TOOLS_PROGRESS_H
#define PAY_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what;
    int64_t total; /* 0: not known */
    int64_t began_ms, shown_ms;
    bool wanted; /* stderr is a terminal */
    bool shown;
};

void progress_begin(struct progress *progress, const char *what, int64_t total);
/* Cheap: draws at most ten times a second. */
void progress_show(struct progress *progress, int64_t done);
/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
