#include "kafka/kafka_probe.h"

#include "base/clock.h"
#include "base/thread.h"
#include "core/limits.h"
#include "kafka/kafka_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ASK_TIMEOUT_MS 2000
#define PAUSE_MS 1000        /* between two questions */
#define PAUSE_TROUBLE_MS 200 /* ... as long as they fail, so that recovery is seen soon */

struct pay_kafka_probe {
    pthread_mutex_t lock;
    pthread_cond_t closed;
    bool closing; /* the owner has let go: the thread frees everything */
    struct pay_kafka_probe_state state;
    struct pay_kafka_handle *handle; /* the thread's, from its start on */
    rd_kafka_topic_t *topic;
    char name[PAY_TOPIC_MAX + 1];
    int wake_fd;
};

/* One question. True: the topic is there, with *ret_partitions. */
static bool ask(struct pay_kafka_probe *probe, int32_t *ret_partitions, struct pay_error *error) {
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(probe->handle->rk, 0, probe->topic, &metadata, ASK_TIMEOUT_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        *ret_partitions = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_event_t *event = pay_kafka_handle_poll(probe->handle, 0); /* log lines, and why a connection failed */
    if (event != NULL) rd_kafka_event_destroy(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
    char what[PAY_TOPIC_MAX + 16];
    snprintf(what, sizeof what, "topic %s", probe->name);
    pay_kafka_fail(error, code, what, NULL);
    if (probe->handle->has_trouble && error->move == PAY_AGAIN)
        *error = probe->handle->trouble; /* "connection refused" says more than "timed out" */
    probe->handle->has_trouble = false;
    return false;
}

static void tell(struct pay_kafka_probe *probe, bool answered, int32_t partitions, const struct pay_error *error) {
    const uint64_t one = 1;
    pthread_mutex_lock(&probe->lock);
    if (answered) {
        probe->state = (struct pay_kafka_probe_state){.answered_ms = pay_clock_ms(), .partitions = partitions};
    } else {
        probe->state.failures++;
        snprintf(probe->state.reason, sizeof probe->state.reason, "%s", error->text);
    }
    (void)!write(probe->wake_fd, &one, sizeof one);
    pthread_mutex_unlock(&probe->lock);
}

/* Waits `pause_ms` or until the owner lets go; answers whether it did. */
static bool rest(struct pay_kafka_probe *probe, int64_t pause_ms) {
    int64_t until_ms = pay_clock_ms() + pause_ms;
    pthread_mutex_lock(&probe->lock);
    while (!probe->closing && pay_condition_wait(&probe->closed, &probe->lock, until_ms)) continue;
    bool closing = probe->closing;
    pthread_mutex_unlock(&probe->lock);
    return closing;
}

static void destroy(struct pay_kafka_probe *probe) {
    if (probe->topic != NULL) rd_kafka_topic_destroy(probe->topic);
    pay_kafka_handle_release(probe->handle);
    close(probe->wake_fd);
    pthread_cond_destroy(&probe->closed);
    pthread_mutex_destroy(&probe->lock);
    free(probe);
}

static void *run(void *argument) {
    struct pay_kafka_probe *probe = argument;
    bool answered;
    do {
        struct pay_error error = {.move = PAY_OK};
        int32_t partitions = 0;
        answered = ask(probe, &partitions, &error);
        tell(probe, answered, partitions, &error);
    } while (!rest(probe, answered ? PAUSE_MS : PAUSE_TROUBLE_MS));
    destroy(probe);
    return NULL;
}

enum pay_move pay_kafka_probe_open(const struct pay_kafka_options *options, const char *topic,
                                   struct pay_kafka_probe **ret_probe, struct pay_error *error) {
    static const struct pay_kafka_fixed fixed[] = {{NULL, NULL, false}};
    struct pay_kafka_probe *probe = calloc(1, sizeof *probe);
    assert(probe != NULL);
    enum pay_move move = pay_kafka_handle_open(options, PAY_KAFKA_PRODUCER, fixed, 0, &probe->handle, error);
    if (move != PAY_OK) {
        free(probe);
        return move;
    }
    pay_condition_init(&probe->closed);
    pthread_mutex_init(&probe->lock, NULL);
    snprintf(probe->name, sizeof probe->name, "%s", topic);
    snprintf(probe->state.reason, sizeof probe->state.reason, "the broker hasn't answered yet");
    probe->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    probe->topic = rd_kafka_topic_new(probe->handle->rk, topic, NULL);
    if (probe->topic == NULL || probe->wake_fd < 0 || !pay_thread_start(run, probe)) {
        destroy(probe);
        return pay_kafka_fail(error, RD_KAFKA_RESP_ERR__FAIL, "watching the topic",
                              "no thread or descriptor to be had, or no topic name");
    }
    *ret_probe = probe;
    return PAY_OK;
}

void pay_kafka_probe_look(struct pay_kafka_probe *probe, struct pay_kafka_probe_state *ret_state) {
    uint64_t count;
    pthread_mutex_lock(&probe->lock);
    (void)!read(probe->wake_fd, &count, sizeof count);
    *ret_state = probe->state;
    pthread_mutex_unlock(&probe->lock);
}

int pay_kafka_probe_descriptor(const struct pay_kafka_probe *probe) { return probe->wake_fd; }

void pay_kafka_probe_close(struct pay_kafka_probe *probe) {
    if (probe == NULL) return;
    pthread_mutex_lock(&probe->lock);
    probe->closing = true;
    pthread_cond_signal(&probe->closed);
    pthread_mutex_unlock(&probe->lock);
}
