#include "fake_ledger.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLAIM_POLL_MS 20

static struct fake_ledger *self(struct pay_ledger *port) { return (struct fake_ledger *)port; }

static struct fake_tables *tables_of(struct fake_ledger *ledger) { return &ledger->database->tables; }

static void drop_connection(struct fake_ledger *ledger) {
    fake_connection_drop(ledger->database, ledger->connection);
    ledger->connection = NULL;
    ledger->settling = false;
}

/* The end of every call: lets the script have the last word, and keeps what SESSION_OVER means. */
static enum pay_move answer(struct fake_ledger *ledger, const struct fault_entry *entry, enum pay_move move,
                            const char *code, struct pay_error *error) {
    enum pay_move wanted = fault_wanted(entry, true);
    if (wanted != PAY_OK) {
        move = wanted;
        code = "scripted";
    }
    if (move == PAY_SESSION_OVER) {
        drop_connection(ledger);
        ledger->over = true;
    }
    ledger->fault->answered = move;
    fault_leave(ledger->fault);
    return fault_error(error, move, code, "as a fake says it");
}

/* The beginning of every call but connect and close. OK: go on; else what to answer at once. */
static enum pay_move enter(struct fake_ledger *ledger, enum fault_call call, bool in_settle,
                           const struct fault_entry **ret_entry) {
    if (ledger->over) fault_complain(&ledger->database->complaints, "%s after SESSION_OVER", fault_call_name(call));
    if (ledger->settling != in_settle)
        fault_complain(&ledger->database->complaints, "%s %s a settle", fault_call_name(call),
                       in_settle ? "outside" : "inside");
    *ret_entry = fault_enter(ledger->fault, call);
    fake_database_run(ledger->database);
    enum pay_move wanted = fault_wanted(*ret_entry, false);
    if (wanted != PAY_OK) return wanted;
    if (ledger->connection == NULL || fake_connection_gone(ledger->connection)) return PAY_SESSION_OVER;
    if (in_settle || call == CALL_SETTLE_BEGIN) return PAY_OK; /* its statements come later */
    const char *code = fake_database_statement(ledger->database);
    enum pay_move statement = code == NULL ? PAY_OK : fake_move_of(code);
    return statement == PAY_REDO ? PAY_AGAIN : statement;
}

/* ---- connection and ledger row ---- */

static enum pay_move ledger_connect(struct pay_ledger *port, struct pay_error *error) {
    struct fake_ledger *ledger = self(port);
    const struct fault_entry *entry = fault_enter(ledger->fault, CALL_CONNECT);
    fake_database_run(ledger->database);
    drop_connection(ledger);
    enum pay_move move = fault_wanted(entry, false);
    if (move == PAY_OK) {
        ledger->connection = fake_connection_open(ledger->database, ledger->fault->worker);
        move = ledger->connection != NULL ? PAY_OK : PAY_AGAIN;
    }
    if (move == PAY_OK) ledger->over = false;
    return answer(ledger, entry, move, "08006", error);
}

static enum pay_move ledger_read_ledger(struct pay_ledger *port, struct pay_ledger_row *ret_row,
                                        struct pay_error *error) {
    struct fake_ledger *ledger = self(port);
    const struct fault_entry *entry;
    enum pay_move move = enter(ledger, CALL_READ_LEDGER, false, &entry);
    if (move == PAY_OK) {
        *ret_row = tables_of(ledger)->ledger;
        ret_row->server_started_us = ledger->database->server_started_us;
    }
    return answer(ledger, entry, move, "08006", error);
}

static void fill_row(const struct fake_ledger *ledger, const struct fake_lane *lane, struct pay_lane_row *ret_row) {
    *ret_row = lane->row;
    ret_row->same_group = lane->group_id[0] == '\0' || strcmp(lane->group_id, ledger->group_id) == 0;
    ret_row->same_cluster = lane->cluster_id[0] == '\0' || strcmp(lane->cluster_id, ledger->cluster_id) == 0;
}

