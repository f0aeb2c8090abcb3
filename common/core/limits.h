/*
 * limits.h - every bound of the contract and of the machine, with where it comes from.
 * Contract bounds are INTERFACES' words; changing one changes what users may send.
 */
#ifndef PAY_CORE_LIMITS_H
#define PAY_CORE_LIMITS_H

/* The contract. */
#define PAY_ID_MAX 64                     /* order_id, account_id, tenant: 1-64 of [A-Za-z0-9._:-] */
#define PAY_CURRENCY_LENGTH 3             /* three letters A-Z, no list */
#define PAY_ATTEMPT_MAX 99                /* attempts are 1-99 */
#define PAY_AMOUNT_MAX 9007199254740991LL /* 2^53-1: the largest integer every JSON reader keeps exact */
#define PAY_VALUE_MAX 8192                /* bytes of a request value */
#define PAY_METADATA_MAX 2048             /* bytes of metadata as sent */
#define PAY_JSON_DEPTH_MAX 32             /* nesting of a request value: metadata is data, not a program */
#define PAY_TRACEPARENT_MAX 128 /* W3C traceparent is 55; longer versions must be passed on, not stored without limit */
#define PAY_TOPIC_MAX 249       /* Kafka's own limit for a topic name */

/* The machine. */
#define PAY_BATCH_RECORDS_MAX 2000 /* SPEED: beyond this the lock time grows and the rate doesn't */
#define PAY_BATCH_KNOWN_MAX                                                                                            \
    8192 /* known rows one settle may read; more: the batch is halved (99 attempts of one order always fit) */
#define PAY_LANES_MAX 256           /* request partitions one worker may own */
#define PAY_LANE_UNREPLIED_MAX 8192 /* records of a lane received and not yet acknowledged as answered */
#define PAY_PUBLISHERS_MAX 16       /* reply producers of one worker */
#define PAY_LANES_PER_PUBLISHER 3   /* PROTOCOL 3: one request in flight per broker connection */

/* Times of PROTOCOL, in milliseconds. */
#define PAY_REPLIES_ON_THE_WIRE_MS 10000 /* wait before the logs are compared with a restarted database */
#define PAY_SUSPICION_MS 10000           /* "twice 10 s apart": truncation is believed at the second look */
#define PAY_RECLAIM_AFTER_FENCE_MS 10000 /* the group's session timeout: a fenced worker asks again only then */
#define PAY_REST_INTERVAL_MS 1000        /* an empty batch at most once a second */
#define PAY_LOOP_PAUSE_MS 1000           /* a longer pause between two polls: the anchor is read again */
#define PAY_ANCHOR_IDLE_MS 60000         /* an idle lane's anchor is read again */
#define PAY_LANE_SILENCE_MS 1000 /* records after a longer silence: the anchor is read again before they settle */
#define PAY_ROUND_TRIP_DEADLINE_MS 1000 /* own deadline between the two round trips of a settle */
#define PAY_REVOKE_FLUSH_MS 2000        /* how long a revoke may wait for the last batch */

#endif
