/*
 * progress.h - how far a long work is, on stderr: a line with a bar, the rate and what is left, redrawn on a terminal, nothing otherwise.
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
    int32_t partition; /* what is being read; -1: isn't shown */
    int64_t offset;
};

void progress_begin(struct progress *progress, const char *what, int64_t total);
/* Where the work is, from the next drawing on. */
void progress_at(struct progress *progress, int32_t partition, int64_t offset);
/* Cheap: draws at most ten times a second. */
void progress_show(struct progress *progress, int64_t done);
/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
