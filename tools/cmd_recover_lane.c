/* cmd_recover_lane.c - paybuf recover lane: what stopped one partition, and opening it again. */
#include "base/clock.h"
#include "sql/pay_sql.h"
#include "tools/recover_tell.h"
#include "tools/recover_verbs.h"

#include <inttypes.h>
#include <string.h>

enum { PARTITION, ACCEPT, YES };

/* clang-format off */
static const struct cli_arg args[] = {
    [PARTITION] = {"PARTITION", CLI_INTEGER, true, NULL, 0, PAY_LANES_MAX - 1, NULL, "which lane; paybuf recover lists them"},
    [ACCEPT] = {"--accept", CLI_TEXT, false, "REASON", .help = "the loss that you accept, by its name: log_truncated, log_replaced, requests_lost, replies_lost, foreign_ledger"},
    [YES] = {"--yes", CLI_FLAG, .help = "do it; without it, it only says what it would do"},
};
static const struct out_column columns[] = {
    {"partition", "partition", false}, {"halted_reason", "halted", true}, {"found", "found now", true}, {"generation", "generation", false},
    {"processed", "P", false}, {"replied", "R", false}, {"log_start", "L", false}, {"log_end", "E", false}, {"anchor", "anchor", false},
    {"reply_log_start", "reply log start", false}, {"reply_log_end", "reply log end", false}, {"plan", "plan", false},
    {"new_generation", "new generation", false}, {"new_start", "new start", false}, {"lost_requests", "requests lost, at most", true},
    {"untold", "decisions told from their rows", true}, {"untold_paid", "of them paid", true}, {"untold_paid_minor", "their amount minor", true}, {"unanswered", "records left without a reply, at most", true},
};
/* clang-format on */

/* What would be written, and what it costs. */
struct plan {
    enum { NOTHING, LIFT, REBUILD_REPLIES, NEW_GENERATION, SKIP_FOREIGN, ELSEWHERE } kind;
    enum pay_halt reason;
    struct pay_lane_row row; /* as it would be */
    int64_t lost_requests;   /* -1: can't be known */
    int64_t untold, untold_paid, untold_until, unanswered;
    char untold_minor[40];
};

static const char *const words[] = {
    [NOTHING] = "nothing is wrong with it",
    [LIFT] = "lift the halt: what caused it isn't seen any more, the record is tried again",
    [REBUILD_REPLIES] = "read the reply log from its last good reply on: the worker publishes the missing ones again",
    [NEW_GENERATION] = "a new log generation for this partition, from the new start on",
    [SKIP_FOREIGN] = "leave the other ledger's replies behind",
    [ELSEWHERE] = "another verb's work",
};

/* ---- making the plan ---- */

static bool take_untold(void *argument, const struct pay_pg_row *row) {
    struct plan *plan = argument;
    plan->untold = pay_pg_column_int8(row, 0);
    plan->untold_paid = pay_pg_column_int8(row, 1);
    snprintf(plan->untold_minor, sizeof plan->untold_minor, "%s", pay_pg_column(row, 2));
    return true;
}

/* Decisions of records in [from, until) that no reply told. */
static enum pay_exit count_untold(const struct lane_case *lane, struct plan *plan, int64_t until) {
    int64_t from = lane->claim.reader.next;
    struct pay_pg_args sql_args;
    if (until > lane->row.next_offset) until = lane->row.next_offset;
    if (from >= until) return PAY_EXIT_OK;
    plan->untold_until = until;
    pay_pg_args_begin(&sql_args);
    pay_pg_args_int8(&sql_args, lane->row.log_generation);
    pay_pg_args_int4(&sql_args, lane->partition);
    pay_pg_args_int8(&sql_args, from);
    pay_pg_args_int8(&sql_args, until);
    enum pay_exit status = recover_exec(lane->recover, pay_sql_recover_lane_rows, &sql_args, take_untold, plan);
    plan->unanswered = until - from - plan->untold;
    return status;
}

/* Readers of a new generation begin with 0, so the claim must, too; what was told in earlier ones lies before reply_position. */
static void raise_generation(const struct lane_case *lane, struct plan *plan, int64_t start) {
    plan->kind = NEW_GENERATION;
    plan->row.log_generation++;
    plan->row.next_offset = start;
    plan->row.replied_offset = 0;
    plan->row.reply_position = lane->view.reply_end;
    plan->row.anchor = (struct pay_anchor){.present = false};
}

