#include "pg/pg_private.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>

bool pay_pg_flush(struct pay_pg *pg) {
    if (pg->broken) return false;
    /* Take in before sending: a server that can't get rid of its results doesn't read either. */
    if (!PQconsumeInput(pg->connection)) return false;
    int rest = PQflush(pg->connection);
    if (rest < 0) return false;
    pg->wants_write = rest > 0;
    return true;
}

bool pay_pg_wait(struct pay_pg *pg, int64_t deadline_ms) {
    if (pg->broken) return true;
    struct pollfd wanted = {.fd = PQsocket(pg->connection),
                            .events = (short)(POLLIN | (pg->wants_write ? POLLOUT : 0))};
    for (;;) {
        int64_t left = deadline_ms - pay_clock_ms();
        if (left <= 0) return false;
        int ready = poll(&wanted, 1, left > 60000 ? 60000 : (int)left);
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return true; /* the next pump says what is wrong */
    }
}

int pay_pg_descriptor(struct pay_pg *pg, bool *ret_wants_write) {
    *ret_wants_write = pg->wants_write;
    return pg->broken ? -1 : PQsocket(pg->connection);
}

void pay_pg_break(struct pay_pg *pg) { pg->broken = true; }
bool pay_pg_broken(const struct pay_pg *pg) { return pg->broken; }

uint32_t pay_pg_warnings(const struct pay_pg *pg) { return pg->warnings; }
const char *pay_pg_last_warning(const struct pay_pg *pg) { return pg->last_warning; }

void pay_pg_clear_warnings(struct pay_pg *pg) {
    pg->warnings = 0;
    pg->last_warning[0] = '\0';
}

enum pay_move pay_pg_pipeline_enter(struct pay_pg *pg, struct pay_error *error) {
    if (!PQenterPipelineMode(pg->connection)) return pay_pg_lost(pg, error, "entering pipeline mode");
    return PAY_OK;
}

/* A command was queued, or libpq said no. */
static bool queued(struct pay_pg *pg, int ok) {
    if (!ok) {
        pg->broken = true;
        return false;
    }
    pg->outstanding++;
    pg->wants_write = true;
    return true;
}

bool pay_pg_send_prepare(struct pay_pg *pg, const char *name, const char *sql) {
    return !pg->broken && queued(pg, PQsendPrepare(pg->connection, name, sql, 0, NULL));
}

bool pay_pg_send_prepared(struct pay_pg *pg, const char *name, const struct pay_pg_args *args) {
    if (pg->broken) return false;
    int count = args != NULL ? args->count : 0;
    return queued(pg, PQsendQueryPrepared(pg->connection, name, count, count > 0 ? args->values : NULL,
                                          count > 0 ? args->lengths : NULL, count > 0 ? args->formats : NULL, 1));
}

bool pay_pg_send(struct pay_pg *pg, const char *sql, const struct pay_pg_args *args) {
    if (pg->broken) return false;
    int count = args != NULL ? args->count : 0;
    return queued(pg, PQsendQueryParams(pg->connection, sql, count, NULL, count > 0 ? args->values : NULL,
                                        count > 0 ? args->lengths : NULL, count > 0 ? args->formats : NULL, 1));
}

bool pay_pg_sync(struct pay_pg *pg) { return !pg->broken && queued(pg, PQpipelineSync(pg->connection)); }

enum pay_pg_event pay_pg_next(struct pay_pg *pg, struct pay_pg_result **ret_result, struct pay_error *error) {
    if (pg->broken) return pay_pg_lost(pg, error, "talking to it"), PAY_PG_LOST;
    /* First what is here already: taking in more moves the whole buffer each time. */
    if (pg->outstanding == 0 || pg->wants_write || PQisBusy(pg->connection)) {
        if (!pay_pg_flush(pg)) return pay_pg_lost(pg, error, "talking to it"), PAY_PG_LOST;
        if (pg->outstanding == 0) return PAY_PG_IDLE;
        if (PQisBusy(pg->connection)) return PAY_PG_NOTHING;
    }
    PGresult *result = PQgetResult(pg->connection);
    if (result == NULL) return pay_pg_lost(pg, error, "waiting for a result"), PAY_PG_LOST;
    pg->outstanding--;
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
        PQclear(result);
        return PAY_PG_SYNCED;
    }
    /* In pipeline mode libpq ends each command's results with a NULL that it makes itself. */
    if (PQstatus(pg->connection) == CONNECTION_OK) {
        PGresult *end = PQgetResult(pg->connection);
        assert(end == NULL);
        PQclear(end);
    }
    *ret_result = (struct pay_pg_result *)result;
    return PAY_PG_RESULT;
}
