/* stream_kafka_group.c - what next_event tells: the group's rebalances first, then troubles. */
#include "worker/stream_kafka_internal.h"

#include "base/clock.h"

#include <unistd.h>

#define LOOK_EVERYWHERE_MS 1000 /* a wake-up that was lost costs at most this */

static void look_everywhere(struct stream_kafka *self, int64_t now_ms) {
    if (now_ms - self->looked_ms < LOOK_EVERYWHERE_MS) return;
    self->looked_ms = now_ms;
    self->ready = ~0ull;
}

static void tell_group_event(struct stream_kafka *self, const struct pay_kafka_group_event *event,
                             struct pay_stream_event *ret_event) {
    static const enum pay_stream_event_kind kinds[] = {
        [PAY_KAFKA_GROUP_NOTHING] = PAY_STREAM_NOTHING, [PAY_KAFKA_GROUP_ASSIGNED] = PAY_STREAM_ASSIGNED,
        [PAY_KAFKA_GROUP_REVOKED] = PAY_STREAM_REVOKED, [PAY_KAFKA_GROUP_LOST] = PAY_STREAM_LOST,
        [PAY_KAFKA_GROUP_TROUBLE] = PAY_STREAM_NOTHING, /* goes by the list of troubles, which limits the rate */
    };
    if (event->kind == PAY_KAFKA_GROUP_TROUBLE) pay_sk_trouble(self, -1, &event->error);
    ret_event->kind = kinds[event->kind];
    ret_event->partitions = event->partitions;
    ret_event->partition_count = event->partition_count;
}

static void next_group_event(struct stream_kafka *self, struct pay_stream_event *ret_event) {
    struct pay_kafka_group_event event = {.kind = PAY_KAFKA_GROUP_NOTHING};
    if (!pay_sk_is_ready(self, READY_GROUP)) return;
    do {
        pay_kafka_group_next(self->group, &event);
        tell_group_event(self, &event, ret_event);
    } while (event.kind == PAY_KAFKA_GROUP_TROUBLE);
    if (event.kind == PAY_KAFKA_GROUP_NOTHING) self->ready &= ~READY_GROUP;
}

static void drain_self(struct stream_kafka *self) {
    uint64_t count;
    (void)!read(self->self_fd, &count, sizeof count);
    self->ready &= ~READY_SELF;
}

void pay_sk_next_event(struct pay_stream *stream, struct pay_stream_event *ret_event) {
    struct stream_kafka *self = pay_self_of(stream);
    int64_t now_ms = pay_clock_ms();
    *ret_event = (struct pay_stream_event){.kind = PAY_STREAM_NOTHING, .partition = -1};
    self->looked = false;
    look_everywhere(self, now_ms);
    pay_sk_watchdog(self, now_ms);
    if (self->group != NULL) next_group_event(self, ret_event);
    if (ret_event->kind != PAY_STREAM_NOTHING) return;
    if (self->trouble_count == 0) {
        if (pay_sk_is_ready(self, READY_SELF)) drain_self(self);
        return;
    }
    *ret_event = self->troubles[self->trouble_first];
    self->trouble_first = (self->trouble_first + 1) % TROUBLES_MAX;
    self->trouble_count--;
    self->whole_trouble = self->whole_trouble && ret_event->partition >= 0;
}

void pay_sk_confirm_revoked(struct pay_stream *stream) {
    struct stream_kafka *self = pay_self_of(stream);
    if (self->group != NULL) pay_kafka_group_confirm_revoked(self->group);
}

bool pay_sk_still_assigned(struct pay_stream *stream, int32_t partition) {
    struct stream_kafka *self = pay_self_of(stream);
    if (self->group == NULL) return false;
    bool mine = pay_kafka_group_has(self->group, partition);
    self->ready |= READY_GROUP; /* it may have taken a rebalance in that next_event must still tell */
    if (!mine) pay_sk_nudge(self);
    return mine;
}

void pay_sk_commit_courtesy(struct pay_stream *stream, int32_t partition, int64_t offset) {
    struct stream_kafka *self = pay_self_of(stream);
    if (self->group != NULL) pay_kafka_group_commit(self->group, partition, offset);
}
