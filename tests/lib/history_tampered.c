/* What the judge demands after somebody has changed the past: history.h has the list. */
#include "asked.h"
#include "history.h"
#include "history_private.h"

#include <stdio.h>
#include <string.h>

#define REPLIES_ON_THE_WIRE_US 10000000 /* PROTOCOL 1: how long the comparison waits for them */
#define TWO_LOOKS_APART_US 10000000

/* ---- what is done ---- */

static void remember_row(struct history *history, int32_t partition) {
    const struct fake_lane *row = fake_database_lane(history->database, partition);
    struct history_lane *lane = &history->lanes[partition];
    lane->processed = row == NULL ? 0 : row->row.next_offset;
    lane->reply_position = row == NULL ? 0 : row->row.reply_position;
    lane->owner_epoch = row == NULL ? 0 : row->row.owner_epoch;
}

static void note_put_back(struct history *history) {
    history->put_back_us = history->database->clock->now_us;
    for (int32_t p = 0; p < (int32_t)history->broker->partition_count; p++) {
        struct history_lane *lane = &history->lanes[p];
        lane->tampered = TAMPERED_DATABASE_PUT_BACK;
        lane->since_us = history->put_back_us;
        remember_row(history, p);
        history->highest_processed[p] = lane->processed;
        const struct fake_log *log = fake_broker_log(history->broker, TOPIC_REPLIES, p);
        for (size_t i = 0; i < log->count; i++) {
            if (history_is_our_reply(history, log->records[i]) &&
                history_header_number(log->records[i], "source-offset") >= lane->processed)
                history->contradicted = true;
        }
    }
}

bool history_tamper(struct history *history, enum history_tampering what, int32_t partition) {
    struct history_lane *lane = &history->lanes[partition];
    bool again = history->tampered && (what == TAMPERED_DATABASE_PUT_BACK || lane->tampered != TAMPERED_NOT ||
                                       history->lanes_tampered != what);
    if (again) return false;
    history->tampered = history->exact = true;
    history->lanes_tampered = what;
    if (what == TAMPERED_DATABASE_PUT_BACK) {
        note_put_back(history);
        return true;
    }
    lane->tampered = what;
    lane->since_us = history->database->clock->now_us;
    remember_row(history, partition);
    if (what == TAMPERED_REQUESTS_CUT || what == TAMPERED_REQUESTS_REPLACED)
        lane->requests = fake_log_copy(fake_broker_log(history->broker, TOPIC_REQUESTS, partition));
    if (what == TAMPERED_REPLIES_CUT)
        lane->lost_replies = fake_log_copy(fake_broker_log(history->broker, TOPIC_REPLIES, partition));
    return true;
}

/* ---- a database put back ---- */

bool history_is_leftover(const struct history *history, const struct fake_record *reply) {
    if (history->put_back_us == 0 || reply->made_us == 0) return false;
    int64_t since_us = history->session_us[reply->writer % HISTORY_WORKERS_MAX];
    return since_us <= history->put_back_us || reply->made_us < since_us;
}

void history_note_contradiction(struct history *history, int32_t partition) {
    history->contradicted = true;
    if (history->database->clock->now_us > history->put_back_us + REPLIES_ON_THE_WIRE_US)
        history->lanes[partition].late_leftover = true;
}

bool history_is_forgotten(const struct history *history, int32_t partition, const struct fake_record *reply) {
    const struct history_lane *lane = &history->lanes[partition];
    if (lane->tampered != TAMPERED_DATABASE_PUT_BACK || history_header_number(reply, "source-offset") < lane->processed)
        return false;
    return reply->appended_us <= history->put_back_us || history_is_leftover(history, reply);
}

bool history_is_excused(const struct history *history, int32_t partition) {
    const struct fake_log *log = fake_broker_log(history->broker, TOPIC_REPLIES, partition);
    bool misled = history->put_back_us != 0 && log->told_stale_last_us > history->put_back_us;
    return misled || history->lanes[partition].late_leftover;
}

bool history_readers_excused(const struct history *history, int32_t partition) {
    return history->lanes[partition].tampered == TAMPERED_REPLIES_CUT || history_is_excused(history, partition);
}

