#include "listener/listener.h"

#include "base/clock.h"
#include "kafka/kafka_reaper.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_TIMEOUT_MS 10000
#define FETCH_WAIT_MS 100        /* how long an empty fetch may wait: it also delays the first record after a seek */
#define GROWTH_INTERVAL_MS 10000 /* new partitions are looked for */
#define TELL_INTERVAL_MS 10000   /* the same trouble is told again */
#define MEND_INTERVAL_MS 1000    /* a partition that gave trouble is read again */
#define MEND_TIMEOUT_MS 2000
#define CLOSE_TIMEOUT_MS 5000

static enum paybuf_listener_result tell(struct paybuf_listener *listener, enum paybuf_listener_result result,
                                        const char *format, ...) __attribute__((format(printf, 3, 4)));

static enum paybuf_listener_result tell(struct paybuf_listener *listener, enum paybuf_listener_result result,
                                        const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(listener->why, sizeof listener->why, format, arguments);
    va_end(arguments);
    return result;
}

/* ---- opening ---- */

static void keep_log_line(void *argument, int level, const char *facility, const char *text) {
    struct paybuf_listener *listener = argument;
    (void)facility;
    if (level <= 4) snprintf(listener->kafka_trouble, sizeof listener->kafka_trouble, "%s", text);
}

static const char *or_default(const char *text, const char *usual) { return text != NULL ? text : usual; }

/* Ours never changes and grows at its end: what an older caller doesn't have is 0. */
static struct paybuf_listener_options complete(const struct paybuf_listener_options *given) {
    struct paybuf_listener_options options = {.size = 0};
    assert(given->size > 0);
    memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    options.client_id = or_default(options.client_id, "paybuf-listener");
    options.reply_topic = or_default(options.reply_topic, "pay.replies");
    options.request_topic = or_default(options.request_topic, "pay.requests");
    options.ledger_id = or_default(options.ledger_id, "");
    if (options.timeout_ms <= 0) options.timeout_ms = OPEN_TIMEOUT_MS;
    return options;
}

static enum paybuf_listener_result take_names(struct paybuf_listener *listener,
                                              const struct paybuf_listener_options *options) {
    if (strlen(options->reply_topic) > PAY_TOPIC_MAX || strlen(options->request_topic) > PAY_TOPIC_MAX)
        return tell(listener, PAYBUF_LISTENER_REFUSED, "a topic's name has at most %d characters", PAY_TOPIC_MAX);
    if (strlen(options->client_id) > PAY_KAFKA_CLIENT_ID_MAX)
        return tell(listener, PAYBUF_LISTENER_REFUSED, "a client_id has at most %d characters",
                    PAY_KAFKA_CLIENT_ID_MAX);
    if (strlen(options->ledger_id) >= sizeof listener->rule.ledger_id)
        return tell(listener, PAYBUF_LISTENER_REFUSED, "'%s' is no ledger's id", options->ledger_id);
    strcpy(listener->reply_topic, options->reply_topic);
    strcpy(listener->request_topic, options->request_topic);
    strcpy(listener->rule.ledger_id, options->ledger_id);
    listener->start = options->start;
    listener->start_time_ms = options->start_time_ms;
    listener->timeout_ms = options->timeout_ms;
    return PAYBUF_LISTENER_NOTHING;
}

static bool same_place(const struct paybuf_listener_position *a, const struct paybuf_listener_position *b) {
    return a->partition == b->partition && a->generation == b->generation;
}

static enum paybuf_listener_result check_positions(struct paybuf_listener *listener,
                                                   const struct paybuf_listener_options *options, int32_t partitions) {
    for (size_t i = 0; i < options->position_count; i++) {
        const struct paybuf_listener_position *position = &options->positions[i];
        if (position->generation < 0 || position->partition < 0 || position->next < 0 || position->reply_offset < 0 ||
            position->resync_until < 0)
            return tell(listener, PAYBUF_LISTENER_REFUSED,
                        "the position of partition %" PRId32 " has a negative number", position->partition);
        if (position->partition >= partitions)
            return tell(listener, PAYBUF_LISTENER_REFUSED,
                        "there is a position of partition %" PRId32 ", but %s has only %" PRId32
                        " partitions; is it the topic that was listened to before?",
                        position->partition, listener->reply_topic, partitions);
        for (size_t j = 0; j < i; j++)
            if (same_place(position, &options->positions[j]))
                return tell(listener, PAYBUF_LISTENER_REFUSED,
                            "there are two positions of partition %" PRId32 " and generation %" PRId64,
                            position->partition, position->generation);
    }
    return PAYBUF_LISTENER_NOTHING;
}

