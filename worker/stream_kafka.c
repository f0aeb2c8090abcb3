#include "worker/stream_kafka_internal.h"

#include "base/clock.h"
#include "kafka/kafka_check.h"
#include "kafka/kafka_reaper.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A claim scan that reads to the end leaves an empty fetch behind, which the next scan waits for. */
#define LOOK_FETCH_WAIT_MS 1
/* An anchor is one record: what is fetched beside it is wasted (262144: 8 ms an anchor, 65536: 3). */
#define LOOK_FETCH_BYTES 65536

static enum pay_move check_topics(struct stream_kafka *self, struct pay_error *error) {
    struct pay_kafka_admin *admin = NULL;
    struct pay_kafka_report_card *card = calloc(1, sizeof *card);
    assert(card != NULL);
    const struct pay_kafka_topic_names names = {self->request_topic, self->reply_topic, self->dead_letter_topic};
    enum pay_move move = pay_kafka_admin_open(&self->kafka, &admin, error);
    if (move == PAY_OK) move = pay_kafka_check_all(admin, &names, self->call_timeout_ms, card, error);
    if (move == PAY_OK && pay_kafka_check_failures(card, error) > 0) {
        bool usable = card->request.exists && card->reply.exists && card->dead_letter.exists &&
                      card->request.partitions == card->reply.partitions;
        move = self->allow_unsafe_topics && usable ? PAY_OK : PAY_REFUSE;
    }
    if (move == PAY_OK) {
        self->partitions = (uint32_t)card->request.partitions;
        self->reply_bytes_max = card->reply.message_bytes_max;
        self->dead_letter_bytes_max = card->dead_letter.message_bytes_max;
        snprintf(self->base.cluster_id, sizeof self->base.cluster_id, "%s", card->cluster_id);
    }
    pay_kafka_admin_close(admin);
    free(card);
    return move;
}

static enum pay_move open_handles(struct stream_kafka *self, struct pay_error *error) {
    struct pay_kafka_reader_options look = {self->kafka, self->group_name, false, LOOK_FETCH_WAIT_MS, LOOK_FETCH_BYTES};
    look.kafka.client_id = "paybuf-worker-look";
    enum pay_move move = pay_kafka_reader_open(&look, &self->look, error);
    if (move == PAY_OK) move = pay_sk_open_lanes(self, error);
    struct pay_kafka_group_options group = {self->kafka, self->group_name, self->request_topic};
    group.kafka.client_id = "paybuf-worker-group";
    if (move == PAY_OK) move = pay_kafka_group_open(&group, &self->group, error);
    if (move == PAY_OK) pay_sk_watch(self, pay_kafka_group_descriptor(self->group), READY_GROUP);
    return move;
}

static void close_handles(struct stream_kafka *self, int64_t timeout_ms) {
    if (self->group != NULL) pay_sk_unwatch(self, pay_kafka_group_descriptor(self->group));
    pay_kafka_group_close(self->group, timeout_ms);
    self->group = NULL;
    pay_sk_close_lanes(self);
    pay_kafka_reader_close(self->look);
    self->look = NULL;
}

static enum pay_move stream_open(struct pay_stream *stream, struct pay_error *error) {
    struct stream_kafka *self = pay_self_of(stream);
    if (self->group != NULL) return PAY_OK;
    enum pay_move move = check_topics(self, error);
    if (move != PAY_OK) return move;
    free(self->fetched);
    self->fetched = calloc(self->partitions, sizeof *self->fetched);
    assert(self->fetched != NULL);
    move = open_handles(self, error);
    if (move != PAY_OK) close_handles(self, 0);
    return move;
}

static uint32_t stream_partition_count(struct pay_stream *stream) { return pay_self_of(stream)->partitions; }

/* Records that can't be taken must not wake the loop: their descriptor stays in the set, with no event asked for. */
static int stream_descriptor(struct pay_stream *stream, bool wants_records) {
    struct stream_kafka *self = pay_self_of(stream);
    if (self->lanes != NULL && wants_records == self->records_muted) {
        struct epoll_event event = {.events = wants_records ? EPOLLIN : 0, .data.u64 = READY_LANES};
        epoll_ctl(self->epoll_fd, EPOLL_CTL_MOD, pay_kafka_reader_descriptor(self->lanes), &event);
        self->records_muted = !wants_records;
    }
    return self->epoll_fd;
}

static void stream_close(struct pay_stream *stream, int64_t timeout_ms) {
    struct stream_kafka *self = pay_self_of(stream);
    int64_t until = pay_clock_ms() + timeout_ms;
    for (uint32_t slot = 0; slot < PAY_PUBLISHERS_MAX; slot++) pay_sk_close_publisher(stream, slot);
    pay_sk_reset_dead_letters(stream);
    close_handles(self, timeout_ms / 2);
    int64_t left = until - pay_clock_ms();
    pay_kafka_reaper_wait(left > 0 ? left : 0);
    close(self->epoll_fd);
    close(self->self_fd);
    free(self->fetched);
    free(self->settings);
    free(self);
}

static const struct pay_stream_ops ops = {
    .open = stream_open,
    .partition_count = stream_partition_count,
    .next_event = pay_sk_next_event,
    .confirm_revoked = pay_sk_confirm_revoked,
    .still_assigned = pay_sk_still_assigned,
    .commit_courtesy = pay_sk_commit_courtesy,
    .fetch = pay_sk_fetch,
    .stop_fetch = pay_sk_stop_fetch,
    .next_record = pay_sk_next_record,
    .request_bounds = pay_sk_request_bounds,
    .reply_bounds = pay_sk_reply_bounds,
    .read_replies = pay_sk_read_replies,
    .read_anchor = pay_sk_read_anchor,
    .open_publisher = pay_sk_open_publisher,
    .close_publisher = pay_sk_close_publisher,
    .publish = pay_sk_publish,
    .dead_letter = pay_sk_dead_letter,
    .reset_dead_letters = pay_sk_reset_dead_letters,
    .next_report = pay_sk_next_report,
    .descriptor = stream_descriptor,
    .close = stream_close,
};

struct pay_stream *pay_stream_kafka_new(const struct pay_stream_kafka_options *options) {
    struct stream_kafka *self = calloc(1, sizeof *self);
    assert(self != NULL);
    self->base.ops = &ops;
    self->settings = calloc(options->setting_count + 1u, sizeof *self->settings);
    assert(self->settings != NULL);
    memcpy(self->settings, options->settings, options->setting_count * sizeof *self->settings);
    self->kafka = (struct pay_kafka_options){self->settings, options->setting_count, "paybuf-worker", options->log,
                                             options->log_argument};
    snprintf(self->request_topic, sizeof self->request_topic, "%s", options->request_topic);
    snprintf(self->reply_topic, sizeof self->reply_topic, "%s", options->reply_topic);
    snprintf(self->dead_letter_topic, sizeof self->dead_letter_topic, "%s", options->dead_letter_topic);
    snprintf(self->group_name, sizeof self->group_name, "%s", options->group);
    self->linger_ms = options->linger_ms;
    self->call_timeout_ms = options->call_timeout_ms;
    self->allow_unsafe_topics = options->allow_unsafe_topics;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->self_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert(self->epoll_fd >= 0 && self->self_fd >= 0);
    pay_sk_watch(self, self->self_fd, READY_SELF);
    return &self->base;
}

void pay_stream_kafka_set_ledger_id(struct pay_stream *stream, const char *ledger_id) {
    snprintf(pay_self_of(stream)->ledger_id, sizeof pay_self_of(stream)->ledger_id, "%s", ledger_id);
}
