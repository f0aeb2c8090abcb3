#include "sim_intake.h"

#include "sim_plan.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 256

static void tell(struct sim_intake *intake, enum sim_client_event event, uint32_t call, int32_t partition,
                 int64_t offset) {
    trace_event(&intake->rig->trace, TRACE_CLIENT, 0, event, call, partition, offset);
}

static int64_t now_us(const struct sim_intake *intake) { return intake->rig->clock.now_us; }

/* ---- what a client asks for ---- */

static void format_order(const struct sim_ask *ask, char text[16]) {
    snprintf(text, 16, "c-%u", sim_number(ask->a, ask->b, 0) % 5);
}

static size_t format_value(const struct sim_ask *ask, uint32_t call, char text[VALUE_MAX]) {
    static const char *const accounts[] = {"alice", "alice", "bob", "carol", "nobody"};
    char order[16];
    format_order(ask, order);
    return (size_t)snprintf(text, VALUE_MAX,
                            "{\"order_id\":\"%s\",\"attempt\":%u,\"account_id\":\"%s\",\"amount_minor\":%u,"
                            "\"currency\":\"EUR\",\"metadata\":{\"call\":%u}}",
                            order, 1 + sim_number(ask->a, ask->b, 1) % 2, accounts[sim_number(ask->a, ask->b, 2) % 5],
                            100 * (1 + sim_number(ask->a, ask->b, 3) % 3), call);
}

/* Of its order; rarely, after the first try, another one: the topic has grown meanwhile. */
static int32_t partition_of(const struct sim_intake *intake, const struct sim_ask *ask) {
    uint32_t order = sim_number(ask->a, ask->b, 0) % 5;
    bool moved = ask->tries > 1 && sim_number(ask->a, ask->b, 10 + ask->tries) % 6 == 0;
    return (int32_t)((order + moved) % intake->rig->broker.partition_count);
}

/* ---- answers ---- */

/* Then it asks again, or not. */
static void client_hears(struct sim_intake *intake, struct sim_ask *ask, enum sim_answer answer) {
    bool lost = answer == ANSWERED_202 && sim_number(ask->a, ask->b, 20 + ask->tries) % 8 == 0; /* on its way to it */
    ask->done = (answer == ANSWERED_202 && !lost) || ask->tries == INTAKE_TRIES_MAX;
    ask->again_us =
        ask->done ? INT64_MAX : now_us(intake) + 1000 * (100 + sim_number(ask->a, ask->b, 30 + ask->tries) % 900);
}

static void answer_call(struct sim_intake *intake, uint32_t index, enum sim_answer answer, int64_t offset) {
    static const enum sim_client_event events[] = {[ANSWERED_202] = CLIENT_TOLD_202,
                                                   [ANSWERED_503] = CLIENT_TOLD_503,
                                                   [ANSWERED_504] = CLIENT_TOLD_504,
                                                   [ANSWERED_NEVER] = CLIENT_HEARS_NOTHING};
    struct sim_call *call = &intake->calls[index];
    if (call->answer != ANSWERED_NOT_YET) return; /* its client was told 504 already: a late report */
    call->answer = answer;
    call->offset = offset;
    tell(intake, events[answer], index + 1, call->partition, offset);
    client_hears(intake, &intake->asks[call->ask], answer);
    while (intake->first_open < intake->call_count && intake->calls[intake->first_open].answer != ANSWERED_NOT_YET)
        intake->first_open++;
}

static uint32_t under_way(const struct sim_intake *intake) {
    uint32_t count = 0;
    for (uint32_t i = intake->first_open; i < intake->call_count; i++)
        count += intake->calls[i].answer == ANSWERED_NOT_YET;
    return count;
}

/* ---- the producer ---- */

static void drop_reports(struct sim_intake *intake) {
    while (intake->reports != NULL) {
        struct fake_produce *report = intake->reports;
        intake->reports = report->next;
        fake_produce_free(report);
    }
}

