#include "pg/pg_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Type ids are part of PostgreSQL's protocol: they never change (src/include/catalog/pg_type.dat). */
static const uint32_t element_oid[PAY_PG_ELEMENT_COUNT] = {[PAY_PG_BOOL] = 16, [PAY_PG_BYTEA] = 17, [PAY_PG_INT4] = 23,
                                                           [PAY_PG_INT8] = 20, [PAY_PG_TEXT] = 25,  [PAY_PG_TID] = 27};

#define ARRAY_HEADER 20 /* dimensions, has nulls, element type, size, lower bound: 4 bytes each */
#define US_1970_TO_2000 946684800000000LL

static void put4(unsigned char *at, uint32_t value) {
    value = __builtin_bswap32(value);
    memcpy(at, &value, 4);
}

static void put8(unsigned char *at, uint64_t value) {
    value = __builtin_bswap64(value);
    memcpy(at, &value, 8);
}

static unsigned char *room(struct pay_pg_array *array, size_t length) {
    if (array->length + length > array->capacity) {
        array->capacity =
            array->capacity * 2 > array->length + length ? array->capacity * 2 : array->length + length + 1024;
        array->bytes = realloc(array->bytes, array->capacity);
        if (array->bytes == NULL) abort();
    }
    unsigned char *at = array->bytes + array->length;
    array->length += length;
    return at;
}

void pay_pg_array_begin(struct pay_pg_array *array, enum pay_pg_element element) {
    array->length = 0;
    array->count = 0;
    unsigned char *header = room(array, ARRAY_HEADER);
    put4(header, 1);
    put4(header + 4, 0);
    put4(header + 8, element_oid[element]);
    put4(header + 12, 0);
    put4(header + 16, 1);
}

/* Room for one more element of `length` bytes, its length word written. */
static unsigned char *element(struct pay_pg_array *array, size_t length) {
    assert(array->length >= ARRAY_HEADER && length <= INT32_MAX);
    unsigned char *at = room(array, 4 + length);
    put4(at, (uint32_t)length);
    put4(array->bytes + 12, ++array->count);
    return at + 4;
}

void pay_pg_array_null(struct pay_pg_array *array) {
    put4(room(array, 4), UINT32_MAX);
    put4(array->bytes + 4, 1);
    put4(array->bytes + 12, ++array->count);
}

void pay_pg_array_bool(struct pay_pg_array *array, bool value) { element(array, 1)[0] = value; }
void pay_pg_array_int4(struct pay_pg_array *array, int32_t value) { put4(element(array, 4), (uint32_t)value); }
void pay_pg_array_int8(struct pay_pg_array *array, int64_t value) { put8(element(array, 8), (uint64_t)value); }

void pay_pg_array_optional_int8(struct pay_pg_array *array, bool present, int64_t value) {
    if (present)
        pay_pg_array_int8(array, value);
    else
        pay_pg_array_null(array);
}

void pay_pg_array_bytea(struct pay_pg_array *array, const void *bytes, size_t length) {
    unsigned char *at = element(array, length);
    if (length > 0) memcpy(at, bytes, length);
}

void pay_pg_array_text(struct pay_pg_array *array, const char *text) {
    if (text == NULL) {
        pay_pg_array_null(array);
        return;
    }
    pay_pg_array_bytea(array, text, strlen(text));
}

void pay_pg_array_tid(struct pay_pg_array *array, uint64_t row_handle) {
    unsigned char *at = element(array, 6);
    put4(at, (uint32_t)(row_handle >> 16));
    at[4] = (unsigned char)(row_handle >> 8);
    at[5] = (unsigned char)row_handle;
}

void pay_pg_array_free(struct pay_pg_array *array) {
    free(array->bytes);
    *array = (struct pay_pg_array){0};
}

void pay_pg_args_begin(struct pay_pg_args *args) { args->count = 0; }

static void add(struct pay_pg_args *args, const char *value, size_t length, int format) {
    assert(args->count < PAY_PG_ARGS_MAX && length <= INT32_MAX);
    args->values[args->count] = value;
    args->lengths[args->count] = (int)length;
    args->formats[args->count] = format;
    args->count++;
}

