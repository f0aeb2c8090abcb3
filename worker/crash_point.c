#include "worker/crash_point.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LATE_MS 100
#define NAMES_MAX 64
#define NAME_MAX_BYTES 32
#define KILLED 137 /* as a shell reports SIGKILL */

enum moment { BEFORE, AFTER, LATE };

static struct {
    char name[NAME_MAX_BYTES]; /* "" when nothing is to happen */
    unsigned occurrence;
    enum moment moment;
    int trace_fd;
    struct {
        const char *name;
        unsigned count;
    } seen[NAMES_MAX];
} points = {.trace_fd = -1};

struct crash_ledger {
    struct pay_ledger port;
    struct pay_ledger *inner;
};

struct crash_stream {
    struct pay_stream port;
    struct pay_stream *inner;
};

static struct pay_ledger *ledger_of(struct pay_ledger *port) { return ((struct crash_ledger *)port)->inner; }
static struct pay_stream *stream_of(struct pay_stream *port) { return ((struct crash_stream *)port)->inner; }

/* ---- counting and dying ---- */

static void trace(const char *kind, const char *name, unsigned occurrence) {
    char line[NAME_MAX_BYTES + 32];
    if (points.trace_fd < 0) return;
    int length = snprintf(line, sizeof line, "%s %s:%u\n", kind, name, occurrence);
    (void)!write(points.trace_fd, line, (size_t)length); /* at once: what comes next may be the end */
}

static void die(void) {
    trace("died", points.name, points.occurrence);
    _exit(KILLED);
}

static unsigned count(const char *name) {
    unsigned i = 0;
    while (i < NAMES_MAX && points.seen[i].name != NULL && strcmp(points.seen[i].name, name) != 0) i++;
    if (i == NAMES_MAX) abort();
    points.seen[i].name = name;
    return ++points.seen[i].count;
}

/* Whether this call is the chosen one. */
static bool reach(const char *kind, const char *name) {
    unsigned occurrence = count(name);
    trace(kind, name, occurrence);
    return occurrence == points.occurrence && strcmp(name, points.name) == 0;
}

static bool enter(const char *name) {
    bool chosen = reach("call", name);
    if (chosen && points.moment == BEFORE) die();
    return chosen;
}

static void leave(bool chosen) {
    if (!chosen) return;
    if (points.moment == LATE) usleep(LATE_MS * 1000);
    die();
}

static void brought(const char *name) {
    if (reach("poll", name)) die();
}

/* ---- the ledger ---- */

static enum pay_move ledger_connect(struct pay_ledger *port, struct pay_error *error) {
    bool chosen = enter("ledger.connect");
    enum pay_move answer = ledger_of(port)->ops->connect(ledger_of(port), error);
    leave(chosen);
    return answer;
}

static enum pay_move ledger_read_ledger(struct pay_ledger *port, struct pay_ledger_row *ret_row,
                                        struct pay_error *error) {
    bool chosen = enter("ledger.read");
    enum pay_move answer = ledger_of(port)->ops->read_ledger(ledger_of(port), ret_row, error);
    leave(chosen);
    return answer;
}

static enum pay_move ledger_read_rows(struct pay_ledger *port, struct pay_lane_row *ret_rows, uint32_t capacity,
                                      uint32_t *ret_count, struct pay_error *error) {
    bool chosen = enter("ledger.read_rows");
    enum pay_move answer = ledger_of(port)->ops->read_rows(ledger_of(port), ret_rows, capacity, ret_count, error);
    leave(chosen);
    return answer;
}

static enum pay_move ledger_adopt(struct pay_ledger *port, int64_t expected_incarnation_us, bool *ret_adopted,
                                  struct pay_error *error) {
    bool chosen = enter("ledger.adopt");
    enum pay_move answer = ledger_of(port)->ops->adopt(ledger_of(port), expected_incarnation_us, ret_adopted, error);
    leave(chosen);
    return answer;
}

static enum pay_move ledger_halt_ledger(struct pay_ledger *port, enum pay_halt reason, struct pay_error *error) {
    bool chosen = enter("ledger.halt");
    enum pay_move answer = ledger_of(port)->ops->halt_ledger(ledger_of(port), reason, error);
    leave(chosen);
    return answer;
}