static enum pay_move ledger_read_rows(struct pay_ledger *port, struct pay_lane_row *ret_rows, uint32_t capacity,
                                      uint32_t *ret_count, struct pay_error *error) {
    struct fake_ledger *ledger = self(port);
    const struct fault_entry *entry;
    enum pay_move move = enter(ledger, CALL_READ_ROWS, false, &entry);
    if (move == PAY_OK) {
        const struct fake_tables *tables = tables_of(ledger);
        uint32_t count = tables->lane_count < capacity ? tables->lane_count : capacity;
        for (uint32_t i = 0; i < count; i++) fill_row(ledger, &tables->lanes[i], &ret_rows[i]);
        *ret_count = count;
    }
    return answer(ledger, entry, move, "08006", error);
}

static enum pay_move ledger_adopt(struct pay_ledger *port, int64_t expected_incarnation_us, bool *ret_adopted,
                                  struct pay_error *error) {
    struct fake_ledger *ledger = self(port);
    const struct fault_entry *entry;
    enum pay_move move = enter(ledger, CALL_ADOPT, false, &entry);
    if (move == PAY_OK) {
        struct pay_ledger_row *row = &tables_of(ledger)->ledger;
        *ret_adopted = row->incarnation_us == expected_incarnation_us && !row->halted;
        if (*ret_adopted) row->incarnation_us = ledger->database->server_started_us;
    }
    return answer(ledger, entry, move, "08006", error);
}

static enum pay_move ledger_halt_ledger(struct pay_ledger *port, enum pay_halt reason, struct pay_error *error) {
    struct fake_ledger *ledger = self(port);
    const struct fault_entry *entry;
    enum pay_move move = enter(ledger, CALL_HALT_LEDGER, false, &entry);
    fault_note(ledger->fault, -1, reason);
    if (move == PAY_OK) {
        struct pay_ledger_row *row = &tables_of(ledger)->ledger;
        if (!row->halted) row->halted_reason = reason;
        if (!row->halted) {
            ledger->database->halted_us = ledger->database->clock->now_us;
            ledger->database->halted_by = ledger->fault->worker;
        }
        row->halted = true;
    }
    return answer(ledger, entry, move, "08006", error);
}

/* ---- lanes ---- */

/* Waits for a row that an open transaction holds. OK, AGAIN (lock_timeout), SESSION_OVER (cut while waiting). */
static enum pay_move wait_for_row(struct fake_ledger *ledger, const struct fake_lane *lane) {
    struct fake_database *database = ledger->database;
    const uint32_t *lock = &database->lane_locks[lane - database->tables.lanes];
    int64_t deadline = database->clock->now_us + ledger->call_timeout_ms * 1000;
    while (*lock != 0) {
        if (database->clock->now_us >= deadline) return PAY_AGAIN;
        fault_pause(ledger->fault, CLAIM_POLL_MS);
        fake_database_run(database);
        if (fake_connection_gone(ledger->connection)) return PAY_SESSION_OVER;
    }
    return PAY_OK;
}

static void take_row(const struct fake_ledger *ledger, struct fake_lane *lane, const uint8_t owner[PAY_OWNER_SIZE]) {
    struct pay_lane_row seen;
    fill_row(ledger, lane, &seen);
    if (seen.halted != PAY_HALT_NONE || !seen.same_group || !seen.same_cluster) return;
    memcpy(lane->row.owner, owner, PAY_OWNER_SIZE);
    lane->row.owner_epoch++;
    snprintf(lane->group_id, sizeof lane->group_id, "%s", ledger->group_id);
    snprintf(lane->cluster_id, sizeof lane->cluster_id, "%s", ledger->cluster_id);
}

