/*
 * request_codec.h - bytes <-> request. Strict at the intake (unknown members are refused), tolerant in the worker
 * (unknown members are ignored); everything else is judged the same way by both, so what the intake accepts the worker takes.
 *
 * Promises: money is an integer token (1.0, 1e3, "1" are refused); duplicate members, a byte order mark, invalid UTF-8,
 * NUL, trailing bytes, depth beyond PAY_JSON_DEPTH_MAX, values beyond PAY_VALUE_MAX are refused; never crashes on any bytes.
 * A later version may accept more, never read accepted bytes otherwise.
 *
 * Memory: metadata is a slice of the caller's value bytes (as sent), valid as long as they are. Threads: any, after
 * pay_codec_init() was called once before the first thread.
 */
#ifndef PAY_CODEC_REQUEST_CODEC_H
#define PAY_CODEC_REQUEST_CODEC_H

#include "codec/codec_error.h"
#include "core/log_record.h"
#include "core/request.h"

#include <stdbool.h>

/* Also makes jansson abort the program when memory runs out: it would call good JSON malformed. */
void pay_codec_init(void);

enum pay_codec_mode { PAY_CODEC_STRICT, PAY_CODEC_TOLERANT };

/*
 * Parses a request value into *ret_request (tenant stays as it is: it comes by header). False: *ret_error says why.
 * bad_field names the first member at fault in the order order_id, attempt, account_id, amount_minor, currency, metadata
 * (a missing required member is at fault; an unknown member in strict mode is reported after them, with PAY_FIELD_NONE and its pointer).
 */
bool pay_request_parse(const void *value, size_t length, enum pay_codec_mode mode, struct pay_request *ret_request,
                       struct pay_codec_error *ret_error);

/* The same for a call that names the order elsewhere (path, Idempotency-Key): a valid id, taken when the body has no order_id. */
bool pay_request_parse_for(const char *order_id, const void *value, size_t length, enum pay_codec_mode mode,
                           struct pay_request *ret_request, struct pay_codec_error *ret_error);

/* The worker's whole judgement of a record's bytes: fills record->invalid, invalid_field, tenant, key, traceparent, request, crc32c.
   Order: too_large, malformed_json, bad_field, bad_tenant, key_mismatch. position and timestamp_ms are the caller's. */
/* clang-format off */
struct pay_record_bytes {
    const void *key; size_t key_length;             /* key NULL: absent */
    const void *value; size_t value_length;         /* value NULL: absent (malformed_json) */
    const void *tenant; size_t tenant_length;       /* header value; count below */
    uint32_t tenant_count;                          /* how many tenant headers: 0 means "default", 2 or more is bad_tenant */
    const char *traceparent; size_t traceparent_length;
};
/* clang-format on */
void pay_record_decode(const struct pay_record_bytes *bytes, struct pay_record *ret_record);

/* What of a record as it lies in the log is judged: key, value, and of its headers tenant and traceparent. Points into the record. */
void pay_record_bytes_of(const struct pay_log_record *raw, struct pay_record_bytes *ret_bytes);

/* Writes the request's canonical JSON (what the intake appends), without a NUL; answers its length, 0 when it doesn't fit into
   `capacity`. Parsing it gives the same request. */
size_t pay_request_format(const struct pay_request *request, char *buffer, size_t capacity);

#define PAY_REQUEST_TEXT_MAX (PAY_METADATA_MAX + 512)

#endif
