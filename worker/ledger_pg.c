#include "worker/ledger_pg_private.h"

#include "base/clock.h"
#include "pg/schema.h"
#include "sql/pay_sql.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_TIMEOUT_MS 5000

static const struct {
    const char *name;
    const char *sql;
} statements[STATEMENT_COUNT] = {[SETTLE_FENCE] = {"settle_fence", pay_sql_settle_fence},
                                 [SETTLE_ACCOUNTS] = {"settle_accounts", pay_sql_settle_accounts},
                                 [KNOWN_PAYMENTS] = {"known_payments", pay_sql_known_payments},
                                 [FOUND_REFUSALS] = {"found_refusals", pay_sql_found_refusals},
                                 [SETTLE_PAYMENTS] = {"settle_payments", pay_sql_settle_payments},
                                 [SETTLE_REFUSALS] = {"settle_refusals", pay_sql_settle_refusals},
                                 [SETTLE_BALANCES] = {"settle_balances", pay_sql_settle_balances},
                                 [CLAIM_TAKE] = {"claim_take", pay_sql_claim_take},
                                 [CLAIM_READ] = {"claim_read", pay_sql_claim_read},
                                 [READ_LANES] = {"read_lanes", pay_sql_read_lanes},
                                 [CREATE_LANE] = {"create_lane", pay_sql_create_lane},
                                 [HALT_LANE] = {"halt_lane", pay_sql_halt_lane},
                                 [HALT_LEDGER] = {"halt_ledger", pay_sql_halt_ledger},
                                 [READ_LEDGER] = {"read_ledger", pay_sql_read_ledger},
                                 [ADOPT_SERVER] = {"adopt_server", pay_sql_adopt_server}};

struct ledger_pg *pay_ledger_pg_of(struct pay_ledger *ledger) {
    return (struct ledger_pg *)ledger; /* port is its first member */
}

const char *pay_ledger_pg_statement_name(enum statement statement) { return statements[statement].name; }

static enum pay_move fail(struct pay_error *error, enum pay_move move, const char *text) {
    *error = (struct pay_error){.move = move};
    snprintf(error->text, sizeof error->text, "%s", text);
    return move;
}

enum pay_move pay_ledger_pg_not_connected(struct pay_error *error) {
    return fail(error, PAY_SESSION_OVER, "not connected to PostgreSQL");
}

void pay_ledger_pg_disconnect(struct ledger_pg *ledger) {
    pay_pg_close(ledger->pg);
    ledger->pg = NULL;
    ledger->phase = PHASE_NONE;
    ledger->stale = false;
}

void pay_ledger_pg_note_code(struct ledger_pg *ledger, const char *code) {
    if (strcmp(code, "0A000") == 0 || strcmp(code, "26000") == 0) ledger->stale = true;
}

bool pay_ledger_pg_queue_prepare(struct ledger_pg *ledger) {
    bool sent = pay_pg_send(ledger->pg, "DEALLOCATE ALL", NULL);
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sent = sent && pay_pg_send_prepare(ledger->pg, statements[i].name, statements[i].sql);
    return sent && pay_pg_sync(ledger->pg);
}

void pay_ledger_pg_free_results(struct pay_pg_result **results, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) pay_pg_result_free(results[i]);
}

enum pay_move pay_ledger_pg_read_group(struct ledger_pg *ledger, struct pay_pg_result **results, uint32_t count,
                                       struct pay_error *error) {
    int64_t deadline_ms = pay_clock_ms() + ledger->call_timeout_ms;
    enum pay_move move = PAY_OK;
    uint32_t got = 0;
    for (uint32_t i = 0; i < count; i++) results[i] = NULL;
    for (;;) {
        struct pay_error lost;
        struct pay_pg_result *result;
        switch (pay_pg_next(ledger->pg, &result, &lost)) {
        case PAY_PG_NOTHING:
            if (pay_pg_wait(ledger->pg, deadline_ms)) break;
            pay_ledger_pg_disconnect(ledger);
            return fail(error, PAY_SESSION_OVER, "PostgreSQL didn't answer in time; the connection was given up");
        case PAY_PG_RESULT:
            if (got == count) { /* the server's last word before it ends the connection */
                pay_pg_result_error(result, error);
                pay_pg_result_free(result);
                pay_ledger_pg_disconnect(ledger);
                return error->move = PAY_SESSION_OVER;
            }
            results[got] = result;
            if (move == PAY_OK) move = pay_pg_result_error(results[got], error);
            got++;
            break;
        case PAY_PG_SYNCED:
        case PAY_PG_IDLE:
            assert(got == count);
            if (move != PAY_OK) pay_ledger_pg_note_code(ledger, error->code);
            return move;
        case PAY_PG_LOST:
            /* The server's own last word (a timeout, an administrator) says more than "lost". */
            if (move == PAY_OK) *error = lost;
            error->move = PAY_SESSION_OVER;
            pay_ledger_pg_disconnect(ledger);
            return PAY_SESSION_OVER;
        }
    }
}

static enum pay_move prepare_all(struct ledger_pg *ledger, struct pay_error *error) {
    struct pay_pg_result *results[STATEMENT_COUNT + 1];
    pay_ledger_pg_queue_prepare(ledger);
    enum pay_move move = pay_ledger_pg_read_group(ledger, results, STATEMENT_COUNT + 1, error);
    pay_ledger_pg_free_results(results, STATEMENT_COUNT + 1);
    if (move == PAY_OK) ledger->stale = false;
    return move;
}

