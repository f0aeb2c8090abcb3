#include "tools/listen_follow.h"

#include "base/clock.h"
#include "base/signals.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SAVE_INTERVAL_MS 200     /* of a state, while replies keep coming */
#define WAIT_MS 100              /* how long a stop signal may go unseen */
#define GROWTH_INTERVAL_MS 10000 /* new partitions are looked for */
#define NOTE_INTERVAL_MS 10000   /* the same trouble is told again */
#define MEND_INTERVAL_MS 1000    /* a partition that gave trouble is read again */
#define MEND_TIMEOUT_MS 2000
#define UNREACHED_MS 60000 /* --until-idle: the end of the log must be reached within this */

/* ---- keeping ---- */

static enum pay_exit save_state(struct listen *listen) {
    struct state state;
    char why[512];
    listener_state(&listen->listener, &state);
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

/* ---- one thing that came ---- */

static void alarm_gap(struct listen *listen, const struct pay_log_record *record,
                      const struct pay_reply_headers *headers) {
    const struct listen_lane *lane = &listen->listener.lanes[record->partition];
    int64_t next = 0;
    for (size_t i = 0; i < lane->reader_count; i++)
        if (lane->readers[i].generation == headers->log_generation) next = lane->readers[i].reader.next;
    tool_note(
        listen->tool,
        "GAP in partition %" PRId32 ": the replies to %" PRId64 "-%" PRId32 "-%" PRId64 " up to %" PRId64 "-%" PRId32
        "-%" PRId64 " are missing (seen at reply offset %" PRId64 "). This partition waits, the others go on. "
        "paybuf replay --reply --from %" PRId64 "-%" PRId32 "-%" PRId64 " publishes them again",
        record->partition, headers->log_generation, record->partition, next, headers->log_generation, record->partition,
        headers->covers_from - 1, record->offset, headers->log_generation, record->partition, next);
}

static void read_again(struct listen *listen, int32_t partition) {
    listen->broken += !listen->listener.lanes[partition].broken;
    listen->listener.lanes[partition].broken = true;
}

static void take_record(struct listen *listen, const struct pay_log_record *record) {
    struct pay_reply_headers headers;
    int64_t rewind_to;
    listen->came_ms = pay_clock_ms();
    enum listen_move move = listener_take(&listen->listener, record, &headers, &rewind_to);
    switch (move) {
    case LISTEN_DROP:
    case LISTEN_SKIP: break;
    case LISTEN_GAP: alarm_gap(listen, record, &headers); break;
    case LISTEN_FOREIGN:
        if (listen->listener.foreign == 1)
            tool_note(listen->tool,
                      "partition %" PRId32 ", reply offset %" PRId64
                      " is of ledger %s, not %s; replies of other ledgers are left out",
                      record->partition, record->offset, headers.ledger_id, listen->listener.ledger_id);
        break;
    case LISTEN_TAKE:
    case LISTEN_TAKE_AND_REWIND:
        listen_print(listen->output.lines, listen->format, listen->color, record);
        listen->printed++;
        break;
    }
    listen->dirty = true;
    if (move == LISTEN_TAKE_AND_REWIND) {
        read_again(listen, record->partition);
        listen->mended_ms = 0;
    }
}

static void note_trouble(struct listen *listen, const struct pay_error *error) {
    int64_t now_ms = pay_clock_ms();
    if (listen->noted_ms != 0 && now_ms - listen->noted_ms < NOTE_INTERVAL_MS) return;
    tool_note(listen->tool, "%s; going on trying", error->text);
    listen->noted_ms = now_ms;
}

/* The handle's trouble mends itself: librdkafka connects again. A partition stands still until it is read again. */
static enum pay_exit take_trouble(struct listen *listen, const struct pay_kafka_read *read) {
    if (read->error.move == PAY_REFUSE) return tool_error(listen->tool, &read->error);
    note_trouble(listen, &read->error);
    if (read->record.partition >= 0 && read->record.partition < listen->listener.lane_count)
        read_again(listen, read->record.partition);
    return PAY_EXIT_OK;
}

static void mend(struct listen *listen) {
    struct pay_error error;
    if (listen->broken == 0 || pay_clock_ms() - listen->mended_ms < MEND_INTERVAL_MS) return;
    for (int32_t p = 0; p < listen->listener.lane_count; p++) {
        struct listen_lane *lane = &listen->listener.lanes[p];
        if (!lane->broken) continue;
        if (listen_seek(listen->tool, listen->reader, lane, MEND_TIMEOUT_MS, &error) != PAY_OK) {
            note_trouble(listen, &error);
            break;
        }
        lane->broken = false;
        listen->broken--;
    }
    listen->mended_ms = pay_clock_ms();
}

static enum pay_exit take(struct listen *listen, const struct pay_kafka_read *read) {
    switch (read->kind) {
    case PAY_KAFKA_READ_RECORD:
        if (!listen->listener.lanes[read->record.partition].broken)
            take_record(listen, &read->record); /* else it comes again */
        return PAY_EXIT_OK;
    case PAY_KAFKA_READ_END:
        if (listen->listener.lanes[read->record.partition].broken) return PAY_EXIT_OK;
        listen->listener.lanes[read->record.partition].at_end = true;
        listen->listener.lanes[read->record.partition].reply_offset = read->record.offset;
        return PAY_EXIT_OK;
    case PAY_KAFKA_READ_TROUBLE: return take_trouble(listen, read);
    case PAY_KAFKA_READ_NOTHING: break;
    }
    return keep(listen);
}

/* ---- following ---- */

static bool all_at_end(const struct listen *listen) {
    for (int32_t p = 0; p < listen->listener.lane_count; p++)
        if (!listen->listener.lanes[p].at_end) return false;
    return true;
}

static enum pay_exit look_for_growth(struct listen *listen) {
    int32_t partitions;
    if (pay_clock_ms() - listen->grown_ms < GROWTH_INTERVAL_MS) return PAY_EXIT_OK;
    listen->grown_ms = pay_clock_ms();
    if (tool_partitions(listen->tool, listen->tool->config.reply_topic, &partitions) != PAY_EXIT_OK)
        return PAY_EXIT_OK; /* not now */
    return listen_start(listen->tool, listen->reader, &listen->listener, partitions, &listen->from, NULL);
}

static bool finished(struct listen *listen, enum pay_exit *status) {
    int64_t now_ms = pay_clock_ms();
    pay_signals_collect();
    if (pay_signals_stop_requested() || (listen->max > 0 && listen->printed >= listen->max)) return true;
    if (listen->idle_ms == 0) return false;
    if (all_at_end(listen)) return now_ms - listen->came_ms >= listen->idle_ms;
    if (now_ms - listen->came_ms < UNREACHED_MS + listen->idle_ms) return false;
    *status = tool_fail(listen->tool, PAY_EXIT_TEMPORARY,
                        "the end of the reply log wasn't reached, and nothing came for a minute; is the broker there?");
    return true;
}

enum pay_exit listen_follow(struct listen *listen) {
    struct pay_kafka_read read;
    listen->came_ms = listen->grown_ms = listen->saved_ms = pay_clock_ms();
    listen->dirty = true; /* where it begins is kept before the first line: "now" must stay the same now */
    enum pay_exit status = keep(listen);
    while (status == PAY_EXIT_OK && !finished(listen, &status)) {
        bool due = pay_clock_ms() - listen->saved_ms >= SAVE_INTERVAL_MS || listen_output_is_full(&listen->output);
        pay_kafka_reader_next(listen->reader, due ? 0 : WAIT_MS, &read);
        status = take(listen, &read);
        mend(listen);
        if (status == PAY_EXIT_OK && due) status = keep(listen);
        if (status == PAY_EXIT_OK) status = look_for_growth(listen);
    }
    if (status != PAY_EXIT_OK && status != PAY_EXIT_TEMPORARY) return status;
    listen->dirty = true; /* a fresh state is written even where no line came */
    enum pay_exit kept = keep(listen);
    return status == PAY_EXIT_OK ? kept : status;
}
