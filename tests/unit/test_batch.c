/* The records of one transaction: slices, the global lock order, decisions that see each other, and answers found again. */
#include "tests/unit/core_values.h"

#include "core/batch.h"

#include <stdlib.h>

#define NOW_US 1700000000123456
#define NO_INDEX UINT32_MAX

static struct pay_batch *batch; /* 10 MB: one for all tests */

static int make_batch(void **unused) {
    (void)unused;
    batch = malloc(sizeof *batch);
    if (batch == NULL) return -1;
    memset(batch, 0xA5, sizeof *batch); /* what nobody writes must not be read */
    return 0;
}

static int free_batch(void **unused) {
    (void)unused;
    free(batch);
    return 0;
}

static int reset_batch(void **unused) {
    (void)unused;
    pay_batch_reset(batch);
    return 0;
}

/* --- ways to fill it --- */

static void add(struct pay_record record) {
    *pay_batch_next(batch) = record;
    pay_batch_commit_next(batch, false);
}

static void add_settled(struct pay_record record) {
    *pay_batch_next(batch) = record;
    pay_batch_commit_next(batch, true);
}

static void add_pay(int64_t offset, const char *order_id, int32_t attempt, const char *account_id,
                    int64_t amount_minor) {
    add(a_record(offset, order_id, attempt, account_id, amount_minor, "EUR"));
}

static uint32_t order_index(const char *order_id) {
    for (uint32_t i = 0; i < batch->order_count; i++)
        if (strcmp(batch->orders[i].order_id, order_id) == 0) return i;
    fail_msg("no order %s", order_id);
    return 0;
}

static void add_known(const struct pay_record *record, enum pay_outcome outcome, enum pay_reason reason) {
    struct pay_decision *known = pay_batch_add_known(batch, order_index(record->request.order_id));
    struct pay_decision *next = known->next;
    *known = a_decision(record, outcome, reason);
    known->next = next;
}

/* Every account of the slice exists and has this much. */
static void lock_accounts(int64_t balance_minor) {
    for (uint32_t i = 0; i < batch->account_count; i++) {
        struct pay_account *account = &batch->accounts[i];
        account->found = true;
        account->state = PAY_ACCOUNT_ACTIVE;
        account->balance_minor = balance_minor;
        account->floor_minor = 0;
        account->version = 1;
        memcpy(account->currency, "EUR", 4);
    }
}

static void decide_all(int64_t balance_minor) {
    assert_true(pay_batch_slice(batch, PAY_BATCH_RECORDS_MAX));
    pay_batch_prepare(batch);
    lock_accounts(balance_minor);
    pay_batch_decide(batch, NOW_US);
}

static void answered(uint32_t record, enum pay_outcome outcome, enum pay_reason reason, bool duplicate) {
    assert_string_equal(pay_outcome_name(batch->answers[record].outcome), pay_outcome_name(outcome));
    assert_int_equal(batch->answers[record].reason, reason);
    assert_int_equal(batch->answers[record].duplicate, duplicate);
}

/* --- receiving and slicing --- */

static void a_batch_takes_its_bound_of_records_and_then_gives_no_slot(void **unused) {
    (void)unused;
    for (int64_t i = 0; i < PAY_BATCH_RECORDS_MAX; i++) {
        assert_false(pay_batch_full(batch));
        assert_ptr_equal(pay_batch_next(batch), &batch->records[i]);
        pay_batch_commit_next(batch, false);
    }
    assert_true(pay_batch_full(batch));
    assert_null(pay_batch_next(batch));
}

static void a_slot_counts_only_when_it_is_committed(void **unused) {
    (void)unused;
    assert_ptr_equal(pay_batch_next(batch), pay_batch_next(batch));
    assert_int_equal(batch->count, 0);
}

static void an_empty_batch_has_no_slice(void **unused) {
    (void)unused;
    assert_false(pay_batch_slice(batch, 10));
}

static void slices_follow_each_other_with_at_most_the_limit_until_nothing_is_left(void **unused) {
    (void)unused;
    for (int64_t i = 0; i < 7; i++) add_pay(i, "o-1", 1, "alice", 1);
    static const uint32_t ends[] = {3, 6, 7};
    for (int i = 0; i < 3; i++) {
        assert_true(pay_batch_slice(batch, 3));
        assert_int_equal(batch->begin, i == 0 ? 0 : ends[i - 1]);
        assert_int_equal(batch->end, ends[i]);
    }
    assert_false(pay_batch_slice(batch, 3));
}

static void a_slice_holds_records_of_one_kind(void **unused) {
    (void)unused;
    static const bool settled[] = {true, true, false, true, false, false};
    static const uint32_t ends[] = {2, 3, 4, 6};
    for (int i = 0; i < 6; i++) {
        struct pay_record record = a_record(i, "o-1", 1, "alice", 1, "EUR");
        if (settled[i])
            add_settled(record);
        else
            add(record);
    }
    for (int i = 0; i < 4; i++) {
        assert_true(pay_batch_slice(batch, 100));
        assert_int_equal(batch->end, ends[i]);
    }
    assert_false(pay_batch_slice(batch, 100));
}

static void a_shrunk_slice_keeps_its_beginning_and_the_rest_comes_next(void **unused) {
    (void)unused;
    for (int64_t i = 0; i < 8; i++) add_pay(i, "o-1", 1, "alice", 1);
    pay_batch_slice(batch, 8);
    pay_batch_shrink(batch, 4);
    assert_int_equal(batch->begin, 0);
    assert_int_equal(batch->end, 4);
    pay_batch_shrink(batch, 100);
    assert_int_equal(batch->end, 4);
    assert_true(pay_batch_slice(batch, 100));
    assert_int_equal(batch->begin, 4);
    pay_batch_shrink(batch, 10);
    assert_int_equal(batch->end, 8);
    pay_batch_shrink(batch, 1);
    assert_int_equal(batch->end, 5);
}

static void a_reset_batch_is_empty(void **unused) {
    (void)unused;
    add_pay(0, "o-1", 1, "alice", 1);
    decide_all(10);
    pay_batch_reset(batch);
    assert_int_equal(batch->count, 0);
    assert_false(pay_batch_slice(batch, 10));
    assert_int_equal(
        batch->order_count + batch->account_count + batch->insert_count + batch->refusal_count + batch->pool_used, 0);
}

