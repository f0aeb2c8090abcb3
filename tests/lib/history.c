#include "history.h"

#include "demanded.h"

#include "core/request.h" /* pay_record_crc, nothing else */

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void history_violate(struct history *history, const char *format, ...) {
    if (history->violation_count < HISTORY_VIOLATIONS_MAX) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(history->violations[history->violation_count], sizeof history->violations[0], format, arguments);
        va_end(arguments);
    }
    history->violation_count++;
}

void history_print(const struct history *history) {
    fprintf(stderr, "%u violation(s)\n", history->violation_count);
    for (uint32_t i = 0; i < history->violation_count && i < HISTORY_VIOLATIONS_MAX; i++)
        fprintf(stderr, "  %s\n", history->violations[i]);
}
static const struct fake_log *log_of(const struct history *history, enum fake_topic_name topic, int32_t partition) {
    return fake_broker_log(history->broker, topic, partition);
}

const struct fake_record *history_request_at(const struct history *history, int32_t partition, int64_t offset) {
    const struct fake_record *record = fake_log_find(log_of(history, TOPIC_REQUESTS, partition), offset);
    return record != NULL && fake_record_is_request(record) ? record : NULL;
}
/* ---- one reply against its request ---- */

static bool header_is(const struct fake_record *record, const char *name, const char *text) {
    const struct pay_header *header = fake_record_header(record, name);
    return header != NULL && header->value != NULL && header->length == strlen(text) &&
           memcmp(header->value, text, header->length) == 0;
}

static int64_t header_number(const struct fake_record *record, const char *name) {
    const struct pay_header *header = fake_record_header(record, name);
    return header == NULL || header->value == NULL || header->length == 0 ? -1 : strtoll(header->value, NULL, 10);
}

static bool is_our_reply(const struct history *history, const struct fake_record *record) {
    return !record->control && header_number(record, "source-offset") >= 0 &&
           header_is(record, "ledger-id", history->database->tables.ledger.ledger_id);
}

static void judge_headers(struct history *history, const struct asked *asked, const struct demanded *demanded,
                          const struct fake_record *reply) {
    char text[128], time[40];
    snprintf(text, sizeof text, "pay.requests/1-%d-%lld", asked->partition, (long long)asked->offset);
    bool fine = header_is(reply, "ce_id", text) && header_is(reply, "ce_specversion", "1.0") &&
                header_is(reply, "content-type", "application/json") && header_is(reply, "log-generation", "1") &&
                fake_record_header(reply, "ce_source") != NULL;
    snprintf(text, sizeof text, "paybuf.payment.%s", demanded->outcome);
    demanded_time_text(demanded_decided_at(history->database, asked, demanded), time);
    fine = fine && header_is(reply, "ce_type", text) && header_is(reply, "ce_time", time);
    if (asked->has_traceparent) fine = fine && header_is(reply, "traceparent", asked->traceparent);
    bool key_fine = asked->key[0] == '\0' ? reply->key == NULL
                                          : reply->key != NULL && reply->key_length == strlen(asked->key) &&
                                                memcmp(reply->key, asked->key, reply->key_length) == 0;
    if (!fine)
        history_violate(history, "reply to 1-%d-%lld: its headers aren't what they should be", asked->partition,
                        (long long)asked->offset);
    if (!key_fine)
        history_violate(history, "reply to 1-%d-%lld: its key isn't the request's", asked->partition,
                        (long long)asked->offset);
}

/* With what was seen for certain, or with what the same batch may have shown of other partitions. */
static void judge_reply(struct history *history, const struct asked *asked, const struct fake_record *reply) {
    const struct fake_commit *commit = demanded_settled_by(history->database, asked->partition, asked->offset);
    if (commit == NULL) {
        history_violate(history, "reply to 1-%d-%lld, which no settle covers", asked->partition,
                        (long long)asked->offset);
        return;
    }
    char *certain_text, *maybe_text;
    struct demanded certain = demanded_of(history->database, asked, commit, false),
                    maybe = demanded_of(history->database, asked, commit, true);
    bool by_certain = demanded_agrees(history->database, asked, &certain, reply, &certain_text),
         by_maybe = demanded_agrees(history->database, asked, &maybe, reply, &maybe_text);
    if (by_certain || by_maybe) {
        judge_headers(history, asked, by_certain ? &certain : &maybe, reply);
    } else {
        history_violate(history, "reply to 1-%d-%lld (%s) is %.*s", asked->partition, (long long)asked->offset,
                        maybe_text != NULL ? maybe_text : "rows that contradict it", (int)reply->value_length,
                        (const char *)reply->value);
    }
    free(certain_text);
    free(maybe_text);
}
/* ---- readers ---- */

