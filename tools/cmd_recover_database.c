/* cmd_recover_database.c - paybuf recover database: the decisions that an older database lost, from the reply log. */
#include "base/clock.h"
#include "sql/pay_sql.h"
#include "tools/recover.h"
#include "tools/recover_verbs.h"

#include <inttypes.h>

#define FILLERS_LISTED 50

enum { YES, BOOK_ADJUSTMENTS };

/* clang-format off */
static const struct cli_arg args[] = {
    [YES] = {"--yes", CLI_FLAG, .help = "do it; without it, it only says what it would do"},
    [BOOK_ADJUSTMENTS] = {"--book-adjustments", CLI_FLAG, .help = "with --yes: also book the adjustments that it lists"},
};
static const struct out_column lane_columns[] = {
    {"partition", "PARTITION", false}, {"generation", NULL, false}, {"processed", "DATABASE P", false}, {"told_until", "TOLD UNTIL", false},
    {"log_end", "E", false}, {"replies", "REPLIES", false}, {"paid", "PAID", false}, {"declined", "DECLINED", false}, {"duplicates", "DUPLICATES", false},
    {"conflicts", "CONFLICTS", false}, {"invalid", "INVALID", false},
};
static const struct out_column money_columns[] = {
    {"currency", "CURRENCY", false}, {"paid", "PAID", false}, {"amount_minor", "AMOUNT MINOR", false}, {"declined", "DECLINED", false}};
static const struct out_column filler_columns[] = {
    {"tenant", "TENANT", false}, {"account_id", "ACCOUNT", false}, {"version", "VERSION", false}, {"kind", "ADJUSTMENT", true},
    {"amount_minor", "AMOUNT MINOR", true}, {"currency", "CURRENCY", false}, {"note", "WHY", false}};
static const struct out_column contradiction_columns[] = {{"kind", "CONTRADICTION", true}, {"where", "WHERE", false}, {"detail", "DETAIL", false}};
static const struct out_column summary_columns[] = {
    {"ledger_id", "ledger", false}, {"database_until", "database knows until", false}, {"replies", "replies to re-apply", false},
    {"on_file", "of them on file already", false}, {"refusals", "refusals", false}, {"accounts", "accounts", false},
    {"untold", "untold decisions found", false}, {"adjustments", "adjustments to book", false}, {"contradictions", "contradictions", false},
};
/* clang-format on */

/* ---- the plan, printed ---- */

static void print_lanes(struct recover *recover) {
    out_list(&recover->tool->out, "lanes", OUT_COLUMNS(lane_columns));
    for (int32_t p = 0; p < recover->lane_count; p++) {
        const struct recover_lane *lane = &recover->lanes[p];
        const struct {
            const char *name;
            int64_t number;
        } members[] = {{"partition", p},
                       {"generation", lane->generation},
                       {"processed", lane->view.processed},
                       {"told_until", lane->last_told >= 0 ? lane->last_told + 1 : lane->view.processed},
                       {"log_end", lane->view.request_end},
                       {"replies", lane->replies},
                       {"paid", lane->paid},
                       {"declined", lane->declined},
                       {"duplicates", lane->duplicates},
                       {"conflicts", lane->conflicts},
                       {"invalid", lane->invalid}};
        json_t *row = json_object();
        for (size_t i = 0; i < sizeof members / sizeof *members; i++)
            json_object_set_new(row, members[i].name, json_integer(members[i].number));
        out_row(&recover->tool->out, row);
    }
}

static bool print_money(void *argument, const struct pay_pg_row *row) {
    struct recover *recover = argument;
    json_t *money = json_object();
    json_object_set_new(money, "currency", tool_column_text(row, 0));
    json_object_set_new(money, "paid", tool_column_number(row, 1));
    json_object_set_new(money, "amount_minor", tool_column_number(row, 2));
    json_object_set_new(money, "declined", tool_column_number(row, 3));
    out_row(&recover->tool->out, money);
    return true;
}

static bool print_filler(void *argument, const struct pay_pg_row *row) {
    struct recover *recover = argument;
    json_t *filler = json_object();
    json_object_set_new(filler, "tenant", tool_column_text(row, 0));
    json_object_set_new(filler, "account_id", tool_column_text(row, 1));
    json_object_set_new(filler, "version", tool_column_number(row, 2));
    json_object_set_new(filler, "kind", tool_column_text(row, 3));
    json_object_set_new(filler, "amount_minor", tool_column_number(row, 4));
    json_object_set_new(filler, "currency", tool_column_text(row, 5));
    json_object_set_new(filler, "note", tool_column_text(row, 6));
    out_row(&recover->tool->out, filler);
    return true;
}

