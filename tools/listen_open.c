#include "tools/listen_open.h"

#include "codec/time_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define UNREACHED_MS 60000

bool listen_from_parse(const char *text, struct listen_from *ret_from) {
    int64_t time_us;
    if (strcmp(text, "start") == 0) return *ret_from = (struct listen_from){PAYBUF_LISTENER_FROM_START, 0}, true;
    if (strcmp(text, "now") == 0) return *ret_from = (struct listen_from){PAYBUF_LISTENER_FROM_NOW, 0}, true;
    if (!pay_time_parse(text, strlen(text), &time_us)) return false;
    *ret_from = (struct listen_from){PAYBUF_LISTENER_FROM_TIME, time_us / 1000};
    return true;
}

static enum pay_exit open_at(struct tool *tool, const struct listen_from *from, const struct state *state,
                             struct paybuf_listener **ret_listener) {
    const struct pay_config *config = &tool->config;
    struct paybuf_listener_setting settings[PAY_SETTINGS_MAX];
    char why[1024];
    for (uint32_t i = 0; i < config->kafka_count; i++)
        settings[i] = (struct paybuf_listener_setting){config->kafka[i].name, config->kafka[i].value};
    const struct paybuf_listener_options options = {.size = sizeof options,
                                                    .kafka = settings,
                                                    .kafka_count = config->kafka_count,
                                                    .client_id = "paybuf",
                                                    .reply_topic = config->reply_topic,
                                                    .request_topic = config->request_topic,
                                                    .ledger_id = state->ledger_id,
                                                    .start = from->start,
                                                    .start_time_ms = from->time_ms,
                                                    .positions = state->entries,
                                                    .position_count = state->count,
                                                    .timeout_ms = TOOL_KAFKA_TIMEOUT_MS};
    switch (paybuf_listener_open(&options, ret_listener, why, sizeof why)) {
    case PAYBUF_LISTENER_NOTHING: return PAY_EXIT_OK;
    case PAYBUF_LISTENER_REFUSED: return tool_fail(tool, PAY_EXIT_CONFIG, "%s", why);
    default: return tool_fail(tool, PAY_EXIT_UNAVAILABLE, "%s", why);
    }
}

enum pay_exit listen_open(struct tool *tool, const struct listen_from *from, const char *state_path,
                          struct paybuf_listener **ret_listener, int64_t *ret_output_bytes) {
    struct state state = {.output_bytes = -1};
    char why[512];
    if (state_path != NULL && state_load(state_path, &state, why, sizeof why) == STATE_BAD)
        return tool_fail(tool, PAY_EXIT_FAILURE, "%s", why);
    enum pay_exit status = open_at(tool, from, &state, ret_listener);
    *ret_output_bytes = state.output_bytes;
    state_free(&state);
    return status;
}

void listen_state(const struct paybuf_listener *listener, struct state *ret_state) {
    size_t count = paybuf_listener_positions(listener, NULL, 0);
    struct paybuf_listener_position *positions = calloc(count + 1, sizeof *positions);
    if (positions == NULL) abort();
    paybuf_listener_positions(listener, positions, count);
    *ret_state = (struct state){.output_bytes = -1};
    snprintf(ret_state->ledger_id, sizeof ret_state->ledger_id, "%s", paybuf_listener_ledger_id(listener));
    for (size_t i = 0; i < count; i++) state_add(ret_state, &positions[i]);
    free(positions);
}

bool listen_is_idle(const struct tool *tool, const struct paybuf_listener *listener, int64_t quiet_ms, int64_t idle_ms,
                    enum pay_exit *status) {
    if (idle_ms == 0 || quiet_ms < idle_ms) return false;
    if (paybuf_listener_at_end(listener)) return true;
    if (quiet_ms < UNREACHED_MS + idle_ms) return false;
    *status = tool_fail(tool, PAY_EXIT_TEMPORARY,
                        "the end of the reply log wasn't reached, and nothing came for a minute; is the broker there?");
    return true;
}

enum pay_exit listen_conclude(const struct tool *tool, const struct paybuf_listener *listener, enum pay_exit status) {
    struct paybuf_listener_counts counts;
    paybuf_listener_count(listener, &counts, sizeof counts);
    if (counts.skipped > 0)
        tool_note(tool, "records in the reply topic that aren't replies of ours: %" PRId64, counts.skipped);
    if (counts.resyncs > 0)
        tool_note(tool, "jumps while finding its place after a start in the middle of the log: %" PRId64,
                  counts.resyncs);
    if (counts.gaps_now > 0) tool_note(tool, "partitions that wait at a gap: %" PRId64, counts.gaps_now);
    return status == PAY_EXIT_OK && (counts.gaps_now > 0 || counts.foreign > 0) ? PAY_EXIT_DIFFERENCES : status;
}
