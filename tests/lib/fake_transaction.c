/* One settle as the server runs it: locks one after another, reads, and all writes at once. */
#include "fake_database.h"
#include "fake_database_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fake_transaction_release(struct fake_database *database, const struct fake_connection *connection) {
    for (uint32_t i = 0; i < database->tables.lane_count; i++) {
        if (database->lane_locks[i] == connection->id) database->lane_locks[i] = 0;
    }
    for (uint32_t i = 0; i < database->tables.account_count; i++) {
        if (database->account_locks[i] == connection->id) database->account_locks[i] = 0;
    }
}

void fake_transaction_free(struct fake_transaction *transaction) {
    free(transaction->order_keys);
    free(transaction->account_keys);
    free(transaction->accounts);
    free(transaction->known);
    free(transaction->known_order);
    free(transaction->inserts);
    free(transaction->refusals);
    free(transaction->updates);
    memset(transaction, 0, sizeof *transaction);
}

void fake_transaction_forget(struct fake_connection *connection) { fake_transaction_free(&connection->transaction); }

void fake_transaction_roll_back(struct fake_database *database, struct fake_connection *connection,
                                enum pay_move failure, const char *code) {
    struct fake_transaction *transaction = &connection->transaction;
    fake_transaction_release(database, connection);
    transaction->waits_for = 0;
    transaction->failure = failure;
    snprintf(transaction->failure_code, sizeof transaction->failure_code, "%s", code);
    transaction->state = failure == PAY_OK ? TRANSACTION_NONE : TRANSACTION_FAILED;
}

static void complain_about_order(struct fake_database *database, const struct pay_batch *batch,
                                 const struct pay_fence *fences, uint32_t fence_count) {
    for (uint32_t i = 1; i < fence_count; i++) {
        if (fences[i - 1].partition >= fences[i].partition)
            fault_complain(&database->complaints, "settle_begin: fences are not in partition order");
    }
    for (uint32_t i = 1; batch != NULL && i < batch->account_count; i++) {
        const struct pay_account *a = &batch->accounts[i - 1], *b = &batch->accounts[i];
        if (pay_tenant_id_compare(a->tenant, a->account_id, b->tenant, b->account_id) >= 0)
            fault_complain(&database->complaints, "settle_begin: accounts are not in lock order");
    }
}

static struct fake_key *copy_order_keys(const struct pay_batch *batch) {
    struct fake_key *keys = fake_must(calloc(batch->order_count + 1, sizeof *keys));
    for (uint32_t i = 0; i < batch->order_count; i++) {
        snprintf(keys[i].tenant, sizeof keys[i].tenant, "%s", batch->orders[i].tenant);
        snprintf(keys[i].id, sizeof keys[i].id, "%s", batch->orders[i].order_id);
    }
    return keys;
}

static struct fake_key *copy_account_keys(const struct pay_batch *batch) {
    struct fake_key *keys = fake_must(calloc(batch->account_count + 1, sizeof *keys));
    for (uint32_t i = 0; i < batch->account_count; i++) {
        snprintf(keys[i].tenant, sizeof keys[i].tenant, "%s", batch->accounts[i].tenant);
        snprintf(keys[i].id, sizeof keys[i].id, "%s", batch->accounts[i].account_id);
    }
    return keys;
}

void fake_transaction_begin(struct fake_database *database, struct fake_connection *connection,
                            const struct pay_batch *batch, const struct pay_fence *fences, uint32_t fence_count) {
    struct fake_transaction *transaction = &connection->transaction;
    assert(transaction->state == TRANSACTION_NONE && fence_count > 0 && fence_count <= FAKE_LANES_MAX);
    complain_about_order(database, batch, fences, fence_count);
    fake_transaction_free(transaction);
    transaction->state = TRANSACTION_LOCKING;
    transaction->began_us = database->clock->now_us;
    transaction->due_us = database->clock->now_us + database->latency_ms * 1000;
    memcpy(transaction->fences, fences, fence_count * sizeof *fences);
    transaction->fence_count = fence_count;
    if (batch == NULL) return;
    transaction->order_count = batch->order_count;
    transaction->order_keys = copy_order_keys(batch);
    transaction->account_count = batch->account_count;
    transaction->account_keys = copy_account_keys(batch);
}

