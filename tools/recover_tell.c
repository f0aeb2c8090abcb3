#include "tools/recover_tell.h"

#include "base/clock.h"
#include "codec/reply_record.h"
#include "kafka/kafka_publisher.h"
#include "sql/pay_sql.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS 10000
#define SILENCE_MS 30000

struct untold {
    struct pay_record record; /* as far as the row knows it */
    struct pay_answer answer;
};

struct telling {
    struct lane_case *lane;
    struct pay_kafka_publisher *publisher;
    struct untold page[PAGE_ROWS];
    size_t page_count;
    int64_t from;         /* what was acknowledged below it isn't told again, even where the reply log is lost */
    int64_t next;         /* covers-from of the next reply */
    int64_t acknowledged; /* log offset of the last one */
    int64_t told;
};

/* ---- rows ---- */

static void copy(char *target, size_t size, const char *text) { snprintf(target, size, "%s", text); }

static bool take_row(void *argument, const struct pay_pg_row *row) {
    struct telling *telling = argument;
    struct untold *untold = &telling->page[telling->page_count++];
    const char *outcome = pay_pg_column(row, 7), *reason = pay_pg_column(row, 8);
    struct pay_decision decision = {
        .attempt = (int32_t)pay_pg_column_int8(row, 3),
        .amount_minor = pay_pg_column_int8(row, 6),
        .has_account = pay_pg_column(row, 10) != NULL,
        .balance_after_minor = pay_pg_column_int8(row, 9),
        .account_version = pay_pg_column_int8(row, 10),
        .position = {telling->lane->row.log_generation, telling->lane->partition, pay_pg_column_int8(row, 0)},
        .decided_at_us = pay_pg_column_int8(row, 11)};
    *untold = (struct untold){.record = {.position = decision.position}};
    struct pay_request *request = &untold->record.request;
    copy(request->tenant, sizeof request->tenant, pay_pg_column(row, 1));
    copy(request->order_id, sizeof request->order_id, pay_pg_column(row, 2));
    copy(request->account_id, sizeof request->account_id, pay_pg_column(row, 4));
    copy(request->currency, sizeof request->currency, pay_pg_column(row, 5));
    request->attempt = decision.attempt;
    request->amount_minor = decision.amount_minor;
    memcpy(untold->record.tenant, request->tenant, sizeof request->tenant);
    memcpy(untold->record.key, request->order_id, sizeof request->order_id);
    memcpy(decision.account_id, request->account_id, sizeof decision.account_id);
    memcpy(decision.currency, request->currency, sizeof decision.currency);
    pay_outcome_from_name(outcome, strlen(outcome), &decision.outcome);
    if (reason != NULL) pay_reason_from_name(reason, strlen(reason), &decision.reason);
    pay_answer_from_decision(&untold->record, &decision, &untold->answer);
    return true;
}

static enum pay_exit read_page(struct telling *telling, int64_t until) {
    struct lane_case *lane = telling->lane;
    struct pay_pg_args args;
    telling->page_count = 0;
    pay_pg_args_begin(&args);
    pay_pg_args_int8(&args, lane->row.log_generation);
    pay_pg_args_int4(&args, lane->partition);
    pay_pg_args_int8(&args, telling->next > telling->from ? telling->next : telling->from);
    pay_pg_args_int8(&args, until);
    pay_pg_args_int8(&args, PAGE_ROWS);
    return recover_exec(lane->recover, pay_sql_recover_untold_rows, &args, take_row, telling);
}

/* ---- publishing ---- */

static enum pay_exit not_told(const struct telling *telling, const char *why) {
    return tool_fail(telling->lane->recover->tool, PAY_EXIT_TEMPORARY,
                     "publishing stopped at %d-%" PRId64
                     " (%s); the lane stays halted, and the same command again is safe",
                     telling->lane->partition, telling->next, why);
}

/* Until at most `left` are outstanding. An odd report ends it: what was published is read from the log by the next run. */
static enum pay_exit wait_for_reports(struct telling *telling, uint64_t left) {
    struct pay_kafka_report report;
    for (int64_t until_ms = pay_clock_ms() + SILENCE_MS; pay_clock_ms() < until_ms;) {
        while (pay_kafka_publisher_next_report(telling->publisher, &report)) {
            if (report.failed || report.fatal || report.offset <= telling->acknowledged)
                return not_told(telling, report.code);
            telling->acknowledged = report.offset;
            until_ms = pay_clock_ms() + SILENCE_MS;
        }
        if (pay_kafka_publisher_outstanding(telling->publisher) <= left) return PAY_EXIT_OK;
        poll(&(struct pollfd){.fd = pay_kafka_publisher_descriptor(telling->publisher), .events = POLLIN}, 1, 100);
    }
    return not_told(telling, "no acknowledgement");
}

