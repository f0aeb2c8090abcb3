/*
 * planted.c - one bug per target, put around a function of the product by the linker (--wrap): no product code is touched.
 * Each is of a kind that was or could be made; the target must find it, or its oracle proves nothing.
 */
#if defined PLANT_request

#include "core/request.h"

bool __real_pay_amount_valid(int64_t amount_minor);
bool __wrap_pay_amount_valid(int64_t amount_minor);

/* The bound is off by one: 2^53 passes. */
bool __wrap_pay_amount_valid(int64_t amount_minor) { return amount_minor >= 1 && amount_minor <= PAY_AMOUNT_MAX + 1; }

#elif defined PLANT_reply

#include "core/position.h"

bool __real_pay_decimal_parse(const char *text, size_t length, int64_t *ret_number);
bool __wrap_pay_decimal_parse(const char *text, size_t length, int64_t *ret_number);

/* A leading zero is read over, as strtoll would. */
bool __wrap_pay_decimal_parse(const char *text, size_t length, int64_t *ret_number) {
    while (length > 1 && text[0] == '0') text++, length--;
    return __real_pay_decimal_parse(text, length, ret_number);
}

#elif defined PLANT_query

#include "producer/http_head.h"

#include <stdio.h>

const char *__real_pay_http_path_decode(const char *raw, char *ret_path, size_t size);
const char *__wrap_pay_http_path_decode(const char *raw, char *ret_path, size_t size);

/* A broken escape stands for itself, as browsers have it. */
const char *__wrap_pay_http_path_decode(const char *raw, char *ret_path, size_t size) {
    const char *wrong = __real_pay_http_path_decode(raw, ret_path, size);
    if (wrong == NULL || (size_t)snprintf(ret_path, size, "%s", raw) >= size) return wrong;
    return NULL;
}

#elif defined PLANT_http

#include "producer/http_head.h"

void __real_pay_http_head_take(struct pay_http_head *head, const char *name, size_t name_length, const char *value,
                               size_t value_length);
void __wrap_pay_http_head_take(struct pay_http_head *head, const char *name, size_t name_length, const char *value,
                               size_t value_length);

/* Any character may stand in a name, as in "Transfer-Encoding : chunked", which some take for the header without the blank. */
void __wrap_pay_http_head_take(struct pay_http_head *head, const char *name, size_t name_length, const char *value,
                               size_t value_length) {
    __real_pay_http_head_take(head, name, name_length, value, value_length);
    head->odd_name = false;
}

#elif defined PLANT_config

#include "base/config_table.h"

#include <stdlib.h>

bool __real_pay_config_row_store(const struct pay_config_row *row, struct pay_config *config, const char *value,
                                 char *ret_message, size_t message_size);
bool __wrap_pay_config_row_store(const struct pay_config_row *row, struct pay_config *config, const char *value,
                                 char *ret_message, size_t message_size);

/* The range of whole numbers isn't checked. */
bool __wrap_pay_config_row_store(const struct pay_config_row *row, struct pay_config *config, const char *value,
                                 char *ret_message, size_t message_size) {
    if (row->type != PAY_CONFIG_INTEGER)
        return __real_pay_config_row_store(row, config, value, ret_message, message_size);
    *(int64_t *)(void *)((char *)config + row->offset) = strtoll(value, NULL, 10);
    return true;
}

#elif defined PLANT_core

#include "core/lane.h"

bool __real_pay_lane_acknowledged(struct pay_lane *lane, bool failed, int64_t log_offset, int64_t source_offset);
bool __wrap_pay_lane_acknowledged(struct pay_lane *lane, bool failed, int64_t log_offset, int64_t source_offset);

/* Success without an offset is believed (librdkafka says so of records that were lost). */
bool __wrap_pay_lane_acknowledged(struct pay_lane *lane, bool failed, int64_t log_offset, int64_t source_offset) {
    if (!failed && log_offset < 0) log_offset = lane->last_ack_offset + 1;
    return __real_pay_lane_acknowledged(lane, failed, log_offset, source_offset);
}

#elif defined PLANT_listen

#include "core/reader.h"

enum pay_reader_move __real_pay_reader_take(struct pay_reader *reader, int64_t source_offset, int64_t covers_from);
enum pay_reader_move __wrap_pay_reader_take(struct pay_reader *reader, int64_t source_offset, int64_t covers_from);

/* A reply that begins one too late is taken: a gap of one isn't noticed. */
enum pay_reader_move __wrap_pay_reader_take(struct pay_reader *reader, int64_t source_offset, int64_t covers_from) {
    return __real_pay_reader_take(reader, source_offset, covers_from == reader->next + 1 ? reader->next : covers_from);
}

#elif defined PLANT_text

#include "codec/time_text.h"

#include <string.h>

bool __real_pay_time_parse(const char *text, size_t length, int64_t *ret_microseconds);
bool __wrap_pay_time_parse(const char *text, size_t length, int64_t *ret_microseconds);

/* A thirtieth of February is the second of March. */
bool __wrap_pay_time_parse(const char *text, size_t length, int64_t *ret_microseconds) {
    char other[64];
    if (length < 20 || length >= sizeof other || memcmp(text + 4, "-02-30T", 7) != 0)
        return __real_pay_time_parse(text, length, ret_microseconds);
    memcpy(other, text, length);
    memcpy(other + 5, "03-02", 5);
    return __real_pay_time_parse(other, length, ret_microseconds);
}

#elif defined PLANT_import

#include "core/request.h"

bool __wrap_pay_currency_valid(const char *text, size_t length);

/* Any three bytes are a currency. */
bool __wrap_pay_currency_valid(const char *text, size_t length) {
    (void)text;
    return length == PAY_CURRENCY_LENGTH;
}

#elif defined PLANT_keys

#include "core/request.h"

bool __wrap_pay_id_valid(const char *text, size_t length);

/* Any text up to the length is an id, and a tenant. */
bool __wrap_pay_id_valid(const char *text, size_t length) {
    (void)text;
    return length >= 1 && length <= PAY_ID_MAX;
}

#elif defined PLANT_dump

#include "tools/dump_format.h"

bool __real_dump_decode_row(const uint8_t *bytes, size_t length, struct audit_row *ret_row);
bool __wrap_dump_decode_row(const uint8_t *bytes, size_t length, struct audit_row *ret_row);

/* An empty text comes back as null. */
bool __wrap_dump_decode_row(const uint8_t *bytes, size_t length, struct audit_row *ret_row) {
    if (!__real_dump_decode_row(bytes, length, ret_row)) return false;
    for (size_t i = 0; i < ret_row->count; i++)
        if (ret_row->columns[i] != NULL && ret_row->columns[i][0] == '\0') ret_row->columns[i] = NULL;
    return true;
}

#endif
