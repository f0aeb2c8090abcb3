#include "producer/lookup.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/thread.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* It is in exactly one of three lists, or with the thread: waiting (to be asked), answered (to be told). */
struct pay_lookup_call {
    struct pay_lookup_call *next;
    struct pay_lookup_call *older, *younger; /* of all, and owner: the loop's */
    void *owner;                             /* NULL: forgotten */
    pay_lookup_done *done;
    int64_t ask_at_ms; /* not before */
    int64_t until_ms;  /* asked again until then */
    struct pay_question question;
};

struct list {
    struct pay_lookup_call *first, **last;
};

struct pay_lookup {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closing, draining;
    struct list waiting, answered;
    int wake_fd;
    struct pay_books *books;  /* the thread's */
    struct pay_config config; /* a copy, for the thread may outlive the intake */
    /* The loop's. */
    struct pay_lookup_call *youngest;
    uint32_t count;
    bool was_unavailable;
    uint64_t answers[PAY_BOOKS_UNAVAILABLE + 1]; /* by how the question ended */
};

/* --- lists -------------------------------------------------------------------------------------------------------------------- */

static void list_init(struct list *list) { *list = (struct list){.last = &list->first}; }

static void list_add(struct list *list, struct pay_lookup_call *call) {
    call->next = NULL;
    *list->last = call;
    list->last = &call->next;
}

static struct pay_lookup_call *list_take(struct list *list) {
    struct pay_lookup_call *call = list->first;
    if (call == NULL) return NULL;
    list->first = call->next;
    if (list->first == NULL) list->last = &list->first;
    return call;
}

/* --- the thread --------------------------------------------------------------------------------------------------------------- */

/* Up to PAY_BOOKS_QUESTIONS_MAX of those whose time has come; the others stay in order. *ret_next_ms: when the next one's comes. */
static uint32_t take_due(struct pay_lookup *lookup, struct pay_lookup_call *calls[PAY_BOOKS_QUESTIONS_MAX],
                         int64_t *ret_next_ms) {
    struct list rest;
    struct pay_lookup_call *call;
    int64_t now_ms = pay_clock_ms();
    uint32_t count = 0;
    list_init(&rest);
    *ret_next_ms = INT64_MAX;
    while ((call = list_take(&lookup->waiting)) != NULL) {
        bool due = call->ask_at_ms <= now_ms || lookup->draining;
        if (due && count < PAY_BOOKS_QUESTIONS_MAX) {
            calls[count++] = call;
            continue;
        }
        list_add(&rest, call);
        if (call->ask_at_ms < *ret_next_ms) *ret_next_ms = call->ask_at_ms;
    }
    if (rest.first != NULL) {
        lookup->waiting.first = rest.first;
        lookup->waiting.last = rest.last;
    }
    return count;
}

/* Waits for work. 0: the owner has let go. */
static uint32_t wait_for_work(struct pay_lookup *lookup, struct pay_lookup_call *calls[PAY_BOOKS_QUESTIONS_MAX]) {
    uint32_t count = 0;
    pthread_mutex_lock(&lookup->lock);
    while (!lookup->closing) {
        int64_t next_ms;
        count = take_due(lookup, calls, &next_ms);
        if (count > 0) break;
        if (next_ms == INT64_MAX)
            pthread_cond_wait(&lookup->changed, &lookup->lock);
        else
            pay_condition_wait(&lookup->changed, &lookup->lock, next_ms);
    }
    pthread_mutex_unlock(&lookup->lock);
    return count;
}

static void work(struct pay_lookup *lookup, struct pay_lookup_call *const *calls, uint32_t count) {
    struct pay_question *questions[PAY_BOOKS_QUESTIONS_MAX];
    uint32_t asked = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct pay_question *question = &calls[i]->question;
        question->end = PAY_BOOKS_OPEN;
        question->reason[0] = '\0';
        if (pay_clock_ms() - calls[i]->ask_at_ms <= PAY_LOOKUP_QUEUE_MS) {
            questions[asked++] = question;
            continue;
        }
        question->end = PAY_BOOKS_UNAVAILABLE;
        strcpy(question->reason, "more questions than can be answered in time");
    }
    if (asked > 0) pay_books_answer(lookup->books, questions, asked);
}

