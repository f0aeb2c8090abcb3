#include "tools/dlq_pick.h"

#include "codec/time_text.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static bool reason_of_letters(const char *text, enum pay_reason *ret_reason) {
    return pay_reason_from_name(text, strlen(text), ret_reason) && *ret_reason >= PAY_TOO_LARGE &&
           *ret_reason < PAY_ATTEMPT_OUT_OF_SEQUENCE;
}

enum pay_exit dlq_pick_read(const struct tool *tool, const struct cli_value *values, struct dlq_pick *ret_pick) {
    struct dlq_pick pick = {.reason = PAY_REASON_COUNT,
                            .partition = values[DLQ_PARTITION].given ? (int32_t)values[DLQ_PARTITION].number : -1,
                            .from_offset = values[DLQ_FROM_OFFSET].number,
                            .to_offset = values[DLQ_TO_OFFSET].given ? values[DLQ_TO_OFFSET].number : INT64_MAX,
                            .since_ms = INT64_MIN,
                            .until_ms = INT64_MAX,
                            .states = {[DLQ_OPEN] = true}};
    const char *reason = values[DLQ_REASON].text;
    if (reason != NULL && !reason_of_letters(reason, &pick.reason))
        return tool_fail(tool, PAY_EXIT_USAGE, "--reason: no letter has the reason '%s'", reason);
    if ((values[DLQ_FROM_OFFSET].given || values[DLQ_TO_OFFSET].given) && pick.partition < 0)
        return tool_fail(tool, PAY_EXIT_USAGE, "offsets belong to a partition; which one? --partition N");
    enum pay_exit status = tool_read_time(tool, "--since", values[DLQ_SINCE].text, &pick.since_ms);
    if (status == PAY_EXIT_OK) status = tool_read_time(tool, "--until", values[DLQ_UNTIL].text, &pick.until_ms);
    if (status == PAY_EXIT_OK) *ret_pick = pick;
    return status;
}

void dlq_pick_any_state(struct dlq_pick *pick) {
    for (int state = 0; state < DLQ_STATE_COUNT; state++) pick->states[state] = true;
}

bool dlq_pick_given(const struct cli_value *values) {
    for (int i = 0; i < DLQ_PICK_COUNT; i++)
        if (values[i].given) return true;
    return false;
}

bool dlq_picked(const struct dlq_pick *pick, const struct dlq_entry *entry) {
    const struct pay_position *at = &entry->position;
    return (pick->reason == PAY_REASON_COUNT || entry->reason == (uint8_t)pick->reason) &&
           (pick->partition < 0 || at->partition == pick->partition) && at->offset >= pick->from_offset &&
           at->offset <= pick->to_offset && entry->timestamp_ms >= pick->since_ms &&
           entry->timestamp_ms < pick->until_ms && pick->states[entry->state];
}

/* Bytes as a member NAME where they are UTF-8, else as NAME_base64. */
static void set_bytes(json_t *object, const char *name, const void *bytes, size_t length) {
    char member[80];
    json_t *text = bytes != NULL ? json_stringn(bytes, length) : json_null();
    if (text != NULL) {
        json_object_set_new(object, name, text);
        return;
    }
    char *encoded = malloc(length / 3 * 4 + 5);
    if (encoded == NULL) abort();
    EVP_EncodeBlock((unsigned char *)encoded, bytes, (int)length);
    snprintf(member, sizeof member, "%s_base64", name);
    json_object_set_new(object, member, json_string(encoded));
    free(encoded);
}

json_t *dlq_json(const struct dlq_entry *entry, const struct pay_log_record *record) {
    char position[PAY_POSITION_TEXT_MAX], at[PAY_TIME_TEXT_MAX];
    pay_position_format(&entry->position, position);
    pay_time_format(entry->timestamp_ms * 1000, at);
    json_t *object = json_pack("{s:s,s:s,s:s,s:s,s:i,s:b}", "position", position, "reason",
                               pay_reason_name((enum pay_reason)entry->reason), "state",
                               dlq_state_name((enum dlq_state)entry->state), "at", at, "copies", (int)entry->copies,
                               "stub", (int)entry->is_stub);
    json_t *headers = json_object();
    set_bytes(object, "key", record->key, record->key_length);
    for (size_t i = 0; i < record->header_count; i++)
        if (strncmp(record->headers[i].name, "orig-", 5) == 0)
            set_bytes(headers, record->headers[i].name + 5, record->headers[i].value, record->headers[i].length);
    json_object_set_new(object, "headers", headers);
    set_bytes(object, "value", record->value, record->value_length);
    return object;
}
