#include "tools/audit_start.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define QUERY_TIMEOUT_MS 3600000 /* sorting the books of a large ledger */

static bool settled_and_answered(const struct lanes *lanes) {
    for (int32_t p = 0; p < lanes->count; p++) {
        const struct lane_view *lane = &lanes->all[p];
        if (lane->has_bounds && lane->request_end > lane->request_start &&
            (!lane->has_row || lane->processed < lane->request_end || lane->replied_offset <= lane->anchor_offset))
            return false;
    }
    return true;
}

static enum pay_exit wait_until_quiet(struct audit *audit, int32_t partitions, int64_t seconds) {
    int64_t until_ms = pay_clock_ms() + seconds * 1000;
    for (;;) {
        struct lanes lanes = {0};
        enum pay_exit status = lanes_request_bounds(audit->tool, audit->replies, partitions, &lanes);
        if (status == PAY_EXIT_OK) status = lanes_read(audit->tool, audit->pg, &lanes);
        bool quiet = settled_and_answered(&lanes);
        lanes_free(&lanes);
        if (status != PAY_EXIT_OK || quiet) return status;
        if (pay_clock_ms() >= until_ms) {
            tool_note(audit->tool, "not everything was settled and answered within %" PRId64 " s; going on", seconds);
            return PAY_EXIT_OK;
        }
        nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    }
}

static enum pay_exit open_snapshot(struct audit *audit) {
    struct pay_error error;
    bool found;
    enum pay_move move = pay_pg_begin(audit->pg, true, &error);
    if (move == PAY_OK)
        move = pay_pg_script(
            audit->pg,
            "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL work_mem = '128MB'; SET LOCAL jit = off",
            &error);
    if (move == PAY_OK)
        move = pay_pg_exec_value(audit->pg, "SELECT ledger_id::text FROM paybuf.ledger", NULL, audit->ledger_id,
                                 sizeof audit->ledger_id, &found, &error);
    pay_pg_set_call_timeout(audit->pg, QUERY_TIMEOUT_MS);
    return move == PAY_OK ? PAY_EXIT_OK : tool_error(audit->tool, &error);
}

static enum pay_exit take_lanes(struct audit *audit, const struct lanes *lanes, int32_t only) {
    if (only >= lanes->count)
        return tool_fail(audit->tool, PAY_EXIT_NOT_FOUND, "%s has no partition %" PRId32,
                         audit->tool->config.request_topic, only);
    audit->lanes = calloc((size_t)lanes->count + 1, sizeof *audit->lanes);
    if (audit->lanes == NULL) abort();
    int64_t records = 0;
    for (int32_t p = 0; p < lanes->count; p++) {
        if (only >= 0 && only != p) continue;
        struct audit_lane *lane = &audit->lanes[audit->lane_count++];
        lane->view = lanes->all[p];
        if (!lane->view.has_row) lane->view.generation = 1; /* nothing is settled: everything is in flight */
        records += lane->view.request_end - lane->view.request_start;
    }
    progress_begin(&audit->progress, "requests", records);
    return PAY_EXIT_OK;
}

enum pay_exit audit_start(struct audit *audit, const struct audit_scope *scope) {
    struct lanes lanes = {0};
    int32_t partitions = 0;
    enum pay_exit status = tool_partitions(audit->tool, audit->tool->config.request_topic, &partitions);
    if (status == PAY_EXIT_OK) status = tool_open_database(audit->tool, PAY_PG_READER, &audit->pg);
    if (status == PAY_EXIT_OK) status = tool_open_reader(audit->tool, true, &audit->requests);
    if (status == PAY_EXIT_OK) status = tool_open_reader(audit->tool, false, &audit->replies);
    if (status == PAY_EXIT_OK && scope->wait_seconds > 0)
        status = wait_until_quiet(audit, partitions, scope->wait_seconds);
    if (status == PAY_EXIT_OK) status = lanes_reply_bounds(audit->tool, audit->replies, partitions, &lanes);
    if (status == PAY_EXIT_OK) status = open_snapshot(audit);
    if (status == PAY_EXIT_OK) status = lanes_read(audit->tool, audit->pg, &lanes);
    if (status == PAY_EXIT_OK) status = lanes_request_bounds(audit->tool, audit->replies, partitions, &lanes);
    if (status == PAY_EXIT_OK) status = take_lanes(audit, &lanes, scope->partition);
    lanes_free(&lanes);
    return status;
}

/* ---- dead letters ---- */

static enum pay_exit read_letters_of(struct audit *audit, int32_t partition) {
    const char *topic = audit->tool->config.dead_letter_topic;
    struct pay_kafka_read read;
    struct pay_error error;
    int64_t start, end;
    if (pay_kafka_reader_bounds(audit->replies, topic, partition, TOOL_KAFKA_TIMEOUT_MS, &start, &end, &error) !=
        PAY_OK)
        return tool_unavailable(audit->tool, &error);
    if (start > 0) audit->letters.from_the_start = false;
    if (start == end) return PAY_EXIT_OK;
    if (pay_kafka_reader_seek(audit->replies, topic, partition, start, &error) != PAY_OK)
        return tool_error(audit->tool, &error);
    for (bool more = true; more;) {
        enum pay_exit status = audit_read(audit, audit->replies, &read);
        if (status != PAY_EXIT_OK) return status;
        more = read.kind == PAY_KAFKA_READ_RECORD && read.record.offset < end;
        if (more) letters_add(&audit->letters, &read.record);
        more = more && read.record.offset + 1 < end;
    }
    pay_kafka_reader_stop(audit->replies, topic, partition);
    return PAY_EXIT_OK;
}

enum pay_exit audit_read_letters(struct audit *audit) {
    int32_t partitions = 0;
    enum pay_exit status = tool_partitions(audit->tool, audit->tool->config.dead_letter_topic, &partitions);
    audit->letters.from_the_start = true;
    for (int32_t p = 0; p < partitions && status == PAY_EXIT_OK; p++) status = read_letters_of(audit, p);
    return status;
}

void audit_close(struct audit *audit) {
    for (int32_t i = 0; i < audit->lane_count; i++) {
        free(audit->lanes[i].own_payment);
        free(audit->lanes[i].own_refusal);
    }
    free(audit->lanes);
    letters_free(&audit->letters);
    pay_kafka_reader_close(audit->requests);
    pay_kafka_reader_close(audit->replies);
    pay_pg_close(audit->pg);
}
