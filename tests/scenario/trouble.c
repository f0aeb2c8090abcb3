#include "trouble.h"

#include "trouble_private.h"

#include <string.h>

struct rig_worker *trouble_worker(struct rig *rig, uint32_t a) {
    struct rig_worker *worker = &rig->workers[a % RIG_WORKERS_MAX];
    return worker->alive ? worker : NULL;
}

int32_t trouble_partition(const struct rig *rig, uint32_t a) { return (int32_t)(a % rig->broker.partition_count); }

/* ---- the group ---- */

static bool rebalance(struct rig *rig, uint32_t a, uint32_t b) {
    (void)a;
    (void)b;
    fake_broker_rebalance(&rig->broker);
    return true;
}

/* ---- the database ---- */

static void database_comes_back(struct rig *rig, uint32_t a) {
    (void)a;
    if (rig->database.down) fake_database_start(&rig->database);
}

static bool stop_database(struct rig *rig, bool commits_get_lost, uint32_t down_ms) {
    if (rig->database.down) return false;
    rig->database.commits_get_lost = commits_get_lost;
    fake_database_stop(&rig->database);
    rig_later(rig, 1 + down_ms, database_comes_back, 0);
    return true;
}

/* Commits that were sent and not yet run are lost, now and whenever a connection drops from now on. */
static bool restart_losing_commits(struct rig *rig, uint32_t a, uint32_t b) {
    (void)a;
    return stop_database(rig, true, b % 4000);
}

static bool restart_keeping_commits(struct rig *rig, uint32_t a, uint32_t b) {
    (void)a;
    return stop_database(rig, false, b % 4000);
}

/* ---- the broker ---- */

static void broker_comes_back(struct rig *rig, uint32_t a) {
    (void)a;
    rig->broker.down = false;
}

static bool restart_broker(struct rig *rig, uint32_t a, uint32_t b) {
    (void)a;
    if (rig->broker.down) return false;
    rig->broker.down = true;
    rig_later(rig, 1 + b % 15000, broker_comes_back, 0);
    return true;
}

static bool forget_producers(struct rig *rig, uint32_t a, uint32_t b) {
    (void)a;
    (void)b;
    fake_broker_forget_producers(&rig->broker);
    return true;
}

static bool partition_trouble(struct rig *rig, uint32_t a, uint32_t b) {
    (void)b;
    fake_broker_trouble(&rig->broker, trouble_partition(rig, a));
    return true;
}

static bool all_brokers_trouble(struct rig *rig, uint32_t a, uint32_t b) {
    (void)a;
    (void)b;
    fake_broker_trouble(&rig->broker, -1);
    return true;
}

/* Retention: replies at any moment, requests up to what the row knows to be answered. Not over a log that was tampered with: it
   would take away what that is known by. */
static bool retention(struct rig *rig, uint32_t a, uint32_t b) {
    int32_t partition = trouble_partition(rig, a);
    const struct fake_log *replies = fake_broker_log(&rig->broker, TOPIC_REPLIES, partition);
    const struct fake_log *requests = fake_broker_log(&rig->broker, TOPIC_REQUESTS, partition);
    if (rig->history.lanes[partition].tampered != TAMPERED_NOT) return false;
    int64_t answered = fake_database_lane(&rig->database, partition)->row.replied_offset;
    uint32_t visible = (uint32_t)(replies->high_watermark - replies->start);
    if (visible == 0 && answered <= requests->start) return false;
    fake_broker_move_start(&rig->broker, TOPIC_REPLIES, partition, replies->start + b % (visible + 1));
    if (answered > requests->start) fake_broker_move_start(&rig->broker, TOPIC_REQUESTS, partition, answered);
    return true;
}

/* ---- workers ---- */

static bool crash(struct rig *rig, uint32_t a, uint32_t b) {
    struct rig_worker *worker = trouble_worker(rig, a);
    (void)b;
    if (worker == NULL) return false;
    rig_crash(rig, worker);
    return true;
}

/* A zombie, when it thaws after others have taken its lanes. */
static bool freeze(struct rig *rig, uint32_t a, uint32_t b) {
    struct rig_worker *worker = trouble_worker(rig, a);
    if (worker == NULL || worker->frozen) return false;
    rig_freeze(worker, 1 + b % 30000);
    return true;
}