/* The request log is another or a shorter one. What is the same as before was answered; all else is settled, known orders as duplicates. */
static enum pay_exit plan_other_log(struct lane_case *lane, struct plan *plan) {
    enum pay_exit status = lane_case_find_cut(lane);
    if (status != PAY_EXIT_OK) return status;
    raise_generation(lane, plan, lane->cut);
    plan->lost_requests = -1;
    return count_untold(lane, plan, INT64_MAX);
}

static enum pay_exit plan_lost_start(struct lane_case *lane, struct plan *plan) {
    int64_t start = lane->view.request_start, untold = lane->claim.reader.next;
    if (untold > start) start = untold; /* a lost reply log: what was acknowledged in it isn't answered again */
    raise_generation(lane, plan, start);
    plan->lost_requests = start > lane->row.next_offset ? start - lane->row.next_offset : 0;
    return count_untold(lane, plan, start);
}

static enum pay_exit plan_lost_replies(struct lane_case *lane, struct plan *plan) {
    int64_t replied, position;
    enum pay_exit status = lane_case_find_pair(lane, &replied, &position);
    if (status != PAY_EXIT_OK) return status;
    if (lane->row.anchor.present && replied <= lane->row.anchor.offset && replied < lane->view.request_start) {
        plan->reason = PAY_HALT_REPLIES_LOST; /* part of the requests is gone, too */
        return plan_lost_start(lane, plan);
    }
    plan->kind = REBUILD_REPLIES;
    plan->row.replied_offset = replied;
    plan->row.reply_position = position;
    return PAY_EXIT_OK;
}

static enum pay_exit make_plan(struct lane_case *lane, struct plan *plan) {
    *plan = (struct plan){.row = lane->row, .reason = lane->found != PAY_HALT_NONE ? lane->found : lane->row.halted};
    if (lane->found == PAY_HALT_NONE) {
        plan->kind = lane->row.halted != PAY_HALT_NONE ? LIFT : NOTHING;
        return PAY_EXIT_OK;
    }
    switch (lane->found) {
    case PAY_HALT_LOG_TRUNCATED:
    case PAY_HALT_LOG_REPLACED: return plan_other_log(lane, plan);
    case PAY_HALT_REQUESTS_LOST:
    case PAY_HALT_REPLIES_LOST: return plan_lost_start(lane, plan);
    case PAY_HALT_REPLY_LOG_TRUNCATED: return plan_lost_replies(lane, plan);
    case PAY_HALT_FOREIGN_LEDGER:
        plan->kind = SKIP_FOREIGN;
        plan->row.replied_offset = lane->claim.replied_offset;
        plan->row.reply_position = lane->view.reply_end;
        return PAY_EXIT_OK;
    default: plan->kind = ELSEWHERE; return PAY_EXIT_OK;
    }
}

/* ---- saying it ---- */

static json_t *halt_name(enum pay_halt halt) { return tool_text(pay_halt_name(halt)); }

static void print_plan(const struct lane_case *lane, const struct plan *plan) {
    const struct pay_claim_view *view = &lane->view;
    bool raises = plan->kind == NEW_GENERATION;
    json_t *object = json_object();
    json_object_set_new(object, "partition", json_integer(lane->partition));
    json_object_set_new(object, "halted_reason", halt_name(lane->row.halted));
    json_object_set_new(object, "found", halt_name(lane->found));
    json_object_set_new(object, "generation", json_integer(lane->row.log_generation));
    json_object_set_new(object, "processed", json_integer(lane->row.next_offset));
    json_object_set_new(object, "replied", json_integer(lane->resume_from));
    json_object_set_new(object, "log_start", json_integer(view->request_start));
    json_object_set_new(object, "log_end", json_integer(view->request_end));
    json_object_set_new(object, "anchor",
                        lane->row.anchor.present ? json_integer(lane->row.anchor.offset) : json_null());
    json_object_set_new(object, "reply_log_start", json_integer(view->reply_start));
    json_object_set_new(object, "reply_log_end", json_integer(view->reply_end));
    json_object_set_new(object, "plan", json_string(words[plan->kind]));
    json_object_set_new(object, "new_generation", raises ? json_integer(plan->row.log_generation) : json_null());
    json_object_set_new(object, "new_start", raises ? json_integer(plan->row.next_offset) : json_null());
    json_object_set_new(object, "lost_requests",
                        raises && plan->lost_requests >= 0 ? json_integer(plan->lost_requests) : json_null());
    json_object_set_new(object, "untold", raises ? json_integer(plan->untold) : json_null());
    json_object_set_new(object, "untold_paid", raises ? json_integer(plan->untold_paid) : json_null());
    json_object_set_new(object, "untold_paid_minor",
                        raises && plan->untold > 0 ? json_string(plan->untold_minor) : json_null());
    json_object_set_new(object, "unanswered", raises ? json_integer(plan->unanswered) : json_null());
    out_object(&lane->recover->tool->out, NULL, OUT_COLUMNS(columns), object);
}

