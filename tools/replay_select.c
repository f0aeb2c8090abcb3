#include "tools/replay_select.h"

#include <string.h>

void replay_select_all(struct replay_selection *selection) {
    *selection = (struct replay_selection){.partition = -1,
                                           .to_offset = INT64_MAX,
                                           .since_ms = INT64_MIN,
                                           .until_ms = INT64_MAX,
                                           .outcome = PAY_OUTCOME_COUNT};
}

static bool is(const char *wanted, const char *found) { return wanted == NULL || strcmp(wanted, found) == 0; }

bool replay_selected(const struct replay_selection *selection, const struct pay_record *record,
                     const struct pay_answer *answer) {
    bool valid = record->invalid == PAY_REASON_NONE;
    if (selection->partition >= 0 && record->position.partition != selection->partition) return false;
    if (record->position.offset < selection->from_offset || record->position.offset > selection->to_offset)
        return false;
    if (record->timestamp_ms < selection->since_ms || record->timestamp_ms >= selection->until_ms) return false;
    if (!is(selection->tenant, record->tenant)) return false;
    if (!is(selection->order_id, valid ? record->request.order_id : "")) return false;
    if (!is(selection->account_id, valid ? record->request.account_id : "")) return false;
    return selection->outcome == PAY_OUTCOME_COUNT || (answer != NULL && answer->outcome == selection->outcome);
}
