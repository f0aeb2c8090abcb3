#include "history.h"

#include "core/request.h"       /* pay_record_crc, nothing else */

#include <assert.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void history_violate(struct history *history, const char *format, ...) {
    if (history->violation_count < HISTORY_VIOLATIONS_MAX) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(history->violations[history->violation_count], sizeof history->violations[0], format, arguments);
        va_end(arguments);
    }
    history->violation_count++;
}

void history_print(const struct history *history) {
    fprintf(stderr, "%u violation(s)\n", history->violation_count);
    for (uint32_t i = 0; i < history->violation_count && i < HISTORY_VIOLATIONS_MAX; i++) fprintf(stderr, "  %s\n", history->violations[i]);
}

/* ---- a request, read a second time from INTERFACES ---- */

struct asked {
    int32_t partition;
    int64_t offset;
    char tenant[72];                    /* "" when malformed */
    char key[72];                       /* "" when absent or malformed */
    const char *invalid;                /* NULL, or the reason its bytes are no request */
    const char *field;                  /* for bad_field */
    char order_id[72], account_id[72], currency[8];
    int32_t attempt;
    int64_t amount_minor;
    json_t *metadata;                   /* owned; NULL: null */
    char traceparent[160];
    bool has_traceparent;
};

static bool is_id(const char *text, size_t length) {
    if (length < 1 || length > 64) return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool fine = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == ':' || c == '-';
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
    if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > 9007199254740991LL) return false;
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
        snprintf(asked->tenant, sizeof asked->tenant, "%.*s", fine ? (int)header->length : 0, (const char *)(fine ? header->value : ""));
        if (!fine) return false;
    }
    return true;
}

static const char *judge_bytes(const struct fake_record *record, struct asked *asked) {
    if (record->value_length > 8192) return "too_large";
    json_error_t error;
    json_t *document = record->value == NULL ? NULL : json_loadb(record->value, record->value_length, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(document)) {
        json_decref(document);
        return "malformed_json";
    }
    asked->field = read_members(document, asked);
    json_decref(document);
    if (asked->field != NULL) return "bad_field";
    return NULL;
}

static void read_request(int32_t partition, const struct fake_record *record, struct asked *asked) {
    memset(asked, 0, sizeof *asked);
    asked->partition = partition;
    asked->offset = record->offset;
    bool good_tenant = read_tenant(record, asked);
    if (record->key != NULL && is_id(record->key, record->key_length)) memcpy(asked->key, record->key, record->key_length);
    const struct pay_header *traceparent = fake_record_header(record, "traceparent");
    asked->has_traceparent = traceparent != NULL && traceparent->length < sizeof asked->traceparent;
    if (asked->has_traceparent) memcpy(asked->traceparent, traceparent->value, traceparent->length);
    asked->invalid = judge_bytes(record, asked);
    if (asked->invalid == NULL && !good_tenant) asked->invalid = "bad_tenant";
    if (asked->invalid == NULL && strcmp(asked->key, asked->order_id) != 0) asked->invalid = "key_mismatch";
}

static void forget_request(struct asked *asked) {
    json_decref(asked->metadata);
    asked->metadata = NULL;
}

static const struct fake_log *log_of(const struct history *history, enum fake_topic_name topic, int32_t partition) {
    return fake_broker_log(history->broker, topic, partition);
}

static const struct fake_record *request_at(const struct history *history, int32_t partition, int64_t offset) {
    const struct fake_record *record = fake_log_find(log_of(history, TOPIC_REQUESTS, partition), offset);
    return record != NULL && fake_record_is_request(record) ? record : NULL;
}

/* ---- what its transaction could see ---- */

/* The settle that moved P over this offset; NULL: none. */
static const struct fake_commit *settled_by(const struct history *history, int32_t partition, int64_t offset) {
    const struct fake_database *database = history->database;
    for (size_t i = 0; i < database->commit_log_count; i++) {
        const struct fake_commit *commit = &database->commits[i];
        for (uint32_t f = 0; f < commit->fence_count; f++) {
            const struct pay_fence *fence = &commit->fences[f];
            if (fence->partition == partition && fence->processed_before <= offset && offset < fence->processed_after) return commit;
        }
    }
    return NULL;
}

enum seen { SEEN_NO, SEEN_MAYBE, SEEN_YES };

/* Whether the settle of a record saw this row: committed before its read, or earlier in the same batch. */
static enum seen row_seen(const struct fake_payment *row, const struct asked *asked, const struct fake_commit *commit) {
    if (row->commit_no <= commit->read_no) return SEEN_YES;
    if (row->commit_no != commit->number) return SEEN_NO;
    if (row->decision.position.partition != asked->partition) return SEEN_MAYBE;    /* the order between partitions of one batch is free */
    return row->decision.position.offset < asked->offset ? SEEN_YES : SEEN_NO;
}

