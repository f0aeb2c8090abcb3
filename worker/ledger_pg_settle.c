/*
 * The settle: two groups of a pipeline and, after any failure, a third that rolls back.
 *
 *   NONE -> (PREPARING ->) FIRST -> READ -> SECOND -> NONE: committed
 *                            |       |        |
 *                            +-------+--------+-> ROLLBACK -> NONE: failed, the connection is usable
 *   anything -> NONE and disconnected: the session is over; after SECOND began its outcome is unknown
 */
#include "worker/ledger_pg_private.h"

#include "base/clock.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A half may wait lock_timeout (5 s) for a lock, a few times in a row when several accounts are held; then the connection is given up. */
#define HALF_DEADLINE_MS 10000
#define ROLLBACK_DEADLINE_MS 2000
#define ABANDON_DEADLINE_MS 1000

static void note_failure(struct ledger_pg *ledger, enum pay_move move, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void note_failure(struct ledger_pg *ledger, enum pay_move move, const char *code, const char *format, ...) {
    if (ledger->failure.move != PAY_OK) return;
    ledger->failure = (struct pay_error){.move = move};
    snprintf(ledger->failure.code, sizeof ledger->failure.code, "%s", code);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ledger->failure.text, sizeof ledger->failure.text, format, arguments);
    va_end(arguments);
}

static void expect(struct ledger_pg *ledger, enum step step) {
    assert(ledger->step_count < STEPS_MAX);
    ledger->steps[ledger->step_count++] = step;
}

static void enter(struct ledger_pg *ledger, enum phase phase, int64_t within_ms) {
    ledger->phase = phase;
    ledger->deadline_ms = pay_clock_ms() + within_ms;
}

static void send_command(struct ledger_pg *ledger, const char *sql, enum step step) {
    pay_pg_send(ledger->pg, sql, NULL);
    expect(ledger, step);
}

static void send_prepared(struct ledger_pg *ledger, enum statement statement, enum step step) {
    pay_pg_send_prepared(ledger->pg, pay_ledger_pg_statement_name(statement), &ledger->args);
    expect(ledger, step);
}

static void forget_steps(struct ledger_pg *ledger) { ledger->step_count = ledger->step_at = 0; }

/* ---- the first half ---- */

static void send_first_half(struct ledger_pg *ledger) {
    send_command(ledger, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", STEP_BEGIN);
    pay_ledger_pg_bind_fences(ledger);
    send_prepared(ledger, SETTLE_FENCE, STEP_FENCE);
    if (ledger->batch != NULL && ledger->batch->account_count > 0) {
        pay_ledger_pg_bind_accounts(ledger);
        send_prepared(ledger, SETTLE_ACCOUNTS, STEP_ACCOUNTS);
        /* Behind the locks: read before them it would be older than the wait for them. */
        pay_ledger_pg_bind_orders(ledger, ledger->batch);
        send_prepared(ledger, KNOWN_PAYMENTS, STEP_KNOWN);
    }
    pay_pg_sync(ledger->pg);
}

enum pay_move pay_ledger_pg_settle_begin(struct pay_ledger *port, struct pay_batch *batch, struct pay_fence *fences,
                                         uint32_t fence_count, struct pay_error *error) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    assert(ledger->phase == PHASE_NONE && fence_count > 0 && fence_count <= PAY_LANES_MAX);
    if (ledger->pg == NULL) return pay_ledger_pg_not_connected(error);
    ledger->batch = batch;
    ledger->fences = fences;
    ledger->fence_count = fence_count;
    ledger->failure = (struct pay_error){.move = PAY_OK};
    ledger->committed = false;
    for (uint32_t i = 0; i < fence_count; i++) fences[i].lost = false;
    forget_steps(ledger);
    enter(ledger, PHASE_FIRST, HALF_DEADLINE_MS);
    if (ledger->stale) {
        ledger->phase = PHASE_PREPARING;
        for (int i = 0; i < STATEMENT_COUNT + 1; i++) expect(ledger, STEP_PREPARED);
        pay_ledger_pg_queue_prepare(ledger);
    }
    send_first_half(ledger);
    pay_pg_flush(ledger->pg); /* a failure shows at the next poll */
    return PAY_OK;
}

/* ---- the second half ---- */

