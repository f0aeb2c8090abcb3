#include "kafka/kafka_admin.h"

#include "kafka/kafka_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pay_kafka_admin {
    struct pay_kafka_handle *handle;
};

enum pay_move pay_kafka_admin_open(const struct pay_kafka_options *options, struct pay_kafka_admin **ret_admin,
                                   struct pay_error *error) {
    static const struct pay_kafka_fixed fixed[] = {{NULL, NULL, false}};
    struct pay_kafka_admin *admin = calloc(1, sizeof *admin);
    assert(admin != NULL);
    enum pay_move move = pay_kafka_handle_open(options, PAY_KAFKA_PRODUCER, fixed, 0, &admin->handle, error);
    if (move != PAY_OK) {
        free(admin);
        return move;
    }
    *ret_admin = admin;
    return PAY_OK;
}

void pay_kafka_admin_close(struct pay_kafka_admin *admin) {
    if (admin == NULL) return;
    pay_kafka_handle_release(admin->handle);
    free(admin);
}

/* A call that timed out with the handle saying why (bad password, refused connection): that reason is the better message. */
static enum pay_move fail(struct pay_kafka_admin *admin, struct pay_error *error, rd_kafka_resp_err_t code,
                          const char *what, const char *detail) {
    rd_kafka_event_t *event = pay_kafka_handle_poll(admin->handle, 0);
    if (event != NULL) rd_kafka_event_destroy(event);
    pay_kafka_fail(error, code, what, detail);
    if (admin->handle->has_trouble && error->move == PAY_AGAIN) {
        *error = admin->handle->trouble;
        admin->handle->has_trouble = false;
    }
    return error->move;
}

enum pay_move pay_kafka_admin_cluster(struct pay_kafka_admin *admin, int64_t timeout_ms, char *ret_id, size_t id_size,
                                      int32_t *ret_brokers, struct pay_error *error) {
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(admin->handle->rk, 0, NULL, &metadata, (int)timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(admin, error, code, "asking the cluster who it is", NULL);
    int32_t brokers = metadata->broker_cnt;
    rd_kafka_metadata_destroy(metadata);
    char *id = rd_kafka_clusterid(admin->handle->rk, (int)timeout_ms);
    if (id == NULL) return fail(admin, error, RD_KAFKA_RESP_ERR__TIMED_OUT, "asking the cluster for its id", NULL);
    snprintf(ret_id, id_size, "%s", id);
    rd_kafka_mem_free(admin->handle->rk, id);
    *ret_brokers = brokers;
    return PAY_OK;
}

static enum pay_move read_layout(struct pay_kafka_admin *admin, int64_t timeout_ms, struct pay_kafka_topic *topic,
                                 struct pay_error *error) {
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(admin->handle->rk, topic->name, NULL);
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_resp_err_t code = rkt == NULL ? RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION
                                           : rd_kafka_metadata(admin->handle->rk, 0, rkt, &metadata, (int)timeout_ms);
    if (rkt != NULL) rd_kafka_topic_destroy(rkt);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(admin, error, code, topic->name, NULL);
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    topic->exists = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (topic->exists) {
        topic->partitions = metadata->topics[0].partition_cnt;
        topic->replicas = INT32_MAX;
        for (int32_t i = 0; i < topic->partitions; i++) {
            int replicas = metadata->topics[0].partitions[i].replica_cnt;
            topic->replicas = replicas < topic->replicas ? replicas : topic->replicas;
        }
    }
    rd_kafka_metadata_destroy(metadata);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return PAY_OK;
    return fail(admin, error, code, topic->name, NULL);
}

static void take_setting(struct pay_kafka_topic *topic, const char *name, const char *value) {
    if (strcmp(name, "message.timestamp.type") == 0)
        snprintf(topic->timestamp_type, sizeof topic->timestamp_type, "%s", value);
    else if (strcmp(name, "cleanup.policy") == 0)
        snprintf(topic->cleanup_policy, sizeof topic->cleanup_policy, "%s", value);
    else if (strcmp(name, "retention.ms") == 0)
        topic->retention_ms = strtoll(value, NULL, 10);
    else if (strcmp(name, "retention.bytes") == 0)
        topic->retention_bytes = strtoll(value, NULL, 10);
    else if (strcmp(name, "max.message.bytes") == 0)
        topic->message_bytes_max = strtoll(value, NULL, 10);
    else if (strcmp(name, "min.insync.replicas") == 0)
        topic->in_sync_min = (int32_t)strtol(value, NULL, 10);
    else if (strcmp(name, "unclean.leader.election.enable") == 0)
        topic->unclean_election = strcmp(value, "true") == 0;
}

static rd_kafka_AdminOptions_t *admin_options(struct pay_kafka_admin *admin, rd_kafka_admin_op_t operation,
                                              int64_t timeout_ms) {
    char why[PAY_KAFKA_ERRSTR_MAX];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(admin->handle->rk, operation);
    rd_kafka_AdminOptions_set_request_timeout(options, (int)timeout_ms, why, sizeof why);
    return options;
}

static enum pay_move take_settings(struct pay_kafka_admin *admin, rd_kafka_event_t *event,
                                   struct pay_kafka_topic *topic, struct pay_error *error) {
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return fail(admin, error, rd_kafka_event_error(event), topic->name, rd_kafka_event_error_string(event));
    size_t count = 0;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    assert(count == 1);
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resources[0]);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return fail(admin, error, code, topic->name, rd_kafka_ConfigResource_error_string(resources[0]));
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[0], &count);
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        take_setting(topic, rd_kafka_ConfigEntry_name(entries[i]), value != NULL ? value : "");
    }
    return PAY_OK;
}

