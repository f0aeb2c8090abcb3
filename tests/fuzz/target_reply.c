/*
 * target_reply.c - a reply's value and headers: written from a record and an answer, and read back from any bytes.
 *
 * Input: 'v' and any bytes: a value to be read; 'h' and lines of name=value: headers to be read; anything else: the choices that
 * make a record and an answer, then metadata.
 * Oracle: what is written is one line of JSON with the contract's members in the contract's order and reads back the same; what is
 * read has exactly the values that json_opinion.h sees, and every value that the contract asks for; headers are ours or not by the rule of PROTOCOL.
 */
#include "codec/reply_codec.h"
#include "codec/reply_headers.h"
#include "codec/request_codec.h"
#include "fuzz.h"
#include "json_opinion.h"

#include <stdlib.h>
#include <string.h>

/* ---- any bytes are read ---- */

static bool null_or_text(const struct json_member *member, const char *read) {
    if (member == NULL) return false;
    return member->kind == KIND_NULL ? read[0] == '\0' : read[0] != '\0' && json_member_is(member, read);
}

static bool null_or_number(const struct json_member *member, int64_t read) {
    int64_t number;
    if (member == NULL) return false;
    return member->kind == KIND_NULL ? read == 0 : json_member_integer(member, &number) && number == read;
}

static bool is_position(const struct json_member *member, const struct pay_position *read) {
    char text[PAY_POSITION_TEXT_MAX];
    pay_position_format(read, text);
    return json_member_is(member, text);
}

static bool is_time(const struct json_member *member, int64_t microseconds) {
    char text[PAY_TIME_TEXT_MAX];
    int64_t again;
    size_t length = pay_time_format(microseconds, text);
    if (member == NULL || member->kind != KIND_STRING || !pay_time_parse(text, length, &again)) return false;
    return again == microseconds && member->string.length >= 20 && memcmp(member->string.bytes, text, 19) == 0;
}

static void check_read(const struct pay_reply *reply, const struct json_opinion *opinion) {
    const struct json_member *duplicate = json_opinion_member(opinion, "duplicate"),
                             *original = json_opinion_member(opinion, "original");
    const char *reason = pay_reason_name(reply->reason), *field = pay_field_name(reply->field);
    FUZZ_CHECK(json_opinion_object(opinion, 32));
    FUZZ_CHECK(null_or_number(json_opinion_member(opinion, "schema"), 1));
    FUZZ_CHECK(null_or_text(json_opinion_member(opinion, "tenant"), reply->tenant));
    FUZZ_CHECK(null_or_text(json_opinion_member(opinion, "order_id"), reply->order_id));
    FUZZ_CHECK(null_or_number(json_opinion_member(opinion, "attempt"), reply->attempt));
    FUZZ_CHECK(null_or_text(json_opinion_member(opinion, "account_id"), reply->account_id));
    FUZZ_CHECK(null_or_number(json_opinion_member(opinion, "amount_minor"), reply->amount_minor));
    FUZZ_CHECK(null_or_text(json_opinion_member(opinion, "currency"), reply->currency));
    FUZZ_CHECK(json_member_is(json_opinion_member(opinion, "outcome"), pay_outcome_name(reply->outcome)));
    FUZZ_CHECK(null_or_text(json_opinion_member(opinion, "reason"), reason != NULL ? reason : ""));
    if (field != NULL) FUZZ_CHECK(json_member_is(json_opinion_member(opinion, "field"), field));
    FUZZ_CHECK(duplicate != NULL && duplicate->kind == KIND_BOOLEAN && duplicate->truth == reply->duplicate);
    FUZZ_CHECK(is_position(json_opinion_member(opinion, "position"), &reply->position));
    FUZZ_CHECK(original != NULL && (original->kind != KIND_NULL) == reply->has_original);
    if (reply->has_original) FUZZ_CHECK(is_position(original, &reply->original));
    FUZZ_CHECK(is_time(json_opinion_member(opinion, "decided_at"), reply->decided_at_us));
    if (!reply->has_balance) return;
    FUZZ_CHECK(null_or_number(json_opinion_member(opinion, "balance_after_minor"), reply->balance_after_minor));
    FUZZ_CHECK(null_or_number(json_opinion_member(opinion, "account_version"), reply->account_version));
}

