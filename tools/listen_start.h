/*
 * listen_start.h - where a listener begins in each partition of the reply log: at a saved state, at the start, now, or at a time.
 *
 * A reader that starts in the middle needs E0, the request partition's high watermark, read after its start position was fixed
 * and before its first reply: read earlier, a zombie's repeat could end its resynchronisation too soon.
 */
#ifndef PAY_TOOLS_LISTEN_START_H
#define PAY_TOOLS_LISTEN_START_H

#include "tools/listener.h"
#include "tools/tool.h"

enum listen_from_kind { LISTEN_FROM_START, LISTEN_FROM_NOW, LISTEN_FROM_TIME };

struct listen_from {
    enum listen_from_kind kind;
    int64_t time_ms;
};

/* "start", "now", or a time as 2026-11-21T12:00:00Z. */
bool listen_from_parse(const char *text, struct listen_from *ret_from);

/* Adds the lanes listener->lane_count..partitions-1 and begins to read them. `state` NULL: none. */
enum pay_exit listen_start(struct tool *tool, struct pay_kafka_reader *reader, struct listener *listener,
                           int32_t partitions, const struct listen_from *from, const struct state *state);

/* Reads a lane again from its reply_offset, or from the log's start where retention has passed that. Asks the broker. */
enum pay_move listen_seek(struct tool *tool, struct pay_kafka_reader *reader, struct listen_lane *lane,
                          int64_t timeout_ms, struct pay_error *error);

#endif
