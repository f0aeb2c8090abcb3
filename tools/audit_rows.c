#include "tools/audit_rows.h"

#include "tools/audit_books.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Where the record of a row lies. */
struct row_place {
    int64_t generation, partition, offset;
};

static struct row_place place_of(enum audit_table table, const struct audit_row *row) {
    if (table == AUDIT_PAYMENTS)
        return (struct row_place){audit_number(row, PAYMENT_GENERATION), audit_number(row, PAYMENT_PARTITION),
                                  audit_number(row, PAYMENT_OFFSET)};
    return (struct row_place){audit_number(row, REFUSAL_GENERATION), audit_number(row, REFUSAL_PARTITION),
                              audit_number(row, REFUSAL_OFFSET)};
}

/* ---- counting ---- */

struct counting {
    struct audit *audit;
    enum audit_table table;
    struct audit_counts *by_lane;
    struct audit_digest digest;
};

static int32_t lane_of(const struct audit *audit, const struct row_place *place) {
    for (int32_t i = 0; i < audit->lane_count; i++)
        if (audit->lanes[i].view.partition == place->partition)
            return audit->lanes[i].view.generation == place->generation ? i : -1;
    return -1;
}

/* A place where no record ever was: no such partition, a generation that never began, an offset below 0. */
static bool is_nowhere(const struct audit *audit, const struct row_place *place) {
    if (place->generation < 1 || place->partition < 0 || place->offset < 0) return true;
    for (int32_t i = 0; i < audit->lane_count; i++)
        if (audit->lanes[i].view.partition == place->partition)
            return place->generation > audit->lanes[i].view.generation;
    return audit->whole;
}

static void say_row(struct audit *audit, enum audit_table table, const struct audit_row *row, const char *where,
                    const char *why) {
    if (table == AUDIT_PAYMENTS)
        difference_add(&audit->differences, "payment_without_request", where, "payment of order %s/%s, attempt %s: %s",
                       row->columns[PAYMENT_TENANT], row->columns[PAYMENT_ORDER], row->columns[PAYMENT_ATTEMPT], why);
    else
        difference_add(&audit->differences, "refusal_without_request", where, "refusal: %s", why);
}

static void say_nowhere(struct audit *audit, enum audit_table table, const struct audit_row *row,
                        const struct row_place *place) {
    char where[80];
    snprintf(where, sizeof where, "%" PRId64 "-%" PRId64 "-%" PRId64, place->generation, place->partition,
             place->offset);
    say_row(audit, table, row, where, "this ledger has no such place");
}

static bool count_row(void *argument, const struct audit_row *row) {
    struct counting *counting = argument;
    audit_digest_row(&counting->digest, row);
    if (counting->table != AUDIT_PAYMENTS && counting->table != AUDIT_REFUSALS) return true;
    struct row_place place = place_of(counting->table, row);
    int32_t index = lane_of(counting->audit, &place);
    if ((index < 0 || place.offset < 0) && is_nowhere(counting->audit, &place)) {
        say_nowhere(counting->audit, counting->table, row, &place);
        return true;
    }
    if (index < 0) return true;
    const struct lane_view *view = &counting->audit->lanes[index].view;
    struct audit_counts *counts = &counting->by_lane[index];
    bool beyond = place.offset >= view->processed, held = !beyond && place.offset >= view->request_start;
    if (counting->table == AUDIT_PAYMENTS) {
        counts->payments_held += held;
        counts->payments_beyond += beyond;
    } else {
        counts->refusals_held += held;
        counts->refusals_beyond += beyond;
    }
    return true;
}

enum pay_exit audit_count_rows(struct audit *audit, struct audit_rows_result *result) {
    enum pay_exit status = PAY_EXIT_OK;
    for (int table = 0; table < AUDIT_TABLE_COUNT && status == PAY_EXIT_OK; table++) {
        struct counting counting = {.audit = audit, .table = (enum audit_table)table, .by_lane = result->by_lane};
        audit_digest_open(&counting.digest);
        status = audit->source->ops->rows(audit->source, (enum audit_table)table, count_row, &counting);
        audit_digest_close(&counting.digest, result->sha256[table]);
    }
    return status;
}

/* ---- comparing with what the lanes saw ---- */

struct listing {
    struct audit *audit;
    struct audit_lane *lane;
    enum audit_table table;
    int64_t found;
};

/* Takes the bit away: a second row of the same position has none. */
static bool take_bit(uint8_t *bits, int64_t index) {
    bool set = bits[index / 8] >> (index % 8) & 1;
    bits[index / 8] &= (uint8_t) ~(1u << (index % 8));
    return set;
}

/* A row whose position the lane's pass didn't see as its own, or the second row of one. */
static bool judge_row(void *argument, const struct audit_row *row) {
    struct listing *listing = argument;
    const struct lane_view *view = &listing->lane->view;
    bool payment = listing->table == AUDIT_PAYMENTS;
    struct row_place place = place_of(listing->table, row);
    char where[PAY_POSITION_TEXT_MAX];
    if (place.partition != view->partition || place.generation != view->generation ||
        place.offset < view->request_start)
        return true;
    audit_where(listing->lane, place.offset, where);
    if (place.offset >= view->processed) {
        difference_add(&listing->audit->differences, payment ? "payment_beyond_settled" : "refusal_beyond_settled",
                       where, "a row at or beyond P, %" PRId64, view->processed);
        listing->found++;
    } else if (place.offset < view->request_end &&
               !take_bit(payment ? listing->lane->own_payment : listing->lane->own_refusal,
                         place.offset - view->request_start)) {
        say_row(listing->audit, listing->table, row, where,
                "no record there left this row, or another row has the same position");
        listing->found++;
    }
    return true;
}

static enum pay_exit list_rows(struct audit *audit, struct audit_lane *lane, int64_t *ret_found) {
    struct audit_source *source = audit->source;
    struct listing listing = {.audit = audit, .lane = lane, .table = AUDIT_PAYMENTS};
    enum pay_exit status = source->ops->rows(source, AUDIT_PAYMENTS, judge_row, &listing);
    listing.table = AUDIT_REFUSALS;
    if (status == PAY_EXIT_OK) status = source->ops->rows(source, AUDIT_REFUSALS, judge_row, &listing);
    *ret_found = listing.found;
    return status;
}

static enum pay_exit compare_lane(struct audit *audit, struct audit_lane *lane, const struct audit_counts *counts) {
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

enum pay_exit audit_compare_rows(struct audit *audit, const struct audit_rows_result *result) {
    enum pay_exit status = PAY_EXIT_OK;
    for (int32_t i = 0; i < audit->lane_count && status == PAY_EXIT_OK; i++)
        status = compare_lane(audit, &audit->lanes[i], &result->by_lane[i]);
    return status;
}

/* ---- books ---- */

static bool take_event(void *argument, const struct book_event *event) {
    books_take(argument, event);
    return true;
}

enum pay_exit audit_all_books(struct audit *audit, struct audit_rows_result *result) {
    struct books books;
    books_begin(&books, &audit->differences);
    enum pay_exit status = audit->source->ops->events(audit->source, take_event, &books);
    books_end(&books);
    result->accounts = books.accounts;
    result->events = books.events;
    return status;
}
