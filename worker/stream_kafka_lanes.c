/* stream_kafka_lanes.c - request records of the lanes that are fetched, and the watchdog over them. */
#include "worker/stream_kafka_internal.h"

#include "base/clock.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LANES_FETCH_WAIT_MS                                                                                            \
    100 /* idle lanes ask the broker ten times a second; a lane that is fetched anew waits at most so long */
#define SILENCE_MS 30000 /* PITFALLS: lag and no fetch for so long: new handles */

enum pay_move pay_sk_open_lanes(struct stream_kafka *self, struct pay_error *error) {
    struct pay_kafka_reader_options options = {self->kafka, self->group_name, true, LANES_FETCH_WAIT_MS, 0};
    options.kafka.client_id = "paybuf-worker-lanes";
    enum pay_move move = pay_kafka_reader_open(&options, &self->lanes, error);
    if (move == PAY_OK) pay_sk_watch(self, pay_kafka_reader_descriptor(self->lanes), READY_LANES);
    self->records_muted = false;
    return move;
}

void pay_sk_close_lanes(struct stream_kafka *self) {
    if (self->lanes != NULL) pay_sk_unwatch(self, pay_kafka_reader_descriptor(self->lanes));
    pay_kafka_reader_close(self->lanes);
    self->lanes = NULL;
}

static struct fetched_lane *lane_of(struct stream_kafka *self, int32_t partition) {
    return partition >= 0 && (uint32_t)partition < self->partitions ? &self->fetched[partition] : NULL;
}

/* The topic has grown since it was opened. */
static struct fetched_lane *grow_to(struct stream_kafka *self, int32_t partition) {
    uint32_t wanted = (uint32_t)partition + 1u;
    assert(partition >= 0);
    if (wanted > self->partitions) {
        self->fetched = realloc(self->fetched, wanted * sizeof *self->fetched);
        assert(self->fetched != NULL);
        memset(&self->fetched[self->partitions], 0, (wanted - self->partitions) * sizeof *self->fetched);
        self->partitions = wanted;
    }
    return &self->fetched[partition];
}

enum pay_move pay_sk_fetch(struct pay_stream *stream, int32_t partition, int64_t offset, struct pay_error *error) {
    struct stream_kafka *self = pay_self_of(stream);
    struct fetched_lane *lane = grow_to(self, partition);
    enum pay_move move = self->lanes != NULL ? PAY_OK : pay_sk_open_lanes(self, error);
    if (move == PAY_OK) move = pay_kafka_reader_seek(self->lanes, self->request_topic, partition, offset, error);
    lane->fetching = move == PAY_OK;
    lane->next = offset;
    lane->heard_ms = pay_clock_ms();
    return move;
}

void pay_sk_stop_fetch(struct pay_stream *stream, int32_t partition) {
    struct stream_kafka *self = pay_self_of(stream);
    struct fetched_lane *lane = lane_of(self, partition);
    if (lane == NULL || !lane->fetching) return;
    lane->fetching = false;
    if (self->lanes != NULL) pay_kafka_reader_stop(self->lanes, self->request_topic, partition);
}

enum pay_record_kind pay_sk_next_record(struct pay_stream *stream, struct pay_log_record *ret_record) {
    struct stream_kafka *self = pay_self_of(stream);
    struct pay_kafka_read read;
    /* A trouble is told before the next record: its lane's anchor is read again before that one is settled. */
    while (self->lanes != NULL && self->trouble_count == 0 && pay_sk_is_ready(self, READY_LANES)) {
        pay_kafka_reader_next(self->lanes, 0, &read);
        struct fetched_lane *lane = lane_of(self, read.record.partition);
        switch (read.kind) {
        case PAY_KAFKA_READ_NOTHING:
            self->ready &= ~READY_LANES;
            self->lanes_dry = true;
            break;
        case PAY_KAFKA_READ_TROUBLE: pay_sk_trouble(self, read.record.partition, &read.error); break;
        case PAY_KAFKA_READ_RECORD:
        case PAY_KAFKA_READ_END:
            assert(lane != NULL && lane->fetching);
            lane->heard_ms = pay_clock_ms();
            self->lanes_dry = false;
            lane->next = read.record.offset + (read.kind == PAY_KAFKA_READ_RECORD ? 1 : 0);
            *ret_record = read.record;
            return read.kind == PAY_KAFKA_READ_RECORD ? PAY_RECORD_DATA : PAY_RECORD_END;
        }
    }
    return PAY_RECORD_NONE;
}

static void own_trouble(struct stream_kafka *self, int32_t partition, const char *code, const char *text) {
    struct pay_error error = {.move = PAY_AGAIN};
    snprintf(error.code, sizeof error.code, "%s", code);
    snprintf(error.text, sizeof error.text, "%s", text);
    pay_sk_trouble(self, partition, &error);
}

/* A new reading handle that goes on where the old one stood. */
static void renew_lanes(struct stream_kafka *self, int64_t now_ms) {
    struct pay_error error;
    pay_sk_close_lanes(self);
    enum pay_move move = pay_sk_open_lanes(self, &error);
    for (uint32_t i = 0; i < self->partitions; i++) {
        struct fetched_lane *lane = &self->fetched[i];
        lane->heard_ms = now_ms;
        if (move == PAY_OK && lane->fetching)
            move = pay_kafka_reader_seek(self->lanes, self->request_topic, (int32_t)i, lane->next, &error);
    }
    if (move != PAY_OK) pay_sk_trouble(self, -1, &error); /* the next round of the watchdog tries again */
}

/* Looks at one silent lane. The bounds are asked by the reading handle itself: its end is the last stable offset,
   so a transaction that somebody left open doesn't look like a handle that hangs. */
static void watch_lane(struct stream_kafka *self, int32_t partition, int64_t now_ms) {
    struct fetched_lane *lane = &self->fetched[partition];
    int64_t start = 0;
    int64_t end = 0;
    struct pay_error error;
    int64_t timeout_ms = self->call_timeout_ms < 500 ? self->call_timeout_ms : 500;
    lane->heard_ms = now_ms; /* looked at: the next look is as far away as the next silence */
    if (self->lanes != NULL &&
        pay_kafka_reader_bounds(self->lanes, self->request_topic, partition, timeout_ms, &start, &end, &error) ==
            PAY_OK &&
        lane->next >= end)
        return;
    own_trouble(self, -1, "silence", "records are due and none came for 30 s: reading again with a new connection");
    renew_lanes(self, now_ms);
}

/* Something was delivered that the loop hasn't taken, because it has no room or no database: then it is the loop that is silent. */
static bool is_unread(const struct stream_kafka *self) {
    struct pollfd news = {.fd = self->lanes != NULL ? pay_kafka_reader_descriptor(self->lanes) : -1, .events = POLLIN};
    return !self->lanes_dry || poll(&news, 1, 0) > 0;
}

static void hear_all(struct stream_kafka *self, int64_t now_ms) {
    for (uint32_t i = 0; i < self->partitions; i++) self->fetched[i].heard_ms = now_ms;
}

void pay_sk_watchdog(struct stream_kafka *self, int64_t now_ms) {
    if (self->group == NULL || now_ms - self->watched_ms < 1000) return;
    self->watched_ms = now_ms;
    if (is_unread(self)) {
        hear_all(self, now_ms);
        return;
    }
    for (uint32_t i = 0; i < self->partitions; i++) {
        if (self->fetched[i].fetching && now_ms - self->fetched[i].heard_ms >= SILENCE_MS) {
            watch_lane(self, (int32_t)i, now_ms);
            return; /* one a second: a look may block for half of it */
        }
    }
}
