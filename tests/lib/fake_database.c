#include "fake_database.h"
#include "fake_database_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Client and server are separate: an unread COMMIT result doesn't hold the server up for longer than this. */
#define COMMIT_RUNS_ALONE_AFTER_US 50000

void *fake_must(void *memory) {
    assert(memory != NULL);
    return memory;
}

void *fake_copy(const void *from, size_t size) {
    void *copy = fake_must(malloc(size + 1));
    if (size > 0) memcpy(copy, from, size);
    return copy;
}

void *fake_grow(void *array, uint32_t *count, size_t size) {
    array = fake_must(realloc(array, (*count + 1) * size));
    memset((char *)array + *count * size, 0, size);
    (*count)++;
    return array;
}

/* ---- tables ---- */

void fake_database_init(struct fake_database *database, struct fake_clock *clock) {
    memset(database, 0, sizeof *database);
    database->clock = clock;
    database->server_started_us = clock->now_us;
    database->latency_ms = 1;
    database->lock_timeout_ms = 5000;
    database->idle_timeout_ms = 2000;
    struct pay_ledger_row *ledger = &database->tables.ledger;
    snprintf(ledger->ledger_id, sizeof ledger->ledger_id, "0190f3c0-0000-7000-8000-000000000001");
    ledger->incarnation_us = database->server_started_us;
}

static void free_rows(struct fake_tables *tables) {
    free(tables->accounts);
    free(tables->adjustments);
    free(tables->payments);
    free(tables->refusals);
}

static void copy_rows(const struct fake_tables *from, struct fake_tables *to) {
    *to = *from;
    to->accounts = fake_copy(from->accounts, from->account_count * sizeof *from->accounts);
    to->adjustments = fake_copy(from->adjustments, from->adjustment_count * sizeof *from->adjustments);
    to->payments = fake_copy(from->payments, from->payment_count * sizeof *from->payments);
    to->refusals = fake_copy(from->refusals, from->refusal_count * sizeof *from->refusals);
}

struct fake_tables *fake_database_copy(const struct fake_database *database) {
    struct fake_tables *copy = fake_must(malloc(sizeof *copy));
    copy_rows(&database->tables, copy);
    copy->last_commit = database->commit_count;
    return copy;
}

void fake_tables_free(struct fake_tables *tables) {
    if (tables == NULL) return;
    free_rows(tables);
    free(tables);
}

void fake_database_add_lane(struct fake_database *database, int32_t partition) {
    struct fake_tables *tables = &database->tables;
    assert(tables->lane_count < FAKE_LANES_MAX);
    assert(tables->lane_count == 0 || tables->lanes[tables->lane_count - 1].row.partition < partition);
    struct fake_lane *lane = &tables->lanes[tables->lane_count++];
    memset(lane, 0, sizeof *lane);
    lane->row.partition = partition;
    lane->row.log_generation = 1;
}

uint32_t fake_tables_find_lane(const struct fake_tables *tables, int32_t partition) {
    for (uint32_t i = 0; i < tables->lane_count; i++) {
        if (tables->lanes[i].row.partition == partition) return i;
    }
    return UINT32_MAX;
}

struct fake_lane *fake_database_lane(struct fake_database *database, int32_t partition) {
    uint32_t index = fake_tables_find_lane(&database->tables, partition);
    return index == UINT32_MAX ? NULL : &database->tables.lanes[index];
}

uint32_t fake_tables_find_account(const struct fake_tables *tables, const char *tenant, const char *account_id) {
    for (uint32_t i = 0; i < tables->account_count; i++) {
        if (strcmp(tables->accounts[i].tenant, tenant) == 0 && strcmp(tables->accounts[i].account_id, account_id) == 0)
            return i;
    }
    return UINT32_MAX;
}

