/* The connection, the agreement with the ledger (PROTOCOL 1), and how sessions end: one cure for every trouble. */
#include "worker/worker_state.h"

#include <stdio.h>

#define CONNECT_BACKOFF_MS 100
#define CONNECT_BACKOFF_MAX_MS 5000
#define LOOK_INTERVAL_MS 100
#define CLAIM_BACKOFF_MS 50
#define CLAIM_BACKOFF_MAX_MS 5000

static void close_slot(struct pay_worker *w, uint32_t slot) {
    if (!w->slot_open[slot]) return;
    w->stream->ops->close_publisher(w->stream, slot);
    w->slot_open[slot] = false;
}

void worker_close_all_slots(struct pay_worker *w) {
    for (uint32_t i = 0; i < PAY_PUBLISHERS_MAX; i++) close_slot(w, i);
}

/* One lane's part of the end of a session. Its records on their way are skipped from now on (worker_current). */
static void end_lane(struct pay_worker *w, struct pay_lane *lane, int64_t claim_at_ms) {
    worker_stop_fetch(w, lane);
    w->session_of[lane->partition]++;
    pay_lane_claim_again(lane, claim_at_ms);
}

static int64_t claim_backoff(struct pay_worker *w, const struct pay_lane *lane) {
    return w->now_ms + (lane->claim_attempts == 0 ? 0
                                                  : pay_backoff_ms(lane->claim_attempts, CLAIM_BACKOFF_MS,
                                                                   CLAIM_BACKOFF_MAX_MS, worker_random(w)));
}

/* The other open lanes of a slot lose their producer with it, and claim again at once. */
static void end_open_lanes(struct pay_worker *w, uint32_t slot) {
    for (uint32_t i = 0; i < w->lane_count; i++) {
        struct pay_lane *lane = &w->lanes[i];
        if (lane->state == PAY_LANE_OPEN && w->slot_of[i] == slot) end_lane(w, lane, claim_backoff(w, lane));
    }
    close_slot(w, slot);
    w->busy = true;
}

void worker_end_slot(struct pay_worker *w, uint32_t slot, const char *why) {
    worker_log(w, PAY_WORKER_WARNING, "reply producer %u is given up (%s); its lanes are claimed again", slot, why);
    w->counters.publishers_lost++;
    end_open_lanes(w, slot);
}

void worker_end_lane(struct pay_worker *w, struct pay_lane *lane, int64_t claim_at_ms, const char *why) {
    worker_log(w, PAY_WORKER_WARNING, "partition %d: session ended (%s); claims again", lane->partition, why);
    end_lane(w, lane, claim_at_ms > w->now_ms ? claim_at_ms : claim_backoff(w, lane));
    end_open_lanes(w, w->slot_of[lane->partition]);
}

void worker_halt_lane(struct pay_worker *w, struct pay_lane *lane, enum pay_halt reason, const char *detail) {
    if (lane->halt != reason) {
        worker_log(w, PAY_WORKER_ERROR, "partition %d halted: %s (%s). %s", lane->partition, pay_halt_name(reason),
                   detail, pay_halt_hint(reason));
        w->counters.halts++;
    }
    bool was_open = lane->state == PAY_LANE_OPEN;
    if (was_open) end_lane(w, lane, w->now_ms);
    pay_lane_halt(lane, reason);
    lane->claim_at_ms = w->now_ms + PAY_SUSPICION_MS; /* a person may lift it: look again */
    if (was_open) end_open_lanes(w, w->slot_of[lane->partition]);
}

static void connect_later(struct pay_worker *w) {
    w->connect_at_ms =
        w->now_ms + pay_backoff_ms(w->connect_attempts++, CONNECT_BACKOFF_MS, CONNECT_BACKOFF_MAX_MS, worker_random(w));
}

void worker_end_session(struct pay_worker *w, const struct pay_error *why) {
    if (w->settle_in_flight) w->ledger->ops->settle_abandon(w->ledger);
    w->settle_in_flight = w->connected = w->agreed = w->comparing = false;
    w->counters.sessions_ended++;
    worker_log(w, PAY_WORKER_WARNING, "session ended (%s%s%s); reconnects and claims again", why->code,
               why->code[0] ? ": " : "", why->text);
    for (uint32_t i = 0; i < w->lane_count; i++)
        if (w->lanes[i].state == PAY_LANE_OPEN) end_lane(w, &w->lanes[i], w->now_ms);
    worker_close_all_slots(w);
    worker_drop_works(w);
    connect_later(w);
    w->busy = true;
}

