/*
 * reply_codec.h - a reply's bytes: a deterministic function of the record's bytes and the stored decision, and back again.
 *
 * Promises: members always present, in the order of INTERFACES; two calls with equal values give equal bytes, on any machine;
 * one line: metadata is embedded as sent but for whitespace between its tokens.
 * Threads: any. Memory: the caller's buffers.
 */
#ifndef PAY_CODEC_REPLY_CODEC_H
#define PAY_CODEC_REPLY_CODEC_H

#include "codec/time_text.h"
#include "core/decide.h"

#define PAY_REPLY_TEXT_MAX (PAY_METADATA_MAX + 1536)

/* The reply value, without a NUL. Asserts that capacity >= PAY_REPLY_TEXT_MAX. Answers the length. */
size_t pay_reply_format(const struct pay_record *record, const struct pay_answer *answer, char *buffer,
                        size_t capacity);

/* A reply read back, for listeners, `listen`, `audit`, the intake's waiters. stored and metadata are not read. */
struct pay_reply {
    char tenant[PAY_ID_MAX + 1];
    char order_id[PAY_ID_MAX + 1]; /* "" when null */
    char account_id[PAY_ID_MAX + 1];
    char currency[PAY_CURRENCY_LENGTH + 1];
    int32_t attempt;      /* 0 when null */
    int64_t amount_minor; /* 0 when null */
    enum pay_outcome outcome;
    enum pay_reason reason;
    enum pay_field field;
    bool duplicate;
    bool has_balance;
    int64_t balance_after_minor;
    int64_t account_version;
    struct pay_position position;
    bool has_original;
    struct pay_position original;
    int64_t decided_at_us;
};
/* False, and *ret_reply untouched, unless every member is there and of its kind; members of later versions are ignored. */
bool pay_reply_parse(const void *value, size_t length, struct pay_reply *ret_reply);

#endif