/* A row of the same order that fits, as far as it was seen. */
static const struct fake_payment *find_seen(const struct history *history, const struct asked *asked, const struct fake_commit *commit, bool maybe,
                                            bool (*fits)(const struct asked *asked, const struct fake_payment *row)) {
    const struct fake_tables *tables = &history->database->tables;
    for (uint32_t i = 0; i < tables->payment_count; i++) {
        const struct fake_payment *row = &tables->payments[i];
        if (strcmp(row->order_id, asked->order_id) != 0 || strcmp(row->tenant, asked->tenant) != 0 || !fits(asked, row)) continue;
        enum seen seen = row_seen(row, asked, commit);
        if (seen == SEEN_YES || (seen == SEEN_MAYBE && maybe)) return row;
    }
    return NULL;
}

static bool same_attempt(const struct asked *asked, const struct fake_payment *row) {
    return row->decision.attempt == asked->attempt;
}

static bool attempt_before(const struct asked *asked, const struct fake_payment *row) {
    return row->decision.attempt == asked->attempt - 1;
}

static bool lower_and_paid(const struct asked *asked, const struct fake_payment *row) {
    return row->decision.attempt < asked->attempt && row->decision.outcome == PAY_PAID;
}

/* ---- what the table demands ---- */

struct demanded {
    const char *outcome, *reason, *field;       /* reason NULL: null */
    bool duplicate;
    bool own_row;                               /* a first sight: its own row must say the rest */
    bool refusal;                               /* a refusal row must be there */
    const struct fake_payment *row;             /* stored decision, or the one in the way */
};

static const char *const outcome_words[] = { "paid", "declined", "conflict", "invalid" };

static const char *decline_word(enum pay_reason reason) {
    switch (reason) {
    case PAY_UNKNOWN_ACCOUNT: return "unknown_account";
    case PAY_ACCOUNT_CLOSED: return "account_closed";
    case PAY_ACCOUNT_FROZEN: return "account_frozen";
    case PAY_CURRENCY_MISMATCH: return "currency_mismatch";
    case PAY_INSUFFICIENT_FUNDS: return "insufficient_funds";
    default: return NULL;
    }
}

static struct demanded of_known(const struct asked *asked, const struct fake_payment *row) {
    const struct pay_decision *decision = &row->decision;
    struct demanded conflict = { .outcome = "conflict", .row = row };
    if (strcmp(decision->account_id, asked->account_id) != 0) conflict.reason = "account_id_differs";
    else if (decision->amount_minor != asked->amount_minor) conflict.reason = "amount_minor_differs";
    else if (strcmp(decision->currency, asked->currency) != 0) conflict.reason = "currency_differs";
    if (conflict.reason != NULL) return conflict;
    return (struct demanded){ .outcome = outcome_words[decision->outcome], .reason = decline_word(decision->reason), .duplicate = true, .row = row };
}

static struct demanded demand(const struct history *history, const struct asked *asked, const struct fake_commit *commit, bool maybe) {
    if (asked->invalid != NULL) return (struct demanded){ .outcome = "invalid", .reason = asked->invalid, .field = asked->field, .refusal = true };
    const struct fake_payment *row = find_seen(history, asked, commit, maybe, same_attempt);
    if (row != NULL) return of_known(asked, row);
    row = find_seen(history, asked, commit, maybe, lower_and_paid);
    if (row != NULL) return (struct demanded){ .outcome = "conflict", .reason = "already_paid", .row = row };
    if (asked->attempt > 1 && find_seen(history, asked, commit, maybe, attempt_before) == NULL)
        return (struct demanded){ .outcome = "invalid", .reason = "attempt_out_of_sequence", .refusal = true };
    row = fake_database_payment(&history->database->tables, asked->tenant, asked->order_id, asked->attempt);
    if (row == NULL) return (struct demanded){ .own_row = true };
    return (struct demanded){ .outcome = outcome_words[row->decision.outcome], .reason = decline_word(row->decision.reason), .own_row = true, .row = row };
}

static const struct fake_refusal *refusal_of(const struct history *history, const struct asked *asked) {
    struct pay_position position = { 1, asked->partition, asked->offset };
    return fake_database_refusal(&history->database->tables, &position);
}

/* The rows bear the demand out: its own row lies at its own position; a refusal where one is due, and only there. */
static bool rows_agree(const struct history *history, const struct asked *asked, const struct demanded *demanded) {
    if ((refusal_of(history, asked) != NULL) != demanded->refusal) return false;
    if (!demanded->own_row) return true;
    if (demanded->row == NULL) return false;
    const struct pay_position *position = &demanded->row->decision.position;
    return position->partition == asked->partition && position->offset == asked->offset;
}

/* ---- the reply it must be, word for word ---- */

