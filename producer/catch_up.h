/*
 * catch_up.h - reads the reply log for one stream of results that is behind the intake's memory, in a thread of its own.
 *
 * Sequence: start; look when the wake descriptor was written to; next until it says nothing; stop. First it finds, in every partition,
 * where reading must begin so that nothing is left out (POSITIONING); then it hands out every reply from there on in order
 * (READING), for as long as it is asked to, and waits at the log's end. Only what the filter shows has its value.
 * Memory: a Kafka handle (its fetch queue: 16 MiB at most), and PAY_CATCH_UP_BYTES of replies not yet taken. A crash loses nothing: the client resumes.
 * Threads: start, look, next and stop from one; the thread frees everything, soon after stop.
 */
#ifndef PAY_PRODUCER_CATCH_UP_H
#define PAY_PRODUCER_CATCH_UP_H

#include "core/error.h"
#include "kafka/kafka_conf.h"
#include "producer/places.h"
#include "producer/result_filter.h"

#define PAY_CATCH_UP_BYTES 1048576
#define PAY_CATCH_UP_FIND_MS 15000 /* to find the beginnings in all partitions */

struct pay_catch_up;

enum pay_catch_up_state {
    PAY_CATCH_UP_POSITIONING,
    PAY_CATCH_UP_READING,
    PAY_CATCH_UP_GONE,  /* retention has taken what comes next */
    PAY_CATCH_UP_FAILED /* the broker is away, or replies are missing; `reason` says it */
};

struct pay_catch_up_start {
    const struct pay_kafka_options *kafka;
    const char *topic;
    struct pay_result_filter filter;
    struct pay_places from;
    /* What the follower has read: up to which place, and the log offset behind it (-1: not known). Makes the search short. */
    struct pay_places known;
    int64_t log_offsets[PAY_PLACES_MAX];
    int wake_descriptor; /* an eventfd; it is duplicated */
};

/* NULL: *error. */
struct pay_catch_up *pay_catch_up_start(const struct pay_catch_up_start *start, struct pay_error *error);

/* `reason` (PAY_ERROR_TEXT_MAX) may be NULL. */
enum pay_catch_up_state pay_catch_up_look(struct pay_catch_up *catch_up, char *reason);

struct pay_catch_up_item {
    struct pay_catch_up_item *next;
    int32_t partition;
    struct pay_place place; /* behind it */
    enum pay_outcome outcome;
    size_t length; /* 0: nothing to show, the place only */
    char value[];
};
/* The caller frees it; NULL: nothing now. */
struct pay_catch_up_item *pay_catch_up_next(struct pay_catch_up *catch_up);

/* Never blocks. NULL is fine. */
void pay_catch_up_stop(struct pay_catch_up *catch_up);

#endif
