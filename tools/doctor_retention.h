/*
 * doctor_retention.h - what `paybuf doctor` says about what grows and what retention deletes (docs/retention.md).
 *
 * Pure: facts in, lines out; doctor_growth.h gathers the facts. Memory: plain values. Threads: any.
 */
#ifndef PAY_TOOLS_DOCTOR_RETENTION_H
#define PAY_TOOLS_DOCTOR_RETENTION_H

#include "tools/doctor.h"

#define RETENTION_LINES 4
#define RETENTION_REFUSALS_MANY 100000 /* that may be deleted: about 20 MB, worth a morning's work */

struct retention_facts {
    /* retention.ms of the topics; -1: for ever */
    int64_t requests_ms;
    int64_t replies_ms;
    int64_t letters_ms;

    int32_t lane;          /* whose first unanswered request is the oldest; -1: everything is answered */
    int64_t unanswered_ms; /* that request's age by the broker's clock */
    bool gone;             /* the log begins behind it */

    int64_t refusals_old;       /* older than 30 days */
    int64_t refusals_deletable; /* of these, those whose request isn't in the log any more */

    int32_t unknown; /* lanes with something unanswered whose age the broker didn't tell */
};

struct retention_line {
    const char *check;
    enum doctor_state state;
    char found[160];
    char wanted[96];
    char fix[320];
};

/* Fills all RETENTION_LINES. `facts` name no topic, so neither do the lines. */
void retention_judge(const struct retention_facts *facts, struct retention_line ret_lines[RETENTION_LINES]);

/* The same lines where the facts couldn't be asked: warnings that say why. */
void retention_unchecked(const char *why, struct retention_line ret_lines[RETENTION_LINES]);

#endif
