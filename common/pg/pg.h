/*
 * pg.h - a connection to PostgreSQL; this folder is the only user of libpq.
 *
 * Calling sequence of the tools: pay_pg_open; pay_pg_exec per statement, with pay_pg_args for parameters; pay_pg_close.
 * A transaction: pay_pg_begin, statements, pay_pg_commit or pay_pg_rollback.
 * Calling sequence of the worker's ledger: pay_pg_open with batch_session; pay_pg_pipeline_enter; then pay_pg_send*,
 * pay_pg_sync, pay_pg_next in a loop around pay_pg_descriptor.
 *
 * Promises:
 *   1. Every blocking call ends within its deadline: the connection is broken then, and only pay_pg_close is left.
 *      (One gap: resolving a host name blocks as long as the system's resolver does. Give an address where that matters.)
 *   2. pay_pg_commit answers PAY_OK only for the command tag COMMIT without a warning: a failed transaction answers
 *      ROLLBACK without an error, and a warning means that a standby may not have it.
 *   3. Results of pay_pg_exec are streamed row by row: memory doesn't grow with the table.
 *   4. A connection to a server that may lose commits (fsync or synchronous_commit off), through a pooler, over a unix
 *      socket or to a standby is refused unless the options say otherwise.
 *
 * A crash of the program leaves nothing: the server ends a vanished client's transaction (tcp_user_timeout, keepalives,
 * client_connection_check_interval, idle_in_transaction_session_timeout are set in each session).
 * Memory: pay_pg owns itself; out of memory aborts. Threads: one connection, one thread. Nothing is logged here.
 */
#ifndef PAY_PG_PG_H
#define PAY_PG_PG_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pay_pg;
struct pay_pg_result;

/* The group role that the session takes on (SET ROLE); the login must be a member. sql/schema/roles.sql says what each may do. */
enum pay_pg_role { PAY_PG_AS_LOGIN, PAY_PG_OWNER, PAY_PG_WORKER, PAY_PG_READER };

struct pay_pg_options {
    const char *url; /* postgresql://... or key=value words; libpq's PG* environment fills what is missing */
    const char *application_name; /* seen in pg_stat_activity; the URL's own wins */
    enum pay_pg_role role;
    bool batch_session; /* the worker's: planner settings of batch statements, strict timeouts, no pooler */
    bool allow_unix_socket;
    bool allow_unsafe;          /* fsync or synchronous_commit off */
    int64_t connect_timeout_ms; /* 0: PAY_PG_CONNECT_TIMEOUT_MS */
    int64_t call_timeout_ms;    /* 0: PAY_PG_CALL_TIMEOUT_MS */
};

#define PAY_PG_CONNECT_TIMEOUT_MS 5000
#define PAY_PG_CALL_TIMEOUT_MS 30000

/* OK, or REFUSE: libpq can't read it. Connects to nothing. */
enum pay_move pay_pg_check_url(const char *url, struct pay_error *error);

/* OK; AGAIN: not reachable now; REFUSE: it won't get better by itself (password, database, role, standby, pooler, fsync). */
enum pay_move pay_pg_open(const struct pay_pg_options *options, struct pay_pg **ret_pg, struct pay_error *error);
void pay_pg_close(struct pay_pg *pg); /* NULL is fine; never blocks */
void pay_pg_set_call_timeout(struct pay_pg *pg, int64_t timeout_ms);
bool pay_pg_broken(const struct pay_pg *pg);
int pay_pg_server_version(const struct pay_pg *pg); /* 150020 */
int pay_pg_backend_pid(const struct pay_pg *pg);
const char *pay_pg_login(const struct pay_pg *pg); /* the user that connected */

/* ---- parameters ---- */

#define PAY_PG_ARGS_MAX 20

/* Bound to $1, $2, ... in the order of the calls. Numbers and arrays travel binary, so the SQL must cast: $1::int8, $2::text[].
   Pointers must live until the statement was sent. */
