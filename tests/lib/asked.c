#include "asked.h"

#include <stdio.h>
#include <string.h>

static bool is_id(const char *text, size_t length) {
    if (length < 1 || length > 64) return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool fine = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
                    c == '_' || c == ':' || c == '-';
        if (!fine) return false;
    }
    return true;
}

static bool is_currency(const char *text, size_t length) {
    return length == 3 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
}

static bool take_id(const json_t *document, const char *name, char *ret_text) {
    const json_t *value = json_object_get(document, name);
    if (!json_is_string(value) || !is_id(json_string_value(value), json_string_length(value))) return false;
    memcpy(ret_text, json_string_value(value), json_string_length(value) + 1);
    return true;
}

static bool take_attempt(const json_t *document, struct asked *asked) {
    const json_t *value = json_object_get(document, "attempt");
    asked->attempt = 1;
    if (value == NULL) return true;
    if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > 99) return false;
    asked->attempt = (int32_t)json_integer_value(value);
    return true;
}

static bool take_amount(const json_t *document, struct asked *asked) {
    const json_t *value = json_object_get(document, "amount_minor");
    if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > 9007199254740991LL)
        return false;
    asked->amount_minor = json_integer_value(value);
    return true;
}

static bool take_currency(const json_t *document, struct asked *asked) {
    const json_t *value = json_object_get(document, "currency");
    if (!json_is_string(value) || !is_currency(json_string_value(value), json_string_length(value))) return false;
    memcpy(asked->currency, json_string_value(value), 4);
    return true;
}

static bool take_metadata(json_t *document, struct asked *asked) {
    json_t *value = json_object_get(document, "metadata");
    if (value == NULL || json_is_null(value)) return true;
    if (!json_is_object(value)) return false;
    asked->metadata = json_incref(value);
    return true;
}

/* The first member at fault, in the order of the contract. */
static const char *read_members(json_t *document, struct asked *asked) {
    if (!take_id(document, "order_id", asked->order_id)) return "order_id";
    if (!take_attempt(document, asked)) return "attempt";
    if (!take_id(document, "account_id", asked->account_id)) return "account_id";
    if (!take_amount(document, asked)) return "amount_minor";
    if (!take_currency(document, asked)) return "currency";
    if (!take_metadata(document, asked)) return "metadata";
    return NULL;
}

static bool read_tenant(const struct fake_record *record, struct asked *asked) {
    uint32_t count = 0;
    snprintf(asked->tenant, sizeof asked->tenant, "default");
    for (size_t i = 0; i < record->header_count; i++) {
        const struct pay_header *header = &record->headers[i];
        if (strcmp(header->name, "tenant") != 0) continue;
        bool fine = ++count == 1 && header->value != NULL && is_id(header->value, header->length);
        snprintf(asked->tenant, sizeof asked->tenant, "%.*s", fine ? (int)header->length : 0,
                 (const char *)(fine ? header->value : ""));
        if (!fine) return false;
    }
    return true;
}

static const char *judge_bytes(const struct fake_record *record, struct asked *asked) {
    if (record->value_length > 8192) return "too_large";
    json_error_t error;
    json_t *document =
        record->value == NULL ? NULL : json_loadb(record->value, record->value_length, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(document)) {
        json_decref(document);
        return "malformed_json";
    }
    asked->field = read_members(document, asked);
    json_decref(document);
    if (asked->field != NULL) return "bad_field";
    return NULL;
}

void asked_read(int32_t partition, const struct fake_record *record, struct asked *asked) {
    memset(asked, 0, sizeof *asked);
    asked->partition = partition;
    asked->offset = record->offset;
    bool good_tenant = read_tenant(record, asked);
    if (record->key != NULL && is_id(record->key, record->key_length))
        memcpy(asked->key, record->key, record->key_length);
    const struct pay_header *traceparent = fake_record_header(record, "traceparent");
    asked->has_traceparent = traceparent != NULL && traceparent->length < sizeof asked->traceparent;
    if (asked->has_traceparent) memcpy(asked->traceparent, traceparent->value, traceparent->length);
    asked->invalid = judge_bytes(record, asked);
    if (asked->invalid == NULL && !good_tenant) asked->invalid = "bad_tenant";
    if (asked->invalid == NULL && strcmp(asked->key, asked->order_id) != 0) asked->invalid = "key_mismatch";
}

void asked_forget(struct asked *asked) {
    json_decref(asked->metadata);
    asked->metadata = NULL;
}
