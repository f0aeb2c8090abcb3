/*
 * A worker as one would write it in an afternoon, on the same ports, with one mistake at a time: the judge must catch each.
 * (Without a mistake it passes: the judge isn't merely strict.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/reply_codec.h"
#include "codec/request_codec.h"
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum mistake {
    NO_MISTAKE,
    REPLIES_BEFORE_COMMIT,
    DOES_NOT_LOOK_FOR_KNOWN_DECISIONS, /* and inserts with ON CONFLICT DO NOTHING */
    SKIPS_A_REPLY,
    COVERS_WHAT_IT_DID_NOT_ANSWER,
    SENDS_NO_DEAD_LETTERS,
    ANSWERS_A_DUPLICATE_AS_IF_IT_WERE_NEW,
    MOVES_P_TOO_FAR,
};

struct naive {
    struct rig *rig;
    enum mistake mistake;
    struct fault fault;
    struct fake_ledger *ledger;
    struct fake_stream *stream;
    struct pay_batch *batch;
    struct pay_lane_row rows[2];
    int64_t covers_from[2];
    struct pay_error error;
};

static void pass(struct naive *naive, int64_t ms) {
    for (int64_t i = 0; i < ms; i++) {
        fake_clock_advance_ms(&naive->rig->clock, 1);
        fake_database_run(&naive->rig->database);
        fake_broker_run(&naive->rig->broker);
    }
}

static void take_reports(struct naive *naive) {
    struct pay_report report;
    pass(naive, 20);
    while (naive->stream->port.ops->next_report(&naive->stream->port, &report)) assert_false(report.failed);
}

static void send_reply(struct naive *naive, const struct pay_record *record, const struct pay_answer *answer) {
    char source[21], covers[21], id[80], type[40], time[PAY_TIME_TEXT_MAX], value[PAY_REPLY_TEXT_MAX],
        position[PAY_POSITION_TEXT_MAX];
    int32_t partition = record->position.partition;
    const char *ledger_id = naive->rig->database.tables.ledger.ledger_id;
    pay_position_format(&record->position, position);
    snprintf(source, sizeof source, "%lld", (long long)record->position.offset);
    snprintf(covers, sizeof covers, "%lld", (long long)naive->covers_from[partition]);
    snprintf(id, sizeof id, "pay.requests/%s", position);
    snprintf(type, sizeof type, "paybuf.payment.%s", pay_outcome_name(answer->outcome));
    pay_time_format(answer->decided_at_us, time);
    const struct pay_header headers[] = {
        {"source-offset", source, strlen(source)},
        {"covers-from", covers, strlen(covers)},
        {"log-generation", "1", 1},
        {"ledger-id", ledger_id, 36},
        {"ce_specversion", "1.0", 3},
        {"ce_id", id, strlen(id)},
        {"ce_type", type, strlen(type)},
        {"ce_source", "/naive", 6},
        {"ce_time", time, strlen(time)},
        {"content-type", "application/json", 16},
    };
    struct pay_outgoing reply = {.partition = partition,
                                 .source_offset = record->position.offset,
                                 .key = record->key[0] == '\0' ? NULL : record->key,
                                 .key_length = strlen(record->key),
                                 .value = value,
                                 .headers = headers,
                                 .header_count = sizeof headers / sizeof headers[0]};
    reply.value_length = pay_reply_format(record, answer, value, sizeof value);
    assert_int_equal(naive->stream->port.ops->publish(&naive->stream->port, 0, &reply, &naive->error), PAY_OK);
    naive->covers_from[partition] = record->position.offset + 1;
    take_reports(naive);
}

static void send_letter(struct naive *naive, const struct pay_record *record, const struct pay_log_record *raw) {
    char position[PAY_POSITION_TEXT_MAX];
    pay_position_format(&record->position, position);
    const struct pay_header header = {"position", position, strlen(position)};
    struct pay_outgoing letter = {.partition = raw->partition,
                                  .source_offset = raw->offset,
                                  .value = raw->value,
                                  .value_length = raw->value_length,
                                  .headers = &header,
                                  .header_count = 1};
    assert_int_equal(naive->stream->port.ops->dead_letter(&naive->stream->port, &letter, &naive->error), PAY_OK);
    take_reports(naive);
}

