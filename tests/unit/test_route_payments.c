/* test_route_payments.c - a payment that waits for its result, and one whose result is known: the follower is played here. */
#include "codec/reply_codec.h"
#include "core_values.h"
#include "fake_follower.h"
#include "fake_intake.h"

#define ORDER "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":5,\"currency\":\"EUR\"}"
#define ACCEPTED "{\"order_id\":\"o-1\",\"attempt\":1,\"status\":\"accepted\",\"position\":\"1-0-0\"}"
#define SECOND 1000000

static const char *const json[] = {"Content-Type", "application/json", NULL};
static const char *const wait5[] = {"Content-Type", "application/json", "Prefer", "wait=5", NULL};
static struct pay_service service;
static struct pay_config config;
static struct pay_http_request request;
static struct pay_follower follower;

/* --- playing ------------------------------------------------------------------------------------------------------------------ */

static int begin(void **state) {
    (void)state;
    fake_service(&service, &config);
    fake_follower_open(&follower);
    service.follower = &follower;
    service.waiters = pay_waiters_new(2);
    return 0;
}

static int end(void **state) {
    (void)state;
    assert_int_equal(pay_waiters_count(service.waiters), 0);
    pay_waiters_free(service.waiters);
    fake_follower_close(&follower);
    fake_service_close(&service);
    return 0;
}

static void post_body(const char *const *headers, const char *body) {
    fake_request(&request, "POST", "/v1/payments", headers);
    fake_serve(&service, &request, body, strlen(body), 64);
}

static void post(const char *const *headers) { post_body(headers, ORDER); }

/* The follower takes the reply to 1-0-offset. */
static void reply(int64_t offset, const char *value) {
    const struct pay_position position = {1, 0, offset};
    fake_reply(&follower, &position, "o-1", value);
    pay_waiters_take(service.waiters, &position, value, strlen(value));
}

static void assert_answer(unsigned int status, const char *body, const char *preference) {
    assert_true(request.answered);
    assert_int_equal(request.status, status);
    assert_string_equal(request.answer, body);
    assert_string_equal(fake_answer_header(&request, "Content-Type"), "application/json");
    assert_int_equal(fake_answer_header(&request, "Location") != NULL, status == 202);
    const char *applied = fake_answer_header(&request, "Preference-Applied");
    assert_string_equal(applied != NULL ? applied : "none", preference);
}

static uint64_t waited(enum pay_waited end) {
    uint64_t all = 0;
    for (int i = 0; i < PAY_WAITED_COUNT; i++) all += service.waits[i];
    return all == 1 ? service.waits[end] : 1000 + all;
}

/* --- waiting ------------------------------------------------------------------------------------------------------------------ */

static void who_waits_gets_the_reply_to_his_own_record(void **state) {
    (void)state;
    post(wait5);
    fake_acknowledge(0);
    assert_false(request.answered);
    assert_int_equal(pay_waiters_count(service.waiters), 1);
    reply(0, "{\"mine\":1}");
    assert_answer(200, "{\"mine\":1}", "wait=5");
    assert_int_equal(waited(PAY_WAITED_ANSWERED), 1);
    assert_int_equal(service.accepted, 1);
}

static void somebody_elses_reply_under_the_same_identity_wakes_nobody(void **state) {
    (void)state;
    post(json);
    fake_acknowledge(0);
    post(wait5);
    fake_acknowledge(1);
    reply(0, "{\"first\":1}");
    assert_false(request.answered);
    reply(1, "{\"mine\":1}");
    assert_answer(200, "{\"mine\":1}", "wait=5");
}

static void a_reply_that_comes_before_the_acknowledgement_is_kept_for_it(void **state) {
    (void)state;
    post(wait5);
    reply(0, "{\"mine\":1}");
    assert_false(request.answered);
    fake_acknowledge(0);
    assert_answer(200, "{\"mine\":1}", "wait=5");
    assert_int_equal(waited(PAY_WAITED_ANSWERED), 1);
}

static void a_reply_that_came_before_and_is_forgotten_makes_it_202_at_once(void **state) {
    (void)state;
    post(wait5);
    follower.answered_below = 1;
    fake_acknowledge(0);
    assert_answer(202, ACCEPTED, "none");
    assert_int_equal(waited(PAY_WAITED_MISSED), 1);
}

