#include "pg/pg_private.h"

#include "base/clock.h"
#include "sql/pay_sql.h"

#include <assert.h>
#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OLDEST_SERVER 150000

/* Every session. No statement_timeout: it could cut a COMMIT, and every call has its own deadline here. */
static const char settings_of_every_session[] =
    "SELECT set_config(name, value, false) FROM (VALUES"
    " ('search_path', 'paybuf, pg_temp'), ('TimeZone', 'UTC'), ('DateStyle', 'ISO'), ('bytea_output', 'hex'), "
    "('client_min_messages', 'warning'),"
    " ('statement_timeout', '0'), ('lock_timeout', '5s'), ('idle_session_timeout', '0'), "
    "('idle_in_transaction_session_timeout', '30s'),"
    " ('client_connection_check_interval', '1s'), ('default_transaction_read_only', 'off'), "
    "('default_transaction_deferrable', 'off'),"
    " ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '1'), ('tcp_keepalives_count', '3')"
    ") s (name, value)";

/* The worker's. A frozen worker mustn't hold its lanes: idle between the halves, the server ends it after 2 s; with unread results
   its backend is active in ClientWrite, and only tcp_user_timeout ends that (PITFALLS). The planner's part: SPEED. */
static const char settings_of_a_batch_session[] =
    "SELECT set_config(name, value, false) FROM (VALUES"
    " ('idle_in_transaction_session_timeout', '2s'), ('tcp_user_timeout', '3s'),"
    " ('plan_cache_mode', 'force_generic_plan'), ('jit', 'off'),"
    " ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'), ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off')"
    ") s (name, value)";

static const char *const role_names[] = {[PAY_PG_AS_LOGIN] = NULL,
                                         [PAY_PG_OWNER] = "paybuf_owner",
                                         [PAY_PG_WORKER] = "paybuf_worker",
                                         [PAY_PG_READER] = "paybuf_reader"};

static void notice(void *argument, const PGresult *result) {
    struct pay_pg *pg = argument;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (severity == NULL || strcmp(severity, "WARNING") != 0) return;
    pg->warnings++;
    snprintf(pg->last_warning, sizeof pg->last_warning, "%s: %s", code != NULL ? code : "",
             message != NULL ? message : "");
}