struct pay_account *fake_database_account(struct fake_database *database, const char *tenant, const char *account_id) {
    uint32_t index = fake_tables_find_account(&database->tables, tenant, account_id);
    return index == UINT32_MAX ? NULL : &database->tables.accounts[index];
}

const struct fake_payment *fake_database_payment(const struct fake_tables *tables, const char *tenant,
                                                 const char *order_id, int32_t attempt) {
    for (uint32_t i = 0; i < tables->payment_count; i++) {
        const struct fake_payment *row = &tables->payments[i];
        if (row->decision.attempt == attempt && strcmp(row->order_id, order_id) == 0 &&
            strcmp(row->tenant, tenant) == 0)
            return row;
    }
    return NULL;
}

const struct fake_refusal *fake_database_refusal(const struct fake_tables *tables,
                                                 const struct pay_position *position) {
    for (uint32_t i = 0; i < tables->refusal_count; i++) {
        const struct pay_position *at = &tables->refusals[i].refusal.position;
        if (at->generation == position->generation && at->partition == position->partition &&
            at->offset == position->offset)
            return &tables->refusals[i];
    }
    return NULL;
}

static void add_adjustment(struct fake_tables *tables, const struct pay_account *account, const char *kind,
                           int64_t amount_minor) {
    tables->adjustments = fake_grow(tables->adjustments, &tables->adjustment_count, sizeof *tables->adjustments);
    struct fake_adjustment *row = &tables->adjustments[tables->adjustment_count - 1];
    snprintf(row->tenant, sizeof row->tenant, "%s", account->tenant);
    snprintf(row->account_id, sizeof row->account_id, "%s", account->account_id);
    snprintf(row->kind, sizeof row->kind, "%s", kind);
    row->amount_minor = amount_minor;
    row->account_version = account->version;
}

void fake_database_open_account(struct fake_database *database, const char *tenant, const char *account_id,
                                const char *currency, int64_t opening_minor, int64_t floor_minor) {
    struct fake_tables *tables = &database->tables;
    assert(fake_tables_find_account(tables, tenant, account_id) == UINT32_MAX);
    tables->accounts = fake_grow(tables->accounts, &tables->account_count, sizeof *tables->accounts);
    database->account_locks =
        fake_must(realloc(database->account_locks, tables->account_count * sizeof *database->account_locks));
    database->account_locks[tables->account_count - 1] = 0;
    struct pay_account *account = &tables->accounts[tables->account_count - 1];
    snprintf(account->tenant, sizeof account->tenant, "%s", tenant);
    snprintf(account->account_id, sizeof account->account_id, "%s", account_id);
    snprintf(account->currency, sizeof account->currency, "%s", currency);
    account->found = true;
    account->state = PAY_ACCOUNT_ACTIVE;
    account->balance_minor = opening_minor;
    account->floor_minor = floor_minor;
    account->version = 1;
    add_adjustment(tables, account, "open", opening_minor);
}

void fake_database_adjust(struct fake_database *database, const char *tenant, const char *account_id, const char *kind,
                          int64_t amount_minor) {
    struct pay_account *account = fake_database_account(database, tenant, account_id);
    assert(account != NULL);
    assert(database->account_locks[account - database->tables.accounts] == 0);
    if (strcmp(kind, "credit") == 0)
        account->balance_minor += amount_minor;
    else if (strcmp(kind, "debit") == 0)
        account->balance_minor -= amount_minor;
    else if (strcmp(kind, "freeze") == 0)
        account->state = PAY_ACCOUNT_STATE_FROZEN;
    else if (strcmp(kind, "unfreeze") == 0)
        account->state = PAY_ACCOUNT_ACTIVE;
    else if (strcmp(kind, "close") == 0)
        account->state = PAY_ACCOUNT_STATE_CLOSED;
    else if (strcmp(kind, "floor") == 0)
        account->floor_minor = amount_minor;
    else
        assert(!"a kind of adjustment");
    account->version++;
    add_adjustment(&database->tables, account, kind, amount_minor);
}

