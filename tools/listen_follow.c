#include "tools/listen_follow.h"

#include "base/clock.h"
#include "base/signals.h"
#include "tools/listen_open.h"

#include <errno.h>
#include <string.h>

/* ---- keeping ---- */

static enum pay_exit save_state(struct listen *listen) {
    struct state state;
    char why[512];
    listen_state(listen->listener, &state);
    if (listen->output.own) state.output_bytes = listen->output.length;
    bool saved = state_save(listen->state_path, &state, why, sizeof why);
    state_free(&state);
    return saved
               ? PAY_EXIT_OK
               : tool_fail(listen->tool, PAY_EXIT_FAILURE, "%s; lines after the last saved state will come again", why);
}

static enum pay_exit not_written(const struct listen *listen) {
    bool closed = errno == EPIPE && listen->state_path == NULL; /* `| head` has seen enough */
    if (closed) return PAY_EXIT_FAILURE;
    return tool_fail(listen->tool, PAY_EXIT_FAILURE,
                     "the lines can't be written: %s; nothing is lost, the state stands before them", strerror(errno));
}

/* Lines first, state afterwards. */
static enum pay_exit keep(struct listen *listen) {
    listen->saved_ms = pay_clock_ms();
    if (!listen->dirty) return PAY_EXIT_OK;
    if (!listen_output_write(&listen->output)) return not_written(listen);
    listen->dirty = false;
    return listen->state_path != NULL ? save_state(listen) : PAY_EXIT_OK;
}

/* ---- following ---- */

static void print(struct listen *listen, const struct paybuf_listener_reply *reply) {
    FILE *lines = listen->output.lines;
    if (listen->template != NULL && listen_template_print(listen->template, reply, lines))
        fputc('\n', lines);
    else
        listen_print(lines, listen->format, listen->color, reply->value, reply->value_length);
}

static enum pay_exit take(struct listen *listen, enum paybuf_listener_result result,
                          const struct paybuf_listener_reply *reply) {
    if (result == PAYBUF_LISTENER_NOTHING) return PAY_EXIT_OK;
    if (result == PAYBUF_LISTENER_REFUSED)
        return tool_fail(listen->tool, PAY_EXIT_CONFIG, "%s", paybuf_listener_why(listen->listener));
    if (result != PAYBUF_LISTENER_REPLY) {
        tool_note(listen->tool, "%s", paybuf_listener_why(listen->listener));
        return PAY_EXIT_OK;
    }
    if (!listen_filter_wants(&listen->filter, reply->value, reply->value_length)) return PAY_EXIT_OK;
    print(listen, reply);
    listen->printed++;
    return PAY_EXIT_OK;
}

static void look(struct listen *listen) {
    struct paybuf_listener_counts counts;
    paybuf_listener_count(listen->listener, &counts, sizeof counts);
    int64_t seen = counts.taken + counts.dropped + counts.skipped + counts.foreign + counts.gaps;
    if (seen == listen->seen) return;
    listen->seen = seen;
    listen->came_ms = pay_clock_ms();
    listen->dirty = true;
}

static bool finished(struct listen *listen, enum pay_exit *status) {
    pay_signals_collect();
    if (pay_signals_stop_requested() || (listen->max > 0 && listen->printed >= listen->max)) return true;
    return listen_is_idle(listen->tool, listen->listener, pay_clock_ms() - listen->came_ms, listen->idle_ms, status);
}

enum pay_exit listen_follow(struct listen *listen) {
    const struct paybuf_listener_reply *reply = NULL;
    listen->came_ms = listen->saved_ms = pay_clock_ms();
    listen->dirty = true; /* where it begins is kept before the first line: "now" must stay the same now */
    enum pay_exit status = keep(listen);
    while (status == PAY_EXIT_OK && !finished(listen, &status)) {
        bool due =
            pay_clock_ms() - listen->saved_ms >= LISTEN_SAVE_INTERVAL_MS || listen_output_is_full(&listen->output);
        enum paybuf_listener_result result = paybuf_listener_next(listen->listener, due ? 0 : LISTEN_WAIT_MS, &reply);
        status = take(listen, result, reply);
        look(listen);
        if (status == PAY_EXIT_OK && (due || result == PAYBUF_LISTENER_NOTHING)) status = keep(listen);
    }
    if (status != PAY_EXIT_OK && status != PAY_EXIT_TEMPORARY) return status;
    listen->dirty = true; /* a fresh state is written even where no line came */
    enum pay_exit kept = keep(listen);
    return status == PAY_EXIT_OK ? kept : status;
}
