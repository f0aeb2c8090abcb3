#include "tools/audit_replies.h"

#include "core/request.h"

#include <inttypes.h>
#include <string.h>

static enum pay_exit seek(struct audit_replies *replies, int64_t offset) {
    struct audit_source *source = replies->audit->source;
    const struct lane_view *view = &replies->lane->view;
    replies->open = offset < view->reply_end;
    if (!replies->open) return PAY_EXIT_OK;
    return source->ops->log_seek(source, AUDIT_REPLIES, view->partition, offset, view->reply_end);
}

enum pay_exit replies_begin(struct audit_replies *replies, struct audit *audit, struct audit_lane *lane) {
    *replies = (struct audit_replies){.audit = audit, .lane = lane, .in_the_middle = lane->view.reply_start > 0};
    for (size_t i = 0; i < COPIES_REMEMBERED; i++) replies->copies[i].offset = -1;
    if (replies->in_the_middle)
        pay_reader_start_in_the_middle(&replies->rule, lane->view.request_end);
    else
        pay_reader_start_at(&replies->rule, 0);
    if (!audit->quick) audit_digest_open(&replies->digest);
    return seek(replies, lane->view.reply_start);
}

void replies_end(struct audit_replies *replies) { audit_digest_close(&replies->digest, replies->lane->replies_sha256); }

static void add(struct audit_replies *replies, const char *kind, int64_t source_offset, const char *text) {
    char where[PAY_POSITION_TEXT_MAX];
    if (replies->record.offset < replies->told_until) return;
    difference_add(&replies->audit->differences, kind, audit_where(replies->lane, source_offset, where),
                   "%s; reply offset %" PRId64, text, replies->record.offset);
}

static uint32_t fingerprint(const struct pay_log_record *record) {
    return pay_record_crc(record->key, record->key_length, record->value, record->value_length);
}

static void remember(struct audit_replies *replies) {
    size_t slot = (size_t)replies->headers.source_offset % COPIES_REMEMBERED;
    replies->copies[slot].offset = replies->headers.source_offset;
    replies->copies[slot].crc = fingerprint(&replies->record);
}

static void compare_copy(struct audit_replies *replies) {
    size_t slot = (size_t)replies->headers.source_offset % COPIES_REMEMBERED;
    replies->lane->tally.repeats += replies->record.offset >= replies->told_until;
    if (replies->copies[slot].offset == replies->headers.source_offset &&
        replies->copies[slot].crc != fingerprint(&replies->record))
        add(replies, "copy_differs", replies->headers.source_offset,
            "a copy of this reply has another key or value than the one readers "
            "take");
}

/* False: not a reply of this lane's generation and ledger. */
static bool belongs(struct audit_replies *replies) {
    if (!pay_reply_headers_read(&replies->record, &replies->headers)) {
        replies->lane->tally.skipped += replies->record.offset >= replies->told_until;
        return false;
    }
    if (strcmp(replies->headers.ledger_id, replies->audit->ledger_id) != 0) {
        add(replies, "foreign_ledger", replies->headers.source_offset, "a reply of another ledger");
        return false;
    }
    if (replies->headers.log_generation > replies->lane->view.generation) {
        add(replies, "later_generation", replies->headers.source_offset,
            "a reply of a later generation than the database knows");
        return false;
    }
    if (replies->headers.log_generation < replies->lane->view.generation) {
        replies->older = true;
        replies->lane->tally.expired += replies->record.offset >= replies->told_until;
        return false;
    }
    if (!pay_reply_headers_possible(&replies->headers)) {
        add(replies, "reply_impossible", replies->headers.covers_from,
            "a reply that begins behind itself, or that leaves no place behind it; no reader takes it");
        return false;
    }
    if (replies->headers.source_offset >= replies->lane->view.processed)
        add(replies, "reply_beyond_settled", replies->headers.source_offset,
            "a message without money: the database hasn't settled this record");
    return true;
}

/* True when the record is the next reply that a reader takes. */
static bool judge(struct audit_replies *replies) {
    switch (pay_reader_take(&replies->rule, replies->headers.source_offset, replies->headers.covers_from)) {
    case PAY_READER_DROP: compare_copy(replies); return false;
    case PAY_READER_GAP:
        if (!replies->gap) {
            replies->gap = true;
            replies->gap_offset = replies->record.offset;
            replies->gap_until = replies->headers.covers_from;
        }
        return false;
    case PAY_READER_TAKE: break;
    }
    remember(replies);
    return true;
}

/* The log's end. A gap that is still open is told, and reading goes on behind it. */
static enum pay_exit at_end(struct audit_replies *replies) {
    char where[PAY_POSITION_TEXT_MAX];
    replies->audit->source->ops->log_stop(replies->audit->source, AUDIT_REPLIES);
    replies->open = false;
    if (!replies->gap) return PAY_EXIT_OK;
    difference_add(&replies->audit->differences, "gap", audit_where(replies->lane, replies->rule.next, where),
                   "readers stop here: the replies up to source offset %" PRId64
                   " are missing before reply offset %" PRId64,
                   replies->gap_until - 1, replies->gap_offset);
    replies->gap = false;
    pay_reader_start_at(&replies->rule, replies->gap_until);
    return seek(replies, replies->gap_offset);
}

/* A gap closed by the log itself: what came behind it is read again. */
static enum pay_exit close_gap(struct audit_replies *replies) {
    if (!replies->gap || replies->rule.next < replies->gap_until) return PAY_EXIT_OK;
    replies->gap = false;
    return seek(replies, replies->gap_offset);
}

enum pay_exit replies_next(struct audit_replies *replies, bool *ret_taken) {
    struct audit_source *source = replies->audit->source;
    enum pay_exit status = PAY_EXIT_OK;
    *ret_taken = false;
    if (replies->open) status = close_gap(replies);
    while (replies->open && status == PAY_EXIT_OK && !*ret_taken) {
        bool found;
        status = source->ops->log_next(source, AUDIT_REPLIES, &replies->record, &found);
        if (status != PAY_EXIT_OK) return status;
        if (!found) {
            status = at_end(replies);
            continue;
        }
        *ret_taken = belongs(replies) && judge(replies);
        if (*ret_taken && replies->digest.context != NULL) audit_digest_record(&replies->digest, &replies->record);
        if (replies->told_until <= replies->record.offset) replies->told_until = replies->record.offset + 1;
    }
    return status;
}

enum pay_exit replies_next_in_log(struct audit *audit, struct pay_reply_headers *ret_headers, bool *ret_found) {
    struct pay_log_record record;
    enum pay_exit status = audit->source->ops->log_next(audit->source, AUDIT_REPLIES, &record, ret_found);
    while (status == PAY_EXIT_OK && *ret_found &&
           !(pay_reply_headers_read(&record, ret_headers) && pay_reply_headers_possible(ret_headers) &&
             strcmp(ret_headers->ledger_id, audit->ledger_id) == 0))
        status = audit->source->ops->log_next(audit->source, AUDIT_REPLIES, &record, ret_found);
    return status;
}
