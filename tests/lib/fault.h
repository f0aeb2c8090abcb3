/*
 * fault.h - what goes wrong, where: a script that breaks the n-th port call of a worker or the n-th produce request of a broker.
 *
 * A script is a value and one line of text, so that a failing case is replayed by pasting it:
 *     w1.17:crash-after,w2.40:fail=SESSION_OVER,w1.claim#2:freeze-after=15000,p3:lost-ack,p7:late=4000
 * wN.M is the M-th counted call of the N-th worker started (a restarted worker is a new number), wN.NAME#M its M-th call of that
 * name, pM the M-th produce request.
 *
 * Counted are the calls in which something happens: a poll that has nothing to say (no event, no record, no report, a settle
 * still waiting) isn't one, nor are descriptor, still_assigned, partition_count and commit_courtesy. A crash at one of those is the
 * same as a crash at its neighbour.
 *
 * The fakes call fault_enter when a call begins and fault_leave when its effect is done. Crash and standing still are the rig's:
 * without its hooks a pause only moves the clock and a crash aborts the program.
 * Memory: plain values; `seen` grows. Threads: one.
 */
#ifndef PAY_TESTS_FAULT_H
#define PAY_TESTS_FAULT_H

#include "fake_clock.h"
#include "trace.h"

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The counted calls. A settle's poll is two: the one that brings READ and the one that brings its end. */
/* clang-format off */
enum fault_call {
    CALL_CONNECT, CALL_READ_LEDGER, CALL_READ_ROWS, CALL_ADOPT, CALL_HALT_LEDGER, CALL_CLAIM, CALL_CREATE_ROW, CALL_HALT_LANE,
    CALL_LOOK_UP, CALL_SETTLE_BEGIN, CALL_SETTLE_READ, CALL_SETTLE_WRITE, CALL_SETTLE_END, CALL_SETTLE_ABANDON,
    CALL_OPEN, CALL_NEXT_EVENT, CALL_CONFIRM_REVOKED, CALL_FETCH, CALL_STOP_FETCH, CALL_NEXT_RECORD, CALL_REQUEST_BOUNDS,
    CALL_REPLY_BOUNDS, CALL_READ_REPLIES, CALL_READ_ANCHOR, CALL_OPEN_PUBLISHER, CALL_CLOSE_PUBLISHER, CALL_PUBLISH,
    CALL_DEAD_LETTER, CALL_RESET_DEAD_LETTERS, CALL_NEXT_REPORT,
    CALL_COUNT
};
/* clang-format on */

enum fault_kind {
    FAULT_FAIL,      /* nothing happens; answers `move` (a report: failed, though the record is in the log) */
    FAULT_LATE_FAIL, /* everything happens, then it answers `move` */
    FAULT_DELAY,     /* takes `number` ms longer; the process lives: its library sends and heartbeats go on */
    FAULT_CRASH_BEFORE,
    FAULT_CRASH_AFTER,
    FAULT_FREEZE_BEFORE, /* the whole process stands still for `number` ms, then goes on as if nothing were: a zombie */
    FAULT_FREEZE_AFTER,
    FAULT_STALE,     /* bounds: an end that is lower by `number` */
    FAULT_REDELIVER, /* next_record: the same again from `number` offsets lower */
    FAULT_LIE,       /* next_report: success without an offset (-1001), though the record is in the log */
    FAULT_KIND_COUNT
};

/* What becomes of one produce request. */
enum fault_fate {
    FATE_OK,
    FATE_REFUSE,            /* refused with a retriable error; the library sends it again */
    FATE_LOST,              /* never arrives; the library sends it again after its socket timeout */
    FATE_LOST_ACK,          /* arrives, the answer doesn't; sent again, the broker knows the sequence */
    FATE_LOST_ACK_NO_STATE, /* likewise, but the broker has dropped its producer state meanwhile: appended twice */
    FATE_LATE,              /* arrives `number` ms late */
    FATE_LATE_ACK,          /* its answer is `number` ms late */
    FATE_FAIL_KEPT,         /* appended, reported as failed */
    FATE_FAIL_LOST,         /* not appended, reported as failed */
    FATE_LIE,               /* not appended, reported as delivered without an offset (-1001) */
    FATE_LIE_KEPT,          /* appended, reported as delivered without an offset */
    FATE_FATAL,             /* not appended; the producer is dead */
    FATE_TRUNCATED, /* appended by a leader that dies before its followers have it; sent again to the next leader */
    FATE_COUNT
};

