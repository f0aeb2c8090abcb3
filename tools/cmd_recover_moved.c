/* cmd_recover_moved.c - paybuf recover group, recover cluster: lanes change hands by name. */
#include "base/clock.h"
#include "sql/pay_sql.h"
#include "tools/recover_lane.h"
#include "tools/recover_verbs.h"

#include <inttypes.h>
#include <string.h>

enum { FROM, YES };

/* clang-format off */
static const struct cli_arg args[] = {
    [FROM] = {"--from", CLI_TEXT, true, "NAME", .help = "the group or cluster id that the lanes have now; paybuf recover shows it"},
    [YES] = {"--yes", CLI_FLAG, .help = "do it; without it, it only says what it would do"},
};
static const struct out_column columns[] = {
    {"partition", "PARTITION", false}, {"from", "FROM", false}, {"to", "TO", false}, {"processed", "P", false}, {"log_end", "E", false}, {"obstacle", "OBSTACLE", true}};
/* clang-format on */

struct moving {
    struct recover recover;
    const char *from, *to, *sql;
    bool cluster;
    int64_t lanes, obstacles;
};

/* With the move done, would the lane's claim find anything wrong? Another cluster must hold the same records at the same offsets. */
static enum pay_exit look_at(struct moving *moving, int32_t partition) {
    static struct lane_case lane;
    enum pay_exit status = lane_case_read(&lane, &moving->recover, partition, false);
    if (status != PAY_EXIT_OK) return status;
    if (strcmp(moving->cluster ? lane.cluster : lane.group, moving->from) != 0) return PAY_EXIT_OK;
    struct pay_claim moved = lane.claim;
    moved.row.same_group = moved.row.same_cluster = true;
    enum pay_halt obstacle = pay_claim_judge(&moved, &lane.view).halt;
    json_t *row = json_object();
    json_object_set_new(row, "partition", json_integer(partition));
    json_object_set_new(row, "from", json_string(moving->from));
    json_object_set_new(row, "to", json_string(moving->to));
    json_object_set_new(row, "processed", json_integer(lane.row.next_offset));
    json_object_set_new(row, "log_end", json_integer(lane.view.request_end));
    json_object_set_new(row, "obstacle", tool_text(pay_halt_name(obstacle)));
    out_row(&moving->recover.tool->out, row);
    moving->lanes++;
    moving->obstacles += obstacle != PAY_HALT_NONE;
    return PAY_EXIT_OK;
}

static enum pay_exit move(struct moving *moving) {
    struct recover *recover = &moving->recover;
    uint8_t owner[PAY_OWNER_SIZE];
    struct pay_pg_args sql_args;
    pay_random(owner, sizeof owner);
    pay_pg_args_begin(&sql_args);
    pay_pg_args_text(&sql_args, recover->tool->config.request_topic);
    pay_pg_args_text(&sql_args, moving->from);
    pay_pg_args_text(&sql_args, moving->to);
    pay_pg_args_bytea(&sql_args, owner, sizeof owner);
    enum pay_exit status = recover_exec(recover, moving->sql, &sql_args, NULL, NULL);
    if (status == PAY_EXIT_OK) tool_note(recover->tool, "done: workers take the lanes within 10 s");
    return status;
}

static enum pay_exit work(struct moving *moving, bool yes) {
    struct recover *recover = &moving->recover;
    const struct tool *tool = recover->tool;
    enum pay_exit status = PAY_EXIT_OK;
    out_list(&recover->tool->out, NULL, OUT_COLUMNS(columns));
    for (int32_t p = 0; p < recover->lane_count && status == PAY_EXIT_OK; p++) status = look_at(moving, p);
    if (status != PAY_EXIT_OK) return status;
    if (moving->lanes == 0)
        return tool_fail(tool, PAY_EXIT_NOT_FOUND, "no lane belongs to %s; paybuf recover shows to whom they belong",
                         moving->from);
    if (moving->obstacles > 0)
        return tool_fail(tool, PAY_EXIT_DIFFERENCES,
                         "the logs here aren't those that these lanes were settled from, so nothing was moved. A "
                         "mirrored cluster has other "
                         "offsets and can't take a ledger over: let the workers finish on the old one, or begin a "
                         "ledger of its own");
    if (yes) return move(moving);
    return tool_fail(tool, PAY_EXIT_DIFFERENCES,
                     "nothing was changed. Stop the workers of %s first, then: paybuf recover %s --from %s --yes",
                     moving->from, moving->cluster ? "cluster" : "group", moving->from);
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values, bool cluster) {
    static struct moving moving;
    moving = (struct moving){.recover = {.tool = tool}, .from = values[FROM].text, .cluster = cluster};
    moving.sql = cluster ? pay_sql_recover_move_cluster : pay_sql_recover_move_group;
    enum pay_exit status = recover_look(&moving.recover);
    if (status == PAY_EXIT_OK && cluster) status = recover_cluster(&moving.recover);
    moving.to = cluster ? moving.recover.cluster : tool->config.worker_group;
    if (status == PAY_EXIT_OK && moving.recover.halted)
        status = tool_fail(tool, PAY_EXIT_DIFFERENCES, "the whole ledger is halted; first: paybuf recover database");
    if (status == PAY_EXIT_OK && strcmp(moving.from, moving.to) == 0)
        status = tool_fail(tool, PAY_EXIT_USAGE, "the settings say %s already; --from is the other one", moving.to);
    if (status == PAY_EXIT_OK) status = work(&moving, values[YES].given);
    recover_close(&moving.recover);
    return status;
}

static enum pay_exit run_group(struct tool *tool, const struct cli_value *values) { return run(tool, values, false); }
static enum pay_exit run_cluster(struct tool *tool, const struct cli_value *values) { return run(tool, values, true); }

const struct command cmd_recover_group = {
    .name = "group",
    .summary = "the lanes belong to another consumer group: move them to the one in the settings",
    .examples =
        "  paybuf recover group --from paybuf-old                 which lanes, and whether anything stands against it\n"
        "  paybuf recover group --from paybuf-old --yes           to [worker] group\n",
    .notes = "Nothing is moved where a check of the claim fails. Workers of the old group that still run say "
             "other_group from then on.\n",
    CLI_ARGS(args),
    .run = run_group,
};
const struct command cmd_recover_cluster = {
    .name = "cluster",
    .summary = "the lanes belong to another Kafka cluster: move them to this one",
    .examples =
        "  paybuf recover cluster --from lkc-12345                which lanes, and whether the logs are the same\n"
        "  paybuf recover cluster --from lkc-12345 --yes          to the cluster of bootstrap.servers\n",
    .notes = "Only for the same logs under another cluster id (a controller made anew over kept disks): the record at "
             "each lane's anchor "
             "must be\n"
             "the one that was settled last. A mirror gives records other offsets and is refused.\n",
    CLI_ARGS(args),
    .run = run_cluster,
};