/* Purged and made anew: nobody hears what becomes of its requests on the wire. */
static void renew_producer(struct sim_intake *intake, enum sim_answer answer) {
    fake_broker_orphan(&intake->rig->broker, intake->producer_id);
    drop_reports(intake);
    intake->producer_id = ++intake->rig->broker.producer_ids;
    intake->in_flight = intake->queued = 0;
    intake->broken = false;
    memset(intake->next_sequence, 0, sizeof intake->next_sequence);
    for (uint32_t i = 0; i < FAKE_PARTITIONS_MAX; i++) intake->last_offset[i] = -1;
    for (uint32_t i = intake->first_open; i < intake->call_count; i++) answer_call(intake, i, answer, -1);
}

static void submit(struct sim_intake *intake, struct sim_ask *ask) {
    if (intake->call_count == INTAKE_CALLS_MAX) { /* enough of it */
        ask->done = true;
        ask->again_us = INT64_MAX;
        return;
    }
    uint32_t index = intake->call_count++;
    ask->tries++;
    ask->again_us = INT64_MAX;
    intake->calls[index] = (struct sim_call){.ask = (uint32_t)(ask - intake->asks),
                                             .partition = partition_of(intake, ask),
                                             .offset = -1,
                                             .began_us = now_us(intake)};
    tell(intake, CLIENT_ASKS, index + 1, intake->calls[index].partition, -1);
    uint32_t others = under_way(intake) - 1;
    bool stalled = others > 0 && now_us(intake) - intake->heard_us > INTAKE_STALL_MS * 1000;
    if (!intake->up) {
        answer_call(intake, index, ANSWERED_NEVER, -1);
    } else if (intake->broken || stalled || intake->queued == INTAKE_BUDGET || others >= INTAKE_BUDGET) {
        answer_call(intake, index, ANSWERED_503, -1);
    } else {
        if (others == 0) intake->heard_us = now_us(intake);
        intake->queue[intake->queued++] = index;
    }
}

/* The first queued calls of one partition become a request. */
static struct fake_produce *take_request(struct sim_intake *intake) {
    struct fake_produce *produce = calloc(1, sizeof *produce);
    assert(produce != NULL);
    uint32_t kept = 0;
    produce->topic = TOPIC_REQUESTS;
    produce->partition = intake->calls[intake->queue[0]].partition;
    produce->producer_id = intake->producer_id;
    produce->first_sequence = intake->next_sequence[produce->partition];
    produce->client = &intake->client;
    for (uint32_t i = 0; i < intake->queued; i++) {
        uint32_t index = intake->queue[i];
        if (intake->calls[index].partition != produce->partition || produce->count == 2) {
            intake->queue[kept++] = index;
            continue;
        }
        const struct sim_ask *ask = &intake->asks[intake->calls[index].ask];
        char value[VALUE_MAX], order[16];
        format_order(ask, order);
        struct pay_outgoing outgoing = {.key = order, .key_length = strlen(order), .value = value};
        outgoing.value_length = format_value(ask, index + 1, value);
        produce->source_offsets[produce->count] = index;
        produce->records[produce->count++] = fake_record_new(&outgoing);
    }
    intake->queued = kept;
    intake->next_sequence[produce->partition] += (int32_t)produce->count;
    return produce;
}

static struct sim_intake *of_client(struct fake_client *client) {
    return (struct sim_intake *)((char *)client - offsetof(struct sim_intake, client));
}

static void client_send(struct fake_client *client) {
    struct sim_intake *intake = of_client(client);
    while (intake->up && intake->queued > 0 && intake->in_flight < intake->in_flight_max) {
        fake_broker_send(&intake->rig->broker, take_request(intake));
        intake->in_flight++;
    }
}

static void client_answered(struct fake_client *client, struct fake_produce *produce) {
    struct sim_intake *intake = of_client(client);
    if (produce->answer == ANSWER_RETRY) {
        fake_broker_send(&intake->rig->broker, produce);
        return;
    }
    struct fake_produce **last = &intake->reports;
    while (*last != NULL) last = &(*last)->next;
    produce->next = NULL;
    *last = produce;
    intake->actor.wake_us = 0;
}

