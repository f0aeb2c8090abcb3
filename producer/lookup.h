/*
 * lookup.h - questions about payments, answered by a thread of its own (books.h), so that the intake's loop never waits for
 * the database or for old parts of the log.
 *
 * Sequence: open; ask; run when the descriptor is ready: exactly one `done` per question, unless forget came before; drain; close.
 * A question with a time to wait that finds nothing yet is asked again every PAY_LOOKUP_AGAIN_MS until that time is over.
 * Bounds: lookups_max questions; those waiting in the queue longer than PAY_LOOKUP_QUEUE_MS are answered UNAVAILABLE unasked.
 * Memory: 5 KiB per question. Threads: ask, forget, run, drain and close from one.
 */
#ifndef PAY_PRODUCER_LOOKUP_H
#define PAY_PRODUCER_LOOKUP_H

#include "producer/books.h"

#include <stdio.h>

#define PAY_LOOKUP_AGAIN_MS 250
#define PAY_LOOKUP_QUEUE_MS 5000

struct pay_lookup;
struct pay_lookup_call; /* a question under way */

/* `question` lives as long as the call of this. */
typedef void pay_lookup_done(void *owner, const struct pay_question *question);

/* NULL: *error. */
struct pay_lookup *pay_lookup_open(const struct pay_config *config, const struct pay_kafka_options *kafka,
                                   struct pay_error *error);
int pay_lookup_descriptor(const struct pay_lookup *lookup); /* readable: run */
void pay_lookup_run(struct pay_lookup *lookup);
void pay_lookup_drain(struct pay_lookup *lookup); /* nobody waits any longer; what is asked is still answered */
/* What is still under way is done as UNAVAILABLE. Never blocks; the thread frees everything. NULL is fine. */
void pay_lookup_close(struct pay_lookup *lookup);

/* The question is copied (its first members, up to `end`). wait_ms 0: one answer, as it is now. NULL: too many. */
struct pay_lookup_call *pay_lookup_ask(struct pay_lookup *lookup, const struct pay_question *question, int64_t wait_ms,
                                       void *owner, pay_lookup_done *done);
void pay_lookup_forget(struct pay_lookup *lookup, struct pay_lookup_call *call);

void pay_lookup_metrics(const struct pay_lookup *lookup, FILE *out);

#endif
