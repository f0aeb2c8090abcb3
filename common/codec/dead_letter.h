/*
 * dead_letter.h - what is kept of a record that is no request (INTERFACES, pay.dlq): its key and value byte for byte, the headers
 * `position` and `reason`, and its own headers in their order, each with `orig-` before its name.
 *
 * Sequence: make; send it; where the topic says that it is too large, shrink, and send it again; free.
 * A stub has no key and none of the record's headers (they may be what is too large); its value is the size of the record's value
 * and its SHA-256. The digest is computed by the caller's function (OpenSSL's SHA256 fits): the codec stands on no such library.
 *
 * Memory: key, value and header values stay the record's, and must outlive the letter; one block for the rest, freed by free.
 * Threads: any.
 */
#ifndef PAY_CODEC_DEAD_LETTER_H
#define PAY_CODEC_DEAD_LETTER_H

#include "core/log_record.h"
#include "core/outcome.h"
#include "core/position.h"

#include <stdbool.h>

struct pay_dead_letter {
    const void *key; /* NULL: no key */
    size_t key_length;
    const void *value; /* NULL: no value */
    size_t value_length;
    struct pay_header *headers; /* owned */
    size_t header_count;
};

#define PAY_SHA256_BYTES 32
typedef unsigned char *(*pay_sha256_fn)(const unsigned char *bytes, size_t length, unsigned char *ret_digest);

/* *ret_letter is to be freed. */
void pay_dead_letter_make(const struct pay_log_record *record, const struct pay_position *position,
                          enum pay_reason reason, struct pay_dead_letter *ret_letter);

/* Too large even for the dead letter topic: its stub takes its place. */
void pay_dead_letter_shrink(struct pay_dead_letter *letter, pay_sha256_fn sha256);

void pay_dead_letter_free(struct pay_dead_letter *letter); /* a zeroed one is fine */

#endif
