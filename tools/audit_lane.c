#include "tools/audit_lane.h"

#include "core/answer.h"
#include "tools/audit_compare.h"
#include "tools/audit_replies.h"
#include "tools/audit_requests.h"

#include <inttypes.h>
#include <stdlib.h>

/* A settled request with the answer that the stored rows give it. */
struct answered {
    int64_t offset;
    const struct pay_record *record; /* NULL with --quick */
    bool impossible;                 /* a row about its order isn't one that a worker writes */
    bool has_answer;                 /* false: settled, and no reason on file that can be read */
    struct pay_answer answer;
};

/* Two ordered streams, merged by source offset. */
struct merge {
    struct audit *audit;
    struct audit_lane *lane;
    struct audit_requests requests;
    struct audit_replies *replies;
    bool has_reply; /* replies->headers and ->record are the next reply */
    bool any_reply; /* one was taken before */
};

static enum pay_exit next_reply(struct merge *merge) {
    merge->any_reply = merge->any_reply || merge->has_reply;
    return replies_next(merge->replies, &merge->has_reply);
}

/* ---- what rows a request left ---- */

static void set_bit(uint8_t *bits, int64_t index) { bits[index / 8] |= (uint8_t)(1u << (index % 8)); }

static void count_answer(struct merge *merge, const struct answered *request) {
    struct audit_tally *tally = &merge->lane->tally;
    int64_t index = request->offset - merge->lane->view.request_start;
    const struct pay_answer *answer = &request->answer;
    bool own = answer->has_decision && !answer->duplicate && answer->outcome != PAY_CONFLICT;
    if (own) {
        set_bit(merge->lane->own_payment, index);
        tally->payment_rows++;
    }
    if (answer->outcome == PAY_INVALID) {
        set_bit(merge->lane->own_refusal, index);
        tally->refusal_rows++;
        tally->invalid++;
    }
    tally->paid += own && answer->outcome == PAY_PAID;
    tally->declined += own && answer->outcome == PAY_DECLINED;
    tally->duplicates += answer->duplicate;
    tally->conflicts += answer->outcome == PAY_CONFLICT;
}

/* An answered record that is no request lies in the dead letter topic, byte for byte; unless retention has been there. */
static void check_letter(struct merge *merge, const struct answered *request) {
    char where[PAY_POSITION_TEXT_MAX];
    const struct pay_record *record = request->record;
    if (record->invalid == PAY_REASON_NONE) return;
    enum letter_match match = letters_find(&merge->audit->letters, &record->position, record->crc32c);
    audit_where(merge->lane, request->offset, where);
    if (match == LETTER_OTHER)
        difference_add(&merge->audit->differences, "letter_differs", where,
                       "its dead letter has other bytes than the request record");
    if (match == LETTER_MISSING && merge->audit->letters.from_the_start)
        difference_add(&merge->audit->differences, "missing_letter", where, "refused as %s, and not in %s",
                       pay_reason_name(record->invalid), merge->audit->dead_letter_topic);
}

static void check_rows(struct merge *merge, const struct answered *request) {
    char where[PAY_POSITION_TEXT_MAX];
    if (merge->audit->quick) return;
    if (request->impossible) {
        difference_add(&merge->audit->differences, "impossible_row", audit_where(merge->lane, request->offset, where),
                       "a payment row of its order %s/%s has a place or a word that paybuf doesn't write",
                       request->record->request.tenant, request->record->request.order_id);
        return;
    }
    if (!request->has_answer) {
        difference_add(&merge->audit->differences, "undecided", audit_where(merge->lane, request->offset, where),
                       "settled (below P, %" PRId64 "), and no row says what became of it",
                       merge->lane->view.processed);
        return;
    }
    count_answer(merge, request);
}

/* ---- its reply ---- */

static void add(struct merge *merge, const char *kind, int64_t offset, const char *text) {
    char where[PAY_POSITION_TEXT_MAX];
    difference_add(&merge->audit->differences, kind, audit_where(merge->lane, offset, where),
                   "%s; reply offset %" PRId64, text, merge->replies->record.offset);
}

/* Replies before `offset` answer no record that the request log has. */
static enum pay_exit pass_replies_below(struct merge *merge, int64_t offset) {
    enum pay_exit status = PAY_EXIT_OK;
    while (merge->has_reply && merge->replies->headers.source_offset < offset && status == PAY_EXIT_OK) {
        int64_t source_offset = merge->replies->headers.source_offset;
        if (source_offset < merge->lane->view.request_start)
            merge->lane->tally.expired++;
        else if (source_offset < merge->lane->view.processed) /* beyond: told when it was read */
            add(merge, "reply_without_request", source_offset, "a reply to a record that isn't in the request log");
        status = next_reply(merge);
    }
    return status;
}