static void start_one_more(struct rig *rig, uint32_t a) {
    (void)a;
    for (uint32_t i = 0; i < RIG_WORKERS_MAX; i++) {
        if (rig->workers[i].alive || rig->workers[i].restart_us != 0) continue;
        rig_start_worker(rig);
        return;
    }
    rig_later(rig, 500, start_one_more, 0); /* who was told to end still has its slot */
}

/* SIGTERM; somebody else starts while it drains, or after. */
static bool stop(struct rig *rig, uint32_t a, uint32_t b) {
    struct rig_worker *worker = trouble_worker(rig, a);
    if (worker == NULL || worker->stopping) return false;
    rig_stop(worker);
    rig_later(rig, 1 + b % 8000, start_one_more, 0);
    return true;
}

/* ---- the table ---- */

const struct trouble troubles[] = {
    {"rebalance", 10, TROUBLE_REACHES_ALL, false, rebalance},
    {"database-restart-loses", 4, TROUBLE_REACHES_ALL, false, restart_losing_commits},
    {"database-restart-keeps", 4, TROUBLE_REACHES_ALL, false, restart_keeping_commits},
    {"broker-restart", 5, TROUBLE_REACHES_ALL, false, restart_broker},
    {"forget-producers", 4, TROUBLE_REACHES_ALL, false, forget_producers},
    {"partition-trouble", 4, TROUBLE_REACHES_PARTITION, false, partition_trouble},
    {"brokers-trouble", 3, TROUBLE_REACHES_ALL, false, all_brokers_trouble},
    {"retention", 5, TROUBLE_REACHES_PARTITION, false, retention},
    {"crash", 8, TROUBLE_REACHES_WORKER, false, crash},
    {"freeze", 8, TROUBLE_REACHES_WORKER, false, freeze},
    {"stop", 4, TROUBLE_REACHES_WORKER, false, stop},

    {"leader-change", 8, TROUBLE_REACHES_PARTITION, false, trouble_lead_anew},
    {"produce-fate", 8, TROUBLE_REACHES_ALL, false, trouble_doom_a_request},
    {"deaf-member", 6, TROUBLE_REACHES_WORKER, false, trouble_deafen_member},
    {"dead-letters-hang", 3, TROUBLE_REACHES_ALL, false, trouble_hang_dead_letters},
    {"strange-reply", 2, TROUBLE_REACHES_PARTITION, false, trouble_append_strange_reply},
    {"asked-twice-at-once", 3, TROUBLE_REACHES_ALL, false, trouble_ask_twice_at_once},

    {"database-cut", 8, TROUBLE_REACHES_WORKER, false, trouble_cut_connection},
    {"statement-fails", 6, TROUBLE_REACHES_ALL, false, trouble_upset_statement},
    {"account-locked", 3, TROUBLE_REACHES_ALL, false, trouble_lock_account},
    {"lane-locked", 3, TROUBLE_REACHES_ALL, false, trouble_lock_lane},
    {"database-backup", 4, TROUBLE_REACHES_ALL, false, trouble_back_up},
    {"poison", 1, TROUBLE_REACHES_PARTITION, true, trouble_poison},

    {"database-restore", 3, TROUBLE_REACHES_ALL, true, trouble_restore_backup},
    {"database-failover", 3, TROUBLE_REACHES_ALL, true, trouble_fail_over},
    {"requests-cut", 2, TROUBLE_REACHES_PARTITION, true, trouble_cut_requests},
    {"requests-replaced", 2, TROUBLE_REACHES_ALL, true, trouble_replace_requests},
    {"requests-eaten", 2, TROUBLE_REACHES_PARTITION, true, trouble_eat_requests},
    {"replies-cut", 2, TROUBLE_REACHES_PARTITION, true, trouble_cut_replies},
    {"replies-replaced", 1, TROUBLE_REACHES_ALL, true, trouble_replace_replies},
    {"foreign-ledger", 1, TROUBLE_REACHES_PARTITION, true, trouble_append_foreign_reply},
    {"row-given-away", 1, TROUBLE_REACHES_PARTITION, true, trouble_give_row_away},
};
const size_t trouble_count = sizeof troubles / sizeof troubles[0];

const struct trouble *trouble_find(const char *name, size_t length) {
    for (size_t i = 0; i < trouble_count; i++) {
        if (strlen(troubles[i].name) == length && memcmp(troubles[i].name, name, length) == 0) return &troubles[i];
    }
    return NULL;
}
