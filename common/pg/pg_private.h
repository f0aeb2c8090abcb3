/* pg_private.h - what the files of this folder share; nobody else includes it. */
#ifndef PAY_PG_PRIVATE_H
#define PAY_PG_PRIVATE_H

#include "pg/pg.h"

#include <libpq-fe.h>

struct pay_pg {
    PGconn *connection;
    int64_t call_timeout_ms;
    bool broken;
    bool wants_write;     /* libpq holds bytes that the socket didn't take */
    uint32_t outstanding; /* pipeline: results and syncs that were asked for and not read */
    uint32_t warnings;
    char last_warning[PAY_ERROR_TEXT_MAX];
};

/* pay_pg_result is libpq's own, under another name. */
static inline const PGresult *pay_pg_raw(const struct pay_pg_result *result) { return (const PGresult *)result; }

/* Fills *error and answers move. Newlines become blanks; too long a text is cut. */
enum pay_move pay_pg_fail(struct pay_error *error, enum pay_move move, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for a lost connection: libpq's message, SESSION_OVER, and the connection is broken. */
enum pay_move pay_pg_lost(struct pay_pg *pg, struct pay_error *error, const char *doing);
/* Of a result that is an error. */
enum pay_move pay_pg_fail_by_result(struct pay_error *error, const PGresult *result);

#endif
