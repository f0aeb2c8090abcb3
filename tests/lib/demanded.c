#include "demanded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- what its transaction could see ---- */

const struct fake_commit *demanded_settled_by(const struct fake_database *database, int32_t partition, int64_t offset) {
    for (size_t i = 0; i < database->commit_log_count; i++) {
        const struct fake_commit *commit = &database->commits[i];
        for (uint32_t f = 0; f < commit->fence_count; f++) {
            const struct pay_fence *fence = &commit->fences[f];
            if (fence->partition == partition && fence->processed_before <= offset && offset < fence->processed_after)
                return commit;
        }
    }
    return NULL;
}

enum seen { SEEN_NO, SEEN_MAYBE, SEEN_YES };

/* Whether the settle of a record saw this row: committed before its read, or earlier in the same batch. */
static enum seen row_seen(const struct fake_payment *row, const struct asked *asked, const struct fake_commit *commit) {
    if (row->commit_no <= commit->read_no) return SEEN_YES;
    if (row->commit_no != commit->number) return SEEN_NO;
    if (row->decision.position.partition != asked->partition)
        return SEEN_MAYBE; /* the order between partitions of one batch is free */
    return row->decision.position.offset < asked->offset ? SEEN_YES : SEEN_NO;
}

/* A row of the same order that fits, as far as it was seen. */
static const struct fake_payment *find_seen(const struct fake_database *database, const struct asked *asked,
                                            const struct fake_commit *commit, bool maybe,
                                            bool (*fits)(const struct asked *asked, const struct fake_payment *row)) {
    const struct fake_tables *tables = &database->tables;
    for (uint32_t i = 0; i < tables->payment_count; i++) {
        const struct fake_payment *row = &tables->payments[i];
        if (strcmp(row->order_id, asked->order_id) != 0 || strcmp(row->tenant, asked->tenant) != 0 || !fits(asked, row))
            continue;
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

static const char *const outcome_words[] = {"paid", "declined", "conflict", "invalid"};

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
    struct demanded conflict = {.outcome = "conflict", .row = row};
    if (strcmp(decision->account_id, asked->account_id) != 0)
        conflict.reason = "account_id_differs";
    else if (decision->amount_minor != asked->amount_minor)
        conflict.reason = "amount_minor_differs";
    else if (strcmp(decision->currency, asked->currency) != 0)
        conflict.reason = "currency_differs";
    if (conflict.reason != NULL) return conflict;
    return (struct demanded){.outcome = outcome_words[decision->outcome],
                             .reason = decline_word(decision->reason),
                             .duplicate = true,
                             .row = row};
}

struct demanded demanded_of(const struct fake_database *database, const struct asked *asked,
                            const struct fake_commit *commit, bool maybe) {
    if (asked->invalid != NULL)
        return (struct demanded){
            .outcome = "invalid", .reason = asked->invalid, .field = asked->field, .refusal = true};
    const struct fake_payment *row = find_seen(database, asked, commit, maybe, same_attempt);
    if (row != NULL) return of_known(asked, row);
    row = find_seen(database, asked, commit, maybe, lower_and_paid);
    if (row != NULL) return (struct demanded){.outcome = "conflict", .reason = "already_paid", .row = row};
    if (asked->attempt > 1 && find_seen(database, asked, commit, maybe, attempt_before) == NULL)
        return (struct demanded){.outcome = "invalid", .reason = "attempt_out_of_sequence", .refusal = true};
    row = fake_database_payment(&database->tables, asked->tenant, asked->order_id, asked->attempt);
    if (row == NULL) return (struct demanded){.own_row = true};
    return (struct demanded){.outcome = outcome_words[row->decision.outcome],
                             .reason = decline_word(row->decision.reason),
                             .own_row = true,
                             .row = row};
}

static const struct fake_refusal *refusal_of(const struct fake_database *database, const struct asked *asked) {
    struct pay_position position = {1, asked->partition, asked->offset};
    return fake_database_refusal(&database->tables, &position);
}

/* The rows bear the demand out: its own row lies at its own position; a refusal where one is due, and only there. */
static bool rows_agree(const struct fake_database *database, const struct asked *asked,
                       const struct demanded *demanded) {
    if ((refusal_of(database, asked) != NULL) != demanded->refusal) return false;
    if (!demanded->own_row) return true;
    if (demanded->row == NULL) return false;
    const struct pay_position *position = &demanded->row->decision.position;
    return position->partition == asked->partition && position->offset == asked->offset;
}

bool demanded_has_reason(const struct fake_database *database, const struct asked *asked) {
    const struct fake_tables *tables = &database->tables;
    if (refusal_of(database, asked) != NULL) return true;
    for (uint32_t i = 0; asked->invalid == NULL && i < tables->payment_count; i++) {
        const struct fake_payment *row = &tables->payments[i];
        if (strcmp(row->tenant, asked->tenant) != 0 || strcmp(row->order_id, asked->order_id) != 0) continue;
        if (same_attempt(asked, row) || lower_and_paid(asked, row)) return true;
    }
    return false;
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

void demanded_time_text(int64_t us, char text[40]) {
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
    if (demanded->reason != NULL && strcmp(demanded->reason, "bad_field") == 0)
        json_object_set_new(reply, "field", text_or_null(demanded->field));
    json_object_set_new(reply, "duplicate", json_boolean(demanded->duplicate));
}

static void set_balance(json_t *reply, const struct demanded *demanded) {
    bool shown =
        demanded->row != NULL && strcmp(demanded->outcome, "conflict") != 0 && demanded->row->decision.has_account;
    json_object_set_new(reply, "balance_after_minor",
                        shown ? json_integer(demanded->row->decision.balance_after_minor) : json_null());
    json_object_set_new(reply, "account_version",
                        shown ? json_integer(demanded->row->decision.account_version) : json_null());
}

static json_t *stored_object(const struct pay_decision *decision) {
    json_t *stored = json_object();
    json_object_set_new(stored, "attempt", json_integer(decision->attempt));
    set_content(stored, decision->account_id, decision->amount_minor, decision->currency);
    json_object_set_new(stored, "outcome", json_string(outcome_words[decision->outcome]));
    return stored;
}

int64_t demanded_decided_at(const struct fake_database *database, const struct asked *asked,
                            const struct demanded *demanded) {
    if (demanded->row != NULL) return demanded->row->decision.decided_at_us;
    const struct fake_refusal *refusal = refusal_of(database, asked);
    return refusal == NULL ? 0 : refusal->refusal.decided_at_us;
}

static json_t *compose(const struct fake_database *database, const struct asked *asked,
                       const struct demanded *demanded) {
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
    json_object_set_new(reply, "original",
                        decision == NULL ? json_null()
                                         : position_text(decision->position.generation, decision->position.partition,
                                                         decision->position.offset));
    demanded_time_text(demanded_decided_at(database, asked, demanded), time);
    json_object_set_new(reply, "decided_at", json_string(time));
    json_object_set_new(reply, "stored",
                        strcmp(demanded->outcome, "conflict") == 0 ? stored_object(decision) : json_null());
    json_object_set_new(reply, "metadata",
                        shown && asked->metadata != NULL ? json_incref(asked->metadata) : json_null());
    return reply;
}

/* ---- a reply that says it ---- */

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

bool demanded_agrees(const struct fake_database *database, const struct asked *asked, const struct demanded *demanded,
                     const struct fake_record *reply, char **ret_expected) {
    *ret_expected = NULL;
    if (demanded->outcome == NULL || !rows_agree(database, asked, demanded)) return false;
    json_t *expected = compose(database, asked, demanded);
    bool same = says(reply, expected, ret_expected);
    json_decref(expected);
    return same;
}
