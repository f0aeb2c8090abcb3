/* What `paybuf doctor` says about retention and growth. */
#include "unit.h"

#include "tools/doctor_retention.h"

#define MINUTE 60000LL
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

enum { REPLIES, LETTERS, UNANSWERED, REFUSALS };

static struct retention_line lines[RETENTION_LINES];

/* 30 days everywhere, everything answered. */
static const struct retention_facts healthy = {30 * DAY, 30 * DAY, 30 * DAY, -1, 0, false, 0, 0, 0};

static void everything_as_init_makes_it_is_ok(void **state) {
    (void)state;
    retention_judge(&healthy, lines);
    for (size_t i = 0; i < RETENTION_LINES; i++) assert_int_equal(lines[i].state, DOCTOR_OK);
    assert_string_equal(lines[UNANSWERED].found, "none found waiting");
    assert_string_equal(lines[REPLIES].wanted, "at least as requests: 30.0 days");
}

/* clang-format off */
static const struct topic_case {
    int64_t requests_ms, replies_ms, letters_ms;
    enum doctor_state replies, letters;
} topic_cases[] = {
    {30 * DAY, 30 * DAY - 1, 30 * DAY,     DOCTOR_WARNING, DOCTOR_OK},
    {30 * DAY, 30 * DAY,     30 * DAY - 1, DOCTOR_OK,      DOCTOR_WARNING},
    {7 * DAY,  30 * DAY,     30 * DAY,     DOCTOR_OK,      DOCTOR_OK},
    {30 * DAY, -1,           -1,           DOCTOR_OK,      DOCTOR_OK},
    {-1,       30 * DAY,     -1,           DOCTOR_WARNING, DOCTOR_OK},
    {-1,       -1,           30 * DAY,     DOCTOR_OK,      DOCTOR_WARNING},
    {-1,       -1,           -1,           DOCTOR_OK,      DOCTOR_OK},
    {0,        0,            0,            DOCTOR_OK,      DOCTOR_OK},
};

static const struct waiting_case {
    int64_t requests_ms, unanswered_ms;
    enum doctor_state state;
    const char *found;
} waiting_cases[] = {
    {30 * DAY, 0,                 DOCTOR_OK,      "partition 3: waits 0.0 minutes, 30.0 days left"},
    {30 * DAY, 15 * DAY,          DOCTOR_OK,      "partition 3: waits 15.0 days, 15.0 days left"},
    {30 * DAY, 15 * DAY + 1,      DOCTOR_WARNING, "partition 3: waits 15.0 days, 15.0 days left"},
    {30 * DAY, 27 * DAY,          DOCTOR_WARNING, "partition 3: waits 27.0 days, 3.0 days left"},
    {30 * DAY, 27 * DAY + 1,      DOCTOR_FAILED,  "partition 3: waits 27.0 days, 3.0 days left"},
    {30 * DAY, 30 * DAY,          DOCTOR_FAILED,  "partition 3: waits 30.0 days, nothing left"},
    {30 * DAY, 31 * DAY,          DOCTOR_FAILED,  "partition 3: waits 31.0 days, nothing left"},
    {10 * HOUR, 6 * HOUR,         DOCTOR_WARNING, "partition 3: waits 6.0 hours, 4.0 hours left"},
    {10 * HOUR, 9 * HOUR + 30 * MINUTE, DOCTOR_FAILED, "partition 3: waits 9.5 hours, 30.0 minutes left"},
    {-1,       900 * DAY,         DOCTOR_OK,      "partition 3: waits 900.0 days"},
};
/* clang-format on */

static void a_topic_that_keeps_less_than_requests_do_is_a_warning(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof topic_cases / sizeof *topic_cases; i++) {
        const struct topic_case *one = &topic_cases[i];
        struct retention_facts facts = healthy;
        facts.requests_ms = one->requests_ms;
        facts.replies_ms = one->replies_ms;
        facts.letters_ms = one->letters_ms;
        retention_judge(&facts, lines);
        assert_int_equal(lines[REPLIES].state, one->replies);
        assert_int_equal(lines[LETTERS].state, one->letters);
    }
}

static void an_unanswered_request_warns_at_half_and_fails_at_a_tenth_of_retention(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof waiting_cases / sizeof *waiting_cases; i++) {
        const struct waiting_case *one = &waiting_cases[i];
        struct retention_facts facts = healthy;
        facts.requests_ms = facts.replies_ms = one->requests_ms;
        facts.lane = 3;
        facts.unanswered_ms = one->unanswered_ms;
        retention_judge(&facts, lines);
        assert_int_equal(lines[UNANSWERED].state, one->state);
        assert_string_equal(lines[UNANSWERED].found, one->found);
        if (one->state != DOCTOR_OK) assert_non_null(strstr(lines[UNANSWERED].fix, "partition 3"));
    }
}

