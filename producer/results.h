/*
 * results.h - the last replies, in fixed memory: found by the position that they answer, or as the decision on an identity.
 *
 * A ring of bytes: each reply is put behind the one before and overwrites the oldest. What isn't found may still be in the log.
 * A decision is a reply paid or declined, the first one or a duplicate's copy of it; it is read from the reply's bytes when it is
 * asked for, so that following costs no parsing.
 *
 * Memory: what new was given, allocated at once. Found bytes are good until the next add. Pure: no clock, no I/O. Threads: one.
 */
#ifndef PAY_PRODUCER_RESULTS_H
#define PAY_PRODUCER_RESULTS_H

#include "codec/reply_codec.h"

#define PAY_RESULTS_BYTES_MIN 65536 /* room for ten of the largest replies */
#define PAY_RESULTS_LOOKS_MAX 64    /* replies that are passed over in one search for a decision */
#define PAY_RESULTS_READINGS_MAX 4  /* ... that are of the order itself, and so are parsed */

struct pay_results;

struct pay_result {
    struct pay_position source;
    const char *key;
    size_t key_length;
    const char *value;
    size_t value_length;
};

/* NULL: out of memory. */
struct pay_results *pay_results_new(size_t bytes);
void pay_results_free(struct pay_results *results); /* NULL is fine */

/* The reply to `source`. Larger than any reply is: not kept. */
void pay_results_add(struct pay_results *results, const struct pay_result *reply);

/* Forgets all: the log that they came from isn't the one that is read now. */
void pay_results_clear(struct pay_results *results);

bool pay_results_find(const struct pay_results *results, const struct pay_position *source,
                      struct pay_result *ret_result);

/* The decision on the payment's identity (tenant, order, attempt), whatever its other fields were. False: not here; the log knows. */
bool pay_results_decision(const struct pay_results *results, const struct pay_request *payment,
                          struct pay_decision *ret_decision);

#endif
