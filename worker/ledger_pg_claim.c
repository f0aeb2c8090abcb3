/* The plain calls: each is one transaction that is over when the call returns. */
#include "worker/ledger_pg_private.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define CLAIM_STATEMENTS 2
#define TRANSACTION_FRAME 3 /* BEGIN, SET LOCAL, COMMIT */
#define CLAIM_LOCK_TIMEOUT "SET LOCAL lock_timeout = '1s'"

static enum pay_move roll_back(struct ledger_pg *ledger, struct pay_error *error) {
    struct pay_pg_result *result;
    pay_pg_send(ledger->pg, "ROLLBACK", NULL);
    pay_pg_sync(ledger->pg);
    enum pay_move move = pay_ledger_pg_read_group(ledger, &result, 1, error);
    pay_ledger_pg_free_results(&result, 1);
    return move;
}

/* Opens a transaction; the caller queues its statements, then finish_transaction. */
static void begin_transaction(struct ledger_pg *ledger) {
    pay_pg_clear_warnings(ledger->pg);
    pay_pg_send(ledger->pg, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", NULL);
    pay_pg_send(ledger->pg, CLAIM_LOCK_TIMEOUT, NULL);
}

/* results: of `statements` statements, to be freed by the caller in every case. OK only when the COMMIT was confirmed without a warning. */
static enum pay_move finish_transaction(struct ledger_pg *ledger, struct pay_pg_result **results, uint32_t statements,
                                        struct pay_error *error) {
    struct pay_pg_result *group[TRANSACTION_FRAME + CLAIM_STATEMENTS] = {NULL};
    assert(statements <= CLAIM_STATEMENTS);
    pay_pg_send(ledger->pg, "COMMIT", NULL);
    pay_pg_sync(ledger->pg);
    enum pay_move move = pay_ledger_pg_read_group(ledger, group, TRANSACTION_FRAME + statements, error);
    bool committed = move == PAY_OK && strcmp(pay_pg_result_tag(group[2 + statements]), "COMMIT") == 0;
    for (uint32_t i = 0; i < statements; i++) results[i] = group[2 + i];
    pay_pg_result_free(group[0]);
    pay_pg_result_free(group[1]);
    pay_pg_result_free(group[2 + statements]);
    if (ledger->pg == NULL) return move;
    if (move != PAY_OK && move != PAY_SESSION_OVER) {
        struct pay_error cause = *error;
        if (roll_back(ledger, error) != PAY_OK) return PAY_SESSION_OVER;
        *error = cause;
        return move;
    }
    if (committed && pay_pg_warnings(ledger->pg) == 0) return PAY_OK;
    if (move == PAY_OK) {
        *error = (struct pay_error){.move = PAY_SESSION_OVER};
        snprintf(error->code, sizeof error->code, "01000");
        snprintf(error->text, sizeof error->text, "COMMIT wasn't confirmed: %s", pay_pg_last_warning(ledger->pg));
    }
    pay_ledger_pg_disconnect(ledger);
    return PAY_SESSION_OVER;
}

/* One prepared statement in a transaction of its own; *ret_rows: rows it wrote. */
static enum pay_move write_one(struct ledger_pg *ledger, enum statement statement, bool *ret_wrote,
                               struct pay_error *error) {
    struct pay_pg_result *result = NULL;
    begin_transaction(ledger);
    pay_pg_send_prepared(ledger->pg, pay_ledger_pg_statement_name(statement), &ledger->args);
    enum pay_move move = finish_transaction(ledger, &result, 1, error);
    if (move == PAY_OK)
        *ret_wrote = strcmp(pay_pg_result_tag(result) + strlen(pay_pg_result_tag(result)) - 2, " 0") != 0;
    pay_pg_result_free(result);
    return move;
}

/* Nothing was harmed and somebody was in the way: these calls are repeated, not redone. */
static enum pay_move again(enum pay_move move, struct pay_error *error) {
    return move == PAY_REDO ? (error->move = PAY_AGAIN) : move;
}

static enum pay_move read_one(struct ledger_pg *ledger, enum statement statement, struct pay_pg_result **ret_result,
                              struct pay_error *error) {
    *ret_result = NULL;
    pay_pg_send_prepared(ledger->pg, pay_ledger_pg_statement_name(statement), &ledger->args);
    pay_pg_sync(ledger->pg);
    return again(pay_ledger_pg_read_group(ledger, ret_result, 1, error), error);
}

static bool halt_of(const struct pay_pg_result *result, int row, int column, enum pay_halt *ret_halt) {
    *ret_halt = PAY_HALT_NONE;
    if (pay_pg_result_null(result, row, column)) return true;
    size_t length;
    const char *name = pay_pg_result_bytes(result, row, column, &length);
    return pay_halt_from_name(name, length, ret_halt);
}

static enum pay_move take_ledger(const struct pay_pg_result *result, struct pay_ledger_row *ret_row,
                                 struct pay_error *error) {
    struct pay_ledger_row row;
    if (pay_pg_result_rows(result) != 1) {
        *error =
            (struct pay_error){.move = PAY_REFUSE, .text = "this database has no ledger row yet: run `paybuf init`"};
        return PAY_REFUSE;
    }
    if (!pay_ledger_pg_copy_text(result, 0, 0, row.ledger_id, sizeof row.ledger_id))
        return pay_ledger_pg_strange(error, "ledger id");
    row.incarnation_us = pay_pg_result_timestamp(result, 0, 1);
    row.server_started_us = pay_pg_result_timestamp(result, 0, 2);
    row.halted = pay_pg_result_bool(result, 0, 3);
    if (!halt_of(result, 0, 4, &row.halted_reason)) return pay_ledger_pg_strange(error, "halt reason");
    *ret_row = row;
    return PAY_OK;
}

enum pay_move pay_ledger_pg_read_ledger(struct pay_ledger *port, struct pay_ledger_row *ret_row,
                                        struct pay_error *error) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    struct pay_pg_result *result;
    enum pay_move move = pay_ledger_pg_ready(ledger, error);
    if (move != PAY_OK) return move;
    pay_pg_args_begin(&ledger->args);
    move = read_one(ledger, READ_LEDGER, &result, error);
    if (move == PAY_OK) move = take_ledger(result, ret_row, error);
    pay_pg_result_free(result);
    return move;
}