/* Whether waiting for `holder` would close a circle. */
static bool is_deadlock(struct fake_database *database, uint32_t id, uint32_t holder) {
    for (uint32_t steps = 0; steps < FAKE_CONNECTIONS_MAX; steps++) {
        if (holder == id) return true;
        const struct fake_connection *connection = holder == 0 ? NULL : fake_connection_find(database, holder);
        if (connection == NULL || connection->transaction.state != TRANSACTION_LOCKING) return false;
        holder = connection->transaction.waits_for;
        if (holder == 0) return false;
    }
    return false;
}

/* Takes the lock, or waits (false). */
static bool take_lock(struct fake_database *database, struct fake_connection *connection, uint32_t *lock) {
    struct fake_transaction *transaction = &connection->transaction;
    if (*lock == 0 || *lock == connection->id) {
        *lock = connection->id;
        transaction->waits_for = 0;
        return true;
    }
    if (transaction->waits_for == 0) transaction->waits_since_us = database->clock->now_us;
    transaction->waits_for = *lock;
    if (is_deadlock(database, connection->id, *lock)) {
        fake_transaction_roll_back(database, connection, PAY_REDO, "40P01");
    } else if (database->clock->now_us - transaction->waits_since_us >= database->lock_timeout_ms * 1000) {
        fake_transaction_roll_back(database, connection, PAY_REDO, "55P03");
    }
    return false;
}

static bool fence_holds(const struct pay_fence *fence, const struct pay_lane_row *row) {
    return memcmp(fence->owner, row->owner, PAY_OWNER_SIZE) == 0 && fence->owner_epoch == row->owner_epoch &&
           fence->processed_before == row->next_offset;
}

/* Owner, epoch and P of every partition, by the rows as they are now that they are locked. */
static bool compare_fences(struct fake_database *database, struct fake_connection *connection) {
    struct fake_transaction *transaction = &connection->transaction;
    const struct fake_tables *tables = &database->tables;
    bool all = true;
    for (uint32_t i = 0; i < transaction->fence_count; i++) {
        uint32_t lane = fake_tables_find_lane(tables, transaction->fences[i].partition);
        transaction->fences[i].lost =
            lane == UINT32_MAX || !fence_holds(&transaction->fences[i], &tables->lanes[lane].row);
        if (transaction->fences[i].lost) all = false;
    }
    if (!all) {
        fake_transaction_roll_back(database, connection, PAY_FENCED, "");
        return false;
    }
    if (tables->ledger.halted || tables->ledger.incarnation_us != database->server_started_us) {
        fake_transaction_roll_back(database, connection, PAY_HALTED, "");
        return false;
    }
    return true;
}

/* False: this statement fails, and the transaction with it. Each is begun once, however often its locks are waited for. */
static bool begin_statement(struct fake_database *database, struct fake_connection *connection,
                            enum fake_statement statement) {
    if (connection->transaction.statement >= statement) return true;
    connection->transaction.statement = statement;
    const char *code = fake_database_statement(database);
    if (code != NULL) fake_transaction_roll_back(database, connection, fake_move_of(code), code);
    return code == NULL;
}

static bool lock_fences(struct fake_database *database, struct fake_connection *connection) {
    struct fake_transaction *transaction = &connection->transaction;
    if (transaction->fences_locked == transaction->fence_count) return true;
    while (transaction->fences_locked < transaction->fence_count) {
        uint32_t lane =
            fake_tables_find_lane(&database->tables, transaction->fences[transaction->fences_locked].partition);
        if (lane != UINT32_MAX && !take_lock(database, connection, &database->lane_locks[lane])) return false;
        transaction->fences_locked++;
    }
    return compare_fences(database, connection);
}

static bool lock_accounts(struct fake_database *database, struct fake_connection *connection) {
    struct fake_transaction *transaction = &connection->transaction;
    while (transaction->accounts_locked < transaction->account_count) {
        const struct fake_key *key = &transaction->account_keys[transaction->accounts_locked];
        uint32_t account = fake_tables_find_account(&database->tables, key->tenant, key->id);
        if (account != UINT32_MAX && !take_lock(database, connection, &database->account_locks[account])) return false;
        transaction->accounts_locked++;
    }
    return true;
}

static void read_accounts(const struct fake_database *database, struct fake_transaction *transaction) {
    transaction->accounts = fake_must(calloc(transaction->account_count + 1, sizeof *transaction->accounts));
    for (uint32_t i = 0; i < transaction->account_count; i++) {
        uint32_t account = fake_tables_find_account(&database->tables, transaction->account_keys[i].tenant,
                                                    transaction->account_keys[i].id);
        if (account == UINT32_MAX) continue;
        transaction->accounts[i] = database->tables.accounts[account];
        transaction->accounts[i].row_handle = account + 1;
    }
}