static enum paybuf_listener_result failed(struct paybuf_listener *listener, const struct pay_error *error) {
    if (error->move == PAY_REFUSE) return tell(listener, PAYBUF_LISTENER_REFUSED, "%s", error->text);
    bool known = strstr(error->text, "Connect") != NULL || listener->kafka_trouble[0] == '\0';
    return tell(listener, PAYBUF_LISTENER_UNAVAILABLE, "%s%s%s%s. Is Kafka running where bootstrap.servers says?",
                error->text, known ? "" : " (", known ? "" : listener->kafka_trouble, known ? "" : ")");
}

static enum paybuf_listener_result open_reader(struct paybuf_listener *listener,
                                               const struct paybuf_listener_options *options) {
    struct pay_setting *settings = calloc(options->kafka_count + 1, sizeof *settings);
    enum paybuf_listener_result result = PAYBUF_LISTENER_NOTHING;
    struct pay_error error;
    if (settings == NULL) abort();
    for (size_t i = 0; i < options->kafka_count; i++) {
        const struct paybuf_listener_setting *given = &options->kafka[i];
        if (strlen(given->name) >= sizeof settings->name || strlen(given->value) >= sizeof settings->value)
            result = tell(listener, PAYBUF_LISTENER_REFUSED, "the setting %.96s is too long", given->name);
        snprintf(settings[i].name, sizeof settings->name, "%s", given->name);
        snprintf(settings[i].value, sizeof settings->value, "%s", given->value);
    }
    const struct pay_kafka_reader_options reader = {.kafka = {.settings = settings,
                                                              .setting_count = (uint32_t)options->kafka_count,
                                                              .client_id = options->client_id,
                                                              .log = keep_log_line,
                                                              .log_argument = listener},
                                                    .group = "paybuf-listener",
                                                    .fetch_wait_ms = FETCH_WAIT_MS};
    if (result == PAYBUF_LISTENER_NOTHING && pay_kafka_reader_open(&reader, &listener->reader, &error) != PAY_OK)
        result = failed(listener, &error);
    free(settings);
    return result;
}

static enum paybuf_listener_result find_topic(struct paybuf_listener *listener, int32_t *ret_partitions) {
    struct pay_error error;
    enum pay_move move = pay_kafka_reader_partitions(listener->reader, listener->reply_topic, listener->timeout_ms,
                                                     ret_partitions, &error);
    if (move == PAY_OK) return PAYBUF_LISTENER_NOTHING;
    if (strcmp(error.code, "UNKNOWN_TOPIC_OR_PART") == 0)
        return tell(listener, PAYBUF_LISTENER_REFUSED,
                    "the topic %s doesn't exist; name the right one, or make it with paybuf init",
                    listener->reply_topic);
    struct pay_kafka_read read; /* the library's log line about it lies in the queue */
    pay_kafka_reader_next(listener->reader, 0, &read);
    if (read.kind == PAY_KAFKA_READ_TROUBLE) error = read.error;
    return failed(listener, &error);
}

static enum paybuf_listener_result begin(struct paybuf_listener *listener,
                                         const struct paybuf_listener_options *options) {
    int32_t partitions = 0;
    struct pay_error error;
    enum paybuf_listener_result result = take_names(listener, options);
    if (result == PAYBUF_LISTENER_NOTHING) result = open_reader(listener, options);
    if (result == PAYBUF_LISTENER_NOTHING) result = find_topic(listener, &partitions);
    if (result == PAYBUF_LISTENER_NOTHING) result = check_positions(listener, options, partitions);
    if (result != PAYBUF_LISTENER_NOTHING) return result;
    if (pay_listener_begin(listener, partitions, options->positions, options->position_count, &error) != PAY_OK)
        return failed(listener, &error);
    listener->grown_ms = pay_clock_ms();
    return PAYBUF_LISTENER_NOTHING;
}

