/* test_results.c - the last replies: found by position, decisions found by identity, the oldest forgotten first, nothing made up. */
#include "codec/request_codec.h"
#include "core_values.h"
#include "producer/results.h"

#include <stdlib.h>

#define SMALL PAY_RESULTS_BYTES_MIN

static int start(void **state) {
    (void)state;
    pay_codec_init();
    return 0;
}

static void add(struct pay_results *results, int32_t partition, int64_t offset, const char *key, const char *value,
                size_t length) {
    const struct pay_result reply = {.source = {1, partition, offset},
                                     .key = key,
                                     .key_length = key != NULL ? strlen(key) : 0,
                                     .value = value,
                                     .value_length = length};
    pay_results_add(results, &reply);
}

/* The worker's reply to `record`, kept under its position and order. */
static void add_answer(struct pay_results *results, const struct pay_record *record, const struct pay_answer *answer) {
    char value[PAY_REPLY_TEXT_MAX];
    size_t length = pay_reply_format(record, answer, value, sizeof value);
    add(results, record->position.partition, record->position.offset, record->request.order_id, value, length);
}

static void add_decided(struct pay_results *results, const struct pay_record *record,
                        const struct pay_decision *decision) {
    struct pay_answer answer;
    pay_answer_from_decision(record, decision, &answer);
    add_answer(results, record, &answer);
}

static bool is_kept(const struct pay_results *results, int32_t partition, int64_t offset, struct pay_result *ret) {
    return pay_results_find(results, &(struct pay_position){1, partition, offset}, ret);
}

/* --- by position --- */

static void a_reply_is_found_by_its_whole_position_only(void **state) {
    (void)state;
    struct pay_results *results = pay_results_new(SMALL);
    struct pay_result found = {.value_length = 77};
    assert_false(is_kept(results, 0, 0, &found));
    assert_int_equal(found.value_length, 77);
    add(results, 3, 40, "o-1", "the value", 9);
    assert_true(is_kept(results, 3, 40, &found));
    assert_int_equal(found.source.partition, 3);
    assert_int_equal(found.source.offset, 40);
    assert_memory_equal(found.value, "the value", 9);
    assert_int_equal(found.value_length, 9);
    assert_memory_equal(found.key, "o-1", found.key_length);
    assert_int_equal(found.key_length, 3);
    assert_false(is_kept(results, 4, 40, &found));
    assert_false(is_kept(results, 3, 41, &found));
    assert_false(pay_results_find(results, &(struct pay_position){2, 3, 40}, &found));
    pay_results_free(results);
}

static void a_reply_without_key_or_value_is_kept_too(void **state) {
    (void)state;
    struct pay_results *results = pay_results_new(SMALL);
    struct pay_result found;
    add(results, 0, 1, NULL, NULL, 0);
    assert_true(is_kept(results, 0, 1, &found));
    assert_int_equal(found.key_length + found.value_length, 0);
    pay_results_free(results);
}

static void what_is_larger_than_any_reply_is_not_kept(void **state) {
    (void)state;
    static char bytes[PAY_REPLY_TEXT_MAX + 1], key[PAY_ID_MAX + 2];
    struct pay_results *results = pay_results_new(SMALL);
    struct pay_result found;
    memset(bytes, 'x', sizeof bytes);
    memset(key, 'k', sizeof key - 1);
    add(results, 0, 1, "o", bytes, sizeof bytes);
    add(results, 0, 2, key, bytes, 1);
    assert_false(is_kept(results, 0, 1, &found));
    assert_false(is_kept(results, 0, 2, &found));
    add(results, 0, 3, "o", bytes, sizeof bytes - 1);
    assert_true(is_kept(results, 0, 3, &found));
    pay_results_free(results);
}

static void the_last_reply_given_for_a_position_is_the_one_found(void **state) {
    (void)state;
    struct pay_results *results = pay_results_new(SMALL);
    struct pay_result found;
    add(results, 0, 1, "o", "first", 5);
    add(results, 0, 1, "o", "second", 6);
    assert_true(is_kept(results, 0, 1, &found));
    assert_memory_equal(found.value, "second", found.value_length);
    pay_results_free(results);
}

