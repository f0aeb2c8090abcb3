#include "listener/listener.h"

static enum pay_move start_offset(struct paybuf_listener *listener, int32_t partition, enum paybuf_listener_start from,
                                  int64_t *ret_offset, struct pay_error *error) {
    int64_t start, end;
    enum pay_move move = pay_kafka_reader_bounds(listener->reader, listener->reply_topic, partition,
                                                 listener->timeout_ms, &start, &end, error);
    if (move != PAY_OK) return move;
    *ret_offset = from == PAYBUF_LISTENER_FROM_NOW ? end : start;
    if (from != PAYBUF_LISTENER_FROM_TIME) return PAY_OK;
    return pay_kafka_reader_offset_at(listener->reader, listener->reply_topic, partition, listener->start_time_ms,
                                      listener->timeout_ms, ret_offset, error);
}

static enum pay_move add_fresh_lane(struct paybuf_listener *listener, enum paybuf_listener_start from,
                                    struct pay_error *error) {
    int32_t partition = listener->rule.lane_count;
    int64_t offset, start, end;
    struct pay_reader first;
    enum pay_move move = start_offset(listener, partition, from, &offset, error);
    if (move != PAY_OK) return move;
    pay_reader_start_at(&first, 0);
    if (offset > 0) { /* E0 after the position */
        move = pay_kafka_reader_bounds(listener->reader, listener->request_topic, partition, listener->timeout_ms,
                                       &start, &end, error);
        if (move != PAY_OK) return move;
        pay_reader_start_in_the_middle(&first, end);
    }
    pay_listener_rule_add(&listener->rule, &first, offset);
    return PAY_OK;
}

static void leave_notice(struct paybuf_listener *listener, struct pay_listener_lane *lane,
                         enum paybuf_listener_result notice, int64_t offset) {
    listener->notices += lane->notice == PAYBUF_LISTENER_NOTHING;
    lane->notice = notice;
    lane->notice_offset = offset;
}

/* Moves reply_offset to where the log still has records. */
static enum pay_move place(struct paybuf_listener *listener, struct pay_listener_lane *lane, int64_t timeout_ms,
                           struct pay_error *error) {
    int64_t start, end;
    enum pay_move move = pay_kafka_reader_bounds(listener->reader, listener->reply_topic, lane->partition, timeout_ms,
                                                 &start, &end, error);
    if (move != PAY_OK) return move;
    if (lane->reply_offset > end) {
        leave_notice(listener, lane, PAYBUF_LISTENER_TRUNCATED, end);
        lane->reply_offset = start;
    } else if (lane->reply_offset < start) {
        if (lane->reply_offset > 0) leave_notice(listener, lane, PAYBUF_LISTENER_EXPIRED, start);
        lane->reply_offset = start;
    }
    return PAY_OK;
}

enum pay_move pay_listener_seek(struct paybuf_listener *listener, struct pay_listener_lane *lane, int64_t timeout_ms,
                                struct pay_error *error) {
    enum pay_move move = place(listener, lane, timeout_ms, error);
    return move == PAY_OK ? pay_kafka_reader_seek(listener->reader, listener->reply_topic, lane->partition,
                                                  lane->reply_offset, error)
                          : move;
}

/* Partitions that came after the positions were stored begin at their start: everything in them is new. */
enum pay_move pay_listener_begin(struct paybuf_listener *listener, int32_t partitions,
                                 const struct paybuf_listener_position *positions, size_t count,
                                 struct pay_error *error) {
    struct pay_listener_rule *rule = &listener->rule;
    int32_t first = rule->lane_count;
    enum paybuf_listener_start from = first > 0 || count > 0 ? PAYBUF_LISTENER_FROM_START : listener->start;
    while (rule->lane_count < partitions) {
        struct pay_listener_lane *lane = pay_listener_rule_restore(rule, positions, count);
        enum pay_move move =
            lane != NULL ? place(listener, lane, listener->timeout_ms, error) : add_fresh_lane(listener, from, error);
        if (move != PAY_OK) return move;
        rule->lanes[rule->lane_count - 1].broken = true; /* until it is sought: should the broker go away in between */
        listener->broken++;
    }
    /* All questions before the first fetch: a broker answers them only behind a fetch that waits for records. */
    for (int32_t p = first; p < partitions; p++) {
        enum pay_move move =
            pay_kafka_reader_seek(listener->reader, listener->reply_topic, p, rule->lanes[p].reply_offset, error);
        if (move != PAY_OK) return move;
        rule->lanes[p].broken = false;
        listener->broken--;
    }
    return PAY_OK;
}