static json_t *text_or_null(const char *text) {
    return text == NULL || text[0] == '\0' ? json_null() : json_string(text);
}

static void set_content(json_t *object, const char *account_id, int64_t amount_minor, const char *currency) {
    json_object_set_new(object, "account_id", json_string(account_id));
    json_object_set_new(object, "amount_minor", json_integer(amount_minor));
    json_object_set_new(object, "currency", json_string(currency));
}

static json_t *position_text(int64_t generation, int32_t partition, int64_t offset) {
    char text[64];
    snprintf(text, sizeof text, "%lld-%d-%lld", (long long)generation, partition, (long long)offset);
    return json_string(text);
}

static void time_text(int64_t us, char text[40]) {
    time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t length = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + length, 40 - length, ".%06dZ", (int)(us % 1000000));
}

static void set_identity(json_t *reply, const struct asked *asked, bool shown) {
    json_object_set_new(reply, "schema", json_integer(1));
    json_object_set_new(reply, "tenant", text_or_null(asked->tenant));
    json_object_set_new(reply, "order_id", shown ? json_string(asked->order_id) : json_null());
    json_object_set_new(reply, "attempt", shown ? json_integer(asked->attempt) : json_null());
}

static void set_outcome(json_t *reply, const struct demanded *demanded) {
    json_object_set_new(reply, "outcome", json_string(demanded->outcome));
    json_object_set_new(reply, "reason", text_or_null(demanded->reason));
    if (demanded->reason != NULL && strcmp(demanded->reason, "bad_field") == 0) json_object_set_new(reply, "field", text_or_null(demanded->field));
    json_object_set_new(reply, "duplicate", json_boolean(demanded->duplicate));
}

static void set_balance(json_t *reply, const struct demanded *demanded) {
    bool shown = demanded->row != NULL && strcmp(demanded->outcome, "conflict") != 0 && demanded->row->decision.has_account;
    json_object_set_new(reply, "balance_after_minor", shown ? json_integer(demanded->row->decision.balance_after_minor) : json_null());
    json_object_set_new(reply, "account_version", shown ? json_integer(demanded->row->decision.account_version) : json_null());
}

static json_t *stored_object(const struct pay_decision *decision) {
    json_t *stored = json_object();
    json_object_set_new(stored, "attempt", json_integer(decision->attempt));
    set_content(stored, decision->account_id, decision->amount_minor, decision->currency);
    json_object_set_new(stored, "outcome", json_string(outcome_words[decision->outcome]));
    return stored;
}

static int64_t decided_at(const struct history *history, const struct asked *asked, const struct demanded *demanded) {
    if (demanded->row != NULL) return demanded->row->decision.decided_at_us;
    const struct fake_refusal *refusal = refusal_of(history, asked);
    return refusal == NULL ? 0 : refusal->refusal.decided_at_us;
}

static json_t *compose(const struct history *history, const struct asked *asked, const struct demanded *demanded) {
    bool shown = asked->invalid == NULL;
    char time[40];
    json_t *reply = json_object();
    set_identity(reply, asked, shown);
    set_outcome(reply, demanded);
    if (shown) {
        set_content(reply, asked->account_id, asked->amount_minor, asked->currency);
    } else {
        json_object_set_new(reply, "account_id", json_null());
        json_object_set_new(reply, "amount_minor", json_null());
        json_object_set_new(reply, "currency", json_null());
    }
    set_balance(reply, demanded);
    json_object_set_new(reply, "position", position_text(1, asked->partition, asked->offset));
    const struct pay_decision *decision = demanded->row == NULL ? NULL : &demanded->row->decision;
    json_object_set_new(reply, "original", decision == NULL ? json_null() : position_text(decision->position.generation, decision->position.partition, decision->position.offset));
    time_text(decided_at(history, asked, demanded), time);
    json_object_set_new(reply, "decided_at", json_string(time));
    json_object_set_new(reply, "stored", strcmp(demanded->outcome, "conflict") == 0 ? stored_object(decision) : json_null());
    json_object_set_new(reply, "metadata", shown && asked->metadata != NULL ? json_incref(asked->metadata) : json_null());
    return reply;
}

/* ---- one reply against its request ---- */

static bool header_is(const struct fake_record *record, const char *name, const char *text) {
    const struct pay_header *header = fake_record_header(record, name);
    return header != NULL && header->value != NULL && header->length == strlen(text) && memcmp(header->value, text, header->length) == 0;
}

static int64_t header_number(const struct fake_record *record, const char *name) {
    const struct pay_header *header = fake_record_header(record, name);
    return header == NULL || header->value == NULL || header->length == 0 ? -1 : strtoll(header->value, NULL, 10);
}

