#include "codec/request_codec.h"

#include "codec/append.h"
#include "codec/json_text.h"
#include "codec/request_error.h"
#include "codec/request_scan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Out of memory jansson answers NULL, as for malformed JSON: a good payment would be refused for ever. Dying loses nothing. */
static void *allocate_or_abort(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) abort();
    return memory;
}

void pay_codec_init(void) {
    json_set_alloc_funcs(allocate_or_abort, free);
    json_object_seed(0);
}

static bool take_text(const json_t *value, bool (*valid)(const char *text, size_t length), char *ret_text) {
    if (!json_is_string(value)) return false;
    size_t length = json_string_length(value);
    if (!valid(json_string_value(value), length)) return false;
    memcpy(ret_text, json_string_value(value), length + 1);
    return true;
}

static bool take_integer(const json_t *value, bool (*valid)(int64_t number), int64_t *ret_number) {
    if (!json_is_integer(value) || !valid(json_integer_value(value))) return false;
    *ret_number = json_integer_value(value);
    return true;
}

static bool take_attempt(const json_t *value, int32_t *ret_attempt) {
    int64_t attempt = 1;
    if (value != NULL && !take_integer(value, pay_attempt_valid, &attempt)) return false;
    *ret_attempt = (int32_t)attempt;
    return true;
}

/* Where the bytes of an object lie in the text is found only here, so that requests without metadata pay nothing for it. */
static bool take_metadata(const json_t *value, const char *text, size_t length, struct pay_request *request) {
    if (value == NULL || json_typeof(value) == JSON_NULL) return true;
    if (json_typeof(value) != JSON_OBJECT) return false;
    request->metadata = pay_json_member(text, length, "metadata", strlen("metadata"), &request->metadata_length);
    return request->metadata_length <= PAY_METADATA_MAX;
}

/* A document's members; NULL for those that are absent. */
struct members {
    const json_t *of[PAY_FIELD_COUNT];
    size_t count;
};

static struct members find_members(const json_t *document) {
    struct members members = {.count = 0};
    for (enum pay_field field = PAY_FIELD_NONE + 1; field < PAY_FIELD_COUNT; field++) {
        members.of[field] = json_object_get(document, pay_field_name(field));
        members.count += members.of[field] != NULL;
    }
    return members;
}

/* `named_elsewhere` is NULL when only the body can name the order. */
static bool take_order_id(const json_t *value, const char *named_elsewhere, char *ret_order_id) {
    if (value != NULL || named_elsewhere == NULL) return take_text(value, pay_id_valid, ret_order_id);
    memcpy(ret_order_id, named_elsewhere, strlen(named_elsewhere) + 1);
    return true;
}

/* Fills the request; the first field at fault, PAY_FIELD_NONE when all are good. */
static enum pay_field take_fields(const struct members *members, const char *order_id, const char *text, size_t length,
                                  struct pay_request *request) {
    const json_t *const *of = members->of;
    if (!take_order_id(of[PAY_FIELD_ORDER_ID], order_id, request->order_id)) return PAY_FIELD_ORDER_ID;
    if (!take_attempt(of[PAY_FIELD_ATTEMPT], &request->attempt)) return PAY_FIELD_ATTEMPT;
    if (!take_text(of[PAY_FIELD_ACCOUNT_ID], pay_id_valid, request->account_id)) return PAY_FIELD_ACCOUNT_ID;
    if (!take_integer(of[PAY_FIELD_AMOUNT_MINOR], pay_amount_valid, &request->amount_minor))
        return PAY_FIELD_AMOUNT_MINOR;
    if (!take_text(of[PAY_FIELD_CURRENCY], pay_currency_valid, request->currency)) return PAY_FIELD_CURRENCY;
    if (!take_metadata(of[PAY_FIELD_METADATA], text, length, request)) return PAY_FIELD_METADATA;
    return PAY_FIELD_NONE;
}

/* The first member that isn't ours, in the document's order; there is one. */
static const char *unknown_member(json_t *document) {
    enum pay_field field;
    void *at = json_object_iter(document);
    while (pay_field_from_name(json_object_iter_key(at), strlen(json_object_iter_key(at)), &field))
        at = json_object_iter_next(document, at);
    return json_object_iter_key(at);
}

static bool take_document(json_t *document, const char *order_id, const char *text, size_t length,
                          enum pay_codec_mode mode, struct pay_request *request, struct pay_codec_error *ret_error) {
    struct members members = find_members(document);
    enum pay_field field = take_fields(&members, order_id, text, length, request);
    if (field != PAY_FIELD_NONE) {
        pay_error_bad_field(field, members.of[field], request->metadata_length, ret_error);
        return false;
    }
    if (mode == PAY_CODEC_TOLERANT || json_object_size(document) == members.count) return true;
    pay_error_unknown_member(unknown_member(document), ret_error);
    return false;
}

static json_t *load_object(const void *value, size_t length, struct pay_codec_error *ret_error) {
    struct pay_json_fault fault = {.rule = "this is an array; send its members one by one"};
    json_t *document = pay_json_load(value, value == NULL ? 0 : length, &fault);
    if (json_is_object(document)) return document;
    pay_error_malformed(&fault, ret_error);
    json_decref(document);
    return NULL;
}

static bool read_document(const char *order_id, const void *value, size_t length, enum pay_codec_mode mode,
                          struct pay_request *ret_request, struct pay_codec_error *ret_error) {
    json_t *document = load_object(value, length, ret_error);
    if (document == NULL) return false;
    *ret_request = (struct pay_request){.metadata = NULL};
    bool good = take_document(document, order_id, value, length, mode, ret_request, ret_error);
    json_decref(document);
    return good;
}

