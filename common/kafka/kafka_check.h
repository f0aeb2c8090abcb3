/*
 * kafka_check.h - the preconditions that topics and cluster must meet (PROMISES, PITFALLS), each with how to fix it.
 * Worker start, `paybuf init` and `paybuf doctor` ask here and nowhere else; and how init makes topics that meet them.
 * Memory: plain values. Threads: one per admin handle.
 */
#ifndef PAY_KAFKA_KAFKA_CHECK_H
#define PAY_KAFKA_KAFKA_CHECK_H

#include "kafka/kafka_admin.h"

#define PAY_KAFKA_MESSAGE_BYTES_MAX 1048576     /* of requests and replies: PITFALLS, at most 1 MiB */
#define PAY_KAFKA_DEAD_LETTER_BYTES_MAX 1179648 /* a whole request with its headers renamed fits: 128 KiB more */
#define PAY_KAFKA_CHECKS_MAX 40

struct pay_kafka_topic_names {
    const char *request;
    const char *reply;
    const char *dead_letter;
};

struct pay_kafka_check {
    char name[PAY_TOPIC_MAX + 48]; /* "pay.requests message.timestamp.type" */
    bool ok;
    bool warning; /* not ok, but the protocol holds without it (one broker, short retention) */
    char found[64];
    char wanted[64];
    char fix[448]; /* a command or a sentence; "" when ok */
};

struct pay_kafka_report_card {
    uint32_t count;
    struct pay_kafka_check checks[PAY_KAFKA_CHECKS_MAX];
    char cluster_id[64];
    int32_t brokers;
    struct pay_kafka_topic request, reply, dead_letter;
};

/* OK: everything was looked at, whatever was found. AGAIN, REFUSE: the cluster couldn't be asked. */
enum pay_move pay_kafka_check_all(struct pay_kafka_admin *admin, const struct pay_kafka_topic_names *names,
                                  int64_t timeout_ms, struct pay_kafka_report_card *ret_card, struct pay_error *error);

/* How many are neither ok nor a mere warning; `error` (REFUSE) names them all when there are any. */
uint32_t pay_kafka_check_failures(const struct pay_kafka_report_card *card, struct pay_error *error);

enum pay_kafka_topic_role { PAY_KAFKA_REQUESTS, PAY_KAFKA_REPLIES, PAY_KAFKA_DEAD_LETTERS };

/* Creates a topic that passes the checks; *ret_created = false when it is there already. `replicas` -1: as many as wanted and possible. */
enum pay_move pay_kafka_create_topic(struct pay_kafka_admin *admin, enum pay_kafka_topic_role role, const char *name,
                                     int32_t partitions, int32_t replicas, int64_t timeout_ms, bool *ret_created,
                                     struct pay_error *error);

#endif
