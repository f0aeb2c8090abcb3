#include "producer/streams.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "codec/reply_headers.h"
#include "producer/catch_up.h"
#include "producer/reply_ring.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum phase {
    START,  /* not answered: waits for the ring */
    TURN,   /* not answered: waits for its turn to catch up */
    FIND,   /* not answered: the log is being searched */
    BEHIND, /* reads the log */
    LIVE,   /* reads the ring */
    ENDING  /* one last block, and the end */
};

static const char cant_read[] = "The reply log can't be read at the moment.";

struct stream {
    struct stream *previous, *next;
    struct pay_streams *hub;
    struct pay_exchange *exchange; /* until it is answered */
    struct pay_http_flow *flow;    /* from then on */
    enum phase phase;
    const char *why; /* it ends */
    bool paused;     /* waits for pay_http_wake */
    bool resumes, greeted, ping, ended;
    int64_t since_ms; /* when it came, then when it spoke last */
    int64_t turn_ms;  /* when it began to read the log */
    uint64_t number;  /* next entry of the ring */
    struct pay_catch_up *catch_up;
    struct pay_result_filter filter;
    char *text; /* the block being sent */
    size_t length, sent, room;
    struct pay_places places;
};

struct pay_streams {
    const struct pay_config *config;
    const struct pay_kafka_options *kafka;
    struct pay_follower *follower;
    struct pay_follower_subscription subscription;
    struct pay_reply_ring *ring; /* NULL: nobody listened yet */
    struct stream anchor;        /* of the ring of streams, the oldest first */
    int64_t wanted_ms;           /* when the first stream came; 0: never */
    uint32_t count, catching_up;
    int wake_fd;
    bool draining;
    struct {
        uint64_t opened, events, resumed_from_memory, resumed_from_log;
        uint64_t slow, missed, gone, failed, refused;
    } counters;
};

/* --- a stream's life ---------------------------------------------------------------------------------------------------------- */

static void stop_catching_up(struct stream *stream) {
    if (stream->catch_up == NULL) return;
    pay_catch_up_stop(stream->catch_up);
    stream->catch_up = NULL;
    stream->hub->catching_up--;
}

static void stream_free(struct stream *stream) {
    stop_catching_up(stream);
    stream->previous->next = stream->next;
    stream->next->previous = stream->previous;
    stream->hub->count--;
    free(stream->text);
    free(stream);
}

static void refuse(struct stream *stream, enum pay_problem_code code, const char *detail) {
    struct pay_exchange *exchange = stream->exchange;
    stream_free(stream);
    pay_exchange_problem(exchange, &(struct pay_problem){.code = code, .detail = detail});
}

static void end(struct stream *stream, const char *why) {
    stop_catching_up(stream);
    stream->phase = ENDING;
    stream->why = why;
}

static void wake(struct stream *stream) {
    if (!stream->paused) return;
    stream->paused = false;
    pay_http_wake(stream->flow);
}

/* --- blocks of text ----------------------------------------------------------------------------------------------------------- */

/* Room for a block with `length` bytes of a reply's value. */
static char *begin_block(struct stream *stream, size_t length) {
    size_t wanted = PAY_EVENT_ID_MAX * (stream->places.count + 1) / PAY_PLACES_MAX + length + 256;
    if (wanted > stream->room) {
        free(stream->text);
        stream->text = malloc(wanted);
        if (stream->text == NULL) abort(); /* out of memory: accepted payments are in the log */
        stream->room = wanted;
    }
    stream->since_ms = pay_clock_ms();
    stream->sent = 0;
    return stream->text;
}

/* head, the id of the places as they are now, and a blank line; with a value its data in between. */
static void put_block(struct stream *stream, const char *head, const char *value, size_t length) {
    char id[PAY_EVENT_ID_MAX];
    pay_event_id_format(stream->hub->config->reply_topic, &stream->places, id);
    char *text = begin_block(stream, length);
    size_t made = (size_t)snprintf(text, stream->room, "%sid: %s\n", head, id);
    if (length > 0) {
        memcpy(text + made, "data: ", 6);
        memcpy(text + made + 6, value, length);
        text[made + 6 + length] = '\n';
        made += length + 7;
    }
    text[made++] = '\n';
    assert(made <= stream->room);
    stream->length = made;
}

