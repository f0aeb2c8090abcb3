#include "producer/results.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/*
 * Places in the ring are counted from the beginning of time: the byte `place` lies at place % size, and is still there as long as
 * place >= oldest. So links may point to what was overwritten long ago, and nothing is ever taken out.
 */
struct entry {
    uint64_t older_by_position, older_by_key; /* the next in the same bucket */
    struct pay_position source;
    uint32_t key_length, value_length; /* the bytes follow */
};

#define ALIGNMENT _Alignof(struct entry)
#define BUCKET_PER_BYTES 512 /* a reply without metadata takes some 500 */

struct pay_results {
    uint64_t size;                  /* of the ring, a multiple of ALIGNMENT */
    uint64_t next;                  /* place of the next entry */
    uint64_t oldest;                /* places below it are overwritten */
    uint64_t mask;                  /* buckets - 1 */
    uint64_t *by_position, *by_key; /* the youngest entry of each bucket; 0: none */
    char *ring;
};

struct pay_results *pay_results_new(size_t bytes) {
    assert(bytes >= PAY_RESULTS_BYTES_MIN);
    struct pay_results *results = calloc(1, sizeof *results);
    if (results == NULL) return NULL;
    uint64_t buckets = 1;
    while (buckets * 2 * BUCKET_PER_BYTES <= bytes) buckets *= 2;
    results->mask = buckets - 1;
    results->size = (bytes - 2 * buckets * sizeof(uint64_t)) / ALIGNMENT * ALIGNMENT;
    results->next = results->oldest = results->size; /* so that 0 is no place */
    results->by_position = calloc(2 * buckets, sizeof(uint64_t));
    results->ring = malloc(results->size);
    if (results->by_position != NULL && results->ring != NULL) {
        results->by_key = results->by_position + buckets;
        return results;
    }
    pay_results_free(results);
    return NULL;
}

void pay_results_free(struct pay_results *results) {
    if (results == NULL) return;
    free(results->by_position);
    free(results->ring);
    free(results);
}

static uint64_t mix(uint64_t z) { /* splitmix64's finish */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t *position_bucket(const struct pay_results *results, const struct pay_position *source) {
    uint64_t lane = (uint64_t)source->generation << 32 ^ (uint64_t)source->partition;
    return &results->by_position[mix(mix(lane) + (uint64_t)source->offset) & results->mask];
}

static uint64_t *key_bucket(const struct pay_results *results, const char *key, size_t length) {
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)key[i]) * 0x100000001b3u;
    return &results->by_key[mix(hash) & results->mask];
}

/* NULL: overwritten, or none. */
static const struct entry *entry_at(const struct pay_results *results, uint64_t place) {
    if (place < results->oldest) return NULL;
    return (const struct entry *)(const void *)(results->ring + place % results->size);
}

static const char *key_of(const struct entry *entry) { return (const char *)(entry + 1); }
static const char *value_of(const struct entry *entry) { return key_of(entry) + entry->key_length; }

/* The place of `length` bytes in one piece. */
static uint64_t make_room(struct pay_results *results, uint64_t length) {
    uint64_t place = results->next, left = results->size - place % results->size;
    if (length > left) place += left; /* the ring's end stays empty this time */
    results->next = place + (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (results->next - results->oldest > results->size) results->oldest = results->next - results->size;
    return place;
}

void pay_results_add(struct pay_results *results, const struct pay_result *reply) {
    if (reply->key_length > PAY_ID_MAX || reply->value_length > PAY_REPLY_TEXT_MAX) return;
    uint64_t *by_position = position_bucket(results, &reply->source);
    uint64_t *by_key = key_bucket(results, reply->key, reply->key_length);
    uint64_t place = make_room(results, sizeof(struct entry) + reply->key_length + reply->value_length);
    struct entry *entry = (struct entry *)(void *)(results->ring + place % results->size);
    *entry = (struct entry){.older_by_position = *by_position,
                            .older_by_key = *by_key,
                            .source = reply->source,
                            .key_length = (uint32_t)reply->key_length,
                            .value_length = (uint32_t)reply->value_length};
    char *bytes = (char *)(entry + 1);
    if (reply->key_length > 0) memcpy(bytes, reply->key, reply->key_length);
    if (reply->value_length > 0) memcpy(bytes + reply->key_length, reply->value, reply->value_length);
    *by_position = *by_key = place;
}

void pay_results_clear(struct pay_results *results) { results->oldest = results->next; }

bool pay_results_find(const struct pay_results *results, const struct pay_position *source,
                      struct pay_result *ret_result) {
    const struct entry *entry = entry_at(results, *position_bucket(results, source));
    while (entry != NULL && !pay_position_equal(&entry->source, source))
        entry = entry_at(results, entry->older_by_position);
    if (entry == NULL) return false;
    *ret_result = (struct pay_result){.source = entry->source,
                                      .key = key_of(entry),
                                      .key_length = entry->key_length,
                                      .value = value_of(entry),
                                      .value_length = entry->value_length};
    return true;
}

static bool read_decision(const struct entry *entry, const struct pay_request *payment,
                          struct pay_decision *ret_decision) {
    struct pay_reply reply;
    if (!pay_reply_parse(value_of(entry), entry->value_length, &reply)) return false;
    if (reply.outcome != PAY_PAID && reply.outcome != PAY_DECLINED) return false; /* about a record, not the identity */
    if (!reply.has_original || reply.attempt != payment->attempt || strcmp(reply.tenant, payment->tenant) != 0 ||
        strcmp(reply.order_id, payment->order_id) != 0)
        return false;
    *ret_decision = (struct pay_decision){.attempt = reply.attempt,
                                          .amount_minor = reply.amount_minor,
                                          .outcome = reply.outcome,
                                          .reason = reply.reason,
                                          .has_account = reply.has_balance,
                                          .balance_after_minor = reply.balance_after_minor,
                                          .account_version = reply.account_version,
                                          .position = reply.original,
                                          .decided_at_us = reply.decided_at_us};
    memcpy(ret_decision->account_id, reply.account_id, sizeof ret_decision->account_id);
    memcpy(ret_decision->currency, reply.currency, sizeof ret_decision->currency);
    return true;
}

bool pay_results_decision(const struct pay_results *results, const struct pay_request *payment,
                          struct pay_decision *ret_decision) {
    size_t length = strlen(payment->order_id);
    int looks = PAY_RESULTS_LOOKS_MAX, readings = PAY_RESULTS_READINGS_MAX;
    const struct entry *entry = entry_at(results, *key_bucket(results, payment->order_id, length));
    for (; entry != NULL && looks-- > 0; entry = entry_at(results, entry->older_by_key)) {
        if (entry->key_length != length || memcmp(key_of(entry), payment->order_id, length) != 0) continue;
        if (readings-- == 0) return false;
        if (read_decision(entry, payment, ret_decision)) return true;
    }
    return false;
}
