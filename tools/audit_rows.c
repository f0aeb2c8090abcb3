#include "tools/audit_rows.h"

#include "sql/pay_sql.h"
#include "tools/audit_books.h"

#include <inttypes.h>
#include <string.h>

/* ---- rows against records ---- */

struct counts {
    int64_t payments_held, payments_beyond, refusals_held, refusals_beyond;
};

struct counting {
    struct audit *audit;
    struct counts *by_lane; /* as audit->lanes */
};

static struct audit_lane *lane_of(struct audit *audit, int64_t partition) {
    for (int32_t i = 0; i < audit->lane_count; i++)
        if (audit->lanes[i].view.partition == partition) return &audit->lanes[i];
    return NULL;
}

static bool take_counts(void *argument, const struct pay_pg_row *row) {
    struct counting *counting = argument;
    struct audit_lane *lane = lane_of(counting->audit, pay_pg_column_int8(row, 0));
    if (lane == NULL) return true;
    counting->by_lane[lane - counting->audit->lanes] = (struct counts){
        pay_pg_column_int8(row, 1), pay_pg_column_int8(row, 2), pay_pg_column_int8(row, 3), pay_pg_column_int8(row, 4)};
    return true;
}

static enum pay_exit count_rows(struct audit *audit, struct counts *by_lane) {
    struct pay_pg_array partitions = {0}, generations = {0}, starts = {0}, processed = {0};
    struct counting counting = {audit, by_lane};
    struct pay_pg_args args;
    struct pay_error error;
    pay_pg_array_begin(&partitions, PAY_PG_INT4);
    pay_pg_array_begin(&generations, PAY_PG_INT8);
    pay_pg_array_begin(&starts, PAY_PG_INT8);
    pay_pg_array_begin(&processed, PAY_PG_INT8);
    for (int32_t i = 0; i < audit->lane_count; i++) {
        const struct lane_view *view = &audit->lanes[i].view;
        pay_pg_array_int4(&partitions, view->partition);
        pay_pg_array_int8(&generations, view->generation);
        pay_pg_array_int8(&starts, view->request_start);
        pay_pg_array_int8(&processed, view->processed);
    }
    pay_pg_args_begin(&args);
    pay_pg_args_array(&args, &partitions);
    pay_pg_args_array(&args, &generations);
    pay_pg_args_array(&args, &starts);
    pay_pg_args_array(&args, &processed);
    enum pay_move move =
        pay_pg_exec(audit->pg, pay_sql_tools_audit_counts, &args, take_counts, &counting, NULL, &error);
    pay_pg_array_free(&partitions);
    pay_pg_array_free(&generations);
    pay_pg_array_free(&starts);
    pay_pg_array_free(&processed);
    return move == PAY_OK ? PAY_EXIT_OK : tool_error(audit->tool, &error);
}

struct listing {
    struct audit *audit;
    struct audit_lane *lane;
    int64_t found;
};

/* Takes the bit away: a second row of the same position has none. */
static bool take_bit(uint8_t *bits, int64_t index) {
    bool set = bits[index / 8] >> (index % 8) & 1;
    bits[index / 8] &= (uint8_t) ~(1u << (index % 8));
    return set;
}

/* A row whose position the lane's pass didn't see as its own, or the second row of one. */
static bool take_row(void *argument, const struct pay_pg_row *row) {
    struct listing *listing = argument;
    const struct lane_view *view = &listing->lane->view;
    const char *order = pay_pg_column(row, 2);
    int64_t offset = pay_pg_column_int8(row, 0);
    char where[PAY_POSITION_TEXT_MAX];
    audit_where(listing->lane, offset, where);
    if (offset >= view->processed) {
        difference_add(&listing->audit->differences,
                       order != NULL ? "payment_beyond_settled" : "refusal_beyond_settled", where,
                       "a row at or beyond P, %" PRId64, view->processed);
        listing->found++;
    } else if (offset < view->request_end &&
               !take_bit(order != NULL ? listing->lane->own_payment : listing->lane->own_refusal,
                         offset - view->request_start)) {
        difference_add(&listing->audit->differences,
                       order != NULL ? "payment_without_request" : "refusal_without_request", where,
                       "%s%s%s%s: no record there left this row, or another row has the same position",
                       order != NULL ? "payment of order " : "refusal", order != NULL ? pay_pg_column(row, 1) : "",
                       order != NULL ? "/" : "", order != NULL ? order : "");
        listing->found++;
    }
    return true;
}

