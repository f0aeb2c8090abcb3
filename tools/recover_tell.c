#include "tools/recover_tell.h"

#include "base/clock.h"
#include "pg/payment_row.h"
#include "sql/pay_sql.h"
#include "tools/reply_publisher.h"

#include <inttypes.h>
#include <stdlib.h>

#define PAGE_ROWS 10000

struct untold {
    struct pay_record record; /* as far as the row knows it */
    struct pay_answer answer;
};

struct telling {
    struct lane_case *lane;
    struct reply_publisher publisher;
    struct untold page[PAGE_ROWS];
    size_t page_count;
    const char *broken; /* a row's column that can't be understood */
    int64_t from;       /* what was acknowledged below it isn't told again, even where the reply log is lost */
    int64_t next;       /* covers-from of the next reply */
    int64_t told;
};

/* ---- rows ---- */

static bool take_row(void *argument, const struct pay_pg_row *row) {
    struct telling *telling = argument;
    struct untold *untold = &telling->page[telling->page_count];
    struct pay_decision decision = {.attempt = 0};
    telling->broken = pay_payment_row_read(row, 2, &decision);
    if (telling->broken != NULL) return false;
    pay_record_from_decision(pay_pg_column(row, 0), pay_pg_column(row, 1), &decision, &untold->record);
    pay_answer_from_decision(&untold->record, &decision, &untold->answer);
    telling->page_count++;
    return true;
}

static enum pay_exit read_page(struct telling *telling, int64_t until) {
    struct lane_case *lane = telling->lane;
    struct pay_pg_args args;
    telling->page_count = 0;
    pay_pg_args_begin(&args);
    pay_pg_args_int8(&args, lane->row.log_generation);
    pay_pg_args_int4(&args, lane->partition);
    pay_pg_args_int8(&args, telling->next > telling->from ? telling->next : telling->from);
    pay_pg_args_int8(&args, until);
    pay_pg_args_int8(&args, PAGE_ROWS);
    enum pay_exit status = recover_exec(lane->recover, pay_sql_recover_untold_rows, &args, take_row, telling);
    if (status == PAY_EXIT_OK && telling->broken != NULL)
        return tool_fail(lane->recover->tool, PAY_EXIT_FAILURE,
                         "%s holds a word that this program doesn't know; install a newer paybuf", telling->broken);
    return status;
}

/* ---- publishing ---- */

static enum pay_exit not_told(const struct telling *telling) {
    return tool_fail(telling->lane->recover->tool, PAY_EXIT_TEMPORARY,
                     "publishing stopped at %d-%" PRId64
                     " (%s); the lane stays halted, and the same command again is safe",
                     telling->lane->partition, telling->next, telling->publisher.why);
}

static enum pay_exit tell(struct telling *telling, const struct untold *untold) {
    const struct tool *tool = telling->lane->recover->tool;
    struct pay_reply_record reply;
    pay_reply_record_make(&untold->record, &untold->answer, telling->next, tool->config.request_topic,
                          telling->lane->recover->ledger_id, &reply);
    if (!reply_publisher_publish(&telling->publisher, &reply)) return not_told(telling);
    telling->next = untold->record.position.offset + 1;
    telling->told++;
    return PAY_EXIT_OK;
}

static enum pay_exit tell_all(struct telling *telling, int64_t until) {
    enum pay_exit status;
    do {
        status = read_page(telling, until);
        for (size_t i = 0; i < telling->page_count && status == PAY_EXIT_OK; i++)
            status = tell(telling, &telling->page[i]);
        if (status == PAY_EXIT_OK && !reply_publisher_finish(&telling->publisher)) status = not_told(telling);
    } while (status == PAY_EXIT_OK && telling->page_count == PAGE_ROWS);
    return status;
}

/* ---- holding the lane ---- */

static enum pay_exit hold(struct lane_case *lane, enum pay_halt reason) {
    uint8_t owner[PAY_OWNER_SIZE];
    struct pay_pg_args args;
    pay_random(owner, sizeof owner);
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, lane->recover->tool->config.request_topic);
    pay_pg_args_int4(&args, lane->partition);
    pay_pg_args_bytea(&args, owner, sizeof owner);
    pay_pg_args_int8(&args, lane->row.log_generation);
    pay_pg_args_int8(&args, lane->row.next_offset);
    pay_pg_args_int8(&args, lane->row.owner_epoch);
    pay_pg_args_text(&args, pay_halt_name(reason));
    enum pay_exit status = recover_exec(lane->recover, pay_sql_recover_hold_lane, &args, NULL, NULL);
    lane->row.owner_epoch++;
    return status;
}

enum pay_exit recover_tell(struct lane_case *lane, enum pay_halt reason, int64_t until, int64_t *ret_told) {
    struct tool *tool = lane->recover->tool;
    int64_t position;
    *ret_told = 0;
    enum pay_exit status = hold(lane, reason);
    if (status != PAY_EXIT_OK) return status;
    struct telling *telling = calloc(1, sizeof *telling);
    if (telling == NULL) abort();
    telling->lane = lane;
    telling->from = telling->next = lane->claim.reader.next;
    if (lane->view.reply_end < lane->row.reply_position) /* lost, too: its own readers begin with what is left of it */
        status = lane_case_find_pair(lane, &telling->next, &position);
    if (status != PAY_EXIT_OK) {
        free(telling);
        return status;
    }
    status = reply_publisher_open(&telling->publisher, tool, tool->config.reply_topic, lane->partition);
    if (status == PAY_EXIT_OK) status = tell_all(telling, until);
    *ret_told = telling->told;
    reply_publisher_close(&telling->publisher);
    free(telling);
    return status;
}