static void commit_too_many(void *unused) {
    (void)unused;
    for (int i = 0; i <= PAY_BATCH_RECORDS_MAX; i++) pay_batch_commit_next(batch, false);
}

static void slice_of_nothing(void *unused) {
    (void)unused;
    pay_batch_slice(batch, 0);
}

static void shrink_to_nothing(void *unused) {
    (void)unused;
    pay_batch_shrink(batch, 0);
}

static void drop_what_is_not_there(void *unused) {
    (void)unused;
    pay_batch_drop(batch, batch->count);
}

static void one_record_too_many_and_limits_of_zero_are_programmers_errors(void **unused) {
    (void)unused;
    assert_true(aborts(commit_too_many, NULL));
    assert_true(aborts(slice_of_nothing, NULL));
    assert_true(aborts(shrink_to_nothing, NULL));
    assert_true(aborts(drop_what_is_not_there, NULL));
}

/* --- what it reads, in the global lock order --- */

static void orders_and_accounts_are_unique_and_in_the_global_lock_order(void **unused) {
    (void)unused;
    static const struct {
        const char *tenant, *order_id, *account_id;
    } records[] = {{"b", "o", "z"}, {"a", "o2", "y"}, {"aa", "o", "y"}, {"a", "o", "z"}, {"a", "o", "y"},
                   {"b", "o", "z"}, {"a", "O", "-"},  {"a", "o2", "y"}, {"a", "o:", "y"}};
    static const char *const orders[][2] = {{"a", "O"}, {"a", "o"}, {"a", "o2"}, {"a", "o:"}, {"aa", "o"}, {"b", "o"}};
    static const char *const accounts[][2] = {{"a", "-"}, {"a", "y"}, {"a", "z"}, {"aa", "y"}, {"b", "z"}};
    const uint32_t count = sizeof records / sizeof records[0];
    for (uint32_t i = 0; i < count; i++) {
        struct pay_record record = a_record(i, records[i].order_id, 1, records[i].account_id, 1, "EUR");
        put_text(record.request.tenant, sizeof record.request.tenant, records[i].tenant);
        add(record);
    }
    pay_batch_slice(batch, 100);
    pay_batch_prepare(batch);
    assert_int_equal(batch->order_count, 6);
    assert_int_equal(batch->account_count, 5);
    for (uint32_t i = 0; i < 6; i++) {
        assert_string_equal(batch->orders[i].tenant, orders[i][0]);
        assert_string_equal(batch->orders[i].order_id, orders[i][1]);
    }
    for (uint32_t i = 0; i < 5; i++) {
        assert_string_equal(batch->accounts[i].tenant, accounts[i][0]);
        assert_string_equal(batch->accounts[i].account_id, accounts[i][1]);
        assert_false(batch->accounts[i].found);
        assert_false(batch->accounts[i].changed);
    }
    for (uint32_t i = 0; i < count; i++) { /* every record finds its own */
        assert_string_equal(batch->orders[batch->order_of[i]].tenant, records[i].tenant);
        assert_string_equal(batch->orders[batch->order_of[i]].order_id, records[i].order_id);
        assert_string_equal(batch->accounts[batch->account_of[i]].tenant, records[i].tenant);
        assert_string_equal(batch->accounts[batch->account_of[i]].account_id, records[i].account_id);
    }
}

static void the_longest_ids_leave_what_lies_behind_them_alone(void **unused) {
    (void)unused;
    char longest[PAY_ID_MAX + 1] = {0};
    memset(longest, 'x', PAY_ID_MAX);
    struct pay_record record = a_record(0, longest, 1, longest, 1, "EUR");
    put_text(record.request.tenant, sizeof record.request.tenant, longest);
    add(record);
    pay_batch_slice(batch, 1);
    pay_batch_prepare(batch);
    assert_string_equal(batch->accounts[0].tenant, longest);
    assert_string_equal(batch->accounts[0].account_id, longest);
    assert_string_equal(batch->accounts[0].currency, "");
}

static void bytes_that_are_no_request_and_dropped_records_read_nothing(void **unused) {
    (void)unused;
    add(an_invalid_record(0, PAY_MALFORMED_JSON, PAY_FIELD_NONE));
    add_pay(1, "o-1", 1, "alice", 1);
    add_pay(2, "o-2", 1, "bob", 1);
    pay_batch_drop(batch, 2);
    pay_batch_slice(batch, 100);
    pay_batch_prepare(batch);
    assert_int_equal(batch->order_count, 1);
    assert_int_equal(batch->account_count, 1);
    assert_int_equal(batch->order_of[0], NO_INDEX);
    assert_int_equal(batch->account_of[0], NO_INDEX);
    assert_int_equal(batch->order_of[2], NO_INDEX);
}

static void preparing_again_forgets_what_was_read_and_decided(void **unused) {
    (void)unused;
    add_pay(0, "o-1", 1, "alice", 4);
    add(an_invalid_record(1, PAY_TOO_LARGE, PAY_FIELD_NONE));
    decide_all(10);
    assert_int_equal(batch->accounts[0].balance_minor, 6);
    pay_batch_prepare(batch);
    assert_int_equal(batch->insert_count + batch->refusal_count + batch->known_count + batch->pool_used, 0);
    assert_null(batch->orders[0].known);
    assert_false(batch->accounts[0].found);
    assert_false(batch->accounts[0].changed);
}

static void only_the_slice_is_prepared(void **unused) {
    (void)unused;
    add_pay(0, "o-1", 1, "alice", 1);
    add_pay(1, "o-2", 1, "bob", 1);
    pay_batch_slice(batch, 1);
    pay_batch_slice(batch, 1);
    pay_batch_prepare(batch);
    assert_int_equal(batch->order_count, 1);
    assert_string_equal(batch->orders[0].order_id, "o-2");
    assert_string_equal(batch->accounts[0].account_id, "bob");
}

/* --- decisions that see each other --- */

