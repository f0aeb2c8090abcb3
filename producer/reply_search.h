/*
 * reply_search.h - where in one reply partition reading must begin so that the reply to a source position, or the next one behind it,
 * comes first: by halving the log on `source-offset`, from a guess.
 *
 * Source offsets rise along the log but for repeats: a session may publish again what was answered before (PROTOCOL 5), so a low stretch
 * can lie behind higher ones, and halving may end at its upper edge. There the first record behind it covers from an offset beyond
 * the one that is wanted. Then the log is read backwards, in stretches twice as long each time, until one holds the answer.
 * It may be a repeat itself: who reads on from there may meet a gap, and must then begin further back (catch_up.c does).
 *
 * Pure: the log is a function. Memory: none. Threads: any.
 */
#ifndef PAY_PRODUCER_REPLY_SEARCH_H
#define PAY_PRODUCER_REPLY_SEARCH_H

#include "core/error.h"
#include "producer/places.h"

/* A reply of ours, as far as the search sees it. */
struct pay_reply_mark {
    int64_t log_offset;
    int64_t generation, source_offset, covers_from;
};

/* The first of our replies at or behind `from` and below `end`; *ret_none: there isn't one. Anything but PAY_OK ends the search. */
typedef enum pay_move pay_reply_look(void *argument, int64_t from, int64_t end, struct pay_reply_mark *ret_mark,
                                     bool *ret_none, struct pay_error *error);

enum pay_reply_found {
    PAY_REPLY_FOUND, /* the mark is a copy of the reply to the wanted offset, or of the first behind it: nothing lies between */
    PAY_REPLY_AHEAD,  /* nothing in the log is that far; what comes from `end` on will be */
    PAY_REPLY_GONE,   /* the log begins behind it */
    PAY_REPLY_MISSING /* the log begins before it, and yet it isn't there */
};

struct pay_reply_search {
    struct pay_place wanted;
    int64_t start, end; /* of the log */
    int64_t guess;      /* a log offset, as good as any */
    bool answered;      /* the caller knows that the log holds the wanted reply or a later one, or has held it */
    pay_reply_look *look;
    void *argument;
};

enum pay_move pay_reply_search(const struct pay_reply_search *search, enum pay_reply_found *ret_found,
                               struct pay_reply_mark *ret_mark, struct pay_error *error);

#endif