enum paybuf_listener_result paybuf_listener_open(const struct paybuf_listener_options *given,
                                                 struct paybuf_listener **ret_listener, char *ret_why,
                                                 size_t why_size) {
    const struct paybuf_listener_options options = complete(given);
    struct paybuf_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) abort();
    enum paybuf_listener_result result = begin(listener, &options);
    *ret_listener = listener;
    if (result == PAYBUF_LISTENER_NOTHING) return result;
    if (ret_why != NULL && why_size > 0) snprintf(ret_why, why_size, "%s", listener->why);
    paybuf_listener_close(listener);
    *ret_listener = NULL;
    return result;
}

void paybuf_listener_close(struct paybuf_listener *listener) {
    if (listener == NULL) return;
    pay_kafka_reader_close(listener->reader);
    pay_kafka_reaper_wait(CLOSE_TIMEOUT_MS);
    pay_listener_rule_free(&listener->rule);
    free(listener);
}

/* ---- what is to be told ---- */

static enum paybuf_listener_result tell_notice(struct paybuf_listener *listener, struct pay_listener_lane *lane) {
    enum paybuf_listener_result notice = lane->notice;
    const char *topic = listener->reply_topic;
    lane->notice = PAYBUF_LISTENER_NOTHING;
    listener->notices--;
    if (notice == PAYBUF_LISTENER_EXPIRED)
        return tell(listener, notice,
                    "%s partition %" PRId32 ": retention has deleted replies up to offset %" PRId64
                    "; if one of them was still wanted, a gap will be seen",
                    topic, lane->partition, lane->notice_offset);
    if (notice == PAYBUF_LISTENER_TRUNCATED)
        return tell(listener, notice,
                    "%s partition %" PRId32 " ends at offset %" PRId64
                    ", before what was read of it: was it truncated or re-created? Reading it from its start",
                    topic, lane->partition, lane->notice_offset);
    return tell(listener, notice,
                "%s partition %" PRId32 " goes on in generation %" PRId64
                " of its request log: a loss of requests was accepted with paybuf recover",
                topic, lane->partition, lane->notice_offset);
}

static enum paybuf_listener_result next_notice(struct paybuf_listener *listener) {
    for (int32_t p = 0; p < listener->rule.lane_count; p++)
        if (listener->rule.lanes[p].notice != PAYBUF_LISTENER_NOTHING)
            return tell_notice(listener, &listener->rule.lanes[p]);
    return PAYBUF_LISTENER_NOTHING;
}

static enum paybuf_listener_result tell_gap(struct paybuf_listener *listener, const struct pay_log_record *record,
                                            const struct pay_reply_headers *headers) {
    const struct pay_listener_lane *lane = &listener->rule.lanes[record->partition];
    int64_t next = pay_listener_rule_reader(lane, headers->log_generation)->reader.next;
    return tell(listener, PAYBUF_LISTENER_GAP,
                "GAP in partition %" PRId32 ": the replies to %" PRId64 "-%" PRId32 "-%" PRId64 " up to %" PRId64
                "-%" PRId32 "-%" PRId64 " are missing (seen at reply offset %" PRId64
                "). This partition waits, the others go on. paybuf replay --reply --from %" PRId64 "-%" PRId32
                "-%" PRId64 " publishes them again",
                record->partition, headers->log_generation, record->partition, next, headers->log_generation,
                record->partition, headers->covers_from - 1, record->offset, headers->log_generation, record->partition,
                next);
}

/* The handle's trouble mends itself: librdkafka connects again. Told at once, and then not too often. */
static enum paybuf_listener_result tell_trouble(struct paybuf_listener *listener, const struct pay_error *error) {
    int64_t now_ms = pay_clock_ms();
    if (error->move == PAY_REFUSE) return tell(listener, PAYBUF_LISTENER_REFUSED, "%s", error->text);
    if (listener->told_ms != 0 && now_ms - listener->told_ms < TELL_INTERVAL_MS) return PAYBUF_LISTENER_NOTHING;
    listener->told_ms = now_ms;
    return tell(listener, PAYBUF_LISTENER_UNAVAILABLE, "%s; going on trying", error->text);
}