struct fault_entry {
    bool produce; /* a fate for produce request `call`, else a fault at call `call` of `worker` */
    uint32_t worker;
    uint32_t call;
    bool named; /* `call` counts calls of this name only */
    enum fault_call name;
    enum fault_kind kind;
    enum fault_fate fate;
    enum pay_move move;
    int64_t number;
};

#define FAULT_ENTRIES_MAX 16

struct fault_script {
    struct fault_entry entries[FAULT_ENTRIES_MAX];
    uint32_t count;
};

#define FAULT_TEXT_MAX 1024

/* False: not a script. The empty text is one without faults. */
bool fault_script_parse(const char *text, struct fault_script *ret_script);
void fault_script_format(const struct fault_script *script, char text[FAULT_TEXT_MAX]);
void fault_script_add(struct fault_script *script, struct fault_entry entry);

const char *fault_call_name(enum fault_call call);
const char *fault_kind_name(enum fault_kind kind);
const char *fault_fate_name(enum fault_fate fate);
const char *fault_move_name(enum pay_move move);
/* The moves that the port may answer to this call, a bit for each (1u << move); 0 for calls that can't fail. */
unsigned fault_call_moves(enum fault_call call);

/* Every single fault worth trying at a call of this kind, without worker and call number. Answers how many, at most `capacity`. */
uint32_t fault_kinds_of(enum fault_call call, struct fault_entry *ret_entries, uint32_t capacity);

/* Its `number` means something. */
bool fault_takes_number(const struct fault_entry *entry);
/* A port answers only what its contract allows: a fault that doesn't fit the call is no fault. */
bool fault_fits(const struct fault_entry *entry, enum fault_call call);

/* One worker's counter. */
struct fault {
    const struct fault_script *script; /* NULL: nothing goes wrong */
    struct fake_clock *clock;
    uint32_t worker;
    uint32_t calls;                /* counted so far */
    uint32_t calls_of[CALL_COUNT]; /* likewise, by name */
    const struct fault_entry *now; /* of the call at work */
    uint8_t *seen;                 /* which call was the n-th: seen[0] is the first */
    size_t seen_capacity;
    enum fault_call at; /* the call at work; CALL_COUNT: none */
    int32_t partition;  /* what it is about, for the trace: fault_note; -1 none */
    int64_t about;
    enum pay_move answered;
    struct trace *trace; /* NULL: nothing is traced */

    /* The rig's. */
    void (*before_call)(void *argument, enum fault_call call); /* a chance for the scheduler to run somebody else */
    /* A fault that isn't in the script, by what is the case now; NULL: none (and it may be NULL itself). */
    const struct fault_entry *(*choose)(void *argument, enum fault_call call);
    void (*pause)(void *argument, int64_t ms, bool frozen); /* the worker stands still */
    void (*crash)(void *argument);                          /* doesn't return */
    void *argument;
};

void fault_init(struct fault *fault, struct fake_clock *clock, const struct fault_script *script, uint32_t worker);
void fault_free(struct fault *fault);

/* A counted call begins. What the script wants of it that the fake must do itself (FAIL, LATE_FAIL, STALE, ..); NULL: nothing. */
const struct fault_entry *fault_enter(struct fault *fault, enum fault_call call);
/* What the call at work is about. */
static inline void fault_note(struct fault *fault, int32_t partition, int64_t about) {
    fault->partition = partition;
    fault->about = about;
}
/* Its effect is done. */
void fault_leave(struct fault *fault);
/* The worker waits inside a call for `ms`. */
void fault_pause(struct fault *fault, int64_t ms);

/* The move that the script wants answered instead, before the effect (late = false) or after it; PAY_OK: none. */
enum pay_move fault_wanted(const struct fault_entry *entry, bool late);

/* Fills an error as an adapter would. Answers `move`. */
enum pay_move fault_error(struct pay_error *error, enum pay_move move, const char *code, const char *text);

/* The fate of produce request `number`. */
struct fault_entry fault_fate(const struct fault_script *script, uint32_t number);

/* Broken promises of a port's caller, collected by a fake and judged by the history checker. */
#define FAULT_COMPLAINTS_MAX 16
struct fault_complaints {
    uint32_t count; /* all of them, also those without room below */
    char text[FAULT_COMPLAINTS_MAX][256];
};
void fault_complain(struct fault_complaints *complaints, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
