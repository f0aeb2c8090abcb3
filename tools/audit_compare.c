#include "tools/audit_compare.h"

#include "codec/reply_codec.h"
#include "codec/reply_record.h"

#include <string.h>

static bool same(const void *a, size_t a_length, const void *b, size_t b_length) {
    return a_length == b_length && (a_length == 0 || memcmp(a, b, a_length) == 0);
}

/* Exactly one header of this name with this value. */
static bool header_is(const struct pay_log_record *reply, const struct pay_header *wanted) {
    bool found = false;
    for (size_t i = 0; i < reply->header_count; i++) {
        const struct pay_header *header = &reply->headers[i];
        if (strcmp(header->name, wanted->name) != 0) continue;
        if (found || header->value == NULL || !same(wanted->value, wanted->length, header->value, header->length))
            return false;
        found = true;
    }
    return found;
}

/* The name of the first header that isn't right; NULL: all are. */
static const char *wrong_header(const struct pay_reply_record *wanted, const struct pay_log_record *reply) {
    for (size_t i = 0; i < wanted->header_count; i++)
        if (!header_is(reply, &wanted->headers[i])) return wanted->headers[i].name;
    return NULL;
}

/* Where two texts part, with a little of both. */
static void say_values(struct audit *audit, const char *where, const char *wanted, size_t wanted_length,
                       const struct pay_log_record *reply) {
    const char *found = reply->value != NULL ? reply->value : "";
    size_t found_length = reply->value != NULL ? reply->value_length : 0, at = 0;
    while (at < wanted_length && at < found_length && wanted[at] == found[at]) at++;
    size_t from = at > 40 ? at - 40 : 0;
    int wanted_shown = (int)(wanted_length - from < 120 ? wanted_length - from : 120);
    int found_shown = (int)(found_length - from < 120 ? found_length - from : 120);
    char shown[121];
    for (int i = 0; i < found_shown; i++)
        shown[i] = found[from + (size_t)i] >= ' ' && found[from + (size_t)i] <= '~' ? found[from + (size_t)i] : '?';
    shown[found_shown] = '\0';
    difference_add(&audit->differences, "reply_differs", where,
                   "at byte %zu the reply says ..%s.. and the rows say ..%.*s..", at, shown, wanted_shown,
                   wanted + from);
}

void audit_compare(struct audit *audit, const struct pay_record *record, const struct pay_answer *answer,
                   int64_t covers_from, const struct pay_log_record *reply) {
    struct pay_reply_record wanted;
    char where[PAY_POSITION_TEXT_MAX];
    pay_reply_record_make(record, answer, covers_from, audit->request_topic, audit->ledger_id, &wanted);
    pay_position_format(&record->position, where);
    if (!same(wanted.value, wanted.value_length, reply->value, reply->value_length)) {
        say_values(audit, where, wanted.value, wanted.value_length, reply);
        return;
    }
    if ((wanted.key != NULL) != (reply->key != NULL) ||
        !same(wanted.key, wanted.key_length, reply->key, reply->key_length)) {
        difference_add(&audit->differences, "reply_key_differs", where, "the reply's key isn't the request's order_id");
        return;
    }
    const char *header = wrong_header(&wanted, reply);
    if (header != NULL)
        difference_add(&audit->differences, "reply_header_differs", where, "the reply's header %s isn't as it must be",
                       header);
    else if (reply->header_count != wanted.header_count)
        difference_add(&audit->differences, "reply_header_differs", where,
                       "the reply has %zu headers, and %zu of them are as they must be", reply->header_count,
                       wanted.header_count);
}

void audit_count_by_reply(struct audit_tally *tally, const struct pay_log_record *record) {
    struct pay_reply reply;
    if (!pay_reply_parse(record->value, record->value_length, &reply)) return;
    bool own = !reply.duplicate && (reply.outcome == PAY_PAID || reply.outcome == PAY_DECLINED);
    tally->payment_rows += own;
    tally->refusal_rows += reply.outcome == PAY_INVALID;
    tally->paid += own && reply.outcome == PAY_PAID;
    tally->declined += own && reply.outcome == PAY_DECLINED;
    tally->duplicates += reply.duplicate;
    tally->conflicts += reply.outcome == PAY_CONFLICT;
    tally->invalid += reply.outcome == PAY_INVALID;
}
