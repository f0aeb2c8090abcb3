#include "tools/dlq_letter.h"

#include <string.h>

static const char *const states[DLQ_STATE_COUNT] = {"open", "redriven", "discarded"};

const char *dlq_state_name(enum dlq_state state) { return states[state]; }

const struct pay_header *dlq_header(const struct pay_log_record *record, const char *name) {
    const struct pay_header *found = NULL;
    for (size_t i = 0; i < record->header_count; i++) {
        if (strcmp(record->headers[i].name, name) != 0) continue;
        if (found != NULL) return NULL;
        found = &record->headers[i];
    }
    return found != NULL && found->value != NULL ? found : NULL;
}

static bool position_in(const struct pay_log_record *record, const char *name, struct pay_position *ret_position) {
    const struct pay_header *header = dlq_header(record, name);
    return header != NULL && pay_position_parse(header->value, header->length, ret_position);
}

static bool read_marker(const struct pay_log_record *record, struct dlq_letter *letter) {
    const struct pay_header *marker = dlq_header(record, "marker");
    if (marker == NULL || record->key != NULL || !position_in(record, "of", &letter->position)) return false;
    for (enum dlq_state state = DLQ_REDRIVEN; state < DLQ_STATE_COUNT; state++)
        if (strlen(states[state]) == marker->length && memcmp(states[state], marker->value, marker->length) == 0)
            return letter->state = state, true;
    return false;
}

bool dlq_is_stub(const struct pay_log_record *record) {
    static const char start[] = "{\"stub\":true,";
    return record->key == NULL && record->value != NULL && record->value_length >= sizeof start - 1 &&
           memcmp(record->value, start, sizeof start - 1) == 0;
}

static bool read_letter(const struct pay_log_record *record, struct dlq_letter *letter) {
    const struct pay_header *reason = dlq_header(record, "reason");
    letter->is_stub = dlq_is_stub(record);
    return reason != NULL && position_in(record, "position", &letter->position) &&
           pay_reason_from_name(reason->value, reason->length, &letter->reason);
}

void dlq_read(const struct pay_log_record *record, struct dlq_letter *ret_letter) {
    *ret_letter = (struct dlq_letter){.kind = DLQ_OTHER};
    if (read_marker(record, ret_letter))
        ret_letter->kind = DLQ_MARKER;
    else if (read_letter(record, ret_letter))
        ret_letter->kind = DLQ_LETTER;
}
