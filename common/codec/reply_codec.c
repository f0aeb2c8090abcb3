#include "codec/reply_codec.h"

#include "codec/append.h"
#include "codec/json_text.h"

#include <assert.h>

/* ---- writing: one function for each group of members, in the contract's order ---- */

static void append_quoted_or_null(struct pay_append *out, const char *text) {
    if (text == NULL || text[0] == '\0')
        PAY_APPEND(out, "null");
    else
        pay_append_quoted(out, text);
}

static void append_content(struct pay_append *out, const char *account_id, int64_t amount_minor, const char *currency) {
    PAY_APPEND(out, "\"account_id\":");
    pay_append_quoted(out, account_id);
    PAY_APPEND(out, ",\"amount_minor\":");
    pay_append_integer(out, amount_minor);
    PAY_APPEND(out, ",\"currency\":");
    pay_append_quoted(out, currency);
}

static void append_identity(struct pay_append *out, const struct pay_record *record, bool content_shown) {
    PAY_APPEND(out, "{\"schema\":1,\"tenant\":");
    append_quoted_or_null(out, record->tenant);
    if (!content_shown) {
        PAY_APPEND(out, ",\"order_id\":null,\"attempt\":null");
        return;
    }
    PAY_APPEND(out, ",\"order_id\":");
    pay_append_quoted(out, record->request.order_id);
    PAY_APPEND(out, ",\"attempt\":");
    pay_append_integer(out, record->request.attempt);
}

static void append_outcome(struct pay_append *out, const struct pay_answer *answer) {
    PAY_APPEND(out, ",\"outcome\":");
    pay_append_quoted(out, pay_outcome_name(answer->outcome));
    PAY_APPEND(out, ",\"reason\":");
    append_quoted_or_null(out, pay_reason_name(answer->reason));
    if (answer->reason == PAY_BAD_FIELD) {
        PAY_APPEND(out, ",\"field\":");
        append_quoted_or_null(out, pay_field_name(answer->field));
    }
    if (answer->duplicate)
        PAY_APPEND(out, ",\"duplicate\":true,");
    else
        PAY_APPEND(out, ",\"duplicate\":false,");
}

static void append_balance(struct pay_append *out, const struct pay_answer *answer) {
    bool judged_here = answer->outcome == PAY_PAID || answer->outcome == PAY_DECLINED;
    if (!judged_here || !answer->decision.has_account) {
        PAY_APPEND(out, ",\"balance_after_minor\":null,\"account_version\":null");
        return;
    }
    PAY_APPEND(out, ",\"balance_after_minor\":");
    pay_append_integer(out, answer->decision.balance_after_minor);
    PAY_APPEND(out, ",\"account_version\":");
    pay_append_integer(out, answer->decision.account_version);
}

static void append_position(struct pay_append *out, const struct pay_position *position) {
    char text[PAY_POSITION_TEXT_MAX];
    pay_position_format(position, text);
    pay_append_quoted(out, text);
}

static void append_where_and_when(struct pay_append *out, const struct pay_record *record,
                                  const struct pay_answer *answer) {
    char time[PAY_TIME_TEXT_MAX];
    PAY_APPEND(out, ",\"position\":");
    append_position(out, &record->position);
    PAY_APPEND(out, ",\"original\":");
    if (answer->has_decision)
        append_position(out, &answer->decision.position);
    else
        PAY_APPEND(out, "null");
    pay_time_format(answer->decided_at_us, time);
    PAY_APPEND(out, ",\"decided_at\":");
    pay_append_quoted(out, time);
}

static void append_stored(struct pay_append *out, const struct pay_answer *answer) {
    if (answer->outcome != PAY_CONFLICT) {
        PAY_APPEND(out, ",\"stored\":null");
        return;
    }
    const struct pay_decision *stored = &answer->decision;
    PAY_APPEND(out, ",\"stored\":{\"attempt\":");
    pay_append_integer(out, stored->attempt);
    PAY_APPEND(out, ",");
    append_content(out, stored->account_id, stored->amount_minor, stored->currency);
    PAY_APPEND(out, ",\"outcome\":");
    pay_append_quoted(out, pay_outcome_name(stored->outcome));
    PAY_APPEND(out, "}");
}

/* Insignificant whitespace goes: a reply is one line, whatever carries it (NDJSON, server-sent events). */
static void append_metadata(struct pay_append *out, const struct pay_request *request, bool content_shown) {
    PAY_APPEND(out, ",\"metadata\":");
    if (!content_shown || request->metadata == NULL) {
        PAY_APPEND(out, "null}");
        return;
    }
    char compact[PAY_METADATA_MAX];
    assert(request->metadata_length <= sizeof compact);
    pay_append_bytes(out, compact, pay_json_compact(request->metadata, request->metadata_length, compact));
    PAY_APPEND(out, "}");
}