static enum pay_move ledger_claim(struct pay_ledger *port, int32_t partition, const uint8_t *owner,
                                  struct pay_lane_row *ret_row, bool *ret_missing, struct pay_error *error) {
    bool chosen = enter("lane.claim");
    enum pay_move answer = ledger_of(port)->ops->claim(ledger_of(port), partition, owner, ret_row, ret_missing, error);
    leave(chosen);
    return answer;
}

static enum pay_move ledger_create_row(struct pay_ledger *port, int32_t partition, struct pay_error *error) {
    bool chosen = enter("lane.create");
    enum pay_move answer = ledger_of(port)->ops->create_row(ledger_of(port), partition, error);
    leave(chosen);
    return answer;
}

static enum pay_move ledger_halt_lane(struct pay_ledger *port, int32_t partition, const uint8_t *owner,
                                      int64_t owner_epoch, enum pay_halt reason, struct pay_error *error) {
    bool chosen = enter("lane.halt");
    enum pay_move answer =
        ledger_of(port)->ops->halt_lane(ledger_of(port), partition, owner, owner_epoch, reason, error);
    leave(chosen);
    return answer;
}

static enum pay_move ledger_look_up(struct pay_ledger *port, struct pay_batch *batch, struct pay_error *error) {
    bool chosen = enter("answers.look_up");
    enum pay_move answer = ledger_of(port)->ops->look_up(ledger_of(port), batch, error);
    leave(chosen);
    return answer;
}

static enum pay_move ledger_settle_begin(struct pay_ledger *port, struct pay_batch *batch, struct pay_fence *fences,
                                         uint32_t fence_count, struct pay_error *error) {
    bool chosen = enter("settle.begin");
    enum pay_move answer = ledger_of(port)->ops->settle_begin(ledger_of(port), batch, fences, fence_count, error);
    leave(chosen);
    return answer;
}

static enum pay_settle_state ledger_settle_poll(struct pay_ledger *port, int64_t *ret_decided_at_us,
                                                struct pay_error *error) {
    enum pay_settle_state state = ledger_of(port)->ops->settle_poll(ledger_of(port), ret_decided_at_us, error);
    switch (state) {
    case PAY_SETTLE_WAITING: break;
    case PAY_SETTLE_READ: brought("settle.read"); break;
    case PAY_SETTLE_COMMITTED: brought("settle.committed"); break;
    case PAY_SETTLE_FAILED: brought("settle.failed"); break;
    }
    return state;
}

static enum pay_move ledger_settle_write(struct pay_ledger *port, struct pay_error *error) {
    bool chosen = enter("settle.write");
    enum pay_move answer = ledger_of(port)->ops->settle_write(ledger_of(port), error);
    leave(chosen);
    return answer;
}

static void ledger_settle_abandon(struct pay_ledger *port) {
    bool chosen = enter("settle.abandon");
    ledger_of(port)->ops->settle_abandon(ledger_of(port));
    leave(chosen);
}

static enum pay_move ledger_look(struct pay_ledger *port, struct pay_error *error) {
    enum pay_move move = ledger_of(port)->ops->look(ledger_of(port), error);
    if (move != PAY_OK) brought("ledger.lost");
    return move;
}

static int ledger_descriptor(struct pay_ledger *port, bool *ret_wants_write) {
    return ledger_of(port)->ops->descriptor(ledger_of(port), ret_wants_write);
}

static void ledger_close(struct pay_ledger *port) { ledger_of(port)->ops->close(ledger_of(port)); }

/* ---- the stream ---- */

static enum pay_move stream_open(struct pay_stream *port, struct pay_error *error) {
    bool chosen = enter("stream.open");
    enum pay_move answer = stream_of(port)->ops->open(stream_of(port), error);
    leave(chosen);
    memcpy(port->cluster_id, stream_of(port)->cluster_id, sizeof port->cluster_id);
    return answer;
}

static uint32_t stream_partition_count(struct pay_stream *port) {
    return stream_of(port)->ops->partition_count(stream_of(port));
}

