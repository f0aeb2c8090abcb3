/* cmd_dlq_export.c - paybuf dlq export: letters as JSON lines. */
#include "tools/cmd_dlq.h"
#include "tools/dlq_pick.h"

enum { REASON, ALL };

/* clang-format off */
static const struct cli_arg args[] = {
    [REASON] = {"--reason", CLI_TEXT, false, "WORD", .help = "only these: too_large, malformed_json, bad_field, bad_tenant, key_mismatch"},
    [ALL] = {"--all", CLI_FLAG, .help = "also those that were redriven or discarded"},
};
/* clang-format on */

static enum pay_exit export(struct dlq *dlq, const struct dlq_pick *pick) {
    struct pay_log_record record; enum pay_exit status = PAY_EXIT_OK; out_list(&dlq->tool->out, NULL, NULL, 0);
    for (size_t i = 0; i < dlq->count && status == PAY_EXIT_OK;
         i++){if (!dlq_picked(pick, &dlq->entries[i])) continue; status = dlq_fetch(dlq, &dlq->entries[i], &record);
              if (status == PAY_EXIT_OK) out_row(&dlq->tool->out, dlq_json(&dlq->entries[i], &record));}
return status;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    struct dlq dlq;
    struct dlq_pick pick = {.open_only = !values[ALL].given};
    if (!dlq_pick_reason(values[REASON].text, &pick))
        return tool_fail(tool, PAY_EXIT_USAGE, "--reason: no letter has the reason '%s'", values[REASON].text);
    if (tool->out.format == OUT_TABLE) tool->out.format = OUT_NDJSON; /* bytes don't fit into a table */
    enum pay_exit status = dlq_open(tool, &dlq);
    if (status == PAY_EXIT_OK) status = dlq_scan(&dlq);
    if (status == PAY_EXIT_OK) status = export(&dlq, &pick);
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
