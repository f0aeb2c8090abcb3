/*
 * pg_test.h - what every test against a real PostgreSQL needs: books with twelve partitions, sessions that settle, and a second
 * connection that looks, blocks or kills. Failures end the test with what the database said.
 */
#ifndef PAY_TESTS_PG_PG_TEST_H
#define PAY_TESTS_PG_PG_TEST_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "core/batch.h"
#include "pg/pg.h"
#include "pg/schema.h"
#include "tests/lib/pg_server.h"
#include "worker/ledger_pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOPIC "pay.requests"
#define PARTITIONS 12

/* Group fixtures: a server with a schema and a ledger. Test fixture: the same books, empty. */
int books_open(void **state);
int books_close(void **state);
int books_reset(void **state);

/* ---- the second connection ---- */

extern struct pay_pg *books;   /* as the owner role */
extern struct pay_pg *watcher; /* as the login, which may see and end others' sessions */

void books_connect(void);
void books_disconnect(void); /* around a restart of the server */
struct pay_pg *connect_as(enum pay_pg_role role);
void sql(struct pay_pg *pg, const char *format, ...) __attribute__((format(printf, 2, 3)));
int64_t sql_number(struct pay_pg *pg, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Static buffer; "" for null or no row. */
const char *sql_text(struct pay_pg *pg, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The move and SQLSTATE that a statement fails with. */
enum pay_move sql_fails(struct pay_pg *pg, char code[6], const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Waits (60 s) until the statement answers a number other than 0. */
void until(struct pay_pg *pg, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sleep_ms(int64_t ms);

void open_account(const char *account_id, int64_t balance_minor); /* tenant t, EUR, floor 0, version 1 */
void assert_books_balance(void); /* every account: balance = adjustments - paid, versions 1..n without holes */

/* ---- a session: a ledger with one or more lanes ---- */

struct session {
    struct pay_ledger *ledger;
    struct pay_batch *batch;
    uint8_t owner[PAY_OWNER_SIZE];
    struct pay_lane_row rows[PARTITIONS]; /* as claimed, moved on by each commit */
    struct pay_fence fences[PARTITIONS];
    uint32_t fence_count;
    int64_t decided_at_us;
    struct pay_error error; /* of the last failure */
};

struct session *session_open(const char *name); /* connected, owner = name */
void session_close(struct session *session);
void session_claim(struct session *session, int32_t partition);
void session_claim_patiently(struct session *session, int32_t partition); /* as often as the row is locked */
/* The server gives it the time that the test takes: between the halves of a settle, and behind a client that hung up. */
void session_dawdles(struct session *session);
int session_backend(struct session *session); /* its pid in the server */

/* A record of tenant t, EUR. The record's offset is the partition's next one in this batch. */
void add_record(struct session *session, int32_t partition, const char *order_id, int32_t attempt,
                const char *account_id, int64_t amount_minor);
void add_invalid(struct session *session, int32_t partition, enum pay_reason reason, enum pay_field field);
void clear_batch(struct session *session);

/* Slices and prepares the whole batch, makes the fences of its lanes, begins. */
enum pay_move begin_settle(struct session *session);
/* Polls (waiting) until something other than WAITING comes. */
enum pay_settle_state wait_settle(struct session *session);
/* begin, READ, decide, write, COMMITTED: the last state, error in session->error. Moves rows on when committed. */
enum pay_settle_state settle(struct session *session);
void decide_and_write(struct session *session); /* however long READ was ago */
void moved_on(struct session *session);

/* With the database's words when it isn't so. */
#define assert_commits(session) assert_committed(settle(session), session)
#define assert_committed(state, session) assert_commit_state(state, &(session)->error, __FILE__, __LINE__)
void assert_commit_state(enum pay_settle_state state, const struct pay_error *error, const char *file, int line);
#define assert_move(expected, actual) assert_moves(expected, actual, __FILE__, __LINE__)
void assert_moves(enum pay_move expected, const struct pay_error *actual, const char *file, int line);

#endif
