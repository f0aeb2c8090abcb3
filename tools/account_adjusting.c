#include "tools/account_adjusting.h"

#include "sql/pay_sql.h"
#include "tools/account_rows.h"

#include <inttypes.h>
#include <string.h>

#define REDO_MAX 10

static bool take_account(void *argument, const struct pay_pg_row *row) {
    struct adjusting *adjusting = argument;
    const char *state = pay_pg_column(row, 3);
    adjusting->account_found = pay_account_state_from_name(state, strlen(state), &adjusting->before.state);
    snprintf(adjusting->before.currency, sizeof adjusting->before.currency, "%s", pay_pg_column(row, 0));
    adjusting->before.balance_minor = pay_pg_column_int8(row, 1);
    adjusting->before.floor_minor = pay_pg_column_int8(row, 2);
    adjusting->before.version = pay_pg_column_int8(row, 4);
    return false;
}

static bool take_adjustment(void *argument, const struct pay_pg_row *row) {
    struct adjusting *adjusting = argument;
    adjusting->id_found = true;
    snprintf(adjusting->found_account, sizeof adjusting->found_account, "%s", pay_pg_column(row, 0));
    snprintf(adjusting->found_kind, sizeof adjusting->found_kind, "%s", pay_pg_column(row, 1));
    adjusting->found_amount_minor = pay_pg_column_int8(row, 2);
    return false;
}

static enum pay_move read_both(struct adjusting *adjusting, struct pay_pg *pg, struct pay_error *error) {
    struct pay_pg_args args;
    adjusting->account_found = adjusting->id_found = false;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, adjusting->tenant);
    pay_pg_args_text(&args, adjusting->account_id);
    enum pay_move move = pay_pg_exec(pg, pay_sql_tools_lock_account, &args, take_account, adjusting, NULL, error);
    if (move != PAY_OK) return move;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, adjusting->tenant);
    pay_pg_args_text(&args, adjusting->id);
    return pay_pg_exec(pg, pay_sql_tools_find_adjustment, &args, take_adjustment, adjusting, NULL, error);
}

static void judge(struct adjusting *adjusting) {
    bool same = strcmp(adjusting->found_account, adjusting->account_id) == 0 &&
                strcmp(adjusting->found_kind, adjustment_kind_name(adjusting->kind)) == 0 &&
                adjusting->found_amount_minor == adjusting->amount_minor;
    if (adjusting->id_found && same) {
        adjusting->result = KNOWN;
    } else if (adjusting->id_found) {
        adjusting->result = REFUSED;
        snprintf(adjusting->why, sizeof adjusting->why,
                 "adjustment id %s is taken: it is a %s of %" PRId64 " for account %s; choose another --id",
                 adjusting->id, adjusting->found_kind, adjusting->found_amount_minor, adjusting->found_account);
    } else if (!adjusting->account_found) {
        adjusting->result = NO_ACCOUNT;
    } else {
        switch (adjustment_judge(adjusting->kind, adjusting->amount_minor, &adjusting->before, &adjusting->after,
                                 adjusting->why, sizeof adjusting->why)) {
        case ADJUST_APPLY: adjusting->result = APPLIED; break;
        case ADJUST_NOTHING: adjusting->result = NOTHING; break;
        case ADJUST_REFUSE: adjusting->result = REFUSED; break;
        }
    }
}

static enum pay_move write_adjustment(struct adjusting *adjusting, struct pay_pg *pg, struct pay_error *error) {
    const struct adjusted_account *after = &adjusting->after;
    struct pay_pg_args args;
    int64_t written = 0;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, adjusting->tenant);
    pay_pg_args_text(&args, adjusting->account_id);
    pay_pg_args_text(&args, adjusting->id);
    pay_pg_args_text(&args, adjustment_kind_name(adjusting->kind));
    pay_pg_args_int8(&args, adjusting->amount_minor);
    pay_pg_args_int8(&args, after->version);
    pay_pg_args_int8(&args, after->balance_minor);
    pay_pg_args_int8(&args, after->floor_minor);
    pay_pg_args_text(&args, pay_account_state_name(after->state));
    pay_pg_args_text(&args, adjusting->note);
    enum pay_move move = pay_pg_exec(pg, pay_sql_tools_adjust, &args, NULL, NULL, &written, error);
    if (move == PAY_OK && written != 1) {
        *error = (struct pay_error){.move = PAY_SESSION_OVER,
                                    .text = "the account changed although it was locked; nothing was written"};
        return PAY_SESSION_OVER;
    }
    return move;
}

static enum pay_move attempt(struct adjusting *adjusting, struct pay_pg *pg, struct pay_error *error) {
    enum pay_move move = pay_pg_begin(pg, false, error);
    if (move == PAY_OK) move = read_both(adjusting, pg, error);
    if (move == PAY_OK) judge(adjusting);
    if (move == PAY_OK && adjusting->result == APPLIED) {
        move = write_adjustment(adjusting, pg, error);
        if (move == PAY_OK) return pay_pg_commit(pg, error);
    }
    pay_pg_rollback(pg);
    return move;
}

static enum pay_exit say(struct tool *tool, struct pay_pg *pg, const struct adjusting *adjusting) {
    switch (adjusting->result) {
    case APPLIED:
        if (!adjusting->own_id) tool_note(tool, "done, as adjustment %s", adjusting->id);
        break;
    case KNOWN: tool_note(tool, "adjustment %s was made before; nothing changed", adjusting->id); break;
    case NOTHING: tool_note(tool, "the account is so already; nothing changed"); break;
    case NO_ACCOUNT: break; /* account_print says it */
    case REFUSED: return tool_fail(tool, PAY_EXIT_FAILURE, "%s", adjusting->why);
    }
    return account_print(tool, pg, NULL, adjusting->tenant, adjusting->account_id);
}

enum pay_exit account_adjust(struct tool *tool, struct adjusting *adjusting) {
    struct pay_pg *pg;
    struct pay_error error;
    enum pay_exit status = tool_open_database(tool, PAY_PG_OWNER, &pg);
    if (status != PAY_EXIT_OK) return status;
    enum pay_move move = PAY_REDO;
    for (int tries = 0; tries < REDO_MAX && move == PAY_REDO; tries++) move = attempt(adjusting, pg, &error);
    if (move == PAY_OK) {
        status = say(tool, pg, adjusting);
    } else {
        status = tool_error(tool, &error);
        if (move == PAY_SESSION_OVER)
            tool_note(tool, "it may have been made or not; again with --id %s is safe", adjusting->id);
    }
    pay_pg_close(pg);
    return status;
}