static enum pay_move ledger_claim(struct pay_ledger *port, int32_t partition, const uint8_t owner[PAY_OWNER_SIZE],
                                  struct pay_lane_row *ret_row, bool *ret_missing, struct pay_error *error) {
    struct fake_ledger *ledger = self(port);
    const struct fault_entry *entry;
    enum pay_move move = enter(ledger, CALL_CLAIM, false, &entry);
    fault_note(ledger->fault, partition, 0);
    if (move == PAY_OK) {
        struct fake_lane *lane = fake_database_lane(ledger->database, partition);
        *ret_missing = lane == NULL;
        if (lane != NULL) move = wait_for_row(ledger, lane);
        if (lane != NULL && move == PAY_OK) {
            take_row(ledger, lane, owner);
            fill_row(ledger, lane, ret_row);
        }
    }
    return answer(ledger, entry, move, move == PAY_AGAIN ? "55P03" : "08006", error);
}

static enum pay_move ledger_create_row(struct pay_ledger *port, int32_t partition, struct pay_error *error) {
    struct fake_ledger *ledger = self(port);
    const struct fault_entry *entry;
    enum pay_move move = enter(ledger, CALL_CREATE_ROW, false, &entry);
    if (move == PAY_OK && fake_database_lane(ledger->database, partition) == NULL)
        fake_database_add_lane(ledger->database, partition);
    return answer(ledger, entry, move, "08006", error);
}

static enum pay_move ledger_halt_lane(struct pay_ledger *port, int32_t partition, const uint8_t owner[PAY_OWNER_SIZE],
                                      int64_t owner_epoch, enum pay_halt reason, struct pay_error *error) {
    struct fake_ledger *ledger = self(port);
    const struct fault_entry *entry;
    enum pay_move move = enter(ledger, CALL_HALT_LANE, false, &entry);
    fault_note(ledger->fault, partition, reason);
    if (move == PAY_OK) {
        struct fake_lane *lane = fake_database_lane(ledger->database, partition);
        if (lane != NULL) move = wait_for_row(ledger, lane);
        bool mine = lane != NULL && move == PAY_OK && memcmp(lane->row.owner, owner, PAY_OWNER_SIZE) == 0 &&
                    lane->row.owner_epoch == owner_epoch;
        if (mine) {
            lane->row.halted = reason;
            lane->halted_us = ledger->database->clock->now_us;
            lane->halted_by = ledger->fault->worker;
        }
    }
    return answer(ledger, entry, move, "08006", error);
}

/* ---- reading for answers ---- */

/* A stored decision into the batch; its place in the order's list stays. */
static bool give_known(struct pay_batch *batch, uint32_t order, const struct pay_decision *stored) {
    struct pay_decision *slot = pay_batch_add_known(batch, order);
    if (slot == NULL) return false;
    struct pay_decision *next = slot->next;
    *slot = *stored;
    slot->next = next;
    return true;
}

static bool look_up_known(const struct fake_tables *tables, struct pay_batch *batch) {
    for (uint32_t i = 0; i < batch->order_count; i++) {
        for (uint32_t row = 0; row < tables->payment_count; row++) {
            const struct fake_payment *payment = &tables->payments[row];
            if (strcmp(payment->order_id, batch->orders[i].order_id) != 0 ||
                strcmp(payment->tenant, batch->orders[i].tenant) != 0)
                continue;
            if (!give_known(batch, i, &payment->decision)) return false;
        }
    }
    return true;
}

static void look_up_refusals(const struct fake_tables *tables, struct pay_batch *batch) {
    for (uint32_t i = batch->begin; i < batch->end; i++) {
        const struct fake_refusal *row =
            batch->dropped[i] ? NULL : fake_database_refusal(tables, &batch->records[i].position);
        if (row != NULL) *pay_batch_add_refusal(batch, i) = row->refusal;
    }
}

static enum pay_move ledger_look_up(struct pay_ledger *port, struct pay_batch *batch, struct pay_error *error) {
    struct fake_ledger *ledger = self(port);
    const struct fault_entry *entry;
    enum pay_move move = enter(ledger, CALL_LOOK_UP, false, &entry);
    if (move == PAY_OK) {
        if (look_up_known(tables_of(ledger), batch))
            look_up_refusals(tables_of(ledger), batch);
        else
            move = PAY_SPLIT;
    }
    return answer(ledger, entry, move, "08006", error);
}