static void take_report(struct sim_intake *intake, const struct fake_produce *produce) {
    for (uint32_t i = 0; i < produce->count; i++) {
        int64_t offset = produce->answer == ANSWER_OK ? produce->base_offset + (int64_t)i : -1001;
        bool honest = offset >= 0 && offset > intake->last_offset[produce->partition];
        if (honest) {
            intake->last_offset[produce->partition] = offset;
            intake->heard_us = now_us(intake);
        } else {
            intake->broken = true;
        }
        answer_call(intake, (uint32_t)produce->source_offsets[i], honest ? ANSWERED_202 : ANSWERED_504,
                    honest ? offset : -1);
    }
}

/* Its own requests sent before one that is acknowledged: the library takes them for delivered, without an offset (PITFALLS). */
static void take_implicit(struct sim_intake *intake, const struct fake_produce *acknowledged) {
    struct fake_produce *earlier;
    while ((earlier = fake_broker_recall(&intake->rig->broker, acknowledged)) != NULL) {
        earlier->answer = ANSWER_LIE;
        intake->in_flight--;
        take_report(intake, earlier);
        fake_produce_free(earlier);
    }
}

/* ---- its turns ---- */

static void start_asks(struct sim_intake *intake) {
    for (uint32_t i = 0; i < intake->ask_count; i++) {
        struct sim_ask *ask = &intake->asks[i];
        if (!ask->done && ask->again_us <= now_us(intake)) submit(intake, ask);
    }
}

static void expire(struct sim_intake *intake) {
    for (uint32_t i = intake->first_open; i < intake->call_count; i++) {
        if (now_us(intake) - intake->calls[i].began_us >= INTAKE_DEADLINE_MS * 1000)
            answer_call(intake, i, ANSWERED_504, -1);
    }
}

static void choose_wake(struct sim_intake *intake) {
    int64_t wake_us = intake->up ? INT64_MAX : intake->start_us;
    for (uint32_t i = 0; i < intake->ask_count; i++) {
        if (!intake->asks[i].done && intake->asks[i].again_us < wake_us) wake_us = intake->asks[i].again_us;
    }
    for (uint32_t i = intake->first_open; i < intake->call_count; i++) {
        int64_t deadline_us = intake->calls[i].began_us + INTAKE_DEADLINE_MS * 1000;
        if (intake->calls[i].answer == ANSWERED_NOT_YET && deadline_us < wake_us) wake_us = deadline_us;
    }
    intake->actor.wake_us = wake_us;
}

static void step(struct rig *rig, struct rig_actor *actor) {
    struct sim_intake *intake = (struct sim_intake *)actor;
    if (!intake->up && rig->clock.now_us >= intake->start_us) {
        intake->up = true;
        tell(intake, INTAKE_STARTS, 0, -1, 0);
    }
    while (intake->reports != NULL && !intake->broken) {
        struct fake_produce *report = intake->reports;
        intake->reports = report->next;
        intake->in_flight--;
        if (report->answer == ANSWER_OK) take_implicit(intake, report);
        take_report(intake, report);
        fake_produce_free(report);
    }
    if (intake->broken) {
        tell(intake, INTAKE_RENEWS, 0, -1, 0);
        renew_producer(intake, ANSWERED_504);
    }
    expire(intake);
    start_asks(intake);
    choose_wake(intake);
    fake_broker_run(&rig->broker);
}

/* rig_later carries a number only. */
static struct sim_intake *find_intake(struct rig *rig) {
    uint32_t i = 0;
    while (rig->actors[i]->step != step) i++;
    return (struct sim_intake *)rig->actors[i];
}

static void crash(struct rig *rig, uint32_t argument) {
    struct sim_intake *intake = find_intake(rig);
    if (!intake->up) return;
    intake->up = false;
    intake->start_us = rig->clock.now_us + 1000 * (1 + argument % 1500);
    tell(intake, INTAKE_CRASHES, 0, -1, 0);
    renew_producer(intake, ANSWERED_NEVER);
    choose_wake(intake);
}