#define LATE_READERS 60 /* of one log, spread over it */

enum follower_move { FOLLOWER_DROPS, FOLLOWER_TAKES, FOLLOWER_ALARMS };

static enum follower_move follow(struct follower *follower, int64_t source, int64_t covers) {
    if (follower->started && source < follower->next) return FOLLOWER_DROPS;
    if (follower->started && covers > follower->next && follower->synced) return FOLLOWER_ALARMS;
    follower->started = true;
    follower->next = source + 1;
    if (source >= follower->sync_at) follower->synced = true;
    return FOLLOWER_TAKES;
}

static int64_t first_request_at_or_after(const struct history *history, int32_t partition, int64_t offset) {
    const struct fake_log *log = log_of(history, TOPIC_REQUESTS, partition);
    for (size_t i = fake_log_seek(log, offset); i < log->count && log->records[i]->offset < fake_log_stable(log); i++) {
        if (fake_record_is_request(log->records[i])) return log->records[i]->offset;
    }
    return -1;
}

/* What a reader from 0 has when it has read the whole reply log. */
static int64_t followed_to(const struct history *history, int32_t partition) {
    const struct fake_log *log = log_of(history, TOPIC_REPLIES, partition);
    struct follower follower = {.started = true, .synced = true};
    for (size_t i = 0; i < log->count && log->records[i]->offset < log->high_watermark; i++) {
        if (is_our_reply(history, log->records[i]))
            follow(&follower, header_number(log->records[i], "source-offset"),
                   header_number(log->records[i], "covers-from"));
    }
    return follower.next;
}

bool history_all_answered(struct history *history, int32_t partition) {
    const struct fake_log *log = log_of(history, TOPIC_REPLIES, partition);
    struct follower *follower = &history->followers[partition];
    size_t *read = &history->followed[partition];
    if (*read > log->count || *read == 0) { /* it was cut */
        *follower = (struct follower){.started = true, .synced = true};
        *read = 0;
    }
    for (; *read < log->count && log->records[*read]->offset < log->high_watermark; (*read)++) {
        const struct fake_record *reply = log->records[*read];
        if (is_our_reply(history, reply))
            follow(follower, header_number(reply, "source-offset"), header_number(reply, "covers-from"));
    }
    return first_request_at_or_after(history, partition, follower->next) < 0;
}

static bool same_bytes(const void *a, size_t a_length, const void *b, size_t b_length) {
    return (a == NULL) == (b == NULL) && a_length == b_length && (a_length == 0 || memcmp(a, b, a_length) == 0);
}

static void judge_copy(struct history *history, int32_t partition, const struct fake_record *first,
                       const struct fake_record *reply) {
    history->copies++;
    if (!same_bytes(first->key, first->key_length, reply->key, reply->key_length) ||
        !same_bytes(first->value, first->value_length, reply->value, reply->value_length))
        history_violate(history, "two replies to 1-%d-%lld differ: %.*s and %.*s", partition,
                        (long long)header_number(reply, "source-offset"), (int)first->value_length,
                        (const char *)first->value, (int)reply->value_length, (const char *)reply->value);
}

static void judge_taken(struct history *history, int32_t partition, int64_t before, int64_t source,
                        const struct fake_record *reply) {
    int64_t due = first_request_at_or_after(history, partition, before);
    if (due >= 0 && due < source)
        history_violate(history, "a reader of partition %d skips request %lld: the reply to %lld covers it", partition,
                        (long long)due, (long long)source);
    const struct fake_record *record = history_request_at(history, partition, source);
    if (record == NULL) {
        history_violate(history, "reply to 1-%d-%lld, which is no request", partition, (long long)source);
        return;
    }
    struct asked asked;
    asked_read(partition, record, &asked);
    judge_reply(history, &asked, reply);
    asked_forget(&asked);
}

