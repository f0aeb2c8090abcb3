#include "tools/audit_compare.h"

#include "codec/reply_codec.h"

#include <string.h>

static bool same(const void *a, size_t a_length, const void *b, size_t b_length) {
    return a_length == b_length && (a_length == 0 || memcmp(a, b, a_length) == 0);
}

static bool key_is_right(const struct pay_record *record, const struct pay_log_record *reply) {
    if (record->key[0] == '\0') return reply->key == NULL;
    return reply->key != NULL && same(record->key, strlen(record->key), reply->key, reply->key_length);
}

/* Exactly one header of this name with this value; none when `value` is NULL. */
static bool header_is(const struct pay_log_record *reply, const char *name, const char *value, size_t length) {
    bool found = false;
    for (size_t i = 0; i < reply->header_count; i++) {
        const struct pay_header *header = &reply->headers[i];
        if (strcmp(header->name, name) != 0) continue;
        if (found || value == NULL || header->value == NULL || !same(value, length, header->value, header->length))
            return false;
        found = true;
    }
    return found == (value != NULL);
}

static bool text_is(const struct pay_log_record *reply, const char *name, const char *value) {
    return header_is(reply, name, value, value != NULL ? strlen(value) : 0);
}

/* The name of the first header that isn't right; NULL: all are. */
static const char *wrong_header(const struct audit *audit, const struct pay_record *record,
                                const struct pay_answer *answer, const struct pay_log_record *reply) {
    char position[PAY_POSITION_TEXT_MAX], id[PAY_TOPIC_MAX + PAY_POSITION_TEXT_MAX + 2], type[48],
        time[PAY_TIME_TEXT_MAX];
    pay_position_format(&record->position, position);
    snprintf(id, sizeof id, "%s/%s", audit->request_topic, position);
    snprintf(type, sizeof type, "paybuf.payment.%s", pay_outcome_name(answer->outcome));
    pay_time_format(answer->decided_at_us, time);
    const struct {
        const char *name, *value;
    } wanted[] = {{"ce_specversion", "1.0"},
                  {"ce_id", id},
                  {"ce_type", type},
                  {"ce_time", time},
                  {"content-type", "application/json"},
                  {"ce_subject", record->key[0] != '\0' ? record->key : NULL}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!text_is(reply, wanted[i].name, wanted[i].value)) return wanted[i].name;
    return header_is(reply, "traceparent", record->traceparent, record->traceparent_length) ? NULL : "traceparent";
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
                   const struct pay_log_record *reply) {
    char wanted[PAY_REPLY_TEXT_MAX], where[PAY_POSITION_TEXT_MAX];
    size_t length = pay_reply_format(record, answer, wanted, sizeof wanted);
    pay_position_format(&record->position, where);
    if (!same(wanted, length, reply->value, reply->value_length)) {
        say_values(audit, where, wanted, length, reply);
        return;
    }
    if (!key_is_right(record, reply)) {
        difference_add(&audit->differences, "reply_key_differs", where, "the reply's key isn't the request's order_id");
        return;
    }
    const char *header = wrong_header(audit, record, answer, reply);
    if (header != NULL)
        difference_add(&audit->differences, "reply_header_differs", where, "the reply's header %s isn't as it must be",
                       header);
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
