/*
 * history.h - the judge: reads what lies in the logs and the tables and says what must never be there.
 *
 * Shares nothing with core or codec: requests are parsed, decisions expected and replies composed here a second time, from
 * INTERFACES' table, so that a shared mistake can't hide. (One exception: the anchor's fingerprint, which has one definition.)
 *
 * Watched while it happens:
 *   - a reply is appended only when its record lies below P and has its reason on file (money before message: R <= P);
 *   - an invalid's dead letter was acknowledged before its reply is appended;
 *   - a settle moves P forward only, never over a request without a reason, never beyond the log; its anchor is the last request
 *     below P; its replied pair names a reply that is in the log.
 * Judged afterwards:
 *   - a reader with one integer takes the reply of every request exactly once, in order, and meets no gap; so does every reader
 *     that starts in the middle, after its resync; copies of a reply are equal in key and value;
 *   - each reply says what the table demands of the request, given what its transaction could see: decisions, duplicates, conflicts,
 *     refusals, word for word; each row has a request that it came from;
 *   - per account: versions 1..n without holes, each outcome and balance follows from those before; at most one paid per order;
 *   - no fake complained about its caller.
 * After the database was put back to an older state, or a log was tampered with, replies can't be compared with rows: set `tampered`.
 * Memory: plain; history_free. Threads: one.
 */
#ifndef PAY_TESTS_HISTORY_H
#define PAY_TESTS_HISTORY_H

#include "fake_broker.h"
#include "fake_database.h"

#define HISTORY_VIOLATIONS_MAX 24

/* The reader's rule once more (PROTOCOL 5). */
struct follower {
    int64_t next;
    bool synced, started;
    int64_t sync_at; /* E0 */
};

struct history {
    struct fake_database *database;
    struct fake_broker *broker;
    bool tampered;     /* a test has changed the past: only what still can be is judged */
    bool gaps_allowed; /* a broken broker made holes on purpose: readers must get over them in the end */
    int64_t highest_processed[FAKE_PARTITIONS_MAX]; /* the largest P ever committed */
    struct follower
        followers[FAKE_PARTITIONS_MAX];   /* readers from 0 that follow while it happens, for history_all_answered */
    size_t followed[FAKE_PARTITIONS_MAX]; /* how many records of the reply log they have read */
    uint32_t gaps;                        /* met by the reader from 0 */
    uint32_t copies;                      /* replies that it dropped */
    uint32_t violation_count;             /* all of them, also those without room below */
    char violations[HISTORY_VIOLATIONS_MAX][400];
};

/* Installs itself as the fakes' listener. */
void history_watch(struct history *history, struct fake_database *database, struct fake_broker *broker);
void history_free(struct history *history);

/* Everything that must be true at any time. True: no violation up to now. */
bool history_judge(struct history *history);
/* And every request is answered. */
bool history_judge_complete(struct history *history);

/* A reader from 0 has taken the reply of every request of this partition. Cheap: reads only what is new since the last call. */
bool history_all_answered(struct history *history, int32_t partition);

/* The request at a position; NULL: there is none. */
const struct fake_record *history_request_at(const struct history *history, int32_t partition, int64_t offset);
/* history_books.c: the tables' part of the judgement. */
void history_judge_books(struct history *history);

void history_violate(struct history *history, const char *format, ...) __attribute__((format(printf, 2, 3)));
void history_print(const struct history *history);

#endif
