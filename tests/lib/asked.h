/*
 * asked.h - a request record, read a second time from INTERFACES alone: the judge's own parser (no core, no codec).
 * Memory: asked_read takes a reference to the metadata, asked_forget gives it back. Threads: any.
 */
#ifndef PAY_TESTS_ASKED_H
#define PAY_TESTS_ASKED_H

#include "fake_broker.h"

#include <jansson.h>

struct asked {
    int32_t partition;
    int64_t offset;
    char tenant[72];     /* "" when malformed */
    char key[72];        /* "" when absent or malformed */
    const char *invalid; /* NULL, or the reason its bytes are no request */
    const char *field;   /* for bad_field */
    char order_id[72], account_id[72], currency[8];
    int32_t attempt;
    int64_t amount_minor;
    json_t *metadata; /* owned; NULL: null */
    char traceparent[160];
    bool has_traceparent;
};

void asked_read(int32_t partition, const struct fake_record *record, struct asked *ret_asked);
void asked_forget(struct asked *asked); /* a zeroed one is fine */

#endif
