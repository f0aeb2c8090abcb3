/*
 * account_openings.h - opens accounts, one or many, in one transaction: `account open` and `account import`.
 *
 * An opening is known by (tenant, adjustment id): the same one again is fine, another one under that id, or of an account that was
 * opened otherwise, is refused. Locks in the global order. A crash leaves whole transactions; repeating it opens the rest.
 * Threads: one.
 */
#ifndef PAY_TOOLS_ACCOUNT_OPENINGS_H
#define PAY_TOOLS_ACCOUNT_OPENINGS_H

#include "core/error.h"
#include "core/request.h"
#include "pg/pg.h"

#define OPENING_ID_MAX 120 /* the column takes 128: room for ":floor" */

struct opening {
    char tenant[PAY_ID_MAX + 1];
    char account_id[PAY_ID_MAX + 1];
    char currency[PAY_CURRENCY_LENGTH + 1];
    char adjustment_id[OPENING_ID_MAX + 1]; /* "": open:ACCOUNT */
    int64_t opening_minor;
    int64_t floor_minor;
    int64_t line; /* of the file, for messages */
};

struct openings_result {
    int64_t opened;
    int64_t known;     /* were opened by the same adjustment before */
    char refused[512]; /* "": none; else why nothing of this batch was done */
    int64_t refused_line;
};

/* 1..OPENING_ID_MAX printable characters without spaces. */
bool opening_id_valid(const char *text);
/* What can be said without asking the database: a floor above the opening amount. False: *ret_why. */
bool opening_valid(const struct opening *opening, char *ret_why, size_t why_size);

/* Sorts the openings and makes those that aren't made yet. PAY_OK also when one was refused: look at result->refused. */
enum pay_move openings_make(struct pay_pg *pg, struct opening *openings, size_t count,
                            struct openings_result *ret_result, struct pay_error *error);

#endif