static void forget_known(struct naive *naive) {
    for (uint32_t i = 0; i < naive->batch->order_count; i++) naive->batch->orders[i].known = NULL;
}

/* What ON CONFLICT DO NOTHING does to the row, and doesn't to the account. */
static void drop_conflicting_inserts(struct naive *naive) {
    struct pay_batch *batch = naive->batch;
    if (batch->insert_count == 0) return;
    const struct pay_request *request = &batch->records[batch->inserts[0].record].request;
    if (fake_database_payment(&naive->rig->database.tables, request->tenant, request->order_id, request->attempt))
        batch->insert_count = 0;
}

static void settle(struct naive *naive, struct pay_record *record) {
    struct pay_ledger *port = &naive->ledger->port;
    struct pay_lane_row *row = &naive->rows[record->position.partition];
    struct pay_fence fence = {.partition = row->partition,
                              .owner_epoch = row->owner_epoch,
                              .processed_before = row->next_offset,
                              .processed_after = record->position.offset + 1};
    int64_t decided_at_us = 0;
    fence.anchor = (struct pay_anchor){true, record->position.offset, record->timestamp_ms, record->crc32c};
    memcpy(fence.owner, row->owner, sizeof fence.owner);
    if (naive->mistake == MOVES_P_TOO_FAR) fence.processed_after++;
    pay_batch_slice(naive->batch, 1);
    pay_batch_prepare(naive->batch);
    assert_int_equal(port->ops->settle_begin(port, naive->batch, &fence, 1, &naive->error), PAY_OK);
    pass(naive, 2);
    assert_int_equal(port->ops->settle_poll(port, &decided_at_us, &naive->error), PAY_SETTLE_READ);
    if (naive->mistake == DOES_NOT_LOOK_FOR_KNOWN_DECISIONS) forget_known(naive);
    pay_batch_decide(naive->batch, decided_at_us);
    if (naive->mistake == DOES_NOT_LOOK_FOR_KNOWN_DECISIONS) drop_conflicting_inserts(naive);
    if (naive->mistake == ANSWERS_A_DUPLICATE_AS_IF_IT_WERE_NEW) naive->batch->answers[0].duplicate = false;
    if (naive->mistake == REPLIES_BEFORE_COMMIT) send_reply(naive, record, &naive->batch->answers[0]);
    assert_int_equal(port->ops->settle_write(port, &naive->error), PAY_OK);
    pass(naive, 2);
    assert_int_equal(port->ops->settle_poll(port, &decided_at_us, &naive->error), PAY_SETTLE_COMMITTED);
    row->next_offset = fence.processed_after;
}

static void handle(struct naive *naive, const struct pay_log_record *raw) {
    struct pay_record_bytes bytes = {
        .key = raw->key, .key_length = raw->key_length, .value = raw->value, .value_length = raw->value_length};
    pay_batch_reset(naive->batch);
    struct pay_record *record = pay_batch_next(naive->batch);
    pay_record_decode(&bytes, record);
    record->position = (struct pay_position){1, raw->partition, raw->offset};
    record->timestamp_ms = raw->timestamp_ms;
    pay_batch_commit_next(naive->batch, false);
    if (record->invalid != PAY_REASON_NONE && naive->mistake != SENDS_NO_DEAD_LETTERS) send_letter(naive, record, raw);
    settle(naive, record);
    bool skipped =
        raw->offset == 1 && (naive->mistake == SKIPS_A_REPLY || naive->mistake == COVERS_WHAT_IT_DID_NOT_ANSWER);
    if (naive->mistake == SKIPS_A_REPLY && skipped) naive->covers_from[raw->partition] = raw->offset + 1;
    if (naive->mistake != REPLIES_BEFORE_COMMIT && !skipped) send_reply(naive, record, &naive->batch->answers[0]);
}

