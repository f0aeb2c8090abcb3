#include "producer/reply_search.h"

#define STRETCH_AT_FIRST 1024

static bool far_enough(const struct pay_reply_search *search, const struct pay_reply_mark *mark) {
    const struct pay_place *wanted = &search->wanted;
    if (mark->generation != wanted->generation) return mark->generation > wanted->generation;
    return mark->source_offset >= wanted->next;
}

/* Nothing lies between the wanted offset and this reply. */
static bool adjoins(const struct pay_reply_search *search, const struct pay_reply_mark *mark) {
    struct pay_place place = search->wanted;
    return pay_place_take(&place, mark->generation, mark->source_offset, mark->covers_from) == PAY_READER_TAKE;
}

/* Leaves in *ret_mark a reply that is far enough while the one before it in the log isn't; *ret_none: none was met. */
static enum pay_move halve(const struct pay_reply_search *search, struct pay_reply_mark *ret_mark, bool *ret_none,
                           struct pay_error *error) {
    int64_t low = search->start, high = search->end, at = search->guess - 1;
    *ret_none = true;
    for (int round = 0; low < high; round++, at++) {
        struct pay_reply_mark mark;
        bool none = false;
        /* The guess and the record before it first: mostly that is all. */
        if (round > 1 || at < low || at >= high) at = low + (high - low) / 2;
        enum pay_move move = search->look(search->argument, at, high, &mark, &none, error);
        if (move != PAY_OK) return move;
        if (none) {
            high = at;
        } else if (far_enough(search, &mark)) {
            high = at;
            *ret_mark = mark;
            *ret_none = false;
        } else {
            low = mark.log_offset + 1;
        }
    }
    return PAY_OK;
}

/* In the stretch: the first reply that is far enough and adjoins. */
static enum pay_move scan(const struct pay_reply_search *search, int64_t from, int64_t end,
                          struct pay_reply_mark *ret_mark, bool *ret_none, struct pay_error *error) {
    while (from < end) {
        bool none = false;
        enum pay_move move = search->look(search->argument, from, end, ret_mark, &none, error);
        if (move != PAY_OK) return move;
        if (none) break;
        if (far_enough(search, ret_mark) && adjoins(search, ret_mark)) return *ret_none = false, PAY_OK;
        from = ret_mark->log_offset + 1;
    }
    *ret_none = true;
    return PAY_OK;
}

enum pay_move pay_reply_search(const struct pay_reply_search *search, enum pay_reply_found *ret_found,
                               struct pay_reply_mark *ret_mark, struct pay_error *error) {
    bool none;
    enum pay_move move = halve(search, ret_mark, &none, error);
    if (move != PAY_OK) return move;
    *ret_found = PAY_REPLY_FOUND;
    if (!none && adjoins(search, ret_mark)) return PAY_OK;
    *ret_found = PAY_REPLY_AHEAD;
    if (none && !search->answered) return PAY_OK;
    int64_t end = none ? search->end : ret_mark->log_offset;
    for (int64_t stretch = STRETCH_AT_FIRST; end > search->start; stretch *= 2) {
        int64_t from = end - search->start > stretch ? end - stretch : search->start;
        move = scan(search, from, end, ret_mark, &none, error);
        if (move != PAY_OK) return move;
        if (!none) return *ret_found = PAY_REPLY_FOUND, PAY_OK;
        end = from;
    }
    *ret_found = search->start > 0 ? PAY_REPLY_GONE : PAY_REPLY_MISSING;
    return PAY_OK;
}
