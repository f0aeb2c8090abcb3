#include "tools/account_openings.h"

#include "sql/pay_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REDO_MAX 10

bool opening_id_valid(const char *text) {
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~') return false;
    return length >= 1 && length <= OPENING_ID_MAX;
}

bool opening_valid(const struct opening *opening, char *ret_why, size_t why_size) {
    if (opening->floor_minor <= opening->opening_minor) return true;
    snprintf(ret_why, why_size, "%s: the floor, %" PRId64 ", lies above the opening amount, %" PRId64,
             opening->account_id, opening->floor_minor, opening->opening_minor);
    return false;
}

static int compare(const void *a, const void *b) {
    const struct opening *left = a, *right = b;
    int order = pay_tenant_id_compare(left->tenant, left->account_id, right->tenant, right->account_id);
    if (order != 0) return order;
    return left->line < right->line ? -1 : left->line > right->line;
}

static bool same(const struct opening *a, const struct opening *b) {
    return strcmp(a->currency, b->currency) == 0 && strcmp(a->adjustment_id, b->adjustment_id) == 0 &&
           a->opening_minor == b->opening_minor && a->floor_minor == b->floor_minor;
}

/* A batch at work: the openings sorted and unique, and which of them are made already. */
struct making {
    struct opening *openings;
    size_t count;
    bool *known;
    struct openings_result result;
    struct pay_pg_array tenants, accounts, currencies, amounts, floors, ids;
};

static void refuse(struct making *making, const struct opening *opening, const char *why) {
    if (making->result.refused[0] != '\0') return;
    making->result.refused_line = opening->line;
    snprintf(making->result.refused, sizeof making->result.refused, "%s", why);
}

/* Sorted by account; the same opening twice counts as known, two different ones of an account are refused. */
static void make_unique(struct making *making) {
    size_t kept = 0;
    qsort(making->openings, making->count, sizeof *making->openings, compare);
    for (size_t i = 0; i < making->count; i++) {
        struct opening *opening = &making->openings[i], *last = kept > 0 ? &making->openings[kept - 1] : NULL;
        if (last == NULL ||
            pay_tenant_id_compare(last->tenant, last->account_id, opening->tenant, opening->account_id) != 0) {
            making->openings[kept++] = *opening;
            continue;
        }
        making->result.known++;
        char why[160];
        snprintf(why, sizeof why, "account %s stands there twice with different content", opening->account_id);
        if (!same(last, opening)) refuse(making, opening, why);
    }
    making->count = kept;
}

/* ---- what is there already ---- */

static bool text_is(const char *column, const char *text) { return column != NULL && strcmp(column, text) == 0; }

static const char *difference(const struct opening *opening, const struct pay_pg_row *row, char *text, size_t size) {
    const char *currency = pay_pg_column(row, 1), *opened = pay_pg_column(row, 2), *kind = pay_pg_column(row, 3);
    bool own_floor = text_is(pay_pg_column(row, 5), opening->account_id);
    int64_t amount = pay_pg_column_int8(row, 4), floor = own_floor ? pay_pg_column_int8(row, 6) : 0;
    const char *account = opening->account_id, *id = opening->adjustment_id;
    if (opened != NULL && (strcmp(opened, account) != 0 || strcmp(kind, "open") != 0))
        snprintf(text, size, "adjustment id %s is taken: it is a %s of account %s", id, kind, opened);
    else if (opened == NULL && currency != NULL)
        snprintf(text, size, "account %s is open already, by another adjustment than %s; see account show %s", account,
                 id, account);
    else if (opened == NULL || currency == NULL)
        snprintf(text, size, "adjustment id %s:floor is taken by account %s", id, pay_pg_column(row, 5));
    else if (strcmp(currency, opening->currency) != 0)
        snprintf(text, size, "account %s is open already, in %s, not %s", account, currency, opening->currency);
    else if (amount != opening->opening_minor)
        snprintf(text, size, "account %s is open already, with an opening amount of %" PRId64 ", not %" PRId64, account,
                 amount, opening->opening_minor);
    else if (floor != opening->floor_minor)
        snprintf(text, size,
                 "account %s is open already, with a floor of %" PRId64 ", not %" PRId64 "; account floor moves it",
                 account, floor, opening->floor_minor);
    else
        return NULL;
    return text;
}

static bool take_there(void *argument, const struct pay_pg_row *row) {
    struct making *making = argument;
    size_t index = (size_t)pay_pg_column_int8(row, 0) - 1;
    char text[512];
    const char *why = difference(&making->openings[index], row, text, sizeof text);
    if (why != NULL) refuse(making, &making->openings[index], why);
    making->known[index] = true;
    return true;
}

