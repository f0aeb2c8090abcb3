#include "producer/follower.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/limits.h"
#include "kafka/kafka_reader.h"
#include "listener/listener_rule.h"
#include "producer/results.h"
#include "producer/scout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define STANDSTILL_MS 30000 /* so long behind the end without a step, and the reader is opened anew (PITFALLS) */
#define NOTE_INTERVAL_MS 10000

/* What the rule of listener_rule.h doesn't know of a partition. */
struct lane {
    bool reading; /* false: waits for the scout to tell where the log is, then goes on where it was, or in the middle */
    bool placed;  /* the rule's reply_offset says where that is */
    int64_t looked_offset;   /* reply_offset at the scout's last round */
    int64_t still_since_ms;  /* no step towards the end since then; 0: it moves */
    int64_t beyond_since_ms; /* since then the log is said to end before what was read of it; 0: it isn't */
};

struct pay_follower {
    struct pay_follower_options options;
    struct pay_kafka_reader *reader;
    struct pay_scout *scout;
    struct pay_results *results;
    struct pay_listener_rule rule;
    struct lane *lanes;                             /* rule.lane_count of them */
    int32_t reading;                                /* how many */
    bool broken;                                    /* the reader is to be opened anew, outside of its own calls */
    uint64_t round;                                 /* the scout's last one that was used */
    struct pay_follower_subscription subscriptions; /* a ring; this one is its anchor */
    struct pay_follower_subscription *next_told;    /* while one is told */
    struct pay_follower_counters counters;
    int64_t noted_ms;
};

/* --- subscriptions ------------------------------------------------------------------------------------------------------------ */

void pay_follower_subscribe(struct pay_follower *follower, struct pay_follower_subscription *subscription) {
    struct pay_follower_subscription *anchor = &follower->subscriptions;
    subscription->previous = anchor->previous;
    subscription->next = anchor;
    subscription->previous->next = anchor->previous = subscription;
}

void pay_follower_unsubscribe(struct pay_follower *follower, struct pay_follower_subscription *subscription) {
    if (follower->next_told == subscription) follower->next_told = subscription->next;
    subscription->previous->next = subscription->next;
    subscription->next->previous = subscription->previous;
}