static void an_unanswered_request_that_is_deleted_fails_whatever_retention_is_now(void **state) {
    (void)state;
    static const int64_t retentions[] = {-1, DAY, 30 * DAY};
    for (size_t i = 0; i < 3; i++) {
        struct retention_facts facts = healthy;
        facts.requests_ms = retentions[i];
        facts.lane = 7;
        facts.gone = true;
        retention_judge(&facts, lines);
        assert_int_equal(lines[UNANSWERED].state, DOCTOR_FAILED);
        assert_non_null(strstr(lines[UNANSWERED].fix, "paybuf recover lane 7"));
    }
}

static void a_lane_whose_age_nobody_told_is_never_ok(void **state) {
    (void)state;
    struct retention_facts facts = healthy;
    facts.unknown = 2;
    retention_judge(&facts, lines);
    assert_int_equal(lines[UNANSWERED].state, DOCTOR_WARNING);
    assert_string_equal(lines[UNANSWERED].found, "2 partitions not checked");
    assert_non_null(strstr(lines[UNANSWERED].fix, "didn't tell"));
    facts.lane = 3;
    facts.unknown = 1;
    retention_judge(&facts, lines);
    assert_int_equal(lines[UNANSWERED].state, DOCTOR_WARNING);
    assert_string_equal(lines[UNANSWERED].found,
                        "partition 3: waits 0.0 minutes, 30.0 days left; 1 partition not checked");
    facts.unanswered_ms = 29 * DAY;
    retention_judge(&facts, lines);
    assert_int_equal(lines[UNANSWERED].state, DOCTOR_FAILED);
    assert_non_null(strstr(lines[UNANSWERED].fix, "lengthen retention.ms"));
}

static void what_could_not_be_asked_is_a_warning_with_the_reason(void **state) {
    (void)state;
    retention_unchecked("the cluster is away", lines);
    for (size_t i = 0; i < RETENTION_LINES; i++) {
        assert_int_equal(lines[i].state, DOCTOR_WARNING);
        assert_string_equal(lines[i].found, "not checked");
        assert_non_null(strstr(lines[i].fix, "the cluster is away"));
    }
    const char *first = lines[0].check;
    retention_judge(&healthy, lines);
    assert_ptr_equal(lines[0].check, first);
}

static void only_many_deletable_refusals_are_worth_a_warning(void **state) {
    (void)state;
    struct retention_facts facts = healthy;
    facts.refusals_old = 5 * RETENTION_REFUSALS_MANY; /* their requests are kept for longer than 30 days */
    facts.refusals_deletable = RETENTION_REFUSALS_MANY - 1;
    retention_judge(&facts, lines);
    assert_int_equal(lines[REFUSALS].state, DOCTOR_OK);
    assert_string_equal(lines[REFUSALS].found, "500000, 99999 may be deleted");
    facts.refusals_deletable++;
    retention_judge(&facts, lines);
    assert_int_equal(lines[REFUSALS].state, DOCTOR_WARNING);
}

static void a_line_never_overflows_its_text(void **state) {
    (void)state;
    struct retention_facts facts = {INT64_MAX, INT64_MAX, INT64_MAX, INT32_MAX, INT64_MAX / 2,
                                    false,     INT64_MAX, INT64_MAX, INT32_MAX};
    retention_judge(&facts, lines);
    for (size_t i = 0; i < RETENTION_LINES; i++) {
        assert_true(strlen(lines[i].found) < sizeof lines[i].found - 1);
        assert_true(strlen(lines[i].wanted) < sizeof lines[i].wanted - 1);
        assert_true(strlen(lines[i].fix) < sizeof lines[i].fix - 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_as_init_makes_it_is_ok),
        cmocka_unit_test(a_topic_that_keeps_less_than_requests_do_is_a_warning),
        cmocka_unit_test(an_unanswered_request_warns_at_half_and_fails_at_a_tenth_of_retention),
        cmocka_unit_test(an_unanswered_request_that_is_deleted_fails_whatever_retention_is_now),
        cmocka_unit_test(a_lane_whose_age_nobody_told_is_never_ok),
        cmocka_unit_test(what_could_not_be_asked_is_a_warning_with_the_reason),
        cmocka_unit_test(only_many_deletable_refusals_are_worth_a_warning),
        cmocka_unit_test(a_line_never_overflows_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