size_t pay_reply_format(const struct pay_record *record, const struct pay_answer *answer, char *buffer,
                        size_t capacity) {
    assert(capacity >= PAY_REPLY_TEXT_MAX);
    assert(answer->has_decision == (answer->outcome != PAY_INVALID));
    bool content_shown = answer->outcome != PAY_INVALID || answer->reason == PAY_ATTEMPT_OUT_OF_SEQUENCE;
    const struct pay_request *request = &record->request;
    struct pay_append out = {.buffer = buffer, .capacity = capacity};
    append_identity(&out, record, content_shown);
    append_outcome(&out, answer);
    if (content_shown)
        append_content(&out, request->account_id, request->amount_minor, request->currency);
    else
        PAY_APPEND(&out, "\"account_id\":null,\"amount_minor\":null,\"currency\":null");
    append_balance(&out, answer);
    append_where_and_when(&out, record, answer);
    append_stored(&out, answer);
    append_metadata(&out, request, content_shown);
    assert(!out.full);
    return out.length;
}

/* ---- reading back: members must be there and of their kind, others are ignored ---- */

static bool valid_or_null(const json_t *value, bool (*valid)(const char *text, size_t length), char *ret_text) {
    if (json_is_null(value)) return true; /* ret_text is "" already */
    if (!json_is_string(value) || !valid(json_string_value(value), json_string_length(value))) return false;
    memcpy(ret_text, json_string_value(value), json_string_length(value) + 1);
    return true;
}

static bool number_or_null(const json_t *value, bool (*valid)(int64_t number), int64_t *ret_number) {
    if (json_is_null(value)) return true;
    if (!json_is_integer(value) || !valid(json_integer_value(value))) return false;
    *ret_number = json_integer_value(value);
    return true;
}

static bool read_identity(const json_t *document, struct pay_reply *reply) {
    int64_t attempt = 0;
    if (json_integer_value(json_object_get(document, "schema")) != 1) return false;
    if (!valid_or_null(json_object_get(document, "tenant"), pay_id_valid, reply->tenant)) return false;
    if (!valid_or_null(json_object_get(document, "order_id"), pay_id_valid, reply->order_id)) return false;
    if (!number_or_null(json_object_get(document, "attempt"), pay_attempt_valid, &attempt)) return false;
    reply->attempt = (int32_t)attempt;
    return true;
}

static bool read_content(const json_t *document, struct pay_reply *reply) {
    return valid_or_null(json_object_get(document, "account_id"), pay_id_valid, reply->account_id) &&
           number_or_null(json_object_get(document, "amount_minor"), pay_amount_valid, &reply->amount_minor) &&
           valid_or_null(json_object_get(document, "currency"), pay_currency_valid, reply->currency);
}

static bool read_outcome(const json_t *document, struct pay_reply *reply) {
    const json_t *outcome = json_object_get(document, "outcome"), *reason = json_object_get(document, "reason");
    const json_t *field = json_object_get(document, "field"), *duplicate = json_object_get(document, "duplicate");
    if (!json_is_string(outcome) || !json_is_boolean(duplicate)) return false;
    reply->duplicate = json_typeof(duplicate) == JSON_TRUE;
    if (!pay_outcome_from_name(json_string_value(outcome), json_string_length(outcome), &reply->outcome)) return false;
    if (!json_is_null(reason) &&
        !(json_is_string(reason) &&
          pay_reason_from_name(json_string_value(reason), json_string_length(reason), &reply->reason)))
        return false;
    return !json_is_string(field) ||
           pay_field_from_name(json_string_value(field), json_string_length(field), &reply->field);
}

static bool read_balance(const json_t *document, struct pay_reply *reply) {
    const json_t *balance = json_object_get(document, "balance_after_minor"),
                 *version = json_object_get(document, "account_version");
    if (json_is_null(balance) && json_is_null(version)) return true;
    if (!json_is_integer(balance) || !json_is_integer(version)) return false;
    reply->has_balance = true;
    reply->balance_after_minor = json_integer_value(balance);
    reply->account_version = json_integer_value(version);
    return true;
}

static bool read_position(const json_t *value, struct pay_position *ret_position) {
    return json_is_string(value) &&
           pay_position_parse(json_string_value(value), json_string_length(value), ret_position);
}

static bool read_where_and_when(const json_t *document, struct pay_reply *reply) {
    const json_t *original = json_object_get(document, "original"), *time = json_object_get(document, "decided_at");
    if (!read_position(json_object_get(document, "position"), &reply->position)) return false;
    reply->has_original = !json_is_null(original);
    if (reply->has_original && !read_position(original, &reply->original)) return false;
    return json_is_string(time) &&
           pay_time_parse(json_string_value(time), json_string_length(time), &reply->decided_at_us);
}

bool pay_reply_parse(const void *value, size_t length, struct pay_reply *ret_reply) {
    struct pay_json_fault fault;
    struct pay_reply reply = {.reason = PAY_REASON_NONE};
    if (value == NULL || length > PAY_VALUE_MAX) return false;
    json_t *document = pay_json_load(value, length, &fault);
    bool good = read_identity(document, &reply) && read_outcome(document, &reply) && read_content(document, &reply) &&
                read_balance(document, &reply) && read_where_and_when(document, &reply);
    json_decref(document);
    if (good) *ret_reply = reply;
    return good;
}
