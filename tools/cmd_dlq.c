/* cmd_dlq.c - paybuf dlq: its verbs; each lives in cmd_dlq_<verb>.c. */
#include "tools/cmd_dlq.h"

#include "tools/commands.h"

static const struct command *const verbs[] = {
    &cmd_dlq_list, &cmd_dlq_show, &cmd_dlq_export, &cmd_dlq_redrive, &cmd_dlq_discard, NULL,
};

const struct command cmd_dlq = {
    .name = "dlq",
    .summary = "dead letters: records that were no request",
    .examples =
        "  paybuf dlq list                                   how many of which reason, and what became of them\n"
        "  paybuf dlq show 1-3-1234                          bytes, headers, and why it was refused\n"
        "  paybuf dlq export > letters.ndjson\n"
        "  paybuf dlq redrive 1-3-1234 --value fixed.json --yes\n"
        "  paybuf dlq discard --reason malformed_json --note 'scanner of 2026-11-21' --yes\n",
    .notes =
        "Nothing is deleted: a letter that was redriven or discarded keeps lying in the topic, with a marker behind "
        "it that says\n"
        "who did it, when and why.\n",
    .children = verbs,
};
