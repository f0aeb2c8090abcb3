/* cmd_account_adjust.c - topup, debit, floor, freeze, unfreeze, close: one adjustment of one account. */
#include "base/clock.h"
#include "sql/pay_sql.h"
#include "tools/account_openings.h"
#include "tools/account_rows.h"
#include "tools/account_verbs.h"
#include "tools/adjustment.h"

#include <inttypes.h>
#include <string.h>

#define REDO_MAX 10

/* What was asked, and what came of it. */
struct adjusting {
    const char *tenant, *account_id, *note;
    char id[OPENING_ID_MAX + 1];
    bool own_id; /* --id was given */
    enum adjustment_kind kind;
    int64_t amount_minor;

    bool account_found, id_found;
    struct adjusted_account before, after;
    char found_account[PAY_ID_MAX + 1], found_kind[16];
    int64_t found_amount_minor;

    enum { APPLIED, KNOWN, NOTHING, NO_ACCOUNT, REFUSED } result;
    char why[512];
};

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

static enum pay_exit adjust(struct tool *tool, struct adjusting *adjusting) {
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

/* ---- the verbs: the same arguments, with or without an amount ---- */

enum { ACCOUNT, TENANT, ID, NOTE, AMOUNT };

/* clang-format off */
#define COMMON_ARGS                                                                                                         \
    [ACCOUNT] = {"ACCOUNT", CLI_ID, true, .help = "its id"},                                                                \
    [TENANT] = {"--tenant", CLI_ID, false, "T", .initial = "default", .help = "whose"},                                     \
    [ID] = {"--id", CLI_TEXT, false, "ADJUSTMENT", .help = "the same id again changes nothing; default: a random one"},     \
    [NOTE] = {"--note", CLI_TEXT, false, "TEXT", .help = "kept with it"}

static const struct cli_arg plain_args[] = {COMMON_ARGS};
static const struct cli_arg amount_args[] = {
    COMMON_ARGS, [AMOUNT] = {"AMOUNT_MINOR", CLI_INTEGER, true, NULL, 1, INT64_MAX, NULL, "in minor units (cents), at least 1"}};
static const struct cli_arg floor_args[] = {
    COMMON_ARGS, [AMOUNT] = {"FLOOR_MINOR", CLI_INTEGER, true, NULL, INT64_MIN, INT64_MAX, NULL, "the new floor, at most the balance"}};
/* clang-format on */

static void random_id(enum adjustment_kind kind, char id[OPENING_ID_MAX + 1]) {
    unsigned char bytes[12];
    int length = snprintf(id, OPENING_ID_MAX + 1, "%s:", adjustment_kind_name(kind));
    pay_random(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) length += snprintf(id + length, 3, "%02x", bytes[i]);
}

static enum pay_exit run_kind(struct tool *tool, const struct cli_value *values, enum adjustment_kind kind,
                              bool amount) {
    struct adjusting adjusting = {.tenant = values[TENANT].text,
                                  .account_id = values[ACCOUNT].text,
                                  .note = values[NOTE].text,
                                  .own_id = values[ID].given,
                                  .kind = kind,
                                  .amount_minor = amount ? values[AMOUNT].number : 0};
    if (values[ID].given && !opening_id_valid(values[ID].text))
        return tool_fail(tool, PAY_EXIT_USAGE, "--id: 1 to %d printable characters without spaces", OPENING_ID_MAX);
    if (values[ID].given)
        snprintf(adjusting.id, sizeof adjusting.id, "%s", values[ID].text);
    else
        random_id(kind, adjusting.id);
    return adjust(tool, &adjusting);
}

static enum pay_exit run_topup(struct tool *tool, const struct cli_value *values) {
    return run_kind(tool, values, ADJUST_CREDIT, true);
}
static enum pay_exit run_debit(struct tool *tool, const struct cli_value *values) {
    return run_kind(tool, values, ADJUST_DEBIT, true);
}
static enum pay_exit run_floor(struct tool *tool, const struct cli_value *values) {
    return run_kind(tool, values, ADJUST_FLOOR, true);
}
static enum pay_exit run_freeze(struct tool *tool, const struct cli_value *values) {
    return run_kind(tool, values, ADJUST_FREEZE, false);
}
static enum pay_exit run_unfreeze(struct tool *tool, const struct cli_value *values) {
    return run_kind(tool, values, ADJUST_UNFREEZE, false);
}
static enum pay_exit run_close(struct tool *tool, const struct cli_value *values) {
    return run_kind(tool, values, ADJUST_CLOSE, false);
}

const struct command cmd_account_topup = {
    .name = "topup",
    .summary = "add money (adjustment `credit`)",
    .examples = "  paybuf account topup alice 5000 --id bank-transfer-4711\n"
                "  paybuf account topup alice 5000                             a new adjustment each time\n",
    .notes = "With --id a repeated command is harmless; without it a command whose outcome is unknown names the id to "
             "repeat it with.\n",
    CLI_ARGS(amount_args),
    .run = run_topup,
};
const struct command cmd_account_debit = {
    .name = "debit",
    .summary = "take money out, not below the floor (adjustment `debit`)",
    .examples = "  paybuf account debit alice 5000 --id payout-12 --note 'paid out by bank transfer'\n",
    CLI_ARGS(amount_args),
    .run = run_debit,
};
const struct command cmd_account_floor = {
    .name = "floor",
    .summary = "set what the balance may not fall below",
    .examples = "  paybuf account floor alice -20000          may overdraw by 200 EUR\n"
                "  paybuf account floor alice 0\n",
    CLI_ARGS(floor_args),
    .run = run_floor,
};
const struct command cmd_account_freeze = {
    .name = "freeze",
    .summary = "decline its payments until it is unfrozen",
    .examples = "  paybuf account freeze alice --note 'card reported stolen'\n",
    CLI_ARGS(plain_args),
    .run = run_freeze,
};
const struct command cmd_account_unfreeze = {
    .name = "unfreeze",
    .summary = "let it pay again",
    .examples = "  paybuf account unfreeze alice\n",
    CLI_ARGS(plain_args),
    .run = run_unfreeze,
};
const struct command cmd_account_close = {
    .name = "close",
    .summary = "decline its payments for ever; what is left can still be debited",
    .examples = "  paybuf account close alice\n",
    CLI_ARGS(plain_args),
    .run = run_close,
};