static void what_was_cleared_is_gone_and_what_comes_after_is_kept(void **state) {
    (void)state;
    struct pay_results *results = pay_results_new(SMALL);
    struct pay_result found;
    for (int i = 0; i < 1000; i++) add(results, 0, i, "o", "value", 5);
    pay_results_clear(results);
    for (int i = 0; i < 1000; i++) assert_false(is_kept(results, 0, i, &found));
    add(results, 0, 1, "o", "again", 5);
    assert_true(is_kept(results, 0, 1, &found));
    assert_memory_equal(found.value, "again", 5);
    pay_results_free(results);
}

/* Against a list of everything that was ever added: found bytes are the right ones, the youngest are there, and when one is gone so
   are all older ones. */
static void over_any_history_the_youngest_are_kept_and_the_oldest_forgotten_first(void **state) {
    (void)state;
    enum { ADDED = 30000, LOOKS = 400 };
    static struct {
        uint64_t seed;
        size_t length;
    } * all;
    all = calloc(ADDED, sizeof *all);
    uint64_t random = 20261121;
    struct pay_results *results = pay_results_new(SMALL);
    for (int n = 0; n < ADDED; n++) {
        char value[PAY_REPLY_TEXT_MAX], key[8];
        all[n].length =
            random_percent(&random, 3) ? random_below(&random, PAY_REPLY_TEXT_MAX + 1) : random_below(&random, 600);
        all[n].seed = random_next(&random);
        for (size_t i = 0; i < all[n].length; i++) value[i] = (char)(all[n].seed >> i % 57);
        snprintf(key, sizeof key, "%u", random_below(&random, 40));
        add(results, n % 5, n / 5, key, value, all[n].length);
        if (n % 29 != 0) continue;
        size_t bytes = 0;
        bool gone = false;
        for (int age = 0; age < LOOKS && age <= n; age++) {
            struct pay_result found;
            int at = n - age;
            bytes += all[at].length + 80;
            bool kept = is_kept(results, at % 5, at / 5, &found);
            if (gone && kept) fail_msg("%d is there though a younger one is gone", at);
            gone = !kept;
            if (gone && bytes < SMALL / 2) fail_msg("%d of the last %zu bytes is gone", at, bytes);
            if (bytes > SMALL + PAY_REPLY_TEXT_MAX && kept && bytes > 2 * SMALL) fail_msg("%d can't fit any more", at);
            if (!kept) continue;
            assert_int_equal(found.value_length, all[at].length);
            for (size_t i = 0; i < all[at].length; i++)
                if (found.value[i] != (char)(all[at].seed >> i % 57)) fail_msg("byte %zu of %d is wrong", i, at);
        }
    }
    pay_results_free(results);
    free(all);
}

/* --- by identity --- */

static void a_decision_is_found_by_tenant_order_and_attempt(void **state) {
    (void)state;
    struct pay_results *results = pay_results_new(SMALL);
    struct pay_record record = a_record(7, "o-1", 2, "alice", 500, "EUR"), other = record;
    struct pay_decision decision = a_decision(&record, PAY_PAID, PAY_REASON_NONE), found;
    add_decided(results, &record, &decision);
    assert_true(pay_results_decision(results, &record.request, &found));
    assert_same_decision(&found, &decision);
    strcpy(other.request.tenant, "u");
    assert_false(pay_results_decision(results, &other.request, &found));
    other = a_record(7, "o-2", 2, "alice", 500, "EUR");
    assert_false(pay_results_decision(results, &other.request, &found));
    other = a_record(7, "o-1", 1, "alice", 500, "EUR");
    assert_false(pay_results_decision(results, &other.request, &found));
    other = a_record(7, "o-1", 2, "bob", 501, "USD"); /* whether these differ is not asked here */
    assert_true(pay_results_decision(results, &other.request, &found));
    assert_same_decision(&found, &decision);
    pay_results_free(results);
}

static void every_decline_is_a_decision_as_it_was_stored(void **state) {
    (void)state;
    static const enum pay_reason reasons[] = {PAY_UNKNOWN_ACCOUNT, PAY_ACCOUNT_CLOSED, PAY_ACCOUNT_FROZEN,
                                              PAY_CURRENCY_MISMATCH, PAY_INSUFFICIENT_FUNDS};
    struct pay_results *results = pay_results_new(SMALL);
    for (int i = 0; i < 5; i++) {
        struct pay_record record = a_record(i, "o-1", i + 1, "alice", 500, "EUR");
        struct pay_decision decision = a_decision(&record, PAY_DECLINED, reasons[i]), found;
        add_decided(results, &record, &decision);
        assert_true(pay_results_decision(results, &record.request, &found));
        assert_same_decision(&found, &decision);
    }
    pay_results_free(results);
}