static bool is_our_reply(const struct history *history, const struct fake_record *record) {
    return !record->control && header_number(record, "source-offset") >= 0 && header_is(record, "ledger-id", history->database->tables.ledger.ledger_id);
}

static void judge_headers(struct history *history, const struct asked *asked, const struct demanded *demanded, const struct fake_record *reply) {
    char text[128], time[40];
    snprintf(text, sizeof text, "pay.requests/1-%d-%lld", asked->partition, (long long)asked->offset);
    bool fine = header_is(reply, "ce_id", text) && header_is(reply, "ce_specversion", "1.0") && header_is(reply, "content-type", "application/json") &&
                header_is(reply, "log-generation", "1") && fake_record_header(reply, "ce_source") != NULL;
    snprintf(text, sizeof text, "paybuf.payment.%s", demanded->outcome);
    time_text(decided_at(history, asked, demanded), time);
    fine = fine && header_is(reply, "ce_type", text) && header_is(reply, "ce_time", time);
    if (asked->has_traceparent) fine = fine && header_is(reply, "traceparent", asked->traceparent);
    bool key_fine = asked->key[0] == '\0' ? reply->key == NULL : reply->key != NULL && reply->key_length == strlen(asked->key) && memcmp(reply->key, asked->key, reply->key_length) == 0;
    if (!fine) history_violate(history, "reply to 1-%d-%lld: its headers aren't what they should be", asked->partition, (long long)asked->offset);
    if (!key_fine) history_violate(history, "reply to 1-%d-%lld: its key isn't the request's", asked->partition, (long long)asked->offset);
}

/* Equal in every member and in their order. */
static bool says(const struct fake_record *reply, json_t *expected, char **ret_expected) {
    json_error_t error;
    json_t *said = json_loadb(reply->value, reply->value_length, JSON_REJECT_DUPLICATES, &error);
    char *said_text = said == NULL ? NULL : json_dumps(said, JSON_COMPACT);
    *ret_expected = json_dumps(expected, JSON_COMPACT);
    bool same = said_text != NULL && strcmp(said_text, *ret_expected) == 0;
    free(said_text);
    json_decref(said);
    return same;
}

static bool agrees(struct history *history, const struct asked *asked, const struct demanded *demanded, const struct fake_record *reply, char **ret_expected) {
    *ret_expected = NULL;
    if (demanded->outcome == NULL || !rows_agree(history, asked, demanded)) return false;
    json_t *expected = compose(history, asked, demanded);
    bool same = says(reply, expected, ret_expected);
    json_decref(expected);
    return same;
}

/* With what was seen for certain, or with what the same batch may have shown of other partitions. */
static void judge_reply(struct history *history, const struct asked *asked, const struct fake_record *reply) {
    const struct fake_commit *commit = settled_by(history, asked->partition, asked->offset);
    if (commit == NULL) {
        history_violate(history, "reply to 1-%d-%lld, which no settle covers", asked->partition, (long long)asked->offset);
        return;
    }
    char *certain_text, *maybe_text;
    struct demanded certain = demand(history, asked, commit, false), maybe = demand(history, asked, commit, true);
    bool by_certain = agrees(history, asked, &certain, reply, &certain_text), by_maybe = agrees(history, asked, &maybe, reply, &maybe_text);
    if (by_certain || by_maybe) {
        judge_headers(history, asked, by_certain ? &certain : &maybe, reply);
    } else {
        history_violate(history, "reply to 1-%d-%lld (%s) is %.*s", asked->partition, (long long)asked->offset,
                        maybe_text != NULL ? maybe_text : "rows that contradict it", (int)reply->value_length, (const char *)reply->value);
    }
    free(certain_text);
    free(maybe_text);
}

/* ---- readers ---- */

#define LATE_READERS 60                 /* of one log, spread over it */

enum follower_move { FOLLOWER_DROPS, FOLLOWER_TAKES, FOLLOWER_ALARMS };

static enum follower_move follow(struct follower *follower, int64_t source, int64_t covers) {
    if (follower->started && source < follower->next) return FOLLOWER_DROPS;
    if (follower->started && covers > follower->next && follower->synced) return FOLLOWER_ALARMS;
    follower->started = true;
    follower->next = source + 1;
    if (source >= follower->sync_at) follower->synced = true;
    return FOLLOWER_TAKES;
}

static int64_t first_request_at_or_after(const struct history *history, int32_t partition, int64_t offset) {
    const struct fake_log *log = log_of(history, TOPIC_REQUESTS, partition);
    for (size_t i = fake_log_seek(log, offset); i < log->count && log->records[i]->offset < fake_log_stable(log); i++) {
        if (fake_record_is_request(log->records[i])) return log->records[i]->offset;
    }
    return -1;
}

