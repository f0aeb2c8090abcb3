/* What a database and the network to it do. Everything goes on in the end, but at a record that the database refuses. */
#include "trouble_private.h"

#include "asked.h"

#include <stdio.h>
#include <string.h>

#define FREE_CONNECTIONS_MIN 6 /* those that were cut linger for a while */
#define OUTSIDER UINT32_MAX    /* a session of nobody's: the command line's */

static uint32_t free_connections(const struct fake_database *database) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < FAKE_CONNECTIONS_MAX; i++) count += database->connections[i].id == 0;
    return count;
}

/* The client hears of it at once, the server later: its COMMIT is run while the next claim waits for the row, or never arrives. */
bool trouble_cut_connection(struct rig *rig, uint32_t a, uint32_t b) {
    struct rig_worker *worker = trouble_worker(rig, a);
    struct fake_connection *connection = worker == NULL ? NULL : worker->ledger->connection;
    if (connection == NULL || fake_connection_gone(connection)) return false;
    if (free_connections(&rig->database) < FREE_CONNECTIONS_MIN) return false;
    fake_database_cut(&rig->database, connection, b % 2 == 0, b / 2 % 6000);
    return true;
}

/* Deadlock, serialization, lock timeout, a cancel that nobody asked for, a migration, a bug, too much of it. */
bool trouble_upset_statement(struct rig *rig, uint32_t a, uint32_t b) {
    static const char *const codes[] = {"40P01", "40001", "55P03", "57014", "0A000", "XX000", "53200", "54000"};
    const char *code = codes[b % 8];
    if (rig->database.upset_times > 0) return false;
    fake_database_upset(&rig->database, code, a % 16, fake_move_of(code) == PAY_SPLIT ? 1 : 1 + b / 8 % 7);
    return true;
}

static void account_is_free(struct rig *rig, uint32_t account) {
    if (rig->database.account_locks[account] == OUTSIDER) rig->database.account_locks[account] = 0;
}

/* A person's adjustment that takes its time: past the lock timeout, or not. */
bool trouble_lock_account(struct rig *rig, uint32_t a, uint32_t b) {
    struct fake_database *database = &rig->database;
    if (database->tables.account_count == 0) return false;
    uint32_t account = a % database->tables.account_count;
    if (database->account_locks[account] != 0) return false;
    database->account_locks[account] = OUTSIDER;
    rig_later(rig, 1 + b % 9000, account_is_free, account);
    return true;
}

static void lane_is_free(struct rig *rig, uint32_t lane) {
    if (rig->database.lane_locks[lane] == OUTSIDER) rig->database.lane_locks[lane] = 0;
}

bool trouble_lock_lane(struct rig *rig, uint32_t a, uint32_t b) {
    struct fake_database *database = &rig->database;
    if (database->tables.lane_count == 0) return false;
    uint32_t lane = a % database->tables.lane_count;
    if (database->lane_locks[lane] != 0) return false;
    database->lane_locks[lane] = OUTSIDER;
    rig_later(rig, 1 + b % 9000, lane_is_free, lane);
    return true;
}

bool trouble_back_up(struct rig *rig, uint32_t a, uint32_t b) {
    (void)a;
    (void)b;
    fake_database_back_up(&rig->database);
    return true;
}

/* The order of a request that isn't settled yet can't be inserted from now on: its lane halts there, the others go on. */
bool trouble_poison(struct rig *rig, uint32_t a, uint32_t b) {
    struct fake_database *database = &rig->database;
    int32_t partition = trouble_partition(rig, a);
    const struct fake_lane *lane = fake_database_lane(database, partition);
    const struct fake_record *record = NULL;
    struct asked asked;
    (void)b;
    if (database->poison_order != NULL || lane == NULL) return false;
    int64_t offset = history_next_request(&rig->history, partition, lane->row.next_offset);
    if (offset >= 0) record = history_request_at(&rig->history, partition, offset);
    if (record == NULL) return false;
    asked_read(partition, record, &asked);
    if (asked.invalid == NULL) {
        snprintf(database->poison_text, sizeof database->poison_text, "%s", asked.order_id);
        database->poison_order = database->poison_text;
    }
    asked_forget(&asked);
    return database->poison_order != NULL;
}
