#include "producer/waiters.h"

#include <assert.h>
#include <stdlib.h>

struct pay_waiter {
    struct pay_waiter *previous, *next; /* of those that wait as long, oldest first */
    struct pay_waiter *next_placed;     /* of the same bucket */
    void *owner;
    pay_waiter_done *done;
    int64_t until_us;
    struct pay_position position;
    bool placed;
};

struct pay_waiters {
    /* A ring for each number of seconds: in each the one whose time is over first comes first. */
    struct pay_waiter rings[PAY_WAIT_S_MAX + 1];
    struct pay_waiter *room, *spare; /* spare by next */
    struct pay_waiter **buckets;     /* by position; a power of two */
    uint32_t mask, waiters_max, used, count;
};

struct pay_waiters *pay_waiters_new(uint32_t waiters_max) {
    struct pay_waiters *waiters = calloc(1, sizeof *waiters);
    if (waiters == NULL) return NULL;
    for (int s = 0; s <= PAY_WAIT_S_MAX; s++) {
        struct pay_waiter *ring = &waiters->rings[s];
        ring->previous = ring->next = ring;
    }
    uint32_t buckets = 1;
    while (buckets < waiters_max) buckets *= 2;
    waiters->mask = buckets - 1;
    waiters->waiters_max = waiters_max;
    waiters->room = calloc(waiters_max, sizeof *waiters->room); /* untouched pages cost nothing */
    waiters->buckets = calloc(buckets, sizeof *waiters->buckets);
    if (waiters->room != NULL && waiters->buckets != NULL) return waiters;
    pay_waiters_free(waiters);
    return NULL;
}

void pay_waiters_free(struct pay_waiters *waiters) {
    if (waiters == NULL) return;
    free(waiters->room);
    free(waiters->buckets);
    free(waiters);
}

static struct pay_waiter **bucket_of(const struct pay_waiters *waiters, const struct pay_position *position) {
    uint64_t hash = ((uint64_t)position->partition << 32 ^ (uint64_t)position->offset) * 0x9e3779b97f4a7c15u;
    return &waiters->buckets[hash >> 32 & waiters->mask];
}

struct pay_waiter *pay_waiters_add(struct pay_waiters *waiters, void *owner, pay_waiter_done *done, int32_t seconds,
                                   int64_t now_us) {
    assert(seconds >= 1 && seconds <= PAY_WAIT_S_MAX);
    if (waiters->count == waiters->waiters_max) return NULL;
    struct pay_waiter *waiter = waiters->spare, *ring = &waiters->rings[seconds];
    if (waiter != NULL)
        waiters->spare = waiter->next;
    else
        waiter = &waiters->room[waiters->used++];
    *waiter = (struct pay_waiter){.previous = ring->previous,
                                  .next = ring,
                                  .owner = owner,
                                  .done = done,
                                  .until_us = now_us + seconds * INT64_C(1000000)};
    waiter->previous->next = ring->previous = waiter;
    waiters->count++;
    return waiter;
}

void pay_waiters_place(struct pay_waiters *waiters, struct pay_waiter *waiter, const struct pay_position *position) {
    assert(!waiter->placed);
    struct pay_waiter **bucket = bucket_of(waiters, position);
    waiter->position = *position;
    waiter->placed = true;
    waiter->next_placed = *bucket;
    *bucket = waiter;
}

void pay_waiters_remove(struct pay_waiters *waiters, struct pay_waiter *waiter) {
    if (waiter->placed) {
        struct pay_waiter **link = bucket_of(waiters, &waiter->position);
        while (*link != waiter) link = &(*link)->next_placed;
        *link = waiter->next_placed;
    }
    waiter->previous->next = waiter->next;
    waiter->next->previous = waiter->previous;
    waiter->next = waiters->spare;
    waiters->spare = waiter;
    waiters->count--;
}

static void finish(struct pay_waiters *waiters, struct pay_waiter *waiter, enum pay_wait_end end, const char *value,
                   size_t length) {
    void *owner = waiter->owner;
    pay_waiter_done *done = waiter->done;
    pay_waiters_remove(waiters, waiter);
    done(owner, end, value, length);
}

static struct pay_waiter *find(const struct pay_waiters *waiters, const struct pay_position *position) {
    struct pay_waiter *waiter = *bucket_of(waiters, position);
    while (waiter != NULL && !pay_position_equal(&waiter->position, position)) waiter = waiter->next_placed;
    return waiter;
}

void pay_waiters_take(struct pay_waiters *waiters, const struct pay_position *position, const char *value,
                      size_t length) {
    struct pay_waiter *waiter;
    while ((waiter = find(waiters, position)) != NULL) finish(waiters, waiter, PAY_WAIT_ANSWERED, value, length);
}

void pay_waiters_expire(struct pay_waiters *waiters, int64_t now_us) {
    for (int s = 1; s <= PAY_WAIT_S_MAX; s++) {
        struct pay_waiter *ring = &waiters->rings[s];
        while (ring->next != ring && ring->next->until_us <= now_us)
            finish(waiters, ring->next, PAY_WAIT_OVER, NULL, 0);
    }
}

int64_t pay_waiters_next_us(const struct pay_waiters *waiters) {
    int64_t next_us = INT64_MAX;
    for (int s = 1; s <= PAY_WAIT_S_MAX; s++) {
        const struct pay_waiter *ring = &waiters->rings[s];
        if (ring->next != ring && ring->next->until_us < next_us) next_us = ring->next->until_us;
    }
    return next_us;
}

static void move_to(struct pay_waiter *ring, struct pay_waiter *waiter) {
    waiter->previous->next = waiter->next;
    waiter->next->previous = waiter->previous;
    waiter->previous = ring->previous;
    waiter->next = ring;
    waiter->previous->next = ring->previous = waiter;
}

void pay_waiters_cut(struct pay_waiters *waiters, bool (*chosen)(void *owner)) {
    struct pay_waiter *cut = &waiters->rings[0]; /* nobody waits no seconds */
    for (int s = 1; s <= PAY_WAIT_S_MAX; s++) {
        struct pay_waiter *ring = &waiters->rings[s], *next;
        for (struct pay_waiter *waiter = ring->next; waiter != ring; waiter = next) {
            next = waiter->next;
            if (chosen == NULL || chosen(waiter->owner)) move_to(cut, waiter);
        }
    }
    while (cut->next != cut) finish(waiters, cut->next, PAY_WAIT_CUT_SHORT, NULL, 0);
}

uint32_t pay_waiters_count(const struct pay_waiters *waiters) { return waiters->count; }
