#include "pg/pg_private.h"

#include "base/clock.h"
#include "core/position.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *pay_pg_column(const struct pay_pg_row *row, int column) {
    const PGresult *raw = pay_pg_raw(row->result);
    assert(column < row->columns);
    return PQgetisnull(raw, 0, column) ? NULL : PQgetvalue(raw, 0, column);
}

int64_t pay_pg_column_int8(const struct pay_pg_row *row, int column) {
    const char *text = pay_pg_column(row, column);
    if (text == NULL) return 0;
    char *end;
    long long value = strtoll(text, &end, 10);
    assert(end != text && *end == '\0');
    return value;
}

bool pay_pg_column_bool(const struct pay_pg_row *row, int column) {
    const char *text = pay_pg_column(row, column);
    return text != NULL && text[0] == 't';
}

/* The next result, or NULL when the command is over. False: lost or too late. */
static bool next_result(struct pay_pg *pg, int64_t deadline_ms, PGresult **ret_result, struct pay_error *error) {
    while (PQisBusy(pg->connection)) { /* first what is here already: taking in moves the whole buffer each time */
        if (!pay_pg_flush(pg)) return pay_pg_lost(pg, error, "waiting for a result"), false;
        if (!PQisBusy(pg->connection)) break;
        if (!pay_pg_wait(pg, deadline_ms)) {
            pg->broken = true;
            pay_pg_fail(error, PAY_SESSION_OVER, "",
                        "PostgreSQL didn't answer within %lld ms; the connection was given up",
                        (long long)pg->call_timeout_ms);
            return false;
        }
    }
    *ret_result = PQgetResult(pg->connection);
    return true;
}

struct collecting {
    pay_pg_row_fn each;
    void *argument;
    int64_t affected;
    enum pay_move move;
    struct pay_error *error;
    char tag[32];
};

static void take_result(struct collecting *collecting, PGresult *result) {
    const struct pay_pg_row row = {PQnfields(result), (const struct pay_pg_result *)result};
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
        if (collecting->each != NULL && !collecting->each(collecting->argument, &row)) collecting->each = NULL;
        break;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        collecting->affected = strtoll(PQcmdTuples(result), NULL, 10);
        snprintf(collecting->tag, sizeof collecting->tag, "%s", PQcmdStatus(result));
        break;
    default:
        if (collecting->move == PAY_OK) collecting->move = pay_pg_fail_by_result(collecting->error, result);
    }
}

/* Reads all of a command that was sent. */
static enum pay_move collect(struct pay_pg *pg, struct collecting *collecting) {
    int64_t deadline_ms = pay_clock_ms() + pg->call_timeout_ms;
    PQsetSingleRowMode(pg->connection);
    for (;;) {
        PGresult *result;
        if (!next_result(pg, deadline_ms, &result, collecting->error)) return PAY_SESSION_OVER;
        if (result == NULL) return collecting->move;
        take_result(collecting, result);
        PQclear(result);
        if (PQstatus(pg->connection) == CONNECTION_BAD) {
            if (collecting->move == PAY_OK)
                collecting->move = pay_pg_lost(pg, collecting->error, "waiting for a result");
            pg->broken = true;
            return collecting->move;
        }
    }
}

static enum pay_move not_connected(struct pay_error *error) {
    return pay_pg_fail(error, PAY_SESSION_OVER, "", "the connection to PostgreSQL was lost before");
}

static enum pay_move run(struct pay_pg *pg, const char *sql, const struct pay_pg_args *args,
                         struct collecting *collecting) {
    if (pg->broken) return not_connected(collecting->error);
    int sent;
    if (args != NULL)
        sent = PQsendQueryParams(pg->connection, sql, args->count, NULL, args->values, args->lengths, args->formats, 0);
    else
        sent = PQsendQuery(pg->connection, sql);
    if (!sent) return pay_pg_lost(pg, collecting->error, "sending a statement");
    return collect(pg, collecting);
}

enum pay_move pay_pg_exec(struct pay_pg *pg, const char *sql, const struct pay_pg_args *args, pay_pg_row_fn each,
                          void *argument, int64_t *ret_affected, struct pay_error *error) {
    struct collecting collecting = {.each = each, .argument = argument, .error = error};
    enum pay_move move = run(pg, sql, args, &collecting);
    if (move == PAY_OK && ret_affected != NULL) *ret_affected = collecting.affected;
    return move;
}

struct one_value {
    char *text;
    size_t size;
    bool found;
};

static bool take_value(void *argument, const struct pay_pg_row *row) {
    struct one_value *value = argument;
    const char *text = pay_pg_column(row, 0);
    value->found = text != NULL;
    if (text != NULL) snprintf(value->text, value->size, "%s", text);
    return false;
}

enum pay_move pay_pg_exec_value(struct pay_pg *pg, const char *sql, const struct pay_pg_args *args, char *text,
                                size_t size, bool *ret_found, struct pay_error *error) {
    struct one_value value = {text, size, false};
    enum pay_move move = pay_pg_exec(pg, sql, args, take_value, &value, NULL, error);
    if (move == PAY_OK) *ret_found = value.found;
    return move;
}

enum pay_move pay_pg_script(struct pay_pg *pg, const char *sql, struct pay_error *error) {
    struct collecting collecting = {.error = error};
    return run(pg, sql, NULL, &collecting);
}

enum pay_move pay_pg_begin(struct pay_pg *pg, bool repeatable_read_only, struct pay_error *error) {
    return pay_pg_script(pg,
                         repeatable_read_only ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
                                              : "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
                         error);
}

enum pay_move pay_pg_commit(struct pay_pg *pg, struct pay_error *error) {
    struct collecting collecting = {.error = error};
    pay_pg_clear_warnings(pg);
    enum pay_move move = run(pg, "COMMIT", NULL, &collecting);
    if (move != PAY_OK) return move;
    if (strcmp(collecting.tag, "COMMIT") != 0)
        return pay_pg_fail(error, PAY_REDO, "", "the transaction had failed: PostgreSQL answered %s to COMMIT",
                           collecting.tag);
    if (pg->warnings > 0) {
        pg->broken = true;
        return pay_pg_fail(error, PAY_SESSION_OVER, "01000", "COMMIT with a warning, its durability is unknown: %s",
                           pg->last_warning);
    }
    return PAY_OK;
}

void pay_pg_rollback(struct pay_pg *pg) {
    struct pay_error ignored;
    if (pg->broken) return;
    if (pay_pg_script(pg, "ROLLBACK", &ignored) != PAY_OK) pg->broken = true;
}