/* The next reply in the log, as a reader from 0 meets it. */
static void judge_step(struct history *history, int32_t partition, struct follower *follower,
                       const struct fake_record *reply) {
    int64_t source = header_number(reply, "source-offset"), covers = header_number(reply, "covers-from"),
            before = follower->next;
    if (covers < 0 || covers > source)
        history_violate(history, "reply to 1-%d-%lld covers from %lld", partition, (long long)source,
                        (long long)covers);
    switch (follow(follower, source, covers)) {
    case FOLLOWER_DROPS: break;
    case FOLLOWER_TAKES:
        if (!history->tampered) judge_taken(history, partition, before, source, reply);
        break;
    case FOLLOWER_ALARMS:
        history->gaps++;
        if (!history->gaps_allowed)
            history_violate(history, "a gap in partition %d: reply to %lld covers from %lld, the reader is at %lld",
                            partition, (long long)source, (long long)covers, (long long)before);
        break;
    }
}

/* The whole reply log of a partition. */
static void judge_reply_log(struct history *history, int32_t partition) {
    const struct fake_log *log = log_of(history, TOPIC_REPLIES, partition);
    struct follower follower = {.started = true, .synced = true};
    size_t known = (size_t)log_of(history, TOPIC_REQUESTS, partition)->end + 1;
    const struct fake_record **first = calloc(known, sizeof(struct fake_record *));
    assert(first != NULL);
    for (size_t i = 0; i < log->count; i++) {
        const struct fake_record *reply = log->records[i];
        if (!is_our_reply(history, reply)) continue;
        size_t source = (size_t)header_number(reply, "source-offset");
        if (source < known && first[source] != NULL)
            judge_copy(history, partition, first[source], reply);
        else if (source < known)
            first[source] = reply;
        judge_step(history, partition, &follower, reply);
    }
    free(first);
}

/* E0 of a reader that looks at this time. The earliest is the hardest: right after the reply before its start landed. */
static int64_t request_end_at(const struct history *history, int32_t partition, int64_t at_us) {
    const struct fake_log *log = log_of(history, TOPIC_REQUESTS, partition);
    int64_t end = 0;
    for (size_t i = 0; i < log->count && log->records[i]->appended_us <= at_us; i++) end = log->records[i]->offset + 1;
    return end;
}

/* Whoever starts in the middle must end where the others end, once it is past its E0 (before, it takes whatever comes). */
static void judge_late_readers(struct history *history, int32_t partition) {
    const struct fake_log *log = log_of(history, TOPIC_REPLIES, partition);
    int64_t end = followed_to(history, partition);
    size_t every = 1 + log->count / LATE_READERS;
    for (size_t start = 0; start < log->count; start += every) {
        struct follower follower = {
            .sync_at = start == 0 ? 0 : request_end_at(history, partition, log->records[start - 1]->appended_us)};
        for (size_t i = start; i < log->count; i++) {
            if (is_our_reply(history, log->records[i]))
                follow(&follower, header_number(log->records[i], "source-offset"),
                       header_number(log->records[i], "covers-from"));
        }
        if (follower.synced && follower.next != end && !history->gaps_allowed)
            history_violate(history, "a reader of partition %d that starts at reply %lld stops at %lld instead of %lld",
                            partition, (long long)log->records[start]->offset, (long long)follower.next,
                            (long long)end);
    }
}
/* ---- while it happens ---- */

static bool letter_acknowledged(const struct history *history, int32_t partition, int64_t offset) {
    char position[64];
    snprintf(position, sizeof position, "1-%d-%lld", partition, (long long)offset);
    for (uint32_t p = 0; p < history->broker->partition_count; p++) {
        const struct fake_log *log = log_of(history, TOPIC_DEAD_LETTERS, (int32_t)p);
        for (size_t i = 0; i < log->count; i++) {
            if (log->records[i]->acknowledged && header_is(log->records[i], "position", position)) return true;
        }
    }
    return false;
}

static void watch_reply(struct history *history, int32_t partition, const struct fake_record *reply) {
    int64_t source = header_number(reply, "source-offset");
    const struct fake_record *record = history_request_at(history, partition, source);
    if (source >= history->highest_processed[partition])
        history_violate(history, "a reply to 1-%d-%lld before its settle was committed", partition, (long long)source);
    if (history->tampered || record == NULL) return;
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
    if (topic == TOPIC_REPLIES && is_our_reply(history, record)) watch_reply(history, partition, record);
}

