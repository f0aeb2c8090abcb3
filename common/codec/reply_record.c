#include "codec/reply_record.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void add(struct pay_reply_record *reply, const char *name, const char *value, size_t length) {
    assert(reply->header_count < PAY_REPLY_HEADERS_MAX);
    reply->headers[reply->header_count++] = (struct pay_header){name, value, length};
}

void pay_reply_record_make(const struct pay_record *record, const struct pay_answer *answer, int64_t covers_from,
                           const char *request_topic, const char *ledger_id, struct pay_reply_record *ret_reply) {
    struct pay_reply_record *reply = ret_reply;
    char position[PAY_POSITION_TEXT_MAX];
    pay_position_format(&record->position, position);
    reply->key_length = strlen(record->key);
    reply->key = reply->key_length > 0 ? record->key : NULL;
    reply->value_length = pay_reply_format(record, answer, reply->value, sizeof reply->value);
    reply->header_count = 0;
    add(reply, "source-offset", reply->source_offset,
        pay_decimal_format(record->position.offset, reply->source_offset));
    add(reply, "covers-from", reply->covers_from, pay_decimal_format(covers_from, reply->covers_from));
    add(reply, "log-generation", reply->generation, pay_decimal_format(record->position.generation, reply->generation));
    add(reply, "ledger-id", ledger_id, strlen(ledger_id));
    add(reply, "ce_specversion", "1.0", 3);
    add(reply, "ce_id", reply->id, (size_t)snprintf(reply->id, sizeof reply->id, "%s/%s", request_topic, position));
    add(reply, "ce_type", reply->type,
        (size_t)snprintf(reply->type, sizeof reply->type, "paybuf.payment.%s", pay_outcome_name(answer->outcome)));
    add(reply, "ce_source", reply->source,
        (size_t)snprintf(reply->source, sizeof reply->source, "/paybuf/%s", request_topic));
    if (reply->key != NULL) add(reply, "ce_subject", reply->key, reply->key_length);
    add(reply, "ce_time", reply->time, pay_time_format(answer->decided_at_us, reply->time));
    add(reply, "content-type", "application/json", 16);
    if (record->traceparent != NULL) add(reply, "traceparent", record->traceparent, record->traceparent_length);
}