static void send_second_half(struct ledger_pg *ledger) {
    const struct pay_batch *batch = ledger->batch;
    if (batch != NULL && batch->insert_count > 0) {
        pay_ledger_pg_bind_inserts(ledger);
        send_prepared(ledger, SETTLE_PAYMENTS, STEP_WRITE);
    }
    if (batch != NULL && batch->refusal_count > 0) {
        pay_ledger_pg_bind_refusals(ledger);
        send_prepared(ledger, SETTLE_REFUSALS, STEP_WRITE);
    }
    if (batch != NULL && pay_ledger_pg_bind_balances(ledger) > 0) send_prepared(ledger, SETTLE_BALANCES, STEP_WRITE);
    send_command(ledger, "COMMIT", STEP_COMMIT);
    pay_pg_sync(ledger->pg);
}

enum pay_move pay_ledger_pg_settle_write(struct pay_ledger *port, struct pay_error *error) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    if (ledger->pg == NULL) return pay_ledger_pg_not_connected(error);
    assert(ledger->phase == PHASE_READ);
    if (pay_clock_ms() > ledger->deadline_ms) {
        pay_ledger_pg_settle_abandon(port);
        *error = (struct pay_error){.move = PAY_REDO,
                                    .text = "the worker took too long between the halves of a settle; rolled back"};
        return PAY_REDO;
    }
    forget_steps(ledger);
    pay_pg_clear_warnings(ledger->pg);
    enter(ledger, PHASE_SECOND, HALF_DEADLINE_MS);
    send_second_half(ledger);
    pay_pg_flush(ledger->pg);
    return PAY_OK;
}

/* ---- what comes back ---- */

/* Behind the last step's result: the server's last word before it ends the connection (pg_terminate_backend, a shutdown). */
static void take_last_word(struct ledger_pg *ledger, const struct pay_pg_result *result) {
    struct pay_error error = {.text = "PostgreSQL sent a result that nobody asked for"};
    pay_pg_result_error(result, &error);
    note_failure(ledger, PAY_SESSION_OVER, error.code, "%s", error.text);
    ledger->failure.move = PAY_SESSION_OVER;
}

static void take_result(struct ledger_pg *ledger, const struct pay_pg_result *result) {
    if (ledger->step_at == ledger->step_count) {
        take_last_word(ledger, result);
        return;
    }
    enum step step = ledger->steps[ledger->step_at++];
    struct pay_error error = {.move = PAY_OK};
    enum pay_move move = pay_pg_result_error(result, &error);
    if (move == PAY_OK) {
        switch (step) {
        case STEP_FENCE: move = pay_ledger_pg_take_fence(ledger, result, &error); break;
        case STEP_ACCOUNTS: move = pay_ledger_pg_take_accounts(ledger, result, &error); break;
        case STEP_KNOWN: move = pay_ledger_pg_take_known(ledger->batch, result, &error); break;
        case STEP_COMMIT: ledger->committed = strcmp(pay_pg_result_tag(result), "COMMIT") == 0; break;
        case STEP_PREPARED:
        case STEP_BEGIN:
        case STEP_WRITE:
        case STEP_ROLLBACK: break;
        }
    } else {
        pay_ledger_pg_note_code(ledger, error.code);
        if (step == STEP_PREPARED || step == STEP_ROLLBACK) move = PAY_SESSION_OVER;
    }
    if (move != PAY_OK) note_failure(ledger, move, error.code, "%s", error.text);
}

static void roll_back(struct ledger_pg *ledger) {
    forget_steps(ledger);
    enter(ledger, PHASE_ROLLBACK, ROLLBACK_DEADLINE_MS);
    send_command(ledger, "ROLLBACK", STEP_ROLLBACK);
    pay_pg_sync(ledger->pg);
    pay_pg_flush(ledger->pg);
}

static enum pay_settle_state failed(struct ledger_pg *ledger, struct pay_error *error) {
    *error = ledger->failure;
    ledger->phase = PHASE_NONE;
    if (error->move == PAY_SESSION_OVER) pay_ledger_pg_disconnect(ledger);
    return PAY_SETTLE_FAILED;
}

/* The second half's group is over, without an error in it. */
static enum pay_settle_state end_of_commit(struct ledger_pg *ledger, struct pay_error *error) {
    if (!ledger->committed)
        note_failure(ledger, PAY_SESSION_OVER, "", "PostgreSQL didn't answer COMMIT to COMMIT");
    else if (pay_pg_warnings(ledger->pg) > 0)
        note_failure(ledger, PAY_SESSION_OVER, "01000", "COMMIT came with a warning, its durability is unknown: %s",
                     pay_pg_last_warning(ledger->pg));
    if (ledger->failure.move != PAY_OK) return failed(ledger, error);
    ledger->phase = PHASE_NONE;
    return PAY_SETTLE_COMMITTED;
}

