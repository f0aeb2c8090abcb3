/*
 * pending.h - the calls that were given to Kafka and aren't reported back yet: bounded by records and bytes.
 *
 * A call lives here until its report comes, also after its client was answered 504 or went away: the record still takes memory in
 * librdkafka, so it still counts. `owner` is the client's side and NULL once there is nobody to tell.
 * Memory: grows to the bound in chunks and keeps them. Threads: one.
 */
#ifndef PAY_PRODUCER_PENDING_H
#define PAY_PRODUCER_PENDING_H

#include "core/position.h"

#include <stdbool.h>
#include <stdint.h>

struct pay_call;

/* What became of a record: its position, or NULL: nobody knows. The call is the owner's no longer once this returns. */
typedef void pay_call_done(void *owner, const struct pay_call *call, const struct pay_position *position);

struct pay_call {
    struct pay_call *previous, *next;
    void *owner; /* NULL: told or gone; waits for its report only */
    pay_call_done *done;
    int64_t started_us;
    int32_t partition; /* where the key's hash puts it; -1: not known */
    uint32_t bytes;
};

struct pay_pending;

struct pay_pending *pay_pending_new(uint32_t records_max, uint64_t bytes_max);
void pay_pending_free(struct pay_pending *pending); /* NULL is fine */

/* Room for one more record of `bytes`? Then the call, registered as the youngest; else NULL. */
struct pay_call *pay_pending_add(struct pay_pending *pending, void *owner, uint32_t bytes, int64_t now_us);
void pay_pending_remove(struct pay_pending *pending, struct pay_call *call);
/* Its owner was told or is gone: it waits with the late ones from now on. */
void pay_pending_detach(struct pay_pending *pending, struct pay_call *call);

struct pay_call *pay_pending_oldest_due(struct pay_pending *pending);  /* with an owner; NULL: none */
struct pay_call *pay_pending_oldest_late(struct pay_pending *pending); /* without; NULL: none */
uint32_t pay_pending_count(const struct pay_pending *pending);
uint32_t pay_pending_due_count(const struct pay_pending *pending);
uint64_t pay_pending_bytes(const struct pay_pending *pending);

#endif
