#include "tools/doctor_retention.h"

#include <inttypes.h>
#include <string.h>

#define MINUTE_MS 60000LL
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

#define DURATION_MAX 32

static const char *duration(int64_t ms, char text[static DURATION_MAX]) {
    if (ms < 0)
        snprintf(text, DURATION_MAX, "for ever");
    else if (ms >= 2 * DAY_MS)
        snprintf(text, DURATION_MAX, "%.1f days", (double)ms / DAY_MS);
    else if (ms >= 2 * HOUR_MS)
        snprintf(text, DURATION_MAX, "%.1f hours", (double)ms / HOUR_MS);
    else
        snprintf(text, DURATION_MAX, "%.1f minutes", (double)ms / MINUTE_MS);
    return text;
}

static bool shorter(int64_t one_ms, int64_t other_ms) { return one_ms >= 0 && (other_ms < 0 || one_ms < other_ms); }

/* A topic that keeps less than requests do. */
static void judge_beside_requests(const struct retention_facts *facts, int64_t kept_ms, const char *fix,
                                  struct retention_line *line) {
    char kept[DURATION_MAX], requests[DURATION_MAX];
    line->state = shorter(kept_ms, facts->requests_ms) ? DOCTOR_WARNING : DOCTOR_OK;
    snprintf(line->found, sizeof line->found, "%s", duration(kept_ms, kept));
    snprintf(line->wanted, sizeof line->wanted, "at least as requests: %s", duration(facts->requests_ms, requests));
    snprintf(line->fix, sizeof line->fix, "%s", fix);
}

/* Kafka deletes whole segments, so a record may live longer than this; never shorter. */
static void judge_oldest(const struct retention_facts *facts, struct retention_line *line) {
    char age[DURATION_MAX], left[DURATION_MAX];
    int64_t left_ms = facts->requests_ms - facts->unanswered_ms;
    if (facts->requests_ms < 0) {
        snprintf(line->found, sizeof line->found, "partition %" PRId32 ": waits %s", facts->lane,
                 duration(facts->unanswered_ms, age));
        return;
    }
    if (left_ms < facts->requests_ms / 2) line->state = DOCTOR_WARNING;
    if (left_ms < facts->requests_ms / 10) line->state = DOCTOR_FAILED;
    snprintf(line->found, sizeof line->found, "partition %" PRId32 ": waits %s, %s left", facts->lane,
             duration(facts->unanswered_ms, age), left_ms > 0 ? duration(left_ms, left) : "nothing");
    snprintf(line->fix, sizeof line->fix,
             "what is deleted unanswered is lost: lengthen retention.ms of requests now, then paybuf status says why "
             "partition %" PRId32 " stands still",
             facts->lane);
}

/* A lane that wasn't told of may be the one that waits longest: that is no "ok". */
static void add_unknown(int32_t unknown, struct retention_line *line) {
    size_t length = strlen(line->found);
    snprintf(line->found + length, sizeof line->found - length, "%s%" PRId32 " partition%s not checked",
             length > 0 ? "; " : "", unknown, unknown == 1 ? "" : "s");
    if (line->state != DOCTOR_OK) return;
    line->state = DOCTOR_WARNING;
    snprintf(line->fix, sizeof line->fix,
             "the broker didn't tell in time when the first unanswered request of %" PRId32
             " partitions was appended; paybuf doctor again, and paybuf status for who lags",
             unknown);
}

static void judge_unanswered(const struct retention_facts *facts, struct retention_line *line) {
    snprintf(line->wanted, sizeof line->wanted, "half of retention left, or more");
    if (facts->gone) {
        line->state = DOCTOR_FAILED;
        snprintf(line->found, sizeof line->found, "partition %" PRId32 ": not in the log any more", facts->lane);
        snprintf(line->fix, sizeof line->fix,
                 "retention was faster than the workers: paybuf recover lane %" PRId32
                 " says what is lost; lengthen retention.ms of requests before anything else",
                 facts->lane);
    } else if (facts->lane >= 0) {
        judge_oldest(facts, line);
    } else if (facts->unknown == 0) {
        snprintf(line->found, sizeof line->found, "none found waiting");
    }
    if (facts->unknown > 0) add_unknown(facts->unknown, line);
}

static void judge_refusals(const struct retention_facts *facts, struct retention_line *line) {
    line->state = facts->refusals_deletable >= RETENTION_REFUSALS_MANY ? DOCTOR_WARNING : DOCTOR_OK;
    snprintf(line->found, sizeof line->found, "%" PRId64 ", %" PRId64 " may be deleted", facts->refusals_old,
             facts->refusals_deletable);
    snprintf(line->wanted, sizeof line->wanted, "fewer than %d that may be deleted", RETENTION_REFUSALS_MANY);
    snprintf(
        line->fix, sizeof line->fix,
        "their requests aren't in the log any more, so nothing asks for them: docs/retention.md has the statement, "
        "after a paybuf dump; and who sends so much that is no request?");
}

static void name_lines(struct retention_line lines[RETENTION_LINES]) {
    static const char *const checks[RETENTION_LINES] = {"retention of replies", "retention of dead letters",
                                                        "first unanswered request", "refusals older than 30 days"};
    memset(lines, 0, RETENTION_LINES * sizeof *lines);
    for (size_t i = 0; i < RETENTION_LINES; i++) lines[i].check = checks[i];
}

void retention_unchecked(const char *why, struct retention_line ret_lines[RETENTION_LINES]) {
    name_lines(ret_lines);
    for (size_t i = 0; i < RETENTION_LINES; i++) {
        ret_lines[i].state = DOCTOR_WARNING;
        snprintf(ret_lines[i].found, sizeof ret_lines[i].found, "not checked");
        snprintf(ret_lines[i].wanted, sizeof ret_lines[i].wanted, "an answer");
        snprintf(ret_lines[i].fix, sizeof ret_lines[i].fix, "%s; then paybuf doctor again", why);
    }
}

void retention_judge(const struct retention_facts *facts, struct retention_line ret_lines[RETENTION_LINES]) {
    name_lines(ret_lines);
    judge_beside_requests(facts, facts->replies_ms,
                          "lengthen retention.ms of replies: a listener that is behind it sees a gap, and a database "
                          "restored from a backup older than it can't be recovered",
                          &ret_lines[0]);
    judge_beside_requests(
        facts, facts->letters_ms,
        "lengthen retention.ms of dead letters: a letter that is gone can't be redriven, and the audit "
        "can't miss one",
        &ret_lines[1]);
    judge_unanswered(facts, &ret_lines[2]);
    judge_refusals(facts, &ret_lines[3]);
}
