#include "base/clock.h"
#include "core/answer.h"
#include "sql/pay_sql.h"
#include "tools/audit_online.h"
#include "tools/audit_replies.h"
#include "tools/audit_requests.h"
#include "tools/replay.h"
#include "tools/replay_dry_run.h"
#include "tools/reply_publisher.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const struct out_column columns[] = {
    {"from", "from", false}, {"to", "to", false}, {"replies", "replies", false}, {"where", "where", false}};
/* clang-format on */

struct replies {
    struct audit *audit;
    struct audit_lane *lane;
    const struct replay_selection *selection;
    const struct replay_how *how;
    int64_t next; /* covers-from of the next one */
    int64_t last; /* source offset of the last one; -1 */
    int64_t count, began_ms;
    struct reply_publisher publisher; /* not open: a file, or nothing is written */
    FILE *file;
};

/* ---- may it be? ---- */

static enum pay_exit refuse(const struct replies *replies, const char *why) {
    return tool_fail(replies->audit->tool, PAY_EXIT_FAILURE,
                     "nothing is published into %s: %s; --to-topic and --to-file are always possible",
                     replies->audit->reply_topic, why);
}

static enum pay_exit check_trust(const struct replies *replies) {
    char why[200] = "";
    bool found;
    struct pay_error error;
    if (pay_pg_exec_value(audit_online_database(replies->audit), pay_sql_tools_replay_trust, NULL, why, sizeof why,
                          &found, &error) != PAY_OK)
        return tool_error(replies->audit->tool, &error);
    return found ? refuse(replies, why) : PAY_EXIT_OK;
}

/* The largest source offset that was answered in this generation; -1: none. */
static enum pay_exit largest_answered(const struct replies *replies, int64_t *ret_largest) {
    struct audit_source *source = replies->audit->source;
    const struct lane_view *view = &replies->lane->view;
    struct pay_reply_headers headers;
    bool found = view->reply_start < view->reply_end;
    *ret_largest = -1;
    if (!found) return PAY_EXIT_OK;
    enum pay_exit status =
        source->ops->log_seek(source, AUDIT_REPLIES, view->partition, view->reply_start, view->reply_end);
    while (status == PAY_EXIT_OK) {
        status = replies_next_in_log(replies->audit, &headers, &found);
        if (status != PAY_EXIT_OK || !found) break;
        if (headers.log_generation == view->generation && headers.source_offset > *ret_largest)
            *ret_largest = headers.source_offset;
    }
    source->ops->log_stop(source, AUDIT_REPLIES);
    return status;
}

/* As a publishing session must (PROTOCOL 5): begin at or below the largest answered offset + 1. And as a tool should: end there. */
static enum pay_exit bound_by_log(struct replies *replies) {
    struct lane_view *view = &replies->lane->view;
    int64_t largest;
    enum pay_exit status = check_trust(replies);
    if (status == PAY_EXIT_OK) status = largest_answered(replies, &largest);
    if (status != PAY_EXIT_OK) return status;
    if (largest >= view->processed)
        return refuse(replies, "the log holds replies that the database doesn't know; see docs/halts.md, "
                               "database_rolled_back");
    if (replies->next > largest + 1)
        return refuse(replies, "no request behind that position was answered before, and a worker will; begin earlier");
    if (view->processed > largest + 1) view->processed = largest + 1;
    return PAY_EXIT_OK;
}

/* ---- publishing ---- */

static enum pay_exit not_published(const struct replies *replies) {
    char where[PAY_POSITION_TEXT_MAX];
    audit_where(replies->lane, replies->next, where);
    return tool_fail(replies->audit->tool, PAY_EXIT_TEMPORARY,
                     "publishing stopped before or at %s (%s); what is there are true copies, and the same command "
                     "again is safe",
                     where, replies->publisher.why);
}

static enum pay_exit give(struct replies *replies, const struct pay_record *record, const struct pay_answer *answer) {
    struct pay_reply_record reply;
    pay_reply_record_make(record, answer, replies->next, replies->audit->request_topic, replies->audit->ledger_id,
                          &reply);
    if (replies->publisher.kafka != NULL && !reply_publisher_publish(&replies->publisher, &reply))
        return not_published(replies);
    if (replies->file != NULL &&
        (fwrite(reply.value, reply.value_length, 1, replies->file) != 1 || fputc('\n', replies->file) == EOF))
        return tool_fail(replies->audit->tool, PAY_EXIT_FAILURE, "%s can't be written: %s", replies->how->file,
                         strerror(errno));
    replies->last = record->position.offset;
    replies->next = replies->last + 1;
    replies->count++;
    if (replies->how->yes) tool_pace(replies->how->rate, replies->count, replies->began_ms);
    return PAY_EXIT_OK;
}