/* Columns as in claim_take.sql. */
static enum pay_move take_lane(const struct pay_pg_result *result, int at, struct pay_lane_row *ret_row,
                               struct pay_error *error) {
    struct pay_lane_row row = {.partition = pay_pg_result_int4(result, at, 0),
                               .log_generation = pay_pg_result_int8(result, at, 1),
                               .next_offset = pay_pg_result_int8(result, at, 2),
                               .replied_offset = pay_pg_result_int8(result, at, 3),
                               .reply_position = pay_pg_result_int8(result, at, 4),
                               .owner_epoch = pay_pg_result_int8(result, at, 6),
                               .same_group = pay_pg_result_bool(result, at, 10),
                               .same_cluster = pay_pg_result_bool(result, at, 11)};
    if (!pay_pg_result_null(result, at, 5)) {
        size_t length;
        const char *owner = pay_pg_result_bytes(result, at, 5, &length);
        if (length != PAY_OWNER_SIZE) return pay_ledger_pg_strange(error, "owner");
        memcpy(row.owner, owner, length);
    }
    if (!pay_pg_result_null(result, at, 7))
        row.anchor = (struct pay_anchor){true, pay_pg_result_int8(result, at, 7), pay_pg_result_int8(result, at, 8),
                                         (uint32_t)pay_pg_result_int8(result, at, 9)};
    if (!halt_of(result, at, 12, &row.halted)) return pay_ledger_pg_strange(error, "halt reason");
    *ret_row = row;
    return PAY_OK;
}

enum pay_move pay_ledger_pg_read_rows(struct pay_ledger *port, struct pay_lane_row *ret_rows, uint32_t capacity,
                                      uint32_t *ret_count, struct pay_error *error) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    struct pay_pg_result *result;
    enum pay_move move = pay_ledger_pg_ready(ledger, error);
    if (move != PAY_OK) return move;
    pay_pg_args_begin(&ledger->args);
    pay_pg_args_text(&ledger->args, ledger->topic);
    pay_pg_args_text(&ledger->args, ledger->group_id);
    pay_pg_args_text(&ledger->args, ledger->cluster_id);
    pay_pg_args_int8(&ledger->args, capacity);
    move = read_one(ledger, READ_LANES, &result, error);
    uint32_t count = move == PAY_OK ? (uint32_t)pay_pg_result_rows(result) : 0;
    for (uint32_t i = 0; move == PAY_OK && i < count; i++) move = take_lane(result, (int)i, &ret_rows[i], error);
    pay_pg_result_free(result);
    if (move == PAY_OK) *ret_count = count;
    return move;
}

enum pay_move pay_ledger_pg_adopt(struct pay_ledger *port, int64_t expected_incarnation_us, bool *ret_adopted,
                                  struct pay_error *error) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    enum pay_move move = pay_ledger_pg_ready(ledger, error);
    if (move != PAY_OK) return move;
    pay_pg_args_begin(&ledger->args);
    pay_pg_args_timestamp(&ledger->args, expected_incarnation_us);
    return again(write_one(ledger, ADOPT_SERVER, ret_adopted, error), error);
}

