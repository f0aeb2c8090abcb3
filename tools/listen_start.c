#include "tools/listen_start.h"

#include "codec/time_text.h"

#include <inttypes.h>
#include <string.h>

bool listen_from_parse(const char *text, struct listen_from *ret_from) {
    int64_t time_us;
    if (strcmp(text, "start") == 0) return *ret_from = (struct listen_from){.kind = LISTEN_FROM_START}, true;
    if (strcmp(text, "now") == 0) return *ret_from = (struct listen_from){.kind = LISTEN_FROM_NOW}, true;
    if (!pay_time_parse(text, strlen(text), &time_us)) return false;
    *ret_from = (struct listen_from){.kind = LISTEN_FROM_TIME, .time_ms = time_us / 1000};
    return true;
}

static enum pay_exit start_position(struct tool *tool, struct pay_kafka_reader *reader, int32_t partition,
                                    const struct listen_from *from, int64_t *ret_offset) {
    const char *topic = tool->config.reply_topic;
    struct pay_error error;
    int64_t start, end;
    if (pay_kafka_reader_bounds(reader, topic, partition, TOOL_KAFKA_TIMEOUT_MS, &start, &end, &error) != PAY_OK)
        return tool_unavailable(tool, &error);
    *ret_offset = from->kind == LISTEN_FROM_NOW ? end : start;
    if (from->kind != LISTEN_FROM_TIME) return PAY_EXIT_OK;
    if (pay_kafka_reader_offset_at(reader, topic, partition, from->time_ms, TOOL_KAFKA_TIMEOUT_MS, ret_offset,
                                   &error) != PAY_OK)
        return tool_unavailable(tool, &error);
    return PAY_EXIT_OK;
}

static enum pay_exit add_fresh_lane(struct tool *tool, struct pay_kafka_reader *reader, struct listener *listener,
                                    const struct listen_from *from) {
    int32_t partition = listener->lane_count;
    int64_t offset, start, end;
    struct pay_reader first;
    struct pay_error error;
    enum pay_exit status = start_position(tool, reader, partition, from, &offset);
    if (status != PAY_EXIT_OK) return status;
    pay_reader_start_at(&first, 0);
    if (offset > 0) { /* E0 after the position */
        if (pay_kafka_reader_bounds(reader, tool->config.request_topic, partition, TOOL_KAFKA_TIMEOUT_MS, &start, &end,
                                    &error) != PAY_OK)
            return tool_unavailable(tool, &error);
        pay_reader_start_in_the_middle(&first, end);
    }
    listener_add_lane(listener, &first, offset);
    return PAY_EXIT_OK;
}

/* Moves reply_offset to where the log still has records. */
static enum pay_move place(struct tool *tool, struct pay_kafka_reader *reader, struct listen_lane *lane,
                           int64_t timeout_ms, struct pay_error *error) {
    const char *topic = tool->config.reply_topic;
    int64_t start, end;
    enum pay_move move = pay_kafka_reader_bounds(reader, topic, lane->partition, timeout_ms, &start, &end, error);
    if (move != PAY_OK) return move;
    if (lane->reply_offset < start) {
        if (lane->reply_offset > 0)
            tool_note(tool,
                      "%s partition %" PRId32 ": retention has deleted replies up to offset %" PRId64
                      "; if one of them was still wanted, a gap will be seen",
                      topic, lane->partition, start);
        lane->reply_offset = start;
    } else if (lane->reply_offset > end) {
        tool_note(tool,
                  "%s partition %" PRId32 " ends at offset %" PRId64
                  ", before what was read of it: was it truncated or re-created? Reading it from its start",
                  topic, lane->partition, end);
        lane->reply_offset = start;
    }
    return PAY_OK;
}

enum pay_move listen_seek(struct tool *tool, struct pay_kafka_reader *reader, struct listen_lane *lane,
                          int64_t timeout_ms, struct pay_error *error) {
    enum pay_move move = place(tool, reader, lane, timeout_ms, error);
    return move == PAY_OK
               ? pay_kafka_reader_seek(reader, tool->config.reply_topic, lane->partition, lane->reply_offset, error)
               : move;
}

static enum pay_exit add_lane(struct tool *tool, struct pay_kafka_reader *reader, struct listener *listener,
                              const struct listen_from *from, const struct state *state) {
    struct pay_error error;
    if (state == NULL || !listener_add_saved_lane(listener, state)) return add_fresh_lane(tool, reader, listener, from);
    if (place(tool, reader, &listener->lanes[listener->lane_count - 1], TOOL_KAFKA_TIMEOUT_MS, &error) == PAY_OK)
        return PAY_EXIT_OK;
    return tool_unavailable(tool, &error);
}

/* Partitions that came after the state was written begin at their start: everything in them is new. */
enum pay_exit listen_start(struct tool *tool, struct pay_kafka_reader *reader, struct listener *listener,
                           int32_t partitions, const struct listen_from *from, const struct state *state) {
    static const struct listen_from beginning = {.kind = LISTEN_FROM_START};
    struct pay_error error;
    int32_t first = listener->lane_count;
    bool known_before = first > 0 || (state != NULL && state->count > 0);
    while (listener->lane_count < partitions) {
        enum pay_exit status = add_lane(tool, reader, listener, known_before ? &beginning : from, state);
        if (status != PAY_EXIT_OK) return status;
    }
    /* All questions before the first fetch: a broker answers them only behind a fetch that waits for records. */
    for (int32_t p = first; p < partitions; p++)
        if (pay_kafka_reader_seek(reader, tool->config.reply_topic, p, listener->lanes[p].reply_offset, &error) !=
            PAY_OK)
            return tool_error(tool, &error);
    return PAY_EXIT_OK;
}