static void a_later_record_of_the_batch_sees_the_decision_of_an_earlier_one(void **unused) {
    (void)unused;
    add_pay(0, "o-1", 1, "alice", 30);
    add_pay(1, "o-1", 1, "alice", 30);
    add_pay(2, "o-1", 1, "alice", 31);
    add_pay(3, "o-1", 2, "alice", 30);
    decide_all(100);
    answered(0, PAY_PAID, PAY_REASON_NONE, false);
    answered(1, PAY_PAID, PAY_REASON_NONE, true);
    answered(2, PAY_CONFLICT, PAY_AMOUNT_MINOR_DIFFERS, false);
    answered(3, PAY_CONFLICT, PAY_ALREADY_PAID, false);
    assert_int_equal(batch->insert_count, 1);
    assert_int_equal(batch->accounts[0].balance_minor, 70);
    assert_true(pay_position_equal(&batch->answers[1].decision.position, &batch->records[0].position));
}

static void attempts_chain_within_one_batch(void **unused) {
    (void)unused;
    add_pay(0, "o-1", 2, "alice", 30);  /* too early */
    add_pay(1, "o-1", 1, "alice", 200); /* declined */
    add_pay(2, "o-1", 2, "alice", 150); /* its copy, declined */
    add_pay(3, "o-1", 3, "alice", 60);  /* paid */
    add_pay(4, "o-1", 4, "alice", 10);
    decide_all(100);
    answered(0, PAY_INVALID, PAY_ATTEMPT_OUT_OF_SEQUENCE, false);
    answered(1, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS, false);
    answered(2, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS, false);
    answered(3, PAY_PAID, PAY_REASON_NONE, false);
    answered(4, PAY_CONFLICT, PAY_ALREADY_PAID, false);
    assert_int_equal(batch->insert_count, 3);
    assert_int_equal(batch->refusal_count, 1);
    assert_int_equal(batch->accounts[0].version, 4);
    assert_int_equal(batch->accounts[0].balance_minor, 40);
}

static void payments_of_one_account_are_serial_in_arrival_order(void **unused) {
    (void)unused;
    static const char *const orders[] = {"o-3", "o-1", "o-2"};
    for (int i = 0; i < 3; i++) add_pay(i, orders[i], 1, "alice", 40);
    decide_all(100);
    static const int64_t balances[] = {60, 20, 20};
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(batch->answers[i].decision.account_version, 2 + i);
        assert_int_equal(batch->answers[i].decision.balance_after_minor, balances[i]);
    }
    answered(2, PAY_DECLINED, PAY_INSUFFICIENT_FUNDS, false);
}

static void an_identity_in_two_partitions_of_the_batch_is_decided_once(void **unused) {
    (void)unused;
    struct pay_record there = a_record(0, "o-1", 1, "alice", 30, "EUR"), here = there;
    here.position.partition = 7;
    add(there);
    add(here);
    decide_all(100);
    answered(1, PAY_PAID, PAY_REASON_NONE, true);
    assert_int_equal(batch->accounts[0].balance_minor, 70);
}

static void a_row_that_no_worker_writes_is_found_before_anything_is_decided_by_it(void **unused) {
    (void)unused;
    static const struct pay_position impossible[] = {{0, 0, 7}, {-1, 0, 7}, {1, -1, 7}, {1, 0, -1}, {0, 0, 0}};
    uint32_t record;
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        pay_batch_reset(batch);
        add_pay(0, "fine", 1, "alice", 100);
        add(an_invalid_record(1, PAY_BAD_FIELD, PAY_FIELD_CURRENCY));
        add_pay(2, "broken", 1, "alice", 100);
        assert_true(pay_batch_slice(batch, PAY_BATCH_RECORDS_MAX));
        pay_batch_prepare(batch);
        add_known(&batch->records[0], PAY_PAID, PAY_REASON_NONE);
        add_known(&batch->records[2], PAY_PAID, PAY_REASON_NONE);
        assert_true(pay_batch_known_possible(batch, &record));
        struct pay_decision *broken = batch->orders[order_index("broken")].known;
        broken->position = impossible[i];
        add_known(&batch->records[2], PAY_DECLINED, PAY_INSUFFICIENT_FUNDS); /* it needn't be the first of the list */
        assert_false(pay_batch_known_possible(batch, &record));
        assert_int_equal(record, 2);
        pay_batch_drop(batch, 2);
        assert_true(pay_batch_known_possible(batch, &record));
    }
}

static void the_same_ids_of_two_tenants_are_strangers(void **unused) {
    (void)unused;
    struct pay_record mine = a_record(0, "o-1", 1, "alice", 30, "EUR"),
                      theirs = a_record(1, "o-1", 1, "alice", 60, "EUR");
    put_text(theirs.request.tenant, sizeof theirs.request.tenant, "u");
    add(mine);
    add(theirs);
    decide_all(100);
    answered(1, PAY_PAID, PAY_REASON_NONE, false);
    assert_int_equal(batch->account_count, 2);
    assert_int_equal(batch->accounts[0].balance_minor, 70);
    assert_int_equal(batch->accounts[1].balance_minor, 40);
}

static void what_is_on_file_counts_before_the_batch(void **unused) {
    (void)unused;
    struct pay_record earlier = a_record(90, "o-1", 1, "alice", 30, "EUR");
    add_pay(100, "o-1", 1, "alice", 30);
    add_pay(101, "o-1", 2, "alice", 30);
    pay_batch_slice(batch, 100);
    pay_batch_prepare(batch);
    lock_accounts(100);
    add_known(&earlier, PAY_DECLINED, PAY_ACCOUNT_FROZEN);
    pay_batch_decide(batch, NOW_US);
    answered(0, PAY_DECLINED, PAY_ACCOUNT_FROZEN, true);
    answered(1, PAY_PAID, PAY_REASON_NONE, false);
    assert_int_equal(batch->insert_count, 1);
}

