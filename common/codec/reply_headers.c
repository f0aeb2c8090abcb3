#include "codec/reply_headers.h"

#include "core/position.h"

#include <string.h>

static bool take_number(const struct pay_header *header, int64_t *ret_number) {
    return header->value != NULL && pay_decimal_parse(header->value, header->length, ret_number);
}

static bool take_ledger_id(const struct pay_header *header, char ledger_id[PAY_LEDGER_ID_TEXT_MAX]) {
    if (header->value == NULL || header->length == 0 || header->length >= PAY_LEDGER_ID_TEXT_MAX) return false;
    if (memchr(header->value, '\0', header->length) != NULL) return false;
    memcpy(ledger_id, header->value, header->length);
    ledger_id[header->length] = '\0';
    return true;
}

/* Which of the four it is: 0..3, or -1. */
static int which(const char *name) {
    static const char *const names[] = {"source-offset", "covers-from", "log-generation", "ledger-id"};
    for (int i = 0; i < 4; i++)
        if (strcmp(names[i], name) == 0) return i;
    return -1;
}

bool pay_reply_headers_read(const struct pay_log_record *record, struct pay_reply_headers *ret_headers) {
    struct pay_reply_headers headers = {.log_generation = 0};
    unsigned seen = 0;
    for (size_t i = 0; i < record->header_count; i++) {
        const struct pay_header *header = &record->headers[i];
        int index = which(header->name);
        if (index < 0) continue;
        if (seen & 1u << index) return false;
        seen |= 1u << index;
        int64_t *const numbers[] = {&headers.source_offset, &headers.covers_from, &headers.log_generation};
        if (index < 3 ? !take_number(header, numbers[index]) : !take_ledger_id(header, headers.ledger_id)) return false;
    }
    if (seen != 0xF || headers.log_generation < 1) return false;
    *ret_headers = headers;
    return true;
}

bool pay_reply_headers_possible(const struct pay_reply_headers *headers) {
    return headers->covers_from <= headers->source_offset && headers->source_offset < INT64_MAX;
}
