#include "kafka/kafka_group.h"

#include "base/clock.h"
#include "core/limits.h"
#include "kafka/kafka_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pay_kafka_group {
    struct pay_kafka_handle *handle;
    char topic[PAY_TOPIC_MAX + 1];
    int32_t *partitions; /* mine, as the group said last */
    uint32_t partition_count;
    enum pay_kafka_group_event_kind pending;    /* a rebalance that next() hasn't told yet */
    bool revoking;                              /* confirm_revoked is due */
    rd_kafka_topic_partition_list_t *to_commit; /* the newest offsets that no commit has carried yet */
    bool commit_in_flight;
    int64_t commit_sent_ms;
};

/* One commit at a time, all partitions in it. A broker answers one request per connection at a time, and with replicas a commit takes
   its time: one for each batch would let the heartbeats wait behind them until the group throws this member out [run]. */
#define COMMIT_INTERVAL_MS 1000

static enum pay_move subscribe(struct pay_kafka_group *group, struct pay_error *error) {
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, group->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(group->handle->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? PAY_OK : pay_kafka_fail(error, code, "joining the group", NULL);
}

enum pay_move pay_kafka_group_open(const struct pay_kafka_group_options *options, struct pay_kafka_group **ret_group,
                                   struct pay_error *error) {
    const struct pay_kafka_fixed fixed[] = {
        {"group.id", options->group, false},
        {"partition.assignment.strategy", "range", false},
        {"session.timeout.ms", "10000", false},
        {"heartbeat.interval.ms", "1000", false}, /* the heartbeat's answer is how a member hears of a rebalance */
        {"enable.auto.commit", "false", false},
        {"enable.auto.offset.store", "false", false},
        /* It never fetches: paused as soon as assigned, at the log's end, and what slips through is dropped. */
        {"auto.offset.reset", "latest", false},
        {"queued.min.messages", "1", false},
        {"queued.max.messages.kbytes", "64", false},
        {"fetch.message.max.bytes", "1024", false},
        {NULL, NULL, false},
    };
    struct pay_kafka_group *group = calloc(1, sizeof *group);
    assert(group != NULL);
    snprintf(group->topic, sizeof group->topic, "%s", options->topic);
    enum pay_move move = pay_kafka_handle_open(&options->kafka, PAY_KAFKA_CONSUMER, fixed, RD_KAFKA_EVENT_REBALANCE,
                                               &group->handle, error);
    if (move != PAY_OK) {
        free(group);
        return move;
    }
    group->to_commit = rd_kafka_topic_partition_list_new(0);
    move = subscribe(group, error);
    if (move != PAY_OK) {
        pay_kafka_group_close(group, 0);
        return move;
    }
    *ret_group = group;
    return PAY_OK;
}

static void assigned(struct pay_kafka_group *group, const rd_kafka_topic_partition_list_t *list) {
    uint32_t count = (uint32_t)list->cnt;
    rd_kafka_topic_partition_list_t *at_end = rd_kafka_topic_partition_list_new(list->cnt);
    free(group->partitions);
    group->partitions = calloc(count + 1u, sizeof *group->partitions);
    assert(group->partitions != NULL);
    for (uint32_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_list_add(at_end, list->elems[i].topic, list->elems[i].partition)->offset =
            RD_KAFKA_OFFSET_END;
        group->partitions[i] = list->elems[i].partition;
    }
    group->partition_count = count;
    rd_kafka_assign(group->handle->rk, at_end);
    rd_kafka_pause_partitions(group->handle->rk, at_end);
    rd_kafka_topic_partition_list_destroy(at_end);
    group->pending = PAY_KAFKA_GROUP_ASSIGNED;
}

static void rebalance(struct pay_kafka_group *group, rd_kafka_event_t *event) {
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assigned(group, rd_kafka_event_topic_partition_list(event));
        return;
    }
    /* A revocation, or a rebalance that failed: all is gone. The library waits for assign(NULL). */
    group->revoking = true;
    group->pending = rd_kafka_assignment_lost(group->handle->rk) ? PAY_KAFKA_GROUP_LOST : PAY_KAFKA_GROUP_REVOKED;
}

static void forget_noted(struct pay_kafka_group *group) {
    rd_kafka_topic_partition_list_destroy(group->to_commit);
    group->to_commit = rd_kafka_topic_partition_list_new(0);
}

