/*
 * query.h - the parameters behind a path's `?`, decoded strictly: only those that the route knows, each at most once, each with a value.
 * Memory: the struct below; values point into it. Threads: any.
 */
#ifndef PAY_PRODUCER_QUERY_H
#define PAY_PRODUCER_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#define PAY_QUERY_NAMES_MAX 8
#define PAY_QUERY_TEXT_MAX 6144 /* of all values; a head has at most 8 KiB */

struct pay_query {
    const char *const *names;                /* what the route knows; ends with NULL */
    const char *values[PAY_QUERY_NAMES_MAX]; /* in the order of `names`; NULL: not given */
    size_t used;
    const char *wrong; /* the first rule that is broken, as a sentence for the client; NULL: none */
    char detail[160];
    char text[PAY_QUERY_TEXT_MAX];
};

void pay_query_begin(struct pay_query *ret_query, const char *const *names);
/* As pay_http_query_each gives them; `argument` is the struct pay_query. */
void pay_query_take(void *argument, const char *name, const char *value);

/* A whole number from `least` to `most` without sign or leading zeros. */
bool pay_query_number(const char *value, long least, long most, long *ret_number);

#endif