void worker_halt_ledger(struct pay_worker *w, enum pay_halt reason, const char *detail) {
    struct pay_error error = {0};
    worker_log(w, PAY_WORKER_ERROR, "the whole ledger halted: %s (%s). %s", pay_halt_name(reason), detail,
               pay_halt_hint(reason));
    w->counters.halts++;
    if (w->ledger->ops->halt_ledger(w->ledger, reason, &error) != PAY_OK) {
        worker_end_session(w, &error);
        return;
    }
    error = (struct pay_error){.move = PAY_HALTED, .text = "the ledger is halted"};
    worker_end_session(w, &error);
}

static void fold_reply(void *argument, const struct pay_reply_mark *mark) { pay_claim_reply(argument, mark); }

enum pay_move worker_read_reply_log(struct pay_worker *w, struct pay_claim *claim, int64_t *ret_start, int64_t *ret_end,
                                    struct pay_error *error) {
    int32_t partition = claim->row.partition;
    enum pay_move move = w->stream->ops->reply_bounds(w->stream, partition, ret_start, ret_end, error);
    if (move != PAY_OK) return move;
    int64_t from = pay_claim_scan_from(claim, *ret_start);
    if (from >= *ret_end) return PAY_OK;
    return w->stream->ops->read_replies(w->stream, partition, from, *ret_end, fold_reply, claim, error);
}

static bool same_lanes(const struct pay_lane_row *before, uint32_t count, const struct pay_lane_row *after,
                       uint32_t count_after) {
    if (count != count_after) return false;
    for (uint32_t i = 0; i < count; i++)
        if (before[i].partition != after[i].partition || before[i].log_generation != after[i].log_generation)
            return false;
    return true;
}

/* Is a reply in the log for something that this database hasn't settled? Reply log first, then P; no lock is held. */
static enum pay_move compare_with_logs(struct pay_worker *w, bool *ret_rolled_back, int32_t *ret_partition,
                                       struct pay_error *error) {
    struct pay_lane_row *before = w->rows_before, *after = w->rows_after;
    struct pay_claim *claims = w->comparisons;
    uint32_t count, count_after;
    enum pay_move move = w->ledger->ops->read_rows(w->ledger, before, PAY_LANES_MAX, &count, error);
    for (uint32_t i = 0; move == PAY_OK && i < count; i++) {
        int64_t start, end;
        before[i].next_offset = INT64_MAX; /* judged below, by the P that is read afterwards */
        pay_claim_begin(&claims[i], &before[i]);
        move = worker_read_reply_log(w, &claims[i], &start, &end, error);
    }
    if (move == PAY_OK) move = w->ledger->ops->read_rows(w->ledger, after, PAY_LANES_MAX, &count_after, error);
    if (move != PAY_OK) return move;
    if (!same_lanes(before, count, after, count_after)) return PAY_AGAIN; /* a person raised a generation meanwhile */
    *ret_rolled_back = false;
    for (uint32_t i = 0; i < count; i++)
        if (claims[i].answered_beyond || claims[i].largest_source_offset >= after[i].next_offset) {
            *ret_rolled_back = true;
            *ret_partition = after[i].partition;
            return PAY_OK;
        }
    return PAY_OK;
}

static void compare_and_adopt(struct pay_worker *w) {
    struct pay_error error = {0};
    bool rolled_back, adopted;
    int32_t partition;
    enum pay_move move = compare_with_logs(w, &rolled_back, &partition, &error);
    if (move == PAY_OK && rolled_back) {
        char detail[64];
        snprintf(detail, sizeof detail, "a reply beyond P in partition %d", partition);
        worker_halt_ledger(w, PAY_HALT_DATABASE_ROLLED_BACK, detail);
        return;
    }
    if (move == PAY_OK) move = w->ledger->ops->adopt(w->ledger, w->books.incarnation_us, &adopted, &error);
    w->comparing = false;
    w->agree_at_ms = w->now_ms; /* read the row again: mine, or another worker's */
    if (move == PAY_OK)
        worker_log(w, PAY_WORKER_INFO, "the database is as new as the logs after its restart%s",
                   adopted ? ": it goes on" : "");
    else if (move == PAY_AGAIN)
        w->agree_at_ms = w->now_ms + 1000;
    else
        worker_end_session(w, &error);
}