static void a_dropped_record_is_neither_decided_nor_answered(void **unused) {
    (void)unused;
    add_pay(0, "o-1", 1, "alice", 30);
    add_pay(1, "o-1", 1, "alice", 40);
    add(an_invalid_record(2, PAY_MALFORMED_JSON, PAY_FIELD_NONE));
    pay_batch_drop(batch, 0);
    pay_batch_drop(batch, 2);
    memset(&batch->answers[0], 0x5A, sizeof batch->answers[0]);
    struct pay_answer before = batch->answers[0];
    decide_all(100);
    assert_memory_equal(&batch->answers[0], &before, sizeof before);
    answered(1, PAY_PAID, PAY_REASON_NONE, false); /* it never saw the dropped one */
    assert_int_equal(batch->insert_count, 1);
    assert_int_equal(batch->refusal_count, 0);
}

static void a_record_dropped_between_reading_and_deciding_is_left_out_too(void **unused) {
    (void)unused;
    add_pay(0, "o-1", 1, "alice", 30);
    add_pay(1, "o-2", 1, "alice", 30);
    pay_batch_slice(batch, 100);
    pay_batch_prepare(batch);
    lock_accounts(100);
    pay_batch_drop(batch, 0);
    pay_batch_decide(batch, NOW_US);
    assert_int_equal(batch->insert_count, 1);
    assert_int_equal(batch->inserts[0].record, 1);
}

/* --- what it writes --- */

static void inserts_are_in_primary_key_order(void **unused) {
    (void)unused;
    add_pay(0, "o-9", 1, "alice", 500);
    add_pay(1, "o-10", 1, "alice", 500);
    add_pay(2, "o-9", 2, "alice", 500);
    add_pay(3, "O-9", 1, "alice", 500);
    add_pay(4, "o-9", 3, "alice", 5);
    add_pay(5, "o-1", 1, "bob", 5);
    decide_all(100);
    static const struct {
        const char *order_id;
        int32_t attempt;
        uint32_t record;
    } expected[] = {{"O-9", 1, 3}, {"o-1", 1, 5}, {"o-10", 1, 1}, {"o-9", 1, 0}, {"o-9", 2, 2}, {"o-9", 3, 4}};
    assert_int_equal(batch->insert_count, 6);
    for (uint32_t i = 0; i < 6; i++) {
        assert_string_equal(batch->orders[batch->inserts[i].order].order_id, expected[i].order_id);
        assert_int_equal(batch->inserts[i].decision->attempt, expected[i].attempt);
        assert_int_equal(batch->inserts[i].record, expected[i].record);
        assert_same_decision(batch->inserts[i].decision, &batch->answers[expected[i].record].decision);
    }
}

static void refusals_are_in_partition_and_offset_order_with_reason_field_and_time(void **unused) {
    (void)unused;
    static const struct pay_position positions[] = {{1, 5, 0}, {1, 2, 9}, {1, 2, 300}, {1, 0, 7}, {1, 5, 1}};
    static const int order[] = {3, 1, 2, 0, 4};
    for (int i = 0; i < 5; i++) {
        struct pay_record record = an_invalid_record(0, PAY_BAD_FIELD, (enum pay_field)(PAY_FIELD_ORDER_ID + i));
        record.position = positions[i];
        add(record);
    }
    decide_all(0);
    assert_int_equal(batch->refusal_count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(pay_position_equal(&batch->refusals[i].position, &positions[order[i]]));
        assert_int_equal(batch->refusals[i].code, PAY_BAD_FIELD);
        assert_int_equal(batch->refusals[i].field, (int)PAY_FIELD_ORDER_ID + order[i]);
        assert_true(batch->refusals[i].decided_at_us == NOW_US);
    }
}

static void an_account_that_no_decision_moved_is_not_written(void **unused) {
    (void)unused;
    struct pay_record earlier = a_record(90, "o-1", 1, "alice", 30, "EUR");
    add_pay(100, "o-1", 1, "alice", 30);
    add_pay(101, "o-2", 1, "bob", 30);
    pay_batch_slice(batch, 100);
    pay_batch_prepare(batch);
    lock_accounts(100);
    add_known(&earlier, PAY_PAID, PAY_REASON_NONE);
    pay_batch_decide(batch, NOW_US);
    assert_false(batch->accounts[0].changed);
    assert_true(batch->accounts[1].changed);
}

/* --- bounds --- */

static void too_many_known_decisions_give_no_room(void **unused) {
    (void)unused;
    add_pay(0, "o-1", 1, "alice", 1);
    pay_batch_slice(batch, 1);
    pay_batch_prepare(batch);
    for (int i = 0; i < PAY_BATCH_KNOWN_MAX; i++) assert_non_null(pay_batch_add_known(batch, 0));
    assert_null(pay_batch_add_known(batch, 0));
    assert_null(pay_batch_add_known(batch, 0));
}

static void a_full_batch_of_new_decisions_fits_beside_the_most_known_ones(void **unused) {
    (void)unused;
    for (int i = 0; i < PAY_BATCH_RECORDS_MAX; i++) {
        char order[16], account[16];
        snprintf(order, sizeof order, "o-%d", i);
        snprintf(account, sizeof account, "a-%d", i);
        add_pay(i, order, PAY_ATTEMPT_MAX, account, 1);
    }
    pay_batch_slice(batch, PAY_BATCH_RECORDS_MAX);
    pay_batch_prepare(batch);
    lock_accounts(100);
    assert_int_equal(batch->order_count, PAY_BATCH_RECORDS_MAX);
    assert_int_equal(batch->account_count, PAY_BATCH_RECORDS_MAX);
    for (uint32_t i = 0; i < PAY_BATCH_KNOWN_MAX; i++) {
        struct pay_decision *known = pay_batch_add_known(batch, i % PAY_BATCH_RECORDS_MAX);
        known->attempt = PAY_ATTEMPT_MAX - 1 - (int32_t)(i / PAY_BATCH_RECORDS_MAX);
        known->outcome = PAY_DECLINED;
    }
    pay_batch_decide(batch, NOW_US);
    assert_int_equal(batch->insert_count, PAY_BATCH_RECORDS_MAX);
    assert_int_equal(batch->pool_used, PAY_BATCH_KNOWN_MAX + PAY_BATCH_RECORDS_MAX);
    for (uint32_t i = 0; i < PAY_BATCH_RECORDS_MAX; i++) answered(i, PAY_PAID, PAY_REASON_NONE, false);
}

