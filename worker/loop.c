#include "worker/worker_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The worker's loop. What a crash after each step costs:
 */
void pay_worker_pass(struct pay_worker *w) {
    w->now_ms = w->options.now_ms(w->options.argument);
    w->busy = false;
    worker_observe_group(w); /* nothing: the group notices and gives the lanes to another worker */
    worker_connect(w);       /* nothing: no lane is touched before the ledger was agreed on */
    worker_claim_lanes(w);   /* one epoch number: the next owner claims again and reads the same logs */
    worker_receive(w);       /* nothing: consuming leaves no trace; dead letters may appear twice, as promised */
    worker_settle(w);        /* before COMMIT nothing; after it the next owner answers from the rows */
    worker_publish(w);       /* some replies appear twice, equal in every member; each reader drops the second */
    worker_acknowledge(w);   /* the same: what is acknowledged is read from the reply log, not from memory */
    worker_finish_revoke(w); /* nothing: the lanes are free either way */
}

struct pay_worker *pay_worker_new(const struct pay_worker_options *options) {
    struct pay_worker *w = calloc(1, sizeof *w);
    if (w == NULL) return NULL;
    w->options = *options;
    w->ledger = options->ledger;
    w->stream = options->stream;
    for (uint32_t i = 0; i < WORKS; i++) {
        w->works[i] = calloc(1, sizeof *w->works[i]);
        if (w->works[i] == NULL) {
            pay_worker_free(w);
            return NULL;
        }
    }
    pay_retry_reset(&w->retry, options->batch_records_max);
    w->now_ms = w->settle_looked_ms = options->now_ms(options->argument);
    return w;
}

void pay_worker_free(struct pay_worker *w) {
    if (w == NULL) return;
    for (uint32_t i = 0; i < WORKS; i++) free(w->works[i]);
    free(w);
}

int64_t pay_worker_wait_ms(const struct pay_worker *w) {
    if (w->busy) return 0;
    int64_t wait_ms = 100;
    if (w->settling != NULL && !w->settle_in_flight && w->settle_at_ms > w->now_ms &&
        w->settle_at_ms - w->now_ms < wait_ms)
        wait_ms = w->settle_at_ms - w->now_ms;
    return wait_ms;
}

bool pay_worker_wants_records(const struct pay_worker *w) { return w->wants_records; }

void pay_worker_drain(struct pay_worker *w) {
    if (w->draining) return;
    w->draining = true;
    worker_stop_all_fetches(w);
}

bool pay_worker_drained(const struct pay_worker *w) { return w->draining && worker_quiet(w); }

const char *pay_worker_refusal(const struct pay_worker *w) { return w->refused ? w->refusal : NULL; }
const struct pay_worker_counters *pay_worker_counters(const struct pay_worker *w) { return &w->counters; }
uint32_t pay_worker_lane_count(const struct pay_worker *w) { return w->lane_count; }
const struct pay_lane *pay_worker_lane(const struct pay_worker *w, uint32_t partition) { return &w->lanes[partition]; }

bool pay_worker_ready(const struct pay_worker *w, char *reason, size_t reason_size) {
    const char *why = NULL;
    if (w->draining)
        why = "draining after SIGTERM";
    else if (!w->stream_open)
        why = "Kafka isn't reachable";
    else if (!w->connected)
        why = "PostgreSQL isn't reachable";
    else if (w->books.halted)
        why = "the ledger is halted; see `paybuf status`";
    else if (!w->agreed)
        why = "the database server was restarted; comparing it with the logs first";
    else if (!w->joined)
        why = "the consumer group hasn't answered yet";
    if (why != NULL) snprintf(reason, reason_size, "%s", why);
    return why == NULL;
}