enum pay_move pay_ledger_pg_ready(struct ledger_pg *ledger, struct pay_error *error) {
    assert(ledger->phase == PHASE_NONE);
    if (ledger->pg == NULL) return pay_ledger_pg_not_connected(error);
    if (!ledger->stale) return PAY_OK;
    enum pay_move move = prepare_all(ledger, error);
    return move == PAY_OK ? PAY_OK : (error->move = PAY_SESSION_OVER);
}

static enum pay_move connect_ledger(struct pay_ledger *port, struct pay_error *error) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    pay_ledger_pg_disconnect(ledger);
    struct pay_pg_options options = {.url = ledger->url,
                                     .application_name = ledger->application_name,
                                     .role = PAY_PG_WORKER,
                                     .batch_session = true,
                                     .allow_unix_socket = ledger->allow_unix_socket,
                                     .allow_unsafe = ledger->allow_unsafe,
                                     .connect_timeout_ms = ledger->call_timeout_ms,
                                     .call_timeout_ms = ledger->call_timeout_ms};
    enum pay_move move = pay_pg_open(&options, &ledger->pg, error);
    if (move != PAY_OK) return move;
    move = pay_schema_check(ledger->pg, error);
    if (move == PAY_OK) move = pay_pg_pipeline_enter(ledger->pg, error);
    if (move == PAY_OK) move = prepare_all(ledger, error);
    if (move == PAY_OK) return PAY_OK;
    pay_ledger_pg_disconnect(ledger);
    if (move != PAY_REFUSE) move = error->move = pay_pg_connect_move_of(error->code);
    return move;
}

static enum pay_move look(struct pay_ledger *port, struct pay_error *error) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    struct pay_pg_result *result = NULL;
    if (ledger->pg == NULL) return pay_ledger_pg_not_connected(error);
    assert(ledger->phase == PHASE_NONE);
    switch (pay_pg_next(ledger->pg, &result, error)) {
    case PAY_PG_NOTHING:
    case PAY_PG_IDLE:
    case PAY_PG_SYNCED: return PAY_OK;
    case PAY_PG_RESULT: pay_pg_result_error(result, error); break; /* its last word */
    case PAY_PG_LOST: break;
    }
    pay_pg_result_free(result);
    pay_ledger_pg_disconnect(ledger);
    return error->move = PAY_SESSION_OVER;
}

static int descriptor(struct pay_ledger *port, bool *ret_wants_write) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    *ret_wants_write = false;
    return ledger->pg != NULL ? pay_pg_descriptor(ledger->pg, ret_wants_write) : -1;
}

static void close_ledger(struct pay_ledger *port) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    pay_ledger_pg_disconnect(ledger);
    for (int i = 0; i < ARRAYS_MAX; i++) pay_pg_array_free(&ledger->arrays[i]);
    free(ledger->url);
    free(ledger->application_name);
    free(ledger->topic);
    free(ledger->group_id);
    free(ledger->cluster_id);
    free(ledger);
}

static const struct pay_ledger_ops ops = {.connect = connect_ledger,
                                          .read_ledger = pay_ledger_pg_read_ledger,
                                          .read_rows = pay_ledger_pg_read_rows,
                                          .adopt = pay_ledger_pg_adopt,
                                          .halt_ledger = pay_ledger_pg_halt_ledger,
                                          .claim = pay_ledger_pg_claim,
                                          .create_row = pay_ledger_pg_create_row,
                                          .halt_lane = pay_ledger_pg_halt_lane,
                                          .look_up = pay_ledger_pg_look_up,
                                          .settle_begin = pay_ledger_pg_settle_begin,
                                          .settle_poll = pay_ledger_pg_settle_poll,
                                          .settle_write = pay_ledger_pg_settle_write,
                                          .settle_abandon = pay_ledger_pg_settle_abandon,
                                          .look = look,
                                          .descriptor = descriptor,
                                          .close = close_ledger};

static char *copy(const char *text) {
    if (text == NULL) return NULL;
    char *made = strdup(text);
    if (made == NULL) abort();
    return made;
}

struct pay_ledger *pay_ledger_pg_new(const struct pay_ledger_pg_options *options) {
    struct ledger_pg *ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL) abort();
    ledger->port.ops = &ops;
    ledger->url = copy(options->url);
    ledger->application_name = copy(options->application_name != NULL ? options->application_name : "paybuf-worker");
    ledger->topic = copy(options->topic);
    ledger->group_id = copy(options->group_id);
    ledger->cluster_id = copy(options->cluster_id);
    ledger->allow_unix_socket = options->allow_unix_socket;
    ledger->allow_unsafe = options->allow_unsafe;
    ledger->call_timeout_ms = options->call_timeout_ms > 0 ? options->call_timeout_ms : CALL_TIMEOUT_MS;
    return &ledger->port;
}

void pay_ledger_pg_set_cluster(struct pay_ledger *port, const char *cluster_id) {
    struct ledger_pg *ledger = pay_ledger_pg_of(port);
    free(ledger->cluster_id);
    ledger->cluster_id = copy(cluster_id);
}