/* What a person must know before the loss is accepted. */
static void say_losses(const struct lane_case *lane, const struct plan *plan) {
    const struct tool *tool = lane->recover->tool;
    if (plan->kind != NEW_GENERATION) return;
    if (plan->lost_requests < 0)
        tool_note(
            tool,
            "what was accepted and not settled yet when the log was lost can't be known here: only those who sent it "
            "know. Sending it again is safe, decided orders are answered as duplicates");
    if (plan->lost_requests > 0)
        tool_note(tool,
                  "up to %" PRId64
                  " accepted requests were deleted before they were settled: nobody was charged for them, "
                  "and nobody is answered; only those who sent them can send them again",
                  plan->lost_requests);
    if (plan->untold > 0)
        tool_note(tool,
                  "%" PRId64
                  " decisions that nobody was told are published from their rows first, without the metadata of "
                  "their requests, which is gone",
                  plan->untold);
    if (plan->unanswered > 0)
        tool_note(tool,
                  "up to %" PRId64
                  " other records (duplicates, conflicts, refusals, holes) stay without a reply: their bytes "
                  "are gone. Orders sent again are answered",
                  plan->unanswered);
    if (lane->view.reply_end < lane->row.reply_position)
        tool_note(tool, "the reply log is lost, too: which decisions listeners were told can't be known from here, "
                        "only from what they "
                        "stored. The tables hold every decision; the balances are right");
}

static bool wants_acceptance(const struct plan *plan) {
    return plan->kind == NEW_GENERATION || plan->kind == SKIP_FOREIGN;
}

static enum pay_exit not_now(const struct lane_case *lane, const struct plan *plan) {
    const struct tool *tool = lane->recover->tool;
    const char *reason = pay_halt_name(plan->reason);
    if (plan->kind == ELSEWHERE)
        return tool_fail(tool, PAY_EXIT_DIFFERENCES, "%s: %s. Next: paybuf recover %s", reason,
                         pay_halt_hint(plan->reason),
                         plan->reason == PAY_HALT_DATABASE_ROLLED_BACK ? "database"
                         : plan->reason == PAY_HALT_OTHER_GROUP        ? "group --help"
                                                                       : "cluster --help");
    if (plan->reason == PAY_HALT_POISON)
        tool_note(tool,
                  "the record is the first one at or behind %d-%" PRId64
                  "; if what refuses it can't be mended, skip it by name: "
                  "paybuf recover poison --help",
                  lane->partition, lane->row.next_offset);
    return tool_fail(tool, PAY_EXIT_DIFFERENCES,
                     "nothing was changed. To do it: paybuf recover lane %" PRId32 "%s%s --yes", lane->partition,
                     wants_acceptance(plan) ? " --accept " : "", wants_acceptance(plan) ? reason : "");
}

/* ---- doing it ---- */

static void optional_int8(struct pay_pg_args *sql_args, bool present, int64_t value) {
    if (present)
        pay_pg_args_int8(sql_args, value);
    else
        pay_pg_args_null(sql_args);
}

