/* recover_books.c - every account that was told about is lived on from its row, page by page, into the plan's tables. */
#include "tools/recover.h"

#include "core/money.h"
#include "sql/pay_sql.h"
#include "tools/recover_life.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_EVENTS 10000
#define ROWS_AT_ONCE 5000

struct told_event {
    char tenant[PAY_ID_MAX + 1], account_id[PAY_ID_MAX + 1];
    char currency[PAY_CURRENCY_LENGTH + 1];
    struct life_event event; /* its currency is the one above */
    int64_t decided_at_us;
    bool on_file;
    bool has_row;
    struct adjusted_account row;
    int64_t later, later_minor; /* adjustments made after the database came back, and their money */
    bool later_movable;
};

struct living {
    struct recover *recover;
    struct told_event page[PAGE_EVENTS];
    size_t page_count;
    const char *broken; /* a column with a word that isn't known */

    struct life life;
    char tenant[PAY_ID_MAX + 1], account_id[PAY_ID_MAX + 1];
    bool began, changed;
    bool has_row;
    int64_t version_before;
    int64_t later, later_minor;
    struct life_untold *untold;
    size_t untold_count, untold_capacity;
    bool untold_read;
    int64_t batch_events;
    struct pay_pg_array accounts[11], fillers[6], decided[14];
};

/* ---- a page of events ---- */

static void copy(char *target, size_t size, const char *text) {
    snprintf(target, size, "%s", text != NULL ? text : "");
}

static bool take_event(void *argument, const struct pay_pg_row *row) {
    struct living *living = argument;
    struct told_event *told = &living->page[living->page_count++];
    const char *reason = pay_pg_column(row, 4), *state = pay_pg_column(row, 13);
    *told = (struct told_event){.has_row = state != NULL};
    copy(told->tenant, sizeof told->tenant, pay_pg_column(row, 0));
    copy(told->account_id, sizeof told->account_id, pay_pg_column(row, 1));
    copy(told->currency, sizeof told->currency, pay_pg_column(row, 5));
    told->decided_at_us = pay_pg_column_int8(row, 8);
    told->event = (struct life_event){.version = pay_pg_column_int8(row, 2),
                                      .paid = strcmp(pay_pg_column(row, 3), "paid") == 0,
                                      .amount_minor = pay_pg_column_int8(row, 6),
                                      .balance_after_minor = pay_pg_column_int8(row, 7),
                                      .decided_at_ms = told->decided_at_us / 1000};
    if (reason != NULL && !pay_reason_from_name(reason, strlen(reason), &told->event.reason)) living->broken = "reason";
    told->on_file = pay_pg_column_bool(row, 9);
    if (!told->has_row) return true;
    copy(told->row.currency, sizeof told->row.currency, pay_pg_column(row, 10));
    told->row.balance_minor = pay_pg_column_int8(row, 11);
    told->row.floor_minor = pay_pg_column_int8(row, 12);
    told->row.version = pay_pg_column_int8(row, 14);
    if (!pay_account_state_from_name(state, strlen(state), &told->row.state)) living->broken = "account state";
    told->later = pay_pg_column_int8(row, 15);
    told->later_minor = pay_pg_column_int8(row, 16);
    told->later_movable = pay_pg_column_bool(row, 17);
    return true;
}

/* Behind the last event of the page before. */
static enum pay_exit read_page(struct living *living) {
    static struct told_event last;
    struct pay_pg_args args;
    if (living->page_count > 0)
        last = living->page[living->page_count - 1];
    else
        last = (struct told_event){.event.version = 0};
    living->page_count = 0;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, last.tenant);
    pay_pg_args_text(&args, last.account_id);
    pay_pg_args_int8(&args, last.event.version);
    pay_pg_args_int8(&args, PAGE_EVENTS);
    enum pay_exit status = recover_exec(living->recover, pay_sql_recover_events, &args, take_event, living);
    if (status == PAY_EXIT_OK && living->broken != NULL)
        status = tool_fail(living->recover->tool, PAY_EXIT_FAILURE,
                           "%s: a word that this program doesn't know; install a newer paybuf", living->broken);
    return status;
}

/* ---- the plan's rows ---- */

#define TEXT PAY_PG_TEXT
#define INT4 PAY_PG_INT4
#define INT8 PAY_PG_INT8
static const enum pay_pg_element account_elements[] = {TEXT, TEXT, INT4, PAY_PG_BOOL, TEXT, INT8,
                                                       INT8, INT8, TEXT, INT8,        INT8};
static const enum pay_pg_element filler_elements[] = {TEXT, TEXT, INT8, TEXT, INT8, TEXT};
static const enum pay_pg_element decided_elements[] = {TEXT, TEXT, INT4, TEXT, TEXT, INT8, TEXT,
                                                       TEXT, INT8, INT8, INT8, INT4, INT8, INT8};