/* Below the start of a generation that `paybuf recover` raised: settled and answered in the one before. */
static bool answered_earlier(const struct merge *merge, const struct answered *request) {
    const struct pay_position *decided = &request->answer.decision.position;
    if (request->has_answer && request->answer.has_decision && decided->generation < merge->lane->view.generation &&
        decided->partition == merge->lane->view.partition && decided->offset == request->offset)
        merge->replies->older = true; /* its own decision: also where that generation's replies are lost */
    return merge->replies->older && !merge->any_reply &&
           (!merge->has_reply || merge->replies->headers.source_offset > request->offset);
}

static enum pay_exit match(struct merge *merge, const struct answered *request) {
    char where[PAY_POSITION_TEXT_MAX];
    merge->lane->tally.requests++;
    enum pay_exit status = pass_replies_below(merge, request->offset);
    if (status != PAY_EXIT_OK) return status;
    if (answered_earlier(merge, request)) {
        merge->lane->tally.expired++;
        return PAY_EXIT_OK;
    }
    check_rows(merge, request);
    if (!merge->has_reply) { /* not answered when the audit began */
        merge->lane->tally.in_flight++;
        return PAY_EXIT_OK;
    }
    if (merge->replies->headers.source_offset > request->offset) {
        if (merge->replies->in_the_middle && !merge->any_reply)
            merge->lane->tally.expired++; /* retention has deleted its reply */
        else
            difference_add(&merge->audit->differences, "missing_reply",
                           audit_where(merge->lane, request->offset, where),
                           "no reply, and readers go past it: the next reply, to offset %" PRId64 ", covers it",
                           merge->replies->headers.source_offset);
        return PAY_EXIT_OK;
    }
    merge->lane->tally.replies++;
    if (merge->audit->quick) audit_count_by_reply(&merge->lane->tally, &merge->replies->record);
    if (!merge->audit->quick) check_letter(merge, request);
    if (!merge->audit->quick && request->has_answer)
        audit_compare(merge->audit, request->record, &request->answer, merge->replies->headers.covers_from,
                      &merge->replies->record);
    return next_reply(merge);
}

static enum pay_exit next_request(struct merge *merge, struct answered *ret_request, bool *ret_found) {
    struct audit_source *source = merge->audit->source;
    struct audit_request found;
    enum pay_exit status = source->ops->requests_next(source, &merge->requests, &found, ret_found);
    if (status != PAY_EXIT_OK || !*ret_found) return status;
    ret_request->offset = found.offset;
    ret_request->record = found.record;
    ret_request->impossible = !pay_known_possible(found.known);
    ret_request->has_answer = found.record != NULL && !ret_request->impossible &&
                              pay_answer_find(found.record, found.refusal, found.known, &ret_request->answer);
    return PAY_EXIT_OK;
}

static enum pay_exit run_merge(struct merge *merge) {
    struct answered request;
    bool found = true;
    enum pay_exit status = next_reply(merge);
    while (status == PAY_EXIT_OK) {
        status = next_request(merge, &request, &found);
        if (status != PAY_EXIT_OK || !found) break;
        status = match(merge, &request);
    }
    return status == PAY_EXIT_OK ? pass_replies_below(merge, INT64_MAX) : status;
}

static uint8_t *bits_for(const struct lane_view *view) {
    int64_t span = view->request_end > view->request_start ? view->request_end - view->request_start : 0;
    uint8_t *bits = calloc((size_t)span / 8 + 1, 1);
    if (bits == NULL) abort();
    return bits;
}

/* P must lie inside the log: below it retention took accepted requests, above it the log was cut or is another one. */
static void check_bounds(struct audit *audit, const struct audit_lane *lane) {
    char where[PAY_POSITION_TEXT_MAX];
    const struct lane_view *view = &lane->view;
    audit_where(lane, view->processed, where);
    if (view->has_row && view->processed < view->request_start)
        difference_add(&audit->differences, "requests_lost", where,
                       "the request log begins at %" PRId64 ": requests above P were deleted before they were settled",
                       view->request_start);
    if (view->has_row && view->processed > view->request_end)
        difference_add(&audit->differences, "requests_truncated", where, "the request log ends at %" PRId64 ", below P",
                       view->request_end);
}

enum pay_exit audit_one_lane(struct audit *audit, struct audit_lane *lane) {
    struct merge merge = {.audit = audit, .lane = lane};
    int64_t before = audit->differences.count;
    merge.replies = malloc(sizeof *merge.replies);
    if (merge.replies == NULL) abort();
    if (!audit->quick) {
        lane->own_payment = bits_for(&lane->view);
        lane->own_refusal = bits_for(&lane->view);
    }
    check_bounds(audit, lane);
    enum pay_exit status = replies_begin(merge.replies, audit, lane);
    if (status == PAY_EXIT_OK) status = audit_requests_begin(&merge.requests, audit, lane);
    if (status == PAY_EXIT_OK) status = run_merge(&merge);
    replies_end(merge.replies);
    audit_requests_end(&merge.requests);
    free(merge.replies);
    lane->tally.differences = audit->differences.count - before;
    return status;
}