/* A reply for a lost commit that every comparison with the logs must have seen. */
static bool contradiction_in_lane(const struct history *history, int32_t partition) {
    const struct history_lane *lane = &history->lanes[partition];
    const struct fake_log *log = fake_broker_log(history->broker, TOPIC_REPLIES, partition);
    int64_t from = lane->reply_position > log->start ? lane->reply_position : log->start;
    if (log->told_stale_last_us > history->put_back_us) return false; /* misled: history_is_excused */
    for (size_t i = fake_log_seek(log, from); i < log->count && log->records[i]->offset < log->high_watermark; i++) {
        const struct fake_record *reply = log->records[i];
        if (reply->appended_us > history->put_back_us + REPLIES_ON_THE_WIRE_US) break;
        if (history_is_our_reply(history, reply) && history_header_number(reply, "source-offset") >= lane->processed)
            return true;
    }
    return false;
}

static bool rollback_is_visible(const struct history *history) {
    for (int32_t p = 0; history->put_back_us != 0 && p < (int32_t)history->broker->partition_count; p++) {
        if (contradiction_in_lane(history, p)) return true;
    }
    return false;
}

/* ---- while it goes on ---- */

void history_watch_tampered_commit(struct history *history, const struct fake_commit *commit) {
    const struct fake_database *database = history->database;
    if (database->tables.ledger.halted && database->halted_us != 0 && commit->read_us > database->halted_us)
        history_violate(history, "commit %llu was begun after the ledger had halted",
                        (unsigned long long)commit->number);
    if (rollback_is_visible(history))
        history_violate(history, "commit %llu although the database lost what was answered",
                        (unsigned long long)commit->number);
}

/* Whoever has halted a lane, or the ledger, has nothing more to say there. */
void history_watch_tampered_reply(struct history *history, int32_t partition, const struct fake_record *reply) {
    const struct fake_database *database = history->database;
    const struct fake_lane *lane = fake_database_lane(history->database, partition);
    bool lane_halted = lane != NULL && lane->row.halted != PAY_HALT_NONE && lane->halted_by == reply->writer &&
                       reply->made_us > lane->halted_us;
    bool ledger_halted = database->tables.ledger.halted && database->halted_by == reply->writer &&
                         database->halted_us != 0 && reply->made_us > database->halted_us;
    if (reply->writer != 0 && (lane_halted || ledger_halted))
        history_violate(history, "a reply in partition %d by worker %u, who has halted it", partition, reply->writer);
}

/* ---- the right end of a lane ---- */

static bool has(enum pay_halt halted, enum pay_halt one, enum pay_halt other) {
    return halted != PAY_HALT_NONE && (halted == one || halted == other);
}

/* The next request is the one that the database refuses. */
static bool is_poison(const struct history *history, int32_t partition, int64_t processed) {
    const char *poison = history->database->poison_order;
    int64_t offset = history_next_request(history, partition, processed);
    if (poison == NULL || offset < 0) return false;
    struct asked asked;
    asked_read(partition, history_request_at(history, partition, offset), &asked);
    bool same = asked.invalid == NULL && strcmp(asked.order_id, poison) == 0;
    asked_forget(&asked);
    return same;
}

static bool told_stale_twice(const struct history *history, enum fake_topic_name topic, int32_t partition) {
    const struct fake_log *log = fake_broker_log(history->broker, topic, partition);
    return log->told_stale_first_us != 0 && log->told_stale_last_us - log->told_stale_first_us >= TWO_LOOKS_APART_US;
}

/* A halt that is right whatever was done to the lane. */
static bool halted_by_rule(const struct history *history, int32_t partition, const struct pay_lane_row *row) {
    switch (row->halted) {
    case PAY_HALT_POISON: return is_poison(history, partition, row->next_offset);
    case PAY_HALT_LOG_TRUNCATED: return told_stale_twice(history, TOPIC_REQUESTS, partition);
    case PAY_HALT_REPLY_LOG_TRUNCATED: return told_stale_twice(history, TOPIC_REPLIES, partition);
    default: return false;
    }
}

static bool reader_meets_gap(const struct history *history, int32_t partition, int64_t next) {
    const struct fake_log *log = fake_broker_log(history->broker, TOPIC_REPLIES, partition);
    for (size_t i = 0; i < log->count; i++) {
        if (history_is_our_reply(history, log->records[i]) &&
            history_header_number(log->records[i], "covers-from") > next)
            return true;
    }
    return false;
}