static enum pay_move look(struct making *making, struct pay_pg *pg, struct pay_error *error) {
    struct pay_pg_args args;
    pay_pg_array_begin(&making->tenants, PAY_PG_TEXT);
    pay_pg_array_begin(&making->accounts, PAY_PG_TEXT);
    pay_pg_array_begin(&making->ids, PAY_PG_TEXT);
    for (size_t i = 0; i < making->count; i++) {
        pay_pg_array_text(&making->tenants, making->openings[i].tenant);
        pay_pg_array_text(&making->accounts, making->openings[i].account_id);
        pay_pg_array_text(&making->ids, making->openings[i].adjustment_id);
    }
    pay_pg_args_begin(&args);
    pay_pg_args_array(&args, &making->tenants);
    pay_pg_args_array(&args, &making->accounts);
    pay_pg_args_array(&args, &making->ids);
    memset(making->known, 0, making->count * sizeof *making->known);
    return pay_pg_exec(pg, pay_sql_tools_look_openings, &args, take_there, making, NULL, error);
}

/* ---- making ---- */

static int64_t gather_new(struct making *making) {
    struct pay_pg_array *const texts[] = {&making->tenants, &making->accounts, &making->currencies, &making->ids};
    int64_t count = 0;
    for (size_t i = 0; i < 4; i++) pay_pg_array_begin(texts[i], PAY_PG_TEXT);
    pay_pg_array_begin(&making->amounts, PAY_PG_INT8);
    pay_pg_array_begin(&making->floors, PAY_PG_INT8);
    for (size_t i = 0; i < making->count; i++) {
        const struct opening *opening = &making->openings[i];
        if (making->known[i]) continue;
        pay_pg_array_text(&making->tenants, opening->tenant);
        pay_pg_array_text(&making->accounts, opening->account_id);
        pay_pg_array_text(&making->currencies, opening->currency);
        pay_pg_array_text(&making->ids, opening->adjustment_id);
        pay_pg_array_int8(&making->amounts, opening->opening_minor);
        pay_pg_array_int8(&making->floors, opening->floor_minor);
        count++;
    }
    return count;
}

static enum pay_move insert(struct making *making, struct pay_pg *pg, int64_t *ret_opened, struct pay_error *error) {
    struct pay_pg_args args;
    *ret_opened = gather_new(making);
    if (*ret_opened == 0) return PAY_OK;
    pay_pg_args_begin(&args);
    pay_pg_args_array(&args, &making->tenants);
    pay_pg_args_array(&args, &making->accounts);
    pay_pg_args_array(&args, &making->currencies);
    pay_pg_args_array(&args, &making->amounts);
    pay_pg_args_array(&args, &making->floors);
    pay_pg_args_array(&args, &making->ids);
    return pay_pg_exec(pg, pay_sql_tools_open_accounts, &args, NULL, NULL, NULL, error);
}

/* One transaction. 23505 means that somebody else opens the same ones now: the next look sees them. */
static enum pay_move attempt(struct making *making, struct pay_pg *pg, struct pay_error *error) {
    int64_t opened = 0;
    enum pay_move move = pay_pg_begin(pg, false, error);
    if (move == PAY_OK) move = look(making, pg, error);
    if (move == PAY_OK && making->result.refused[0] == '\0') move = insert(making, pg, &opened, error);
    if (move != PAY_OK || making->result.refused[0] != '\0') {
        pay_pg_rollback(pg);
        return move;
    }
    move = pay_pg_commit(pg, error);
    if (move == PAY_OK) {
        making->result.opened = opened;
        making->result.known += (int64_t)making->count - opened;
    }
    return move;
}

static void release(struct making *making) {
    struct pay_pg_array *const arrays[] = {&making->tenants, &making->accounts, &making->currencies,
                                           &making->amounts, &making->floors,   &making->ids};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) pay_pg_array_free(arrays[i]);
    free(making->known);
}

enum pay_move openings_make(struct pay_pg *pg, struct opening *openings, size_t count,
                            struct openings_result *ret_result, struct pay_error *error) {
    struct making making = {.openings = openings, .count = count, .known = calloc(count + 1, sizeof(bool))};
    if (making.known == NULL) abort();
    for (size_t i = 0; i < count; i++)
        if (openings[i].adjustment_id[0] == '\0')
            snprintf(openings[i].adjustment_id, sizeof openings[i].adjustment_id, "open:%s", openings[i].account_id);
    make_unique(&making);
    enum pay_move move = PAY_OK;
    for (int tries = 0; tries < REDO_MAX && making.result.refused[0] == '\0'; tries++) {
        move = attempt(&making, pg, error);
        if (move != PAY_REDO) break;
    }
    *ret_result = making.result;
    release(&making);
    return move;
}
