/*
 * target_request.c - a request record's bytes through the codec, against an opinion written from INTERFACES alone.
 *
 * Input: one letter of switches and the tenant header, the key, traceparent, each a line; the rest is the value.
 * Oracle: json_opinion.h and the rules below say for all bytes what the codec must say: accepted or not, which reason, which field,
 * which values; what is accepted comes back the same from its canonical form.
 */
#include "codec/request_codec.h"
#include "fuzz.h"
#include "request_opinion.h"

#include <stdlib.h>
#include <string.h>

enum { TWO_TENANTS = 1, NO_TENANT = 2, NO_KEY = 4, KEY_IS_ORDER_ID = 8, NO_TRACE = 16, NO_VALUE = 32 };

static void check_values(const struct json_opinion *opinion, const struct pay_request *request) {
    int64_t attempt = 1, amount = 0;
    const struct json_member *metadata = json_opinion_member(opinion, "metadata");
    json_member_integer(json_opinion_member(opinion, "attempt"), &attempt);
    json_member_integer(json_opinion_member(opinion, "amount_minor"), &amount);
    FUZZ_CHECK(json_member_is(json_opinion_member(opinion, "order_id"), request->order_id));
    FUZZ_CHECK(json_member_is(json_opinion_member(opinion, "account_id"), request->account_id));
    FUZZ_CHECK(json_member_is(json_opinion_member(opinion, "currency"), request->currency));
    FUZZ_CHECK(request->attempt == attempt && request->amount_minor == amount);
    if (metadata == NULL || metadata->kind == KIND_NULL) {
        FUZZ_CHECK(request->metadata == NULL);
    } else {
        FUZZ_CHECK(request->metadata == metadata->start && request->metadata_length == metadata->length);
    }
}

static bool same_request(const struct pay_request *a, const struct pay_request *b) {
    return strcmp(a->tenant, b->tenant) == 0 && strcmp(a->order_id, b->order_id) == 0 &&
           strcmp(a->account_id, b->account_id) == 0 && strcmp(a->currency, b->currency) == 0 &&
           a->attempt == b->attempt && a->amount_minor == b->amount_minor &&
           (a->metadata == NULL) == (b->metadata == NULL) && a->metadata_length == b->metadata_length &&
           (a->metadata == NULL || memcmp(a->metadata, b->metadata, a->metadata_length) == 0);
}

static void check_canonical_form(const struct pay_request *request) {
    char text[PAY_REQUEST_TEXT_MAX], again[PAY_REQUEST_TEXT_MAX];
    struct pay_request back = {.attempt = 0};
    struct pay_codec_error error;
    size_t length = pay_request_format(request, text, sizeof text);
    FUZZ_CHECK(length > 0);
    memcpy(back.tenant, request->tenant, sizeof back.tenant);
    char *exact = fuzz_copy(text, length);
    FUZZ_CHECK(pay_request_parse(exact, length, PAY_CODEC_STRICT, &back, &error));
    FUZZ_CHECK(same_request(request, &back));
    FUZZ_CHECK(pay_request_format(&back, again, sizeof again) == length && memcmp(text, again, length) == 0);
    FUZZ_CHECK(pay_request_format(request, text, length - 1) == 0);
    free(exact);
}

/* Both texts go to clients and into logs. */
static void check_error(const struct pay_codec_error *error, const struct judgement *expected) {
    FUZZ_CHECK(error->reason == (expected->unknown ? PAY_BAD_FIELD : expected->reason));
    FUZZ_CHECK(error->field == expected->field);
    FUZZ_CHECK((error->pointer[0] == '/') == (error->reason == PAY_BAD_FIELD));
    if (error->field != PAY_FIELD_NONE) FUZZ_CHECK(strcmp(error->pointer + 1, pay_field_name(error->field)) == 0);
    FUZZ_CHECK(error->detail[0] != '\0' && strlen(error->detail) < sizeof error->detail - 1);
    char quoted[2 * sizeof error->pointer + 2 * sizeof error->detail];
    size_t length = 0;
    for (const char *text = error->pointer; text != NULL; text = text == error->pointer ? error->detail : NULL) {
        struct json_opinion whole;
        quoted[0] = '"';
        for (length = 1; text[length - 1] != '\0' && length < sizeof quoted - 1; length++) {
            FUZZ_CHECK((unsigned char)text[length - 1] >= 0x20 && text[length - 1] != 0x7f);
            quoted[length] = text[length - 1] == '"' || text[length - 1] == '\\' ? '.' : text[length - 1];
        }
        quoted[length++] = '"';
        json_opinion_make(quoted, length, &whole); /* UTF-8, whole characters */
        FUZZ_CHECK(whole.json);
        json_opinion_free(&whole);
    }
}

