#include "producer/scout.h"

#include "base/clock.h"
#include "base/thread.h"
#include "core/limits.h"
#include "kafka/kafka_reader.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define COUNT_TIMEOUT_MS 2000
#define LOG_TIMEOUT_MS 1000

/* What a round found: three of them, the thread's, the one between, the owner's. */
struct finding {
    struct pay_scout_report report;
    struct pay_scout_log *logs;
    int32_t room;
};

struct pay_scout {
    pthread_mutex_t lock; /* of `told`, `asked`, `closing` */
    pthread_cond_t called;
    bool asked, closing; /* closing: the owner has let go, the thread frees everything */
    struct finding told;
    struct finding seen;  /* the owner's */
    struct finding found; /* the thread's, as is the reader */
    struct pay_kafka_reader *reader;
    char reply_topic[PAY_TOPIC_MAX + 1], request_topic[PAY_TOPIC_MAX + 1];
    int wake_fd;
};

/* --- the thread --------------------------------------------------------------------------------------------------------------- */

static void make_room(struct finding *finding, int32_t partitions) {
    if (partitions > finding->room) {
        finding->logs = realloc(finding->logs, (size_t)partitions * sizeof *finding->logs);
        assert(finding->logs != NULL);
        finding->room = partitions;
    }
    finding->report.logs = finding->logs;
    finding->report.partitions = partitions;
}

static bool ask_log(struct pay_scout *scout, int32_t partition, struct pay_scout_log *log, struct pay_error *error) {
    int64_t start;
    *log = (struct pay_scout_log){.request_end = -1};
    log->found = pay_kafka_reader_bounds(scout->reader, scout->reply_topic, partition, LOG_TIMEOUT_MS,
                                         &log->reply_start, &log->reply_end, error) == PAY_OK;
    return log->found && pay_kafka_reader_bounds(scout->reader, scout->request_topic, partition, LOG_TIMEOUT_MS, &start,
                                                 &log->request_end, error) == PAY_OK;
}

/* Nothing is read here, but the handle's troubles and log lines would pile up. The last trouble says why best. */
static void take_troubles(struct pay_scout *scout) {
    struct pay_kafka_read read;
    char *reason = scout->found.report.reason;
    for (;;) {
        pay_kafka_reader_next(scout->reader, 0, &read);
        if (read.kind == PAY_KAFKA_READ_NOTHING) return;
        if (read.kind == PAY_KAFKA_READ_TROUBLE && reason[0] != '\0')
            snprintf(reason, sizeof scout->found.report.reason, "%s", read.error.text);
    }
}

/* True: all of it was told. */
static bool ask(struct pay_scout *scout) {
    struct pay_error error = {.move = PAY_OK};
    struct finding *found = &scout->found;
    int32_t partitions;
    bool all =
        pay_kafka_reader_partitions(scout->reader, scout->reply_topic, COUNT_TIMEOUT_MS, &partitions, &error) == PAY_OK;
    make_room(found, all ? partitions : 0);
    for (int32_t p = 0; p < found->report.partitions; p++) all = ask_log(scout, p, &found->logs[p], &error) && all;
    found->report.round++;
    snprintf(found->report.reason, sizeof found->report.reason, "%s", all ? "" : error.text);
    take_troubles(scout);
    return all;
}

static void copy(struct finding *to, const struct finding *from) {
    to->report = from->report;
    make_room(to, from->report.partitions);
    if (from->report.partitions > 0) memcpy(to->logs, from->logs, (size_t)from->report.partitions * sizeof *to->logs);
}

/* Until it is time for the next round; answers whether the owner has let go. */
static bool rest(struct pay_scout *scout, bool found_all) {
    int64_t now_ms = pay_clock_ms(), hurry_ms = now_ms + PAY_SCOUT_HURRY_MS;
    int64_t until_ms = found_all ? now_ms + PAY_SCOUT_PAUSE_MS : hurry_ms;
    const uint64_t one = 1;
    pthread_mutex_lock(&scout->lock);
    copy(&scout->told, &scout->found);
    (void)!write(scout->wake_fd, &one, sizeof one);
    while (!scout->closing && pay_clock_ms() < (scout->asked ? hurry_ms : until_ms))
        pay_condition_wait(&scout->called, &scout->lock, scout->asked ? hurry_ms : until_ms);
    scout->asked = false;
    bool closing = scout->closing;
    pthread_mutex_unlock(&scout->lock);
    return closing;
}

static void destroy(struct pay_scout *scout) {
    pay_kafka_reader_close(scout->reader);
    if (scout->wake_fd >= 0) close(scout->wake_fd);
    pthread_cond_destroy(&scout->called);
    pthread_mutex_destroy(&scout->lock);
    free(scout->told.logs);
    free(scout->seen.logs);
    free(scout->found.logs);
    free(scout);
}

static void *run(void *argument) {
    struct pay_scout *scout = argument;
    while (!rest(scout, ask(scout))) continue;
    destroy(scout);
    return NULL;
}

/* --- the owner's side --------------------------------------------------------------------------------------------------------- */

enum pay_move pay_scout_open(const struct pay_kafka_options *kafka, const char *reply_topic, const char *request_topic,
                             struct pay_scout **ret_scout, struct pay_error *error) {
    const struct pay_kafka_reader_options reader = {.kafka = *kafka, .fetch_wait_ms = 100};
    struct pay_scout *scout = calloc(1, sizeof *scout);
    assert(scout != NULL);
    pthread_mutex_init(&scout->lock, NULL);
    pay_condition_init(&scout->called);
    snprintf(scout->reply_topic, sizeof scout->reply_topic, "%s", reply_topic);
    snprintf(scout->request_topic, sizeof scout->request_topic, "%s", request_topic);
    scout->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    enum pay_move move = pay_kafka_reader_open(&reader, &scout->reader, error);
    if (move == PAY_OK && (scout->wake_fd < 0 || !pay_thread_start(run, scout))) {
        move = error->move = PAY_REFUSE;
        snprintf(error->text, sizeof error->text, "no thread or descriptor to be had: %s", strerror(errno));
    }
    if (move == PAY_OK)
        *ret_scout = scout;
    else
        destroy(scout);
    return move;
}

void pay_scout_ask(struct pay_scout *scout) {
    pthread_mutex_lock(&scout->lock);
    scout->asked = true;
    pthread_cond_signal(&scout->called);
    pthread_mutex_unlock(&scout->lock);
}

const struct pay_scout_report *pay_scout_look(struct pay_scout *scout) {
    uint64_t count;
    pthread_mutex_lock(&scout->lock);
    (void)!read(scout->wake_fd, &count, sizeof count);
    copy(&scout->seen, &scout->told);
    pthread_mutex_unlock(&scout->lock);
    return &scout->seen.report;
}

int pay_scout_descriptor(const struct pay_scout *scout) { return scout->wake_fd; }

void pay_scout_close(struct pay_scout *scout) {
    if (scout == NULL) return;
    pthread_mutex_lock(&scout->lock);
    scout->closing = true;
    pthread_cond_signal(&scout->called);
    pthread_mutex_unlock(&scout->lock);
}