static enum pay_exit give_all(struct replies *replies) {
    struct audit_source *source = replies->audit->source;
    struct audit_requests requests;
    struct audit_request request;
    struct pay_answer answer;
    char where[PAY_POSITION_TEXT_MAX];
    bool found;
    enum pay_exit status = audit_requests_begin(&requests, replies->audit, replies->lane);
    while (status == PAY_EXIT_OK) {
        progress_at(&replies->audit->progress->bar, replies->lane->view.partition, requests.at);
        status = source->ops->requests_next(source, &requests, &request, &found);
        if (status != PAY_EXIT_OK || !found) break;
        if (!pay_known_possible(request.known) ||
            !pay_answer_find(request.record, request.refusal, request.known, &answer))
            status = tool_fail(
                replies->audit->tool, PAY_EXIT_FAILURE,
                "%s was settled, and no row says how: rows were deleted or changed by hand; paybuf audit says more",
                audit_where(replies->lane, request.offset, where));
        else if (replay_selected(replies->selection, request.record, &answer))
            status = give(replies, request.record, &answer);
    }
    audit_requests_end(&requests);
    progress_end(&replies->audit->progress->bar);
    return status;
}

/* ---- where to ---- */

static enum pay_exit open_target(struct replies *replies) {
    struct tool *tool = replies->audit->tool;
    const struct replay_how *how = replies->how;
    const char *topic = how->topic != NULL ? how->topic : replies->audit->reply_topic;
    if (!how->yes) return PAY_EXIT_OK;
    if (how->file != NULL) {
        replies->file = fopen(how->file, "wxe");
        if (replies->file != NULL) return PAY_EXIT_OK;
        return tool_fail(tool, PAY_EXIT_FAILURE, "%s can't be made: %s", how->file, strerror(errno));
    }
    int32_t partitions;
    enum pay_exit status = tool_partitions(tool, topic, &partitions);
    if (status == PAY_EXIT_OK && partitions <= replies->lane->view.partition)
        status = tool_fail(tool, PAY_EXIT_CONFIG, "%s has no partition %" PRId32, topic, replies->lane->view.partition);
    if (status != PAY_EXIT_OK) return status;
    return reply_publisher_open(&replies->publisher, tool, topic, replies->lane->view.partition);
}

static enum pay_exit close_target(struct replies *replies, enum pay_exit status) {
    if (replies->publisher.kafka != NULL && status == PAY_EXIT_OK && !reply_publisher_finish(&replies->publisher))
        status = not_published(replies);
    reply_publisher_close(&replies->publisher);
    if (replies->file != NULL && fclose(replies->file) != 0 && status == PAY_EXIT_OK)
        status = tool_fail(replies->audit->tool, PAY_EXIT_FAILURE, "%s can't be written: %s", replies->how->file,
                           strerror(errno));
    return status;
}

static enum pay_exit report(const struct replies *replies, int64_t from) {
    const struct replay_how *how = replies->how;
    struct tool *tool = replies->audit->tool;
    char first[PAY_POSITION_TEXT_MAX], last[PAY_POSITION_TEXT_MAX];
    const char *where = how->file != NULL ? how->file : how->topic != NULL ? how->topic : replies->audit->reply_topic;
    audit_where(replies->lane, from, first);
    audit_where(replies->lane, replies->last, last);
    json_t *row = json_pack("{s:s,s:I,s:s}", "from", first, "replies", (json_int_t)replies->count, "where", where);
    json_object_set_new(row, "to", tool_text(replies->count > 0 ? last : NULL));
    out_object(&tool->out, NULL, OUT_COLUMNS(columns), row);
    if (how->yes) return PAY_EXIT_OK;
    return tool_fail(tool, PAY_EXIT_USAGE, "this would be written; --yes does it");
}

enum pay_exit replay_replies(struct audit *audit, const struct replay_selection *selection, int64_t from,
                             const struct replay_how *how) {
    struct replies replies = {.audit = audit,
                              .lane = &audit->lanes[0],
                              .selection = selection,
                              .how = how,
                              .next = from,
                              .last = -1,
                              .began_ms = pay_clock_ms()};
    enum pay_exit status = PAY_EXIT_OK;
    if (how->topic == NULL && how->file == NULL) status = bound_by_log(&replies);
    replay_narrow(audit, selection);
    if (status == PAY_EXIT_OK) status = open_target(&replies);
    if (status == PAY_EXIT_OK) status = close_target(&replies, give_all(&replies));
    return status == PAY_EXIT_OK ? report(&replies, from) : status;
}
