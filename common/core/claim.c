#include "core/claim.h"

#include <assert.h>

void pay_claim_begin(struct pay_claim *claim, const struct pay_lane_row *row) {
    *claim = (struct pay_claim){.row = *row,
                                .replied_offset = row->replied_offset,
                                .reply_position = row->reply_position,
                                .largest_source_offset = -1};
    pay_reader_start_at(&claim->reader, row->replied_offset);
}

int64_t pay_claim_scan_from(const struct pay_claim *claim, int64_t reply_start) {
    return claim->row.reply_position > reply_start ? claim->row.reply_position : reply_start;
}

void pay_claim_reply(struct pay_claim *claim, const struct pay_reply_mark *mark) {
    if (!mark->ours) {
        claim->foreign_records++;
        return;
    }
    if (!mark->same_ledger) {
        claim->foreign_ledger = true;
        return;
    }
    if (mark->log_generation < claim->row.log_generation) return; /* offsets of an earlier log */
    bool later = mark->log_generation > claim->row.log_generation;
    if (!later && mark->source_offset > claim->largest_source_offset)
        claim->largest_source_offset = mark->source_offset;
    if (later || mark->source_offset >= claim->row.next_offset) {
        claim->answered_beyond = true; /* told to listeners, unknown to the database: it went back in time */
        return;
    }
    if (pay_reader_take(&claim->reader, mark->source_offset, mark->covers_from) == PAY_READER_TAKE) {
        claim->replied_offset = mark->source_offset + 1;
        claim->reply_position = mark->log_offset + 1;
    }
}

int64_t pay_claim_resume_from(const struct pay_claim *claim) {
    const struct pay_anchor *anchor = &claim->row.anchor;
    if (!anchor->present || anchor->offset < claim->reader.next) return claim->row.next_offset;
    return claim->reader.next;
}

static bool anchor_in_log(const struct pay_anchor *anchor, const struct pay_claim_view *view) {
    return anchor->present && view->request_start <= anchor->offset && anchor->offset < view->request_end;
}

bool pay_claim_wants_anchor(const struct pay_claim *claim, const struct pay_claim_view *view) {
    return anchor_in_log(&claim->row.anchor, view);
}

static struct pay_claim_verdict halt(enum pay_halt reason) {
    return (struct pay_claim_verdict){.move = PAY_CLAIM_HALT, .halt = reason};
}

/* Watermarks may be stale for a moment after an election, so a truncation is believed at the second look. */
static struct pay_claim_verdict suspect(enum pay_halt reason, const struct pay_claim_view *view) {
    return (struct pay_claim_verdict){.move = view->suspected_before == reason ? PAY_CLAIM_HALT : PAY_CLAIM_LOOK_AGAIN,
                                      .halt = reason};
}

struct pay_claim_verdict pay_anchor_judge(int64_t processed, const struct pay_anchor *anchor,
                                          const struct pay_claim_view *view) {
    if (processed < view->request_start) return halt(PAY_HALT_REQUESTS_LOST);
    if (processed > view->request_end || (anchor->present && view->request_end <= anchor->offset))
        return suspect(PAY_HALT_LOG_TRUNCATED, view);
    if (anchor_in_log(anchor, view)) {
        assert(view->anchor_read);
        const struct pay_anchor *seen = &view->anchor_seen;
        if (!seen->present || seen->timestamp_ms != anchor->timestamp_ms || seen->crc32c != anchor->crc32c)
            return halt(PAY_HALT_LOG_REPLACED);
    }
    return (struct pay_claim_verdict){.move = PAY_CLAIM_OPEN};
}

struct pay_claim_verdict pay_claim_judge(const struct pay_claim *claim, const struct pay_claim_view *view) {
    const struct pay_lane_row *row = &claim->row;
    if (row->halted != PAY_HALT_NONE) return halt(row->halted);
    if (!row->same_cluster) return halt(PAY_HALT_OTHER_CLUSTER);
    if (!row->same_group) return halt(PAY_HALT_OTHER_GROUP);
    if (claim->answered_beyond) return halt(PAY_HALT_DATABASE_ROLLED_BACK); /* the whole ledger's: before a lane's */
    if (claim->foreign_ledger) return halt(PAY_HALT_FOREIGN_LEDGER);
    if (row->replied_offset > row->next_offset || (row->anchor.present && row->anchor.offset >= row->next_offset))
        return halt(PAY_HALT_BROKEN_INVARIANT); /* no worker writes such a row */
    struct pay_claim_verdict verdict = pay_anchor_judge(row->next_offset, &row->anchor, view);
    if (verdict.move != PAY_CLAIM_OPEN) return verdict;
    if (view->reply_end < row->reply_position) return suspect(PAY_HALT_REPLY_LOG_TRUNCATED, view);
    verdict.resume_from = pay_claim_resume_from(claim);
    if (verdict.resume_from < view->request_start) return halt(PAY_HALT_REPLIES_LOST);
    return verdict;
}