static unsigned char *number(struct pay_pg_args *args, size_t length) {
    assert(args->count < PAY_PG_ARGS_MAX);
    unsigned char *at = args->numbers[args->count];
    add(args, (const char *)at, length, 1);
    return at;
}

void pay_pg_args_null(struct pay_pg_args *args) { add(args, NULL, 0, 1); }
void pay_pg_args_bool(struct pay_pg_args *args, bool value) { number(args, 1)[0] = value; }
void pay_pg_args_int4(struct pay_pg_args *args, int32_t value) { put4(number(args, 4), (uint32_t)value); }
void pay_pg_args_int8(struct pay_pg_args *args, int64_t value) { put8(number(args, 8), (uint64_t)value); }
void pay_pg_args_bytea(struct pay_pg_args *args, const void *bytes, size_t length) { add(args, bytes, length, 1); }
void pay_pg_args_text(struct pay_pg_args *args, const char *text) {
    add(args, text, text != NULL ? strlen(text) : 0, 0);
}
void pay_pg_args_timestamp(struct pay_pg_args *args, int64_t us) {
    put8(number(args, 8), (uint64_t)(us - US_1970_TO_2000));
}

void pay_pg_args_array(struct pay_pg_args *args, const struct pay_pg_array *array) {
    assert(array->length >= ARRAY_HEADER);
    add(args, (const char *)array->bytes, array->length, 1);
}

/* ---- binary results ---- */

static const unsigned char *cell(const struct pay_pg_result *result, int row, int column, int length) {
    const PGresult *raw = pay_pg_raw(result);
    assert(row < PQntuples(raw) && column < PQnfields(raw) && PQgetlength(raw, row, column) == length);
    return (const unsigned char *)PQgetvalue(raw, row, column);
}

static uint32_t get4(const unsigned char *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return __builtin_bswap32(value);
}

const char *pay_pg_result_tag(const struct pay_pg_result *result) { return PQcmdStatus((PGresult *)(uintptr_t)result); }
int pay_pg_result_rows(const struct pay_pg_result *result) { return PQntuples(pay_pg_raw(result)); }

bool pay_pg_result_null(const struct pay_pg_result *result, int row, int column) {
    return PQgetisnull(pay_pg_raw(result), row, column) != 0;
}

int32_t pay_pg_result_int4(const struct pay_pg_result *result, int row, int column) {
    return (int32_t)get4(cell(result, row, column, 4));
}

int64_t pay_pg_result_int8(const struct pay_pg_result *result, int row, int column) {
    uint64_t value;
    memcpy(&value, cell(result, row, column, 8), 8);
    return (int64_t)__builtin_bswap64(value);
}

bool pay_pg_result_bool(const struct pay_pg_result *result, int row, int column) {
    return cell(result, row, column, 1)[0] != 0;
}

int64_t pay_pg_result_timestamp(const struct pay_pg_result *result, int row, int column) {
    return pay_pg_result_int8(result, row, column) + US_1970_TO_2000;
}

uint32_t pay_pg_result_int4s(const struct pay_pg_result *result, int row, int column, int32_t *ret_numbers,
                             uint32_t capacity) {
    const PGresult *raw = pay_pg_raw(result);
    const unsigned char *at = (const unsigned char *)PQgetvalue(raw, row, column);
    if (get4(at) == 0) return 0; /* no dimension: an empty array */
    assert(PQgetlength(raw, row, column) >= ARRAY_HEADER && get4(at + 4) == 0 &&
           get4(at + 8) == element_oid[PAY_PG_INT4]);
    uint32_t count = get4(at + 12);
    for (uint32_t i = 0; i < count && i < capacity; i++) ret_numbers[i] = (int32_t)get4(at + ARRAY_HEADER + i * 8 + 4);
    return count;
}

uint64_t pay_pg_result_tid(const struct pay_pg_result *result, int row, int column) {
    const unsigned char *at = cell(result, row, column, 6);
    return (uint64_t)get4(at) << 16 | (uint64_t)at[4] << 8 | at[5];
}

const char *pay_pg_result_bytes(const struct pay_pg_result *result, int row, int column, size_t *ret_length) {
    *ret_length = (size_t)PQgetlength(pay_pg_raw(result), row, column);
    return PQgetvalue(pay_pg_raw(result), row, column);
}

void pay_pg_result_free(struct pay_pg_result *result) { PQclear((PGresult *)result); }
