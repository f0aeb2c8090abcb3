/* What the group gives and takes. Eager: ASSIGNED is the whole list, REVOKED takes everything. */
#include "worker/worker_state.h"

static void assigned(struct pay_worker *w, const struct pay_stream_event *event) {
    uint32_t per_slot = (event->partition_count + PAY_PUBLISHERS_MAX - 1) / PAY_PUBLISHERS_MAX;
    if (per_slot < PAY_LANES_PER_PUBLISHER) per_slot = PAY_LANES_PER_PUBLISHER;
    w->joined = true;
    for (uint32_t i = 0; i < event->partition_count; i++) {
        struct pay_lane *lane = worker_lane(w, event->partitions[i]);
        if (lane == NULL) {
            worker_log(w, PAY_WORKER_ERROR, "partition %d is beyond the %u this worker knew at its start; restart it",
                       event->partitions[i], w->lane_count);
            continue;
        }
        w->slot_of[lane->partition] = i / per_slot;
        pay_lane_assign(lane, w->now_ms);
    }
    worker_log(w, PAY_WORKER_INFO, "the group gave me %u partition(s)", event->partition_count);
}

/* Everything of every lane is forgotten; what was settled is in the rows, what wasn't is in the log. */
static void drop_lanes(struct pay_worker *w) {
    if (w->settle_in_flight) {
        w->ledger->ops->settle_abandon(w->ledger);
        w->settle_in_flight = false;
        if (w->settle_written) w->connected = w->agreed = false; /* abandoning dropped the connection */
    }
    worker_stop_all_fetches(w);
    worker_close_all_slots(w);
    for (uint32_t i = 0; i < w->lane_count; i++) {
        if (w->lanes[i].state == PAY_LANE_UNASSIGNED) continue;
        w->session_of[i]++;
        pay_lane_unassign(&w->lanes[i]);
    }
    worker_drop_works(w);
}

/* Errors come in bursts while a broker is away: one line a second. */
static void tell_trouble(struct pay_worker *w, const struct pay_stream_event *event) {
    if (w->trouble_told_ms != 0 && w->now_ms - w->trouble_told_ms < 1000) return;
    w->trouble_told_ms = w->now_ms;
    if (event->partition < 0)
        worker_log(w, PAY_WORKER_WARNING, "Kafka: %s", event->error.text);
    else
        worker_log(w, PAY_WORKER_WARNING, "Kafka, partition %d: %s", event->partition, event->error.text);
}

void worker_observe_group(struct pay_worker *w) {
    struct pay_stream_event event;
    if (!w->stream_open) return;
    for (w->stream->ops->next_event(w->stream, &event); event.kind != PAY_STREAM_NOTHING;
         w->stream->ops->next_event(w->stream, &event)) {
        w->busy = true;
        struct pay_lane *lane = worker_lane(w, event.partition);
        switch (event.kind) {
        case PAY_STREAM_NOTHING: break;
        case PAY_STREAM_ASSIGNED: assigned(w, &event); break;
        case PAY_STREAM_REVOKED:
            worker_stop_all_fetches(w);
            w->revoking = true;
            w->revoke_deadline_ms = w->now_ms + PAY_REVOKE_FLUSH_MS;
            break;
        case PAY_STREAM_LOST:
            drop_lanes(w);
            w->revoking = true;
            w->revoke_deadline_ms = w->now_ms;
            break;
        case PAY_STREAM_TROUBLE:
            tell_trouble(w, &event);
            worker_doubt_anchors(w);
            if (event.partition >= 0 && lane != NULL && lane->state == PAY_LANE_OPEN)
                worker_end_lane(w, lane, w->now_ms, event.error.text);
            break;
        }
    }
}

/* A revoke waits for the last replies and the last empty batch, but not for long: the rest is answered by the next owner. */
void worker_finish_revoke(struct pay_worker *w) {
    if (!w->revoking) return;
    if (!worker_quiet(w) && w->now_ms < w->revoke_deadline_ms) return;
    drop_lanes(w);
    w->revoking = false;
    w->stream->ops->confirm_revoked(w->stream);
    worker_log(w, PAY_WORKER_INFO, "gave all partitions back to the group");
    w->busy = true;
}