static enum pay_exit list_rows(struct audit *audit, struct audit_lane *lane, int64_t *ret_found) {
    struct listing listing = {.audit = audit, .lane = lane};
    struct pay_pg_args args;
    struct pay_error error;
    pay_pg_args_begin(&args);
    pay_pg_args_int8(&args, lane->view.generation);
    pay_pg_args_int4(&args, lane->view.partition);
    pay_pg_args_int8(&args, lane->view.request_start);
    if (pay_pg_exec(audit->pg, pay_sql_tools_audit_rows, &args, take_row, &listing, NULL, &error) != PAY_OK)
        return tool_error(audit->tool, &error);
    *ret_found = listing.found;
    return PAY_EXIT_OK;
}

static enum pay_exit compare_lane(struct audit *audit, struct audit_lane *lane, const struct counts *counts) {
    int64_t before = audit->differences.count, found = 0;
    char where[32];
    /* With --quick in-flight and expired replies have rows that were not counted, so only a surplus of answers is certain. */
    bool equal = counts->payments_held == lane->tally.payment_rows && counts->refusals_held == lane->tally.refusal_rows;
    bool beyond = counts->payments_beyond > 0 || counts->refusals_beyond > 0;
    enum pay_exit status = PAY_EXIT_OK;
    if (audit->quick && (lane->tally.in_flight > 0 || lane->tally.expired > 0)) equal = true;
    if (equal && !beyond) return PAY_EXIT_OK;
    if (!audit->quick) status = list_rows(audit, lane, &found);
    snprintf(where, sizeof where, "partition %" PRId32, lane->view.partition);
    if (status == PAY_EXIT_OK && found == 0)
        difference_add(&audit->differences, "row_counts", where,
                       "%" PRId64 " payment rows and %" PRId64 " refusal rows (%" PRId64 " beyond P) for %" PRId64
                       " decisions and %" PRId64 " refusals answered",
                       counts->payments_held, counts->refusals_held, counts->payments_beyond + counts->refusals_beyond,
                       lane->tally.payment_rows, lane->tally.refusal_rows);
    lane->tally.differences += audit->differences.count - before;
    return status;
}

enum pay_exit audit_rows(struct audit *audit) {
    static struct counts by_lane[PAY_LANES_MAX];
    memset(by_lane, 0, sizeof by_lane);
    enum pay_exit status = count_rows(audit, by_lane);
    for (int32_t i = 0; i < audit->lane_count && status == PAY_EXIT_OK; i++)
        status = compare_lane(audit, &audit->lanes[i], &by_lane[i]);
    return status;
}

/* ---- books ---- */

static bool take_event(void *argument, const struct pay_pg_row *row) {
    const struct book_event event = {.tenant = pay_pg_column(row, 0),
                                     .account_id = pay_pg_column(row, 1),
                                     .version = pay_pg_column_int8(row, 2),
                                     .kind = pay_pg_column(row, 3),
                                     .amount_minor = pay_pg_column_int8(row, 4),
                                     .has_balance = pay_pg_column(row, 5) != NULL,
                                     .balance_minor = pay_pg_column_int8(row, 5),
                                     .currency = pay_pg_column(row, 6),
                                     .reason = pay_pg_column(row, 7),
                                     .id = pay_pg_column(row, 8)};
    books_take(argument, &event);
    return true;
}

enum pay_exit audit_all_books(struct audit *audit, struct audit_books_result *ret_result) {
    struct books books;
    struct pay_error error;
    books_begin(&books, &audit->differences);
    if (pay_pg_exec(audit->pg, pay_sql_tools_audit_books, NULL, take_event, &books, NULL, &error) != PAY_OK)
        return tool_error(audit->tool, &error);
    books_end(&books);
    *ret_result = (struct audit_books_result){books.accounts, books.events};
    return PAY_EXIT_OK;
}
