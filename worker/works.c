/* What every step of the loop uses: the works on their way, whose record is whose, log lines and randomness. */
#include "worker/worker_state.h"

#include <stdarg.h>
#include <stdio.h>

static bool in_use(const struct pay_worker *w, const struct work *work) {
    if (work == w->filling || work == w->settling) return true;
    for (uint32_t i = 0; i < w->publishing_count; i++)
        if (w->publishing[i] == work) return true;
    return false;
}

struct work *worker_take_work(struct pay_worker *w) {
    for (uint32_t i = 0; i < WORKS; i++) {
        struct work *work = w->works[i];
        if (in_use(w, work)) continue;
        pay_batch_reset(&work->batch);
        work->next = 0;
        work->arena_used = 0;
        return work;
    }
    return NULL;
}

void worker_drop_works(struct pay_worker *w) {
    w->filling = w->settling = NULL;
    w->publishing_count = 0;
    w->slice_chosen = false;
}

void worker_stop_fetch(struct pay_worker *w, struct pay_lane *lane) {
    if (!lane->fetching) return;
    w->stream->ops->stop_fetch(w->stream, lane->partition);
    lane->fetching = false;
}

void worker_stop_all_fetches(struct pay_worker *w) {
    for (uint32_t i = 0; i < w->lane_count; i++) worker_stop_fetch(w, &w->lanes[i]);
}

void worker_doubt_anchors(struct pay_worker *w) {
    for (uint32_t i = 0; i < w->lane_count; i++) w->lanes[i].verify_anchor = true;
}

bool worker_current(const struct pay_worker *w, const struct work *work, uint32_t record) {
    int32_t partition = work->batch.records[record].position.partition;
    return w->lanes[partition].state == PAY_LANE_OPEN && w->session_of[partition] == work->session[record];
}

bool worker_quiet(const struct pay_worker *w) {
    if (w->settling != NULL || w->settle_in_flight || w->publishing_count > 0) return false;
    if (w->filling != NULL && w->filling->batch.count > 0) return false;
    if (!w->connected || !w->agreed) return true; /* can't settle anything: waiting would help nobody */
    for (uint32_t i = 0; i < w->lane_count; i++) {
        const struct pay_lane *lane = &w->lanes[i];
        if (lane->state == PAY_LANE_OPEN && (lane->unreplied > 0 || pay_lane_rest_due(lane))) return false;
    }
    return true;
}

uint32_t worker_random(struct pay_worker *w) {
    uint32_t random;
    w->options.random(w->options.argument, &random, sizeof random);
    return random;
}

void worker_log(struct pay_worker *w, enum pay_worker_log level, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    w->options.log(w->options.argument, level, text);
}