/* True: it is asked again, later. */
static bool asks_again(const struct pay_lookup *lookup, struct pay_lookup_call *call) {
    int64_t now_ms = pay_clock_ms();
    if (call->question.end != PAY_BOOKS_QUEUED || lookup->draining || now_ms >= call->until_ms) return false;
    call->ask_at_ms = now_ms + PAY_LOOKUP_AGAIN_MS < call->until_ms ? now_ms + PAY_LOOKUP_AGAIN_MS : call->until_ms;
    call->question.rows_only = !call->question.by_position; /* within this wait only a row can end it */
    return true;
}

static void hand_back(struct pay_lookup *lookup, struct pay_lookup_call *const *calls, uint32_t count) {
    const uint64_t one = 1;
    pthread_mutex_lock(&lookup->lock);
    for (uint32_t i = 0; i < count; i++)
        list_add(asks_again(lookup, calls[i]) ? &lookup->waiting : &lookup->answered, calls[i]);
    (void)!write(lookup->wake_fd, &one, sizeof one);
    pthread_mutex_unlock(&lookup->lock);
}

static void free_list(struct list *list) {
    struct pay_lookup_call *call;
    while ((call = list_take(list)) != NULL) free(call);
}

static void destroy(struct pay_lookup *lookup) {
    free_list(&lookup->waiting);
    free_list(&lookup->answered);
    pay_books_close(lookup->books);
    if (lookup->wake_fd >= 0) close(lookup->wake_fd);
    pthread_cond_destroy(&lookup->changed);
    pthread_mutex_destroy(&lookup->lock);
    free(lookup);
}

static void *run(void *argument) {
    struct pay_lookup *lookup = argument;
    struct pay_lookup_call *calls[PAY_BOOKS_QUESTIONS_MAX];
    uint32_t count;
    while ((count = wait_for_work(lookup, calls)) > 0) {
        work(lookup, calls, count);
        hand_back(lookup, calls, count);
    }
    destroy(lookup);
    return NULL;
}

/* --- the loop's side ---------------------------------------------------------------------------------------------------------- */

struct pay_lookup *pay_lookup_open(const struct pay_config *config, const struct pay_kafka_options *kafka,
                                   struct pay_error *error) {
    struct pay_lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL) abort(); /* out of memory: accepted payments are in the log */
    lookup->config = *config;
    list_init(&lookup->waiting);
    list_init(&lookup->answered);
    pthread_mutex_init(&lookup->lock, NULL);
    pay_condition_init(&lookup->changed);
    lookup->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    lookup->books = pay_books_open(&lookup->config, kafka, error);
    if (lookup->books != NULL && lookup->wake_fd >= 0 && pay_thread_start(run, lookup)) return lookup;
    if (lookup->books != NULL)
        *error = (struct pay_error){.move = PAY_AGAIN, .text = "no thread or descriptor to be had"};
    destroy(lookup);
    return NULL;
}

struct pay_lookup_call *pay_lookup_ask(struct pay_lookup *lookup, const struct pay_question *question, int64_t wait_ms,
                                       void *owner, pay_lookup_done *done) {
    if (lookup->count >= (uint64_t)lookup->config.producer_lookups_max) return NULL;
    struct pay_lookup_call *call = malloc(sizeof *call);
    if (call == NULL) abort(); /* as above */
    memset(call, 0, offsetof(struct pay_lookup_call, question));
    memcpy(&call->question, question, offsetof(struct pay_question, end));
    call->question.length = 0;
    call->owner = owner;
    call->done = done;
    call->ask_at_ms = pay_clock_ms();
    call->until_ms = call->ask_at_ms + wait_ms;
    lookup->count++;
    call->older = lookup->youngest;
    if (call->older != NULL) call->older->younger = call;
    lookup->youngest = call;
    pthread_mutex_lock(&lookup->lock);
    list_add(&lookup->waiting, call);
    pthread_cond_signal(&lookup->changed);
    pthread_mutex_unlock(&lookup->lock);
    return call;
}