static enum pay_move read_settings(struct pay_kafka_admin *admin, int64_t timeout_ms, struct pay_kafka_topic *topic,
                                   struct pay_error *error) {
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->handle->rk);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic->name);
    rd_kafka_AdminOptions_t *options = admin_options(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout_ms);
    rd_kafka_DescribeConfigs(admin->handle->rk, &resource, 1, options, queue);
    rd_kafka_event_t *event =
        rd_kafka_queue_poll(queue, (int)timeout_ms + 1000); /* the request's own timeout comes first */
    enum pay_move move = event != NULL ? take_settings(admin, event, topic, error)
                                       : fail(admin, error, RD_KAFKA_RESP_ERR__TIMED_OUT, topic->name, NULL);
    if (event != NULL) rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_queue_destroy(queue);
    return move;
}

enum pay_move pay_kafka_admin_topic(struct pay_kafka_admin *admin, const char *name, int64_t timeout_ms,
                                    struct pay_kafka_topic *ret_topic, struct pay_error *error) {
    struct pay_kafka_topic topic = {.retention_ms = -1, .retention_bytes = -1};
    snprintf(topic.name, sizeof topic.name, "%s", name);
    enum pay_move move = read_layout(admin, timeout_ms, &topic, error);
    if (move == PAY_OK && topic.exists) move = read_settings(admin, timeout_ms, &topic, error);
    if (move == PAY_OK) *ret_topic = topic;
    return move;
}

static enum pay_move created(struct pay_kafka_admin *admin, rd_kafka_event_t *event, const char *name,
                             bool *ret_created, struct pay_error *error) {
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return fail(admin, error, rd_kafka_event_error(event), name, rd_kafka_event_error_string(event));
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    assert(count == 1);
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return fail(admin, error, code, name, rd_kafka_topic_result_error_string(results[0]));
    *ret_created = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    return PAY_OK;
}

enum pay_move pay_kafka_admin_create(struct pay_kafka_admin *admin, const struct pay_kafka_new_topic *topic,
                                     int64_t timeout_ms, bool *ret_created, struct pay_error *error) {
    char why[PAY_KAFKA_ERRSTR_MAX];
    rd_kafka_NewTopic_t *request =
        rd_kafka_NewTopic_new(topic->name, topic->partitions, topic->replicas, why, sizeof why);
    if (request == NULL) return pay_kafka_fail(error, RD_KAFKA_RESP_ERR__INVALID_ARG, topic->name, why);
    for (uint32_t i = 0; i < topic->setting_count; i++)
        rd_kafka_NewTopic_set_config(request, topic->settings[i].name, topic->settings[i].value);
    rd_kafka_AdminOptions_t *options = admin_options(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout_ms);
    rd_kafka_AdminOptions_set_operation_timeout(options, (int)timeout_ms, why, sizeof why);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->handle->rk);
    rd_kafka_CreateTopics(admin->handle->rk, &request, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, (int)timeout_ms + 1000);
    enum pay_move move = event != NULL ? created(admin, event, topic->name, ret_created, error)
                                       : fail(admin, error, RD_KAFKA_RESP_ERR__TIMED_OUT, topic->name, NULL);
    if (event != NULL) rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(request);
    return move;
}