static void stream_next_event(struct pay_stream *port, struct pay_stream_event *ret_event) {
    stream_of(port)->ops->next_event(stream_of(port), ret_event);
    switch (ret_event->kind) {
    case PAY_STREAM_NOTHING: break;
    case PAY_STREAM_ASSIGNED: brought("group.assigned"); break;
    case PAY_STREAM_REVOKED: brought("group.revoked"); break;
    case PAY_STREAM_LOST: brought("group.lost"); break;
    case PAY_STREAM_TROUBLE: brought("stream.trouble"); break;
    }
}

static void stream_confirm_revoked(struct pay_stream *port) {
    bool chosen = enter("group.confirm_revoked");
    stream_of(port)->ops->confirm_revoked(stream_of(port));
    leave(chosen);
}

static bool stream_still_assigned(struct pay_stream *port, int32_t partition) {
    bool chosen = enter("group.still_assigned");
    bool answer = stream_of(port)->ops->still_assigned(stream_of(port), partition);
    leave(chosen);
    return answer;
}

static void stream_commit_courtesy(struct pay_stream *port, int32_t partition, int64_t offset) {
    bool chosen = enter("group.commit");
    stream_of(port)->ops->commit_courtesy(stream_of(port), partition, offset);
    leave(chosen);
}

static enum pay_move stream_fetch(struct pay_stream *port, int32_t partition, int64_t offset, struct pay_error *error) {
    bool chosen = enter("fetch.start");
    enum pay_move answer = stream_of(port)->ops->fetch(stream_of(port), partition, offset, error);
    leave(chosen);
    return answer;
}

static void stream_stop_fetch(struct pay_stream *port, int32_t partition) {
    bool chosen = enter("fetch.stop");
    stream_of(port)->ops->stop_fetch(stream_of(port), partition);
    leave(chosen);
}

static enum pay_record_kind stream_next_record(struct pay_stream *port, struct pay_log_record *ret_record) {
    enum pay_record_kind kind = stream_of(port)->ops->next_record(stream_of(port), ret_record);
    if (kind == PAY_RECORD_DATA) brought("record.request");
    if (kind == PAY_RECORD_END) brought("record.end");
    return kind;
}

static enum pay_move stream_request_bounds(struct pay_stream *port, int32_t partition, int64_t *ret_start,
                                           int64_t *ret_end, struct pay_error *error) {
    bool chosen = enter("requests.bounds");
    enum pay_move answer = stream_of(port)->ops->request_bounds(stream_of(port), partition, ret_start, ret_end, error);
    leave(chosen);
    return answer;
}

static enum pay_move stream_reply_bounds(struct pay_stream *port, int32_t partition, int64_t *ret_start,
                                         int64_t *ret_end, struct pay_error *error) {
    bool chosen = enter("replies.bounds");
    enum pay_move answer = stream_of(port)->ops->reply_bounds(stream_of(port), partition, ret_start, ret_end, error);
    leave(chosen);
    return answer;
}

static enum pay_move stream_read_replies(struct pay_stream *port, int32_t partition, int64_t from, int64_t to,
                                         pay_reply_fn each, void *argument, struct pay_error *error) {
    bool chosen = enter("replies.read");
    enum pay_move answer =
        stream_of(port)->ops->read_replies(stream_of(port), partition, from, to, each, argument, error);
    leave(chosen);
    return answer;
}

static enum pay_move stream_read_anchor(struct pay_stream *port, int32_t partition, int64_t offset,
                                        struct pay_anchor *ret_seen, struct pay_error *error) {
    bool chosen = enter("anchor.read");
    enum pay_move answer = stream_of(port)->ops->read_anchor(stream_of(port), partition, offset, ret_seen, error);
    leave(chosen);
    return answer;
}

static enum pay_move stream_open_publisher(struct pay_stream *port, uint32_t slot, struct pay_error *error) {
    bool chosen = enter("publisher.open");
    enum pay_move answer = stream_of(port)->ops->open_publisher(stream_of(port), slot, error);
    leave(chosen);
    return answer;
}

static void stream_close_publisher(struct pay_stream *port, uint32_t slot) {
    bool chosen = enter("publisher.close");
    stream_of(port)->ops->close_publisher(stream_of(port), slot);
    leave(chosen);
}

static enum pay_move stream_publish(struct pay_stream *port, uint32_t slot, const struct pay_outgoing *reply,
                                    struct pay_error *error) {
    bool chosen = enter("reply.publish");
    enum pay_move answer = stream_of(port)->ops->publish(stream_of(port), slot, reply, error);
    leave(chosen);
    return answer;
}