static void put_event(struct stream *stream, enum pay_outcome outcome, const char *value, size_t length) {
    char head[32];
    snprintf(head, sizeof head, "event: %s\n", pay_outcome_name(outcome));
    put_block(stream, head, value, length);
    stream->hub->counters.events++;
}

static void put_end(struct stream *stream) {
    char head[160];
    int retry_ms = PAY_STREAM_RETRY_MS + 500 * (pay_retry_after_s() - 1); /* not all at once */
    snprintf(head, sizeof head, ": %s\nretry: %d\n", stream->why, retry_ms);
    put_block(stream, head, NULL, 0);
    stream->ended = true;
}

/* --- what comes next ---------------------------------------------------------------------------------------------------------- */

static void go_live(struct stream *stream) {
    stop_catching_up(stream);
    stream->phase = LIVE;
    stream->number = pay_reply_ring_first(stream->hub->ring);
}

/* The ring's next entry for this stream. True: there is something to send, or it ends. */
static bool next_of_ring(struct stream *stream) {
    struct pay_streams *hub = stream->hub;
    if (stream->number < pay_reply_ring_first(hub->ring)) {
        hub->counters.slow++;
        return end(stream, "too far behind; go on with the last id"), true;
    }
    while (stream->number < pay_reply_ring_end(hub->ring)) {
        struct pay_reply_entry *entry = pay_reply_ring_at(hub->ring, stream->number++);
        const struct pay_position *source = &entry->source;
        pay_places_grow(&stream->places, (uint32_t)source->partition + 1, source->generation);
        struct pay_place *place = &stream->places.at[source->partition];
        switch (pay_place_take(place, source->generation, source->offset, entry->covers_from)) {
        case PAY_READER_DROP: continue;
        case PAY_READER_GAP:
            hub->counters.missed++;
            return end(stream, "replies were missed; go on with the last id"), true;
        case PAY_READER_TAKE: break;
        }
        const struct pay_result_facts *facts = pay_reply_entry_facts(entry);
        if (!pay_result_filter_fits(&stream->filter, facts)) continue;
        put_event(stream, facts->outcome, entry->value, entry->length);
        return true;
    }
    return false;
}

static void look_for_its_end(struct stream *stream) {
    char reason[PAY_ERROR_TEXT_MAX];
    enum pay_catch_up_state state = pay_catch_up_look(stream->catch_up, reason);
    if (state == PAY_CATCH_UP_READING) return;
    stream->hub->counters.failed++;
    pay_log(PAY_LOG_WARNING, "a stream of results ends while it reads the log: %s", reason);
    end(stream, "the log can't be read on; go on with the last id");
}

static bool next_of_log(struct stream *stream) {
    struct pay_catch_up_item *item;
    while ((item = pay_catch_up_next(stream->catch_up)) != NULL) {
        stream->places.at[item->partition] = item->place;
        size_t length = item->length;
        if (length > 0) put_event(stream, item->outcome, item->value, length);
        free(item);
        bool caught_up = pay_places_reached(&stream->places, pay_reply_ring_before(stream->hub->ring));
        if (caught_up) go_live(stream);
        if (length > 0) return true;
        if (caught_up) return next_of_ring(stream);
    }
    look_for_its_end(stream);
    return stream->phase == ENDING;
}

/* The next block into stream->text; false: nothing now. */
static bool next_block(struct stream *stream) {
    char head[32];
    stream->length = stream->sent = 0;
    if (!stream->greeted) {
        stream->greeted = true;
        snprintf(head, sizeof head, "retry: %d\n", PAY_STREAM_RETRY_MS);
        put_block(stream, head, NULL, 0);
        return true;
    }
    if (stream->phase == LIVE && next_of_ring(stream) && stream->length > 0) return true;
    if (stream->phase == BEHIND && next_of_log(stream) && stream->length > 0) return true;
    if (stream->phase == ENDING && !stream->ended) return put_end(stream), true;
    if (!stream->ping) return false;
    stream->ping = false;
    put_block(stream, ": ping\n", NULL, 0);
    return true;
}

