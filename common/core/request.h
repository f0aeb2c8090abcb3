/*
 * request.h - one pay request as everybody inside sees it, and the record that carried it.
 *
 * A pay_request is valid by construction: only the codec makes one, and pay_request_* below are its rules.
 * Memory: plain values. metadata and traceparent point into the owner's memory (the batch's arena).
 */
#ifndef PAY_CORE_REQUEST_H
#define PAY_CORE_REQUEST_H

#include "core/limits.h"
#include "core/outcome.h"
#include "core/position.h"

struct pay_request {
    char tenant[PAY_ID_MAX + 1];
    char order_id[PAY_ID_MAX + 1];
    char account_id[PAY_ID_MAX + 1];
    char currency[PAY_CURRENCY_LENGTH + 1];
    int32_t attempt;
    int64_t amount_minor;
    const char *metadata; /* the object's bytes as sent, NULL when absent or null; not NUL-terminated */
    size_t metadata_length;
};

/* One request record. `invalid` is PAY_REASON_NONE when `request` holds a valid request. */
struct pay_record {
    struct pay_position position;
    int64_t timestamp_ms;         /* the broker's append time */
    uint32_t crc32c;              /* pay_record_crc of key and value */
    enum pay_reason invalid;      /* too_large .. key_mismatch: what the bytes alone show */
    enum pay_field invalid_field; /* for bad_field */
    char tenant[PAY_ID_MAX + 1];  /* the header's, or "default"; "" when malformed (bad_tenant) */
    char key[PAY_ID_MAX + 1];     /* the record key when it is a well formed id, else "" */
    const char *traceparent;      /* NULL when absent; passed on unchanged */
    size_t traceparent_length;
    struct pay_request request;
};

/* 1-64 of [A-Za-z0-9._:-]: order_id, account_id, tenant. */
bool pay_id_valid(const char *text, size_t length);
/* Three letters A-Z. */
bool pay_currency_valid(const char *text, size_t length);
bool pay_attempt_valid(int64_t attempt);
bool pay_amount_valid(int64_t amount_minor);

/* (tenant, id) in the global lock order: memcmp of tenant, then of id, shorter first (COLLATE "C"). */
int pay_tenant_id_compare(const char *tenant_a, const char *id_a, const char *tenant_b, const char *id_b);

/* CRC32C (Castagnoli) of lengths, key and value: the anchor's fingerprint of a record. A NULL key differs from an empty one. */
uint32_t pay_record_crc(const void *key, size_t key_length, const void *value, size_t value_length);

#endif