/* ---- settle ---- */

static enum pay_move ledger_settle_begin(struct pay_ledger *port, struct pay_batch *batch, struct pay_fence *fences,
                                         uint32_t fence_count, struct pay_error *error) {
    struct fake_ledger *ledger = self(port);
    const struct fault_entry *entry;
    enum pay_move move = enter(ledger, CALL_SETTLE_BEGIN, false, &entry);
    fault_note(ledger->fault, fences[0].partition, fences[0].processed_after);
    if (move == PAY_OK) {
        ledger->batch = batch != NULL && batch->begin < batch->end ? batch : NULL;
        ledger->fences = fences;
        ledger->fence_count = fence_count;
        ledger->read_given_us = 0;
        ledger->written = false;
        fake_transaction_begin(ledger->database, ledger->connection, ledger->batch, fences, fence_count);
        ledger->settling = true;
    }
    return answer(ledger, entry, move, "08006", error);
}

/* The settle is over and failed with `move`. */
static enum pay_settle_state fail_settle(struct fake_ledger *ledger, enum pay_move move, const char *code,
                                         struct pay_error *error) {
    if (move == PAY_SESSION_OVER) {
        drop_connection(ledger);
        ledger->over = true;
    }
    ledger->settling = false;
    ledger->read_given_us = 0;
    ledger->fault->answered = move;
    fault_leave(ledger->fault);
    fault_error(error, move, code, "as a fake says it");
    return PAY_SETTLE_FAILED;
}

static void mark_lost(struct fake_ledger *ledger, bool scripted) {
    const struct fake_transaction *transaction = &ledger->connection->transaction;
    for (uint32_t i = 0; i < ledger->fence_count; i++)
        ledger->fences[i].lost = transaction->fences[i].lost || (scripted && i == 0);
}

/* READ: accounts and known decisions into the batch. False: too many known decisions. */
static bool give_read(struct fake_ledger *ledger) {
    struct fake_transaction *transaction = &ledger->connection->transaction;
    if (ledger->batch == NULL) return true;
    for (uint32_t i = 0; i < transaction->account_count; i++) {
        if (transaction->accounts[i].found) ledger->batch->accounts[i] = transaction->accounts[i];
    }
    for (uint32_t i = 0; i < transaction->known_count; i++) {
        if (!give_known(ledger->batch, transaction->known_order[i], &transaction->known[i].decision)) return false;
    }
    return true;
}

static enum pay_settle_state poll_ready(struct fake_ledger *ledger, int64_t *ret_decided_at_us,
                                        struct pay_error *error) {
    struct fake_connection *connection = ledger->connection;
    const struct fault_entry *entry = fault_enter(ledger->fault, CALL_SETTLE_READ);
    fake_database_run(ledger->database);
    if (fake_connection_gone(connection)) return fail_settle(ledger, PAY_SESSION_OVER, "25P03", error);
    enum pay_move move = fault_wanted(entry, false);
    if (move == PAY_OK && !give_read(ledger)) move = PAY_SPLIT;
    if (move != PAY_OK) {
        if (move == PAY_FENCED) mark_lost(ledger, true);
        if (move != PAY_SESSION_OVER) fake_transaction_roll_back(ledger->database, connection, PAY_OK, "");
        return fail_settle(ledger, move, "scripted", error);
    }
    *ret_decided_at_us = connection->transaction.began_us;
    ledger->read_given_us = ledger->database->clock->now_us;
    fault_leave(ledger->fault);
    return PAY_SETTLE_READ;
}

static enum pay_settle_state poll_failed(struct fake_ledger *ledger, struct pay_error *error) {
    struct fake_transaction *transaction = &ledger->connection->transaction;
    char code[sizeof transaction->failure_code];
    fault_enter(ledger->fault, CALL_SETTLE_END);
    if (fake_connection_gone(ledger->connection)) return fail_settle(ledger, PAY_SESSION_OVER, "57P01", error);
    enum pay_move move = transaction->failure;
    memcpy(code, transaction->failure_code, sizeof code);
    if (move == PAY_FENCED) mark_lost(ledger, false);
    fake_transaction_forget(ledger->connection);
    return fail_settle(ledger, move, code, error);
}