static enum pay_exit print_fillers(struct recover *recover) {
    bool table = recover->tool->out.format == OUT_TABLE;
    struct pay_pg_args sql_args;
    if (table && recover->adjustments == 0) return PAY_EXIT_OK;
    out_list(&recover->tool->out, "adjustments", OUT_COLUMNS(filler_columns));
    pay_pg_args_begin(&sql_args);
    pay_pg_args_int8(&sql_args, table ? FILLERS_LISTED : INT64_MAX);
    enum pay_exit status = recover_exec(recover, pay_sql_recover_fillers, &sql_args, print_filler, recover);
    if (table && recover->adjustments > FILLERS_LISTED)
        out_line(&recover->tool->out, "... and %" PRId64 " more; -o json lists all",
                 recover->adjustments - FILLERS_LISTED);
    return status;
}

static void print_contradictions(struct recover *recover) {
    const struct differences *found = &recover->contradictions;
    if (found->count == 0 && recover->tool->out.format == OUT_TABLE) return;
    out_list(&recover->tool->out, "contradictions", OUT_COLUMNS(contradiction_columns));
    for (int64_t i = 0; i < found->count && i < DIFFERENCES_LISTED; i++) {
        json_t *row = json_object();
        json_object_set_new(row, "kind", json_string(found->listed[i].kind));
        json_object_set_new(row, "where", json_string(found->listed[i].where));
        json_object_set_new(row, "detail", json_string(found->listed[i].detail));
        out_row(&recover->tool->out, row);
    }
    if (found->count > DIFFERENCES_LISTED)
        out_line(&recover->tool->out, "... and %" PRId64 " more", found->count - DIFFERENCES_LISTED);
}

struct counts {
    int64_t on_file, refusals;
    json_t *until;
};

static bool take_counts(void *argument, const struct pay_pg_row *row) {
    struct counts *counts = argument;
    counts->on_file = pay_pg_column_int8(row, 0);
    counts->refusals = pay_pg_column_int8(row, 1);
    counts->until = tool_column_text(row, 2);
    return true;
}

static enum pay_exit print_plan(struct recover *recover) {
    struct counts counts = {0};
    enum pay_exit status = recover_exec(recover, pay_sql_recover_counts, NULL, take_counts, &counts);
    if (status != PAY_EXIT_OK) return status;
    print_lanes(recover);
    out_list(&recover->tool->out, "money", OUT_COLUMNS(money_columns));
    status = recover_exec(recover, pay_sql_recover_sums, NULL, print_money, recover);
    if (status == PAY_EXIT_OK) status = print_fillers(recover);
    print_contradictions(recover);
    json_t *summary = json_object();
    json_object_set_new(summary, "ledger_id", json_string(recover->ledger_id));
    json_object_set_new(summary, "database_until", counts.until);
    json_object_set_new(summary, "replies", json_integer(recover->told));
    json_object_set_new(summary, "on_file", json_integer(counts.on_file));
    json_object_set_new(summary, "refusals", json_integer(counts.refusals));
    json_object_set_new(summary, "accounts", json_integer(recover->accounts));
    json_object_set_new(summary, "untold", json_integer(recover->decided));
    json_object_set_new(summary, "adjustments", json_integer(recover->adjustments));
    json_object_set_new(summary, "contradictions", json_integer(recover->contradictions.count));
    out_object(&recover->tool->out, "summary", OUT_COLUMNS(summary_columns), summary);
    return status;
}

/* ---- what to do with it ---- */

static void say_what_cannot_be_known(const struct tool *tool) {
    tool_note(
        tool, "%s",
        "no log has what was done after the database's time to accounts that no payment was decided for since: "
        "openings, "
        "top-ups, freezes. Repeat those from your own books, with the same --id; not the adjustments listed here, "
        "which get ids of their own");
}

static enum pay_exit refuse_contradictions(const struct recover *recover) {
    return tool_fail(recover->tool, PAY_EXIT_DIFFERENCES,
                     "%" PRId64 " contradictions between what was told and this database; no row was written, and the "
                     "ledger is halted. docs/halts.md says what each means",
                     recover->contradictions.count);
}

