/*
 * The judge bites: a good run of the workload, broken by hand in one place, must be rejected; unbroken, it must not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A finished, good run. */
static int finish_a_good_run(void **state) {
    struct rig *rig = calloc(1, sizeof *rig);
    rig_init(rig, 7, "", 2);
    workload_accounts(rig);
    workload_first_part(rig);
    rig_start_worker(rig);
    rig_run_for(rig, 2000);
    workload_second_part(rig);
    bool answered = rig_run(rig, rig_all_answered, 20000);
    rig_run_for(rig, 2000);
    *state = rig;
    return answered ? 0 : -1;
}

static int throw_away(void **state) {
    rig_free(*state);
    free(*state);
    return 0;
}

static struct fake_record *reply_to(struct rig *rig, int32_t partition, int64_t offset) {
    struct fake_log *log = fake_broker_log(&rig->broker, TOPIC_REPLIES, partition);
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)offset);
    for (size_t i = 0; i < log->count; i++) {
        const struct pay_header *header = fake_record_header(log->records[i], "source-offset");
        if (header->length == strlen(text) && memcmp(header->value, text, header->length) == 0) return log->records[i];
    }
    fail_msg("no reply to %d-%lld", partition, (long long)offset);
    return NULL;
}

static void set_header(struct fake_record *record, const char *name, const char *value) {
    struct pay_header *header = (struct pay_header *)(uintptr_t)fake_record_header(record, name);
    assert_non_null(header);
    free((void *)(uintptr_t)header->value);
    header->value = strdup(value);
    header->length = strlen(value);
}

static void replace_in_value(struct fake_record *record, const char *from, const char *to) {
    char *at = strstr(record->value, from), *value;
    assert_non_null(at);
    size_t before = (size_t)(at - (char *)record->value), size = record->value_length + strlen(to) + 1;
    value = malloc(size);
    snprintf(value, size, "%.*s%s%s", (int)before, (char *)record->value, to, at + strlen(from));
    free(record->value);
    record->value = value;
    record->value_length = strlen(value);
}

static struct fake_payment *payment(struct rig *rig, const char *order_id, int32_t attempt) {
    const struct fake_payment *row = fake_database_payment(&rig->database.tables, "default", order_id, attempt);
    assert_non_null(row);
    return (struct fake_payment *)(uintptr_t)row;
}

static void rejected(struct rig *rig, const char *words) {
    assert_false(history_judge_complete(&rig->history));
    for (uint32_t i = 0; i < rig->history.violation_count && i < HISTORY_VIOLATIONS_MAX; i++) {
        if (strstr(rig->history.violations[i], words) != NULL) return;
    }
    history_print(&rig->history);
    fail_msg("rejected, but not because of: %s", words);
}

/* Copies the reply to the end of its log with another value. */
static void append_copy(struct rig *rig, int32_t partition, int64_t offset, const char *value) {
    const struct fake_record *reply = reply_to(rig, partition, offset);
    fake_broker_append(&rig->broker, TOPIC_REPLIES, partition, reply->key, value == NULL ? reply->value : value,
                       reply->headers, reply->header_count);
}

static void a_good_run_is_accepted(void **state) {
    struct rig *rig = *state;
    if (!history_judge_complete(&rig->history)) {
        rig_explain(rig);
        fail();
    }
}

static void an_equal_copy_of_a_reply_is_accepted(void **state) {
    struct rig *rig = *state;
    append_copy(rig, 0, 1, NULL);
    assert_true(history_judge_complete(&rig->history));
    assert_int_equal(rig->history.copies, 1);
}

static void a_missing_last_reply_is_rejected(void **state) {
    struct rig *rig = *state;
    fake_broker_truncate(&rig->broker, TOPIC_REPLIES, 0, fake_broker_log(&rig->broker, TOPIC_REPLIES, 0)->end - 1);
    rejected(rig, "has no reply that a reader takes");
}

static void a_reply_missing_in_the_middle_is_rejected(void **state) {
    struct rig *rig = *state;
    reply_to(rig, 0, 2)->control = true;
    rejected(rig, "a gap in partition 0");
}

static void a_reply_that_covers_another_request_is_rejected(void **state) {
    struct rig *rig = *state;
    reply_to(rig, 0, 2)->control = true;
    set_header(reply_to(rig, 0, 3), "covers-from", "2");
    rejected(rig, "skips request 2");
}

static void replies_out_of_order_are_rejected(void **state) {
    struct rig *rig = *state;
    struct fake_log *log = fake_broker_log(&rig->broker, TOPIC_REPLIES, 1);
    struct fake_record *first = log->records[1];
    log->records[1] = log->records[2];
    log->records[2] = first;
    rejected(rig, "a gap in partition 1");
}