/* ---- what came ---- */

static void read_again(struct paybuf_listener *listener, int32_t partition) {
    listener->broken += !listener->rule.lanes[partition].broken;
    listener->rule.lanes[partition].broken = true;
}

static void give(struct paybuf_listener *listener, const struct pay_log_record *record,
                 const struct pay_reply_headers *headers) {
    const struct pay_listener_lane *lane = &listener->rule.lanes[record->partition];
    const struct pay_listener_reader *reader = pay_listener_rule_reader(lane, headers->log_generation);
    listener->reply = (struct paybuf_listener_reply){.value = record->value,
                                                     .value_length = record->value_length,
                                                     .key = record->key,
                                                     .key_length = record->key_length,
                                                     .position = pay_listener_rule_position(lane, reader),
                                                     .replaces_next = reader->replaced,
                                                     .source_offset = headers->source_offset,
                                                     .reply_offset = record->offset,
                                                     .appended_ms = record->timestamp_ms,
                                                     .ledger_id = listener->rule.ledger_id};
}

static enum paybuf_listener_result take_record(struct paybuf_listener *listener, const struct pay_log_record *record) {
    struct pay_listener_lane *lane = &listener->rule.lanes[record->partition];
    struct pay_reply_headers headers;
    int64_t rewind_to, latest = pay_listener_rule_generation(lane);
    enum pay_listener_move move = pay_listener_rule_take(&listener->rule, record, &headers, &rewind_to);
    if (move == PAY_LISTENER_DROP || move == PAY_LISTENER_SKIP) return PAYBUF_LISTENER_NOTHING;
    if (move == PAY_LISTENER_FOREIGN) {
        if (listener->rule.counts.foreign > 1) return PAYBUF_LISTENER_NOTHING; /* told once */
        return tell(listener, PAYBUF_LISTENER_FOREIGN,
                    "partition %" PRId32 ", reply offset %" PRId64
                    " is of ledger %s, not %s; replies of other ledgers are left out",
                    record->partition, record->offset, headers.ledger_id, listener->rule.ledger_id);
    }
    if (latest > 0 && headers.log_generation > latest) {
        listener->notices += lane->notice == PAYBUF_LISTENER_NOTHING;
        lane->notice = PAYBUF_LISTENER_GENERATION;
        lane->notice_offset = headers.log_generation;
    }
    if (move == PAY_LISTENER_GAP) return tell_gap(listener, record, &headers);
    give(listener, record, &headers);
    if (move == PAY_LISTENER_TAKE_AND_REWIND) {
        read_again(listener, record->partition);
        listener->mended_ms = 0;
    }
    return PAYBUF_LISTENER_REPLY;
}

static enum paybuf_listener_result take(struct paybuf_listener *listener, const struct pay_kafka_read *read) {
    int32_t partition = read->record.partition;
    bool ours = partition >= 0 && partition < listener->rule.lane_count;
    struct pay_listener_lane *lane = ours ? &listener->rule.lanes[partition] : NULL;
    switch (read->kind) {
    case PAY_KAFKA_READ_RECORD:
        return lane->broken ? PAYBUF_LISTENER_NOTHING : take_record(listener, &read->record); /* it comes again */
    case PAY_KAFKA_READ_END:
        if (lane->broken) return PAYBUF_LISTENER_NOTHING;
        lane->at_end = true;
        lane->reply_offset = read->record.offset;
        return PAYBUF_LISTENER_NOTHING;
    case PAY_KAFKA_READ_TROUBLE:
        if (ours) read_again(listener, partition); /* it stands still until then */
        return tell_trouble(listener, &read->error);
    case PAY_KAFKA_READ_NOTHING: break;
    }
    return PAYBUF_LISTENER_NOTHING;
}

/* ---- upkeep ---- */