static void read_known(const struct fake_database *database, struct fake_transaction *transaction) {
    const struct fake_tables *tables = &database->tables;
    transaction->known = fake_must(calloc(tables->payment_count + 1, sizeof *transaction->known));
    transaction->known_order = fake_must(calloc(tables->payment_count + 1, sizeof *transaction->known_order));
    for (uint32_t i = 0; i < transaction->order_count; i++) {
        for (uint32_t row = 0; row < tables->payment_count; row++) {
            if (strcmp(tables->payments[row].order_id, transaction->order_keys[i].id) != 0 ||
                strcmp(tables->payments[row].tenant, transaction->order_keys[i].tenant) != 0)
                continue;
            transaction->known[transaction->known_count] = tables->payments[row];
            transaction->known_order[transaction->known_count++] = i;
        }
    }
    transaction->read_no = database->commit_count;
}

void fake_transaction_run_first_half(struct fake_database *database, struct fake_connection *connection) {
    struct fake_transaction *transaction = &connection->transaction;
    if (!begin_statement(database, connection, STATEMENT_FENCE) || !lock_fences(database, connection)) return;
    if (!begin_statement(database, connection, STATEMENT_ACCOUNTS) || !lock_accounts(database, connection)) return;
    if (!begin_statement(database, connection, STATEMENT_KNOWN)) return;
    read_accounts(database, transaction);
    read_known(database, transaction);
    transaction->state = TRANSACTION_READY;
    transaction->ready_us = database->clock->now_us;
}

static int compare_payment_keys(const struct fake_payment *a, const struct fake_payment *b) {
    int order = pay_tenant_id_compare(a->tenant, a->order_id, b->tenant, b->order_id);
    return order != 0 ? order
                      : (a->decision.attempt > b->decision.attempt) - (a->decision.attempt < b->decision.attempt);
}

static void copy_inserts(struct fake_database *database, struct fake_transaction *transaction,
                         const struct pay_batch *batch) {
    transaction->insert_count = batch->insert_count;
    transaction->inserts = fake_must(calloc(batch->insert_count + 1, sizeof *transaction->inserts));
    for (uint32_t i = 0; i < batch->insert_count; i++) {
        const struct pay_request *request = &batch->records[batch->inserts[i].record].request;
        struct fake_payment *row = &transaction->inserts[i];
        snprintf(row->tenant, sizeof row->tenant, "%s", request->tenant);
        snprintf(row->order_id, sizeof row->order_id, "%s", request->order_id);
        row->decision = *batch->inserts[i].decision;
        row->decision.next = NULL;
        if (i > 0 && compare_payment_keys(row - 1, row) >= 0)
            fault_complain(&database->complaints, "settle_write: inserts are not in primary key order");
    }
}

static void copy_updates(struct fake_transaction *transaction, const struct pay_batch *batch) {
    transaction->updates = fake_must(calloc(batch->account_count + 1, sizeof *transaction->updates));
    for (uint32_t i = 0; i < batch->account_count; i++) {
        if (batch->accounts[i].changed) transaction->updates[transaction->update_count++] = batch->accounts[i];
    }
}

void fake_transaction_write(struct fake_database *database, struct fake_connection *connection,
                            const struct pay_batch *batch) {
    struct fake_transaction *transaction = &connection->transaction;
    assert(transaction->state == TRANSACTION_READY);
    transaction->state = TRANSACTION_WRITING;
    transaction->due_us = database->clock->now_us + database->latency_ms * 1000;
    if (batch == NULL) return;
    copy_inserts(database, transaction, batch);
    copy_updates(transaction, batch);
    transaction->refusal_count = batch->refusal_count;
    transaction->refusals = fake_copy(batch->refusals, batch->refusal_count * sizeof *batch->refusals);
}