static void unlink_call(struct pay_lookup *lookup, struct pay_lookup_call *call) {
    lookup->count--;
    if (call->older != NULL) call->older->younger = call->younger;
    if (call->younger != NULL) call->younger->older = call->older;
    if (lookup->youngest == call) lookup->youngest = call->older;
}

/* The thread may have it just now: it comes back, and nobody is told. */
void pay_lookup_forget(struct pay_lookup *lookup, struct pay_lookup_call *call) {
    (void)lookup;
    call->owner = NULL;
}

/* Once when it begins, once when it ends. */
static void log_trouble(struct pay_lookup *lookup, const struct pay_question *question) {
    bool unavailable = question->end == PAY_BOOKS_UNAVAILABLE;
    if (question->end == PAY_BOOKS_MISSING) pay_log(PAY_LOG_ERROR, "inconsistent: %s", question->reason);
    if (unavailable == lookup->was_unavailable) return;
    lookup->was_unavailable = unavailable;
    if (unavailable)
        pay_log(PAY_LOG_WARNING, "questions about payments can't be answered: %s", question->reason);
    else
        pay_log(PAY_LOG_INFO, "questions about payments are answered again");
}

void pay_lookup_run(struct pay_lookup *lookup) {
    uint64_t number;
    struct list answered;
    struct pay_lookup_call *call;
    list_init(&answered);
    pthread_mutex_lock(&lookup->lock);
    (void)!read(lookup->wake_fd, &number, sizeof number);
    while ((call = list_take(&lookup->answered)) != NULL) list_add(&answered, call);
    pthread_mutex_unlock(&lookup->lock);
    while ((call = list_take(&answered)) != NULL) {
        unlink_call(lookup, call);
        lookup->answers[call->question.end]++;
        log_trouble(lookup, &call->question);
        if (call->owner != NULL) call->done(call->owner, &call->question);
        free(call);
    }
}

void pay_lookup_drain(struct pay_lookup *lookup) {
    pthread_mutex_lock(&lookup->lock);
    lookup->draining = true;
    pthread_cond_signal(&lookup->changed);
    pthread_mutex_unlock(&lookup->lock);
}

void pay_lookup_close(struct pay_lookup *lookup) {
    static const struct pay_question unanswered = {.end = PAY_BOOKS_UNAVAILABLE};
    if (lookup == NULL) return;
    while (lookup->youngest != NULL) {
        struct pay_lookup_call *call = lookup->youngest;
        unlink_call(lookup, call);
        if (call->owner != NULL) call->done(call->owner, &unanswered);
    }
    pthread_mutex_lock(&lookup->lock);
    lookup->closing = true;
    pthread_cond_signal(&lookup->changed);
    pthread_mutex_unlock(&lookup->lock);
}

int pay_lookup_descriptor(const struct pay_lookup *lookup) { return lookup->wake_fd; }

void pay_lookup_metrics(const struct pay_lookup *lookup, FILE *out) {
    static const char *const ends[] = {
        [PAY_BOOKS_FOUND] = "found", [PAY_BOOKS_QUEUED] = "queued",   [PAY_BOOKS_NOWHERE] = "nowhere",
        [PAY_BOOKS_GONE] = "gone",   [PAY_BOOKS_MISSING] = "missing", [PAY_BOOKS_UNAVAILABLE] = "unavailable"};
    pay_metrics_gauge(out, "paybuf_intake_lookups", "Questions about payments under way.", lookup->count);
    pay_metrics_head(out, "paybuf_intake_lookups_total", "counter",
                     "Questions about payments that went to the books or the log, by how they ended.");
    for (size_t i = PAY_BOOKS_FOUND; i < sizeof ends / sizeof *ends; i++) {
        char label[32];
        snprintf(label, sizeof label, "end=\"%s\"", ends[i]);
        pay_metrics_value(out, "paybuf_intake_lookups_total", label, lookup->answers[i]);
    }
}
