#include "base/suggest.h"

#include <string.h>
#include <strings.h>

#define WORD_MAX 96

static unsigned char lower(char c) { return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); }

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

uint32_t pay_edit_distance(const char *a, const char *b) {
    size_t a_length = strlen(a), b_length = strlen(b);
    uint32_t rows[3][WORD_MAX + 1];
    uint32_t *before = rows[0], *last = rows[1], *now = rows[2];
    if (a_length > WORD_MAX || b_length > WORD_MAX) return UINT32_MAX;
    for (size_t j = 0; j <= b_length; j++) last[j] = (uint32_t)j;
    for (size_t i = 1; i <= a_length; i++) {
        now[0] = (uint32_t)i;
        for (size_t j = 1; j <= b_length; j++) {
            uint32_t replaced = last[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
            now[j] = least(replaced, least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
                now[j] = least(now[j], before[j - 2] + 1);
            }
        }
        uint32_t *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[b_length];
}

void pay_suggestion_offer(struct pay_suggestion *suggestion, const char *candidate) {
    uint32_t distance = pay_edit_distance(suggestion->word, candidate);
    if (suggestion->best != NULL && distance >= suggestion->best_distance) return;
    suggestion->best = candidate;
    suggestion->best_distance = distance;
}

const char *pay_suggestion_take(const struct pay_suggestion *suggestion) {
    if (suggestion->best == NULL) return NULL;
    return suggestion->best_distance <= strlen(suggestion->word) / 3 + 1 ? suggestion->best : NULL;
}