static enum pay_exit flush_all(struct living *living, uint32_t at_least) {
    enum pay_exit status =
        recover_flush(living->recover, pay_sql_recover_add_account, living->accounts, account_elements, 11, at_least);
    if (status == PAY_EXIT_OK)
        status =
            recover_flush(living->recover, pay_sql_recover_add_filler, living->fillers, filler_elements, 6, at_least);
    if (status == PAY_EXIT_OK)
        status = recover_flush(living->recover, pay_sql_recover_add_decided, living->decided, decided_elements, 14,
                               at_least);
    return status;
}

static void plan_adjustment(struct living *living, const struct life_step *step) {
    struct pay_pg_array *a = living->fillers;
    pay_pg_array_text(&a[0], living->tenant);
    pay_pg_array_text(&a[1], living->account_id);
    pay_pg_array_int8(&a[2], step->version);
    pay_pg_array_text(&a[3], adjustment_kind_name(step->kind));
    pay_pg_array_int8(&a[4], step->amount_minor);
    pay_pg_array_text(&a[5], step->note);
    living->recover->adjustments++;
}

static void plan_decision(struct living *living, const struct life_step *step, int64_t decided_at_us) {
    struct pay_pg_array *a = living->decided;
    pay_pg_array_text(&a[0], living->tenant);
    pay_pg_array_text(&a[1], step->untold->order_id);
    pay_pg_array_int4(&a[2], step->untold->attempt);
    pay_pg_array_text(&a[3], living->account_id);
    pay_pg_array_text(&a[4], step->untold->currency);
    pay_pg_array_int8(&a[5], step->untold->amount_minor);
    pay_pg_array_text(&a[6], pay_outcome_name(step->decision.outcome));
    pay_pg_array_text(&a[7], pay_reason_name(step->decision.reason));
    pay_pg_array_int8(&a[8], step->decision.balance_after_minor);
    pay_pg_array_int8(&a[9], step->version);
    pay_pg_array_int8(&a[10], step->untold->position.generation);
    pay_pg_array_int4(&a[11], step->untold->position.partition);
    pay_pg_array_int8(&a[12], step->untold->position.offset);
    pay_pg_array_int8(&a[13], decided_at_us);
    living->recover->decided++;
}

static void plan_account(struct living *living) {
    struct pay_pg_array *a = living->accounts;
    const struct adjusted_account *account = &living->life.account;
    int64_t version = account->version + living->later;
    if (living->batch_events >= RECOVER_BATCH_EVENTS || living->recover->batches == 0) {
        living->recover->batches++;
        living->batch_events = 0;
    }
    pay_pg_array_text(&a[0], living->tenant);
    pay_pg_array_text(&a[1], living->account_id);
    pay_pg_array_int4(&a[2], (int32_t)living->recover->batches);
    pay_pg_array_bool(&a[3], living->has_row);
    pay_pg_array_text(&a[4], account->currency);
    pay_pg_array_int8(&a[5], living->version_before);
    pay_pg_array_int8(&a[6], account->balance_minor + living->later_minor);
    pay_pg_array_int8(&a[7], account->floor_minor);
    pay_pg_array_text(&a[8], pay_account_state_name(account->state));
    pay_pg_array_int8(&a[9], version);
    pay_pg_array_int8(&a[10], living->later > 0 ? version - living->version_before : 0);
    living->batch_events += version - living->version_before;
    living->recover->accounts++;
}

/* ---- untold requests of one account, read at its first hole ---- */

static bool take_untold(void *argument, const struct pay_pg_row *row) {
    struct living *living = argument;
    if (living->untold_count == living->untold_capacity) {
        living->untold_capacity = living->untold_capacity > 0 ? 2 * living->untold_capacity : 256;
        living->untold = realloc(living->untold, living->untold_capacity * sizeof *living->untold);
        if (living->untold == NULL) abort();
    }
    struct life_untold *untold = &living->untold[living->untold_count++];
    *untold = (struct life_untold){
        .position = {pay_pg_column_int8(row, 0), (int32_t)pay_pg_column_int8(row, 1), pay_pg_column_int8(row, 2)},
        .attempt = (int32_t)pay_pg_column_int8(row, 4),
        .amount_minor = pay_pg_column_int8(row, 6),
        .appended_at_ms = pay_pg_column_int8(row, 7),
        .told_until = pay_pg_column_int8(row, 8)};
    copy(untold->order_id, sizeof untold->order_id, pay_pg_column(row, 3));
    copy(untold->currency, sizeof untold->currency, pay_pg_column(row, 5));
    return true;
}

static enum pay_exit read_untold(struct living *living) {
    struct pay_pg_args args;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, living->tenant);
    pay_pg_args_text(&args, living->account_id);
    living->untold_read = true;
    living->untold_count = 0;
    enum pay_exit status = recover_exec(living->recover, pay_sql_recover_untold, &args, take_untold, living);
    living->life.untold = living->untold;
    living->life.untold_count = living->untold_count;
    return status;
}

/* ---- living ---- */

static void contradict(struct living *living, const char *kind, const char *text) {
    char where[2 * PAY_ID_MAX + 2];
    snprintf(where, sizeof where, "%s/%s", living->tenant, living->account_id);
    difference_add(&living->recover->contradictions, kind, where, "%s", text);
}

