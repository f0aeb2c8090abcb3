/*
 * cmd_listen.c - paybuf listen: follows the reply log, each reply once.
 *
 * With --state: lines are written and flushed (a file also to the disk), then the state is saved. So nothing is ever lost: after
 * SIGTERM or SIGINT a restart goes on exactly behind the last line; after SIGKILL or a power cut the lines of the last
 * SAVE_INTERVAL_MS may come a second time. The other order would lose them. `position` is each line's own key to drop repeats by.
 */
#include "base/clock.h"
#include "base/signals.h"
#include "tools/commands.h"
#include "tools/listen_print.h"
#include "tools/listen_start.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define SAVE_INTERVAL_MS 200     /* of a state, while replies keep coming */
#define WAIT_MS 100              /* how long a stop signal may go unseen */
#define GROWTH_INTERVAL_MS 10000 /* new partitions are looked for */
#define NOTE_INTERVAL_MS 10000   /* the same trouble is told again */
#define MEND_INTERVAL_MS 1000    /* a partition that gave trouble is read again */
#define MEND_TIMEOUT_MS 2000
#define UNREACHED_MS 60000 /* --until-idle: the end of the log must be reached within this */

enum { FROM, STATE, FORMAT, MAX, UNTIL_IDLE };

/* clang-format off */
static const struct cli_arg args[] = {
    [FROM] = {"--from", CLI_TEXT, false, "now|start|TIME", .help = "where to begin; TIME as 2026-11-21T12:00:00Z (now; start for a new --state)"},
    [STATE] = {"--state", CLI_TEXT, false, "FILE", .help = "go on where this file says, and keep it up to date"},
    [FORMAT] = {"--format", CLI_TEXT, false, "json|human", .initial = "json", .help = "the reply's value as it is, or a line for people"},
    [MAX] = {"--max", CLI_INTEGER, false, "N", 1, INT64_MAX, NULL, "end after N replies"},
    [UNTIL_IDLE] = {"--until-idle", CLI_INTEGER, false, "SECONDS", 1, 86400, NULL, "end at the end of the log, when nothing came for so long"},
};
/* clang-format on */

struct listen {
    struct tool *tool;
    struct pay_kafka_reader *reader;
    struct listener listener;
    enum listen_format format;
    bool color;
    struct listen_from from;
    int64_t max, idle_ms;   /* 0: none */
    const char *state_path; /* NULL: none */
    bool dirty;             /* lines printed since the last save */
    int64_t saved_ms, came_ms, grown_ms, noted_ms, mended_ms;
    int32_t broken; /* lanes that are to be read again */
    int64_t printed;
};

/* ---- keeping ---- */

static enum pay_exit save_state(struct listen *listen) {
    struct state state;
    char why[512];
    listener_state(&listen->listener, &state);
    bool saved = state_save(listen->state_path, &state, why, sizeof why);
    state_free(&state);
    return saved
               ? PAY_EXIT_OK
               : tool_fail(listen->tool, PAY_EXIT_FAILURE, "%s; lines after the last saved state will come again", why);
}