enum pay_exit recover_set_lane(const struct lane_case *lane, const struct pay_lane_row *row) {
    uint8_t owner[PAY_OWNER_SIZE];
    struct pay_pg_args sql_args;
    pay_random(owner, sizeof owner);
    pay_pg_args_begin(&sql_args);
    pay_pg_args_text(&sql_args, lane->recover->tool->config.request_topic);
    pay_pg_args_int4(&sql_args, lane->partition);
    pay_pg_args_bytea(&sql_args, owner, sizeof owner);
    pay_pg_args_int8(&sql_args, lane->row.log_generation);
    pay_pg_args_int8(&sql_args, lane->row.next_offset);
    pay_pg_args_int8(&sql_args, lane->row.owner_epoch);
    pay_pg_args_int8(&sql_args, row->log_generation);
    pay_pg_args_int8(&sql_args, row->next_offset);
    pay_pg_args_int8(&sql_args, row->replied_offset);
    pay_pg_args_int8(&sql_args, row->reply_position);
    optional_int8(&sql_args, row->anchor.present, row->anchor.offset);
    optional_int8(&sql_args, row->anchor.present, row->anchor.timestamp_ms);
    optional_int8(&sql_args, row->anchor.present, row->anchor.crc32c);
    return recover_exec(lane->recover, pay_sql_recover_set_lane, &sql_args, NULL, NULL);
}

static enum pay_exit work(struct lane_case *lane, const struct cli_value *values) {
    const struct tool *tool = lane->recover->tool;
    struct plan plan;
    int64_t told = 0;
    enum pay_exit status = lane_case_read(lane, lane->recover, (int32_t)values[PARTITION].number, true);
    if (status == PAY_EXIT_OK) status = make_plan(lane, &plan);
    if (status != PAY_EXIT_OK) return status;
    print_plan(lane, &plan);
    if (plan.kind == NOTHING) return PAY_EXIT_OK;
    say_losses(lane, &plan);
    if (plan.kind == ELSEWHERE || !values[YES].given) return not_now(lane, &plan);
    const char *reason = pay_halt_name(plan.reason);
    if (wants_acceptance(&plan) && (!values[ACCEPT].given || strcmp(values[ACCEPT].text, reason) != 0))
        return tool_fail(tool, PAY_EXIT_USAGE, "this loss must be accepted by its name: --accept %s --yes", reason);
    if (plan.untold > 0) status = recover_tell(lane, plan.reason, plan.untold_until, &told);
    if (status == PAY_EXIT_OK) status = recover_set_lane(lane, &plan.row);
    if (told > 0) tool_note(tool, "%" PRId64 " decisions were told from their rows", told);
    if (status == PAY_EXIT_OK)
        tool_note(tool, "done: workers take the lane within 10 s. Now prove it: paybuf audit --partition %" PRId32,
                  lane->partition);
    return status;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    static struct recover recover;
    static struct lane_case lane;
    recover = (struct recover){.tool = tool};
    lane = (struct lane_case){.recover = &recover};
    enum pay_exit status = recover_look(&recover);
    if (status == PAY_EXIT_OK && values[PARTITION].number >= recover.lane_count)
        status = tool_fail(tool, PAY_EXIT_NOT_FOUND, "%s has no partition %" PRId64, tool->config.request_topic,
                           values[PARTITION].number);
    if (status == PAY_EXIT_OK && recover.halted)
        status = tool_fail(tool, PAY_EXIT_DIFFERENCES, "the whole ledger is halted; first: paybuf recover database");
    if (status == PAY_EXIT_OK) status = work(&lane, values);
    progress_end(&recover.progress);
    recover_close(&recover);
    return status;
}

const struct command cmd_recover_lane = {
    .name = "lane",
    .summary = "one partition stopped: open it again, accepting by name what is lost",
    .examples =
        "  paybuf recover lane 3                                  what stopped it, what is lost, what would be done\n"
        "  paybuf recover lane 3 --yes                            where nothing is lost: cause mended, replies made "
        "again\n"
        "  paybuf recover lane 3 --accept requests_lost --yes     the deleted requests are given up\n"
        "  paybuf recover lane 3 --accept log_replaced --yes      the request topic was made again\n",
    .notes = "An accepted loss of the request log raises this partition's log generation, in one step with its new "
             "start; other "
             "partitions\n"
             "aren't touched. What the new log holds is settled from there on: orders that were decided before are "
             "answered as "
             "duplicates,\n"
             "so nobody pays twice. A lost reply log costs nothing as long as the requests are there: the worker "
             "publishes again.\n"
             "It acts only on what it saw: a lane that moves meanwhile is left alone.\n"
             "Ends with 4 when there is something to do, with 0 when it is done or nothing is wrong.\n",
    CLI_ARGS(args),
    .run = run,
};
