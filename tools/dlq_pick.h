/*
 * dlq_pick.h - which letters a verb is about: by reason, where their record lay, when they came, and what became of them.
 *
 * A verb's table begins with DLQ_PICK_ARGS; its own arguments follow from DLQ_PICK_COUNT on. Pure but for messages.
 */
#ifndef PAY_TOOLS_DLQ_PICK_H
#define PAY_TOOLS_DLQ_PICK_H

#include "tools/args.h"
#include "tools/dlq.h"

enum { DLQ_REASON, DLQ_PARTITION, DLQ_FROM_OFFSET, DLQ_TO_OFFSET, DLQ_SINCE, DLQ_UNTIL, DLQ_PICK_COUNT };

/* clang-format off */
#define DLQ_PICK_ARGS \
    [DLQ_REASON] = {"--reason", CLI_TEXT, false, "WORD", .help = "only these: too_large, malformed_json, bad_field, bad_tenant, key_mismatch"}, \
    [DLQ_PARTITION] = {"--partition", CLI_INTEGER, false, "N", 0, PAY_LANES_MAX - 1, NULL, "only of records of this request partition"}, \
    [DLQ_FROM_OFFSET] = {"--from-offset", CLI_INTEGER, false, "N", 0, INT64_MAX, NULL, "... from this offset on"}, \
    [DLQ_TO_OFFSET] = {"--to-offset", CLI_INTEGER, false, "N", 0, INT64_MAX - 1, NULL, "... up to this one, included"}, \
    [DLQ_SINCE] = {"--since", CLI_TEXT, false, "TIME", .help = "letters that came at or after 2026-11-21T12:00:00Z, by the broker's clock"}, \
    [DLQ_UNTIL] = {"--until", CLI_TEXT, false, "TIME", .help = "letters that came before this time"}
/* clang-format on */

struct dlq_pick {
    enum pay_reason reason;         /* PAY_REASON_COUNT: any */
    int32_t partition;              /* of the request record; -1: any */
    int64_t from_offset, to_offset; /* both included */
    int64_t since_ms, until_ms;     /* of the letter; until isn't included */
    bool states[DLQ_STATE_COUNT];   /* which */
};

/* PAY_EXIT_OK: what the arguments say, of letters that are open. Or what is wrong was said. */
enum pay_exit dlq_pick_read(const struct tool *tool, const struct cli_value *values, struct dlq_pick *ret_pick);
void dlq_pick_any_state(struct dlq_pick *pick);
/* Was anything said about which ones? */
bool dlq_pick_given(const struct cli_value *values);
bool dlq_picked(const struct dlq_pick *pick, const struct dlq_entry *entry);

/* A letter as one JSON object: position, reason, state, times, key, headers, value as text or base64. */
json_t *dlq_json(const struct dlq_entry *entry, const struct pay_log_record *record);

#endif