/* libpq keeps no SQLSTATE of a failed connection, but puts it into the verbose message: "FATAL:  28P01: ...". */
static void sqlstate_in(const char *message, char code[6]) {
    code[0] = '\0';
    for (const char *at = strstr(message, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
        int length = 0;
        while (length < 5 && (isdigit((unsigned char)at[3 + length]) || isupper((unsigned char)at[3 + length])))
            length++;
        if (length == 5 && at[8] == ':') {
            memcpy(code, at + 3, 5);
            code[5] = '\0';
            return;
        }
    }
}

static enum pay_move connect_failed(PGconn *connection, struct pay_error *error) {
    char text[PAY_ERROR_TEXT_MAX];
    char code[6];
    snprintf(text, sizeof text, "%s", PQerrorMessage(connection));
    sqlstate_in(text, code);
    char *location = strstr(text, "\nLOCATION:");
    if (location != NULL) *location = '\0';
    enum pay_move move = pay_pg_connect_move_of(code);
    if (PQconnectionNeedsPassword(connection)) move = PAY_REFUSE;
    if (strstr(text, "session is read-only") != NULL || strstr(text, "hot standby") != NULL)
        return pay_pg_fail(error, PAY_REFUSE, code,
                           "PostgreSQL is a standby or read-only; name the primary, or all hosts with commas: %s",
                           text);
    return pay_pg_fail(error, move, code, "can't connect to PostgreSQL: %s", text);
}

enum pay_move pay_pg_check_url(const char *url, struct pay_error *error) {
    char *message = NULL;
    PQconninfoOption *parsed = PQconninfoParse(url, &message);
    if (parsed != NULL) {
        PQconninfoFree(parsed);
        return PAY_OK;
    }
    /* libpq repeats what it can't read. */
    bool has_secret = strchr(url, '@') != NULL || strstr(url, "password") != NULL;
    pay_pg_fail(
        error, PAY_REFUSE, "", "the database URL can't be read: %s",
        has_secret
            ? "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, other characters than letters and digits as %40"
        : message != NULL ? message
                          : "out of memory");
    PQfreemem(message);
    return PAY_REFUSE;
}

static PGconn *start(const struct pay_pg_options *options, int64_t timeout_ms) {
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%lld", (long long)(timeout_ms + 999) / 1000);
    /* dbname is the URL; what stands before it is a default, what follows is ours whatever it says. */
    const char *const names[] = {"fallback_application_name",
                                 "dbname",
                                 "client_encoding",
                                 "tcp_user_timeout",
                                 "keepalives",
                                 "keepalives_idle",
                                 "keepalives_interval",
                                 "keepalives_count",
                                 "connect_timeout",
                                 "target_session_attrs",
                                 NULL};
    const char *const values[] = {options->application_name,
                                  options->url,
                                  "UTF8",
                                  "3000",
                                  "1",
                                  "5",
                                  "1",
                                  "3",
                                  seconds,
                                  options->role == PAY_PG_READER ? "any" : "read-write",
                                  NULL};
    return PQconnectStartParams(names, values, 1);
}

static enum pay_move wait_connected(PGconn *connection, int64_t deadline_ms, struct pay_error *error) {
    PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
    while (wanted != PGRES_POLLING_OK) {
        if (wanted == PGRES_POLLING_FAILED) return connect_failed(connection, error);
        int64_t left = deadline_ms - pay_clock_ms();
        if (left <= 0) return pay_pg_fail(error, PAY_AGAIN, "", "PostgreSQL didn't answer the connection in time");
        struct pollfd poll_for = {.fd = PQsocket(connection),
                                  .events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        if (poll(&poll_for, 1, (int)left) == 0) continue;
        wanted = PQconnectPoll(connection);
    }
    return PAY_OK;
}

struct server {
    int64_t backend_pid;
    bool in_recovery, fsync, synchronous_commit;
    int64_t version;
};

static bool take_server(void *argument, const struct pay_pg_row *row) {
    struct server *server = argument;
    server->backend_pid = pay_pg_column_int8(row, 0);
    server->in_recovery = pay_pg_column_bool(row, 1);
    server->fsync = strcmp(pay_pg_column(row, 2), "on") == 0;
    server->synchronous_commit = strcmp(pay_pg_column(row, 3), "off") != 0;
    server->version = pay_pg_column_int8(row, 4);
    return true;
}

/* Whether this server, over this connection, may be trusted with a COMMIT. */
static enum pay_move check_server(struct pay_pg *pg, const struct pay_pg_options *options, struct pay_error *error) {
    struct server first = {0}, second = {0};
    enum pay_move move = pay_pg_exec(pg, pay_sql_check_server, NULL, take_server, &first, NULL, error);
    if (move == PAY_OK) move = pay_pg_exec(pg, pay_sql_check_server, NULL, take_server, &second, NULL, error);
    if (move != PAY_OK) return move;
    const char *host = PQhost(pg->connection);
    if (first.version < OLDEST_SERVER)
        return pay_pg_fail(error, PAY_REFUSE, "", "PostgreSQL %lld is too old: 15 or newer",
                           (long long)first.version / 10000);
    if (!options->allow_unix_socket && (host == NULL || host[0] == '/' || host[0] == '@'))
        return pay_pg_fail(
            error, PAY_REFUSE, "",
            "the database is reached over a unix socket, where PostgreSQL doesn't notice a frozen client: "
            "name a host, 127.0.0.1 if need be, or set [database] allow_unix_socket");
    /* A pooler has process ids of its own; in transaction mode the session's settings and locks would land in strangers' sessions. */
    if (options->batch_session &&
        (first.backend_pid != second.backend_pid || first.backend_pid != PQbackendPID(pg->connection)))
        return pay_pg_fail(error, PAY_REFUSE, "",
                           "there is a pooler between the worker and PostgreSQL: connect to the server itself");
    if (options->role != PAY_PG_READER && first.in_recovery)
        return pay_pg_fail(error, PAY_REFUSE, "", "PostgreSQL is a standby: connect to the primary");
    if (!options->allow_unsafe && options->role != PAY_PG_READER && !(first.fsync && first.synchronous_commit))
        return pay_pg_fail(error, PAY_REFUSE, "",
                           "PostgreSQL runs with %s off and may lose commits that it confirmed: switch it on, or set "
                           "[database] allow_unsafe",
                           first.fsync ? "synchronous_commit" : "fsync");
    return PAY_OK;
}

static enum pay_move take_role(struct pay_pg *pg, enum pay_pg_role role, struct pay_error *error) {
    if (role == PAY_PG_AS_LOGIN) return PAY_OK;
    char statement[64];
    snprintf(statement, sizeof statement, "SET ROLE %s", role_names[role]);
    enum pay_move move = pay_pg_script(pg, statement, error);
    if (move == PAY_OK || (strcmp(error->code, "42501") != 0 && strcmp(error->code, "22023") != 0)) return move;
    struct pay_error cause = *error;
    return pay_pg_fail(error, PAY_REFUSE, cause.code,
                       "%s may not act as %s: run `paybuf init`, or as an administrator GRANT %s TO %s (%s)",
                       PQuser(pg->connection), role_names[role], role_names[role], PQuser(pg->connection), cause.text);
}

static enum pay_move prepare_session(struct pay_pg *pg, const struct pay_pg_options *options, struct pay_error *error) {
    struct pay_error cause = {.move = PAY_OK};
    enum pay_move move = check_server(pg, options, &cause);
    if (move == PAY_OK) move = pay_pg_script(pg, settings_of_every_session, &cause);
    if (move == PAY_OK && options->role == PAY_PG_READER)
        move = pay_pg_script(pg, "SET default_transaction_read_only = on", &cause);
    if (move == PAY_OK && options->batch_session) move = pay_pg_script(pg, settings_of_a_batch_session, &cause);
    if (move == PAY_OK) move = take_role(pg, options->role, &cause);
    if (move == PAY_OK) return PAY_OK;
    /* A connection that was just made and is lost again is one that isn't there yet. */
    if (move != PAY_REFUSE) move = pay_pg_connect_move_of(cause.code);
    cause.move = move;
    *error = cause;
    return move;
}

enum pay_move pay_pg_open(const struct pay_pg_options *options, struct pay_pg **ret_pg, struct pay_error *error) {
    int64_t timeout_ms = options->connect_timeout_ms > 0 ? options->connect_timeout_ms : PAY_PG_CONNECT_TIMEOUT_MS;
    enum pay_move move = pay_pg_check_url(options->url, error);
    if (move != PAY_OK) return move;
    struct pay_pg *pg = calloc(1, sizeof *pg);
    if (pg == NULL) abort();
    pg->call_timeout_ms = timeout_ms;
    pg->connection = start(options, timeout_ms);
    if (pg->connection == NULL) abort();
    PQsetNoticeReceiver(pg->connection, notice, pg);
    PQsetErrorVerbosity(pg->connection, PQERRORS_VERBOSE);
    move = PQstatus(pg->connection) == CONNECTION_BAD
               ? connect_failed(pg->connection, error)
               : wait_connected(pg->connection, pay_clock_ms() + timeout_ms, error);
    if (move == PAY_OK) {
        PQsetErrorVerbosity(pg->connection, PQERRORS_DEFAULT);
        if (PQsetnonblocking(pg->connection, 1) != 0) abort();
        move = prepare_session(pg, options, error);
    }
    if (move != PAY_OK) {
        pay_pg_close(pg);
        return move;
    }
    pg->call_timeout_ms = options->call_timeout_ms > 0 ? options->call_timeout_ms : PAY_PG_CALL_TIMEOUT_MS;
    pay_pg_clear_warnings(pg);
    *ret_pg = pg;
    return PAY_OK;
}

void pay_pg_close(struct pay_pg *pg) {
    if (pg == NULL) return;
    PQfinish(pg->connection);
    free(pg);
}

void pay_pg_set_call_timeout(struct pay_pg *pg, int64_t timeout_ms) { pg->call_timeout_ms = timeout_ms; }
int pay_pg_server_version(const struct pay_pg *pg) { return PQserverVersion(pg->connection); }
int pay_pg_backend_pid(const struct pay_pg *pg) { return PQbackendPID(pg->connection); }
const char *pay_pg_login(const struct pay_pg *pg) { return PQuser(pg->connection); }