static void a_copy_that_differs_is_rejected(void **state) {
    struct rig *rig = *state;
    append_copy(rig, 0, 1, "{}");
    rejected(rig, "differ");
}

static void a_reply_with_another_attempt_is_rejected(void **state) {
    struct rig *rig = *state;
    replace_in_value(reply_to(rig, 0, 0), "\"attempt\":1", "\"attempt\":2");
    rejected(rig, "reply to 1-0-0");
}

static void a_duplicate_called_first_is_rejected(void **state) {
    struct rig *rig = *state;
    replace_in_value(reply_to(rig, 0, 1), "\"duplicate\":true", "\"duplicate\":false");
    rejected(rig, "reply to 1-0-1");
}

static void a_conflict_called_paid_is_rejected(void **state) {
    struct rig *rig = *state;
    replace_in_value(reply_to(rig, 1, 1), "\"outcome\":\"conflict\"", "\"outcome\":\"paid\"");
    rejected(rig, "reply to 1-1-1");
}

static void members_in_another_order_are_rejected(void **state) {
    struct rig *rig = *state;
    replace_in_value(reply_to(rig, 0, 0), "{\"schema\":1,\"tenant\":\"default\"",
                     "{\"tenant\":\"default\",\"schema\":1");
    rejected(rig, "reply to 1-0-0");
}

static void a_wrong_header_is_rejected(void **state) {
    struct rig *rig = *state;
    set_header(reply_to(rig, 0, 0), "ce_type", "paybuf.payment.invalid");
    rejected(rig, "its headers");
}

static void a_wrong_key_is_rejected(void **state) {
    struct rig *rig = *state;
    memcpy(reply_to(rig, 0, 0)->key, "o-2", 3);
    rejected(rig, "its key");
}

static void a_lost_payment_row_is_rejected(void **state) {
    struct rig *rig = *state;
    *payment(rig, "o-4", 1) = rig->database.tables.payments[--rig->database.tables.payment_count];
    rejected(rig, "reply to 1-1-0");
}

static void a_lost_refusal_row_is_rejected(void **state) {
    struct rig *rig = *state;
    rig->database.tables.refusal_count--;
    rejected(rig, "reply to");
}

static void a_balance_off_by_one_is_rejected(void **state) {
    struct rig *rig = *state;
    fake_database_account(&rig->database, "default", "alice")->balance_minor--;
    rejected(rig, "account alice holds");
}

static void a_hole_in_the_versions_is_rejected(void **state) {
    struct rig *rig = *state;
    fake_database_account(&rig->database, "default", "alice")->version++;
    rejected(rig, "account alice has 0 events");
}

static void two_events_with_one_version_are_rejected(void **state) {
    struct rig *rig = *state;
    payment(rig, "o-4", 1)->decision.account_version = payment(rig, "o-1", 1)->decision.account_version;
    rejected(rig, "account alice has 2 events");
}

static void a_decline_with_funds_is_rejected(void **state) {
    struct rig *rig = *state;
    struct pay_decision *decision = &payment(rig, "o-1", 1)->decision;
    decision->outcome = PAY_DECLINED;
    decision->reason = PAY_INSUFFICIENT_FUNDS;
    rejected(rig, "doesn't follow from the events before it");
}

static void an_order_paid_at_two_attempts_is_rejected(void **state) {
    struct rig *rig = *state;
    payment(rig, "o-3", 1)->decision.outcome = PAY_PAID;
    rejected(rig, "was paid twice");
}

static void a_row_that_no_record_asked_for_is_rejected(void **state) {
    struct rig *rig = *state;
    payment(rig, "o-1", 1)->decision.amount_minor = 999;
    rejected(rig, "isn't what record");
}

static void a_payment_from_an_unknown_account_is_rejected(void **state) {
    struct rig *rig = *state;
    payment(rig, "o-6", 1)->decision.has_account = true;
    rejected(rig, "says of account nobody what isn't so");
}

static void a_reply_before_its_commit_is_rejected(void **state) {
    struct rig *rig = *state;
    char covers[24];
    int64_t offset = workload_pay(rig, 0, "o-9", 1, "alice", 1);
    snprintf(covers, sizeof covers, "%lld", (long long)offset);
    struct pay_header headers[2] = {{"source-offset", covers, strlen(covers)},
                                    {"ledger-id", rig->database.tables.ledger.ledger_id, 36}};
    fake_broker_append(&rig->broker, TOPIC_REPLIES, 0, "o-9", "{}", headers, 2);
    rejected(rig, "before its settle was committed");
}