/* The COMMIT's result is due, or there. */
static enum pay_settle_state poll_commit(struct fake_ledger *ledger, struct pay_error *error) {
    struct fake_connection *connection = ledger->connection;
    const struct fault_entry *entry = fault_enter(ledger->fault, CALL_SETTLE_END);
    fake_database_run(ledger->database);
    if (fake_connection_gone(connection)) return fail_settle(ledger, PAY_SESSION_OVER, "57P01", error);
    enum pay_move move = fault_wanted(entry, false);
    if (move != PAY_OK && connection->transaction.state == TRANSACTION_WRITING) {
        fake_transaction_roll_back(ledger->database, connection, PAY_OK, ""); /* failed at COMMIT */
        return fail_settle(ledger, move, "scripted", error);
    }
    if (move != PAY_OK)
        return fail_settle(ledger, PAY_SESSION_OVER, "scripted",
                           error); /* it ran already: all that can be said is nothing */
    if (connection->transaction.state == TRANSACTION_WRITING) fake_transaction_commit(ledger->database, connection);
    if (connection->transaction.state == TRANSACTION_FAILED) {
        char code[sizeof connection->transaction.failure_code];
        move = connection->transaction.failure;
        memcpy(code, connection->transaction.failure_code, sizeof code);
        fake_transaction_forget(connection);
        return fail_settle(ledger, move, code, error);
    }
    if (fault_wanted(entry, true) != PAY_OK) return fail_settle(ledger, PAY_SESSION_OVER, "scripted", error);
    fake_transaction_forget(connection);
    ledger->settling = false;
    fault_leave(ledger->fault);
    return PAY_SETTLE_COMMITTED;
}

/* Own deadline between the two round trips. */
static bool read_is_too_old(const struct fake_ledger *ledger) {
    return ledger->read_given_us != 0 &&
           ledger->database->clock->now_us - ledger->read_given_us > ledger->round_trip_deadline_ms * 1000;
}

static enum pay_settle_state ledger_settle_poll(struct pay_ledger *port, int64_t *ret_decided_at_us,
                                                struct pay_error *error) {
    struct fake_ledger *ledger = self(port);
    if (!ledger->settling) fault_complain(&ledger->database->complaints, "settle_poll outside a settle");
    fake_database_run(ledger->database);
    if (ledger->connection == NULL || fake_connection_gone(ledger->connection)) {
        fault_enter(ledger->fault, CALL_SETTLE_END);
        return fail_settle(ledger, PAY_SESSION_OVER, "57P01", error);
    }
    const struct fake_transaction *transaction = &ledger->connection->transaction;
    switch (transaction->state) {
    case TRANSACTION_READY:
        if (ledger->read_given_us == 0) return poll_ready(ledger, ret_decided_at_us, error);
        if (!read_is_too_old(ledger)) return PAY_SETTLE_WAITING;
        fault_enter(ledger->fault, CALL_SETTLE_END);
        fake_transaction_roll_back(ledger->database, ledger->connection, PAY_OK, "");
        return fail_settle(ledger, PAY_REDO, "deadline", error);
    case TRANSACTION_WRITING:
        if (ledger->database->clock->now_us < transaction->due_us) return PAY_SETTLE_WAITING;
        return poll_commit(ledger, error);
    case TRANSACTION_COMMITTED: return poll_commit(ledger, error);
    case TRANSACTION_FAILED: return poll_failed(ledger, error);
    default: return PAY_SETTLE_WAITING;
    }
}

