/* Which letters `paybuf dlq` is about, and what of them would be sent again. */
#include "unit.h"

#include "codec/request_codec.h"
#include "tools/dlq_pick.h"
#include "tools/dlq_redrive.h"

#define GOOD "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":7,\"currency\":\"EUR\"}"

static struct tool tool = {.config = {.request_topic = "pay.requests", .dead_letter_topic = "pay.dlq"}};
static struct dlq dlq = {.tool = &tool};
static struct redrive redrive;

static struct dlq_entry entry = {.position = {1, 3, 100}, .timestamp_ms = 5000, .reason = PAY_BAD_FIELD};

static struct dlq_pick any(void) {
    return (struct dlq_pick){.reason = PAY_REASON_COUNT,
                             .partition = -1,
                             .to_offset = INT64_MAX,
                             .since_ms = INT64_MIN,
                             .until_ms = INT64_MAX,
                             .states = {[DLQ_OPEN] = true}};
}

static void a_letter_is_picked_by_reason_place_and_time_all_bounds_kept(void **state) {
    (void)state;
    struct dlq_pick pick = any();
    assert_true(dlq_picked(&pick, &entry));
    pick.reason = PAY_BAD_FIELD;
    pick.partition = 3;
    pick.from_offset = pick.to_offset = 100; /* both included */
    pick.since_ms = 5000;                    /* included */
    pick.until_ms = 5001;                    /* not */
    assert_true(dlq_picked(&pick, &entry));
    struct dlq_pick one = pick;
    one.reason = PAY_BAD_TENANT;
    assert_false(dlq_picked(&one, &entry));
    one = pick, one.partition = 2;
    assert_false(dlq_picked(&one, &entry));
    one = pick, one.from_offset = 101;
    assert_false(dlq_picked(&one, &entry));
    one = pick, one.to_offset = 99;
    assert_false(dlq_picked(&one, &entry));
    one = pick, one.since_ms = 5001;
    assert_false(dlq_picked(&one, &entry));
    one = pick, one.until_ms = 5000;
    assert_false(dlq_picked(&one, &entry));
}

static void what_was_redriven_or_discarded_is_picked_only_when_asked_for(void **state) {
    (void)state;
    struct dlq_pick pick = any();
    struct dlq_entry closed = entry;
    for (uint8_t closed_state = DLQ_REDRIVEN; closed_state < DLQ_STATE_COUNT; closed_state++) {
        closed.state = closed_state;
        assert_false(dlq_picked(&pick, &closed));
    }
    dlq_pick_any_state(&pick);
    for (uint8_t each = DLQ_OPEN; each < DLQ_STATE_COUNT; each++) {
        closed.state = each;
        assert_true(dlq_picked(&pick, &closed));
    }
}

/* A letter with this value and, where it isn't NULL, this orig-tenant. */
static enum pay_exit prepare(const char *given_tenant, const char *value, const char *tenant, const char *corrected) {
    const struct pay_header header = {"orig-tenant", tenant, tenant != NULL ? strlen(tenant) : 0};
    const struct pay_log_record letter = {
        .value = value, .value_length = strlen(value), .headers = &header, .header_count = tenant != NULL};
    redrive_begin(&redrive, &dlq, given_tenant, NULL);
    return redrive_prepare(&redrive, &entry, &letter, corrected, corrected != NULL ? strlen(corrected) : 0);
}

static void a_letter_goes_with_its_own_bytes_and_tenant(void **state) {
    (void)state;
    assert_int_equal(prepare(NULL, GOOD, "shop", NULL), PAY_EXIT_OK);
    assert_string_equal(redrive.position, "1-3-100");
    assert_int_equal(redrive.value_length, strlen(GOOD));
    assert_memory_equal(redrive.value, GOOD, strlen(GOOD));
    assert_string_equal(redrive.record.tenant, "shop");
    assert_string_equal(redrive.record.request.order_id, "o-1");
    assert_int_equal(prepare(NULL, GOOD, NULL, NULL), PAY_EXIT_OK);
    assert_string_equal(redrive.record.tenant, "default");
}

static void corrected_bytes_and_a_named_tenant_take_their_place(void **state) {
    (void)state;
    assert_int_equal(prepare("other", "not json", "shop", GOOD), PAY_EXIT_OK);
    assert_memory_equal(redrive.value, GOOD, strlen(GOOD));
    assert_string_equal(redrive.record.tenant, "other");
}

static void what_would_be_refused_again_is_not_fit_and_says_why(void **state) {
    (void)state;
    static char large[PAY_VALUE_MAX + 2];
    memset(large, ' ', sizeof large - 1);
    assert_int_equal(prepare(NULL, "not json", NULL, NULL), PAY_EXIT_FAILURE);
    assert_non_null(strstr(redrive.why, "refused again"));
    assert_int_equal(prepare(NULL, GOOD, NULL, large), PAY_EXIT_FAILURE);
    assert_non_null(strstr(redrive.why, "larger than 8192"));
    assert_int_equal(prepare(NULL, GOOD, NULL, "{}"), PAY_EXIT_FAILURE);
}

static void a_tenant_that_cannot_be_read_must_be_named(void **state) {
    (void)state;
    entry.reason = PAY_BAD_TENANT;
    assert_int_equal(prepare(NULL, GOOD, "no tenant!", NULL), PAY_EXIT_USAGE);
    assert_non_null(strstr(redrive.why, "--tenant"));
    assert_int_equal(prepare("shop", GOOD, "no tenant!", NULL), PAY_EXIT_OK);
    entry.reason = PAY_BAD_FIELD;
}

static void a_stub_has_no_bytes_of_its_own(void **state) {
    (void)state;
    entry.is_stub = true;
    assert_int_equal(prepare(NULL, "{\"stub\":true,\"size\":1}", NULL, NULL), PAY_EXIT_USAGE);
    assert_int_equal(prepare(NULL, "{\"stub\":true,\"size\":1}", NULL, GOOD), PAY_EXIT_OK);
    entry.is_stub = false;
}

static int begin(void **state) {
    (void)state;
    pay_codec_init();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_is_picked_by_reason_place_and_time_all_bounds_kept),
        cmocka_unit_test(what_was_redriven_or_discarded_is_picked_only_when_asked_for),
        cmocka_unit_test(a_letter_goes_with_its_own_bytes_and_tenant),
        cmocka_unit_test(corrected_bytes_and_a_named_tenant_take_their_place),
        cmocka_unit_test(what_would_be_refused_again_is_not_fit_and_says_why),
        cmocka_unit_test(a_tenant_that_cannot_be_read_must_be_named),
        cmocka_unit_test(a_stub_has_no_bytes_of_its_own),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