void sim_intake_ask(struct sim_intake *intake, uint32_t a, uint32_t b) {
    if (intake->ask_count == INTAKE_ASKS_MAX) return;
    intake->asks[intake->ask_count++] = (struct sim_ask){.a = a, .b = b, .again_us = now_us(intake)};
    intake->actor.wake_us = 0;
    uint32_t number = sim_number(a, b, 5);
    if (number % 16 == 0) rig_later(intake->rig, number / 16 % 400, crash, number);
}

bool sim_intake_done(const struct sim_intake *intake) {
    for (uint32_t i = 0; i < intake->ask_count; i++) {
        if (!intake->asks[i].done) return false;
    }
    return true;
}

/* ---- judgement ---- */

static bool has_call(const struct fake_record *record, uint32_t call) {
    char text[32];
    int length = snprintf(text, sizeof text, "\"call\":%u}", call);
    if (record == NULL || record->control || record->value_length < (size_t)length) return false;
    return strstr(record->value, text) != NULL; /* values end with NUL in memory */
}

static bool is_anywhere(const struct rig *rig, uint32_t call) {
    for (uint32_t p = 0; p < rig->broker.partition_count; p++) {
        const struct fake_log *log = &rig->broker.topics[TOPIC_REQUESTS].logs[p];
        for (size_t i = 0; i < log->count; i++) {
            if (has_call(log->records[i], call)) return true;
        }
    }
    return false;
}

static bool is_answered(const struct rig *rig, const struct sim_call *call, uint32_t number) {
    const struct fake_log *log = &rig->broker.topics[TOPIC_REPLIES].logs[call->partition];
    for (size_t i = 0; i < log->count; i++) {
        const struct pay_header *source = fake_record_header(log->records[i], "source-offset");
        if (source != NULL && strtoll(source->value, NULL, 10) == call->offset && has_call(log->records[i], number))
            return true;
    }
    return false;
}

void sim_intake_judge(const struct sim_intake *intake, bool complete) {
    struct rig *rig = intake->rig;
    for (uint32_t i = 0; i < intake->call_count; i++) {
        const struct sim_call *call = &intake->calls[i];
        uint32_t number = i + 1;
        if (call->answer == ANSWERED_503 && is_anywhere(rig, number))
            history_violate(&rig->history, "call %u was answered 503 and lies in the log", number);
        if (call->answer != ANSWERED_202 || rig->history.tampered) continue;
        const struct fake_log *log = &rig->broker.topics[TOPIC_REQUESTS].logs[call->partition];
        if (!has_call(fake_log_find(log, call->offset), number))
            history_violate(&rig->history, "call %u was answered 202 with 1-%d-%lld, where it doesn't lie", number,
                            call->partition, (long long)call->offset);
        else if (complete && !rig_has_halted(rig, call->partition) && !is_answered(rig, call, number))
            history_violate(&rig->history, "call %u was answered 202 with 1-%d-%lld, and no reply is its own", number,
                            call->partition, (long long)call->offset);
    }
}

/* ---- life ---- */

void sim_intake_init(struct sim_intake *intake, struct rig *rig, uint32_t in_flight_max) {
    memset(intake, 0, sizeof *intake);
    intake->rig = rig;
    intake->up = true;
    intake->in_flight_max = in_flight_max;
    intake->actor = (struct rig_actor){.step = step, .wake_us = INT64_MAX};
    intake->client.send = client_send;
    intake->client.answered = client_answered;
    fake_broker_add_client(&rig->broker, &intake->client);
    renew_producer(intake, ANSWERED_NEVER);
    rig_add_actor(rig, &intake->actor);
}

void sim_intake_free(struct sim_intake *intake) {
    drop_reports(intake);
    fake_broker_remove_client(&intake->rig->broker, &intake->client);
}