static void a_full_batch_of_refusals_fits(void **unused) {
    (void)unused;
    for (int i = 0; i < PAY_BATCH_RECORDS_MAX; i++) add(an_invalid_record(i, PAY_TOO_LARGE, PAY_FIELD_NONE));
    decide_all(0);
    assert_int_equal(batch->refusal_count, PAY_BATCH_RECORDS_MAX);
}

static void add_known_to_no_order(void *unused) {
    (void)unused;
    pay_batch_add_known(batch, batch->order_count);
}

static void add_refusal_at(void *argument) { pay_batch_add_refusal(batch, *(uint32_t *)argument); }

static void reading_into_what_is_not_of_the_slice_is_a_programmers_error(void **unused) {
    (void)unused;
    for (int64_t i = 0; i < 3; i++) add_settled(a_record(i, "o-1", 1, "alice", 1, "EUR"));
    pay_batch_slice(batch, 1);
    pay_batch_slice(batch, 1);
    pay_batch_prepare(batch);
    assert_true(aborts(add_known_to_no_order, NULL));
    assert_true(aborts(add_refusal_at, &(uint32_t){0}));
    assert_true(aborts(add_refusal_at, &(uint32_t){2}));
    pay_batch_add_refusal(batch, 1);
    assert_true(aborts(add_refusal_at, &(uint32_t){1}));
}

/* --- answers found again --- */

static void the_answers_of_settled_records_come_from_rows(void **unused) {
    (void)unused;
    struct pay_record own = a_record(0, "o-1", 1, "alice", 30, "EUR"),
                      again = a_record(1, "o-1", 1, "alice", 30, "EUR");
    add_settled(own);
    add_settled(again);
    add_settled(a_record(2, "o-2", 2, "alice", 30, "EUR"));
    add_settled(an_invalid_record(3, PAY_BAD_FIELD, PAY_FIELD_CURRENCY));
    assert_true(pay_batch_slice(batch, 100));
    pay_batch_prepare(batch);
    add_known(&own, PAY_PAID, PAY_REASON_NONE);
    struct pay_refusal *refusal = pay_batch_add_refusal(batch, 2);
    assert_true(pay_position_equal(&refusal->position, &batch->records[2].position));
    refusal->code = PAY_ATTEMPT_OUT_OF_SEQUENCE;
    refusal = pay_batch_add_refusal(batch, 3);
    refusal->code = PAY_BAD_FIELD;
    refusal->field = PAY_FIELD_CURRENCY;
    uint32_t record = 77;
    assert_true(pay_batch_find_answers(batch, &record));
    assert_int_equal(record, 77);
    answered(0, PAY_PAID, PAY_REASON_NONE, false);
    answered(1, PAY_PAID, PAY_REASON_NONE, true);
    answered(2, PAY_INVALID, PAY_ATTEMPT_OUT_OF_SEQUENCE, false);
    answered(3, PAY_INVALID, PAY_BAD_FIELD, false);
    assert_int_equal(batch->answers[3].field, PAY_FIELD_CURRENCY);
}

static void the_first_record_without_a_reason_on_file_is_named(void **unused) {
    (void)unused;
    struct pay_record own = a_record(0, "o-1", 1, "alice", 30, "EUR");
    add_settled(own);
    add_settled(a_record(1, "o-2", 1, "alice", 30, "EUR"));
    add_settled(a_record(2, "o-3", 1, "alice", 30, "EUR"));
    assert_true(pay_batch_slice(batch, 100));
    pay_batch_prepare(batch);
    add_known(&own, PAY_PAID, PAY_REASON_NONE);
    uint32_t record;
    assert_false(pay_batch_find_answers(batch, &record));
    assert_int_equal(record, 1);
    pay_batch_drop(batch, 1);
    assert_false(pay_batch_find_answers(batch, &record));
    assert_int_equal(record, 2);
    pay_batch_drop(batch, 2);
    assert_true(pay_batch_find_answers(batch, &record));
}

/* --- random batches against a naive model --- */

/*
 * The model knows three arrays and linear search. It was written from PROTOCOL section 4 and INTERFACES' tables, not from the
 * core: no sorting, no lists, one record after the other.
 */
#define WORLDS 2000
#define BATCHES_PER_WORLD 10
#define RECORDS_PER_BATCH 8
#define WORLD_RECORDS (BATCHES_PER_WORLD * RECORDS_PER_BATCH)

static const char *const tenants[] = {"a", "aa", "b"};
static const char *const order_ids[] = {"o", "O", "o-1", "o1", "b"};
static const char *const account_ids[] = {"alice", "bob", "-", "nobody"};
static const char *const currencies[] = {"EUR", "USD"};
enum { TENANTS = 3, ORDERS = 5, ACCOUNTS = 4, CURRENCIES = 2, PARTITIONS = 3 };

struct model_request {
    int tenant, order, account, currency;
    int32_t attempt;
    int64_t amount;
};

struct model_payment {
    struct model_request request;
    bool paid, has_account;
    enum pay_reason reason;
    int64_t balance, version, decided_at_us;
    struct pay_position position;
};

struct model_refusal {
    struct pay_position position;
    enum pay_reason code;
    enum pay_field field;
    int64_t decided_at_us;
};

struct model_account {
    int currency;
    bool frozen, closed;
    int64_t balance, floor, version;
};

struct model_record {
    bool dropped;
    struct pay_record record;
    struct model_request request;
    struct pay_answer first_answer;
};

static struct {
    uint64_t random;
    struct model_payment payments[WORLD_RECORDS];
    struct model_refusal refusals[WORLD_RECORDS];
    struct model_record records[WORLD_RECORDS];
    int payment_count, refusal_count, record_count;
    struct model_account accounts[TENANTS][ACCOUNTS - 1]; /* the last account is nobody's */
    struct pay_position next[PARTITIONS];
    int64_t now_us;
} world;

static uint32_t dice(uint32_t sides) { return random_below(&world.random, sides); }

