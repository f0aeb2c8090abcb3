/* cmd_recover.c - paybuf recover: looks at everything that can stand still, says what each is and which command is next. */
#include "tools/commands.h"
#include "tools/recover_lane.h"
#include "tools/recover_verbs.h"

#include <inttypes.h>
#include <string.h>

/* clang-format off */
static const struct out_column columns[] = {
    {"partition", "PARTITION", false}, {"generation", "GEN", false}, {"log_start", "L", false}, {"processed", "P", false}, {"replied", "R", false},
    {"log_end", "E", false}, {"group", "GROUP", false}, {"cluster", NULL, false}, {"halted_reason", "HALTED", true}, {"found", "FOUND NOW", true}, {"next", "NEXT", false},
};
/* clang-format on */

static void next_command(const struct recover *recover, const struct lane_case *lane, char *text, size_t size) {
    if (recover->halted || lane->found == PAY_HALT_DATABASE_ROLLED_BACK)
        snprintf(text, size, "paybuf recover database");
    else if (lane->found == PAY_HALT_OTHER_GROUP)
        snprintf(text, size, "paybuf recover group --from %s", lane->group);
    else if (lane->found == PAY_HALT_OTHER_CLUSTER)
        snprintf(text, size, "paybuf recover cluster --from %s", lane->cluster);
    else if (lane->found != PAY_HALT_NONE || lane->row.halted != PAY_HALT_NONE)
        snprintf(text, size, "paybuf recover lane %" PRId32, lane->partition);
    else
        text[0] = '\0';
}

static void print(struct recover *recover, const struct lane_case *lane, const char *next) {
    json_t *row = json_object();
    json_object_set_new(row, "partition", json_integer(lane->partition));
    json_object_set_new(row, "generation", json_integer(lane->row.log_generation));
    json_object_set_new(row, "log_start", json_integer(lane->view.request_start));
    json_object_set_new(row, "processed", json_integer(lane->row.next_offset));
    json_object_set_new(row, "replied", json_integer(lane->resume_from));
    json_object_set_new(row, "log_end", json_integer(lane->view.request_end));
    json_object_set_new(row, "group", tool_text(lane->group[0] != '\0' ? lane->group : NULL));
    json_object_set_new(row, "cluster", tool_text(lane->cluster[0] != '\0' ? lane->cluster : NULL));
    json_object_set_new(row, "halted_reason", tool_text(pay_halt_name(lane->row.halted)));
    json_object_set_new(row, "found", tool_text(pay_halt_name(lane->found)));
    json_object_set_new(row, "next", tool_text(next[0] != '\0' ? next : NULL));
    out_row(&recover->tool->out, row);
}

/* Each reason once, in a sentence. */
static void explain(const struct tool *tool, enum pay_halt halt, bool told[PAY_HALT_COUNT]) {
    if (halt == PAY_HALT_NONE || told[halt]) return;
    told[halt] = true;
    tool_note(tool, "%s: %s", pay_halt_name(halt), pay_halt_hint(halt));
}

static enum pay_exit look(struct recover *recover) {
    static struct lane_case lane;
    bool told[PAY_HALT_COUNT] = {false};
    int64_t found = recover->halted;
    enum pay_exit status = PAY_EXIT_OK;
    if (recover->halted) explain(recover->tool, PAY_HALT_DATABASE_ROLLED_BACK, told);
    out_list(&recover->tool->out, NULL, OUT_COLUMNS(columns));
    for (int32_t p = 0; p < recover->lane_count && status == PAY_EXIT_OK; p++) {
        char next[320];
        status = lane_case_read(&lane, recover, p, false);
        if (status != PAY_EXIT_OK) break;
        next_command(recover, &lane, next, sizeof next);
        print(recover, &lane, next);
        explain(recover->tool, lane.row.halted, told);
        explain(recover->tool, lane.found, told);
        found += next[0] != '\0';
    }
    if (status != PAY_EXIT_OK) return status;
    if (found == 0) tool_note(recover->tool, "nothing is halted, and nothing is found that would be");
    return found > 0 ? PAY_EXIT_DIFFERENCES : PAY_EXIT_OK;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    static struct recover recover;
    (void)values;
    recover = (struct recover){.tool = tool};
    enum pay_exit status = recover_look(&recover);
    if (status == PAY_EXIT_OK) status = look(&recover);
    recover_close(&recover);
    return status;
}

static const struct command *const verbs[] = {&cmd_recover_database, &cmd_recover_lane,    &cmd_recover_poison,
                                              &cmd_recover_group,    &cmd_recover_cluster, NULL};

const struct command cmd_recover = {
    .name = "recover",
    .summary = "something is halted: what happened, what is lost, and how it goes on",
    .examples = "  paybuf recover                                         looks at everything; says the next command; "
                "changes nothing\n"
                "  paybuf recover database                                an older database came back\n"
                "  paybuf recover lane 3                                  one partition stopped\n"
                "  paybuf recover poison 1-3-4711                         one record stops its lane\n",
    .notes = "Every verb first only says what it would do; --yes does it. Nothing is lost by waiting: requests stay in "
             "the log.\n"
             "docs/halts.md has a part for each reason. Ends with 4 when it found something.\n",
    .run = run,
    .children = verbs,
};
