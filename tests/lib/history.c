#include "history.h"

#include "demanded.h"
#include "history_private.h"

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

const struct fake_log *history_log(const struct history *history, enum fake_topic_name topic, int32_t partition) {
    const struct fake_log *truth = topic == TOPIC_REQUESTS ? history->lanes[partition].requests : NULL;
    return truth != NULL ? truth : fake_broker_log(history->broker, topic, partition);
}

const struct fake_record *history_request_at(const struct history *history, int32_t partition, int64_t offset) {
    const struct fake_record *record = fake_log_find(history_log(history, TOPIC_REQUESTS, partition), offset);
    return record != NULL && fake_record_is_request(record) ? record : NULL;
}
/* ---- one reply against its request ---- */

bool history_header_is(const struct fake_record *record, const char *name, const char *text) {
    const struct pay_header *header = fake_record_header(record, name);
    return header != NULL && header->value != NULL && header->length == strlen(text) &&
           memcmp(header->value, text, header->length) == 0;
}

int64_t history_header_number(const struct fake_record *record, const char *name) {
    const struct pay_header *header = fake_record_header(record, name);
    return header == NULL || header->value == NULL || header->length == 0 ? -1 : strtoll(header->value, NULL, 10);
}

bool history_is_our_reply(const struct history *history, const struct fake_record *record) {
    return !record->control && history_header_number(record, "source-offset") >= 0 &&
           history_header_is(record, "ledger-id", history->database->tables.ledger.ledger_id);
}

static void judge_headers(struct history *history, const struct asked *asked, const struct demanded *demanded,
                          const struct fake_record *reply) {
    char text[128], time[40];
    snprintf(text, sizeof text, "pay.requests/1-%d-%lld", asked->partition, (long long)asked->offset);
    bool fine = history_header_is(reply, "ce_id", text) && history_header_is(reply, "ce_specversion", "1.0") &&
                history_header_is(reply, "content-type", "application/json") &&
                history_header_is(reply, "log-generation", "1") && fake_record_header(reply, "ce_source") != NULL;
    snprintf(text, sizeof text, "paybuf.payment.%s", demanded->outcome);
    demanded_time_text(demanded_decided_at(history->database, asked, demanded), time);
    fine = fine && history_header_is(reply, "ce_type", text) && history_header_is(reply, "ce_time", time);
    if (asked->has_traceparent) fine = fine && history_header_is(reply, "traceparent", asked->traceparent);
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

int64_t history_next_request(const struct history *history, int32_t partition, int64_t offset) {
    const struct fake_log *log = history_log(history, TOPIC_REQUESTS, partition);
    for (size_t i = fake_log_seek(log, offset); i < log->count && log->records[i]->offset < fake_log_stable(log); i++) {
        if (fake_record_is_request(log->records[i])) return log->records[i]->offset;
    }
    return -1;
}

bool history_reply_marks(const struct history *history, const struct fake_record *record, int64_t *ret_source,
                         int64_t *ret_covers) {
    if (!history_is_our_reply(history, record)) return false;
    *ret_source = history_header_number(record, "source-offset");
    *ret_covers = history_header_number(record, "covers-from");
    return true;
}

/* Replies of lost commits aside: the ledger halts because of them, or nobody sees them any more. */
static bool is_followed(const struct history *history, int32_t partition, const struct fake_record *reply) {
    return history_is_our_reply(history, reply) &&
           (history_is_excused(history, partition) || !history_is_forgotten(history, partition, reply));
}

/* What a reader from 0 has when it has read the whole reply log. */
static int64_t followed_to(const struct history *history, int32_t partition) {
    const struct fake_log *log = history_log(history, TOPIC_REPLIES, partition);
    struct follower follower = {.started = true, .synced = true};
    for (size_t i = 0; i < log->count && log->records[i]->offset < log->high_watermark; i++) {
        if (is_followed(history, partition, log->records[i]))
            follow(&follower, history_header_number(log->records[i], "source-offset"),
                   history_header_number(log->records[i], "covers-from"));
    }
    return follower.next;
}

/* Reads only what is new since the last call. */
static int64_t follow_on(struct history *history, int32_t partition) {
    const struct fake_log *log = history_log(history, TOPIC_REPLIES, partition);
    struct follower *follower = &history->followers[partition];
    size_t *read = &history->followed[partition];
    bool excused = history_is_excused(history, partition); /* then replies count that were passed over before */
    if (history->cuts_seen[partition] != log->cuts || history->followed_excused[partition] != excused || *read == 0) {
        history->cuts_seen[partition] = log->cuts;
        history->followed_excused[partition] = excused;
        *follower = (struct follower){.started = true, .synced = true};
        *read = 0;
    }
    for (; *read < log->count && log->records[*read]->offset < log->high_watermark; (*read)++) {
        const struct fake_record *reply = log->records[*read];
        if (is_followed(history, partition, reply))
            follow(follower, history_header_number(reply, "source-offset"),
                   history_header_number(reply, "covers-from"));
    }
    return follower->next;
}

bool history_all_answered(struct history *history, int32_t partition) {
    return history_next_request(history, partition, follow_on(history, partition)) < 0;
}

bool history_finished(struct history *history, int32_t partition) {
    char why[96];
    const struct fake_lane *lane = fake_database_lane(history->database, partition);
    const struct fake_log *log = fake_broker_log(history->broker, TOPIC_REQUESTS, partition);
    bool at_end = lane != NULL && lane->row.next_offset >= log->high_watermark;
    bool may_halt = history->lanes[partition].tampered != TAMPERED_NOT || history->database->tables.ledger.halted ||
                    (lane != NULL && lane->row.halted != PAY_HALT_NONE);
    if (!at_end && !may_halt) return false;
    return history_unfinished(history, partition, follow_on(history, partition), why) == NULL;
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
                        (long long)history_header_number(reply, "source-offset"), (int)first->value_length,
                        (const char *)first->value, (int)reply->value_length, (const char *)reply->value);
}