struct pay_pg_args {
    int count;
    const char *values[PAY_PG_ARGS_MAX];
    int lengths[PAY_PG_ARGS_MAX];
    int formats[PAY_PG_ARGS_MAX];
    unsigned char numbers[PAY_PG_ARGS_MAX][8];
};

enum pay_pg_element {
    PAY_PG_BOOL,
    PAY_PG_BYTEA,
    PAY_PG_INT4,
    PAY_PG_INT8,
    PAY_PG_TEXT,
    PAY_PG_TID,
    PAY_PG_ELEMENT_COUNT
};

/* A one-dimensional array in PostgreSQL's binary form, built in a buffer that is used again and again. Zeroed is a valid start. */
struct pay_pg_array {
    unsigned char *bytes;
    size_t length, capacity;
    uint32_t count;
};

void pay_pg_array_begin(struct pay_pg_array *array, enum pay_pg_element element);
void pay_pg_array_null(struct pay_pg_array *array);
void pay_pg_array_bool(struct pay_pg_array *array, bool value);
void pay_pg_array_bytea(struct pay_pg_array *array, const void *bytes, size_t length);
void pay_pg_array_int4(struct pay_pg_array *array, int32_t value);
void pay_pg_array_optional_int8(struct pay_pg_array *array, bool present, int64_t value); /* else NULL */
void pay_pg_array_int8(struct pay_pg_array *array, int64_t value);
void pay_pg_array_text(struct pay_pg_array *array, const char *text); /* NULL: null */
void pay_pg_array_tid(struct pay_pg_array *array, uint64_t row_handle);
void pay_pg_array_free(struct pay_pg_array *array);

void pay_pg_args_begin(struct pay_pg_args *args);
void pay_pg_args_null(struct pay_pg_args *args);
void pay_pg_args_bool(struct pay_pg_args *args, bool value);
void pay_pg_args_bytea(struct pay_pg_args *args, const void *bytes, size_t length);
void pay_pg_args_int4(struct pay_pg_args *args, int32_t value);
void pay_pg_args_int8(struct pay_pg_args *args, int64_t value);
void pay_pg_args_text(struct pay_pg_args *args, const char *text); /* NULL: null */
void pay_pg_args_timestamp(struct pay_pg_args *args, int64_t microseconds_since_1970);
void pay_pg_args_array(struct pay_pg_args *args, const struct pay_pg_array *array);

/* ---- blocking calls, text results: tools, schema, tests ---- */

/* One row; columns are text as psql shows it, NULL for null; valid during the call. False stops: the rest is read and dropped. */
struct pay_pg_row {
    int columns;
    const struct pay_pg_result *result;
};
typedef bool (*pay_pg_row_fn)(void *argument, const struct pay_pg_row *row);

const char *pay_pg_column(const struct pay_pg_row *row, int column);  /* NULL: null */
int64_t pay_pg_column_int8(const struct pay_pg_row *row, int column); /* 0 for null; asserts on anything but a number */
bool pay_pg_column_bool(const struct pay_pg_row *row, int column);    /* false for null */

/* One statement. args and each may be NULL. *ret_affected (may be NULL): rows returned or written, by the command tag. */
enum pay_move pay_pg_exec(struct pay_pg *pg, const char *sql, const struct pay_pg_args *args, pay_pg_row_fn each,
                          void *argument, int64_t *ret_affected, struct pay_error *error);
/* The first column of the first row into `text`. *ret_found: whether there was one that isn't null. */
enum pay_move pay_pg_exec_value(struct pay_pg *pg, const char *sql, const struct pay_pg_args *args, char *text,
                                size_t size, bool *ret_found, struct pay_error *error);
/* Several statements without parameters, results dropped: migrations. */
enum pay_move pay_pg_script(struct pay_pg *pg, const char *sql, struct pay_error *error);

enum pay_move pay_pg_begin(struct pay_pg *pg, bool repeatable_read_only, struct pay_error *error);
/* OK; a move of the failed transaction, which is rolled back; SESSION_OVER: unknown. */
enum pay_move pay_pg_commit(struct pay_pg *pg, struct pay_error *error);
void pay_pg_rollback(struct pay_pg *pg); /* bounded; breaks the connection when it can't */