/* Lines first, state afterwards. */
static enum pay_exit keep(struct listen *listen) {
    listen->saved_ms = pay_clock_ms();
    if (!listen->dirty) return PAY_EXIT_OK;
    if (fflush(stdout) != 0 || ferror(stdout))
        return tool_fail(listen->tool, PAY_EXIT_FAILURE,
                         "stdout can't be written: %s; nothing is lost, the state stands before these lines",
                         strerror(errno));
    listen->dirty = false;
    if (listen->state_path == NULL) return PAY_EXIT_OK;
    if (fdatasync(STDOUT_FILENO) != 0 && errno != EINVAL && errno != EROFS) /* EINVAL: a pipe or a terminal */
        return tool_fail(listen->tool, PAY_EXIT_FAILURE, "stdout can't be synced: %s", strerror(errno));
    return save_state(listen);
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
        listen_print(stdout, listen->format, listen->color, record);
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

static enum pay_exit follow(struct listen *listen) {
    enum pay_exit status = PAY_EXIT_OK;
    struct pay_kafka_read read;
    listen->came_ms = listen->grown_ms = listen->saved_ms = pay_clock_ms();
    while (status == PAY_EXIT_OK && !finished(listen, &status)) {
        bool due = pay_clock_ms() - listen->saved_ms >= SAVE_INTERVAL_MS;
        pay_kafka_reader_next(listen->reader, due ? 0 : WAIT_MS, &read);
        status = take(listen, &read);
        mend(listen);
        if (status == PAY_EXIT_OK && due) status = keep(listen);
        if (status == PAY_EXIT_OK) status = look_for_growth(listen);
    }
    listen->dirty = true; /* a fresh state is written even where no line came */
    enum pay_exit kept = keep(listen);
    return status == PAY_EXIT_OK ? kept : status;
}

static enum pay_exit begin(struct listen *listen) {
    struct state state = {.count = 0};
    char why[512];
    int32_t partitions = 0;
    enum pay_exit status = tool_partitions(listen->tool, listen->tool->config.reply_topic, &partitions);
    if (status != PAY_EXIT_OK) return status;
    if (listen->state_path != NULL) {
        enum state_load loaded = state_load(listen->state_path, &state, why, sizeof why);
        if (loaded == STATE_BAD) return tool_fail(listen->tool, PAY_EXIT_FAILURE, "%s", why);
        if (loaded == STATE_LOADED)
            memcpy(listen->listener.ledger_id, state.ledger_id, sizeof listen->listener.ledger_id);
    }
    status = tool_open_reader(listen->tool, false, &listen->reader);
    if (status == PAY_EXIT_OK)
        status = listen_start(listen->tool, listen->reader, &listen->listener, partitions, &listen->from, &state);
    state_free(&state);
    return status;
}

static enum pay_exit conclude(const struct listen *listen, enum pay_exit status) {
    const struct listener *listener = &listen->listener;
    int32_t open = listener_open_gaps(listener);
    if (listener->skipped > 0)
        tool_note(listen->tool, "records in the reply topic that aren't replies of ours: %" PRId64, listener->skipped);
    if (listener->resyncs > 0)
        tool_note(listen->tool, "jumps while finding its place after a start in the middle of the log: %" PRId64,
                  listener->resyncs);
    if (open > 0) tool_note(listen->tool, "partitions that wait at a gap: %" PRId32, open);
    return status == PAY_EXIT_OK && (open > 0 || listener->foreign > 0) ? PAY_EXIT_DIFFERENCES : status;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    static struct listen listen;
    listen = (struct listen){.tool = tool,
                             .state_path = values[STATE].text,
                             .max = values[MAX].number,
                             .idle_ms = values[UNTIL_IDLE].number * 1000,
                             .color = tool->out.color};
    const char *from = values[FROM].given ? values[FROM].text : values[STATE].given ? "start" : "now";
    const char *format = values[FORMAT].text;
    if (!listen_from_parse(from, &listen.from))
        return tool_fail(tool, PAY_EXIT_USAGE,
                         "--from: '%s' is none of now, start, or a time in UTC as 2026-11-21T12:00:00Z", from);
    if (strcmp(format, "json") != 0 && strcmp(format, "human") != 0)
        return tool_fail(tool, PAY_EXIT_USAGE, "--format: '%s' is neither json nor human", format);
    listen.format = strcmp(format, "human") == 0 ? LISTEN_HUMAN : LISTEN_JSON;
    pay_signals_install();
    enum pay_exit status = begin(&listen);
    if (status == PAY_EXIT_OK) status = follow(&listen);
    status = conclude(&listen, status);
    pay_kafka_reader_close(listen.reader);
    listener_free(&listen.listener);
    return status;
}

const struct command cmd_listen = {
    .name = "listen",
    .summary = "follow the replies, each once and in order per partition; gaps are noticed",
    .examples = "  paybuf listen                                        what is answered from now on\n"
                "  paybuf listen --format human\n"
                "  paybuf listen --from start --until-idle 2            everything there is, then end\n"
                "  paybuf listen --state listen.state >>replies.ndjson  go on after a restart where it ended\n"
                "  paybuf listen --from 2026-11-21T12:00:00Z --max 10\n",
    .notes = "The state file holds one integer per (generation, partition) and is saved after the lines were written: "
             "SIGTERM and SIGINT\n"
             "end exactly, after SIGKILL the last 200 ms may be printed again (never lost); `position` tells repeats. "
             "At a gap the\n"
             "partition waits, the others go on, and the exit code is 4.\n",
    CLI_ARGS(args),
    .run = run,
};
