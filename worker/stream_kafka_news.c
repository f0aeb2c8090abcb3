/* stream_kafka_news.c - which handle has news, and the troubles that next_event will tell. */
#include "worker/stream_kafka_internal.h"

#include <sys/epoll.h>
#include <unistd.h>

void pay_sk_watch(struct stream_kafka *self, int fd, uint64_t bit) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = bit};
    epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    self->ready |= bit; /* what came before it was watched */
}

void pay_sk_unwatch(struct stream_kafka *self, int fd) { epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, fd, NULL); }

/* Which handles have news. A bit stays until that handle was polled empty. */
bool pay_sk_is_ready(struct stream_kafka *self, uint64_t bits) {
    if ((self->ready & bits) == 0 && !self->looked) {
        struct epoll_event events[READY_SLOT_0 + PAY_PUBLISHERS_MAX];
        int count = epoll_wait(self->epoll_fd, events, sizeof events / sizeof events[0], 0);
        for (int i = 0; i < count; i++) self->ready |= events[i].data.u64;
        self->looked = true; /* once in a pass of the loop: next_event, its first call, looks anew */
    }
    return (self->ready & bits) != 0;
}

void pay_sk_nudge(struct stream_kafka *self) {
    const uint64_t one = 1;
    (void)!write(self->self_fd, &one, sizeof one);
}

void pay_sk_trouble(struct stream_kafka *self, int32_t partition, const struct pay_error *error) {
    if (partition < 0 && self->whole_trouble)
        return; /* errors of connections come in bursts: one that waits to be told says enough */
    if (self->trouble_count == TROUBLES_MAX) { /* too many at once: whatever it was, it concerns everything now */
        self->trouble_count = 0;
        partition = -1;
    }
    uint32_t at = (self->trouble_first + self->trouble_count++) % TROUBLES_MAX;
    self->troubles[at] = (struct pay_stream_event){.kind = PAY_STREAM_TROUBLE, .partition = partition, .error = *error};
    self->whole_trouble = self->whole_trouble || partition < 0;
    pay_sk_nudge(self);
}

enum pay_move pay_sk_not_open(struct pay_error *error) {
    *error = (struct pay_error){.move = PAY_AGAIN, .text = "the stream isn't open"};
    return PAY_AGAIN;
}
