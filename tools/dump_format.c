#include "tools/dump_format.h"

#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

void dump_bytes_free(struct dump_bytes *bytes) {
    free(bytes->bytes);
    *bytes = (struct dump_bytes){0};
}

static uint8_t *room(struct dump_bytes *bytes, size_t length) {
    if (bytes->length + length > bytes->capacity) {
        bytes->capacity = 2 * (bytes->length + length);
        bytes->bytes = realloc(bytes->bytes, bytes->capacity);
        if (bytes->bytes == NULL) abort();
    }
    uint8_t *at = bytes->bytes + bytes->length;
    bytes->length += length;
    return at;
}

void dump_bytes_add(struct dump_bytes *bytes, const void *data, size_t length) {
    if (length > 0) memcpy(room(bytes, length), data, length);
}

static void put_varint(struct dump_bytes *bytes, uint64_t number) {
    for (; number >= 0x80; number >>= 7) *room(bytes, 1) = (uint8_t)(number | 0x80);
    *room(bytes, 1) = (uint8_t)number;
}

static void put_int8(struct dump_bytes *bytes, int64_t number) {
    uint8_t *at = room(bytes, 8);
    for (int i = 0; i < 8; i++) at[i] = (uint8_t)((uint64_t)number >> (8 * i));
}

static void put_blob(struct dump_bytes *bytes, const void *data, size_t length) {
    put_varint(bytes, data == NULL ? 0 : (uint64_t)length + 1);
    if (data != NULL) dump_bytes_add(bytes, data, length);
}

static void put_text(struct dump_bytes *bytes, const char *text) {
    size_t length = text != NULL ? strlen(text) : 0;
    put_varint(bytes, text == NULL ? 0 : (uint64_t)length + 1);
    if (text != NULL) dump_bytes_add(bytes, text, length + 1);
}

void dump_encode_record(struct dump_bytes *bytes, const struct pay_log_record *record) {
    put_int8(bytes, record->offset);
    put_int8(bytes, record->timestamp_ms);
    put_blob(bytes, record->key, record->key_length);
    put_blob(bytes, record->value, record->value_length);
    put_varint(bytes, record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        put_text(bytes, record->headers[i].name);
        put_blob(bytes, record->headers[i].value, record->headers[i].length);
    }
}

void dump_encode_row(struct dump_bytes *bytes, const struct audit_row *row) {
    put_varint(bytes, row->count);
    for (size_t i = 0; i < row->count; i++) put_text(bytes, row->columns[i]);
}

/* ---- reading: `at` is NULL once something didn't fit ---- */

struct cursor {
    const uint8_t *at, *end;
};

static uint64_t take_varint(struct cursor *cursor) {
    uint64_t number = 0;
    for (int shift = 0; cursor->at != NULL; shift += 7) {
        if (cursor->at == cursor->end || shift > 56) break;
        uint8_t byte = *cursor->at++;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte == 0 && shift > 0) break; /* a longer spelling of a shorter number */
        if (byte < 0x80) return number;
    }
    cursor->at = NULL;
    return 0;
}

static int64_t take_int8(struct cursor *cursor) {
    uint64_t number = 0;
    if (cursor->at == NULL || cursor->end - cursor->at < 8) {
        cursor->at = NULL;
        return 0;
    }
    for (int i = 0; i < 8; i++) number |= (uint64_t)cursor->at[i] << (8 * i);
    cursor->at += 8;
    return (int64_t)number;
}

/* `extra`: bytes behind the blob that belong to it. */
static const void *take_blob(struct cursor *cursor, size_t extra, size_t *ret_length) {
    uint64_t length = take_varint(cursor);
    *ret_length = 0;
    if (cursor->at == NULL || length == 0) return NULL;
    length--;
    if (length + extra > (uint64_t)(cursor->end - cursor->at)) {
        cursor->at = NULL;
        return NULL;
    }
    const uint8_t *blob = cursor->at;
    cursor->at += length + extra;
    *ret_length = (size_t)length;
    return blob;
}

static const char *take_text(struct cursor *cursor) {
    size_t length;
    const char *text = take_blob(cursor, 1, &length);
    if (text != NULL && memchr(text, '\0', length + 1) != text + length) cursor->at = NULL;
    return text;
}

void dump_headers_free(struct dump_headers *headers) {
    free(headers->all);
    *headers = (struct dump_headers){0};
}

static void make_room(struct dump_headers *headers, size_t count) {
    if (count <= headers->capacity) return;
    headers->capacity = 2 * count;
    headers->all = realloc(headers->all, headers->capacity * sizeof *headers->all);
    if (headers->all == NULL) abort();
}

bool dump_decode_record(const uint8_t *bytes, size_t length, struct dump_headers *headers,
                        struct pay_log_record *ret_record) {
    struct cursor cursor = {bytes, bytes + length};
    ret_record->offset = take_int8(&cursor);
    ret_record->timestamp_ms = take_int8(&cursor);
    ret_record->key = take_blob(&cursor, 0, &ret_record->key_length);
    ret_record->value = take_blob(&cursor, 0, &ret_record->value_length);
    uint64_t count = take_varint(&cursor);
    if (cursor.at == NULL || count > (uint64_t)(cursor.end - cursor.at)) return false; /* a header is some bytes */
    make_room(headers, (size_t)count);
    ret_record->headers = headers->all;
    ret_record->header_count = (size_t)count;
    for (size_t i = 0; i < count; i++) {
        headers->all[i].name = take_text(&cursor);
        headers->all[i].value = take_blob(&cursor, 0, &headers->all[i].length);
        if (headers->all[i].name == NULL) return false;
    }
    return cursor.at == cursor.end;
}

bool dump_decode_row(const uint8_t *bytes, size_t length, struct audit_row *ret_row) {
    struct cursor cursor = {bytes, bytes + length};
    ret_row->count = (size_t)take_varint(&cursor);
    if (cursor.at == NULL || ret_row->count > AUDIT_COLUMNS_MAX) return false;
    for (size_t i = 0; i < ret_row->count; i++) ret_row->columns[i] = take_text(&cursor);
    return cursor.at == cursor.end;
}
