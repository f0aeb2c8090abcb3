/* recover_apply.c - what recover writes: batches of accounts, then the lanes and the ledger in one last transaction. */
#include "tools/recover.h"

#include "base/clock.h"
#include "sql/pay_sql.h"

#include <inttypes.h>
#include <time.h>

#define REDO_MAX 20
#define REDO_MS 250

/* One transaction; `work` queues its statements. Again where somebody held a lock too long: nothing was written then. */
typedef enum pay_move (*work_fn)(struct recover *recover, const void *argument, struct pay_error *error);

static enum pay_exit transact(struct recover *recover, work_fn work, const void *argument) {
    struct pay_error error;
    enum pay_move move = PAY_REDO;
    for (int tries = 0; tries < REDO_MAX && move == PAY_REDO; tries++) {
        if (tries > 0) nanosleep(&(struct timespec){.tv_nsec = REDO_MS * 1000000L}, NULL);
        move = pay_pg_begin(recover->pg, false, &error);
        if (move == PAY_OK)
            move = pay_pg_script(recover->pg, "SET LOCAL idle_in_transaction_session_timeout = 0", &error);
        if (move == PAY_OK) move = work(recover, argument, &error);
        if (move == PAY_OK) {
            move = pay_pg_commit(recover->pg, &error);
            if (move == PAY_OK) return PAY_EXIT_OK;
        } else {
            pay_pg_rollback(recover->pg);
        }
    }
    enum pay_exit status = tool_error(recover->tool, &error);
    if (status != PAY_EXIT_OK)
        tool_note(recover->tool,
                  "the ledger stays halted, and what was written so far is right; run the same command again");
    return status;
}

static enum pay_move run(struct recover *recover, const char *sql, const struct pay_pg_args *args,
                         struct pay_error *error) {
    return pay_pg_exec(recover->pg, sql, args, NULL, NULL, NULL, error);
}

/* ---- the fence ---- */

static void bind_topic_and_owner(struct recover *recover, struct pay_pg_args *args, uint8_t owner[PAY_OWNER_SIZE]) {
    pay_random(owner, PAY_OWNER_SIZE);
    pay_pg_args_begin(args);
    pay_pg_args_text(args, recover->tool->config.request_topic);
    pay_pg_args_bytea(args, owner, PAY_OWNER_SIZE);
}

static enum pay_move fence(struct recover *recover, const void *argument, struct pay_error *error) {
    uint8_t owner[PAY_OWNER_SIZE];
    struct pay_pg_args args;
    (void)argument;
    enum pay_move move = run(recover, pay_sql_recover_halt, NULL, error);
    bind_topic_and_owner(recover, &args, owner);
    return move == PAY_OK ? run(recover, pay_sql_recover_take_lanes, &args, error) : move;
}

enum pay_exit recover_fence(struct recover *recover) { return transact(recover, fence, NULL); }

/* ---- batches ---- */

static enum pay_move write_batch(struct recover *recover, const void *argument, struct pay_error *error) {
    static const char *const statements[] = {pay_sql_recover_lock_accounts,  pay_sql_recover_open_accounts,
                                             pay_sql_recover_write_payments, pay_sql_recover_move_later,
                                             pay_sql_recover_write_fillers,  pay_sql_recover_write_accounts};
    struct pay_pg_args args;
    enum pay_move move = PAY_OK;
    pay_pg_args_begin(&args);
    pay_pg_args_int4(&args, *(const int32_t *)argument);
    for (size_t i = 0; i < sizeof statements / sizeof *statements && move == PAY_OK; i++)
        move = run(recover, statements[i], &args, error);
    return move;
}

/* What no account knows of: refusals, and declines of accounts that weren't there. */
static enum pay_move write_rest(struct recover *recover, const void *argument, struct pay_error *error) {
    (void)argument;
    enum pay_move move = run(recover, pay_sql_recover_write_unknown, NULL, error);
    return move == PAY_OK ? run(recover, pay_sql_recover_write_refusals, NULL, error) : move;
}

/* ---- the end ---- */

static void bind_lanes(const struct recover *recover, struct pay_pg_array a[9]) {
    static const enum pay_pg_element elements[] = {PAY_PG_INT4, PAY_PG_INT8, PAY_PG_INT8, PAY_PG_INT8, PAY_PG_INT8,
                                                   PAY_PG_INT8, PAY_PG_INT8, PAY_PG_INT8, PAY_PG_INT8};
    for (size_t i = 0; i < 9; i++) pay_pg_array_begin(&a[i], elements[i]);
    for (int32_t p = 0; p < recover->lane_count; p++) {
        const struct recover_lane *lane = &recover->lanes[p];
        if (lane->last_told < 0) continue;
        pay_pg_array_int4(&a[0], p);
        pay_pg_array_int8(&a[1], lane->view.generation);
        pay_pg_array_int8(&a[2], lane->view.processed);
        pay_pg_array_int8(&a[3], lane->generation);
        pay_pg_array_int8(&a[4], lane->last_told + 1);
        pay_pg_array_int8(&a[5], lane->reply_position);
        pay_pg_array_optional_int8(&a[6], lane->anchor.present, lane->anchor.offset);
        pay_pg_array_optional_int8(&a[7], lane->anchor.present, lane->anchor.timestamp_ms);
        pay_pg_array_optional_int8(&a[8], lane->anchor.present, lane->anchor.crc32c);
    }
}

/* Lanes in the global order, then the ledger: whoever claimed one meanwhile finds another epoch. */
static enum pay_move finish(struct recover *recover, const void *argument, struct pay_error *error) {
    static struct pay_pg_array arrays[9];
    uint8_t owner[PAY_OWNER_SIZE];
    struct pay_pg_args args;
    (void)argument;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, recover->tool->config.request_topic);
    enum pay_move move = run(recover, pay_sql_recover_lock_lanes, &args, error);
    bind_topic_and_owner(recover, &args, owner);
    bind_lanes(recover, arrays);
    for (size_t i = 0; i < 9; i++) pay_pg_args_array(&args, &arrays[i]);
    if (move == PAY_OK) move = run(recover, pay_sql_recover_finish_lanes, &args, error);
    return move == PAY_OK ? run(recover, pay_sql_recover_reopen, NULL, error) : move;
}

static void wait_for_the_wire(struct recover *recover, int64_t fenced_at_ms) {
    int64_t left_ms = fenced_at_ms + PAY_REPLIES_ON_THE_WIRE_MS - pay_clock_ms();
    if (left_ms <= 0) return;
    tool_note(recover->tool, "waits %" PRId64 " s for replies that may still be on their way", (left_ms + 999) / 1000);
    nanosleep(&(struct timespec){.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000}, NULL);
}

enum pay_exit recover_apply(struct recover *recover, int64_t fenced_at_ms) {
    enum pay_exit status = PAY_EXIT_OK;
    progress_begin(&recover->progress, "batches", recover->batches);
    for (int32_t batch = 1; batch <= recover->batches && status == PAY_EXIT_OK; batch++) {
        status = transact(recover, write_batch, &batch);
        progress_show(&recover->progress, batch);
    }
    progress_end(&recover->progress);
    if (status == PAY_EXIT_OK) status = transact(recover, write_rest, NULL);
    if (status == PAY_EXIT_OK) wait_for_the_wire(recover, fenced_at_ms);
    if (status == PAY_EXIT_OK) status = recover_look_again(recover);
    return status == PAY_EXIT_OK ? transact(recover, finish, NULL) : status;
}
