#include "producer/catch_up.h"

#include "base/clock.h"
#include "base/thread.h"
#include "producer/reply_log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_MS 200 /* how soon a stop is seen */
#define STRETCH_AT_FIRST 1024

struct pay_catch_up {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* closing, or room in the queue */
    bool closing;           /* the owner has let go: the thread frees everything */
    enum pay_catch_up_state state;
    char reason[PAY_ERROR_TEXT_MAX];
    struct pay_catch_up_item *first, *last;
    size_t queued_bytes;
    int wake_fd;
    /* From here on the thread's. */
    struct pay_catch_up_start start;
    char topic[PAY_TOPIC_MAX + 1];
    int64_t begun[PAY_PLACES_MAX]; /* the log offset from which a partition is read */
    int64_t stretch[PAY_PLACES_MAX];
    struct pay_reply_log log;
};

static void wake(const struct pay_catch_up *catch_up) {
    const uint64_t one = 1;
    (void)!write(catch_up->wake_fd, &one, sizeof one);
}

static void enter(struct pay_catch_up *catch_up, enum pay_catch_up_state state, const char *reason) {
    pthread_mutex_lock(&catch_up->lock);
    catch_up->state = state;
    snprintf(catch_up->reason, sizeof catch_up->reason, "%s", reason);
    pthread_mutex_unlock(&catch_up->lock);
    wake(catch_up);
}

static const char gone[] = "retention has taken the replies that come next";

/* --- finding the beginnings --------------------------------------------------------------------------------------------------- */

static void missing(struct pay_catch_up *catch_up, int32_t partition, const struct pay_place *wanted) {
    char reason[PAY_ERROR_TEXT_MAX];
    snprintf(reason, sizeof reason,
             "replies are missing in the reply log, partition %d, from source position %lld-%d-%lld on; paybuf replay "
             "publishes them again",
             (int)partition, (long long)wanted->generation, (int)partition, (long long)wanted->next);
    enter(catch_up, PAY_CATCH_UP_FAILED, reason);
}

/* The log offset to begin with. False: the state says why not. */
static bool find_beginning(struct pay_catch_up *catch_up, int32_t partition, int64_t *ret_offset) {
    const struct pay_catch_up_start *start = &catch_up->start;
    const struct pay_place *wanted = &start->from.at[partition], *known = &start->known.at[partition];
    int64_t known_offset = start->log_offsets[partition];
    bool is_known = known->next >= 0 && known_offset >= 0;
    struct pay_reply_mark mark;
    struct pay_error error;
    enum pay_reply_found found;
    if (is_known && pay_place_reached(wanted, known)) return *ret_offset = known_offset, true;
    /* An id from when nothing was known, or from the very beginning: read all that is there. */
    struct pay_place first = {wanted->generation, wanted->next < 0 ? 0 : wanted->next};
    int64_t guess = is_known && known->generation == first.generation ? known_offset - (known->next - first.next) : -1;
    enum pay_move move = pay_reply_log_find(&catch_up->log, partition, &first, guess, is_known, &found, &mark, &error);
    if (move != PAY_OK) {
        enter(catch_up, PAY_CATCH_UP_FAILED, error.text);
        return false;
    }
    if (found == PAY_REPLY_GONE && wanted->next < 0) return *ret_offset = mark.log_offset, true;
    if (found == PAY_REPLY_GONE) enter(catch_up, PAY_CATCH_UP_GONE, gone);
    if (found == PAY_REPLY_MISSING) missing(catch_up, partition, &first);
    *ret_offset = mark.log_offset;
    return found == PAY_REPLY_FOUND || found == PAY_REPLY_AHEAD;
}

static bool is_closing(struct pay_catch_up *catch_up) {
    pthread_mutex_lock(&catch_up->lock);
    bool closing = catch_up->closing;
    pthread_mutex_unlock(&catch_up->lock);
    return closing;
}

static bool begin(struct pay_catch_up *catch_up) {
    int64_t *offsets = catch_up->begun;
    struct pay_error error;
    const uint32_t count = catch_up->start.from.count;
    catch_up->log.deadline_ms = pay_clock_ms() + PAY_CATCH_UP_FIND_MS;
    for (uint32_t p = 0; p < count; p++) {
        if (is_closing(catch_up) || !find_beginning(catch_up, (int32_t)p, &offsets[p])) return false;
    }
    pay_kafka_reader_stop_all(catch_up->log.reader);
    for (uint32_t p = 0; p < count; p++) {
        if (pay_kafka_reader_seek(catch_up->log.reader, catch_up->topic, (int32_t)p, offsets[p], &error) == PAY_OK)
            continue;
        enter(catch_up, PAY_CATCH_UP_FAILED, error.text);
        return false;
    }
    enter(catch_up, PAY_CATCH_UP_READING, "");
    return true;
}