static void new_world(uint64_t seed) {
    world.random = seed;
    world.payment_count = world.refusal_count = world.record_count = 0;
    world.now_us = NOW_US;
    for (int t = 0; t < TENANTS; t++)
        for (int a = 0; a < ACCOUNTS - 1; a++)
            world.accounts[t][a] = (struct model_account){.currency = dice(8) == 0,
                                                          .frozen = dice(8) == 0,
                                                          .closed = dice(10) == 0,
                                                          .balance = dice(400),
                                                          .floor = (int64_t)dice(3) * 50 - 50,
                                                          .version = 1 + dice(5)};
    for (int p = 0; p < PARTITIONS; p++) world.next[p] = (struct pay_position){1 + dice(2), p, dice(100)};
}

static struct pay_position model_position(void) {
    struct pay_position *next = &world.next[dice(PARTITIONS)];
    struct pay_position position = *next;
    next->offset += 1 + (dice(4) == 0 ? dice(5) : 0); /* control records leave holes */
    return position;
}

static struct model_record *model_receive(void) {
    struct model_record *record = &world.records[world.record_count++];
    struct model_request *request = &record->request;
    *request = (struct model_request){.tenant = (int)dice(TENANTS),
                                      .order = (int)dice(ORDERS),
                                      .account = (int)dice(ACCOUNTS),
                                      .currency = dice(12) == 0,
                                      .attempt = 1 + (int32_t)(dice(2) * dice(4)),
                                      .amount = 1 + dice(150)};
    if (dice(3) != 0) { /* mostly the same question again and again */
        request->account = request->order % ACCOUNTS;
        request->amount = 20 * (request->order + request->attempt);
    }
    record->record = a_record(0, order_ids[request->order], request->attempt, account_ids[request->account],
                              request->amount, currencies[request->currency]);
    put_text(record->record.request.tenant, sizeof record->record.request.tenant, tenants[request->tenant]);
    if (dice(20) == 0)
        record->record =
            an_invalid_record(0, (enum pay_reason)(PAY_TOO_LARGE + dice(5)), (enum pay_field)dice(PAY_FIELD_COUNT));
    record->record.position = model_position();
    record->dropped = dice(25) == 0;
    return record;
}

static struct model_payment *model_find(int tenant, int order, int32_t attempt) {
    for (int i = 0; i < world.payment_count; i++) {
        struct model_request *request = &world.payments[i].request;
        if (request->tenant == tenant && request->order == order && request->attempt == attempt)
            return &world.payments[i];
    }
    return NULL;
}

static struct model_payment *model_paid(const struct model_request *request) {
    for (int32_t attempt = 1; attempt < request->attempt; attempt++) {
        struct model_payment *payment = model_find(request->tenant, request->order, attempt);
        if (payment != NULL && payment->paid) return payment;
    }
    return NULL;
}

static struct pay_answer model_answer(enum pay_outcome outcome, enum pay_reason reason, bool duplicate,
                                      const struct model_payment *payment) {
    struct pay_answer answer = {.outcome = outcome,
                                .reason = reason,
                                .duplicate = duplicate,
                                .has_decision = true,
                                .decided_at_us = payment->decided_at_us};
    answer.decision = (struct pay_decision){.attempt = payment->request.attempt,
                                            .amount_minor = payment->request.amount,
                                            .outcome = payment->paid ? PAY_PAID : PAY_DECLINED,
                                            .reason = payment->reason,
                                            .has_account = payment->has_account,
                                            .balance_after_minor = payment->balance,
                                            .account_version = payment->version,
                                            .position = payment->position,
                                            .decided_at_us = payment->decided_at_us};
    put_text(answer.decision.account_id, sizeof answer.decision.account_id, account_ids[payment->request.account]);
    put_text(answer.decision.currency, sizeof answer.decision.currency, currencies[payment->request.currency]);
    return answer;
}

static struct pay_answer model_refuse(const struct pay_record *record, enum pay_reason code, enum pay_field field) {
    world.refusals[world.refusal_count++] = (struct model_refusal){record->position, code, field, world.now_us};
    return (struct pay_answer){.outcome = PAY_INVALID, .reason = code, .field = field, .decided_at_us = world.now_us};
}

static struct pay_answer model_first_sight(const struct model_record *record) {
    const struct model_request *request = &record->request;
    struct model_payment *payment = &world.payments[world.payment_count++];
    *payment = (struct model_payment){.request = *request,
                                      .reason = PAY_UNKNOWN_ACCOUNT,
                                      .position = record->record.position,
                                      .decided_at_us = world.now_us};
    if (request->account < ACCOUNTS - 1) {
        struct model_account *account = &world.accounts[request->tenant][request->account];
        payment->has_account = true;
        payment->reason = account->closed                                       ? PAY_ACCOUNT_CLOSED
                          : account->frozen                                     ? PAY_ACCOUNT_FROZEN
                          : account->currency != request->currency              ? PAY_CURRENCY_MISMATCH
                          : account->balance - request->amount < account->floor ? PAY_INSUFFICIENT_FUNDS
                                                                                : PAY_REASON_NONE;
        payment->paid = payment->reason == PAY_REASON_NONE;
        if (payment->paid) account->balance -= request->amount;
        payment->balance = account->balance;
        payment->version = ++account->version;
    }
    return model_answer(payment->paid ? PAY_PAID : PAY_DECLINED, payment->reason, false, payment);
}

static struct pay_answer model_decide(const struct model_record *record) {
    const struct model_request *request = &record->request;
    if (record->record.invalid != PAY_REASON_NONE)
        return model_refuse(&record->record, record->record.invalid, record->record.invalid_field);
    struct model_payment *stored = model_find(request->tenant, request->order, request->attempt);
    if (stored != NULL) {
        if (stored->request.account != request->account)
            return model_answer(PAY_CONFLICT, PAY_ACCOUNT_ID_DIFFERS, false, stored);
        if (stored->request.amount != request->amount)
            return model_answer(PAY_CONFLICT, PAY_AMOUNT_MINOR_DIFFERS, false, stored);
        if (stored->request.currency != request->currency)
            return model_answer(PAY_CONFLICT, PAY_CURRENCY_DIFFERS, false, stored);
        return model_answer(stored->paid ? PAY_PAID : PAY_DECLINED, stored->reason, true, stored);
    }
    struct model_payment *paid = model_paid(request);
    if (paid != NULL) return model_answer(PAY_CONFLICT, PAY_ALREADY_PAID, false, paid);
    if (request->attempt > 1 && model_find(request->tenant, request->order, request->attempt - 1) == NULL)
        return model_refuse(&record->record, PAY_ATTEMPT_OUT_OF_SEQUENCE, PAY_FIELD_NONE);
    return model_first_sight(record);
}

