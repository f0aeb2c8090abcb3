#include "tools/progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define REDRAW_MS 100
#define BAR_WIDTH 20

void progress_begin(struct progress *progress, const char *what, int64_t total) {
    *progress = (struct progress){
        .what = what, .total = total, .began_ms = pay_clock_ms(), .wanted = isatty(STDERR_FILENO), .partition = -1};
}

void progress_at(struct progress *progress, int32_t partition, int64_t offset) {
    progress->partition = partition;
    progress->offset = offset;
}

static void draw_bar(int64_t done, int64_t total) {
    int filled = (int)(done >= total ? BAR_WIDTH : done * BAR_WIDTH / total);
    fprintf(stderr, "[%.*s%*s] ", filled, "####################", BAR_WIDTH - filled, "");
}

void progress_show(struct progress *progress, int64_t done) {
    if (!progress->wanted) return;
    int64_t now_ms = pay_clock_ms(), spent_ms = now_ms - progress->began_ms;
    if (now_ms - progress->shown_ms < REDRAW_MS || spent_ms < REDRAW_MS) return;
    progress->shown_ms = now_ms;
    progress->shown = true;
    int64_t rate = done * 1000 / spent_ms;
    fputs("\r\033[K", stderr);
    if (progress->total > 0) draw_bar(done, progress->total);
    fprintf(stderr, "%" PRId64 " %s, %" PRId64 "/s", done, progress->what, rate);
    if (progress->total > 0)
        fprintf(stderr, ", %" PRId64 "%%, %" PRId64 " s left", done * 100 / progress->total,
                rate > 0 ? (progress->total - done) / rate : 0);
    if (progress->partition >= 0)
        fprintf(stderr, ", partition %" PRId32 " at %" PRId64, progress->partition, progress->offset);
    fflush(stderr);
}

void progress_end(struct progress *progress) {
    if (!progress->shown) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->shown = false;
}