/* --- reading ------------------------------------------------------------------------------------------------------------------ */

/* A place alone takes the room of the place before it. */
static bool join(struct pay_catch_up *catch_up, const struct pay_catch_up_item *item) {
    struct pay_catch_up_item *last = catch_up->last;
    if (last == NULL || last->length > 0 || item->length > 0 || last->partition != item->partition) return false;
    last->place = item->place;
    return true;
}

/* Waits while the queue is full. */
static void push(struct pay_catch_up *catch_up, struct pay_catch_up_item *item) {
    pthread_mutex_lock(&catch_up->lock);
    while (!catch_up->closing && catch_up->queued_bytes > PAY_CATCH_UP_BYTES)
        pthread_cond_wait(&catch_up->changed, &catch_up->lock);
    bool joined = join(catch_up, item), was_empty = catch_up->first == NULL;
    if (!joined) {
        if (was_empty)
            catch_up->first = item;
        else
            catch_up->last->next = item;
        catch_up->last = item;
        catch_up->queued_bytes += sizeof *item + item->length;
    }
    pthread_mutex_unlock(&catch_up->lock);
    if (joined) free(item);
    if (was_empty) wake(catch_up);
}

static void hand_out(struct pay_catch_up *catch_up, const struct pay_log_record *record) {
    struct pay_result_facts facts;
    pay_result_facts_read(record->value, record->value != NULL ? record->value_length : 0, &facts);
    size_t length = pay_result_filter_fits(&catch_up->start.filter, &facts) ? record->value_length : 0;
    struct pay_catch_up_item *item = malloc(sizeof *item + length);
    if (item == NULL) abort(); /* out of memory: accepted payments are in the log */
    *item = (struct pay_catch_up_item){.partition = record->partition,
                                       .place = catch_up->start.from.at[record->partition],
                                       .outcome = facts.outcome,
                                       .length = length};
    if (length > 0) memcpy(item->value, record->value, length);
    push(catch_up, item);
}

/*
 * The search may have ended at a repeat, behind which replies are left out that lie before it. Then the partition is read again from
 * further back, twice as far each time; what was handed out is dropped by the reader's rule. False: that doesn't help any more.
 */
static bool step_back(struct pay_catch_up *catch_up, int32_t partition) {
    const struct pay_place *wanted = &catch_up->start.from.at[partition];
    int64_t *at = &catch_up->begun[partition], *stretch = &catch_up->stretch[partition];
    int64_t start, end;
    struct pay_error error;
    enum pay_move move = pay_kafka_reader_bounds(catch_up->log.reader, catch_up->topic, partition, PAY_CATCH_UP_FIND_MS,
                                                 &start, &end, &error);
    if (move == PAY_OK && *at <= start) {
        if (start > 0)
            enter(catch_up, PAY_CATCH_UP_GONE, gone);
        else
            missing(catch_up, partition, wanted);
        return false;
    }
    if (move == PAY_OK) {
        *stretch = *stretch == 0 ? STRETCH_AT_FIRST : 2 * *stretch;
        *at = *at - start > *stretch ? *at - *stretch : start;
        move = pay_kafka_reader_seek(catch_up->log.reader, catch_up->topic, partition, *at, &error);
    }
    if (move != PAY_OK) enter(catch_up, PAY_CATCH_UP_FAILED, error.text);
    return move == PAY_OK;
}

/* False: it ends here. */
static bool take(struct pay_catch_up *catch_up, const struct pay_log_record *record) {
    struct pay_reply_headers headers;
    struct pay_place *place = &catch_up->start.from.at[record->partition];
    if (!pay_reply_log_owns(&catch_up->log, record, &headers)) return true;
    switch (pay_place_take(place, headers.log_generation, headers.source_offset, headers.covers_from)) {
    case PAY_READER_DROP: break;
    case PAY_READER_TAKE: hand_out(catch_up, record); break;
    case PAY_READER_GAP: return step_back(catch_up, record->partition);
    }
    return true;
}