/* What the ledger does after prepare: rows of the slice's orders in any order, and its accounts. */
static void load_known(void) {
    for (uint32_t order = 0; order < batch->order_count; order++)
        for (int n = 0, start = (int)dice(WORLD_RECORDS); n < world.payment_count; n++) {
            const struct model_payment *payment = &world.payments[(n + start) % world.payment_count];
            if (strcmp(batch->orders[order].tenant, tenants[payment->request.tenant]) != 0) continue;
            if (strcmp(batch->orders[order].order_id, order_ids[payment->request.order]) != 0) continue;
            struct pay_decision *known = pay_batch_add_known(batch, order), *next = known->next;
            *known = model_answer(PAY_PAID, PAY_REASON_NONE, false, payment).decision;
            known->next = next;
        }
}

static int account_index(const char *account_id) {
    int a = 0;
    while (strcmp(account_ids[a], account_id) != 0) a++;
    return a;
}

static struct model_account *model_account_of(const struct pay_account *account) {
    int t = 0, a = account_index(account->account_id);
    while (strcmp(tenants[t], account->tenant) != 0) t++;
    return a < ACCOUNTS - 1 ? &world.accounts[t][a] : NULL;
}

static void load_accounts(void) {
    for (uint32_t i = 0; i < batch->account_count; i++) {
        struct pay_account *account = &batch->accounts[i];
        const struct model_account *model = model_account_of(account);
        if (model == NULL) continue;
        account->found = true;
        account->state = model->closed   ? PAY_ACCOUNT_STATE_CLOSED
                         : model->frozen ? PAY_ACCOUNT_STATE_FROZEN
                                         : PAY_ACCOUNT_ACTIVE;
        account->balance_minor = model->balance;
        account->floor_minor = model->floor;
        account->version = model->version;
        put_text(account->currency, sizeof account->currency, currencies[model->currency]);
    }
}

static void decide_slice(void) {
    pay_batch_prepare(batch);
    load_known();
    load_accounts();
    pay_batch_decide(batch, world.now_us);
}

/* Orders and accounts strictly ascending (so unique); inserts and refusals too. */
static void assert_sorted(void) {
    for (uint32_t i = 1; i < batch->order_count; i++)
        assert_true(pay_tenant_id_compare(batch->orders[i - 1].tenant, batch->orders[i - 1].order_id,
                                          batch->orders[i].tenant, batch->orders[i].order_id) < 0);
    for (uint32_t i = 1; i < batch->account_count; i++)
        assert_true(pay_tenant_id_compare(batch->accounts[i - 1].tenant, batch->accounts[i - 1].account_id,
                                          batch->accounts[i].tenant, batch->accounts[i].account_id) < 0);
    for (uint32_t i = 1; i < batch->insert_count; i++) {
        const struct pay_batch_insert *a = &batch->inserts[i - 1], *b = &batch->inserts[i];
        assert_true(a->order < b->order || (a->order == b->order && a->decision->attempt < b->decision->attempt));
    }
    for (uint32_t i = 1; i < batch->refusal_count; i++) {
        const struct pay_position *a = &batch->refusals[i - 1].position, *b = &batch->refusals[i].position;
        assert_true(a->partition < b->partition || (a->partition == b->partition && a->offset < b->offset));
    }
}

static void assert_writes(int payments_before, int refusals_before) {
    assert_int_equal(batch->insert_count, world.payment_count - payments_before);
    assert_int_equal(batch->refusal_count, world.refusal_count - refusals_before);
    for (uint32_t i = 0; i < batch->insert_count; i++) {
        const struct pay_request *request = &batch->records[batch->inserts[i].record].request;
        int found = 0;
        for (int n = payments_before; n < world.payment_count; n++) {
            if (!pay_position_equal(&world.payments[n].position, &batch->inserts[i].decision->position)) continue;
            struct pay_answer expected = model_answer(PAY_PAID, PAY_REASON_NONE, false, &world.payments[n]);
            assert_same_decision(batch->inserts[i].decision, &expected.decision);
            assert_string_equal(request->tenant, tenants[world.payments[n].request.tenant]);
            assert_string_equal(request->order_id, order_ids[world.payments[n].request.order]);
            found++;
        }
        assert_int_equal(found, 1);
    }
    for (uint32_t i = 0; i < batch->refusal_count; i++) {
        int found = 0;
        for (int n = refusals_before; n < world.refusal_count; n++)
            found += pay_position_equal(&world.refusals[n].position, &batch->refusals[i].position) &&
                     world.refusals[n].code == batch->refusals[i].code &&
                     world.refusals[n].field == batch->refusals[i].field &&
                     world.refusals[n].decided_at_us == batch->refusals[i].decided_at_us;
        assert_int_equal(found, 1);
    }
}

static void assert_accounts(struct model_account before[TENANTS][ACCOUNTS - 1]) {
    for (uint32_t i = 0; i < batch->account_count; i++) {
        const struct pay_account *account = &batch->accounts[i];
        const struct model_account *model = model_account_of(account);
        if (model == NULL) {
            assert_false(account->changed);
            continue;
        }
        assert_true(account->balance_minor == model->balance);
        assert_true(account->version == model->version);
        const struct model_account *old = &before[0][0] + (model - &world.accounts[0][0]);
        assert_int_equal(account->changed, old->version != model->version);
        assert_true(model->balance >= model->floor || model->balance == old->balance);
    }
}

