/*
 * kafka_admin.h - asks a cluster about itself and its topics, and creates topics.
 *
 * Every call asks the brokers and waits at most timeout_ms; AGAIN: not reachable within it. Nothing is cached.
 * Memory: plain values. Threads: one per handle.
 */
#ifndef PAY_KAFKA_KAFKA_ADMIN_H
#define PAY_KAFKA_KAFKA_ADMIN_H

#include "core/limits.h"
#include "kafka/kafka_conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pay_kafka_admin;

enum pay_move pay_kafka_admin_open(const struct pay_kafka_options *options, struct pay_kafka_admin **ret_admin,
                                   struct pay_error *error);
void pay_kafka_admin_close(struct pay_kafka_admin *admin); /* never blocks; NULL is fine */

/* The cluster's own id, and how many brokers it has now. */
enum pay_move pay_kafka_admin_cluster(struct pay_kafka_admin *admin, int64_t timeout_ms, char *ret_id, size_t id_size,
                                      int32_t *ret_brokers, struct pay_error *error);

/* What the product needs to know of a topic; settings as they are in force, from wherever. */
struct pay_kafka_topic {
    char name[PAY_TOPIC_MAX + 1];
    bool exists; /* false: nothing below means anything */
    int32_t partitions;
    int32_t replicas;        /* of the partition that has the fewest */
    char timestamp_type[24]; /* message.timestamp.type */
    char cleanup_policy[32];
    int64_t retention_ms;    /* -1: for ever */
    int64_t retention_bytes; /* -1: no bound */
    int64_t message_bytes_max;
    int32_t in_sync_min; /* min.insync.replicas */
    bool unclean_election;
};

enum pay_move pay_kafka_admin_topic(struct pay_kafka_admin *admin, const char *name, int64_t timeout_ms,
                                    struct pay_kafka_topic *ret_topic, struct pay_error *error);

struct pay_kafka_topic_setting {
    const char *name; /* as Kafka spells it */
    const char *value;
};

struct pay_kafka_new_topic {
    const char *name;
    int32_t partitions;
    int32_t replicas; /* -1: the broker's default */
    const struct pay_kafka_topic_setting *settings;
    uint32_t setting_count;
};

/* Creates one topic and waits until the controller has it. *ret_created = false, and OK, when it is there already (as it is). */
enum pay_move pay_kafka_admin_create(struct pay_kafka_admin *admin, const struct pay_kafka_new_topic *topic,
                                     int64_t timeout_ms, bool *ret_created, struct pay_error *error);

#endif