/* The log's end, but not yet what the follower has read of it: only a repeat was met. False: it ends here. */
static bool is_at_end(struct pay_catch_up *catch_up, int32_t partition) {
    const struct pay_place *place = &catch_up->start.from.at[partition];
    if (partition >= (int32_t)catch_up->start.known.count) return true;
    return pay_place_reached(place, &catch_up->start.known.at[partition]) || step_back(catch_up, partition);
}

static void read_on(struct pay_catch_up *catch_up) {
    struct pay_kafka_read read;
    while (!is_closing(catch_up)) {
        pay_kafka_reader_next(catch_up->log.reader, READ_MS, &read);
        if (read.kind == PAY_KAFKA_READ_RECORD && !take(catch_up, &read.record)) return;
        if (read.kind == PAY_KAFKA_READ_END && !is_at_end(catch_up, read.record.partition)) return;
        if (read.kind == PAY_KAFKA_READ_TROUBLE && read.record.partition >= 0) {
            enter(catch_up, PAY_CATCH_UP_FAILED, read.error.text);
            return;
        }
    }
}

/* --- the thread --------------------------------------------------------------------------------------------------------------- */

static void destroy(struct pay_catch_up *catch_up) {
    while (catch_up->first != NULL) {
        struct pay_catch_up_item *item = catch_up->first;
        catch_up->first = item->next;
        free(item);
    }
    pay_reply_log_close(&catch_up->log);
    close(catch_up->wake_fd);
    pthread_cond_destroy(&catch_up->changed);
    pthread_mutex_destroy(&catch_up->lock);
    free(catch_up);
}

static void *run(void *argument) {
    struct pay_catch_up *catch_up = argument;
    if (begin(catch_up)) read_on(catch_up);
    pthread_mutex_lock(&catch_up->lock);
    while (!catch_up->closing) pthread_cond_wait(&catch_up->changed, &catch_up->lock);
    pthread_mutex_unlock(&catch_up->lock);
    destroy(catch_up);
    return NULL;
}

struct pay_catch_up *pay_catch_up_start(const struct pay_catch_up_start *start, struct pay_error *error) {
    struct pay_catch_up *catch_up = calloc(1, sizeof *catch_up);
    if (catch_up == NULL) abort(); /* as in hand_out */
    catch_up->start = *start;
    snprintf(catch_up->topic, sizeof catch_up->topic, "%s", start->topic);
    pay_places_grow(&catch_up->start.from, start->known.count, start->known.at[0].generation);
    pthread_mutex_init(&catch_up->lock, NULL);
    pthread_cond_init(&catch_up->changed, NULL);
    catch_up->wake_fd = fcntl(start->wake_descriptor, F_DUPFD_CLOEXEC, 0);
    enum pay_move move = pay_reply_log_open(&catch_up->log, start->kafka, catch_up->topic, error);
    if (move == PAY_OK && catch_up->wake_fd >= 0 && pay_thread_start(run, catch_up)) return catch_up;
    if (move == PAY_OK) snprintf(error->text, sizeof error->text, "no thread or descriptor to be had");
    destroy(catch_up);
    return NULL;
}

/* --- the owner's side --------------------------------------------------------------------------------------------------------- */

enum pay_catch_up_state pay_catch_up_look(struct pay_catch_up *catch_up, char *reason) {
    pthread_mutex_lock(&catch_up->lock);
    enum pay_catch_up_state state = catch_up->state;
    if (reason != NULL) memcpy(reason, catch_up->reason, sizeof catch_up->reason);
    pthread_mutex_unlock(&catch_up->lock);
    return state;
}

struct pay_catch_up_item *pay_catch_up_next(struct pay_catch_up *catch_up) {
    pthread_mutex_lock(&catch_up->lock);
    struct pay_catch_up_item *item = catch_up->first;
    if (item != NULL) {
        catch_up->first = item->next;
        if (item->next == NULL) catch_up->last = NULL;
        catch_up->queued_bytes -= sizeof *item + item->length;
        pthread_cond_signal(&catch_up->changed);
    }
    pthread_mutex_unlock(&catch_up->lock);
    return item;
}

void pay_catch_up_stop(struct pay_catch_up *catch_up) {
    if (catch_up == NULL) return;
    pthread_mutex_lock(&catch_up->lock);
    catch_up->closing = true;
    pthread_cond_signal(&catch_up->changed);
    pthread_mutex_unlock(&catch_up->lock);
}