/* ---- pipeline: the worker's ledger ---- */

/* From here to pay_pg_close only the calls of this part are allowed. */
enum pay_move pay_pg_pipeline_enter(struct pay_pg *pg, struct pay_error *error);

/* Queue commands; false only when the connection is broken. Never block: pay_pg_flush and pay_pg_next send. Each command gives one result. */
bool pay_pg_send_prepare(struct pay_pg *pg, const char *name, const char *sql);
bool pay_pg_send_prepared(struct pay_pg *pg, const char *name, const struct pay_pg_args *args);
bool pay_pg_send(struct pay_pg *pg, const char *sql, const struct pay_pg_args *args);
bool pay_pg_sync(struct pay_pg *pg); /* ends a group: an error skips to here; gives PAY_PG_SYNCED */

bool pay_pg_flush(struct pay_pg *pg); /* sends what the socket takes now; false: lost */

enum pay_pg_event {
    PAY_PG_NOTHING, /* not there yet; wait on the descriptor */
    PAY_PG_RESULT,  /* a command's result: pay_pg_result_error, then the accessors; pay_pg_result_free */
    PAY_PG_SYNCED,  /* the end of a group */
    PAY_PG_IDLE,    /* nothing is outstanding */
    PAY_PG_LOST     /* the connection is gone or broken; *error says why */
};
enum pay_pg_event pay_pg_next(struct pay_pg *pg, struct pay_pg_result **ret_result, struct pay_error *error);
/* Waits until the socket may have something (or can take more), at most until `deadline_ms` of pay_clock_ms. False: deadline passed. */
bool pay_pg_wait(struct pay_pg *pg, int64_t deadline_ms);
/* After the client has given up on the connection: nothing may be asked of it any more. */
void pay_pg_break(struct pay_pg *pg);

int pay_pg_descriptor(struct pay_pg *pg, bool *ret_wants_write);
/* Warnings since pay_pg_clear_warnings, and the last one's text. */
uint32_t pay_pg_warnings(const struct pay_pg *pg);
const char *pay_pg_last_warning(const struct pay_pg *pg);
void pay_pg_clear_warnings(struct pay_pg *pg);

/* PAY_OK, or what the server's error asks for; fills *error. A command skipped after an earlier error: PAY_REDO with code "skipped". */
enum pay_move pay_pg_result_error(const struct pay_pg_result *result, struct pay_error *error);
const char *pay_pg_result_tag(const struct pay_pg_result *result); /* "COMMIT", "INSERT 0 5" */
int pay_pg_result_rows(const struct pay_pg_result *result);
bool pay_pg_result_null(const struct pay_pg_result *result, int row, int column);
int32_t pay_pg_result_int4(const struct pay_pg_result *result, int row, int column);
int64_t pay_pg_result_int8(const struct pay_pg_result *result, int row, int column);
bool pay_pg_result_bool(const struct pay_pg_result *result, int row, int column);
int64_t pay_pg_result_timestamp(const struct pay_pg_result *result, int row, int column); /* microseconds since 1970 */
/* An int4[] without nulls; answers its length, of which at most `capacity` were stored. */
uint32_t pay_pg_result_int4s(const struct pay_pg_result *result, int row, int column, int32_t *ret_numbers,
                             uint32_t capacity);
uint64_t pay_pg_result_tid(const struct pay_pg_result *result, int row, int column);
/* Text or bytea; not NUL-terminated by promise. */
const char *pay_pg_result_bytes(const struct pay_pg_result *result, int row, int column, size_t *ret_length);
void pay_pg_result_free(struct pay_pg_result *result);

/* The caller's move for a SQLSTATE inside a transaction (PITFALLS); "" and unknown ones: SESSION_OVER. */
enum pay_move pay_pg_move_of(const char *sqlstate);
/* The same while connecting: REFUSE where trying again can't help, else AGAIN. */
enum pay_move pay_pg_connect_move_of(const char *sqlstate);

#endif
