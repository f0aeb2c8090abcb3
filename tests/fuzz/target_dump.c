/*
 * target_dump.c - the entries of a dump, and the dead letter topic's headers.
 *
 * Input: a byte that says which decoder, then the payload (for letters: the record that the payload decodes to).
 * Oracle: what is taken has one spelling only: written again it is the same bytes; no pointer leaves the payload; a record is a marker
 * or a letter, never both, and exactly when its headers say so once.
 */
#include "fuzz.h"
#include "tools/dlq_letter.h"
#include "tools/dump_format.h"

#include <stdlib.h>
#include <string.h>

static bool within(const char *payload, size_t size, const void *bytes, size_t length) {
    return bytes == NULL || ((const char *)bytes >= payload && (const char *)bytes + length <= payload + size);
}

static bool same(const struct dump_bytes *written, const char *payload, size_t size) {
    return written->length == size && (size == 0 || memcmp(written->bytes, payload, size) == 0);
}

static size_t count_headers(const struct pay_log_record *record, const char *name) {
    size_t count = 0;
    for (size_t i = 0; i < record->header_count; i++) count += strcmp(record->headers[i].name, name) == 0;
    return count;
}

static void check_letter(const struct pay_log_record *record) {
    struct dlq_letter letter;
    dlq_read(record, &letter);
    FUZZ_CHECK(letter.kind != DLQ_MARKER || (record->key == NULL && letter.state != DLQ_OPEN));
    FUZZ_CHECK(letter.kind != DLQ_MARKER || (count_headers(record, "marker") == 1 && count_headers(record, "of") == 1));
    FUZZ_CHECK(letter.kind != DLQ_LETTER ||
               (count_headers(record, "position") == 1 && count_headers(record, "reason") == 1));
}

static void check_record(const char *payload, size_t size) {
    struct dump_headers headers = {0};
    struct dump_bytes written = {0};
    struct pay_log_record record;
    if (dump_decode_record((const uint8_t *)payload, size, &headers, &record)) {
        FUZZ_CHECK(within(payload, size, record.key, record.key_length));
        FUZZ_CHECK(within(payload, size, record.value, record.value_length));
        for (size_t i = 0; i < record.header_count; i++)
            FUZZ_CHECK(within(payload, size, record.headers[i].value, record.headers[i].length));
        dump_encode_record(&written, &record);
        FUZZ_CHECK(same(&written, payload, size));
        check_letter(&record);
    }
    dump_bytes_free(&written);
    dump_headers_free(&headers);
}

static void check_row(const char *payload, size_t size) {
    struct dump_bytes written = {0};
    struct audit_row row;
    if (dump_decode_row((const uint8_t *)payload, size, &row)) {
        for (size_t i = 0; i < row.count; i++)
            FUZZ_CHECK(within(payload, size, row.columns[i], row.columns[i] != NULL ? strlen(row.columns[i]) + 1 : 0));
        dump_encode_row(&written, &row);
        FUZZ_CHECK(same(&written, payload, size));
        struct pay_decision decision;
        struct pay_refusal refusal;
        if (audit_row_complete(AUDIT_PAYMENTS, &row)) audit_row_decision(&row, &decision);
        if (audit_row_complete(AUDIT_REFUSALS, &row)) audit_row_refusal(&row, &refusal);
    }
    dump_bytes_free(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    char *payload = fuzz_copy(data + 1, size - 1);
    if (data[0] % 2 == 0)
        check_record(payload, size - 1);
    else
        check_row(payload, size - 1);
    free(payload);
    return 0;
}
