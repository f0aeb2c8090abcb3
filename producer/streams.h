/*
 * streams.h - the open streams of results: each a reader of the reply ring, or of the log until it has caught up with the ring.
 *
 * Sequence: open; subscribe callers with pay_streams_begin; run when the descriptor is ready, tick once a second; drain; close after
 * the HTTP server was closed (its sources are released into here).
 *
 * The ring begins with the first stream and is fed by the follower from then on. Streams pull: what a client hasn't taken lies in the
 * ring, once for all of them. Who falls behind the ring's memory is ended, and so is who takes nothing for PAY_HTTP_SEND_MS; both
 * resume from the log. A resume that the ring can't serve gets a pay_catch_up; at most PAY_CATCH_UPS_MAX at once, the others wait for their turn.
 * Each reply is judged again by the stream's own places (PROTOCOL 5), so nothing is shown twice, out of order, or over a gap.
 *
 * Topics with more than PAY_PLACES_MAX partitions have no streams (503): their event ids would be too long.
 * Memory: results_stream_bytes for the ring, 9 KiB and one event per stream, pay_catch_up's own. Threads: one.
 */
#ifndef PAY_PRODUCER_STREAMS_H
#define PAY_PRODUCER_STREAMS_H

#include "kafka/kafka_conf.h"
#include "producer/follower.h"
#include "producer/places.h"
#include "producer/result_filter.h"
#include "producer/route.h"

#include <stdio.h>

#define PAY_STREAM_PING_MS 15000
#define PAY_STREAM_READING_MS 200 /* who was given something so lately is reading */
#define PAY_STREAM_RETRY_MS 2000  /* what clients are told to wait before they connect again */
#define PAY_STREAM_KNOWN_MS 2000  /* so long the first stream waits for the follower to know every partition's place */
#define PAY_STREAM_START_MAX_MS 5000 /* ... and this long for it to find the log: then 503 */
#define PAY_CATCH_UPS_MAX 4          /* each has a Kafka handle */
#define PAY_CATCH_UP_TURN_MS 10000   /* so long one may read the log while others wait: it resumes where it is, later */
#define PAY_STREAM_TURN_MAX_MS 30000 /* waiting for a turn to catch up: then 503 */

struct pay_streams;

/* `kafka` must outlive it. NULL: no descriptor to be had. */
struct pay_streams *pay_streams_open(const struct pay_config *config, const struct pay_kafka_options *kafka,
                                     struct pay_follower *follower);
int pay_streams_descriptor(const struct pay_streams *streams); /* readable: run */
void pay_streams_run(struct pay_streams *streams);
void pay_streams_tick(struct pay_streams *streams);
/* Ends all of them, cleanly; no new ones. The follower isn't needed any more. */
void pay_streams_drain(struct pay_streams *streams);
/* Somebody who reads is half the ring behind: the follower should go slowly, so that a burst of replies ends nobody's stream. */
bool pay_streams_behind(const struct pay_streams *streams);
void pay_streams_close(struct pay_streams *streams); /* after drain; NULL is fine */

/* Answers the exchange, now or later. `from` NULL: from now on. */
void pay_streams_begin(struct pay_streams *streams, struct pay_exchange *exchange,
                       const struct pay_result_filter *filter, const struct pay_places *from);
/* The client left before it was answered. */
void pay_streams_gone(struct pay_streams *streams, struct pay_exchange *exchange);

void pay_streams_metrics(const struct pay_streams *streams, FILE *out);

#endif