static void judge_taken(struct history *history, int32_t partition, int64_t before, int64_t source,
                        const struct fake_record *reply) {
    int64_t due = history_next_request(history, partition, before);
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
    int64_t source = history_header_number(reply, "source-offset"),
            covers = history_header_number(reply, "covers-from"), before = follower->next;
    if (covers < 0 || covers > source)
        history_violate(history, "reply to 1-%d-%lld covers from %lld", partition, (long long)source,
                        (long long)covers);
    switch (follow(follower, source, covers)) {
    case FOLLOWER_DROPS: break;
    case FOLLOWER_TAKES:
        if (!history_is_blind(history)) judge_taken(history, partition, before, source, reply);
        break;
    case FOLLOWER_ALARMS:
        history->gaps++;
        if (!history->gaps_allowed && !history_readers_excused(history, partition))
            history_violate(history, "a gap in partition %d: reply to %lld covers from %lld, the reader is at %lld",
                            partition, (long long)source, (long long)covers, (long long)before);
        break;
    }
}

/* What was told by replies that were cut off later: nobody may be told otherwise. */
static void remember_lost_replies(const struct history *history, int32_t partition, const struct fake_record **first,
                                  size_t known) {
    const struct fake_log *lost = history->lanes[partition].lost_replies;
    for (size_t i = 0; lost != NULL && i < lost->count; i++) {
        if (!history_is_our_reply(history, lost->records[i])) continue;
        size_t source = (size_t)history_header_number(lost->records[i], "source-offset");
        if (source < known && first[source] == NULL) first[source] = lost->records[i];
    }
}

/* The whole reply log of a partition. */
static void judge_reply_log(struct history *history, int32_t partition) {
    const struct fake_log *log = history_log(history, TOPIC_REPLIES, partition);
    struct follower follower = {.started = true, .synced = true};
    size_t known = (size_t)history_log(history, TOPIC_REQUESTS, partition)->end + 1;
    const struct fake_record **first = calloc(known, sizeof(struct fake_record *));
    assert(first != NULL);
    remember_lost_replies(history, partition, first, known);
    for (size_t i = 0; i < log->count; i++) {
        const struct fake_record *reply = log->records[i];
        if (!history_is_our_reply(history, reply) || history_is_excused(history, partition)) continue;
        bool forgotten = history_is_forgotten(history, partition, reply);
        if (forgotten && reply->offset < log->start) continue; /* no comparison could see it */
        size_t source = (size_t)history_header_number(reply, "source-offset");
        if (source < known && first[source] != NULL)
            judge_copy(history, partition, first[source], reply);
        else if (source < known)
            first[source] = reply;
        if (!forgotten) judge_step(history, partition, &follower, reply);
    }
    free(first);
}

/* E0 of a reader that looks at this time. The earliest is the hardest: right after the reply before its start landed. */
static int64_t request_end_at(const struct history *history, int32_t partition, int64_t at_us) {
    const struct fake_log *log = history_log(history, TOPIC_REQUESTS, partition);
    int64_t end = 0;
    for (size_t i = 0; i < log->count && log->records[i]->appended_us <= at_us; i++) end = log->records[i]->offset + 1;
    return end;
}

/* Whoever starts in the middle must end where the others end, once it is past its E0 (before, it takes whatever comes). */
static void judge_late_readers(struct history *history, int32_t partition) {
    const struct fake_log *log = history_log(history, TOPIC_REPLIES, partition);
    int64_t end = followed_to(history, partition);
    size_t every = 1 + log->count / LATE_READERS;
    for (size_t start = 0; start < log->count; start += every) {
        struct follower follower = {
            .sync_at = start == 0 ? 0 : request_end_at(history, partition, log->records[start - 1]->appended_us)};
        for (size_t i = start; i < log->count; i++) {
            if (is_followed(history, partition, log->records[i]))
                follow(&follower, history_header_number(log->records[i], "source-offset"),
                       history_header_number(log->records[i], "covers-from"));
        }
        if (follower.synced && follower.next != end && !history->gaps_allowed)
            history_violate(history, "a reader of partition %d that starts at reply %lld stops at %lld instead of %lld",
                            partition, (long long)log->records[start]->offset, (long long)follower.next,
                            (long long)end);
    }
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
        if (!history_is_blind(history) && !history_readers_excused(history, (int32_t)i))
            judge_late_readers(history, (int32_t)i);
    }
    history_judge_books(history);
    history_judge_halts(history);
    judge_complaints(history, "the database", &history->database->complaints);
    judge_complaints(history, "the broker", &history->broker->complaints);
    return history->violation_count == 0;
}

bool history_judge_complete(struct history *history) {
    history_judge(history);
    for (uint32_t i = 0; i < history->broker->partition_count; i++) {
        char text[96];
        const char *why = history_unfinished(history, (int32_t)i, followed_to(history, (int32_t)i), text);
        if (why != NULL) history_violate(history, "partition %u: %s", i, why);
    }
    return history->violation_count == 0;
}