/* A group is over: WAITING when another one follows. */
static enum pay_settle_state end_of_group(struct ledger_pg *ledger, struct pay_error *error) {
    bool fine = ledger->failure.move == PAY_OK;
    if (ledger->failure.move == PAY_SESSION_OVER) return failed(ledger, error);
    switch (ledger->phase) {
    case PHASE_PREPARING:
        ledger->stale = false;
        ledger->phase = PHASE_FIRST;
        return PAY_SETTLE_WAITING;
    case PHASE_FIRST:
        if (!fine) break;
        enter(ledger, PHASE_READ, PAY_ROUND_TRIP_DEADLINE_MS);
        return PAY_SETTLE_READ;
    case PHASE_SECOND:
        if (!fine) break;
        return end_of_commit(ledger, error);
    case PHASE_ROLLBACK: return failed(ledger, error);
    case PHASE_NONE:
    case PHASE_READ: assert(!"a group ended that nobody began");
    }
    roll_back(ledger);
    return PAY_SETTLE_WAITING;
}

/* Nothing more to read now. */
static enum pay_settle_state still_waiting(struct ledger_pg *ledger, struct pay_error *error) {
    bool late = pay_clock_ms() > ledger->deadline_ms;
    if (ledger->phase == PHASE_READ) {
        if (!late) return PAY_SETTLE_READ;
        note_failure(ledger, PAY_REDO, "", "the worker took too long between the halves of a settle; rolled back");
        roll_back(ledger);
        return PAY_SETTLE_WAITING;
    }
    if (!late) return PAY_SETTLE_WAITING;
    ledger->failure.move = PAY_OK;
    note_failure(ledger, PAY_SESSION_OVER, "", "PostgreSQL didn't answer in time while %s; the connection was given up",
                 ledger->phase == PHASE_SECOND     ? "committing, the outcome is unknown"
                 : ledger->phase == PHASE_ROLLBACK ? "rolling back"
                                                   : "locking and reading");
    return failed(ledger, error);
}

static enum pay_settle_state lost(struct ledger_pg *ledger, const struct pay_error *cause, struct pay_error *error) {
    /* The server's own last word (a timeout, an administrator), when it came, says more than "lost". */
    if (ledger->failure.move == PAY_OK) ledger->failure = *cause;
    ledger->failure.move = PAY_SESSION_OVER;
    return failed(ledger, error);
}

enum pay_settle_state pay_ledger_pg_settle_poll(struct pay_ledger *port, int64_t *ret_decided_at_us,
                                                struct pay_error *error) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    if (ledger->pg == NULL) return pay_ledger_pg_not_connected(error), PAY_SETTLE_FAILED;
    assert(ledger->phase != PHASE_NONE);
    for (;;) {
        struct pay_pg_result *result = NULL;
        struct pay_error cause;
        enum pay_settle_state state = PAY_SETTLE_WAITING;
        switch (pay_pg_next(ledger->pg, &result, &cause)) {
        case PAY_PG_RESULT:
            take_result(ledger, result);
            pay_pg_result_free(result);
            if (ledger->failure.move == PAY_SESSION_OVER) return failed(ledger, error);
            break;
        case PAY_PG_SYNCED: state = end_of_group(ledger, error); break;
        case PAY_PG_NOTHING:
        case PAY_PG_IDLE:
            state = still_waiting(ledger, error);
            if (state == PAY_SETTLE_WAITING) return state;
            break;
        case PAY_PG_LOST: return lost(ledger, &cause, error);
        }
        if (state == PAY_SETTLE_READ) *ret_decided_at_us = ledger->decided_at_us;
        if (state != PAY_SETTLE_WAITING) return state;
    }
}

void pay_ledger_pg_settle_abandon(struct pay_ledger *port) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    if (ledger->pg == NULL || ledger->phase == PHASE_NONE) return;
    if (ledger->phase == PHASE_SECOND) {
        pay_ledger_pg_disconnect(ledger);
        return;
    }
    note_failure(ledger, PAY_REDO, "", "given up");
    if (ledger->phase == PHASE_READ) roll_back(ledger);
    int64_t deadline_ms = pay_clock_ms() + ABANDON_DEADLINE_MS;
    struct pay_error ignored;
    int64_t ignored_time;
    while (ledger->phase != PHASE_NONE &&
           pay_ledger_pg_settle_poll(port, &ignored_time, &ignored) == PAY_SETTLE_WAITING)
        if (!pay_pg_wait(ledger->pg, deadline_ms)) pay_ledger_pg_disconnect(ledger);
}
