#include "tools/dlq_pick.h"

#include "codec/time_text.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

bool dlq_pick_reason(const char *text, struct dlq_pick *pick) {
    pick->reason = PAY_REASON_COUNT;
    return text == NULL || (pay_reason_from_name(text, strlen(text), &pick->reason) && pick->reason >= PAY_TOO_LARGE &&
                            pick->reason < PAY_ATTEMPT_OUT_OF_SEQUENCE);
}

bool dlq_picked(const struct dlq_pick *pick, const struct dlq_entry *entry) {
    return (pick->reason == PAY_REASON_COUNT || entry->reason == (uint8_t)pick->reason) &&
           (!pick->open_only || entry->state == DLQ_OPEN);
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