static void watch_moved(struct history *history, const struct pay_fence *fence) {
    int64_t offset = first_request_at_or_after(history, fence->partition, fence->processed_before);
    while (offset >= 0 && offset < fence->processed_after) {
        struct asked asked;
        asked_read(fence->partition, history_request_at(history, fence->partition, offset), &asked);
        if (!demanded_has_reason(history->database, &asked))
            history_violate(history, "P of partition %d moves over %lld, which has no reason on file", fence->partition,
                            (long long)offset);
        asked_forget(&asked);
        offset = first_request_at_or_after(history, fence->partition, offset + 1);
    }
}

static void watch_anchor(struct history *history, const struct pay_fence *fence) {
    const struct fake_log *log = log_of(history, TOPIC_REQUESTS, fence->partition);
    const struct fake_record *last = NULL;
    for (size_t i = 0; i < log->count && log->records[i]->offset < fence->processed_after; i++) {
        if (fake_record_is_request(log->records[i])) last = log->records[i];
    }
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

static void watch_pair(struct history *history, const struct pay_fence *fence) {
    if (fence->replied_offset == 0 && fence->reply_position == 0) return;
    const struct fake_record *reply =
        fake_log_find(log_of(history, TOPIC_REPLIES, fence->partition), fence->reply_position - 1);
    if (reply == NULL || header_number(reply, "source-offset") != fence->replied_offset - 1)
        history_violate(history, "the pair of partition %d (%lld, %lld) names no such reply", fence->partition,
                        (long long)fence->replied_offset, (long long)fence->reply_position);
}

static void on_commit(void *argument, const struct fake_commit *commit) {
    struct history *history = argument;
    for (uint32_t i = 0; i < commit->fence_count; i++) {
        const struct pay_fence *fence = &commit->fences[i];
        int64_t *highest = &history->highest_processed[fence->partition];
        if (fence->processed_after < fence->processed_before)
            history_violate(history, "P of partition %d moves back from %lld to %lld", fence->partition,
                            (long long)fence->processed_before, (long long)fence->processed_after);
        if (fence->processed_after > *highest) *highest = fence->processed_after;
        if (history->tampered) continue;
        if (fence->processed_after > log_of(history, TOPIC_REQUESTS, fence->partition)->end)
            history_violate(history, "P of partition %d moves beyond the log to %lld", fence->partition,
                            (long long)fence->processed_after);
        watch_moved(history, fence);
        watch_anchor(history, fence);
        watch_pair(history, fence);
    }
}

void history_watch(struct history *history, struct fake_database *database, struct fake_broker *broker) {
    memset(history, 0, sizeof *history);
    history->database = database;
    history->broker = broker;
    database->on_commit = on_commit;
    database->argument = history;
    broker->on_append = on_append;
    broker->argument = history;
}

void history_free(struct history *history) {
    if (history->database != NULL) history->database->on_commit = NULL;
    if (history->broker != NULL) history->broker->on_append = NULL;
}

/* ---- the judgement ---- */

static void judge_complaints(struct history *history, const char *who, const struct fault_complaints *complaints) {
    for (uint32_t i = 0; i < complaints->count && i < FAULT_COMPLAINTS_MAX; i++)
        history_violate(history, "%s complains: %s", who, complaints->text[i]);
}

bool history_judge(struct history *history) {
    history->gaps = history->copies = 0;
    for (uint32_t i = 0; i < history->broker->partition_count; i++) {
        judge_reply_log(history, (int32_t)i);
        if (!history->tampered) judge_late_readers(history, (int32_t)i);
    }
    history_judge_books(history);
    judge_complaints(history, "the database", &history->database->complaints);
    judge_complaints(history, "the broker", &history->broker->complaints);
    return history->violation_count == 0;
}

bool history_judge_complete(struct history *history) {
    history_judge(history);
    for (uint32_t i = 0; i < history->broker->partition_count; i++) {
        int64_t missing = first_request_at_or_after(history, (int32_t)i, followed_to(history, (int32_t)i));
        if (missing >= 0)
            history_violate(history, "partition %u: request %lld has no reply that a reader takes", i,
                            (long long)missing);
    }
    return history->violation_count == 0;
}