static size_t produce(void *argument, char *buffer, size_t size) {
    struct stream *stream = argument;
    size_t made = 0;
    while (made < size) {
        if (stream->sent == stream->length && (stream->ended || !next_block(stream))) break;
        size_t part = stream->length - stream->sent;
        if (part > size - made) part = size - made;
        memcpy(buffer + made, stream->text + stream->sent, part);
        stream->sent += part;
        made += part;
    }
    stream->paused = made == 0 && !stream->ended;
    return stream->paused ? PAY_HTTP_LATER : made;
}

static void release(void *argument) { stream_free(argument); }

/* --- beginning ---------------------------------------------------------------------------------------------------------------- */

static void answer(struct stream *stream) {
    static const struct pay_http_header headers[] = {
        {"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}};
    const struct pay_http_source source = {
        .produce = produce, .release = release, .argument = stream, .ret_flow = &stream->flow};
    struct pay_exchange *exchange = stream->exchange;
    stream->exchange = NULL;
    stream->since_ms = pay_clock_ms();
    pay_exchange_answer(exchange, &(struct pay_http_answer){.status = 200,
                                                            .headers = headers,
                                                            .header_count = sizeof headers / sizeof *headers,
                                                            .source = &source});
}

static void start_catching_up(struct stream *stream) {
    struct pay_streams *hub = stream->hub;
    struct pay_error error;
    struct pay_catch_up_start *start = malloc(sizeof *start);
    if (start == NULL) abort(); /* as in begin_block */
    start->kafka = hub->kafka;
    start->topic = hub->config->reply_topic;
    start->filter = stream->filter;
    start->from = stream->places;
    start->known = *pay_reply_ring_behind(hub->ring);
    start->wake_descriptor = hub->wake_fd;
    for (uint32_t p = 0; p < start->known.count; p++)
        start->log_offsets[p] = pay_follower_log_offset(hub->follower, (int32_t)p);
    stream->catch_up = pay_catch_up_start(start, &error);
    free(start);
    if (stream->catch_up == NULL) {
        hub->counters.failed++;
        pay_log(PAY_LOG_WARNING, "a stream of results can't be resumed: %s", error.text);
        refuse(stream, PAY_PROBLEM_UNAVAILABLE, cant_read);
        return;
    }
    pay_places_grow(&stream->places, pay_reply_ring_behind(hub->ring)->count, hub->config->producer_log_generation);
    hub->catching_up++;
    hub->counters.resumed_from_log++;
    stream->turn_ms = pay_clock_ms();
    stream->phase = FIND;
}

/* The search has ended, or not. */
static void look_at_search(struct stream *stream) {
    char reason[PAY_ERROR_TEXT_MAX];
    switch (pay_catch_up_look(stream->catch_up, reason)) {
    case PAY_CATCH_UP_POSITIONING: return;
    case PAY_CATCH_UP_READING:
        stream->phase = BEHIND;
        answer(stream);
        return;
    case PAY_CATCH_UP_GONE:
        stream->hub->counters.gone++;
        refuse(stream, PAY_PROBLEM_GONE,
               "The replies that come next are older than the reply log keeps. Begin again without an id, and ask for "
               "the missed payments one by one.");
        return;
    case PAY_CATCH_UP_FAILED:
        stream->hub->counters.failed++;
        pay_log(PAY_LOG_WARNING, "a stream of results can't be resumed: %s", reason);
        refuse(stream, PAY_PROBLEM_UNAVAILABLE, cant_read);
        return;
    }
}

/* Where every partition is now, as the follower knows it. */
static void read_places(const struct pay_streams *hub, struct pay_places *ret_places) {
    *ret_places = (struct pay_places){.count = (uint32_t)pay_follower_partitions(hub->follower)};
    for (uint32_t p = 0; p < ret_places->count; p++) {
        int64_t next = pay_follower_answered_below(hub->follower, (int32_t)p);
        ret_places->at[p] = (struct pay_place){pay_follower_generation(hub->follower, (int32_t)p),
                                               next <= PAY_PLACE_NEXT_MAX ? next : -1};
    }
}

static void take_reply(void *argument, const struct pay_follower_reply *reply);

/* Its last records tell how far a partition is; where they don't (it is empty, or they are somebody else's), nothing is known. */
static bool all_is_known(const struct pay_places *places) {
    for (uint32_t p = 0; p < places->count; p++)
        if (places->at[p].next < 0) return false;
    return true;
}

/* The first stream makes the ring, as soon as the follower knows where every partition is. */
static bool ring_is_there(struct pay_streams *hub) {
    struct pay_places places;
    int32_t partitions = pay_follower_partitions(hub->follower);
    if (hub->ring != NULL) return true;
    if (hub->wanted_ms == 0) {
        hub->wanted_ms = pay_clock_ms();
        hub->subscription = (struct pay_follower_subscription){.taken = take_reply, .argument = hub};
        pay_follower_subscribe(hub->follower, &hub->subscription);
    }
    if (partitions < 1 || partitions > PAY_PLACES_MAX || !pay_follower_stands(hub->follower, -1)) return false;
    read_places(hub, &places);
    if (!all_is_known(&places) && pay_clock_ms() - hub->wanted_ms < PAY_STREAM_KNOWN_MS) return false;
    hub->ring = pay_reply_ring_new((size_t)hub->config->producer_results_stream_bytes, &places);
    if (hub->ring == NULL) abort(); /* as in begin_block */
    return true;
}

/* The ring is there. */
static void begin(struct stream *stream) {
    struct pay_streams *hub = stream->hub;
    const struct pay_places *behind = pay_reply_ring_behind(hub->ring);
    if (stream->resumes && stream->places.count > behind->count) {
        refuse(stream, PAY_PROBLEM_BAD_PARAMETER, "The event id is of a log with more partitions than this one has.");
        return;
    }
    if (stream->resumes && !pay_places_reached(&stream->places, pay_reply_ring_before(hub->ring))) {
        stream->phase = TURN;
        if (hub->catching_up < PAY_CATCH_UPS_MAX) start_catching_up(stream);
        return;
    }
    if (stream->resumes)
        hub->counters.resumed_from_memory++;
    else
        stream->places = *behind;
    go_live(stream);
    answer(stream);
}

void pay_streams_begin(struct pay_streams *hub, struct pay_exchange *exchange, const struct pay_result_filter *filter,
                       const struct pay_places *from) {
    const char *reason = hub->draining ? "This server is shutting down." : "Too many streams are open.";
    if (hub->draining || hub->count >= (uint32_t)hub->config->producer_results_streams_max) {
        hub->counters.refused++;
        pay_exchange_problem(exchange, &(struct pay_problem){.code = PAY_PROBLEM_UNAVAILABLE, .detail = reason});
        return;
    }
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) abort(); /* as in begin_block */
    stream->hub = hub;
    stream->exchange = exchange;
    stream->filter = *filter;
    stream->since_ms = pay_clock_ms();
    stream->resumes = from != NULL;
    if (from != NULL) stream->places = *from;
    stream->next = &hub->anchor;
    stream->previous = hub->anchor.previous;
    stream->previous->next = hub->anchor.previous = stream;
    exchange->state = stream;
    hub->count++;
    hub->counters.opened++;
    if (ring_is_there(hub)) begin(stream);
}

void pay_streams_gone(struct pay_streams *hub, struct pay_exchange *exchange) {
    (void)hub;
    if (exchange->state != NULL) stream_free(exchange->state);
}

/* --- events ------------------------------------------------------------------------------------------------------------------- */

static void give_starts(struct pay_streams *hub) {
    struct stream *next;
    if (hub->wanted_ms == 0 || !ring_is_there(hub)) return;
    for (struct stream *stream = hub->anchor.next; stream != &hub->anchor; stream = next) {
        next = stream->next;
        if (stream->phase == START) begin(stream);
    }
}

static void take_reply(void *argument, const struct pay_follower_reply *reply) {
    struct pay_streams *hub = argument;
    struct pay_reply_headers headers;
    if (hub->ring == NULL) { /* how far the follower is includes this one */
        give_starts(hub);
        return;
    }
    if (reply->source.partition >= PAY_PLACES_MAX || !pay_reply_headers_read(reply->record, &headers)) return;
    if (!pay_reply_ring_add(hub->ring, &reply->source, headers.covers_from, reply->record->value,
                            reply->record->value != NULL ? reply->record->value_length : 0))
        return;
    /* Who waits is behind the entry before this one: it is moved on, and woken only for what it shows. */
    for (struct stream *stream = hub->anchor.next; stream != &hub->anchor; stream = stream->next) {
        if (stream->phase != LIVE || !stream->paused) continue;
        stream->length = stream->sent = 0;
        if (next_of_ring(stream)) wake(stream);
    }
}

static void give_turns(struct pay_streams *hub) {
    struct stream *next;
    for (struct stream *stream = hub->anchor.next; stream != &hub->anchor; stream = next) {
        next = stream->next;
        if (stream->phase == TURN && hub->catching_up < PAY_CATCH_UPS_MAX) start_catching_up(stream);
    }
}

void pay_streams_run(struct pay_streams *hub) {
    uint64_t count;
    struct stream *next;
    (void)!read(hub->wake_fd, &count, sizeof count);
    for (struct stream *stream = hub->anchor.next; stream != &hub->anchor; stream = next) {
        next = stream->next;
        if (stream->phase == FIND)
            look_at_search(stream);
        else if (stream->phase == BEHIND)
            wake(stream);
    }
    give_turns(hub);
}

bool pay_streams_behind(const struct pay_streams *hub) {
    if (hub->ring == NULL || hub->count == 0) return false;
    uint64_t first = pay_reply_ring_first(hub->ring), half = (pay_reply_ring_end(hub->ring) - first) / 2;
    if (2 * pay_reply_ring_bytes(hub->ring) < (size_t)hub->config->producer_results_stream_bytes) return false;
    int64_t now_ms = pay_clock_ms();
    for (const struct stream *stream = hub->anchor.next; stream != &hub->anchor; stream = stream->next)
        if (stream->phase == LIVE && stream->number >= first && stream->number < first + half &&
            now_ms - stream->since_ms < PAY_STREAM_READING_MS)
            return true;
    return false;
}

static bool somebody_waits(const struct pay_streams *hub) {
    for (const struct stream *stream = hub->anchor.next; stream != &hub->anchor; stream = stream->next)
        if (stream->phase == TURN) return true;
    return false;
}

static uint32_t known_partitions(const struct pay_streams *hub) { return pay_reply_ring_behind(hub->ring)->count; }

void pay_streams_tick(struct pay_streams *hub) {
    int64_t now_ms = pay_clock_ms();
    struct stream *next;
    give_starts(hub);
    bool in_a_hurry = somebody_waits(hub);
    for (struct stream *stream = hub->anchor.next; stream != &hub->anchor; stream = next) {
        next = stream->next;
        int64_t age_ms = now_ms - stream->since_ms;
        if (stream->exchange != NULL && pay_exchange_has_hung_up(stream->exchange)) {
            refuse(stream, PAY_PROBLEM_UNAVAILABLE, "The client has hung up.");
        } else if (stream->phase == START && age_ms > PAY_STREAM_START_MAX_MS) {
            hub->counters.refused++;
            refuse(stream, PAY_PROBLEM_UNAVAILABLE, cant_read);
        } else if (stream->phase == TURN && age_ms > PAY_STREAM_TURN_MAX_MS) {
            hub->counters.refused++;
            refuse(stream, PAY_PROBLEM_UNAVAILABLE, "Too many streams read the log at the moment.");
        } else if (stream->phase == BEHIND && known_partitions(hub) > stream->places.count) {
            end(stream, "the log got more partitions; go on with the last id");
            wake(stream);
        } else if (stream->phase == BEHIND && in_a_hurry && now_ms - stream->turn_ms > PAY_CATCH_UP_TURN_MS) {
            end(stream, "others wait to read the log; go on with the last id");
            wake(stream);
        } else if (stream->phase == LIVE && stream->number < pay_reply_ring_first(hub->ring)) {
            hub->counters.slow++;
            pay_http_cut(stream->flow); /* it took nothing since: nothing more can be told it */
            end(stream, "too far behind");
        } else if (stream->paused && age_ms >= PAY_STREAM_PING_MS) {
            stream->ping = true;
            wake(stream);
        }
    }
    give_turns(hub);
}

/* --- open and close ----------------------------------------------------------------------------------------------------------- */

struct pay_streams *pay_streams_open(const struct pay_config *config, const struct pay_kafka_options *kafka,
                                     struct pay_follower *follower) {
    struct pay_streams *hub = calloc(1, sizeof *hub);
    if (hub == NULL) return NULL;
    hub->config = config;
    hub->kafka = kafka;
    hub->follower = follower;
    hub->anchor.next = hub->anchor.previous = &hub->anchor;
    hub->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (hub->wake_fd >= 0) return hub;
    free(hub);
    return NULL;
}

void pay_streams_drain(struct pay_streams *hub) {
    struct stream *next;
    if (hub->wanted_ms != 0 && !hub->draining) pay_follower_unsubscribe(hub->follower, &hub->subscription);
    hub->draining = true;
    for (struct stream *stream = hub->anchor.next; stream != &hub->anchor; stream = next) {
        next = stream->next;
        if (stream->exchange != NULL) {
            refuse(stream, PAY_PROBLEM_UNAVAILABLE, "This server is shutting down.");
        } else if (stream->phase != ENDING) {
            end(stream, "this server is shutting down");
            wake(stream);
        }
    }
}

void pay_streams_close(struct pay_streams *hub) {
    if (hub == NULL) return;
    assert(hub->count == 0 && (hub->wanted_ms == 0 || hub->draining));
    pay_reply_ring_free(hub->ring);
    close(hub->wake_fd);
    free(hub);
}

int pay_streams_descriptor(const struct pay_streams *hub) { return hub->wake_fd; }

void pay_streams_metrics(const struct pay_streams *hub, FILE *out) {
    pay_metrics_gauge(out, "paybuf_intake_streams", "Streams of results open now.", hub->count);
    pay_metrics_gauge(out, "paybuf_intake_streams_catching_up", "... that read the log, to catch up.",
                      hub->catching_up);
    pay_metrics_gauge(out, "paybuf_intake_stream_bytes", "Replies kept for them.",
                      hub->ring != NULL ? (double)pay_reply_ring_bytes(hub->ring) : 0);
    pay_metrics_counter(out, "paybuf_intake_streams_total", "Streams of results asked for.", hub->counters.opened);
    pay_metrics_counter(out, "paybuf_intake_stream_events_total", "Results given to streams.", hub->counters.events);
    pay_metrics_head(out, "paybuf_intake_streams_resumed_total", "counter",
                     "Streams that went on behind an event id, by where the next results came from.");
    pay_metrics_value(out, "paybuf_intake_streams_resumed_total", "from=\"memory\"", hub->counters.resumed_from_memory);
    pay_metrics_value(out, "paybuf_intake_streams_resumed_total", "from=\"log\"", hub->counters.resumed_from_log);
    pay_metrics_head(out, "paybuf_intake_streams_ended_total", "counter",
                     "Streams ended or not begun by the intake, by reason.");
    pay_metrics_value(out, "paybuf_intake_streams_ended_total", "reason=\"slow\"", hub->counters.slow);
    pay_metrics_value(out, "paybuf_intake_streams_ended_total", "reason=\"missed\"", hub->counters.missed);
    pay_metrics_value(out, "paybuf_intake_streams_ended_total", "reason=\"gone\"", hub->counters.gone);
    pay_metrics_value(out, "paybuf_intake_streams_ended_total", "reason=\"failed\"", hub->counters.failed);
    pay_metrics_value(out, "paybuf_intake_streams_ended_total", "reason=\"refused\"", hub->counters.refused);
}