/* ---- connections ---- */

struct fake_connection *fake_connection_find(struct fake_database *database, uint32_t id) {
    for (uint32_t i = 0; i < FAKE_CONNECTIONS_MAX; i++) {
        if (database->connections[i].id == id) return &database->connections[i];
    }
    return NULL;
}

/* The server ends the connection: its transaction with it. */
static void end_connection(struct fake_database *database, struct fake_connection *connection) {
    fake_transaction_release(database, connection);
    connection->ended = true;
    if (connection->client_gone) {
        fake_transaction_free(&connection->transaction);
        connection->id = 0;
    } else {
        connection->transaction.state = TRANSACTION_NONE;
    }
}

struct fake_connection *fake_connection_open(struct fake_database *database, uint32_t worker) {
    if (database->down) return NULL;
    struct fake_connection *connection = fake_connection_find(database, 0);
    assert(connection != NULL && "more connections than FAKE_CONNECTIONS_MAX");
    memset(connection, 0, sizeof *connection);
    connection->id = ++database->connections_made;
    connection->worker = worker;
    connection->opened_us = database->clock->now_us;
    if (database->on_connect != NULL) database->on_connect(database->argument, worker);
    return connection;
}

void fake_connection_drop(struct fake_database *database, struct fake_connection *connection) {
    if (connection == NULL || connection->id == 0) return;
    if (connection->cut && !connection->ended && connection->transaction.state != TRANSACTION_NONE) {
        connection->client_gone = true; /* the server finds out by itself */
        return;
    }
    if (connection->transaction.state == TRANSACTION_WRITING && !connection->ended && !database->commits_get_lost) {
        connection->client_gone = true; /* the server has got the COMMIT: fake_database_run runs it */
        return;
    }
    connection->client_gone = true;
    end_connection(database, connection);
}

bool fake_connection_gone(const struct fake_connection *connection) { return connection->ended || connection->cut; }

void fake_database_cut(struct fake_database *database, struct fake_connection *connection, bool commit_arrives,
                       int64_t server_ms) {
    struct fake_transaction *transaction = &connection->transaction;
    connection->cut = true;
    if (transaction->state != TRANSACTION_WRITING) return;
    if (commit_arrives) {
        transaction->due_us = database->clock->now_us + server_ms * 1000;
    } else {
        transaction->state = TRANSACTION_READY; /* and the server waits for the rest of it */
        transaction->ready_us = database->clock->now_us;
    }
}

/* ---- statements that fail ---- */

void fake_database_upset(struct fake_database *database, const char *code, uint32_t after, uint32_t times) {
    database->upset_code = code;
    database->upset_after = after;
    database->upset_times = times;
}

const char *fake_database_statement(struct fake_database *database) {
    if (database->upset_times == 0) return NULL;
    if (database->upset_after > 0) {
        database->upset_after--;
        return NULL;
    }
    database->upset_times--;
    return database->upset_code;
}

enum pay_move fake_move_of(const char *code) {
    static const char *const again[] = {"40P01", "40001", "55P03", "57014", "23505", "0A000", "26000"};
    for (size_t i = 0; i < sizeof again / sizeof again[0]; i++) {
        if (strcmp(again[i], code) == 0) return PAY_REDO;
    }
    bool data = strncmp(code, "22", 2) == 0 || strncmp(code, "23", 2) == 0 || strncmp(code, "54", 2) == 0;
    return data ? PAY_SPLIT : PAY_SESSION_OVER;
}

/* ---- the server's own time ---- */