static void end_account(struct living *living) {
    const struct adjusted_account *account = &living->life.account;
    int64_t balance;
    if (living->began && living->changed) {
        if (!pay_money_add(account->balance_minor, living->later_minor, &balance) || balance < account->floor_minor)
            contradict(living, "later_debit",
                       "what was debited after the database came back isn't there: the balance that "
                       "was told is smaller");
        plan_account(living);
    }
    living->began = false;
}

/* Adjustments that were made after the database came back are taken off first: plan_account puts them behind. */
static void begin_account(struct living *living, const struct told_event *told) {
    struct adjusted_account row = told->row;
    end_account(living);
    copy(living->tenant, sizeof living->tenant, told->tenant);
    copy(living->account_id, sizeof living->account_id, told->account_id);
    living->began = true;
    living->changed = living->untold_read = false;
    living->has_row = told->has_row;
    living->version_before = told->has_row ? told->row.version : 0;
    living->later = told->later_movable ? told->later : 0;
    living->later_minor = told->later_movable ? told->later_minor : 0;
    row.version -= living->later;
    row.balance_minor -= living->later_minor;
    life_begin(&living->life, told->has_row ? &row : NULL, NULL, 0);
}

static enum pay_exit take(struct living *living, struct told_event *told) {
    if (!living->began || strcmp(living->tenant, told->tenant) != 0 ||
        strcmp(living->account_id, told->account_id) != 0)
        begin_account(living, told);
    if (told->on_file && told->event.version <= living->version_before)
        return PAY_EXIT_OK; /* written by a run before */
    if (told->on_file) {
        contradict(living, "account_behind",
                   "a decision that was told is on file, and the account's version is from before it");
        return PAY_EXIT_OK;
    }
    if (told->event.version > living->life.account.version + 1 && !living->untold_read) {
        enum pay_exit status = read_untold(living);
        if (status != PAY_EXIT_OK) return status;
    }
    told->event.currency = told->currency;
    if (!life_take(&living->life, &told->event)) {
        contradict(living, "account_contradicts", living->life.why);
        return PAY_EXIT_OK;
    }
    living->changed = true;
    for (size_t i = 0; i < living->life.step_count; i++) {
        const struct life_step *step = &living->life.steps[i];
        if (step->untold != NULL)
            plan_decision(living, step, told->decided_at_us);
        else
            plan_adjustment(living, step);
    }
    return flush_all(living, ROWS_AT_ONCE);
}

static bool take_difference(void *argument, const struct pay_pg_row *row) {
    static const char *const kinds[] = {"decision_differs", "refusal_differs", "cited_decision_lost"};
    struct recover *recover = argument;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i], pay_pg_column(row, 0)) == 0)
            difference_add(&recover->contradictions, kinds[i], pay_pg_column(row, 1), "%s", pay_pg_column(row, 2));
    return true;
}

static enum pay_exit live_all(struct living *living) {
    enum pay_exit status = flush_all(living, 0); /* begins the arrays */
    do {
        if (status == PAY_EXIT_OK) status = read_page(living);
        for (size_t i = 0; i < living->page_count && status == PAY_EXIT_OK; i++)
            status = take(living, &living->page[i]);
    } while (status == PAY_EXIT_OK && living->page_count == PAGE_EVENTS);
    if (status == PAY_EXIT_OK) end_account(living);
    if (status == PAY_EXIT_OK) status = flush_all(living, 1);
    if (status == PAY_EXIT_OK)
        status =
            recover_exec(living->recover, "ANALYZE pg_temp.recover_account, pg_temp.recover_filler", NULL, NULL, NULL);
    return status;
}

enum pay_exit recover_live(struct recover *recover) {
    struct pay_error error;
    struct living *living = calloc(1, sizeof *living);
    if (living == NULL) abort();
    living->recover = recover;
    recover->batches = recover->accounts = recover->adjustments = recover->decided = 0;
    if (pay_pg_script(recover->pg, pay_sql_recover_prepare, &error) != PAY_OK) {
        free(living);
        return tool_error(recover->tool, &error);
    }
    /* Pages and look-ups go by index, whatever the statistics of new tables say; what comes after joins whole tables. */
    enum pay_exit status =
        pay_pg_script(recover->pg, "SET enable_hashjoin = off; SET enable_mergejoin = off", &error) == PAY_OK
            ? live_all(living)
            : tool_error(recover->tool, &error);
    if (status == PAY_EXIT_OK &&
        pay_pg_script(recover->pg, "RESET enable_hashjoin; RESET enable_mergejoin", &error) != PAY_OK)
        status = tool_error(recover->tool, &error);
    /* After it, so that untold requests which fill holes count as found. */
    if (status == PAY_EXIT_OK)
        status = recover_exec(recover, pay_sql_recover_differing, NULL, take_difference, recover);
    for (size_t i = 0; i < 11; i++) pay_pg_array_free(&living->accounts[i]);
    for (size_t i = 0; i < 6; i++) pay_pg_array_free(&living->fillers[i]);
    for (size_t i = 0; i < 14; i++) pay_pg_array_free(&living->decided[i]);
    life_free(&living->life);
    free(living->untold);
    free(living);
    return status;
}