static void a_duplicates_reply_gives_the_decision_at_its_original_position(void **state) {
    (void)state;
    struct pay_results *results = pay_results_new(SMALL);
    struct pay_record first = a_record(7, "o-1", 1, "alice", 500, "EUR"),
                      again = a_record(9, "o-1", 1, "alice", 500, "EUR");
    struct pay_decision decision = a_decision(&first, PAY_PAID, PAY_REASON_NONE), found;
    add_decided(results, &again, &decision);
    assert_true(pay_results_decision(results, &again.request, &found));
    assert_same_decision(&found, &decision);
    assert_int_equal(found.position.offset, 7);
    pay_results_free(results);
}

static void conflict_and_invalid_are_no_decisions(void **state) {
    (void)state;
    struct pay_results *results = pay_results_new(SMALL);
    struct pay_record first = a_record(7, "o-1", 1, "alice", 500, "EUR"),
                      wrong = a_record(9, "o-1", 1, "alice", 501, "EUR");
    struct pay_record early = a_record(10, "o-1", 3, "alice", 500, "EUR");
    struct pay_decision decision = a_decision(&first, PAY_PAID, PAY_REASON_NONE), found;
    struct pay_answer answer;
    add_decided(results, &wrong, &decision); /* a conflict */
    assert_false(pay_results_decision(results, &wrong.request, &found));
    assert_false(pay_results_decision(results, &first.request, &found));
    pay_answer_already_paid(&decision, &answer);
    add_answer(results, &early, &answer);
    assert_false(pay_results_decision(results, &early.request, &found));
    pay_answer_from_refusal(PAY_ATTEMPT_OUT_OF_SEQUENCE, PAY_FIELD_NONE, 5, &answer);
    add_answer(results, &early, &answer);
    assert_false(pay_results_decision(results, &early.request, &found));
    add(results, 0, 11, "o-1", "{}", 2);
    add(results, 0, 12, "o-1", NULL, 0);
    assert_false(pay_results_decision(results, &first.request, &found));
    add_decided(results, &first, &decision);
    add_decided(results, &wrong, &decision);
    assert_true(pay_results_decision(results, &first.request, &found)); /* behind the conflict */
    pay_results_free(results);
}

static void a_reply_under_another_orders_key_is_not_believed(void **state) {
    (void)state;
    struct pay_results *results = pay_results_new(SMALL);
    struct pay_record record = a_record(7, "o-2", 1, "alice", 500, "EUR");
    struct pay_decision decision = a_decision(&record, PAY_PAID, PAY_REASON_NONE), found;
    char value[PAY_REPLY_TEXT_MAX];
    struct pay_answer answer;
    pay_answer_from_decision(&record, &decision, &answer);
    add(results, 0, 7, "o-1", value, pay_reply_format(&record, &answer, value, sizeof value));
    record = a_record(7, "o-1", 1, "alice", 500, "EUR");
    assert_false(pay_results_decision(results, &record.request, &found));
    pay_results_free(results);
}

static void only_so_many_replies_of_an_order_are_read_for_a_decision(void **state) {
    (void)state;
    struct pay_results *results = pay_results_new(SMALL);
    struct pay_record first = a_record(1, "o-1", 1, "alice", 500, "EUR");
    struct pay_decision decision = a_decision(&first, PAY_PAID, PAY_REASON_NONE), found;
    add_decided(results, &first, &decision);
    for (int i = 0; i < PAY_RESULTS_READINGS_MAX; i++) {
        assert_true(pay_results_decision(results, &first.request, &found));
        struct pay_record wrong = a_record(2 + i, "o-1", 1, "alice", 501, "EUR");
        add_decided(results, &wrong, &decision);
    }
    assert_false(pay_results_decision(results, &first.request, &found));
    pay_results_free(results);
}