static void run_connection(struct fake_database *database, struct fake_connection *connection) {
    struct fake_transaction *transaction = &connection->transaction;
    int64_t now = database->clock->now_us;
    if (transaction->state == TRANSACTION_LOCKING && now >= transaction->due_us)
        fake_transaction_run_first_half(database, connection);
    if (transaction->state == TRANSACTION_READY && now - transaction->ready_us >= database->idle_timeout_ms * 1000) {
        end_connection(database, connection);
        return;
    }
    int64_t patience = connection->client_gone ? 0 : COMMIT_RUNS_ALONE_AFTER_US;
    if (transaction->state == TRANSACTION_WRITING && now >= transaction->due_us + patience)
        fake_transaction_commit(database, connection);
    bool waits = connection->cut && transaction->state == TRANSACTION_READY;
    if (connection->client_gone && transaction->state != TRANSACTION_WRITING &&
        transaction->state != TRANSACTION_LOCKING && !waits)
        end_connection(database, connection);
}

void fake_database_run(struct fake_database *database) {
    if (database->down) return;
    for (uint32_t i = 0; i < FAKE_CONNECTIONS_MAX; i++) {
        if (database->connections[i].id != 0 && !database->connections[i].ended)
            run_connection(database, &database->connections[i]);
    }
}

static int64_t connection_due_us(const struct fake_database *database, const struct fake_connection *connection) {
    const struct fake_transaction *transaction = &connection->transaction;
    switch (transaction->state) {
    case TRANSACTION_LOCKING:
        return transaction->waits_for == 0 ? transaction->due_us
                                           : transaction->waits_since_us + database->lock_timeout_ms * 1000;
    case TRANSACTION_READY: return transaction->ready_us + database->idle_timeout_ms * 1000;
    case TRANSACTION_WRITING:
        if (database->clock->now_us < transaction->due_us || connection->client_gone) return transaction->due_us;
        return transaction->due_us + COMMIT_RUNS_ALONE_AFTER_US;
    default: return INT64_MAX;
    }
}

int64_t fake_database_next_due_us(const struct fake_database *database) {
    int64_t due = INT64_MAX;
    for (uint32_t i = 0; i < FAKE_CONNECTIONS_MAX && !database->down; i++) {
        const struct fake_connection *connection = &database->connections[i];
        if (connection->id == 0 || connection->ended) continue;
        int64_t own = connection_due_us(database, connection);
        if (own < due) due = own;
    }
    return due;
}

void fake_database_stop(struct fake_database *database) {
    for (uint32_t i = 0; i < FAKE_CONNECTIONS_MAX; i++) {
        struct fake_connection *connection = &database->connections[i];
        if (connection->id == 0 || connection->ended) continue;
        if (connection->transaction.state == TRANSACTION_WRITING && !database->commits_get_lost)
            fake_transaction_commit(database, connection);
        end_connection(database, connection);
    }
    database->down = true;
}

void fake_database_start(struct fake_database *database) {
    assert(database->down);
    database->down = false;
    database->server_started_us = database->clock->now_us;
}

void fake_database_put_back(struct fake_database *database, const struct fake_tables *copy) {
    fake_database_stop(database);
    assert(copy->account_count <= database->tables.account_count);
    free_rows(&database->tables);
    copy_rows(copy, &database->tables);
    while (database->commit_log_count > 0 &&
           database->commits[database->commit_log_count - 1].number > copy->last_commit)
        database->commit_log_count--;
    database->rollbacks++;
    fake_clock_advance_ms(database->clock, 1); /* no two servers start in the same microsecond */
    fake_database_start(database);
}

void fake_database_back_up(struct fake_database *database) {
    fake_tables_free(database->backup);
    database->backup = fake_database_copy(database);
}

bool fake_database_restore(struct fake_database *database) {
    if (database->backup == NULL) return false;
    fake_database_put_back(database, database->backup);
    return true;
}

void fake_database_free(struct fake_database *database) {
    for (uint32_t i = 0; i < FAKE_CONNECTIONS_MAX; i++) fake_transaction_free(&database->connections[i].transaction);
    free_rows(&database->tables);
    fake_tables_free(database->backup);
    free(database->account_locks);
    free(database->commits);
}
