/* Leader changes: a tail that no follower has, and a new leader that doesn't know yet how far its log is replicated. */
#include "fake_broker.h"
#include "fake_broker_private.h"

#include <stdlib.h>
#include <string.h>

static void due_at(struct fake_broker *broker, int64_t us) {
    if (us < broker->leaders_due_us) broker->leaders_due_us = us;
}

void fake_log_begin_tail(struct fake_broker *broker, struct fake_log *log, int64_t lives_ms) {
    if (log->tail_until_us != 0) return;
    log->tail_until_us = broker->clock->now_us + lives_ms * 1000;
    log->states_before_tail_count = log->state_count;
    log->states_before_tail =
        fake_broker_must(realloc(log->states_before_tail, (log->state_count + 1) * sizeof *log->states));
    if (log->state_count > 0) memcpy(log->states_before_tail, log->states, log->state_count * sizeof *log->states);
    due_at(broker, log->tail_until_us);
}

bool fake_broker_elect(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition, int64_t lives_ms,
                       int64_t stale_by, int64_t stale_ms) {
    struct fake_log *log = fake_broker_log(broker, topic, partition);
    if (log->tail_until_us != 0 || log->stale_watermark >= 0) return false;
    log->tail_stale_by = stale_by;
    log->tail_stale_ms = stale_ms;
    fake_log_begin_tail(broker, log, lives_ms);
    return true;
}

static void lose_tail(struct fake_broker *broker, struct fake_log *log) {
    fake_log_cut(log, log->high_watermark);
    fake_log_forget_producers(log);
    log->states = log->states_before_tail;
    log->state_count = log->states_before_tail_count;
    log->states_before_tail = NULL;
    log->states_before_tail_count = 0;
    log->tail_until_us = 0;
    if (log->tail_stale_ms == 0) return;
    log->stale_watermark = log->high_watermark - log->tail_stale_by;
    if (log->stale_watermark < log->start) log->stale_watermark = log->start;
    log->stale_until_us = broker->clock->now_us + log->tail_stale_ms * 1000;
    log->tail_stale_by = log->tail_stale_ms = 0;
}

void fake_broker_run_leaders(struct fake_broker *broker) {
    int64_t now = broker->clock->now_us;
    if (now < broker->leaders_due_us) return;
    broker->leaders_due_us = INT64_MAX;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        for (uint32_t i = 0; i < broker->partition_count; i++) {
            struct fake_log *log = &broker->topics[topic].logs[i];
            if (log->tail_until_us != 0 && log->tail_until_us <= now) {
                lose_tail(broker, log);
                trace_event(broker->trace, TRACE_CUT, 0, 0, topic, i, log->end);
            }
            if (log->stale_watermark >= 0 && log->stale_until_us <= now) log->stale_watermark = -1;
            if (log->tail_until_us != 0) due_at(broker, log->tail_until_us);
            if (log->stale_watermark >= 0) due_at(broker, log->stale_until_us);
        }
    }
}

int64_t fake_log_visible(const struct fake_log *log) {
    bool stale = log->stale_watermark >= 0 && log->stale_watermark < log->high_watermark;
    return stale ? log->stale_watermark : log->high_watermark;
}

void fake_log_told(struct fake_log *log, int64_t told, int64_t now_us) {
    if (told >= log->high_watermark) return;
    if (log->told_stale_first_us == 0) log->told_stale_first_us = now_us;
    log->told_stale_last_us = now_us;
}