static void claim_everything(struct naive *naive) {
    struct pay_ledger *ledger = &naive->ledger->port;
    struct pay_stream *stream = &naive->stream->port;
    struct pay_stream_event event;
    uint8_t owner[PAY_OWNER_SIZE] = {1};
    bool missing;
    assert_int_equal(stream->ops->open(stream, &naive->error), PAY_OK);
    assert_int_equal(ledger->ops->connect(ledger, &naive->error), PAY_OK);
    pass(naive, 1);
    stream->ops->next_event(stream, &event);
    assert_int_equal(event.kind, PAY_STREAM_ASSIGNED);
    assert_int_equal(stream->ops->open_publisher(stream, 0, &naive->error), PAY_OK);
    for (int32_t i = 0; i < 2; i++) {
        assert_int_equal(ledger->ops->claim(ledger, i, owner, &naive->rows[i], &missing, &naive->error), PAY_OK);
        assert_int_equal(stream->ops->fetch(stream, i, 0, &naive->error), PAY_OK);
    }
}

/* The workload through a naive worker. True: the judge accepts it. */
static bool accepted(enum mistake mistake) {
    struct rig *rig = calloc(1, sizeof *rig);
    struct naive naive = {.rig = rig, .mistake = mistake, .batch = calloc(1, sizeof *naive.batch)};
    struct pay_log_record raw;
    enum pay_record_kind kind;
    rig_init(rig, 3, "", 2);
    workload_accounts(rig);
    workload_first_part(rig);
    workload_second_part(rig);
    fault_init(&naive.fault, &rig->clock, NULL, 1);
    naive.ledger = fake_ledger_new(&rig->database, &naive.fault);
    naive.stream = fake_stream_new(&rig->broker, &naive.fault);
    claim_everything(&naive);
    while ((kind = naive.stream->port.ops->next_record(&naive.stream->port, &raw)) != PAY_RECORD_NONE) {
        if (kind == PAY_RECORD_DATA) handle(&naive, &raw);
    }
    bool fine = history_judge_complete(&rig->history);
    if (!fine && mistake == NO_MISTAKE) history_print(&rig->history);
    fake_ledger_free(naive.ledger);
    fake_stream_free(naive.stream);
    fault_free(&naive.fault);
    free(naive.batch);
    rig_free(rig);
    free(rig);
    return fine;
}

static void a_naive_worker_without_a_mistake_is_accepted(void **state) {
    (void)state;
    assert_true(accepted(NO_MISTAKE));
}

static void a_reply_before_its_commit_is_caught(void **state) {
    (void)state;
    assert_false(accepted(REPLIES_BEFORE_COMMIT));
}

static void a_second_debit_for_one_identity_is_caught(void **state) {
    (void)state;
    assert_false(accepted(DOES_NOT_LOOK_FOR_KNOWN_DECISIONS));
}

static void a_gap_in_the_replies_is_caught(void **state) {
    (void)state;
    assert_false(accepted(SKIPS_A_REPLY));
}

static void a_reply_that_covers_an_unanswered_request_is_caught(void **state) {
    (void)state;
    assert_false(accepted(COVERS_WHAT_IT_DID_NOT_ANSWER));
}

static void a_missing_dead_letter_is_caught(void **state) {
    (void)state;
    assert_false(accepted(SENDS_NO_DEAD_LETTERS));
}

static void a_duplicate_answered_as_new_is_caught(void **state) {
    (void)state;
    assert_false(accepted(ANSWERS_A_DUPLICATE_AS_IF_IT_WERE_NEW));
}

static void a_p_that_passes_an_undecided_request_is_caught(void **state) {
    (void)state;
    assert_false(accepted(MOVES_P_TOO_FAR));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_naive_worker_without_a_mistake_is_accepted),
        cmocka_unit_test(a_reply_before_its_commit_is_caught),
        cmocka_unit_test(a_second_debit_for_one_identity_is_caught),
        cmocka_unit_test(a_gap_in_the_replies_is_caught),
        cmocka_unit_test(a_reply_that_covers_an_unanswered_request_is_caught),
        cmocka_unit_test(a_missing_dead_letter_is_caught),
        cmocka_unit_test(a_duplicate_answered_as_new_is_caught),
        cmocka_unit_test(a_p_that_passes_an_undecided_request_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