static void tell(struct pay_follower *follower, const struct pay_follower_reply *reply) {
    struct pay_follower_subscription *anchor = &follower->subscriptions;
    for (struct pay_follower_subscription *at = anchor->next; at != anchor; at = follower->next_told) {
        follower->next_told = at->next;
        at->taken(at->argument, reply);
    }
    follower->next_told = NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------------------ */

static void set_reading(struct pay_follower *follower, int32_t partition, bool reading) {
    struct lane *lane = &follower->lanes[partition];
    follower->reading += reading - lane->reading;
    lane->reading = reading;
}

static void lose(struct pay_follower *follower, int32_t partition) {
    set_reading(follower, partition, false);
    pay_kafka_reader_stop(follower->reader, follower->options.config->reply_topic, partition);
    pay_scout_ask(follower->scout);
}

static void note(struct pay_follower *follower, const char *text) {
    int64_t now_ms = pay_clock_ms();
    follower->counters.troubles++;
    if (follower->noted_ms != 0 && now_ms - follower->noted_ms < NOTE_INTERVAL_MS) return;
    follower->noted_ms = now_ms;
    pay_log(PAY_LOG_WARNING, "following the replies: %s; going on trying", text);
}

/* Reads the partition from its reply_offset. */
static void seek(struct pay_follower *follower, int32_t partition) {
    struct pay_error error;
    int64_t offset = follower->rule.lanes[partition].reply_offset;
    if (pay_kafka_reader_seek(follower->reader, follower->options.config->reply_topic, partition, offset, &error) ==
        PAY_OK) {
        set_reading(follower, partition, true);
        return;
    }
    note(follower, error.text);
    lose(follower, partition);
}

static void keep_and_tell(struct pay_follower *follower, const struct pay_log_record *record,
                          const struct pay_reply_headers *headers) {
    const struct pay_follower_reply reply = {.source = {.generation = headers->log_generation,
                                                        .partition = record->partition,
                                                        .offset = headers->source_offset},
                                             .record = record};
    pay_results_add(follower->results, &(struct pay_result){.source = reply.source,
                                                            .key = record->key,
                                                            .key_length = record->key_length,
                                                            .value = record->value,
                                                            .value_length = record->value_length});
    follower->counters.other_generation += headers->log_generation != follower->options.config->producer_log_generation;
    tell(follower, &reply);
}

static void take_record(struct pay_follower *follower, const struct pay_log_record *record) {
    struct pay_reply_headers headers;
    int64_t rewind_to;
    switch (pay_listener_rule_take(&follower->rule, record, &headers, &rewind_to)) {
    case PAY_LISTENER_DROP:
    case PAY_LISTENER_SKIP:
    case PAY_LISTENER_FOREIGN: break;
    case PAY_LISTENER_GAP:
        pay_log(PAY_LOG_ERROR,
                "a gap before offset %" PRId64 " of the replies' partition %" PRId32
                ": results of this partition aren't told until paybuf replay --reply has published the missing ones",
                record->offset, record->partition);
        break;
    case PAY_LISTENER_TAKE: keep_and_tell(follower, record, &headers); break;
    case PAY_LISTENER_TAKE_AND_REWIND:
        keep_and_tell(follower, record, &headers);
        seek(follower, record->partition); /* the rule moved reply_offset back */
        break;
    }
}

static void take_trouble(struct pay_follower *follower, const struct pay_kafka_read *read) {
    note(follower, read->error.text);
    if (read->record.partition >= 0)
        lose(follower, read->record.partition);
    else if (read->error.move == PAY_SESSION_OVER)
        follower->broken = true;
}

/* False: there was nothing. */
static bool take_next(struct pay_follower *follower) {
    struct pay_kafka_read read;
    pay_kafka_reader_next(follower->reader, 0, &read);
    switch (read.kind) {
    case PAY_KAFKA_READ_NOTHING: return false;
    case PAY_KAFKA_READ_RECORD: take_record(follower, &read.record); break;
    case PAY_KAFKA_READ_END: follower->rule.lanes[read.record.partition].reply_offset = read.record.offset; break;
    case PAY_KAFKA_READ_TROUBLE: take_trouble(follower, &read); break;
    }
    return true;
}

void pay_follower_run(struct pay_follower *follower) {
    for (int i = 0; i < PAY_FOLLOWER_TURN && take_next(follower); i++) continue;
}

/* --- where the logs are ------------------------------------------------------------------------------------------------------- */

/* In the middle, at the last record: it tells what is answered. A log that begins here with us has all from 0 on. False: not possible yet. */
static bool place_anew(struct pay_follower *follower, int32_t partition, const struct pay_scout_log *log) {
    struct pay_listener_lane *lane = &follower->rule.lanes[partition];
    int64_t offset = log->reply_end > log->reply_start ? log->reply_end - 1 : log->reply_end;
    struct pay_reader first;
    if (offset == 0 && !follower->lanes[partition].placed)
        pay_reader_start_at(&first, 0);
    else if (log->request_end >= 0)
        pay_reader_start_in_the_middle(&first, log->request_end);
    else
        return false;
    if (follower->lanes[partition].placed) pay_results_clear(follower->results); /* it may be another log by now */
    lane->first = first;
    lane->reader_count = 0;
    lane->reply_offset = offset;
    follower->lanes[partition].placed = true;
    follower->counters.placed++;
    return true;
}

/* Whether `condition` was true in each round for least_ms; *since_ms is its own. */
static bool has_lasted(bool condition, int64_t *since_ms, int64_t least_ms) {
    int64_t now_ms = pay_clock_ms();
    if (!condition)
        *since_ms = 0;
    else if (*since_ms == 0)
        *since_ms = now_ms;
    return condition && now_ms - *since_ms >= least_ms;
}

/* A lost partition goes on where it was, if the log still has that; else in the middle. A new leader may not know yet how far its log
   goes, so an end before ours is believed only when it stays so. */
static void find_again(struct pay_follower *follower, int32_t partition, const struct pay_scout_log *log) {
    struct lane *lane = &follower->lanes[partition];
    int64_t offset = follower->rule.lanes[partition].reply_offset;
    bool beyond = lane->placed && offset > log->reply_end;
    if (beyond != has_lasted(beyond, &lane->beyond_since_ms, PAY_SUSPICION_MS)) return;
    bool usable = lane->placed && offset >= log->reply_start && offset <= log->reply_end;
    if (!usable && lane->placed)
        pay_log(PAY_LOG_WARNING,
                "the replies' partition %" PRId32 " has offsets %" PRId64 " to %" PRId64 ", not %" PRId64
                " any more: starting again at its end; results in between aren't told",
                partition, log->reply_start, log->reply_end, offset);
    if (!usable && !place_anew(follower, partition, log)) return;
    lane->beyond_since_ms = 0;
    seek(follower, partition);
}

/* Behind the end, and no step for long: librdkafka has gone to sleep. */
static bool stands_still(struct pay_follower *follower, int32_t partition, const struct pay_scout_log *log) {
    struct lane *lane = &follower->lanes[partition];
    int64_t offset = follower->rule.lanes[partition].reply_offset;
    bool still = offset == lane->looked_offset && offset < log->reply_end;
    lane->looked_offset = offset;
    return has_lasted(still, &lane->still_since_ms, STANDSTILL_MS);
}

static void add_lanes(struct pay_follower *follower, int32_t partitions) {
    int32_t before = follower->rule.lane_count;
    struct pay_reader first;
    if (partitions <= before) return;
    follower->lanes = realloc(follower->lanes, (size_t)partitions * sizeof *follower->lanes);
    if (follower->lanes == NULL) abort();
    pay_reader_start_at(&first, 0);
    for (int32_t p = before; p < partitions; p++) {
        pay_listener_rule_add(&follower->rule, &first, 0);
        follower->lanes[p] = (struct lane){.placed = before > 0}; /* all in a partition that is added is new */
    }
    pay_log(PAY_LOG_INFO, "following %" PRId32 " partitions of %s", partitions, follower->options.config->reply_topic);
}

void pay_follower_look(struct pay_follower *follower) {
    const struct pay_scout_report *report = pay_scout_look(follower->scout);
    if (report->round == follower->round) return;
    follower->round = report->round;
    if (report->reason[0] != '\0') note(follower, report->reason);
    add_lanes(follower, report->partitions);
    bool asleep = false, again = false;
    for (int32_t p = 0; p < report->partitions; p++) {
        if (!report->logs[p].found) continue;
        if (!follower->lanes[p].reading)
            find_again(follower, p, &report->logs[p]);
        else
            asleep = stands_still(follower, p, &report->logs[p]) || asleep;
        again = again || !follower->lanes[p].reading;
    }
    if (again) pay_scout_ask(follower->scout);
    follower->broken = follower->broken || asleep;
}

/* --- opening and closing ------------------------------------------------------------------------------------------------------ */

static bool watch(const struct pay_follower *follower, int descriptor, uint64_t tag) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};
    return epoll_ctl(follower->options.epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

static enum pay_move open_reader(struct pay_follower *follower, struct pay_error *error) {
    const struct pay_kafka_reader_options options = {
        .kafka = follower->options.kafka, .group = "paybuf-producer", .fetch_wait_ms = 500};
    enum pay_move move = pay_kafka_reader_open(&options, &follower->reader, error);
    if (move == PAY_OK && !watch(follower, pay_kafka_reader_descriptor(follower->reader), follower->options.record_tag))
        abort(); /* one descriptor, just made */
    return move;
}

/* A new handle for all partitions; the old one is kept where there is none to be had. */
void pay_follower_tick(struct pay_follower *follower) {
    struct pay_kafka_reader *old = follower->reader;
    struct pay_error error;
    pay_follower_run(follower); /* should a wake-up ever be lost, it costs a second */
    if (!follower->broken) return;
    if (open_reader(follower, &error) != PAY_OK) {
        note(follower, error.text);
        return;
    }
    follower->broken = false;
    pay_kafka_reader_close(old);
    for (int32_t p = 0; p < follower->rule.lane_count; p++) {
        follower->lanes[p].still_since_ms = 0;
        lose(follower, p);
    }
    pay_log(PAY_LOG_WARNING, "following the replies with a new connection: the old one failed, or gave nothing");
}

struct pay_follower *pay_follower_open(const struct pay_follower_options *options, char *ret_message,
                                       size_t message_size) {
    const struct pay_config *config = options->config;
    struct pay_error error = {.text = "out of memory"};
    struct pay_follower *follower = calloc(1, sizeof *follower);
    if (follower != NULL) {
        follower->options = *options;
        follower->subscriptions.previous = follower->subscriptions.next = &follower->subscriptions;
        follower->results = pay_results_new((size_t)config->producer_results_bytes);
        if (follower->results != NULL && open_reader(follower, &error) == PAY_OK &&
            pay_scout_open(&options->kafka, config->reply_topic, config->request_topic, &follower->scout, &error) ==
                PAY_OK &&
            watch(follower, pay_scout_descriptor(follower->scout), options->scout_tag))
            return follower;
    }
    snprintf(ret_message, message_size, "following the replies: %s", error.text);
    pay_follower_close(follower);
    return NULL;
}

void pay_follower_close(struct pay_follower *follower) {
    if (follower == NULL) return;
    pay_scout_close(follower->scout);
    pay_kafka_reader_close(follower->reader);
    pay_results_free(follower->results);
    pay_listener_rule_free(&follower->rule);
    free(follower->lanes);
    free(follower);
}

/* --- what is known ------------------------------------------------------------------------------------------------------------ */

int64_t pay_follower_generation(const struct pay_follower *follower, int32_t partition) {
    int64_t generation = follower->options.config->producer_log_generation, latest = 0;
    if (partition >= 0 && partition < follower->rule.lane_count)
        latest = pay_listener_rule_generation(&follower->rule.lanes[partition]);
    return latest > generation ? latest : generation;
}

int64_t pay_follower_answered_below(const struct pay_follower *follower, int32_t partition) {
    if (partition < 0 || partition >= follower->rule.lane_count) return -1;
    const struct pay_listener_lane *lane = &follower->rule.lanes[partition];
    const struct pay_listener_reader *known =
        pay_listener_rule_reader(lane, pay_follower_generation(follower, partition));
    const struct pay_reader *reader = known != NULL ? &known->reader : &lane->first;
    return reader->started && (known != NULL || lane->reader_count == 0) ? reader->next : -1;
}

int32_t pay_follower_partitions(const struct pay_follower *follower) { return follower->rule.lane_count; }

bool pay_follower_stands(const struct pay_follower *follower, int32_t partition) {
    int32_t count = follower->rule.lane_count;
    if (partition < 0) return count > 0 && follower->reading == count;
    return partition < count && follower->lanes[partition].reading;
}

int64_t pay_follower_log_offset(const struct pay_follower *follower, int32_t partition) {
    if (partition < 0 || partition >= follower->rule.lane_count) return -1;
    return follower->lanes[partition].reading ? follower->rule.lanes[partition].reply_offset : -1;
}

const struct pay_results *pay_follower_results(const struct pay_follower *follower) { return follower->results; }

void pay_follower_count(const struct pay_follower *follower, struct pay_follower_counters *ret_counters) {
    const struct paybuf_listener_counts *counts = &follower->rule.counts;
    *ret_counters = follower->counters;
    ret_counters->taken = (uint64_t)counts->taken;
    ret_counters->repeated = (uint64_t)counts->dropped;
    ret_counters->skipped = (uint64_t)counts->skipped;
    ret_counters->foreign = (uint64_t)counts->foreign;
    ret_counters->gaps = (uint64_t)counts->gaps;
    ret_counters->open_gaps = (uint64_t)pay_listener_rule_open_gaps(&follower->rule);
}