/* PROTOCOL 1, on every new connection, and again while the ledger is halted. */
static void agree(struct pay_worker *w) {
    struct pay_error error = {0};
    if (w->now_ms < w->agree_at_ms) return;
    if (w->comparing) {
        compare_and_adopt(w);
        return;
    }
    enum pay_move move = w->ledger->ops->read_ledger(w->ledger, &w->books, &error);
    if (move == PAY_AGAIN) {
        w->agree_at_ms = w->now_ms + 1000;
        return;
    }
    if (move != PAY_OK) {
        worker_end_session(w, &error);
        return;
    }
    w->options.ledger_known(w->options.argument, w->books.ledger_id);
    if (w->books.halted) {
        w->agree_at_ms = w->now_ms + 1000;
    } else if (w->books.incarnation_us == w->books.server_started_us) {
        w->agreed = true;
        w->connect_attempts = 0;
    } else {
        worker_log(w, PAY_WORKER_WARNING,
                   "the database server isn't the one the workers agreed on (restart, failover, restored copy?): "
                   "compares it with the logs in %d s",
                   PAY_REPLIES_ON_THE_WIRE_MS / 1000);
        w->comparing = true;
        w->agree_at_ms = worker_clock_ms(w) + PAY_REPLIES_ON_THE_WIRE_MS;
    }
}

/* A precondition fails before the first session: the program ends and says so. Later on it is waited for. */
static void refuse(struct pay_worker *w, enum pay_move move, const struct pay_error *error) {
    if (move != PAY_REFUSE || w->counters.claims > 0) return;
    w->refused = true;
    snprintf(w->refusal, sizeof w->refusal, "%s", error->text);
}

static void open_stream(struct pay_worker *w) {
    struct pay_error error = {0};
    if (w->now_ms < w->connect_at_ms) return;
    enum pay_move move = w->stream->ops->open(w->stream, &error);
    if (move == PAY_OK) {
        uint32_t count = w->stream->ops->partition_count(w->stream);
        if (w->options.cluster_known != NULL) w->options.cluster_known(w->options.argument, w->stream->cluster_id);
        w->stream_open = true;
        w->connect_attempts = 0;
        w->lane_count = count < PAY_LANES_MAX ? count : PAY_LANES_MAX;
        for (uint32_t i = 0; i < w->lane_count; i++) pay_lane_init(&w->lanes[i], (int32_t)i);
        return;
    }
    if (w->connect_attempts % 8 == 0) worker_log(w, PAY_WORKER_ERROR, "Kafka: %s; keeps trying", error.text);
    refuse(w, move, &error);
    connect_later(w);
}

/* An idle connection's end wakes the loop and nobody else reads it: ten looks a second, between settles. */
static bool connection_ended(struct pay_worker *w) {
    struct pay_error error = {0};
    if (w->settle_in_flight || w->now_ms - w->looked_ms < LOOK_INTERVAL_MS) return false;
    w->looked_ms = w->now_ms;
    if (w->ledger->ops->look(w->ledger, &error) == PAY_OK) return false;
    worker_end_session(w, &error);
    return true;
}

void worker_connect(struct pay_worker *w) {
    struct pay_error error = {0};
    if (!w->stream_open) open_stream(w);
    if (!w->stream_open) return;
    if (!w->connected) {
        if (w->now_ms < w->connect_at_ms) return;
        enum pay_move move = w->ledger->ops->connect(w->ledger, &error);
        if (move != PAY_OK) {
            if (w->connect_attempts % 8 == 0)
                worker_log(w, PAY_WORKER_ERROR, "PostgreSQL: %s; keeps trying", error.text);
            refuse(w, move, &error);
            connect_later(w);
            return;
        }
        w->connected = true;
        w->agreed = w->comparing = false;
        w->agree_at_ms = w->now_ms;
        worker_doubt_anchors(w);
    }
    if (connection_ended(w)) return;
    if (!w->agreed) agree(w);
}
