/*
 * dump_format.h - the bytes of a dump's entries: a log record, or a table's row. Pure.
 *
 * One value has one spelling, and nothing else is taken. Numbers are little endian. A length is a varint of the length + 1 (seven bits a byte, least first), 0 for null.
 *
 *   log record   offset int64, timestamp_ms int64, key (length, bytes), value
 * (length, bytes), header count as varint, per header: name (length, bytes, a NUL), value (length, bytes) row          column
 * count as varint, per column: text (length, bytes and, unless null, a NUL)
 *
 * Memory: what is decoded points into the entry's bytes.
 * Threads: any.
 */
#ifndef PAY_TOOLS_DUMP_FORMAT_H
#define PAY_TOOLS_DUMP_FORMAT_H

#include "core/log_record.h"
#include "tools/audit_row.h"

#include <stdbool.h>

/* Grows as needed; dump_bytes_free. */
struct dump_bytes {
    uint8_t *bytes;
    size_t length, capacity;
};

void dump_bytes_free(struct dump_bytes *bytes);

/* Each behind what is there already. */
void dump_bytes_add(struct dump_bytes *bytes, const void *data, size_t length);
void dump_encode_record(struct dump_bytes *bytes, const struct pay_log_record *record);
void dump_encode_row(struct dump_bytes *bytes, const struct audit_row *row);

/* Room for a record's headers; grows as needed, dump_headers_free. */
struct dump_headers {
    struct pay_header *all;
    size_t capacity;
};

void dump_headers_free(struct dump_headers *headers);

/* *ret_record's partition is left alone; its headers live in `headers`. False: not what was encoded. */
bool dump_decode_record(const uint8_t *bytes, size_t length, struct dump_headers *headers,
                        struct pay_log_record *ret_record);
bool dump_decode_row(const uint8_t *bytes, size_t length, struct audit_row *ret_row);

#endif
