/*
 * reply_record.h - a whole reply record, key, value and headers: what the worker publishes, and `paybuf replay` again.
 *
 * Promise: a function of its arguments alone, so two copies of a reply differ in covers-from at most.
 * Memory: one plain struct; key and the texts of header values point into it, the record or the caller's names. Threads: any.
 */
#ifndef PAY_CODEC_REPLY_RECORD_H
#define PAY_CODEC_REPLY_RECORD_H

#include "codec/reply_codec.h"
#include "core/log_record.h"

#define PAY_REPLY_HEADERS_MAX 12

struct pay_reply_record {
    const char *key; /* NULL: the request had no usable one */
    size_t key_length, value_length, header_count;
    struct pay_header headers[PAY_REPLY_HEADERS_MAX];
    char value[PAY_REPLY_TEXT_MAX];
    char source_offset[21], covers_from[21], generation[21];
    char id[PAY_TOPIC_MAX + 1 + PAY_POSITION_TEXT_MAX];
    char source[PAY_TOPIC_MAX + 16];
    char type[40];
    char time[PAY_TIME_TEXT_MAX];
};

/* `covers_from`: where the predecessor of this reply ended (PROTOCOL 5). */
void pay_reply_record_make(const struct pay_record *record, const struct pay_answer *answer, int64_t covers_from,
                           const char *request_topic, const char *ledger_id, struct pay_reply_record *ret_reply);

#endif