static void read_any(struct fuzz_input *in) {
    struct pay_reply reply = {.attempt = -1};
    struct json_opinion opinion;
    size_t length = in->left;
    char *value = fuzz_copy(in->next, length);
    json_opinion_make(value, length, &opinion);
    if (pay_reply_parse(value, length, &reply))
        check_read(&reply, &opinion);
    else
        FUZZ_CHECK(reply.attempt == -1);
    json_opinion_free(&opinion);
    free(value);
}

/* ---- headers ---- */

#define HEADERS_MAX 16

static int count_named(const struct pay_log_record *record, const char *name, const struct pay_header **ret_header) {
    int count = 0;
    for (size_t i = 0; i < record->header_count; i++) {
        if (strcmp(record->headers[i].name, name) != 0) continue;
        *ret_header = &record->headers[i];
        count++;
    }
    return count;
}

/* "0" or digits that don't begin with one, at most 2^63-1. */
static bool number_header(const struct pay_log_record *record, const char *name, int64_t *ret_number) {
    const struct pay_header *header = NULL;
    struct json_member token = {.kind = KIND_INTEGER};
    if (count_named(record, name, &header) != 1 || header->value == NULL || header->length == 0) return false;
    token.start = header->value;
    token.length = header->length;
    for (size_t i = 0; i < token.length; i++)
        if (token.start[i] < '0' || token.start[i] > '9') return false;
    return (token.length == 1 || token.start[0] != '0') && json_member_integer(&token, ret_number);
}

static void check_headers(const struct pay_log_record *record) {
    struct pay_reply_headers headers = {.log_generation = -1};
    const struct pay_header *ledger = NULL;
    int64_t source, covers, generation;
    bool good = count_named(record, "ledger-id", &ledger) == 1 && ledger->value != NULL && ledger->length >= 1 &&
                ledger->length <= 36 && memchr(ledger->value, '\0', ledger->length) == NULL;
    good = number_header(record, "source-offset", &source) && good;
    good = number_header(record, "covers-from", &covers) && good;
    good = number_header(record, "log-generation", &generation) && generation >= 1 && good;
    FUZZ_CHECK(pay_reply_headers_read(record, &headers) == good);
    if (!good) {
        FUZZ_CHECK(headers.log_generation == -1);
        return;
    }
    FUZZ_CHECK(headers.source_offset == source && headers.covers_from == covers &&
               headers.log_generation == generation);
    FUZZ_CHECK(strlen(headers.ledger_id) == ledger->length &&
               memcmp(headers.ledger_id, ledger->value, ledger->length) == 0);
}

static void read_headers(struct fuzz_input *in) {
    struct pay_header headers[HEADERS_MAX];
    struct pay_log_record record = {.headers = headers};
    while (in->left > 0 && record.header_count < HEADERS_MAX) {
        size_t length;
        const char *line = fuzz_line(in, &length), *equals = length > 0 ? memchr(line, '=', length) : NULL;
        size_t name_length = equals != NULL ? (size_t)(equals - line) : length;
        struct pay_header *header = &headers[record.header_count++];
        header->name = fuzz_text(line, name_length);
        header->length = equals != NULL ? length - name_length - 1 : 0;
        header->value = equals != NULL ? fuzz_copy(equals + 1, header->length) : NULL;
    }
    check_headers(&record);
    for (size_t i = 0; i < record.header_count; i++) {
        free((void *)(uintptr_t)headers[i].name);
        free((void *)(uintptr_t)headers[i].value);
    }
}

/* ---- a record and an answer are written ---- */

static void make_id(struct fuzz_input *in, char id[PAY_ID_MAX + 1]) {
    static const char letters[] = "abz:AZ_09.-";
    size_t length = 1 + fuzz_below(in, PAY_ID_MAX);
    char letter = letters[fuzz_below(in, sizeof letters - 1)];
    memset(id, letter, length);
    id[length] = '\0';
}