static enum pay_move ledger_settle_write(struct pay_ledger *port, struct pay_error *error) {
    struct fake_ledger *ledger = self(port);
    const struct fault_entry *entry;
    if (ledger->read_given_us == 0) fault_complain(&ledger->database->complaints, "settle_write without READ");
    enum pay_move move = enter(ledger, CALL_SETTLE_WRITE, true, &entry);
    if (move == PAY_OK && read_is_too_old(ledger)) move = PAY_REDO;
    if (move == PAY_OK && ledger->connection->transaction.state != TRANSACTION_READY) move = PAY_SESSION_OVER;
    if (move == PAY_OK) {
        fake_transaction_write(ledger->database, ledger->connection, ledger->batch);
        ledger->written = true;
        ledger->read_given_us = 0;
    } else if (move != PAY_SESSION_OVER) {
        fake_transaction_roll_back(ledger->database, ledger->connection, PAY_OK, "");
        ledger->settling = false;
    }
    return answer(ledger, entry, move, move == PAY_REDO ? "deadline" : "08006", error);
}

static void ledger_settle_abandon(struct pay_ledger *port) {
    struct fake_ledger *ledger = self(port);
    if (!ledger->settling) fault_complain(&ledger->database->complaints, "settle_abandon outside a settle");
    fault_enter(ledger->fault, CALL_SETTLE_ABANDON);
    fake_database_run(ledger->database);
    ledger->settling = false;
    ledger->read_given_us = 0;
    if (ledger->connection != NULL && !fake_connection_gone(ledger->connection)) {
        if (ledger->written) {
            drop_connection(ledger);
            ledger->over = true;
        } else {
            fake_transaction_roll_back(ledger->database, ledger->connection, PAY_OK, "");
        }
    }
    fault_leave(ledger->fault);
}

/* No call of the fault script: it would only shift the numbers of all others. */
static enum pay_move ledger_look(struct pay_ledger *port, struct pay_error *error) {
    struct fake_ledger *ledger = self(port);
    if (ledger->connection != NULL && !fake_connection_gone(ledger->connection) && !ledger->over) return PAY_OK;
    *error = (struct pay_error){.move = PAY_SESSION_OVER, .text = "the connection is gone"};
    return PAY_SESSION_OVER;
}

static int ledger_descriptor(struct pay_ledger *port, bool *ret_wants_write) {
    (void)port;
    *ret_wants_write = false;
    return -1;
}

static void ledger_close(struct pay_ledger *port) { drop_connection(self(port)); }

static const struct pay_ledger_ops fake_ledger_ops = {
    .connect = ledger_connect,
    .read_ledger = ledger_read_ledger,
    .read_rows = ledger_read_rows,
    .adopt = ledger_adopt,
    .halt_ledger = ledger_halt_ledger,
    .claim = ledger_claim,
    .create_row = ledger_create_row,
    .halt_lane = ledger_halt_lane,
    .look_up = ledger_look_up,
    .settle_begin = ledger_settle_begin,
    .settle_poll = ledger_settle_poll,
    .settle_write = ledger_settle_write,
    .settle_abandon = ledger_settle_abandon,
    .look = ledger_look,
    .descriptor = ledger_descriptor,
    .close = ledger_close,
};

struct fake_ledger *fake_ledger_new(struct fake_database *database, struct fault *fault) {
    struct fake_ledger *ledger = calloc(1, sizeof *ledger);
    assert(ledger != NULL);
    ledger->port.ops = &fake_ledger_ops;
    ledger->database = database;
    ledger->fault = fault;
    ledger->call_timeout_ms = 1000;
    ledger->round_trip_deadline_ms = PAY_ROUND_TRIP_DEADLINE_MS;
    snprintf(ledger->group_id, sizeof ledger->group_id, "paybuf");
    snprintf(ledger->cluster_id, sizeof ledger->cluster_id, "fake-cluster");
    return ledger;
}

void fake_ledger_crash(struct fake_ledger *ledger) { drop_connection(ledger); }

void fake_ledger_free(struct fake_ledger *ledger) {
    if (ledger == NULL) return;
    drop_connection(ledger);
    free(ledger);
}
