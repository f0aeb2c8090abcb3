#include "producer/pending.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 256 /* calls allocated at a time */

struct chunk {
    struct chunk *next;
    struct pay_call calls[CHUNK];
};

struct pay_pending {
    struct pay_call due, late; /* rings, oldest first; these two are the anchors */
    struct pay_call *spare;    /* by next */
    struct chunk *chunks;
    uint32_t records_max, count, due_count;
    uint64_t bytes_max, bytes;
};

static void append(struct pay_call *anchor, struct pay_call *call) {
    call->next = anchor;
    call->previous = anchor->previous;
    call->previous->next = call;
    anchor->previous = call;
}

static void take_out(struct pay_call *call) {
    call->previous->next = call->next;
    call->next->previous = call->previous;
}

struct pay_pending *pay_pending_new(uint32_t records_max, uint64_t bytes_max) {
    struct pay_pending *pending = calloc(1, sizeof *pending);
    if (pending == NULL) return NULL;
    pending->due.next = pending->due.previous = &pending->due;
    pending->late.next = pending->late.previous = &pending->late;
    pending->records_max = records_max;
    pending->bytes_max = bytes_max;
    return pending;
}

void pay_pending_free(struct pay_pending *pending) {
    if (pending == NULL) return;
    while (pending->chunks != NULL) {
        struct chunk *next = pending->chunks->next;
        free(pending->chunks);
        pending->chunks = next;
    }
    free(pending);
}

static bool grow(struct pay_pending *pending) {
    struct chunk *chunk = malloc(sizeof *chunk);
    if (chunk == NULL) return false;
    chunk->next = pending->chunks;
    pending->chunks = chunk;
    for (size_t i = 0; i < CHUNK; i++) {
        chunk->calls[i].next = pending->spare;
        pending->spare = &chunk->calls[i];
    }
    return true;
}

struct pay_call *pay_pending_add(struct pay_pending *pending, void *owner, uint32_t bytes, int64_t now_us) {
    assert(owner != NULL);
    if (pending->count >= pending->records_max || bytes > pending->bytes_max - pending->bytes) return NULL;
    if (pending->spare == NULL && !grow(pending)) return NULL;
    struct pay_call *call = pending->spare;
    pending->spare = call->next;
    memset(call, 0, sizeof *call);
    call->owner = owner;
    call->bytes = bytes;
    call->started_us = now_us;
    call->partition = -1;
    append(&pending->due, call);
    pending->count++;
    pending->due_count++;
    pending->bytes += bytes;
    return call;
}

void pay_pending_remove(struct pay_pending *pending, struct pay_call *call) {
    assert(pending->count > 0 && pending->bytes >= call->bytes);
    if (call->owner != NULL) pay_pending_detach(pending, call);
    take_out(call);
    pending->count--;
    pending->bytes -= call->bytes;
    call->next = pending->spare;
    pending->spare = call;
}

void pay_pending_detach(struct pay_pending *pending, struct pay_call *call) {
    assert(call->owner != NULL && pending->due_count > 0);
    call->owner = NULL;
    take_out(call);
    append(&pending->late, call);
    pending->due_count--;
}

struct pay_call *pay_pending_oldest_due(struct pay_pending *pending) {
    return pending->due.next != &pending->due ? pending->due.next : NULL;
}

struct pay_call *pay_pending_oldest_late(struct pay_pending *pending) {
    return pending->late.next != &pending->late ? pending->late.next : NULL;
}

uint32_t pay_pending_count(const struct pay_pending *pending) { return pending->count; }
uint32_t pay_pending_due_count(const struct pay_pending *pending) { return pending->due_count; }
uint64_t pay_pending_bytes(const struct pay_pending *pending) { return pending->bytes; }