static int64_t make_natural(struct fuzz_input *in) { return fuzz_number(in) & INT64_MAX; }
static int64_t make_amount(struct fuzz_input *in) { return 1 + make_natural(in) % PAY_AMOUNT_MAX; }
static int32_t make_attempt(struct fuzz_input *in) { return 1 + (int32_t)fuzz_below(in, PAY_ATTEMPT_MAX); }

static void make_decision(struct fuzz_input *in, struct pay_decision *decision) {
    *decision = (struct pay_decision){.attempt = make_attempt(in),
                                      .currency = "USD",
                                      .amount_minor = make_amount(in),
                                      .has_account = true,
                                      .balance_after_minor = fuzz_number(in),
                                      .account_version = make_natural(in),
                                      .position = {1, (int32_t)fuzz_below(in, 200), make_natural(in)},
                                      .decided_at_us = fuzz_number(in)};
    make_id(in, decision->account_id);
    decision->reason = (enum pay_reason)fuzz_below(in, PAY_INSUFFICIENT_FUNDS + 1);
    decision->outcome = decision->reason == PAY_REASON_NONE ? PAY_PAID : PAY_DECLINED;
    if (decision->reason == PAY_UNKNOWN_ACCOUNT) decision->has_account = false;
}

static void make_record(struct fuzz_input *in, const struct pay_decision *decision, struct pay_record *record) {
    *record = (struct pay_record){.position = {1 + fuzz_below(in, 3), (int32_t)fuzz_below(in, 200), make_natural(in)}};
    struct pay_request *request = &record->request;
    make_id(in, request->tenant);
    make_id(in, request->order_id);
    memcpy(record->tenant, request->tenant, sizeof record->tenant);
    request->attempt = decision->attempt;
    request->amount_minor = decision->amount_minor;
    memcpy(request->account_id, decision->account_id, sizeof request->account_id);
    memcpy(request->currency, decision->currency, sizeof request->currency);
}

/* Any answer that decide.h can give. */
static void make_answer(struct fuzz_input *in, struct pay_record *record, struct pay_decision *decision,
                        struct pay_answer *answer) {
    switch (fuzz_below(in, 4)) {
    case 0: /* decided, or a duplicate */
        if (fuzz_byte(in) & 1) decision->position = record->position;
        pay_answer_from_decision(record, decision, answer);
        break;
    case 1: /* a conflict */
        make_id(in, record->request.account_id);
        record->request.amount_minor = make_amount(in);
        pay_answer_from_decision(record, decision, answer);
        break;
    case 2: pay_answer_already_paid(decision, answer); break;
    default:
        record->invalid = PAY_TOO_LARGE + (enum pay_reason)fuzz_below(in, PAY_REASON_COUNT - PAY_TOO_LARGE);
        pay_answer_from_refusal(record->invalid,
                                record->invalid == PAY_BAD_FIELD ? 1 + fuzz_below(in, PAY_FIELD_COUNT - 1) : 0,
                                fuzz_number(in), answer);
        if (record->invalid == PAY_BAD_TENANT) record->tenant[0] = '\0';
    }
}

static void make_metadata(struct fuzz_input *in, struct pay_request *request, char **ret_owned) {
    struct json_opinion opinion;
    json_opinion_make((const char *)in->next, in->left, &opinion);
    *ret_owned = NULL;
    if (in->left > 2 && in->left <= PAY_METADATA_MAX && json_opinion_object(&opinion, 31) && in->next[0] == '{' &&
        in->next[in->left - 1] == '}') {
        *ret_owned = fuzz_copy(in->next, in->left);
        request->metadata = *ret_owned;
        request->metadata_length = in->left;
    }
    json_opinion_free(&opinion);
}

