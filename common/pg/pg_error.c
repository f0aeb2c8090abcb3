#include "pg/pg_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool in_class(const char *sqlstate, const char *class) { return strncmp(sqlstate, class, 2) == 0; }
static bool is(const char *sqlstate, const char *code) { return strcmp(sqlstate, code) == 0; }

enum pay_move pay_pg_move_of(const char *sqlstate) {
    /* Somebody else was in the way: deadlock, serialization, lock timeout, a cancel that wasn't asked for, the same identity in another lane. */
    if (is(sqlstate, "40P01") || is(sqlstate, "40001") || is(sqlstate, "55P03") || is(sqlstate, "57014") ||
        is(sqlstate, "23505"))
        return PAY_REDO;
    /* "cached plan must not change result type", "prepared statement doesn't exist": a migration ran. The ledger prepares again. */
    if (is(sqlstate, "0A000") || is(sqlstate, "26000")) return PAY_REDO;
    /* The data, or too much of it. */
    if (in_class(sqlstate, "22") || in_class(sqlstate, "23") || in_class(sqlstate, "54")) return PAY_SPLIT;
    return PAY_SESSION_OVER;
}

enum pay_move pay_pg_connect_move_of(const char *sqlstate) {
    /* Password, database name, rights, bad parameter: a person has to change something. */
    if (in_class(sqlstate, "28") || is(sqlstate, "3D000") || is(sqlstate, "42501") || in_class(sqlstate, "22") ||
        in_class(sqlstate, "42"))
        return PAY_REFUSE;
    return PAY_AGAIN;
}

static void set_text(struct pay_error *error, const char *format, va_list arguments) {
    vsnprintf(error->text, sizeof error->text, format, arguments);
    size_t length = strlen(error->text);
    while (length > 0 && (error->text[length - 1] == '\n' || error->text[length - 1] == ' '))
        error->text[--length] = '\0';
    for (char *c = error->text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ') *c = ' ';
}

enum pay_move pay_pg_fail(struct pay_error *error, enum pay_move move, const char *code, const char *format, ...) {
    struct pay_error filled = {.move = move};
    snprintf(filled.code, sizeof filled.code, "%s", code);
    va_list arguments;
    va_start(arguments, format);
    set_text(&filled, format, arguments);
    va_end(arguments);
    *error = filled;
    return move;
}

enum pay_move pay_pg_lost(struct pay_pg *pg, struct pay_error *error, const char *doing) {
    pg->broken = true;
    const char *message = PQerrorMessage(pg->connection);
    return pay_pg_fail(error, PAY_SESSION_OVER, "", "connection to PostgreSQL lost while %s: %s", doing,
                       message[0] != '\0' ? message : "no reason given");
}

static const char *field_or(const PGresult *result, int field, const char *otherwise) {
    const char *text = PQresultErrorField(result, field);
    return text != NULL ? text : otherwise;
}

enum pay_move pay_pg_fail_by_result(struct pay_error *error, const PGresult *result) {
    const char *sqlstate = field_or(result, PG_DIAG_SQLSTATE, "");
    const char *severity = field_or(result, PG_DIAG_SEVERITY_NONLOCALIZED, "");
    const char *hint = field_or(result, PG_DIAG_MESSAGE_HINT, field_or(result, PG_DIAG_MESSAGE_DETAIL, ""));
    /* After FATAL the server has hung up, whatever its reason was. */
    enum pay_move move = is(severity, "FATAL") || is(severity, "PANIC") ? PAY_SESSION_OVER : pay_pg_move_of(sqlstate);
    return pay_pg_fail(error, move, sqlstate, "PostgreSQL: %s%s%s%s",
                       field_or(result, PG_DIAG_MESSAGE_PRIMARY, PQresultErrorMessage(result)),
                       hint[0] != '\0' ? " (" : "", hint, hint[0] != '\0' ? ")" : "");
}

enum pay_move pay_pg_result_error(const struct pay_pg_result *result, struct pay_error *error) {
    const PGresult *raw = pay_pg_raw(result);
    switch (PQresultStatus(raw)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE: return PAY_OK;
    case PGRES_PIPELINE_ABORTED: return pay_pg_fail(error, PAY_REDO, "skipped", "skipped after an earlier error");
    default: return pay_pg_fail_by_result(error, raw);
    }
}
