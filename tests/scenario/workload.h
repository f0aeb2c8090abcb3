/*
 * workload.h - the small workload that scenarios share: every row of INTERFACES' table at least once, on two partitions.
 *
 *     account alice 10,000 EUR · bob 500 EUR (poor) · carol frozen · dave USD
 * Threads: one.
 */
#ifndef PAY_TESTS_WORKLOAD_H
#define PAY_TESTS_WORKLOAD_H

#include "rig.h"

#define WORKLOAD_TEXT_MAX 256

/* Opens the accounts. */
void workload_accounts(struct rig *rig);

/* Appends one request: key = order_id. Answers the offset. */
int64_t workload_pay(struct rig *rig, int32_t partition, const char *order_id, int attempt, const char *account_id,
                     int64_t amount_minor);

/* The first eight of twelve requests, and the last four: duplicates, a conflict, a poor account's attempts, garbage, an attempt out of
   sequence, an order that is on both partitions. */
void workload_first_part(struct rig *rig);
void workload_second_part(struct rig *rig);

/* `count` plain payments of alice, orders "<prefix>-0" ... */
void workload_many(struct rig *rig, int32_t partition, const char *prefix, uint32_t count);

/* The last reply value of partition for a request, as text; "" when there is none. Lives until the next call. */
const char *workload_reply(struct rig *rig, int32_t partition, int64_t offset);
uint32_t workload_reply_count(struct rig *rig, int32_t partition);

#endif
