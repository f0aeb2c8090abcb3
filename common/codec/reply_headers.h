/*
 * reply_headers.h - what a reply says of itself in its headers: which request record it answers, and where its predecessor ended.
 *
 * Ours is a record that has source-offset, covers-from, log-generation and ledger-id exactly once each, well formed; anything else
 * in the reply topic is skipped and counted by every reader (PROTOCOL 1 and 5).
 * Threads: any. Memory: the caller's.
 */
#ifndef PAY_CODEC_REPLY_HEADERS_H
#define PAY_CODEC_REPLY_HEADERS_H

#include "core/log_record.h"

#include <stdbool.h>

#define PAY_LEDGER_ID_TEXT_MAX 37 /* a uuid and a NUL */

struct pay_reply_headers {
    int64_t source_offset;
    int64_t covers_from;
    int64_t log_generation; /* >= 1 */
    char ledger_id[PAY_LEDGER_ID_TEXT_MAX];
};

/* False, and *ret_headers untouched, when the record isn't one of ours. */
bool pay_reply_headers_read(const struct pay_log_record *record, struct pay_reply_headers *ret_headers);

/* False: no session writes such a reply and no reader takes it (core/reader.h): it begins behind itself, or no offset can follow it.
   Readers stand at it as at a gap; who tells gaps tells it by itself, since nothing closes it. */
bool pay_reply_headers_possible(const struct pay_reply_headers *headers);

#endif
