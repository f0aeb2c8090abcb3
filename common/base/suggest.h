/* suggest.h - "did you mean ...?" for keys, verbs and flags. Threads: any. Memory: none. */
#ifndef PAY_BASE_SUGGEST_H
#define PAY_BASE_SUGGEST_H

#include <stddef.h>
#include <stdint.h>

/* Insertions, deletions, replacements and swaps of neighbours that turn a into b, without regard to case; words beyond 96 characters are far from all. */
uint32_t pay_edit_distance(const char *a, const char *b);

/* A running choice: offer every candidate, then ask. */
struct pay_suggestion {
    const char *word; /* what was written */
    const char *best; /* the nearest so far, NULL at first */
    uint32_t best_distance;
};
void pay_suggestion_offer(struct pay_suggestion *suggestion, const char *candidate);
/* The nearest candidate if it is near enough (a third of the word's length), else NULL. */
const char *pay_suggestion_take(const struct pay_suggestion *suggestion);

#endif
