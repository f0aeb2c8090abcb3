/*
 * demanded.h - what INTERFACES' table demands of the reply to a request, given the rows that its settle could see.
 *
 * The judge's second opinion: shares nothing with core/decide, core/answer or the reply codec. Which rows were seen follows from the
 * database's log of commits; between partitions of one batch the order is free, so a demand can be asked for with and without
 * those rows (`maybe`).
 * Memory: points into the database's tables. Threads: any.
 */
#ifndef PAY_TESTS_DEMANDED_H
#define PAY_TESTS_DEMANDED_H

#include "asked.h"
#include "fake_database.h"

struct demanded {
    const char *outcome, *reason, *field; /* reason NULL: null */
    bool duplicate;
    bool own_row;                   /* a first sight: its own row must say the rest */
    bool refusal;                   /* a refusal row must be there */
    const struct fake_payment *row; /* stored decision, or the one in the way */
};

/* The settle that moved P over this offset; NULL: none. */
const struct fake_commit *demanded_settled_by(const struct fake_database *database, int32_t partition, int64_t offset);

struct demanded demanded_of(const struct fake_database *database, const struct asked *asked,
                            const struct fake_commit *commit, bool maybe);

/* The rows bear the demand out, and the reply says exactly that, member for member, in order. *ret_expected: what it should say (freed
   by the caller), NULL when already the rows don't agree. */
bool demanded_agrees(const struct fake_database *database, const struct asked *asked, const struct demanded *demanded,
                     const struct fake_record *reply, char **ret_expected);

/* When the row (or the refusal) behind the demand was decided. */
int64_t demanded_decided_at(const struct fake_database *database, const struct asked *asked,
                            const struct demanded *demanded);
void demanded_time_text(int64_t us, char text[40]);

/* Some row answers for the request: its refusal, its identity's row, a paid row of a lower attempt. */
bool demanded_has_reason(const struct fake_database *database, const struct asked *asked);

#endif