/* What it doesn't understand, and so everything that has a fault, is jansson's. */
static bool scan(const char *order_id, const void *value, size_t length, struct pay_request *ret_request) {
    *ret_request = (struct pay_request){.metadata = NULL};
    return value != NULL && pay_request_scan(order_id, value, length, ret_request);
}

bool pay_request_parse(const void *value, size_t length, enum pay_codec_mode mode, struct pay_request *ret_request,
                       struct pay_codec_error *ret_error) {
    return pay_request_parse_for(NULL, value, length, mode, ret_request, ret_error);
}

bool pay_request_parse_for(const char *order_id, const void *value, size_t length, enum pay_codec_mode mode,
                           struct pay_request *ret_request, struct pay_codec_error *ret_error) {
    assert(order_id == NULL || pay_id_valid(order_id, strlen(order_id)));
    if (length > PAY_VALUE_MAX) {
        pay_error_too_large(length, ret_error);
        return false;
    }
    struct pay_request request;
    if (!scan(order_id, value, length, &request) && !read_document(order_id, value, length, mode, &request, ret_error))
        return false;
    memcpy(request.tenant, ret_request->tenant, sizeof request.tenant);
    *ret_request = request;
    return true;
}

static void copy_when_valid(const char *text, size_t length, char ret_text[static PAY_ID_MAX + 1]) {
    ret_text[0] = '\0';
    if (text == NULL || !pay_id_valid(text, length)) return;
    memcpy(ret_text, text, length);
    ret_text[length] = '\0';
}

static void decode_tenant(const struct pay_record_bytes *bytes, char ret_tenant[static PAY_ID_MAX + 1]) {
    if (bytes->tenant_count == 0)
        copy_when_valid("default", strlen("default"), ret_tenant);
    else
        copy_when_valid(bytes->tenant_count == 1 ? bytes->tenant : NULL, bytes->tenant_length, ret_tenant);
}

/* What can't be a traceparent is dropped: it is a courtesy to tracing and no reason to refuse a payment. */
static bool traceparent_usable(const struct pay_record_bytes *bytes) {
    if (bytes->traceparent == NULL || bytes->traceparent_length < 1 || bytes->traceparent_length > PAY_TRACEPARENT_MAX)
        return false;
    for (size_t i = 0; i < bytes->traceparent_length; i++)
        if ((unsigned char)bytes->traceparent[i] < 0x20 || bytes->traceparent[i] == 0x7f) return false;
    return true;
}

static void decode_request(const struct pay_record_bytes *bytes, struct pay_record *record) {
    struct pay_codec_error error;
    if (!pay_request_parse(bytes->value, bytes->value_length, PAY_CODEC_TOLERANT, &record->request, &error)) {
        record->invalid = error.reason;
        record->invalid_field = error.field;
    } else if (record->tenant[0] == '\0') {
        record->invalid = PAY_BAD_TENANT;
    } else if (strcmp(record->key, record->request.order_id) != 0) {
        record->invalid = PAY_KEY_MISMATCH;
    }
}

void pay_record_decode(const struct pay_record_bytes *bytes, struct pay_record *ret_record) {
    struct pay_record record = {
        .position = ret_record->position, .timestamp_ms = ret_record->timestamp_ms, .invalid = PAY_REASON_NONE};
    record.crc32c = pay_record_crc(bytes->key, bytes->key_length, bytes->value, bytes->value_length);
    decode_tenant(bytes, record.tenant);
    copy_when_valid(bytes->key, bytes->key_length, record.key);
    if (traceparent_usable(bytes)) {
        record.traceparent = bytes->traceparent;
        record.traceparent_length = bytes->traceparent_length;
    }
    memcpy(record.request.tenant, record.tenant, sizeof record.tenant);
    decode_request(bytes, &record);
    if (record.invalid != PAY_REASON_NONE) record.request = (struct pay_request){.metadata = NULL};
    *ret_record = record;
}

static bool name_is(const struct pay_header *header, const char *name) { return strcmp(header->name, name) == 0; }

void pay_record_bytes_of(const struct pay_log_record *raw, struct pay_record_bytes *ret_bytes) {
    *ret_bytes = (struct pay_record_bytes){
        .key = raw->key, .key_length = raw->key_length, .value = raw->value, .value_length = raw->value_length};
    for (size_t i = 0; i < raw->header_count; i++) {
        const struct pay_header *header = &raw->headers[i];
        if (name_is(header, "tenant")) {
            ret_bytes->tenant_count++;
            ret_bytes->tenant = header->value;
            ret_bytes->tenant_length = header->length;
        } else if (name_is(header, "traceparent")) {
            ret_bytes->traceparent = header->value;
            ret_bytes->traceparent_length = header->length;
        }
    }
}

size_t pay_request_format(const struct pay_request *request, char *buffer, size_t capacity) {
    struct pay_append out = {.buffer = buffer, .capacity = capacity};
    PAY_APPEND(&out, "{\"order_id\":");
    pay_append_quoted(&out, request->order_id);
    PAY_APPEND(&out, ",\"attempt\":");
    pay_append_integer(&out, request->attempt);
    PAY_APPEND(&out, ",\"account_id\":");
    pay_append_quoted(&out, request->account_id);
    PAY_APPEND(&out, ",\"amount_minor\":");
    pay_append_integer(&out, request->amount_minor);
    PAY_APPEND(&out, ",\"currency\":");
    pay_append_quoted(&out, request->currency);
    if (request->metadata != NULL) {
        PAY_APPEND(&out, ",\"metadata\":");
        pay_append_bytes(&out, request->metadata, request->metadata_length);
    }
    PAY_APPEND(&out, "}");
    return out.full ? 0 : out.length;
}