static enum pay_exit nothing_told(const struct recover *recover) {
    if (recover->foreign > 0)
        return tool_fail(
            recover->tool, PAY_EXIT_DIFFERENCES,
            "the reply log holds replies of another ledger only: this database isn't the one that belongs to "
            "these topics");
    tool_note(recover->tool, "no reply was told that this database doesn't know: there is nothing to recover");
    return PAY_EXIT_OK;
}

static enum pay_exit gather_and_print(struct recover *recover) {
    enum pay_exit status = recover_look(recover);
    if (status == PAY_EXIT_OK) status = recover_gather(recover);
    if (status == PAY_EXIT_OK) status = recover_live(recover);
    return status == PAY_EXIT_OK ? print_plan(recover) : status;
}

static enum pay_exit show(struct recover *recover) {
    struct tool *tool = recover->tool;
    enum pay_exit status = gather_and_print(recover);
    if (status != PAY_EXIT_OK) return status;
    if (recover->told == 0 && (!recover->halted || recover->foreign > 0)) return nothing_told(recover);
    if (recover->contradictions.count > 0)
        return tool_fail(tool, PAY_EXIT_DIFFERENCES,
                         "%" PRId64 " contradictions between what was told and this database; nothing was changed. "
                         "docs/halts.md says what each means",
                         recover->contradictions.count);
    say_what_cannot_be_known(tool);
    tool_note(tool, "nothing was changed. To do it: paybuf recover database --yes%s",
              recover->adjustments > 0 ? " --book-adjustments" : "");
    return PAY_EXIT_DIFFERENCES;
}

static enum pay_exit apply(struct recover *recover, bool book) {
    struct tool *tool = recover->tool;
    enum pay_exit status = recover_look(recover);
    if (status == PAY_EXIT_OK && !recover->halted) status = recover_gather(recover);
    if (status != PAY_EXIT_OK) return status;
    if (!recover->halted && recover->told == 0) return nothing_told(recover);
    status = recover_fence(recover);
    int64_t fenced_at_ms = pay_clock_ms();
    if (status == PAY_EXIT_OK) status = gather_and_print(recover);
    if (status != PAY_EXIT_OK) return status;
    if (recover->told == 0 && recover->foreign > 0) return nothing_told(recover);
    if (recover->contradictions.count > 0) return refuse_contradictions(recover);
    if (recover->adjustments > 0 && !book)
        return tool_fail(tool, PAY_EXIT_DIFFERENCES,
                         "%" PRId64 " adjustments are lost with the database and listed above; nothing was written. "
                         "Compare them with your own books, then add --book-adjustments",
                         recover->adjustments);
    status = recover_apply(recover, fenced_at_ms);
    if (status != PAY_EXIT_OK) return status;
    say_what_cannot_be_known(tool);
    tool_note(tool, "done: the workers go on within a few seconds. Now prove it: paybuf audit --wait 60");
    return PAY_EXIT_OK;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    static struct recover recover;
    recover = (struct recover){.tool = tool};
    enum pay_exit status = values[YES].given ? apply(&recover, values[BOOK_ADJUSTMENTS].given) : show(&recover);
    progress_end(&recover.progress);
    recover_close(&recover);
    return status;
}

const struct command cmd_recover_database = {
    .name = "database",
    .summary = "an older database came back: re-apply what listeners were told since",
    .examples = "  paybuf recover database                            says what it would do; changes nothing\n"
                "  paybuf recover database --yes                      does it\n"
                "  paybuf recover database --yes --book-adjustments   and books the lost adjustments that it named\n"
                "  paybuf recover database -o json > plan.json        all of them, for your own books\n",
    .notes =
        "The reply log is the redo log. Every decision told beyond the database's P is written again exactly as it was "
        "told: "
        "outcome,\n"
        "balance, account version, time, position. Each balance is checked. Where an account's versions have a hole, "
        "the missing "
        "event was\n"
        "a decision nobody was told (found in the request log and stored in its place), or an adjustment that is lost: "
        "that one "
        "is named,\n"
        "with the amount that the told balances give, and booked only with --book-adjustments, marked \"paybuf "
        "recover\".\n"
        "The ledger is halted from the first write to the last. Killed at any moment, it may simply be run again.\n"
        "Ends with 4 when it found something and changed nothing, with 0 when it is done or nothing is to be done.\n",
    CLI_ARGS(args),
    .run = run,
};
