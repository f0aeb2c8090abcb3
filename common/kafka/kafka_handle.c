/* kafka_handle.c - one rd_kafka_t, its queue, its eventfd. */
#include "kafka/kafka_reaper_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static rd_kafka_queue_t *queue_of(rd_kafka_t *rk, enum pay_kafka_role role) {
    if (role == PAY_KAFKA_PRODUCER) return rd_kafka_queue_get_main(rk);
    rd_kafka_poll_set_consumer(rk); /* everything to one queue */
    return rd_kafka_queue_get_consumer(rk);
}

static enum pay_move start(struct pay_kafka_handle *handle, enum pay_kafka_role role, rd_kafka_conf_t *conf,
                           struct pay_error *error) {
    char why[PAY_KAFKA_ERRSTR_MAX];
    handle->rk =
        rd_kafka_new(role == PAY_KAFKA_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (handle->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return pay_kafka_fail(error, RD_KAFKA_RESP_ERR__INVALID_ARG, "[kafka] the settings don't make a client", why);
    }
    handle->queue = queue_of(handle->rk, role);
    rd_kafka_set_log_queue(handle->rk, handle->queue);
    const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(handle->queue, handle->wake_fd, &one, sizeof one);
    (void)!write(handle->wake_fd, &one,
                 sizeof one); /* what came before (log lines) made the queue not empty without a wake-up */
    return PAY_OK;
}

enum pay_move pay_kafka_handle_open(const struct pay_kafka_options *options, enum pay_kafka_role role,
                                    const struct pay_kafka_fixed *fixed, int events,
                                    struct pay_kafka_handle **ret_handle, struct pay_error *error) {
    if (!pay_kafka_reaper_has_room())
        return pay_kafka_fail(error, RD_KAFKA_RESP_ERR__TIMED_OUT, "kafka",
                              "too many old connections are still closing; waiting for them");
    rd_kafka_conf_t *conf = NULL;
    enum pay_move move = pay_kafka_conf_new(options, role, fixed, &conf, error);
    if (move != PAY_OK) return move;
    rd_kafka_conf_set_events(conf, events | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
    struct pay_kafka_handle *handle = calloc(1, sizeof *handle);
    assert(handle != NULL);
    handle->log = options->log;
    handle->log_argument = options->log_argument;
    handle->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (handle->wake_fd < 0) {
        rd_kafka_conf_destroy(conf);
        free(handle);
        return pay_kafka_fail(error, RD_KAFKA_RESP_ERR__TRANSPORT, "no descriptor for a Kafka client", strerror(errno));
    }
    move = start(handle, role, conf, error);
    if (move != PAY_OK) {
        close(handle->wake_fd);
        free(handle);
        return move;
    }
    *ret_handle = handle;
    return PAY_OK;
}

void pay_kafka_handle_release(struct pay_kafka_handle *handle) {
    if (handle == NULL) return;
    /* First disable, then close: a late wake-up must never be written to a descriptor that meanwhile is somebody else's connection. */
    rd_kafka_queue_io_event_enable(handle->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(handle->queue);
    handle->queue = NULL;
    close(handle->wake_fd);
    handle->wake_fd = -1;
    pay_kafka_reap(handle);
}

static void take_log(const struct pay_kafka_handle *handle, rd_kafka_event_t *event) {
    const char *facility = NULL;
    const char *text = NULL;
    int level = 0;
    if (handle->log != NULL && rd_kafka_event_log(event, &facility, &text, &level) == 0)
        handle->log(handle->log_argument, level, facility, text);
}

/* True when the error is about the whole handle; it is kept for take_trouble then. */
static bool take_error(struct pay_kafka_handle *handle, rd_kafka_event_t *event) {
    rd_kafka_topic_partition_t *place = rd_kafka_event_topic_partition(event);
    if (place != NULL) {
        rd_kafka_topic_partition_destroy(place);
        return false;
    }
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const char *why = rd_kafka_event_error_string(event);
    char fatal_why[PAY_KAFKA_ERRSTR_MAX];
    if (code == RD_KAFKA_RESP_ERR__FATAL || rd_kafka_event_error_is_fatal(event)) {
        handle->fatal = true;
        code = rd_kafka_fatal_error(handle->rk, fatal_why, sizeof fatal_why);
        why = code != RD_KAFKA_RESP_ERR_NO_ERROR ? fatal_why : why;
    }
    pay_kafka_fail(&handle->trouble, code, "kafka", why);
    if (handle->fatal) handle->trouble.move = PAY_SESSION_OVER;
    handle->has_trouble = true;
    return true;
}

rd_kafka_event_t *pay_kafka_handle_poll(struct pay_kafka_handle *handle, int timeout_ms) {
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(handle->queue, timeout_ms)) != NULL) {
        switch (rd_kafka_event_type(event)) {
        case RD_KAFKA_EVENT_LOG: take_log(handle, event); break;
        case RD_KAFKA_EVENT_ERROR:
            if (!take_error(handle, event)) return event;
            break;
        default: return event;
        }
        rd_kafka_event_destroy(event);
        timeout_ms = 0; /* a log line doesn't make the caller wait twice */
    }
    return NULL;
}

void pay_kafka_handle_drain(const struct pay_kafka_handle *handle) {
    uint64_t count;
    (void)!read(handle->wake_fd, &count, sizeof count); /* EAGAIN when nothing woke us */
}
