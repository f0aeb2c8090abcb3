/* cmd_dlq_discard.c - paybuf dlq discard: nobody needs these letters any more, and the topic says who said so. */
#include "tools/cmd_dlq.h"
#include "tools/dlq_pick.h"

#include <inttypes.h>

enum { POSITION = DLQ_PICK_COUNT, NOTE, YES };

/* clang-format off */
static const struct cli_arg args[] = {
    DLQ_PICK_ARGS,
    [POSITION] = {"POSITION", CLI_TEXT, false, .help = "one letter, as 1-3-1234"},
    [NOTE] = {"--note", CLI_TEXT, false, "TEXT", .help = "why; kept with the marker"},
    [YES] = {"--yes", CLI_FLAG, .help = "do it; without it only the count is shown"},
};
/* clang-format on */

static enum pay_exit mark_picked(struct dlq *dlq, const struct dlq_pick *pick, const struct cli_value *values) {
    int64_t count = 0;
    enum pay_exit status = PAY_EXIT_OK;
    for (size_t i = 0; i < dlq->count; i++) count += dlq_picked(pick, &dlq->entries[i]);
    if (!values[YES].given)
        return tool_fail(dlq->tool, PAY_EXIT_USAGE, "this would discard %" PRId64 " open letters; --yes does it",
                         count);
    for (size_t i = 0; i < dlq->count && status == PAY_EXIT_OK; i++)
        if (dlq_picked(pick, &dlq->entries[i]))
            status = dlq_mark(dlq, &dlq->entries[i], DLQ_DISCARDED, NULL, values[NOTE].text);
    if (status == PAY_EXIT_OK) out_line(&dlq->tool->out, "discarded  %" PRId64, count);
    return status;
}

static enum pay_exit discard(struct dlq *dlq, struct dlq_pick *pick, const struct cli_value *values) {
    struct dlq_entry *entry;
    if (!values[POSITION].given) return mark_picked(dlq, pick, values);
    enum pay_exit status = dlq_named(dlq, values[POSITION].text, &entry);
    if (status != PAY_EXIT_OK) return status;
    if (entry->state != DLQ_OPEN) {
        tool_note(dlq->tool, "the letter of %s is %s already", values[POSITION].text,
                  dlq_state_name((enum dlq_state)entry->state));
        return PAY_EXIT_OK;
    }
    if (!values[YES].given)
        return tool_fail(dlq->tool, PAY_EXIT_USAGE, "this would discard the letter of %s; --yes does it",
                         values[POSITION].text);
    status = dlq_mark(dlq, entry, DLQ_DISCARDED, NULL, values[NOTE].text);
    if (status == PAY_EXIT_OK) out_line(&dlq->tool->out, "discarded  %s", values[POSITION].text);
    return status;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    struct dlq dlq;
    struct dlq_pick pick;
    if (values[POSITION].given == dlq_pick_given(values))
        return tool_fail(tool, PAY_EXIT_USAGE,
                         "either one POSITION, or which ones: --reason, --partition, --since ...");
    enum pay_exit status = dlq_pick_read(tool, values, &pick);
    if (status != PAY_EXIT_OK) return status;
    status = dlq_open(tool, &dlq);
    if (status == PAY_EXIT_OK) status = dlq_scan(&dlq);
    if (status == PAY_EXIT_OK) status = discard(&dlq, &pick, values);
    dlq_close(&dlq);
    return status;
}

const struct command cmd_dlq_discard = {
    .name = "discard",
    .summary = "close letters that nobody needs; they stay in the topic, with a marker",
    .examples = "  paybuf dlq discard 1-3-1234 --note 'a test of the shop' --yes\n"
                "  paybuf dlq discard --reason malformed_json            how many would that be?\n"
                "  paybuf dlq discard --reason malformed_json --note 'port scanner' --yes\n",
    CLI_ARGS(args),
    .run = run,
};