static void check_parse(const char *value, size_t length, const struct json_opinion *opinion) {
    struct judgement expected = judge_request(opinion, length);
    for (enum pay_codec_mode mode = PAY_CODEC_STRICT; mode <= PAY_CODEC_TOLERANT; mode++) {
        struct pay_request request = {.tenant = "t", .attempt = -1};
        struct pay_codec_error error = {.reason = PAY_REASON_NONE};
        bool wanted = expected.reason == PAY_REASON_NONE && (mode == PAY_CODEC_TOLERANT || !expected.unknown);
        FUZZ_CHECK(pay_request_parse(value, length, mode, &request, &error) == wanted);
        if (!wanted) {
            FUZZ_CHECK(request.attempt == -1);
            check_error(&error, &expected);
            continue;
        }
        FUZZ_CHECK(strcmp(request.tenant, "t") == 0);
        check_values(opinion, &request);
        check_canonical_form(&request);
    }
}

static void check_record(const struct pay_record_bytes *bytes, const struct json_opinion *opinion) {
    struct pay_record record = {.position = {1, 2, 3}, .timestamp_ms = 4};
    struct judgement expected = judge_request(opinion, bytes->value == NULL ? 0 : bytes->value_length);
    bool tenant_good = bytes->tenant_count == 0 || (bytes->tenant_count == 1 && bytes->tenant != NULL &&
                                                    opinion_is_id(bytes->tenant, bytes->tenant_length));
    bool key_good = bytes->key != NULL && opinion_is_id(bytes->key, bytes->key_length);
    const struct json_member *order_id = json_opinion_member(opinion, "order_id");
    pay_record_decode(bytes, &record);
    if (expected.reason == PAY_REASON_NONE) {
        bool key_same = key_good && order_id->string.length == bytes->key_length &&
                        memcmp(order_id->string.bytes, bytes->key, bytes->key_length) == 0;
        expected.reason = !tenant_good ? PAY_BAD_TENANT : !key_same ? PAY_KEY_MISMATCH : PAY_REASON_NONE;
    }
    FUZZ_CHECK(record.invalid == expected.reason && record.invalid_field == expected.field);
    FUZZ_CHECK(record.position.offset == 3 && record.timestamp_ms == 4);
    FUZZ_CHECK((record.tenant[0] != '\0') == tenant_good);
    FUZZ_CHECK(key_good
                   ? strlen(record.key) == bytes->key_length && memcmp(record.key, bytes->key, bytes->key_length) == 0
                   : record.key[0] == '\0');
    FUZZ_CHECK(record.crc32c == pay_record_crc(bytes->key, bytes->key_length, bytes->value, bytes->value_length));
    if (record.traceparent != NULL) {
        FUZZ_CHECK(record.traceparent == bytes->traceparent && record.traceparent_length == bytes->traceparent_length);
        FUZZ_CHECK(record.traceparent_length >= 1 && record.traceparent_length <= PAY_TRACEPARENT_MAX);
    }
    if (record.invalid != PAY_REASON_NONE) return;
    FUZZ_CHECK(strcmp(record.request.tenant, bytes->tenant_count == 0 ? "default" : record.tenant) == 0);
    check_values(opinion, &record.request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input in = {data, size};
    struct pay_record_bytes bytes = {.tenant_count = 1};
    struct json_opinion opinion;
    pay_codec_init();
    uint8_t switches = fuzz_byte(&in);
    const char *tenant = fuzz_line(&in, &bytes.tenant_length), *key = fuzz_line(&in, &bytes.key_length);
    const char *trace = fuzz_line(&in, &bytes.traceparent_length);
    size_t length = in.left;
    char *value = fuzz_copy(in.next, length), *own_key = NULL;
    json_opinion_make(value, length, &opinion);
    check_parse(value, length, &opinion);

    const struct json_member *order_id = json_opinion_member(&opinion, "order_id");
    if (switches & KEY_IS_ORDER_ID && order_id != NULL && order_id->kind == KIND_STRING) {
        key = order_id->string.bytes;
        bytes.key_length = order_id->string.length;
    }
    bytes.key = own_key = fuzz_copy(key, bytes.key_length);
    if (switches & NO_KEY) bytes.key = NULL;
    bytes.tenant = bytes.tenant_length == 0 ? NULL : tenant;
    if (switches & TWO_TENANTS) bytes.tenant_count = 2;
    if (switches & NO_TENANT) bytes.tenant_count = 0;
    bytes.traceparent = switches & NO_TRACE ? NULL : trace;
    bytes.value = switches & NO_VALUE ? NULL : value;
    bytes.value_length = length;
    if (bytes.value != NULL) check_record(&bytes, &opinion);
    json_opinion_free(&opinion);
    if (bytes.value == NULL) {
        json_opinion_make("", 0, &opinion); /* an absent value is malformed JSON */
        bytes.value_length = 0;
        check_record(&bytes, &opinion);
    }
    free(own_key);
    free(value);
    return 0;
}