/* Why the second half can't be: NULL when it can. */
static const char *find_violation(const struct fake_database *database, const struct fake_connection *connection) {
    const struct fake_transaction *transaction = &connection->transaction;
    for (uint32_t i = 0; i < transaction->insert_count; i++) {
        const struct fake_payment *row = &transaction->inserts[i];
        if (database->poison_order != NULL && strcmp(row->order_id, database->poison_order) == 0) return "22003";
        if (fake_database_payment(&database->tables, row->tenant, row->order_id, row->decision.attempt) != NULL)
            return "23505";
    }
    for (uint32_t i = 0; i < transaction->refusal_count; i++) {
        if (fake_database_refusal(&database->tables, &transaction->refusals[i].position) != NULL) return "23505";
    }
    for (uint32_t i = 0; i < transaction->update_count; i++) {
        uint64_t handle = transaction->updates[i].row_handle;
        if (handle == 0 || handle > database->tables.account_count ||
            database->account_locks[handle - 1] != connection->id)
            return "P0001";
    }
    return NULL;
}

static void write_lanes(struct fake_database *database, const struct fake_transaction *transaction) {
    for (uint32_t i = 0; i < transaction->fence_count; i++) {
        const struct pay_fence *fence = &transaction->fences[i];
        struct pay_lane_row *row = &fake_database_lane(database, fence->partition)->row;
        if (row->halted != PAY_HALT_NONE)
            fault_complain(&database->complaints, "settle: partition %d was settled although it is halted",
                           fence->partition);
        row->next_offset = fence->processed_after;
        row->anchor = fence->anchor;
        row->replied_offset = fence->replied_offset;
        row->reply_position = fence->reply_position;
    }
}

static void write_rows(struct fake_database *database, const struct fake_transaction *transaction) {
    struct fake_tables *tables = &database->tables;
    for (uint32_t i = 0; i < transaction->insert_count; i++) {
        tables->payments = fake_grow(tables->payments, &tables->payment_count, sizeof *tables->payments);
        tables->payments[tables->payment_count - 1] = transaction->inserts[i];
        tables->payments[tables->payment_count - 1].commit_no = database->commit_count;
    }
    for (uint32_t i = 0; i < transaction->refusal_count; i++) {
        tables->refusals = fake_grow(tables->refusals, &tables->refusal_count, sizeof *tables->refusals);
        tables->refusals[tables->refusal_count - 1] =
            (struct fake_refusal){transaction->refusals[i], database->commit_count};
    }
    for (uint32_t i = 0; i < transaction->update_count; i++) {
        struct pay_account *account = &tables->accounts[transaction->updates[i].row_handle - 1];
        account->balance_minor = transaction->updates[i].balance_minor;
        account->version = transaction->updates[i].version;
    }
}

static const struct fake_commit *log_commit(struct fake_database *database, const struct fake_connection *connection) {
    const struct fake_transaction *transaction = &connection->transaction;
    if (database->commit_log_count == database->commit_log_capacity) {
        database->commit_log_capacity = database->commit_log_capacity == 0 ? 64 : 2 * database->commit_log_capacity;
        database->commits =
            fake_must(realloc(database->commits, database->commit_log_capacity * sizeof *database->commits));
    }
    struct fake_commit *commit = &database->commits[database->commit_log_count++];
    *commit = (struct fake_commit){.number = database->commit_count,
                                   .read_no = transaction->read_no,
                                   .read_us = transaction->ready_us,
                                   .at_us = database->clock->now_us,
                                   .worker = connection->worker,
                                   .fence_count = transaction->fence_count};
    memcpy(commit->fences, transaction->fences, transaction->fence_count * sizeof transaction->fences[0]);
    return commit;
}

void fake_transaction_commit(struct fake_database *database, struct fake_connection *connection) {
    struct fake_transaction *transaction = &connection->transaction;
    assert(transaction->state == TRANSACTION_WRITING);
    for (enum fake_statement statement = STATEMENT_PAYMENTS; statement <= STATEMENT_COMMIT; statement++) {
        if (!begin_statement(database, connection, statement)) return;
    }
    const char *violation = find_violation(database, connection);
    if (violation != NULL) {
        fake_transaction_roll_back(database, connection, fake_move_of(violation), violation);
    } else {
        database->commit_count++;
        write_lanes(database, transaction);
        write_rows(database, transaction);
        const struct fake_commit *commit = log_commit(database, connection);
        fake_transaction_release(database, connection);
        transaction->state = TRANSACTION_COMMITTED;
        for (uint32_t i = 0; i < commit->fence_count; i++)
            trace_event(database->trace, TRACE_COMMIT, connection->worker, (int64_t)commit->number, 0,
                        commit->fences[i].partition, commit->fences[i].processed_after);
        if (database->on_commit != NULL) database->on_commit(database->argument, commit);
    }
}