/* What a reader from 0 has when it has read the whole reply log. */
static int64_t followed_to(const struct history *history, int32_t partition) {
    const struct fake_log *log = log_of(history, TOPIC_REPLIES, partition);
    struct follower follower = { .started = true, .synced = true };
    for (size_t i = 0; i < log->count && log->records[i]->offset < log->high_watermark; i++) {
        if (is_our_reply(history, log->records[i])) follow(&follower, header_number(log->records[i], "source-offset"), header_number(log->records[i], "covers-from"));
    }
    return follower.next;
}

bool history_all_answered(struct history *history, int32_t partition) {
    const struct fake_log *log = log_of(history, TOPIC_REPLIES, partition);
    struct follower *follower = &history->followers[partition];
    size_t *read = &history->followed[partition];
    if (*read > log->count || *read == 0) {     /* it was cut */
        *follower = (struct follower){ .started = true, .synced = true };
        *read = 0;
    }
    for (; *read < log->count && log->records[*read]->offset < log->high_watermark; (*read)++) {
        const struct fake_record *reply = log->records[*read];
        if (is_our_reply(history, reply)) follow(follower, header_number(reply, "source-offset"), header_number(reply, "covers-from"));
    }
    return first_request_at_or_after(history, partition, follower->next) < 0;
}

static bool same_bytes(const void *a, size_t a_length, const void *b, size_t b_length) {
    return (a == NULL) == (b == NULL) && a_length == b_length && (a_length == 0 || memcmp(a, b, a_length) == 0);
}

static void judge_copy(struct history *history, int32_t partition, const struct fake_record *first, const struct fake_record *reply) {
    history->copies++;
    if (!same_bytes(first->key, first->key_length, reply->key, reply->key_length) || !same_bytes(first->value, first->value_length, reply->value, reply->value_length))
        history_violate(history, "two replies to 1-%d-%lld differ: %.*s and %.*s", partition, (long long)header_number(reply, "source-offset"),
                        (int)first->value_length, (const char *)first->value, (int)reply->value_length, (const char *)reply->value);
}

static void judge_taken(struct history *history, int32_t partition, int64_t before, int64_t source, const struct fake_record *reply) {
    int64_t due = first_request_at_or_after(history, partition, before);
    if (due >= 0 && due < source) history_violate(history, "a reader of partition %d skips request %lld: the reply to %lld covers it", partition, (long long)due, (long long)source);
    const struct fake_record *record = request_at(history, partition, source);
    if (record == NULL) {
        history_violate(history, "reply to 1-%d-%lld, which is no request", partition, (long long)source);
        return;
    }
    struct asked asked;
    read_request(partition, record, &asked);
    judge_reply(history, &asked, reply);
    forget_request(&asked);
}

/* The next reply in the log, as a reader from 0 meets it. */
static void judge_step(struct history *history, int32_t partition, struct follower *follower, const struct fake_record *reply) {
    int64_t source = header_number(reply, "source-offset"), covers = header_number(reply, "covers-from"), before = follower->next;
    if (covers < 0 || covers > source) history_violate(history, "reply to 1-%d-%lld covers from %lld", partition, (long long)source, (long long)covers);
    switch (follow(follower, source, covers)) {
    case FOLLOWER_DROPS: break;
    case FOLLOWER_TAKES:
        if (!history->tampered) judge_taken(history, partition, before, source, reply);
        break;
    case FOLLOWER_ALARMS:
        history->gaps++;
        if (!history->gaps_allowed) history_violate(history, "a gap in partition %d: reply to %lld covers from %lld, the reader is at %lld", partition, (long long)source, (long long)covers, (long long)before);
        break;
    }
}

/* The whole reply log of a partition. */
static void judge_reply_log(struct history *history, int32_t partition) {
    const struct fake_log *log = log_of(history, TOPIC_REPLIES, partition);
    struct follower follower = { .started = true, .synced = true };
    size_t known = (size_t)log_of(history, TOPIC_REQUESTS, partition)->end + 1;
    const struct fake_record **first = calloc(known, sizeof(struct fake_record *));
    assert(first != NULL);
    for (size_t i = 0; i < log->count; i++) {
        const struct fake_record *reply = log->records[i];
        if (!is_our_reply(history, reply)) continue;
        size_t source = (size_t)header_number(reply, "source-offset");
        if (source < known && first[source] != NULL) judge_copy(history, partition, first[source], reply);
        else if (source < known) first[source] = reply;
        judge_step(history, partition, &follower, reply);
    }
    free(first);
}

/* E0 of a reader that looks at this time. The earliest is the hardest: right after the reply before its start landed. */
static int64_t request_end_at(const struct history *history, int32_t partition, int64_t at_us) {
    const struct fake_log *log = log_of(history, TOPIC_REQUESTS, partition);
    int64_t end = 0;
    for (size_t i = 0; i < log->count && log->records[i]->appended_us <= at_us; i++) end = log->records[i]->offset + 1;
    return end;
}