static void another_orders_reply_at_the_same_position_is_not_his(void **state) {
    (void)state;
    post(wait5);
    fake_reply(&follower, &(struct pay_position){1, 0, 0}, "o-2", "{\"of the log before\":1}");
    fake_acknowledge(0);
    assert_answer(202, ACCEPTED, "none");
    assert_int_equal(waited(PAY_WAITED_MISSED), 1);
}

static void when_the_time_is_over_it_is_202(void **state) {
    (void)state;
    post(wait5);
    fake_acknowledge(0);
    pay_waiters_expire(service.waiters, pay_waiters_next_us(service.waiters) - 1);
    assert_false(request.answered);
    pay_waiters_expire(service.waiters, pay_waiters_next_us(service.waiters));
    assert_answer(202, ACCEPTED, "wait=5");
    assert_int_equal(waited(PAY_WAITED_OVER), 1);
}

static void time_that_is_over_before_the_acknowledgement_makes_it_202_then(void **state) {
    (void)state;
    post(wait5);
    pay_waiters_expire(service.waiters, pay_waiters_next_us(service.waiters));
    assert_false(request.answered);
    reply(0, "{\"mine\":1}");
    fake_acknowledge(0);
    assert_answer(202, ACCEPTED, "wait=5");
    assert_int_equal(waited(PAY_WAITED_OVER), 1);
}

static void who_is_cut_short_is_told_202_without_preference_applied(void **state) {
    (void)state;
    post(wait5);
    fake_acknowledge(0);
    pay_waiters_cut(service.waiters, pay_exchange_has_hung_up);
    assert_false(request.answered);
    request.hung_up = true;
    pay_waiters_cut(service.waiters, pay_exchange_has_hung_up);
    assert_answer(202, ACCEPTED, "none");
    assert_int_equal(waited(PAY_WAITED_CUT_SHORT), 1);
    post(wait5);
    pay_waiters_cut(service.waiters, NULL); /* not acknowledged yet */
    assert_false(request.answered);
    fake_acknowledge(1);
    assert_int_equal(request.status, 202);
    assert_null(fake_answer_header(&request, "Preference-Applied"));
    assert_int_equal(service.waits[PAY_WAITED_CUT_SHORT], 2);
}

static void without_a_standing_follower_or_any_nobody_waits(void **state) {
    (void)state;
    follower.stands = false;
    post(wait5);
    fake_acknowledge(0);
    assert_answer(202, ACCEPTED, "none");
    assert_int_equal(waited(PAY_WAITED_REFUSED), 1);
    follower.stands = true;
    service.follower = NULL;
    post(wait5);
    fake_acknowledge(1);
    assert_int_equal(request.status, 202);
    assert_null(fake_answer_header(&request, "Preference-Applied"));
}

static void beyond_waiters_max_it_is_202_at_once(void **state) {
    (void)state;
    static struct pay_http_request others[2];
    for (uint32_t i = 0; i < 2; i++) {
        fake_request(&others[i], "POST", "/v1/payments", wait5);
        fake_serve(&service, &others[i], ORDER, strlen(ORDER), 64);
    }
    post(wait5);
    fake_acknowledge(2);
    assert_int_equal(request.status, 202);
    assert_null(fake_answer_header(&request, "Preference-Applied"));
    assert_int_equal(waited(PAY_WAITED_REFUSED), 1);
    for (uint32_t i = 0; i < 2; i++) {
        fake_acknowledge(i);
        reply(i, "{}");
        assert_int_equal(others[i].status, 200);
    }
}

static void a_record_that_is_refused_or_lost_leaves_nobody_waiting(void **state) {
    (void)state;
    post(wait5);
    fake_lose(0);
    assert_int_equal(request.status, 504);
    assert_int_equal(pay_waiters_count(service.waiters), 0);
    fake_log.room = 0;
    post(wait5);
    assert_int_equal(request.status, 503);
    assert_int_equal(pay_waiters_count(service.waiters), 0);
    assert_int_equal(service.waits[PAY_WAITED_UNKNOWN], 2);
}

static void who_is_gone_waits_no_more(void **state) {
    (void)state;
    post(wait5);
    pay_routes_gone(&service, &request);
    assert_int_equal(pay_waiters_count(service.waiters), 0);
    assert_false(fake_is_waited_for(0));
    post(wait5);
    fake_acknowledge(1);
    pay_routes_gone(&service, &request);
    assert_int_equal(pay_waiters_count(service.waiters), 0);
    reply(1, "{}");
}