/* The reply log is as long again as any row can know it: no claim can see what is missing, the next reply will be a gap. */
static bool overgrown(const struct history *history, int32_t partition) {
    return fake_broker_log(history->broker, TOPIC_REPLIES, partition)->high_watermark >=
           history->lanes[partition].lost_replies->high_watermark;
}

/* The halt that is due there and is there, or what makes it needless. */
static bool stands_right(const struct history *history, int32_t partition, const struct pay_lane_row *row, int64_t next,
                         bool complete) {
    enum pay_halt halted = row->halted;
    int64_t start = fake_broker_log(history->broker, TOPIC_REQUESTS, partition)->start;
    switch (history->lanes[partition].tampered) {
    case TAMPERED_REQUESTS_CUT:
    case TAMPERED_REQUESTS_REPLACED: return has(halted, PAY_HALT_LOG_TRUNCATED, PAY_HALT_LOG_REPLACED);
    case TAMPERED_DATABASE_PUT_BACK: /* retention went by what it knew before */
    case TAMPERED_REQUESTS_EATEN:
        if (halted == PAY_HALT_NONE) return complete;
        if (history->lanes[partition].processed >= start && row->replied_offset >= start) return false;
        return row->next_offset < start ? halted == PAY_HALT_REQUESTS_LOST : halted == PAY_HALT_REPLIES_LOST;
    case TAMPERED_REPLIES_CUT:
        if (halted == PAY_HALT_NONE)
            return complete || reader_meets_gap(history, partition, next) || overgrown(history, partition);
        return halted == PAY_HALT_REPLY_LOG_TRUNCATED;
    case TAMPERED_FOREIGN_LEDGER: return halted == PAY_HALT_NONE ? complete : halted == PAY_HALT_FOREIGN_LEDGER;
    case TAMPERED_OTHER_GROUP:
        return halted == PAY_HALT_NONE && row->owner_epoch == history->lanes[partition].owner_epoch;
    default: return complete && halted == PAY_HALT_NONE;
    }
}

const char *history_unfinished(const struct history *history, int32_t partition, int64_t next, char text[96]) {
    const struct fake_database *database = history->database;
    const struct fake_lane *lane = fake_database_lane((struct fake_database *)(uintptr_t)database, partition);
    const struct pay_ledger_row *ledger = &database->tables.ledger;
    bool rolled_back = ledger->halted && ledger->halted_reason == PAY_HALT_DATABASE_ROLLED_BACK;
    int64_t missing = history_next_request(history, partition, next);
    if (rolled_back && history->contradicted) return NULL;
    if (rollback_is_visible(history)) return "the ledger isn't halted although its database lost what was answered";
    if (lane != NULL && (stands_right(history, partition, &lane->row, next, missing < 0) ||
                         halted_by_rule(history, partition, &lane->row)))
        return NULL;
    if (lane == NULL || lane->row.halted == PAY_HALT_NONE)
        snprintf(text, 96, "request %lld has no reply that a reader takes", (long long)missing);
    else
        snprintf(text, 96, "halted %s, which isn't due", pay_halt_name(lane->row.halted));
    if (history->lanes[partition].requests != NULL && lane != NULL && lane->row.halted == PAY_HALT_NONE)
        snprintf(text, 96, "isn't halted although its log isn't the one it was");
    return text;
}

/* In time, and the ledger only for a reason. */
void history_judge_halts(struct history *history) {
    const struct fake_database *database = history->database;
    for (int32_t p = 0; p < (int32_t)history->broker->partition_count; p++) {
        const struct fake_lane *row = fake_database_lane(history->database, p);
        const struct history_lane *lane = &history->lanes[p];
        if (row == NULL || row->row.halted == PAY_HALT_NONE || lane->tampered == TAMPERED_NOT) continue;
        if (row->halted_us > lane->since_us + history->halt_within_ms * 1000)
            history_violate(history, "partition %d halted after %lld ms", p,
                            (long long)((row->halted_us - lane->since_us) / 1000));
    }
    if (!database->tables.ledger.halted || history_is_blind(history) || database->halted_us == 0) return;
    if (!history->contradicted)
        history_violate(history, "the whole ledger is halted, and the database lost nothing that was answered");
    else if (database->halted_us > history->put_back_us + history->halt_within_ms * 1000)
        history_violate(history, "the ledger halted after %lld ms",
                        (long long)((database->halted_us - history->put_back_us) / 1000));
}