static void settle_slice(int first_record) {
    struct pay_answer answers[RECORDS_PER_BATCH];
    struct model_account before[TENANTS][ACCOUNTS - 1];
    int payments_before = world.payment_count, refusals_before = world.refusal_count;
    memcpy(before, world.accounts, sizeof before);
    world.now_us++;
    decide_slice();
    uint32_t inserts = batch->insert_count, refusals = batch->refusal_count;
    memcpy(answers, batch->answers, sizeof answers);
    decide_slice(); /* a redo: the same again */
    assert_int_equal(batch->insert_count, inserts);
    assert_int_equal(batch->refusal_count, refusals);
    assert_sorted();
    for (uint32_t i = batch->begin; i < batch->end; i++) {
        struct model_record *record = &world.records[first_record + (int)i];
        if (record->dropped) continue;
        assert_same_answer(&answers[i], &batch->answers[i]);
        record->first_answer = model_decide(record);
        assert_same_answer(&answers[i], &record->first_answer);
    }
    assert_writes(payments_before, refusals_before);
    assert_accounts(before);
}

static void settle_a_random_batch(void) {
    int first_record = world.record_count;
    uint32_t count = 1 + dice(RECORDS_PER_BATCH);
    pay_batch_reset(batch);
    for (uint32_t i = 0; i < count; i++) {
        struct model_record *record = model_receive();
        add(record->record);
        if (record->dropped) pay_batch_drop(batch, i);
    }
    while (pay_batch_slice(batch, 1 + dice(RECORDS_PER_BATCH))) {
        if (dice(5) == 0) { /* it fails and is halved */
            decide_slice();
            pay_batch_shrink(batch, 1 + (batch->end - batch->begin) / 2);
        }
        settle_slice(first_record);
    }
    if (dice(3) == 0) { /* an adjustment between two batches */
        struct model_account *account = &world.accounts[dice(TENANTS)][dice(ACCOUNTS - 1)];
        account->balance += dice(300);
        account->frozen = dice(6) == 0;
        account->version++;
    }
}

/* After everything: the next owner answers every record again, from the rows alone. */
static void find_every_answer_again(void) {
    pay_batch_reset(batch);
    for (int i = 0; i < world.record_count; i++) {
        add_settled(world.records[i].record);
        if (world.records[i].dropped) pay_batch_drop(batch, (uint32_t)i);
    }
    while (pay_batch_slice(batch, 1 + dice(WORLD_RECORDS))) {
        uint32_t orphan;
        pay_batch_prepare(batch);
        load_known();
        for (int n = 0; n < world.refusal_count; n++)
            for (uint32_t i = batch->begin; i < batch->end; i++)
                if (pay_position_equal(&world.refusals[n].position, &batch->records[i].position)) {
                    struct pay_refusal *refusal = pay_batch_add_refusal(batch, i);
                    refusal->code = world.refusals[n].code;
                    refusal->field = world.refusals[n].field;
                    refusal->decided_at_us = world.refusals[n].decided_at_us;
                }
        assert_true(pay_batch_find_answers(batch, &orphan));
        for (uint32_t i = batch->begin; i < batch->end; i++)
            if (!batch->dropped[i]) assert_same_answer(&batch->answers[i], &world.records[i].first_answer);
    }
}

static void random_batches_are_decided_and_answered_again_as_a_naive_model_does(void **unused) {
    (void)unused;
    int outcomes[PAY_OUTCOME_COUNT] = {0}, reasons[PAY_REASON_COUNT] = {0}, duplicates = 0;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        new_world(seed);
        for (int i = 0; i < BATCHES_PER_WORLD; i++) settle_a_random_batch();
        find_every_answer_again();
        for (int i = 0; i < world.record_count; i++) {
            if (world.records[i].dropped) continue;
            outcomes[world.records[i].first_answer.outcome]++;
            reasons[world.records[i].first_answer.reason]++;
            duplicates += world.records[i].first_answer.duplicate;
        }
    }
    assert_true(duplicates > 1000); /* the dice reach everything */
    for (int i = 0; i < PAY_OUTCOME_COUNT; i++) assert_true(outcomes[i] > 1000);
    for (int i = 0; i < PAY_REASON_COUNT; i++) assert_true(reasons[i] > 100);
}

#define test(function) cmocka_unit_test_setup(function, reset_batch)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(a_batch_takes_its_bound_of_records_and_then_gives_no_slot),
        test(a_slot_counts_only_when_it_is_committed),
        test(an_empty_batch_has_no_slice),
        test(slices_follow_each_other_with_at_most_the_limit_until_nothing_is_left),
        test(a_slice_holds_records_of_one_kind),
        test(a_shrunk_slice_keeps_its_beginning_and_the_rest_comes_next),
        test(a_reset_batch_is_empty),
        test(one_record_too_many_and_limits_of_zero_are_programmers_errors),
        test(orders_and_accounts_are_unique_and_in_the_global_lock_order),
        test(bytes_that_are_no_request_and_dropped_records_read_nothing),
        test(preparing_again_forgets_what_was_read_and_decided),
        test(the_longest_ids_leave_what_lies_behind_them_alone),
        test(only_the_slice_is_prepared),
        test(a_later_record_of_the_batch_sees_the_decision_of_an_earlier_one),
        test(attempts_chain_within_one_batch),
        test(payments_of_one_account_are_serial_in_arrival_order),
        test(an_identity_in_two_partitions_of_the_batch_is_decided_once),
        test(a_row_that_no_worker_writes_is_found_before_anything_is_decided_by_it),
        test(the_same_ids_of_two_tenants_are_strangers),
        test(what_is_on_file_counts_before_the_batch),
        test(a_dropped_record_is_neither_decided_nor_answered),
        test(a_record_dropped_between_reading_and_deciding_is_left_out_too),
        test(inserts_are_in_primary_key_order),
        test(refusals_are_in_partition_and_offset_order_with_reason_field_and_time),
        test(an_account_that_no_decision_moved_is_not_written),
        test(too_many_known_decisions_give_no_room),
        test(a_full_batch_of_new_decisions_fits_beside_the_most_known_ones),
        test(a_full_batch_of_refusals_fits),
        test(reading_into_what_is_not_of_the_slice_is_a_programmers_error),
        test(the_answers_of_settled_records_come_from_rows),
        test(the_first_record_without_a_reason_on_file_is_named),
        test(random_batches_are_decided_and_answered_again_as_a_naive_model_does),
    };
    return cmocka_run_group_tests(tests, make_batch, free_batch);
}
