/*
 * fake_follower.h - follower.h played in memory: the replies are those that a test gives. Of partition 0 everything below the last one
 * given is answered, nothing is known of the others; it stands until the test says otherwise.
 */
#ifndef PAY_TESTS_UNIT_FAKE_FOLLOWER_H
#define PAY_TESTS_UNIT_FAKE_FOLLOWER_H

#include "producer/follower.h"
#include "producer/results.h"

struct pay_follower {
    struct pay_results *results;
    int64_t generation;     /* of every partition */
    int64_t answered_below; /* of partition 0 */
    bool stands;
    struct pay_follower_subscription *subscriptions; /* by next */
};

void fake_follower_open(struct pay_follower *ret_follower);
void fake_follower_close(struct pay_follower *follower);

/* The reply to `source` is taken: kept, and told to who subscribed. */
void fake_reply(struct pay_follower *follower, const struct pay_position *source, const char *key, const char *value);

#endif