/* Which orders share a bucket isn't said outside; so orders are tried until one hides another. */
static void only_so_many_replies_of_other_orders_are_passed_over(void **state) {
    (void)state;
    struct pay_record record = a_record(1, "o-1", 1, "alice", 500, "EUR");
    struct pay_decision decision = a_decision(&record, PAY_PAID, PAY_REASON_NONE), found;
    bool hidden = false;
    for (int n = 0; n < 5000 && !hidden; n++) {
        struct pay_results *results = pay_results_new(SMALL);
        char key[16];
        snprintf(key, sizeof key, "x-%d", n);
        add_decided(results, &record, &decision);
        for (int i = 1; i < PAY_RESULTS_LOOKS_MAX; i++) add(results, 1, i, key, "", 0);
        assert_true(pay_results_decision(results, &record.request, &found));
        add(results, 1, 0, key, "", 0);
        hidden = !pay_results_decision(results, &record.request, &found);
        pay_results_free(results);
    }
    assert_true(hidden);
}

/* A small world of orders: what is found is the decision that was made, and it is found as long as its reply is kept and is among
   the order's last PAY_RESULTS_READINGS_MAX ones. */
static void over_any_history_a_decision_is_the_right_one_or_none(void **state) {
    (void)state;
    enum { ORDERS = 30, ATTEMPTS = 3, STEPS = 20000 };
    static struct pay_decision decisions[ORDERS][ATTEMPTS + 1];
    static int64_t told[ORDERS][PAY_RESULTS_READINGS_MAX]; /* the order's last replies: offset, or -1 */
    static int32_t told_attempt[ORDERS][PAY_RESULTS_READINGS_MAX];
    uint64_t random = 7;
    int hits = 0, misses = 0;
    memset(told, -1, sizeof told);
    struct pay_results *results = pay_results_new(SMALL);
    for (int64_t offset = 0; offset < STEPS; offset++) {
        uint32_t o = random_below(&random, ORDERS);
        int32_t attempt = (int32_t)random_below(&random, ATTEMPTS) + 1;
        char order_id[16];
        snprintf(order_id, sizeof order_id, "order-%u", o);
        struct pay_record record =
            a_record(offset, order_id, attempt, "alice", random_percent(&random, 80) ? 500 : 501, "EUR");
        struct pay_decision *decision = &decisions[o][attempt], found;
        bool known = pay_results_decision(results, &record.request, &found);
        bool wanted = false;
        for (int i = 0; i < PAY_RESULTS_READINGS_MAX; i++) {
            struct pay_result reply;
            wanted =
                wanted || (told_attempt[o][i] == attempt && told[o][i] >= 0 && is_kept(results, 0, told[o][i], &reply));
        }
        assert_int_equal(known, wanted);
        if (known) assert_same_decision(&found, decision);
        hits += known;
        misses += !known;
        if (decision->attempt == 0) *decision = a_decision(&record, PAY_PAID, PAY_REASON_NONE);
        struct pay_answer answer;
        pay_answer_from_decision(&record, decision, &answer);
        add_answer(results, &record, &answer);
        memmove(&told[o][1], &told[o][0], sizeof told[o] - sizeof told[o][0]);
        memmove(&told_attempt[o][1], &told_attempt[o][0], sizeof told_attempt[o] - sizeof told_attempt[o][0]);
        told[o][0] = answer.outcome == PAY_CONFLICT ? -1 : offset;
        told_attempt[o][0] = attempt;
    }
    assert_true(hits > 1000 && misses > 1000);
    pay_results_free(results);
}

static void nothing_may_be_freed(void **state) {
    (void)state;
    pay_results_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_is_found_by_its_whole_position_only),
        cmocka_unit_test(a_reply_without_key_or_value_is_kept_too),
        cmocka_unit_test(what_is_larger_than_any_reply_is_not_kept),
        cmocka_unit_test(the_last_reply_given_for_a_position_is_the_one_found),
        cmocka_unit_test(what_was_cleared_is_gone_and_what_comes_after_is_kept),
        cmocka_unit_test(over_any_history_the_youngest_are_kept_and_the_oldest_forgotten_first),
        cmocka_unit_test(a_decision_is_found_by_tenant_order_and_attempt),
        cmocka_unit_test(every_decline_is_a_decision_as_it_was_stored),
        cmocka_unit_test(a_duplicates_reply_gives_the_decision_at_its_original_position),
        cmocka_unit_test(conflict_and_invalid_are_no_decisions),
        cmocka_unit_test(a_reply_under_another_orders_key_is_not_believed),
        cmocka_unit_test(only_so_many_replies_of_an_order_are_read_for_a_decision),
        cmocka_unit_test(only_so_many_replies_of_other_orders_are_passed_over),
        cmocka_unit_test(over_any_history_a_decision_is_the_right_one_or_none),
        cmocka_unit_test(nothing_may_be_freed),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