/* Whoever starts in the middle must end where the others end, once it is past its E0 (before, it takes whatever comes). */
static void judge_late_readers(struct history *history, int32_t partition) {
    const struct fake_log *log = log_of(history, TOPIC_REPLIES, partition);
    int64_t end = followed_to(history, partition);
    size_t every = 1 + log->count / LATE_READERS;
    for (size_t start = 0; start < log->count; start += every) {
        struct follower follower = { .sync_at = start == 0 ? 0 : request_end_at(history, partition, log->records[start - 1]->appended_us) };
        for (size_t i = start; i < log->count; i++) {
            if (is_our_reply(history, log->records[i])) follow(&follower, header_number(log->records[i], "source-offset"), header_number(log->records[i], "covers-from"));
        }
        if (follower.synced && follower.next != end && !history->gaps_allowed)
            history_violate(history, "a reader of partition %d that starts at reply %lld stops at %lld instead of %lld", partition,
                            (long long)log->records[start]->offset, (long long)follower.next, (long long)end);
    }
}

/* ---- rows ---- */

static void judge_payment_row(struct history *history, const struct fake_payment *row) {
    const struct pay_decision *decision = &row->decision;
    const struct fake_record *record = request_at(history, decision->position.partition, decision->position.offset);
    struct asked asked = { 0 };
    if (record != NULL) read_request(decision->position.partition, record, &asked);
    bool same = record != NULL && asked.invalid == NULL && strcmp(asked.tenant, row->tenant) == 0 && strcmp(asked.order_id, row->order_id) == 0 &&
                asked.attempt == decision->attempt && strcmp(asked.account_id, decision->account_id) == 0 && asked.amount_minor == decision->amount_minor &&
                strcmp(asked.currency, decision->currency) == 0;
    if (!same) history_violate(history, "payment %s/%s/%d isn't what record 1-%d-%lld asked for", row->tenant, row->order_id, decision->attempt, decision->position.partition, (long long)decision->position.offset);
    forget_request(&asked);
}

static void judge_one_paid(struct history *history) {
    const struct fake_tables *tables = &history->database->tables;
    for (uint32_t i = 0; i < tables->payment_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const struct fake_payment *a = &tables->payments[i], *b = &tables->payments[j];
            if (strcmp(a->tenant, b->tenant) != 0 || strcmp(a->order_id, b->order_id) != 0) continue;
            if (a->decision.attempt == b->decision.attempt) history_violate(history, "two payments for %s/%s/%d", a->tenant, a->order_id, a->decision.attempt);
            if (a->decision.outcome == PAY_PAID && b->decision.outcome == PAY_PAID) history_violate(history, "order %s/%s was paid twice", a->tenant, a->order_id);
        }
    }
}

/* ---- accounts: from `open`, every event in version order ---- */

struct book {
    int64_t balance, floor;
    enum pay_account_state state;
};

static bool apply_adjustment(const struct fake_tables *tables, const struct pay_account *account, int64_t version, struct book *book) {
    for (uint32_t i = 0; i < tables->adjustment_count; i++) {
        const struct fake_adjustment *row = &tables->adjustments[i];
        if (row->account_version != version || strcmp(row->account_id, account->account_id) != 0 || strcmp(row->tenant, account->tenant) != 0) continue;
        if (strcmp(row->kind, "open") == 0 || strcmp(row->kind, "credit") == 0) book->balance += row->amount_minor;
        if (strcmp(row->kind, "debit") == 0) book->balance -= row->amount_minor;
        if (strcmp(row->kind, "freeze") == 0) book->state = PAY_ACCOUNT_STATE_FROZEN;
        if (strcmp(row->kind, "unfreeze") == 0) book->state = PAY_ACCOUNT_ACTIVE;
        if (strcmp(row->kind, "close") == 0) book->state = PAY_ACCOUNT_STATE_CLOSED;
        if (strcmp(row->kind, "floor") == 0) book->floor = row->amount_minor;
        return true;
    }
    return false;
}

static enum pay_reason judged_reason(const struct pay_account *account, const struct book *book, const struct pay_decision *decision) {
    if (book->state == PAY_ACCOUNT_STATE_CLOSED) return PAY_ACCOUNT_CLOSED;
    if (book->state == PAY_ACCOUNT_STATE_FROZEN) return PAY_ACCOUNT_FROZEN;
    if (strcmp(account->currency, decision->currency) != 0) return PAY_CURRENCY_MISMATCH;
    if (book->balance - decision->amount_minor < book->floor) return PAY_INSUFFICIENT_FUNDS;
    return PAY_REASON_NONE;
}