static void an_invalid_answered_before_its_dead_letter_is_rejected(void **state) {
    struct rig *rig = *state;
    struct fake_log *letters = fake_broker_log(&rig->broker, TOPIC_DEAD_LETTERS, 0);
    for (size_t i = 0; i < letters->count; i++) letters->records[i]->acknowledged = false;
    append_copy(rig, 0, 2, NULL);
    rejected(rig, "before its dead letter was acknowledged");
}

/* A settle as a bad worker would write it, seen by the judge as it commits. */
static void commit_fence(struct rig *rig, struct pay_fence fence) {
    struct fake_commit commit = {.number = ++rig->database.commit_count, .fence_count = 1};
    commit.fences[0] = fence;
    rig->database.on_commit(rig->database.argument, &commit);
}

static struct pay_fence fence_of(struct rig *rig, int32_t partition) {
    const struct pay_lane_row *row = &fake_database_lane(&rig->database, partition)->row;
    return (struct pay_fence){.partition = partition,
                              .processed_before = row->next_offset,
                              .processed_after = row->next_offset,
                              .anchor = row->anchor,
                              .replied_offset = row->replied_offset,
                              .reply_position = row->reply_position};
}

static void p_over_an_undecided_request_is_rejected(void **state) {
    struct rig *rig = *state;
    workload_pay(rig, 0, "o-9", 1, "alice", 1);
    struct pay_fence fence = fence_of(rig, 0);
    fence.processed_after++;
    commit_fence(rig, fence);
    rejected(rig, "has no reason on file");
}

static void p_that_moves_back_is_rejected(void **state) {
    struct rig *rig = *state;
    struct pay_fence fence = fence_of(rig, 0);
    fence.processed_after--;
    commit_fence(rig, fence);
    rejected(rig, "moves back");
}

static void p_beyond_the_log_is_rejected(void **state) {
    struct rig *rig = *state;
    struct pay_fence fence = fence_of(rig, 0);
    fence.processed_after++;
    commit_fence(rig, fence);
    rejected(rig, "beyond the log");
}

static void a_wrong_anchor_is_rejected(void **state) {
    struct rig *rig = *state;
    struct pay_fence fence = fence_of(rig, 0);
    fence.anchor.crc32c++;
    commit_fence(rig, fence);
    rejected(rig, "the anchor of partition 0");
}

static void a_pair_that_names_nothing_is_rejected(void **state) {
    struct rig *rig = *state;
    struct pay_fence fence = fence_of(rig, 0);
    fence.replied_offset--;
    commit_fence(rig, fence);
    rejected(rig, "the pair of partition 0");
}

static void a_fake_that_complained_is_heard(void **state) {
    struct rig *rig = *state;
    fault_complain(&rig->broker.complaints, "something");
    rejected(rig, "the broker complains: something");
}

#define judged(test) cmocka_unit_test_setup_teardown(test, finish_a_good_run, throw_away)

int main(void) {
    const struct CMUnitTest tests[] = {
        judged(a_good_run_is_accepted),
        judged(an_equal_copy_of_a_reply_is_accepted),
        judged(a_missing_last_reply_is_rejected),
        judged(a_reply_missing_in_the_middle_is_rejected),
        judged(a_reply_that_covers_another_request_is_rejected),
        judged(replies_out_of_order_are_rejected),
        judged(a_copy_that_differs_is_rejected),
        judged(a_reply_with_another_attempt_is_rejected),
        judged(a_duplicate_called_first_is_rejected),
        judged(a_conflict_called_paid_is_rejected),
        judged(members_in_another_order_are_rejected),
        judged(a_wrong_header_is_rejected),
        judged(a_wrong_key_is_rejected),
        judged(a_lost_payment_row_is_rejected),
        judged(a_lost_refusal_row_is_rejected),
        judged(a_balance_off_by_one_is_rejected),
        judged(a_hole_in_the_versions_is_rejected),
        judged(two_events_with_one_version_are_rejected),
        judged(a_decline_with_funds_is_rejected),
        judged(an_order_paid_at_two_attempts_is_rejected),
        judged(a_row_that_no_record_asked_for_is_rejected),
        judged(a_payment_from_an_unknown_account_is_rejected),
        judged(a_reply_before_its_commit_is_rejected),
        judged(an_invalid_answered_before_its_dead_letter_is_rejected),
        judged(p_over_an_undecided_request_is_rejected),
        judged(p_that_moves_back_is_rejected),
        judged(p_beyond_the_log_is_rejected),
        judged(a_wrong_anchor_is_rejected),
        judged(a_pair_that_names_nothing_is_rejected),
        judged(a_fake_that_complained_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