static void a_wait_is_read_as_rfc_7240_says(void **state) {
    (void)state;
    static const struct {
        const char *first, *second, *applied; /* NULL: nobody waits */
    } lines[] = {
        {"wait=1", NULL, "wait=1"},
        {"wait=30", NULL, "wait=30"},
        {"wait=31", NULL, "wait=30"},
        {"wait=99999999999999999999", NULL, "wait=30"},
        {"return=minimal", "wait=3", "wait=3"},
        {"wait=2", "wait=3", "wait=2"},
        {"wait=0", NULL, NULL},
        {"wait=0", "wait=3", NULL},
        {"wait=-1", NULL, NULL},
        {"wait", NULL, NULL},
        {"respond-async", NULL, NULL},
        {"", NULL, NULL},
    };
    for (uint32_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *const headers[] = {"Content-Type",
                                       "application/json",
                                       "Prefer",
                                       lines[i].first,
                                       lines[i].second != NULL ? "prefer" : NULL,
                                       lines[i].second,
                                       NULL};
        post(headers);
        fake_acknowledge(i);
        assert_int_equal(request.answered, lines[i].applied == NULL);
        reply(i, "{}");
        assert_int_equal(request.status, lines[i].applied != NULL ? 200 : 202);
        const char *applied = fake_answer_header(&request, "Preference-Applied");
        assert_string_equal(applied != NULL ? applied : "none", lines[i].applied != NULL ? lines[i].applied : "none");
    }
    assert_int_equal(waited(PAY_WAITED_ANSWERED), 1000 + 6);
}

/* --- known results ------------------------------------------------------------------------------------------------------------ */

/* The worker's reply to a record at 1-0-offset that finds `decision` on file. */
static void decide(int64_t offset, const struct pay_decision *decision, char value[PAY_REPLY_TEXT_MAX + 1]) {
    struct pay_record record = a_record(offset, "o-1", 1, "alice", 5, "EUR");
    struct pay_answer answer;
    strcpy(record.tenant, "default");
    pay_answer_from_decision(&record, decision, &answer);
    value[pay_reply_format(&record, &answer, value, PAY_REPLY_TEXT_MAX)] = '\0';
}

static struct pay_decision decided(enum pay_outcome outcome, enum pay_reason reason) {
    const struct pay_record record = a_record(0, "o-1", 1, "alice", 5, "EUR");
    return a_decision(&record, outcome, reason);
}

static void a_known_decision_is_answered_without_a_new_record(void **state) {
    (void)state;
    char first[PAY_REPLY_TEXT_MAX + 1], second[PAY_REPLY_TEXT_MAX + 1];
    static const struct {
        enum pay_outcome outcome;
        enum pay_reason reason;
    } decisions[] = {
        {PAY_PAID, PAY_REASON_NONE}, {PAY_DECLINED, PAY_INSUFFICIENT_FUNDS}, {PAY_DECLINED, PAY_UNKNOWN_ACCOUNT}};
    config.producer_known_results = true;
    for (uint32_t i = 0; i < 3; i++) {
        const struct pay_decision decision = decided(decisions[i].outcome, decisions[i].reason);
        decide(0, &decision, first);
        reply(0, first);
        decide(4, &decision, second); /* what the log would have said, but that the call has no position of its own */
        char *at = strstr(second, "\"position\":\"1-0-4\"");
        assert_non_null(at);
        memcpy(at, "\"position\":\"1-0-0\"", 18);
        post(json);
        assert_true(request.answered);
        assert_int_equal(request.status, 200);
        assert_string_equal(request.answer, second);
        assert_non_null(strstr(request.answer, "\"duplicate\":true"));
        assert_string_equal(fake_answer_header(&request, "Idempotent-Replayed"), "true");
        assert_null(fake_answer_header(&request, "Preference-Applied"));
        assert_int_equal(service.known_hits, i + 1);
    }
    post(wait5);
    assert_string_equal(fake_answer_header(&request, "Preference-Applied"), "wait=5");
    assert_int_equal(fake_log.count, 0);
    assert_int_equal(service.known_misses, 0);
    assert_int_equal(service.accepted, 0);
}