static enum pay_exit tell(struct telling *telling, const struct untold *untold) {
    const struct tool *tool = telling->lane->recover->tool;
    struct pay_reply_record reply;
    struct pay_error error;
    pay_reply_record_make(&untold->record, &untold->answer, telling->next, tool->config.request_topic,
                          telling->lane->recover->ledger_id, &reply);
    const struct pay_kafka_message message = {.partition = telling->lane->partition,
                                              .key = reply.key,
                                              .key_length = reply.key_length,
                                              .value = reply.value,
                                              .value_length = reply.value_length,
                                              .headers = reply.headers,
                                              .header_count = reply.header_count};
    enum pay_move move;
    while ((move = pay_kafka_publisher_publish(telling->publisher, &message, &error)) == PAY_AGAIN) {
        enum pay_exit status = wait_for_reports(telling, 1000);
        if (status != PAY_EXIT_OK) return status;
    }
    if (move != PAY_OK) return not_told(telling, error.text);
    telling->next = untold->record.position.offset + 1;
    telling->told++;
    return PAY_EXIT_OK;
}

static enum pay_exit tell_all(struct telling *telling, int64_t until) {
    enum pay_exit status;
    do {
        status = read_page(telling, until);
        for (size_t i = 0; i < telling->page_count && status == PAY_EXIT_OK; i++)
            status = tell(telling, &telling->page[i]);
        if (status == PAY_EXIT_OK) status = wait_for_reports(telling, 0);
    } while (status == PAY_EXIT_OK && telling->page_count == PAGE_ROWS);
    return status;
}

/* ---- holding the lane ---- */

static enum pay_exit hold(struct lane_case *lane, enum pay_halt reason) {
    uint8_t owner[PAY_OWNER_SIZE];
    struct pay_pg_args args;
    pay_random(owner, sizeof owner);
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, lane->recover->tool->config.request_topic);
    pay_pg_args_int4(&args, lane->partition);
    pay_pg_args_bytea(&args, owner, sizeof owner);
    pay_pg_args_int8(&args, lane->row.log_generation);
    pay_pg_args_int8(&args, lane->row.next_offset);
    pay_pg_args_int8(&args, lane->row.owner_epoch);
    pay_pg_args_text(&args, pay_halt_name(reason));
    enum pay_exit status = recover_exec(lane->recover, pay_sql_recover_hold_lane, &args, NULL, NULL);
    lane->row.owner_epoch++;
    return status;
}

enum pay_exit recover_tell(struct lane_case *lane, enum pay_halt reason, int64_t until, int64_t *ret_told) {
    struct tool *tool = lane->recover->tool;
    const struct pay_kafka_publisher_options options = {.kafka = tool_kafka_options(tool),
                                                        .topic = tool->config.reply_topic,
                                                        .in_flight_max = 1,
                                                        .wait_ms = TOOL_KAFKA_TIMEOUT_MS};
    struct pay_error error;
    int64_t position;
    *ret_told = 0;
    enum pay_exit status = hold(lane, reason);
    if (status != PAY_EXIT_OK) return status;
    struct telling *telling = calloc(1, sizeof *telling);
    if (telling == NULL) abort();
    telling->lane = lane;
    telling->from = telling->next = lane->claim.reader.next;
    telling->acknowledged = -1;
    if (lane->view.reply_end < lane->row.reply_position) /* lost, too: its own readers begin with what is left of it */
        status = lane_case_find_pair(lane, &telling->next, &position);
    if (status != PAY_EXIT_OK) {
        free(telling);
        return status;
    }
    if (pay_kafka_publisher_open(&options, &telling->publisher, &error) != PAY_OK)
        status = tool_unavailable(tool, &error);
    else
        status = tell_all(telling, until);
    *ret_told = telling->told;
    pay_kafka_publisher_close(telling->publisher);
    free(telling);
    return status;
}
