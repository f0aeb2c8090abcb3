/*
 * workload.h - a stream of payment requests that is a pure function of (seed, epoch, index): the same words from the storm,
 * the preload and a test, and any item again without remembering it.
 *
 * Of 100 items about 30 repeat an earlier identity (some a moment later, some much later), 1 asks for the same identity with
 * another amount, account or currency, 1 or 2 try again (attempt 2 or 3) after an account too poor; of the rest 4 fall on poor
 * accounts, and a few on unknown, frozen and closed ones and on the wrong currency. `plain`: first sights on rich accounts only.
 *
 * Order ids look like UUIDv7 and rise with the index (SPEED: they keep a grown table quick), or are random when asked.
 * Memory: plain values. Threads: any.
 */
#ifndef PAY_BENCH_WORKLOAD_H
#define PAY_BENCH_WORKLOAD_H

#include "core/limits.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PAY_WORKLOAD_PREFIX_MAX 32
#define PAY_WORKLOAD_BODY_MAX 512

struct pay_workload {
    uint64_t seed;
    uint64_t epoch_ms; /* the time in the order ids; another epoch, other orders */
    uint32_t rich_accounts;
    uint32_t poor_accounts;
    uint32_t duplicates_percent;
    bool plain;
    bool random_ids;
    char account_prefix[PAY_WORKLOAD_PREFIX_MAX + 1];
};

enum pay_workload_kind { PAY_WORKLOAD_FIRST, PAY_WORKLOAD_DUPLICATE, PAY_WORKLOAD_CONFLICT, PAY_WORKLOAD_NEXT_ATTEMPT };

struct pay_workload_item {
    enum pay_workload_kind kind;
    char order_id[PAY_ID_MAX + 1];
    char account_id[PAY_ID_MAX + 1];
    char currency[PAY_CURRENCY_LENGTH + 1];
    int32_t attempt;
    int64_t amount_minor;
    uint64_t invoice; /* for metadata; 0: none */
    bool put;         /* sent as PUT /v1/payments/{order_id} */
};

void pay_workload_item(const struct pay_workload *workload, uint64_t index, struct pay_workload_item *ret_item);

/* The request value; answers its length. */
size_t pay_workload_body(const struct pay_workload_item *item, char body[PAY_WORKLOAD_BODY_MAX]);

/* The accounts that the workload pays from, as NDJSON for `paybuf account import`. */
void pay_workload_print_accounts(const struct pay_workload *workload, FILE *out);
/* The ones to be frozen and closed afterwards. */
void pay_workload_frozen_account(const struct pay_workload *workload, char account_id[PAY_ID_MAX + 1]);
void pay_workload_closed_account(const struct pay_workload *workload, char account_id[PAY_ID_MAX + 1]);

#endif
