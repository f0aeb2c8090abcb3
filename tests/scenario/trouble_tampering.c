/*
 * What must never happen, and then does: the past changes. The right end is a halt, or none where nothing was lost: history.h
 * says which, history_tamper tells the judge. What a client of a real broker would be told by an error event, it is told here
 * too (a topic that is made anew under a paused consumer isn't told of, but nobody can do that within a second).
 */
#include "trouble_private.h"

static const struct fake_log *log_of(struct rig *rig, enum fake_topic_name topic, int32_t partition) {
    return fake_broker_log(&rig->broker, topic, partition);
}

/* ---- the database goes back in time ---- */

static bool restore(struct rig *rig) {
    if (rig->history.tampered || rig->database.down || !fake_database_restore(&rig->database)) return false;
    return history_tamper(&rig->history, TAMPERED_DATABASE_PUT_BACK, 0);
}

/* A backup is put back. Who stands still meanwhile has its old connection when it thaws. */
bool trouble_restore_backup(struct rig *rig, uint32_t a, uint32_t b) {
    (void)a;
    (void)b;
    return restore(rig);
}

static void standby_takes_over(struct rig *rig, uint32_t a) {
    (void)a;
    restore(rig);
}

/* The standby gets nothing from now on, and soon it is the primary. */
bool trouble_fail_over(struct rig *rig, uint32_t a, uint32_t b) {
    (void)a;
    if (rig->history.tampered) return false;
    fake_database_back_up(&rig->database);
    rig_later(rig, 1 + b % 3000, standby_takes_over, 0);
    return true;
}

/* ---- the request log ---- */

/*
 * The worker's own granularity is a second (PROTOCOL 1: a pause between two polls). A real topic isn't cut or made anew between
 * two calls of one pass, so this doesn't strike a worker that stands in the middle of one for less.
 */
static bool somebody_would_not_notice(const struct rig *rig) {
    for (uint32_t i = 0; i < RIG_WORKERS_MAX; i++) {
        const struct rig_worker *worker = &rig->workers[i];
        if (worker->alive && worker->in_pass && worker->wake_us < rig->clock.now_us + 1100000) return true;
    }
    return false;
}

static bool has_anchor(struct rig *rig, int32_t partition) {
    const struct fake_lane *lane = fake_database_lane(&rig->database, partition);
    return lane != NULL && lane->row.anchor.present &&
           lane->row.anchor.offset >= log_of(rig, TOPIC_REQUESTS, partition)->start;
}

/* Anywhere below the last settled record. */
bool trouble_cut_requests(struct rig *rig, uint32_t a, uint32_t b) {
    int32_t partition = trouble_partition(rig, a);
    if (somebody_would_not_notice(rig)) return false;
    if (!has_anchor(rig, partition) || !history_tamper(&rig->history, TAMPERED_REQUESTS_CUT, partition)) return false;
    int64_t start = log_of(rig, TOPIC_REQUESTS, partition)->start,
            below = fake_database_lane(&rig->database, partition)->row.anchor.offset + 1;
    fake_broker_truncate(&rig->broker, TOPIC_REQUESTS, partition, start + b % (below - start));
    fake_broker_trouble(&rig->broker, partition);
    return true;
}

/* A partition of which nothing was settled has nothing to be known by: then this isn't tried. */
bool trouble_replace_requests(struct rig *rig, uint32_t a, uint32_t b) {
    (void)a;
    (void)b;
    if (rig->history.tampered || somebody_would_not_notice(rig)) return false;
    for (int32_t p = 0; p < (int32_t)rig->broker.partition_count; p++) {
        if (log_of(rig, TOPIC_REQUESTS, p)->end > 0 && !has_anchor(rig, p)) return false;
    }
    for (int32_t p = 0; p < (int32_t)rig->broker.partition_count; p++) {
        if (log_of(rig, TOPIC_REQUESTS, p)->end > 0) history_tamper(&rig->history, TAMPERED_REQUESTS_REPLACED, p);
    }
    fake_broker_recreate(&rig->broker, TOPIC_REQUESTS);
    fake_broker_trouble(&rig->broker, -1);
    return rig->history.tampered;
}

/* Retention above what is known to be answered, or above P. */
bool trouble_eat_requests(struct rig *rig, uint32_t a, uint32_t b) {
    int32_t partition = trouble_partition(rig, a);
    const struct fake_log *log = log_of(rig, TOPIC_REQUESTS, partition);
    const struct fake_lane *lane = fake_database_lane(&rig->database, partition);
    int64_t from = lane == NULL || lane->row.replied_offset < log->start ? log->start : lane->row.replied_offset;
    if (from >= log->high_watermark || !history_tamper(&rig->history, TAMPERED_REQUESTS_EATEN, partition)) return false;
    fake_broker_move_start(&rig->broker, TOPIC_REQUESTS, partition, from + 1 + b % (log->high_watermark - from));
    return true;
}

/* ---- the reply log ---- */

/* A rebalance, so that somebody looks: a session that goes on has no reason to read what it wrote. */
bool trouble_cut_replies(struct rig *rig, uint32_t a, uint32_t b) {
    int32_t partition = trouble_partition(rig, a);
    const struct fake_log *log = log_of(rig, TOPIC_REPLIES, partition);
    if (log->start >= log->high_watermark || !history_tamper(&rig->history, TAMPERED_REPLIES_CUT, partition))
        return false;
    fake_broker_truncate(&rig->broker, TOPIC_REPLIES, partition, log->start + b % (log->high_watermark - log->start));
    fake_broker_rebalance(&rig->broker);
    return true;
}

bool trouble_replace_replies(struct rig *rig, uint32_t a, uint32_t b) {
    (void)a;
    (void)b;
    if (rig->history.tampered) return false;
    for (int32_t p = 0; p < (int32_t)rig->broker.partition_count; p++)
        history_tamper(&rig->history, TAMPERED_REPLIES_CUT, p);
    fake_broker_recreate(&rig->broker, TOPIC_REPLIES);
    fake_broker_rebalance(&rig->broker);
    return true;
}

bool trouble_append_foreign_reply(struct rig *rig, uint32_t a, uint32_t b) {
    static const struct pay_header headers[] = {{"source-offset", "0", 1},
                                                {"covers-from", "0", 1},
                                                {"log-generation", "1", 1},
                                                {"ledger-id", "0190f3c0-0000-7000-8000-00000000ffff", 36}};
    int32_t partition = trouble_partition(rig, a);
    (void)b;
    if (!history_tamper(&rig->history, TAMPERED_FOREIGN_LEDGER, partition)) return false;
    fake_broker_append(&rig->broker, TOPIC_REPLIES, partition, "x", "{}", headers, 4);
    fake_broker_rebalance(&rig->broker);
    return true;
}

/* ---- a row ---- */

/* Another group, or another cluster, has taken the row. */
bool trouble_give_row_away(struct rig *rig, uint32_t a, uint32_t b) {
    int32_t partition = trouble_partition(rig, a);
    struct fake_lane *lane = fake_database_lane(&rig->database, partition);
    if (lane == NULL || !history_tamper(&rig->history, TAMPERED_OTHER_GROUP, partition)) return false;
    char *name = b % 2 == 0 ? lane->group_id : lane->cluster_id;
    name[0] = '?';
    name[1] = '\0';
    fake_broker_rebalance(&rig->broker);
    return true;
}
