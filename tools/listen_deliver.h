/*
 * listen_deliver.h - hands replies to somebody who may fail: a command, an HTTP endpoint. Nothing is skipped.
 *
 * In each partition one reply is handed over at a time, in order (so the replies of an order never overtake each other); partitions
 * go beside each other. One that isn't taken is tried again after a growing, jittered pause, while its partition waits.
 * The state holds what was taken, never what is under way: after SIGTERM a restart goes on exactly there; after SIGKILL what
 * was taken since the last saved state (200 ms) and what was under way is handed over again, with the same id.
 * At most LISTEN_WAITING_MAX replies wait in a partition; where one has as many, all wait.
 * Memory: listen_deliver frees what it made. Threads: one per listen_delivery; `stopping` may be set by another.
 */
#ifndef PAY_TOOLS_LISTEN_DELIVER_H
#define PAY_TOOLS_LISTEN_DELIVER_H

#include "tools/listen_filter.h"
#include "tools/listen_template.h"
#include "tools/state_file.h"
#include "tools/tool.h"

#include <stdatomic.h>

#define LISTEN_WAITING_MAX 64
#define LISTEN_ID_MAX 128

struct listen_item {
    struct paybuf_listener_position position;
    char id[LISTEN_ID_MAX]; /* ledger id and "g-p-o": the same at every try */
    char *value;            /* or the line that the template made of it */
    size_t length;
    bool passed_over; /* by the filter: only its position counts */
};

enum listen_taken {
    LISTEN_UNDER_WAY,
    LISTEN_TAKEN,
    LISTEN_NOT_TAKEN, /* again later */
    LISTEN_GONE       /* never again: end */
};

/* How a reply is handed over. `job` is the port's own. */
struct listen_port {
    void *self;
    const char *name; /* for messages */
    int64_t pause_ms; /* before the second try; then about twice as long each time */
    int64_t pause_most_ms;
    int64_t tries_most; /* of one reply, then the end; 0: no bound */
    void *(*begin)(void *self, const struct listen_item *item);
    /* *ret_why on NOT_TAKEN and GONE; *ret_pause_ms, when set, is at least waited for. Not UNDER_WAY: the job is gone. */
    enum listen_taken (*look)(void *self, void *job, char *ret_why, size_t why_size, int64_t *ret_pause_ms);
    void (*wait)(void *self, int64_t timeout_ms); /* until something of the jobs moved */
    void (*drop)(void *self, void *job);
};

struct listen_delivery {
    struct tool *tool;
    struct paybuf_listener *listener;
    const struct listen_filter *filter;
    const struct listen_template *template; /* NULL: the value is handed over */
    const struct listen_port *port;
    const char *state_path; /* NULL: none */
    int64_t max, idle_ms;   /* 0: none */
    atomic_bool *stopping;
    int64_t taken; /* out: by the other side */
};

/* Until `stopping`, max, idle, or the end of all tries. */
enum pay_exit listen_deliver(struct listen_delivery *delivery);

#endif
