#include "fake_follower.h"

#include <assert.h>
#include <string.h>

void fake_follower_open(struct pay_follower *ret_follower) {
    *ret_follower = (struct pay_follower){
        .results = pay_results_new(PAY_RESULTS_BYTES_MIN), .generation = 1, .answered_below = -1, .stands = true};
    assert(ret_follower->results != NULL);
}

void fake_follower_close(struct pay_follower *follower) {
    pay_results_free(follower->results);
    assert(follower->subscriptions == NULL);
}

void fake_reply(struct pay_follower *follower, const struct pay_position *source, const char *key, const char *value) {
    const struct pay_log_record record = {.partition = source->partition,
                                          .offset = source->offset,
                                          .key = key,
                                          .key_length = strlen(key),
                                          .value = value,
                                          .value_length = strlen(value)};
    const struct pay_follower_reply reply = {.source = *source, .record = &record};
    struct pay_follower_subscription *next;
    pay_results_add(follower->results, &(struct pay_result){.source = *source,
                                                            .key = key,
                                                            .key_length = record.key_length,
                                                            .value = value,
                                                            .value_length = record.value_length});
    if (source->partition == 0) follower->answered_below = source->offset + 1;
    for (struct pay_follower_subscription *at = follower->subscriptions; at != NULL; at = next) {
        next = at->next;
        at->taken(at->argument, &reply);
    }
}

/* --- follower.h --------------------------------------------------------------------------------------------------------------- */

void pay_follower_subscribe(struct pay_follower *follower, struct pay_follower_subscription *subscription) {
    subscription->next = follower->subscriptions;
    follower->subscriptions = subscription;
}

void pay_follower_unsubscribe(struct pay_follower *follower, struct pay_follower_subscription *subscription) {
    struct pay_follower_subscription **link = &follower->subscriptions;
    while (*link != subscription) link = &(*link)->next;
    *link = subscription->next;
}

int64_t pay_follower_generation(const struct pay_follower *follower, int32_t partition) {
    (void)partition;
    return follower->generation;
}

int64_t pay_follower_answered_below(const struct pay_follower *follower, int32_t partition) {
    return partition == 0 ? follower->answered_below : -1;
}

bool pay_follower_stands(const struct pay_follower *follower, int32_t partition) {
    (void)partition;
    return follower->stands;
}

int32_t pay_follower_partitions(const struct pay_follower *follower) {
    (void)follower;
    return 1;
}

int64_t pay_follower_log_offset(const struct pay_follower *follower, int32_t partition) {
    return partition == 0 && follower->answered_below >= 0 ? follower->answered_below : -1;
}

const struct pay_results *pay_follower_results(const struct pay_follower *follower) { return follower->results; }

void pay_follower_count(const struct pay_follower *follower, struct pay_follower_counters *ret_counters) {
    (void)follower;
    *ret_counters = (struct pay_follower_counters){.taken = 0};
}