static void the_answer_has_the_calls_own_metadata_as_a_duplicates_has(void **state) {
    (void)state;
    char value[PAY_REPLY_TEXT_MAX + 1];
    const struct pay_decision decision = decided(PAY_PAID, PAY_REASON_NONE);
    config.producer_known_results = true;
    decide(0, &decision, value);
    reply(0, value);
    post_body(json, "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":5,\"currency\":\"EUR\","
                    "\"metadata\":{\"try\": 2}}");
    assert_int_equal(request.status, 200);
    assert_non_null(strstr(request.answer, "\"metadata\":{\"try\":2}"));
}

static void anything_else_is_for_the_log_to_decide(void **state) {
    (void)state;
    char value[PAY_REPLY_TEXT_MAX + 1];
    const struct pay_decision decision = decided(PAY_PAID, PAY_REASON_NONE);
    static const char *const others[] = {
        "{\"order_id\":\"o-2\",\"account_id\":\"alice\",\"amount_minor\":5,\"currency\":\"EUR\"}",
        "{\"order_id\":\"o-1\",\"attempt\":2,\"account_id\":\"alice\",\"amount_minor\":5,\"currency\":\"EUR\"}",
        "{\"order_id\":\"o-1\",\"account_id\":\"bob\",\"amount_minor\":5,\"currency\":\"EUR\"}",
        "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":6,\"currency\":\"EUR\"}",
        "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":5,\"currency\":\"USD\"}",
    };
    config.producer_known_results = true;
    decide(0, &decision, value);
    reply(0, value);
    for (uint32_t i = 0; i < 5; i++) {
        post_body(json, others[i]);
        assert_int_equal(fake_log.count, i + 1);
        fake_acknowledge(i);
        assert_int_equal(request.status, 202);
    }
    assert_int_equal(service.known_misses, 5);
    assert_int_equal(service.known_hits, 0);
}

static void another_tenants_decision_is_not_told(void **state) {
    (void)state;
    char value[PAY_REPLY_TEXT_MAX + 1];
    const struct pay_decision decision = decided(PAY_PAID, PAY_REASON_NONE);
    struct pay_record record = a_record(0, "o-1", 1, "alice", 5, "EUR"); /* of tenant t */
    struct pay_answer answer;
    config.producer_known_results = true;
    pay_answer_from_decision(&record, &decision, &answer);
    value[pay_reply_format(&record, &answer, value, PAY_REPLY_TEXT_MAX)] = '\0';
    reply(0, value);
    post(json);
    assert_int_equal(fake_log.count, 1);
    fake_acknowledge(0);
}

static void it_is_off_unless_it_was_switched_on(void **state) {
    (void)state;
    char value[PAY_REPLY_TEXT_MAX + 1];
    const struct pay_decision decision = decided(PAY_PAID, PAY_REASON_NONE);
    decide(0, &decision, value);
    reply(0, value);
    post(json);
    fake_acknowledge(0);
    assert_answer(202, ACCEPTED, "none");
    config.producer_known_results = true;
    service.follower = NULL;
    post(json);
    assert_int_equal(fake_log.count, 2);
    fake_acknowledge(1);
    assert_int_equal(service.known_hits + service.known_misses, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(who_waits_gets_the_reply_to_his_own_record),
        TEST(somebody_elses_reply_under_the_same_identity_wakes_nobody),
        TEST(a_reply_that_comes_before_the_acknowledgement_is_kept_for_it),
        TEST(a_reply_that_came_before_and_is_forgotten_makes_it_202_at_once),
        TEST(another_orders_reply_at_the_same_position_is_not_his),
        TEST(when_the_time_is_over_it_is_202),
        TEST(time_that_is_over_before_the_acknowledgement_makes_it_202_then),
        TEST(who_is_cut_short_is_told_202_without_preference_applied),
        TEST(without_a_standing_follower_or_any_nobody_waits),
        TEST(beyond_waiters_max_it_is_202_at_once),
        TEST(a_record_that_is_refused_or_lost_leaves_nobody_waiting),
        TEST(who_is_gone_waits_no_more),
        TEST(a_wait_is_read_as_rfc_7240_says),
        TEST(a_known_decision_is_answered_without_a_new_record),
        TEST(the_answer_has_the_calls_own_metadata_as_a_duplicates_has),
        TEST(anything_else_is_for_the_log_to_decide),
        TEST(another_tenants_decision_is_not_told),
        TEST(it_is_off_unless_it_was_switched_on),
    };
    return cmocka_run_group_tests(tests, fake_start, NULL);
}