static uint32_t apply_decisions(struct history *history, const struct pay_account *account, int64_t version, struct book *book) {
    const struct fake_tables *tables = &history->database->tables;
    uint32_t found = 0;
    for (uint32_t i = 0; i < tables->payment_count; i++) {
        const struct pay_decision *decision = &tables->payments[i].decision;
        if (!decision->has_account || decision->account_version != version || strcmp(decision->account_id, account->account_id) != 0 || strcmp(tables->payments[i].tenant, account->tenant) != 0) continue;
        found++;
        enum pay_reason reason = judged_reason(account, book, decision);
        if (reason == PAY_REASON_NONE) book->balance -= decision->amount_minor;
        bool right = decision->reason == reason && decision->outcome == (reason == PAY_REASON_NONE ? PAY_PAID : PAY_DECLINED) && decision->balance_after_minor == book->balance;
        if (!right) history_violate(history, "account %s, event %lld: order %s/%d doesn't follow from the events before it", account->account_id, (long long)version, tables->payments[i].order_id, decision->attempt);
    }
    return found;
}

static void judge_account(struct history *history, const struct pay_account *account) {
    struct book book = { .floor = account->floor_minor, .state = PAY_ACCOUNT_ACTIVE };
    for (int64_t version = 1; version <= account->version; version++) {
        uint32_t events = apply_decisions(history, account, version, &book) + apply_adjustment(&history->database->tables, account, version, &book);
        if (events != 1) history_violate(history, "account %s has %u events with version %lld", account->account_id, events, (long long)version);
    }
    if (book.balance != account->balance_minor) history_violate(history, "account %s holds %lld, its events give %lld", account->account_id, (long long)account->balance_minor, (long long)book.balance);
}

static void judge_unknown_accounts(struct history *history) {
    const struct fake_tables *tables = &history->database->tables;
    for (uint32_t i = 0; i < tables->payment_count; i++) {
        const struct pay_decision *decision = &tables->payments[i].decision;
        const struct pay_account *account = fake_database_account(history->database, tables->payments[i].tenant, decision->account_id);
        bool beyond = decision->has_account && (account == NULL || decision->account_version > account->version || decision->account_version < 1);
        if (decision->has_account != (account != NULL) || (!decision->has_account && decision->reason != PAY_UNKNOWN_ACCOUNT) || beyond)
            history_violate(history, "order %s/%d says of account %s what isn't so", tables->payments[i].order_id, decision->attempt, decision->account_id);
    }
}

/* ---- while it happens ---- */

/* Some row answers for the request: its refusal, its identity's row, a paid row of a lower attempt. */
static bool has_reason(const struct history *history, const struct asked *asked) {
    const struct fake_tables *tables = &history->database->tables;
    if (refusal_of(history, asked) != NULL) return true;
    for (uint32_t i = 0; asked->invalid == NULL && i < tables->payment_count; i++) {
        const struct fake_payment *row = &tables->payments[i];
        if (strcmp(row->tenant, asked->tenant) != 0 || strcmp(row->order_id, asked->order_id) != 0) continue;
        if (same_attempt(asked, row) || lower_and_paid(asked, row)) return true;
    }
    return false;
}

static bool letter_acknowledged(const struct history *history, int32_t partition, int64_t offset) {
    char position[64];
    snprintf(position, sizeof position, "1-%d-%lld", partition, (long long)offset);
    for (uint32_t p = 0; p < history->broker->partition_count; p++) {
        const struct fake_log *log = log_of(history, TOPIC_DEAD_LETTERS, (int32_t)p);
        for (size_t i = 0; i < log->count; i++) {
            if (log->records[i]->acknowledged && header_is(log->records[i], "position", position)) return true;
        }
    }
    return false;
}

static void watch_reply(struct history *history, int32_t partition, const struct fake_record *reply) {
    int64_t source = header_number(reply, "source-offset");
    const struct fake_record *record = request_at(history, partition, source);
    if (source >= history->highest_processed[partition]) history_violate(history, "a reply to 1-%d-%lld before its settle was committed", partition, (long long)source);
    if (history->tampered || record == NULL) return;
    struct asked asked;
    read_request(partition, record, &asked);
    if (!has_reason(history, &asked)) history_violate(history, "a reply to 1-%d-%lld without a reason on file", partition, (long long)source);
    if (asked.invalid != NULL && !letter_acknowledged(history, partition, source)) history_violate(history, "a reply to 1-%d-%lld before its dead letter was acknowledged", partition, (long long)source);
    forget_request(&asked);
}

static void on_append(void *argument, enum fake_topic_name topic, int32_t partition, const struct fake_record *record) {
    struct history *history = argument;
    if (topic == TOPIC_REPLIES && is_our_reply(history, record)) watch_reply(history, partition, record);
}

