/*
 * paybuf/listener.h - listen to the answers of a paybuf ledger, each exactly once and in order per partition.
 *
 * The reply log may hold copies of a reply. Each reply says which request it answers (its source offset), so a listener that
 * remembers ONE INTEGER per partition, the next source offset that it wants, drops copies and notices what is missing. The integer
 * must be stored in the same transaction as what the listener does with the reply: then a crash at any instant costs nothing.
 *
 * Sequence:
 *     read your stored positions;  paybuf_listener_open with them
 *     for each PAYBUF_LISTENER_REPLY of paybuf_listener_next, in one transaction of your own database:
 *         do your work with reply->value, store reply->position under (partition, generation), commit
 *     paybuf_listener_close
 * Several replies may share a transaction; the last position of each (partition, generation) is stored then.
 * Against a second copy of yourself (a restart that came too early, a thawed process): let the statement that stores the position
 * ask that the stored `next` still is reply->replaces_next, and roll back when it isn't.
 *
 * A crash, SIGKILL and power cuts are fine anywhere: the next open goes on behind the last commit.
 * Threads: a listener is used by one thread at a time; several listeners may be used by several threads. Connections live in
 * threads of librdkafka, which take no signals that the caller didn't leave open. Don't use a listener in a forked child.
 * The library writes nothing to stdout, stderr or a log, installs no signal handler, and never exits; it aborts only when memory
 * ends or it is called against this contract.
 */
#ifndef PAYBUF_LISTENER_H
#define PAYBUF_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/*
 * Where a listener stands in one (partition, generation): a row of your own table. `next` alone decides what is taken. This
 * struct never changes.
 */
struct paybuf_listener_position {
    int64_t generation; /* of the request log, 1, 2, ..; 0: no reply of this partition was taken yet */
    int32_t partition;
    int64_t next;         /* the next source offset that is wanted; everything below it was taken */
    int64_t reply_offset; /* read on from here in the reply log: it saves time and decides nothing */
    int64_t resync_until; /* above 0 while a listener that began in the middle of the log looks for its place, else 0 */
};

/* A reply. It lives until the next call on its listener. New members may come at the end. */
struct paybuf_listener_reply {
    const char
        *value; /* one line of JSON, not ended by NUL: outcome, order_id, amount_minor, .. (docs: the reply value) */
    size_t value_length;
    const char *key; /* the order_id; NULL for bytes that were no request */
    size_t key_length;
    struct paybuf_listener_position position; /* to be stored with what you do */
    int64_t replaces_next;                    /* the `next` that `position` replaces; 0 for a first one */
    int64_t source_offset; /* of the request: generation-partition-source_offset is "position" in the value */
    int64_t reply_offset;  /* of this reply in the reply log */
    int64_t appended_ms;   /* when it got there, Unix time */
    const char *ledger_id; /* whose reply: store it once, give it to open */
};

/* What a call came to. From GAP on, paybuf_listener_why has a sentence for people. */
enum paybuf_listener_result {
    PAYBUF_LISTENER_NOTHING, /* next: nothing within the time; open: done */
    PAYBUF_LISTENER_REPLY,   /* next: *ret_reply */

    /* Told once. The listener goes on at the next call, and never skips a reply by itself. */
    PAYBUF_LISTENER_GAP, /* replies are missing: that partition waits until they were published again */
    PAYBUF_LISTENER_GENERATION, /* a loss of requests was accepted (paybuf recover): the partition goes on in a new generation */
    PAYBUF_LISTENER_EXPIRED, /* retention deleted replies behind the position; a wanted one among them will be a GAP */
    PAYBUF_LISTENER_TRUNCATED, /* the reply log ends before the position: cut short or made anew; it is read from its start */
    PAYBUF_LISTENER_FOREIGN, /* a reply of another ledger; those are left out. Do these topics belong to your database? */
    PAYBUF_LISTENER_UNAVAILABLE, /* no broker; next goes on trying */

    PAYBUF_LISTENER_REFUSED /* settings, topics or positions don't fit: don't go on, mend what `why` says */
};

struct paybuf_listener_setting {
    const char *name; /* as librdkafka spells it: "bootstrap.servers", "security.protocol", "sasl.username", .. */
    const char *value;
};

/* Where partitions begin of which nothing is known. */
enum paybuf_listener_start { PAYBUF_LISTENER_FROM_START, PAYBUF_LISTENER_FROM_NOW, PAYBUF_LISTENER_FROM_TIME };

/* Borrowed for the length of open. Members that are 0 mean their default; begin with {.size = sizeof options}. */
struct paybuf_listener_options {
    size_t size;
    const struct paybuf_listener_setting *kafka; /* connection, security, fetch sizes; anything else is refused */
    size_t kafka_count;
    const char *client_id;     /* "paybuf-listener"; at most 32 characters */
    const char *reply_topic;   /* "pay.replies" */
    const char *request_topic; /* "pay.requests": asked for its end where a listener begins in the middle */
    const char *ledger_id;     /* NULL: that of the first reply */
    enum paybuf_listener_start start;
    int64_t start_time_ms;                            /* FROM_TIME: Unix time */
    const struct paybuf_listener_position *positions; /* all that you stored, in any order */
    size_t position_count;
    int64_t timeout_ms; /* of open's questions to the broker; 10000 */
};

struct paybuf_listener_counts {
    int64_t taken;    /* replies given out */
    int64_t dropped;  /* copies, and what waits behind a gap */
    int64_t skipped;  /* records that are no replies of paybuf */
    int64_t foreign;  /* replies of other ledgers */
    int64_t resyncs;  /* jumps while looking for its place after a start in the middle */
    int64_t gaps;     /* told so far */
    int64_t gaps_now; /* partitions that wait at one */
};

struct paybuf_listener;

/* NOTHING: *ret_listener is open. UNAVAILABLE, REFUSED: it is NULL, and *ret_why (if wanted) says why and what to do. */
enum paybuf_listener_result paybuf_listener_open(const struct paybuf_listener_options *options,
                                                 struct paybuf_listener **ret_listener, char *ret_why, size_t why_size);

/* The next reply; waits at most timeout_ms for it (0: not at all), and a few seconds longer while a broker gives no answer. */
enum paybuf_listener_result paybuf_listener_next(struct paybuf_listener *listener, int64_t timeout_ms,
                                                 const struct paybuf_listener_reply **ret_reply);

/* A sentence about the last result from GAP on. Lives until the next call of next. */
const char *paybuf_listener_why(const struct paybuf_listener *listener);

/*
 * All positions as they are behind the last reply given out. Needed only where a start in the middle (FROM_NOW, FROM_TIME) must
 * stay the same before its first reply. Fills at most `capacity`, answers how many there are.
 */
size_t paybuf_listener_positions(const struct paybuf_listener *listener, struct paybuf_listener_position *ret_positions,
                                 size_t capacity);

/* True when every partition was read up to its end. */
bool paybuf_listener_at_end(const struct paybuf_listener *listener);

/* `size`: sizeof *ret_counts. */
void paybuf_listener_count(const struct paybuf_listener *listener, struct paybuf_listener_counts *ret_counts,
                           size_t size);

/* "" before the first reply, unless it was given. */
const char *paybuf_listener_ledger_id(const struct paybuf_listener *listener);

/* NULL is fine. Waits up to 5 s for connections to end. */
void paybuf_listener_close(struct paybuf_listener *listener);

/* "0.1.0" */
const char *paybuf_listener_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
