/* cmd_dlq_export.c - paybuf dlq export: letters as JSON lines. */
#include "tools/cmd_dlq.h"
#include "tools/dlq_pick.h"

enum { ALL = DLQ_PICK_COUNT };

/* clang-format off */
static const struct cli_arg args[] = {
    DLQ_PICK_ARGS,
    [ALL] = {"--all", CLI_FLAG, .help = "also those that were redriven or discarded"},
};
/* clang-format on */

struct exporting {
    struct out *out;
    struct dlq_pick pick;
};

static enum pay_exit export_letter(void *argument, struct dlq_entry *entry, const struct pay_log_record *record) {
    struct exporting *exporting = argument;
    if (dlq_picked(&exporting->pick, entry)) out_row(exporting->out, dlq_json(entry, record));
    return PAY_EXIT_OK;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    struct dlq dlq;
    struct exporting exporting = {.out = &tool->out};
    enum pay_exit status = dlq_pick_read(tool, values, &exporting.pick);
    if (status != PAY_EXIT_OK) return status;
    if (values[ALL].given) dlq_pick_any_state(&exporting.pick);
    if (tool->out.format == OUT_TABLE) tool->out.format = OUT_NDJSON; /* bytes don't fit into a table */
    status = dlq_open(tool, &dlq);
    if (status == PAY_EXIT_OK) status = dlq_scan(&dlq);
    if (status == PAY_EXIT_OK) {
        out_list(&tool->out, NULL, NULL, 0);
        status = dlq_each(&dlq, export_letter, &exporting);
    }
    dlq_close(&dlq);
    return status;
}

const struct command cmd_dlq_export = {
    .name = "export",
    .summary = "letters as JSON, one per line",
    .examples = "  paybuf dlq export > letters.ndjson\n"
                "  paybuf dlq export --reason bad_field | jq -r .value\n",
    .notes = "A key or value that isn't UTF-8 comes as key_base64, value_base64. -o json makes one document of all.\n",
    CLI_ARGS(args),
    .run = run,
};
