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
 *
 * What must still hold after somebody tampered with the past (history_tamper), beside all of the above for everything else:
 *   every tampering    whoever halted writes no reply more and no settle; lanes out of its reach answer everything; where a halt is
 *                      due it is there within halt_within_ms, with one of the reasons named here and no other;
 *   REQUESTS_CUT, REQUESTS_REPLACED    the lane halts: log_truncated or log_replaced. Nothing of the log that took the true one's
 *                      place is decided, answered or passed by P;
 *   REQUESTS_EATEN     requests_lost where P < L, replies_lost where P >= L, or everything was answered in spite of it;
 *   REPLIES_CUT        reply_log_truncated, or the missing replies come again, or a reader meets a gap (no later than at the next
 *                      reply, where others have made the log as long again as it was): never a silent skip. No
 *                      reply says otherwise than a lost one did;
 *   FOREIGN_LEDGER     foreign_ledger, or everything was answered (nobody claimed the lane before P's pair was past the record);
 *   OTHER_GROUP        the row is never claimed (its owner may go on until its session ends);
 *   DATABASE_PUT_BACK  a reply for a lost commit that is in the log 10 s later: the ledger halts database_rolled_back, and no settle
 *                      commits any more. No such reply: it goes on, and everything above holds for the rows that are left: no
 *                      identity twice, balances serial, no reply that contradicts another (or requests_lost, replies_lost where
 *                      retention has taken what is unsettled or unanswered again). The log of commits went back with the
 *                      rows, so a lost commit decided again is judged by its second decision.
 *                      Outside the promises (PROTOCOL 6), and excused: a reply of a lost commit that lands later than 10 s, out of
 *                      a process that stood still; a leader that tells a stale end of the reply log to the comparison.
 * A lane may also halt `poison` at the record that the database refuses, and log_truncated or reply_log_truncated where a leader
 * told less than the truth twice, 10 s apart: PROTOCOL 1 asks for it.
 * A test that changes the past by hand sets `tampered` alone: then replies aren't compared with rows.
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

enum history_tampering {
    TAMPERED_NOT,
    TAMPERED_REQUESTS_CUT,
    TAMPERED_REQUESTS_REPLACED,
    TAMPERED_REQUESTS_EATEN,
    TAMPERED_REPLIES_CUT, /* or replaced */
    TAMPERED_FOREIGN_LEDGER,
    TAMPERED_OTHER_GROUP,
    TAMPERED_DATABASE_PUT_BACK
};

#define HISTORY_WORKERS_MAX 256
#define HISTORY_HALT_WITHIN_MS 600000

/* What was done to a lane's past, and what the judge keeps of it. */
struct history_lane {
    enum history_tampering tampered;
    int64_t since_us;
    struct fake_log *requests;     /* the true request log, where the broker's isn't it any more; NULL: it is */
    struct fake_log *lost_replies; /* the reply log before it was cut */
    int64_t owner_epoch;
    /* after DATABASE_PUT_BACK */
    int64_t processed, reply_position; /* of the row that was put back */
    bool late_leftover;                /* a reply of a lost commit landed when nobody looked for it any more */
};

struct history {
    struct fake_database *database;
    struct fake_broker *broker;
    bool tampered;                         /* somebody has changed the past */
    bool exact;                            /* and said so with history_tamper: everything is judged by what it allows */
    enum history_tampering lanes_tampered; /* one kind a history */
    bool gaps_allowed; /* a broken broker made holes on purpose: readers must get over them in the end */
    int64_t halt_within_ms;
    struct history_lane lanes[FAKE_PARTITIONS_MAX];
    int64_t put_back_us;
    bool contradicted;                              /* a reply for a lost commit was, or is, in the log */
    int64_t session_us[HISTORY_WORKERS_MAX];        /* since when a worker has a connection to the database put back */
    int64_t highest_processed[FAKE_PARTITIONS_MAX]; /* the largest P ever committed */
    struct follower
        followers[FAKE_PARTITIONS_MAX];   /* readers from 0 that follow while it happens, for history_all_answered */
    size_t followed[FAKE_PARTITIONS_MAX]; /* how many records of the reply log they have read */
    bool followed_excused[FAKE_PARTITIONS_MAX];
    uint32_t cuts_seen[FAKE_PARTITIONS_MAX];
    uint32_t gaps;            /* met by the reader from 0 */
    uint32_t copies;          /* replies that it dropped */
    uint32_t violation_count; /* all of them, also those without room below */
    char violations[HISTORY_VIOLATIONS_MAX][400];
};

/* Installs itself as the fakes' listener. */
void history_watch(struct history *history, struct fake_database *database, struct fake_broker *broker);
void history_free(struct history *history);

/*
 * Somebody tampers with this lane, right after this call (the judge keeps what was true) - but DATABASE_PUT_BACK, which is
 * told right after it was done, once for all lanes. False, and nothing is kept: the past was changed before; one change a
 * history can be judged exactly, two can't.
 */
bool history_tamper(struct history *history, enum history_tampering what, int32_t partition);

/* Everything that must be true at any time. True: no violation up to now. */
bool history_judge(struct history *history);
/* And every request is answered, or its lane stands where it has to. */
bool history_judge_complete(struct history *history);

/* A reader from 0 has taken the reply of every request of this partition. Cheap: reads only what is new since the last call. */
bool history_all_answered(struct history *history, int32_t partition);
/* Likewise, and P is at the end; or the lane stands halted where it has to. */
bool history_finished(struct history *history, int32_t partition);

/* The request at a position; NULL: there is none. */
const struct fake_record *history_request_at(const struct history *history, int32_t partition, int64_t offset);
/* The first request at or above `offset` that readers of the log may see; -1: there is none. */
int64_t history_next_request(const struct history *history, int32_t partition, int64_t offset);
/* False: not one of this ledger's replies. */
bool history_reply_marks(const struct history *history, const struct fake_record *record, int64_t *ret_source,
                         int64_t *ret_covers);
/* history_books.c: the tables' part of the judgement. */
void history_judge_books(struct history *history);

void history_violate(struct history *history, const char *format, ...) __attribute__((format(printf, 2, 3)));
void history_print(const struct history *history);

#endif