/* INTERFACES: members always present, in this order; "field" after reason for bad_field only. */
static void check_members(const struct json_opinion *opinion, const struct pay_answer *answer) {
    static const char *const names[] = {
        "schema",          "tenant",    "order_id",   "attempt",      "outcome",  "reason",
        "field",           "duplicate", "account_id", "amount_minor", "currency", "balance_after_minor",
        "account_version", "position",  "original",   "decided_at",   "stored",   "metadata"};
    size_t at = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], "field") == 0 && answer->reason != PAY_BAD_FIELD) continue;
        FUZZ_CHECK(at < opinion->count && strcmp(opinion->members[at].name.bytes, names[i]) == 0);
        at++;
    }
    FUZZ_CHECK(at == opinion->count);
    const struct json_member *stored = json_opinion_member(opinion, "stored");
    FUZZ_CHECK((stored->kind == KIND_OBJECT) == (answer->outcome == PAY_CONFLICT));
}

static void check_back(const struct pay_reply *reply, const struct pay_record *record,
                       const struct pay_answer *answer) {
    bool shown = answer->outcome != PAY_INVALID || answer->reason == PAY_ATTEMPT_OUT_OF_SEQUENCE;
    bool balance = (answer->outcome == PAY_PAID || answer->outcome == PAY_DECLINED) && answer->decision.has_account;
    FUZZ_CHECK(strcmp(reply->tenant, record->tenant) == 0);
    FUZZ_CHECK(strcmp(reply->order_id, shown ? record->request.order_id : "") == 0);
    FUZZ_CHECK(strcmp(reply->account_id, shown ? record->request.account_id : "") == 0);
    FUZZ_CHECK(reply->attempt == (shown ? record->request.attempt : 0));
    FUZZ_CHECK(reply->amount_minor == (shown ? record->request.amount_minor : 0));
    FUZZ_CHECK(reply->outcome == answer->outcome && reply->reason == answer->reason && reply->field == answer->field);
    FUZZ_CHECK(reply->duplicate == answer->duplicate && reply->decided_at_us == answer->decided_at_us);
    FUZZ_CHECK(pay_position_equal(&reply->position, &record->position) && reply->has_original == answer->has_decision);
    FUZZ_CHECK(!reply->has_original || pay_position_equal(&reply->original, &answer->decision.position));
    FUZZ_CHECK(reply->has_balance == balance);
    FUZZ_CHECK(!balance || (reply->balance_after_minor == answer->decision.balance_after_minor &&
                            reply->account_version == answer->decision.account_version));
}

static void write_and_read(struct fuzz_input *in) {
    struct pay_decision decision;
    struct pay_record record;
    struct pay_answer answer;
    struct pay_reply reply;
    struct json_opinion opinion;
    char *metadata, *buffer = malloc(PAY_REPLY_TEXT_MAX), *again = malloc(PAY_REPLY_TEXT_MAX);
    if (buffer == NULL || again == NULL) abort();
    make_decision(in, &decision);
    make_record(in, &decision, &record);
    make_answer(in, &record, &decision, &answer);
    make_metadata(in, &record.request, &metadata);
    size_t length = pay_reply_format(&record, &answer, buffer, PAY_REPLY_TEXT_MAX);
    FUZZ_CHECK(length == pay_reply_format(&record, &answer, again, PAY_REPLY_TEXT_MAX) &&
               memcmp(buffer, again, length) == 0);
    for (size_t i = 0; i < length; i++) FUZZ_CHECK(buffer[i] != '\n' && buffer[i] != '\r');
    json_opinion_make(buffer, length, &opinion);
    FUZZ_CHECK(json_opinion_object(&opinion, 32));
    check_members(&opinion, &answer);
    FUZZ_CHECK(pay_reply_parse(buffer, length, &reply));
    check_read(&reply, &opinion);
    check_back(&reply, &record, &answer);
    json_opinion_free(&opinion);
    free(metadata);
    free(buffer);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input in = {data, size};
    pay_codec_init();
    switch (fuzz_byte(&in)) {
    case 'v': read_any(&in); break;
    case 'h': read_headers(&in); break;
    default: write_and_read(&in);
    }
    return 0;
}
