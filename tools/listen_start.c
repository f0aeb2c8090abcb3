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

static enum pay_exit start_position(struct tool *tool, struct pay_kafka_reader *reader, int32_t partition, const struct listen_from *from,
                                    int64_t *ret_offset) {
    const char *topic = tool->config.reply_topic;
    struct pay_error error;
    int64_t start, end;
    if (pay_kafka_reader_bounds(reader, topic, partition, TOOL_KAFKA_TIMEOUT_MS, &start, &end, &error) != PAY_OK) return tool_unavailable(tool, &error);
    *ret_offset = from->kind == LISTEN_FROM_NOW ? end : start;
    if (from->kind != LISTEN_FROM_TIME) return PAY_EXIT_OK;
    if (pay_kafka_reader_offset_at(reader, topic, partition, from->time_ms, TOOL_KAFKA_TIMEOUT_MS, ret_offset, &error) != PAY_OK)
        return tool_unavailable(tool, &error);
    return PAY_EXIT_OK;
}

static enum pay_exit add_fresh_lane(struct tool *tool, struct pay_kafka_reader *reader, struct listener *listener, const struct listen_from *from) {
    int32_t partition = listener->lane_count;
    int64_t offset, start, end;
    struct pay_reader first;
    struct pay_error error;
    enum pay_exit status = start_position(tool, reader, partition, from, &offset);
    if (status != PAY_EXIT_OK) return status;
    pay_reader_start_at(&first, 0);
    if (offset > 0) {                       /* E0 after the position */
        if (pay_kafka_reader_bounds(reader, tool->config.request_topic, partition, TOOL_KAFKA_TIMEOUT_MS, &start, &end, &error) != PAY_OK)
            return tool_unavailable(tool, &error);
        pay_reader_start_in_the_middle(&first, end);
    }
    listener_add_lane(listener, &first, offset);
    return PAY_EXIT_OK;
}

enum pay_exit listen_seek(struct tool *tool, struct pay_kafka_reader *reader, struct listen_lane *lane) {
    const char *topic = tool->config.reply_topic;
    struct pay_error error;
    int64_t start, end;
    if (pay_kafka_reader_bounds(reader, topic, lane->partition, TOOL_KAFKA_TIMEOUT_MS, &start, &end, &error) != PAY_OK)
        return tool_unavailable(tool, &error);
    if (lane->reply_offset < start) {
        tool_note(tool, "%s partition %" PRId32 ": retention has deleted replies up to offset %" PRId64 "; if one of them was still wanted, a gap will be seen",
                  topic, lane->partition, start);
        lane->reply_offset = start;
    } else if (lane->reply_offset > end) {
        tool_note(tool, "%s partition %" PRId32 " ends at offset %" PRId64 ", before what was read of it: was it truncated or re-created? Reading it from its start",
                  topic, lane->partition, end);
        lane->reply_offset = start;
    }
    if (pay_kafka_reader_seek(reader, topic, lane->partition, lane->reply_offset, &error) != PAY_OK) return tool_error(tool, &error);
    return PAY_EXIT_OK;
}

/* Partitions that came after the state was written begin at their start: everything in them is new. */
enum pay_exit listen_start(struct tool *tool, struct pay_kafka_reader *reader, struct listener *listener, int32_t partitions,
                           const struct listen_from *from, const struct state *state) {
    static const struct listen_from beginning = {.kind = LISTEN_FROM_START};
    bool known_before = listener->lane_count > 0 || (state != NULL && state->count > 0);
    while (listener->lane_count < partitions) {
        enum pay_exit status = PAY_EXIT_OK;
        if (state == NULL || !listener_add_saved_lane(listener, state))
            status = add_fresh_lane(tool, reader, listener, known_before ? &beginning : from);
        if (status == PAY_EXIT_OK) status = listen_seek(tool, reader, &listener->lanes[listener->lane_count - 1]);
        if (status != PAY_EXIT_OK) return status;
    }
    return PAY_EXIT_OK;
}
