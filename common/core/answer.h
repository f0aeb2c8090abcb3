/*
 * answer.h - finds a settled record's answer again, from rows alone (PROTOCOL section 4, last paragraph).
 *
 * Order: the refusal at the position; the row of the identity; a paid row of a lower attempt; nothing: a broken invariant,
 * because every settled record left exactly one durable reason. The worker halts the lane then, it never decides again.
 * Memory: none. Threads: any.
 */
#ifndef PAY_CORE_ANSWER_H
#define PAY_CORE_ANSWER_H

#include "core/decide.h"

/* `refusal`: the one at the record's position or NULL. `known`: the order's decisions or NULL. False: no reason on file. */
bool pay_answer_find(const struct pay_record *record, const struct pay_refusal *refusal,
                     const struct pay_decision *known, struct pay_answer *ret_answer);

#endif
