/* The judge looks on while it happens: every reply that is appended, every settle that commits. */
#include "demanded.h"
#include "history.h"
#include "history_private.h"

#include "core/request.h" /* pay_record_crc, nothing else */

#include <stdio.h>
#include <string.h>

static bool letter_acknowledged(const struct history *history, int32_t partition, int64_t offset) {
    char position[64];
    snprintf(position, sizeof position, "1-%d-%lld", partition, (long long)offset);
    for (uint32_t p = 0; p < history->broker->partition_count; p++) {
        const struct fake_log *log = history_log(history, TOPIC_DEAD_LETTERS, (int32_t)p);
        for (size_t i = 0; i < log->count; i++) {
            if (log->records[i]->acknowledged && history_header_is(log->records[i], "position", position)) return true;
        }
    }
    return false;
}

static void watch_reply(struct history *history, int32_t partition, const struct fake_record *reply) {
    int64_t source = history_header_number(reply, "source-offset");
    const struct fake_record *record = history_request_at(history, partition, source);
    if (history_is_leftover(history, reply) && source >= history->lanes[partition].processed) {
        history_note_contradiction(history, partition);
        return;
    }
    history_watch_tampered_reply(history, partition, reply);
    if (source >= history->highest_processed[partition])
        history_violate(history, "a reply to 1-%d-%lld before its settle was committed", partition, (long long)source);
    if (history_is_blind(history) || record == NULL) return;
    struct asked asked;
    asked_read(partition, record, &asked);
    if (!demanded_has_reason(history->database, &asked))
        history_violate(history, "a reply to 1-%d-%lld without a reason on file", partition, (long long)source);
    if (asked.invalid != NULL && !letter_acknowledged(history, partition, source))
        history_violate(history, "a reply to 1-%d-%lld before its dead letter was acknowledged", partition,
                        (long long)source);
    asked_forget(&asked);
}

static void on_append(void *argument, enum fake_topic_name topic, int32_t partition, const struct fake_record *record) {
    struct history *history = argument;
    if (topic == TOPIC_REPLIES && history_is_our_reply(history, record)) watch_reply(history, partition, record);
}

static void watch_moved(struct history *history, const struct pay_fence *fence) {
    int64_t offset = history_next_request(history, fence->partition, fence->processed_before);
    while (offset >= 0 && offset < fence->processed_after) {
        struct asked asked;
        asked_read(fence->partition, history_request_at(history, fence->partition, offset), &asked);
        if (!demanded_has_reason(history->database, &asked))
            history_violate(history, "P of partition %d moves over %lld, which has no reason on file", fence->partition,
                            (long long)offset);
        asked_forget(&asked);
        offset = history_next_request(history, fence->partition, offset + 1);
    }
}

static void watch_anchor(struct history *history, const struct pay_fence *fence) {
    const struct fake_log *log = history_log(history, TOPIC_REQUESTS, fence->partition);
    size_t below = fake_log_seek(log, fence->processed_after);
    while (below > 0 && !fake_record_is_request(log->records[below - 1])) below--;
    const struct fake_record *last = below > 0 ? log->records[below - 1] : NULL;
    const struct pay_anchor *anchor = &fence->anchor;
    bool right =
        last == NULL
            ? !anchor->present
            : anchor->present && anchor->offset == last->offset && anchor->timestamp_ms == last->timestamp_ms &&
                  anchor->crc32c == pay_record_crc(last->key, last->key_length, last->value, last->value_length);
    if (!right)
        history_violate(history, "the anchor of partition %d at P %lld isn't the last request below it",
                        fence->partition, (long long)fence->processed_after);
}

static bool names_reply(const struct fake_log *log, const struct pay_fence *fence) {
    const struct fake_record *reply = log == NULL ? NULL : fake_log_find(log, fence->reply_position - 1);
    return reply != NULL && history_header_number(reply, "source-offset") == fence->replied_offset - 1;
}

static void watch_pair(struct history *history, const struct pay_fence *fence) {
    if (fence->replied_offset == 0 && fence->reply_position == 0) return;
    if (!names_reply(history_log(history, TOPIC_REPLIES, fence->partition), fence) &&
        !names_reply(history->lanes[fence->partition].lost_replies, fence))
        history_violate(history, "the pair of partition %d (%lld, %lld) names no such reply", fence->partition,
                        (long long)fence->replied_offset, (long long)fence->reply_position);
}

/* What the fence is for, asked of the rows and not of the fence: who commits owns the lane. */
static void watch_owner(struct history *history, const struct pay_fence *fence) {
    const struct pay_lane_row *row = &fake_database_lane(history->database, fence->partition)->row;
    if (row->owner_epoch != fence->owner_epoch || memcmp(row->owner, fence->owner, sizeof row->owner) != 0)
        history_violate(history, "partition %d was settled by a session that had lost it", fence->partition);
}

static void on_commit(void *argument, const struct fake_commit *commit) {
    struct history *history = argument;
    history_watch_tampered_commit(history, commit);
    for (uint32_t i = 0; i < commit->fence_count; i++) {
        const struct pay_fence *fence = &commit->fences[i];
        int64_t *highest = &history->highest_processed[fence->partition];
        if (fence->processed_after < fence->processed_before ||
            (!history->tampered && fence->processed_after < *highest))
            history_violate(history, "P of partition %d moves back from %lld to %lld", fence->partition,
                            (long long)*highest, (long long)fence->processed_after);
        watch_owner(history, fence);
        if (fence->processed_after > *highest) *highest = fence->processed_after;
        if (history_is_blind(history)) continue;
        if (fence->processed_after > history_log(history, TOPIC_REQUESTS, fence->partition)->end)
            history_violate(history, "P of partition %d moves beyond the log to %lld", fence->partition,
                            (long long)fence->processed_after);
        watch_moved(history, fence);
        watch_anchor(history, fence);
        watch_pair(history, fence);
    }
}

static void on_connect(void *argument, uint32_t worker) {
    struct history *history = argument;
    int64_t *since_us = &history->session_us[worker % HISTORY_WORKERS_MAX];
    if (history->put_back_us != 0 && *since_us <= history->put_back_us) *since_us = history->database->clock->now_us;
}

void history_watch(struct history *history, struct fake_database *database, struct fake_broker *broker) {
    memset(history, 0, sizeof *history);
    history->database = database;
    history->broker = broker;
    history->halt_within_ms = HISTORY_HALT_WITHIN_MS;
    database->on_commit = on_commit;
    database->on_connect = on_connect;
    database->argument = history;
    broker->on_append = on_append;
    broker->argument = history;
}

void history_free(struct history *history) {
    if (history->database != NULL) history->database->on_commit = NULL;
    if (history->database != NULL) history->database->on_connect = NULL;
    if (history->broker != NULL) history->broker->on_append = NULL;
    for (uint32_t i = 0; i < FAKE_PARTITIONS_MAX; i++) {
        fake_log_free_copy(history->lanes[i].requests);
        fake_log_free_copy(history->lanes[i].lost_replies);
    }
}