enum pay_move pay_ledger_pg_halt_ledger(struct pay_ledger *port, enum pay_halt reason, struct pay_error *error) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    bool wrote;
    enum pay_move move = pay_ledger_pg_ready(ledger, error);
    if (move != PAY_OK) return move;
    pay_pg_args_begin(&ledger->args);
    pay_pg_args_text(&ledger->args, pay_halt_name(reason));
    return again(write_one(ledger, HALT_LEDGER, &wrote, error), error);
}

static void queue_claim(struct ledger_pg *ledger, int32_t partition, const uint8_t owner[PAY_OWNER_SIZE]) {
    begin_transaction(ledger);
    pay_pg_args_begin(&ledger->args);
    pay_pg_args_text(&ledger->args, ledger->topic);
    pay_pg_args_int4(&ledger->args, partition);
    pay_pg_args_bytea(&ledger->args, owner, PAY_OWNER_SIZE);
    pay_pg_args_text(&ledger->args, ledger->group_id);
    pay_pg_args_text(&ledger->args, ledger->cluster_id);
    pay_pg_send_prepared(ledger->pg, pay_ledger_pg_statement_name(CLAIM_TAKE), &ledger->args);
    pay_pg_args_begin(&ledger->args);
    pay_pg_args_text(&ledger->args, ledger->topic);
    pay_pg_args_int4(&ledger->args, partition);
    pay_pg_args_text(&ledger->args, ledger->group_id);
    pay_pg_args_text(&ledger->args, ledger->cluster_id);
    pay_pg_send_prepared(ledger->pg, pay_ledger_pg_statement_name(CLAIM_READ), &ledger->args);
}

enum pay_move pay_ledger_pg_claim(struct pay_ledger *port, int32_t partition, const uint8_t owner[PAY_OWNER_SIZE],
                                  struct pay_lane_row *ret_row, bool *ret_missing, struct pay_error *error) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    struct pay_pg_result *results[CLAIM_STATEMENTS] = {NULL};
    struct pay_lane_row row;
    bool missing = false;
    enum pay_move move = pay_ledger_pg_ready(ledger, error);
    if (move != PAY_OK) return move;
    queue_claim(ledger, partition, owner);
    move = again(finish_transaction(ledger, results, CLAIM_STATEMENTS, error), error);
    if (move == PAY_OK) {
        bool taken = pay_pg_result_rows(results[0]) == 1;
        missing = pay_pg_result_rows(results[1]) == 0;
        if (!missing) move = take_lane(results[taken ? 0 : 1], 0, &row, error);
        if (move == PAY_OK && !missing && !taken && row.halted == PAY_HALT_NONE && row.same_group && row.same_cluster) {
            *error = (struct pay_error){.move = PAY_AGAIN,
                                        .text = "what kept the lane from being taken was lifted while it was claimed"};
            move = PAY_AGAIN;
        }
    }
    pay_ledger_pg_free_results(results, CLAIM_STATEMENTS);
    if (move != PAY_OK) return move;
    *ret_missing = missing;
    if (!missing) *ret_row = row;
    return PAY_OK;
}

enum pay_move pay_ledger_pg_create_row(struct pay_ledger *port, int32_t partition, struct pay_error *error) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    struct pay_error cause = {.move = PAY_OK};
    bool wrote;
    enum pay_move move = pay_ledger_pg_ready(ledger, error);
    if (move != PAY_OK) return move;
    pay_pg_args_begin(&ledger->args);
    pay_pg_args_text(&ledger->args, ledger->topic);
    pay_pg_args_int4(&ledger->args, partition);
    move = write_one(ledger, CREATE_LANE, &wrote, &cause);
    if (move == PAY_OK || strcmp(cause.code, "23505") == 0) return PAY_OK; /* another worker made it */
    *error = cause;
    return again(move, error);
}

enum pay_move pay_ledger_pg_halt_lane(struct pay_ledger *port, int32_t partition, const uint8_t owner[PAY_OWNER_SIZE],
                                      int64_t owner_epoch, enum pay_halt reason, struct pay_error *error) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    bool wrote;
    enum pay_move move = pay_ledger_pg_ready(ledger, error);
    if (move != PAY_OK) return move;
    pay_pg_args_begin(&ledger->args);
    pay_pg_args_text(&ledger->args, ledger->topic);
    pay_pg_args_int4(&ledger->args, partition);
    pay_pg_args_bytea(&ledger->args, owner, PAY_OWNER_SIZE);
    pay_pg_args_int8(&ledger->args, owner_epoch);
    pay_pg_args_text(&ledger->args, pay_halt_name(reason));
    return again(write_one(ledger, HALT_LANE, &wrote, error), error);
}