static void commit_noted(struct pay_kafka_group *group) {
    if (group->to_commit->cnt == 0 || group->commit_in_flight) return;
    group->commit_in_flight = rd_kafka_commit_queue(group->handle->rk, group->to_commit, group->handle->queue, NULL,
                                                    NULL) == RD_KAFKA_RESP_ERR_NO_ERROR;
    group->commit_sent_ms = pay_clock_ms();
    forget_noted(group);
}

static void commit_if_due(struct pay_kafka_group *group) {
    if (pay_clock_ms() - group->commit_sent_ms >= COMMIT_INTERVAL_MS) commit_noted(group);
}

/* Takes events until a rebalance is pending or nothing is left. */
static void poll_group(struct pay_kafka_group *group) {
    bool drained = false;
    while (group->pending == PAY_KAFKA_GROUP_NOTHING) {
        rd_kafka_event_t *event = pay_kafka_handle_poll(group->handle, 0);
        if (event == NULL && drained) return;
        if (event == NULL) {
            pay_kafka_handle_drain(group->handle);
            drained = true;
            continue;
        }
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) rebalance(group, event);
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_OFFSET_COMMIT) group->commit_in_flight = false;
        rd_kafka_event_destroy(event); /* a record or a partition's error: not this handle's business */
    }
}

void pay_kafka_group_next(struct pay_kafka_group *group, struct pay_kafka_group_event *ret_event) {
    poll_group(group);
    commit_if_due(group);
    ret_event->kind = group->pending;
    ret_event->partitions = group->partitions;
    ret_event->partition_count = group->partition_count;
    group->pending = PAY_KAFKA_GROUP_NOTHING;
    if (ret_event->kind == PAY_KAFKA_GROUP_NOTHING && group->handle->has_trouble) {
        ret_event->kind = PAY_KAFKA_GROUP_TROUBLE;
        ret_event->error = group->handle->trouble;
        group->handle->has_trouble = false;
    }
}

void pay_kafka_group_confirm_revoked(struct pay_kafka_group *group) {
    if (!group->revoking) return;
    group->revoking = false;
    group->partition_count = 0;
    commit_noted(group);
    forget_noted(group); /* they are another member's now: an old offset must not overwrite his */
    rd_kafka_assign(group->handle->rk, NULL);
}

bool pay_kafka_group_has(struct pay_kafka_group *group, int32_t partition) {
    poll_group(group);
    if (group->revoking) return false;
    for (uint32_t i = 0; i < group->partition_count; i++) {
        if (group->partitions[i] == partition) return true;
    }
    return false;
}

void pay_kafka_group_commit(struct pay_kafka_group *group, int32_t partition, int64_t offset) {
    rd_kafka_topic_partition_t *noted = rd_kafka_topic_partition_list_find(group->to_commit, group->topic, partition);
    if (noted == NULL) noted = rd_kafka_topic_partition_list_add(group->to_commit, group->topic, partition);
    noted->offset = offset;
    commit_if_due(group);
}

int pay_kafka_group_descriptor(const struct pay_kafka_group *group) { return group->handle->wake_fd; }

/* True when the group was left within the time. */
static bool leave(struct pay_kafka_group *group, int64_t timeout_ms) {
    int64_t until = pay_clock_ms() + timeout_ms;
    rd_kafka_error_t *why = rd_kafka_consumer_close_queue(group->handle->rk, group->handle->queue);
    if (why != NULL) {
        rd_kafka_error_destroy(why);
        return false;
    }
    while (!rd_kafka_consumer_closed(group->handle->rk)) {
        if (pay_clock_ms() >= until) return false;
        rd_kafka_event_t *event = pay_kafka_handle_poll(group->handle, 20);
        if (event == NULL) continue;
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) rd_kafka_assign(group->handle->rk, NULL);
        rd_kafka_event_destroy(event);
    }
    return true;
}

void pay_kafka_group_close(struct pay_kafka_group *group, int64_t timeout_ms) {
    if (group == NULL) return;
    pay_kafka_group_confirm_revoked(group);
    if (timeout_ms > 0) {
        commit_noted(group);
        leave(group, timeout_ms);
    }
    pay_kafka_handle_release(group->handle);
    rd_kafka_topic_partition_list_destroy(group->to_commit);
    free(group->partitions);
    free(group);
}