static enum pay_move stream_dead_letter(struct pay_stream *port, const struct pay_outgoing *letter,
                                        struct pay_error *error) {
    bool chosen = enter("letter.publish");
    enum pay_move answer = stream_of(port)->ops->dead_letter(stream_of(port), letter, error);
    leave(chosen);
    return answer;
}

static void stream_reset_dead_letters(struct pay_stream *port) {
    bool chosen = enter("letters.reset");
    stream_of(port)->ops->reset_dead_letters(stream_of(port));
    leave(chosen);
}

static bool stream_next_report(struct pay_stream *port, struct pay_report *ret_report) {
    bool came = stream_of(port)->ops->next_report(stream_of(port), ret_report);
    if (came) brought(ret_report->publisher == PAY_DEAD_LETTER_SLOT ? "letter.report" : "reply.report");
    return came;
}

static int stream_descriptor(struct pay_stream *port, bool wants_records) {
    return stream_of(port)->ops->descriptor(stream_of(port), wants_records);
}

static void stream_close(struct pay_stream *port, int64_t timeout_ms) {
    stream_of(port)->ops->close(stream_of(port), timeout_ms);
}

/* ---- putting them in between ---- */

static const struct pay_ledger_ops ledger_ops = {
    .connect = ledger_connect,
    .read_ledger = ledger_read_ledger,
    .read_rows = ledger_read_rows,
    .adopt = ledger_adopt,
    .halt_ledger = ledger_halt_ledger,
    .claim = ledger_claim,
    .create_row = ledger_create_row,
    .halt_lane = ledger_halt_lane,
    .look_up = ledger_look_up,
    .settle_begin = ledger_settle_begin,
    .settle_poll = ledger_settle_poll,
    .settle_write = ledger_settle_write,
    .settle_abandon = ledger_settle_abandon,
    .look = ledger_look,
    .descriptor = ledger_descriptor,
    .close = ledger_close,
};

static const struct pay_stream_ops stream_ops = {
    .open = stream_open,
    .partition_count = stream_partition_count,
    .next_event = stream_next_event,
    .confirm_revoked = stream_confirm_revoked,
    .still_assigned = stream_still_assigned,
    .commit_courtesy = stream_commit_courtesy,
    .fetch = stream_fetch,
    .stop_fetch = stream_stop_fetch,
    .next_record = stream_next_record,
    .request_bounds = stream_request_bounds,
    .reply_bounds = stream_reply_bounds,
    .read_replies = stream_read_replies,
    .read_anchor = stream_read_anchor,
    .open_publisher = stream_open_publisher,
    .close_publisher = stream_close_publisher,
    .publish = stream_publish,
    .dead_letter = stream_dead_letter,
    .reset_dead_letters = stream_reset_dead_letters,
    .next_report = stream_next_report,
    .descriptor = stream_descriptor,
    .close = stream_close,
};

static bool parse(const char *text) {
    static const char *const moments[] = {[BEFORE] = "before", [AFTER] = "after", [LATE] = "late"};
    char moment[8], rest;
    if (sscanf(text, "%31[a-z._]:%u:%7[a-z]%c", points.name, &points.occurrence, moment, &rest) != 3) return false;
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
        if (strcmp(moment, moments[i]) == 0) return points.moment = (enum moment)i, points.occurrence > 0;
    return false;
}

void pay_crash_points(struct pay_ledger **ledger, struct pay_stream **stream) {
    static struct crash_ledger crash_ledger = {.port = {.ops = &ledger_ops}};
    static struct crash_stream crash_stream = {.port = {.ops = &stream_ops}};
    const char *at = getenv("PAYBUF_TEST_CRASH_AT"), *file = getenv("PAYBUF_TEST_CRASH_TRACE");
    if (at == NULL && file == NULL) return;
    if (at != NULL && !parse(at)) {
        fprintf(stderr, "PAYBUF_TEST_CRASH_AT=%s isn't NAME:N:before|after|late\n", at);
        exit(78);
    }
    if (file != NULL) points.trace_fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    crash_ledger.inner = *ledger;
    crash_stream.inner = *stream;
    *ledger = &crash_ledger.port;
    *stream = &crash_stream.port;
}