static void watch_moved(struct history *history, const struct pay_fence *fence) {
    int64_t offset = first_request_at_or_after(history, fence->partition, fence->processed_before);
    while (offset >= 0 && offset < fence->processed_after) {
        struct asked asked;
        read_request(fence->partition, request_at(history, fence->partition, offset), &asked);
        if (!has_reason(history, &asked)) history_violate(history, "P of partition %d moves over %lld, which has no reason on file", fence->partition, (long long)offset);
        forget_request(&asked);
        offset = first_request_at_or_after(history, fence->partition, offset + 1);
    }
}

static void watch_anchor(struct history *history, const struct pay_fence *fence) {
    const struct fake_log *log = log_of(history, TOPIC_REQUESTS, fence->partition);
    const struct fake_record *last = NULL;
    for (size_t i = 0; i < log->count && log->records[i]->offset < fence->processed_after; i++) {
        if (fake_record_is_request(log->records[i])) last = log->records[i];
    }
    const struct pay_anchor *anchor = &fence->anchor;
    bool right = last == NULL ? !anchor->present
                              : anchor->present && anchor->offset == last->offset && anchor->timestamp_ms == last->timestamp_ms &&
                                    anchor->crc32c == pay_record_crc(last->key, last->key_length, last->value, last->value_length);
    if (!right) history_violate(history, "the anchor of partition %d at P %lld isn't the last request below it", fence->partition, (long long)fence->processed_after);
}

static void watch_pair(struct history *history, const struct pay_fence *fence) {
    if (fence->replied_offset == 0 && fence->reply_position == 0) return;
    const struct fake_record *reply = fake_log_find(log_of(history, TOPIC_REPLIES, fence->partition), fence->reply_position - 1);
    if (reply == NULL || header_number(reply, "source-offset") != fence->replied_offset - 1)
        history_violate(history, "the pair of partition %d (%lld, %lld) names no such reply", fence->partition, (long long)fence->replied_offset, (long long)fence->reply_position);
}

static void on_commit(void *argument, const struct fake_commit *commit) {
    struct history *history = argument;
    for (uint32_t i = 0; i < commit->fence_count; i++) {
        const struct pay_fence *fence = &commit->fences[i];
        int64_t *highest = &history->highest_processed[fence->partition];
        if (fence->processed_after < fence->processed_before) history_violate(history, "P of partition %d moves back from %lld to %lld", fence->partition, (long long)fence->processed_before, (long long)fence->processed_after);
        if (fence->processed_after > *highest) *highest = fence->processed_after;
        if (history->tampered) continue;
        if (fence->processed_after > log_of(history, TOPIC_REQUESTS, fence->partition)->end) history_violate(history, "P of partition %d moves beyond the log to %lld", fence->partition, (long long)fence->processed_after);
        watch_moved(history, fence);
        watch_anchor(history, fence);
        watch_pair(history, fence);
    }
}

void history_watch(struct history *history, struct fake_database *database, struct fake_broker *broker) {
    memset(history, 0, sizeof *history);
    history->database = database;
    history->broker = broker;
    database->on_commit = on_commit;
    database->argument = history;
    broker->on_append = on_append;
    broker->argument = history;
}

void history_free(struct history *history) {
    if (history->database != NULL) history->database->on_commit = NULL;
    if (history->broker != NULL) history->broker->on_append = NULL;
}

/* ---- the judgement ---- */

static void judge_complaints(struct history *history, const char *who, const struct fault_complaints *complaints) {
    for (uint32_t i = 0; i < complaints->count && i < FAULT_COMPLAINTS_MAX; i++) history_violate(history, "%s complains: %s", who, complaints->text[i]);
}

bool history_judge(struct history *history) {
    const struct fake_tables *tables = &history->database->tables;
    history->gaps = history->copies = 0;
    for (uint32_t i = 0; i < history->broker->partition_count; i++) {
        judge_reply_log(history, (int32_t)i);
        if (!history->tampered) judge_late_readers(history, (int32_t)i);
    }
    for (uint32_t i = 0; i < tables->payment_count && !history->tampered; i++) judge_payment_row(history, &tables->payments[i]);
    judge_one_paid(history);
    for (uint32_t i = 0; i < tables->account_count; i++) judge_account(history, &tables->accounts[i]);
    judge_unknown_accounts(history);
    judge_complaints(history, "the database", &history->database->complaints);
    judge_complaints(history, "the broker", &history->broker->complaints);
    return history->violation_count == 0;
}

bool history_judge_complete(struct history *history) {
    history_judge(history);
    for (uint32_t i = 0; i < history->broker->partition_count; i++) {
        int64_t missing = first_request_at_or_after(history, (int32_t)i, followed_to(history, (int32_t)i));
        if (missing >= 0) history_violate(history, "partition %u: request %lld has no reply that a reader takes", i, (long long)missing);
    }
    return history->violation_count == 0;
}