static enum paybuf_listener_result mend(struct paybuf_listener *listener) {
    enum paybuf_listener_result result = PAYBUF_LISTENER_NOTHING;
    struct pay_error error;
    if (listener->broken == 0 || pay_clock_ms() - listener->mended_ms < MEND_INTERVAL_MS) return result;
    for (int32_t p = 0; p < listener->rule.lane_count && result == PAYBUF_LISTENER_NOTHING; p++) {
        struct pay_listener_lane *lane = &listener->rule.lanes[p];
        if (!lane->broken) continue;
        if (pay_listener_seek(listener, lane, MEND_TIMEOUT_MS, &error) != PAY_OK) {
            result = tell_trouble(listener, &error);
            break;
        }
        lane->broken = lane->at_end = false;
        listener->broken--;
    }
    listener->mended_ms = pay_clock_ms();
    return result;
}

static enum paybuf_listener_result look_for_growth(struct paybuf_listener *listener) {
    int32_t partitions;
    struct pay_error error;
    if (pay_clock_ms() - listener->grown_ms < GROWTH_INTERVAL_MS) return PAYBUF_LISTENER_NOTHING;
    enum pay_move move =
        pay_kafka_reader_partitions(listener->reader, listener->reply_topic, MEND_TIMEOUT_MS, &partitions, &error);
    if (move == PAY_OK) move = pay_listener_begin(listener, partitions, NULL, 0, &error);
    listener->grown_ms = pay_clock_ms();
    return move == PAY_OK ? PAYBUF_LISTENER_NOTHING : tell_trouble(listener, &error);
}

static enum paybuf_listener_result keep_up(struct paybuf_listener *listener) {
    enum paybuf_listener_result result = mend(listener);
    if (result == PAYBUF_LISTENER_NOTHING) result = look_for_growth(listener);
    return result == PAYBUF_LISTENER_NOTHING && listener->notices > 0 ? next_notice(listener) : result;
}

static int64_t patience(const struct paybuf_listener *listener, int64_t left_ms) {
    int64_t most_ms = listener->broken > 0 ? MEND_INTERVAL_MS / 10 : MEND_INTERVAL_MS;
    return left_ms < 0 ? 0 : left_ms < most_ms ? left_ms : most_ms;
}

enum paybuf_listener_result paybuf_listener_next(struct paybuf_listener *listener, int64_t timeout_ms,
                                                 const struct paybuf_listener_reply **ret_reply) {
    struct pay_kafka_read read;
    int64_t until_ms = pay_clock_ms() + timeout_ms;
    for (;;) {
        enum paybuf_listener_result result = keep_up(listener);
        if (result != PAYBUF_LISTENER_NOTHING) return result;
        pay_kafka_reader_next(listener->reader, patience(listener, until_ms - pay_clock_ms()), &read);
        result = take(listener, &read);
        if (result == PAYBUF_LISTENER_REPLY) *ret_reply = &listener->reply;
        if (result != PAYBUF_LISTENER_NOTHING || pay_clock_ms() >= until_ms) return result;
    }
}

/* ---- looking at it ---- */

const char *paybuf_listener_why(const struct paybuf_listener *listener) { return listener->why; }

size_t paybuf_listener_positions(const struct paybuf_listener *listener, struct paybuf_listener_position *ret_positions,
                                 size_t capacity) {
    return pay_listener_rule_positions(&listener->rule, ret_positions, capacity);
}

bool paybuf_listener_at_end(const struct paybuf_listener *listener) {
    for (int32_t p = 0; p < listener->rule.lane_count; p++)
        if (!listener->rule.lanes[p].at_end || listener->rule.lanes[p].broken) return false;
    return true;
}

void paybuf_listener_count(const struct paybuf_listener *listener, struct paybuf_listener_counts *ret_counts,
                           size_t size) {
    struct paybuf_listener_counts counts = listener->rule.counts;
    counts.gaps_now = pay_listener_rule_open_gaps(&listener->rule);
    memset(ret_counts, 0, size);
    memcpy(ret_counts, &counts, size < sizeof counts ? size : sizeof counts);
}

const char *paybuf_listener_ledger_id(const struct paybuf_listener *listener) { return listener->rule.ledger_id; }

const char *paybuf_listener_version(void) { return PAY_VERSION; }
