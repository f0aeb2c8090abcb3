/*
 * appender.h - appends to the request log and says honestly what became of each record.
 *
 * submit either refuses (certainly not stored: the record was never given to librdkafka) or takes the record; then exactly one
 * `done` comes for its owner, never from within submit: with a position after an honest acknowledgement (no error AND an offset that is larger than the
 * partition's last one), or without one: a failed or odd report, the deadline, the end of the handle. "Without" never means "not stored".
 * A record is appended at most once: each of the few producers, which share the partitions, has one request in flight per broker. Records of
 * one partition lie in the log in the order in which they were submitted.
 *
 * What goes wrong is routine here: when a producer is fatal, reported a failure or an odd success, or all stayed silent for
 * too long, they are closed and replaced together; their calls are done without a position. Never exits, never blocks.
 *
 * The gate refuses up front when the brokers can't be believed to answer: no metadata and no acknowledgement for
 * PAY_APPENDER_PROOF_MS, or nothing acknowledged for stall_ms while something is due, for all partitions or for the key's own
 * (so that one partition without a leader doesn't eat the whole budget).
 *
 * Memory: owns the publishers, the probe and the pending calls. Threads: one.
 */
#ifndef PAY_PRODUCER_APPENDER_H
#define PAY_PRODUCER_APPENDER_H

#include "base/config.h"
#include "core/error.h"
#include "core/log_record.h"
#include "core/position.h"
#include "kafka/kafka_conf.h"
#include "producer/pending.h"

#define PAY_APPENDER_PROOF_MS 5000 /* five questions of the probe */
#define PAY_APPENDER_SILENCE_MS                                                                                        \
    10000 /* beyond the request timeout: then every client was answered, and the handle is replaced */
#define PAY_APPENDER_REOPEN_MAX_MS 1000

struct pay_appender;

struct pay_appender_options {
    const struct pay_config *config;
    struct pay_kafka_options kafka;
    int epoll;           /* the loop's; our descriptors are added to it with these as data.u64 */
    uint64_t report_tag; /* call pay_appender_run */
    uint64_t probe_tag;  /* call pay_appender_look */
    /* The log generation of a partition, for the position of what was just acknowledged there. */
    int64_t (*generation)(void *argument, int32_t partition);
    void *argument;
};

struct pay_appender_counters {
    uint64_t acknowledged, failed, odd, expired, abandoned, late, replaced;
    uint64_t refused_budget, refused_draining, refused_unreachable, refused_stalled;
};

/* NULL: *ret_message says why (settings; never an unreachable broker). */
struct pay_appender *pay_appender_open(const struct pay_appender_options *options, char *ret_message,
                                       size_t message_size);

struct pay_append {
    const char *order_id; /* the key */
    const void *value;
    size_t value_length;
    const struct pay_header *headers;
    size_t header_count;
    bool bulk;   /* one of very many at once: they may wait for each other, for some milliseconds */
    void *owner; /* never NULL */
    pay_call_done *done;
};

/* True: taken, `done` will come, and *ret_call is good until then. False: *ret_reason says why not, as a sentence for the client. */
bool pay_appender_submit(struct pay_appender *appender, const struct pay_append *record, struct pay_call **ret_call,
                         const char **ret_reason);
/* The client went away: no `done`; the record stays on its way. */
void pay_appender_forget(struct pay_appender *appender, struct pay_call *call);

void pay_appender_run(struct pay_appender *appender);  /* takes reports; never blocks */
void pay_appender_look(struct pay_appender *appender); /* takes what the probe found */
void pay_appender_tick(
    struct pay_appender *appender); /* deadlines, replacing, reopening: cheap, in every turn of the loop */
int64_t pay_appender_next_us(
    struct pay_appender *appender); /* when the next deadline is (pay_clock_us), INT64_MAX: none */

void pay_appender_drain(struct pay_appender *appender); /* from now on every submit is refused */
bool pay_appender_ready(struct pay_appender *appender, char *reason, size_t reason_size);
const struct pay_pending *pay_appender_pending(const struct pay_appender *appender);
int32_t pay_appender_producers_in_use(
    const struct pay_appender *appender); /* share the partitions, as the brokers' distance asks for */
const struct pay_appender_counters *pay_appender_counters(const struct pay_appender *appender);

/* Calls still under way are done without a position. Never blocks; NULL is fine. */
void pay_appender_close(struct pay_appender *appender);

#endif
