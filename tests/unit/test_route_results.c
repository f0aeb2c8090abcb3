/* GET /v1/results without sockets: what a stream says when, who is woken, and how it ends. The log behind the ring is tests/e2e's. */
#include "tests/unit/unit.h"

#include "fake_follower.h"
#include "fake_intake.h"
#include "producer/streams.h"

#include <stdlib.h>

static struct pay_service service;
static struct pay_config config;
static struct pay_follower follower;
static const struct pay_kafka_options kafka;

static void begin_service(void) {
    fake_service(&service, &config);
    fake_follower_open(&follower);
    follower.answered_below = 0;
    service.follower = &follower;
    service.streams = pay_streams_open(&config, &kafka, &follower);
    assert_non_null(service.streams);
}

static void end_service(void) {
    pay_streams_drain(service.streams);
    pay_streams_close(service.streams);
    fake_follower_close(&follower);
    fake_service_close(&service);
}

static struct pay_http_request *ask(const char *query, const char *last_id) {
    struct pay_http_request *request = malloc(sizeof *request);
    const char *const headers[] = {"Last-Event-ID", last_id, NULL};
    assert_non_null(request);
    fake_request(request, "GET", "/v1/results", last_id != NULL ? headers : NULL);
    request->query = query;
    fake_serve(&service, request, "", 0, 0);
    return request;
}

/* What comes now, `size` bytes at a time. */
static const char *read_more(struct pay_http_request *request, size_t size) {
    request->answer_length = 0;
    request->answer[0] = '\0';
    fake_read(request, size);
    return request->answer;
}

static void hang_up(struct pay_http_request *request) {
    if (request->has_source) fake_release(request);
    free(request);
}

static void reply_of(const char *tenant, const char *account, const char *outcome, int64_t source, int64_t covers) {
    char value[600], numbers[2][21];
    pay_decimal_format(source, numbers[0]);
    pay_decimal_format(covers, numbers[1]);
    int length = snprintf(
        value, sizeof value,
        "{\"schema\":1,\"tenant\":\"%s\",\"order_id\":\"o\",\"attempt\":1,\"outcome\":\"%s\",\"reason\":null,"
        "\"duplicate\":false,"
        "\"account_id\":\"%s\",\"amount_minor\":1,\"currency\":\"EUR\",\"balance_after_minor\":1,\"account_version\":2,"
        "\"position\":\"1-0-%s\",\"original\":\"1-0-%s\",\"decided_at\":\"2026-11-21T12:00:00.000000Z\",\"stored\":"
        "null,"
        "\"metadata\":null}",
        tenant, outcome, account, numbers[0], numbers[0]);
    const struct pay_header headers[] = {{"source-offset", numbers[0], strlen(numbers[0])},
                                         {"covers-from", numbers[1], strlen(numbers[1])},
                                         {"log-generation", "1", 1},
                                         {"ledger-id", "x", 1}};
    const struct pay_log_record record = {.key = "o",
                                          .key_length = 1,
                                          .value = value,
                                          .value_length = (size_t)length,
                                          .headers = headers,
                                          .header_count = 4};
    const struct pay_follower_reply reply = {.source = {1, 0, source}, .record = &record};
    follower.answered_below = source + 1;
    for (struct pay_follower_subscription *at = follower.subscriptions; at != NULL; at = at->next)
        at->taken(at->argument, &reply);
}

static void reply(int64_t source) { reply_of("default", "alice", "paid", source, source); }

static size_t count_of(const char *text, const char *word) {
    size_t count = 0;
    while ((text = strstr(text, word)) != NULL) count++, text++;
    return count;
}

/* The last id that was said. */
static void last_id(const struct pay_http_request *request, char *ret_id, size_t size) {
    const char *at = request->answer, *next;
    while ((next = strstr(at, "\nid: ")) != NULL) at = next + 5;
    snprintf(ret_id, size, "%.*s", (int)strcspn(at, "\n"), at);
}

static void a_stream_begins_with_its_id_and_gives_each_result_with_the_next(void **unused) {
    (void)unused;
    begin_service();
    struct pay_http_request *request = ask(NULL, NULL);
    assert_int_equal(request->status, 200);
    assert_string_equal(fake_answer_header(request, "Content-Type"), "text/event-stream");
    const char *text = read_more(request, 7);
    assert_int_equal(strncmp(text, "retry: 2000\nid: ", 16), 0);
    assert_int_equal(count_of(text, "event:"), 0);
    reply(0);
    assert_true(request->flow.woken);
    reply(1);
    text = read_more(request, 100);
    assert_int_equal(count_of(text, "event: paid\nid: "), 2);
    assert_int_equal(count_of(text, "\ndata: {\"schema\":1,"), 2);
    assert_string_equal(text + strlen(text) - 3, "}\n\n");
    assert_string_equal(read_more(request, 100), "");
    hang_up(request);
    end_service();
}

static void it_goes_on_behind_the_id_that_it_is_given(void **unused) {
    (void)unused;
    char id[200];
    begin_service();
    struct pay_http_request *first = ask(NULL, NULL);
    reply(0);
    reply(1);
    read_more(first, 4096);
    last_id(first, id, sizeof id);
    reply(2);
    struct pay_http_request *second = ask(NULL, id);
    assert_int_equal(count_of(read_more(second, 4096), "\"position\":\"1-0-2\""), 1);
    assert_int_equal(count_of(second->answer, "event:"), 1);
    hang_up(first);
    hang_up(second);
    end_service();
}

static void who_is_shown_nothing_isnt_woken(void **unused) {
    (void)unused;
    char begin[200], later[200];
    begin_service();
    struct pay_http_request *request = ask("account_id=bob&outcome=paid,declined", NULL);
    read_more(request, 4096);
    last_id(request, begin, sizeof begin);
    reply_of("default", "alice", "paid", 0, 0);
    reply_of("default", "bob", "conflict", 1, 1);
    reply_of("other", "bob", "paid", 2, 2);
    assert_false(request->flow.woken);
    reply_of("default", "bob", "declined", 3, 3);
    assert_true(request->flow.woken);
    assert_int_equal(count_of(read_more(request, 4096), "event: declined\n"), 1);
    last_id(request, later, sizeof later);
    assert_string_not_equal(begin, later);
    hang_up(request);
    end_service();
}

static void a_stream_ends_at_a_gap_and_says_so(void **unused) {
    (void)unused;
    begin_service();
    struct pay_http_request *request = ask(NULL, NULL);
    read_more(request, 4096);
    reply(0);
    reply_of("default", "alice", "paid", 9, 9);
    const char *text = read_more(request, 4096);
    assert_int_equal(count_of(text, "event:"), 1);
    assert_int_equal(count_of(text, ": replies were missed; go on with the last id\nretry: "), 1);
    assert_false(request->has_source);
    hang_up(request);
    end_service();
}

static void who_falls_behind_the_ring_is_ended_or_cut(void **unused) {
    (void)unused;
    begin_service();
    config.producer_results_stream_bytes = 4096;
    struct pay_http_request *reader = ask(NULL, NULL), *stuck = ask(NULL, NULL);
    read_more(reader, 4096);
    for (int64_t source = 0; source < 50; source++) reply(source); /* neither takes anything meanwhile */
    const char *text = read_more(reader, 4096);
    assert_int_equal(count_of(text, "event:"), 1); /* the one that woke it */
    assert_int_equal(count_of(text, ": too far behind; go on with the last id\n"), 1);
    pay_streams_tick(service.streams);
    assert_true(stuck->flow.cut);
    assert_false(reader->flow.cut);
    hang_up(reader);
    hang_up(stuck);
    end_service();
}

static void stopping_ends_every_stream_with_its_id(void **unused) {
    (void)unused;
    begin_service();
    struct pay_http_request *request = ask(NULL, NULL);
    read_more(request, 4096);
    pay_streams_drain(service.streams);
    assert_true(request->flow.woken);
    const char *text = read_more(request, 5);
    assert_int_equal(strncmp(text, ": this server is shutting down\nretry: ", 38), 0);
    assert_int_equal(count_of(text, "\nid: "), 1);
    assert_false(request->has_source);
    hang_up(request);
    struct pay_http_request *late = ask(NULL, NULL);
    assert_int_equal(late->status, 503);
    assert_non_null(fake_answer_header(late, "Retry-After"));
    free(late);
    end_service();
}

static void no_more_streams_than_allowed_and_none_without_a_follower(void **unused) {
    (void)unused;
    begin_service();
    config.producer_results_streams_max = 1;
    struct pay_http_request *request = ask(NULL, NULL), *second = ask(NULL, NULL);
    assert_int_equal(request->status, 200);
    assert_int_equal(second->status, 503);
    hang_up(request);
    free(second);
    struct pay_streams *streams = service.streams;
    service.streams = NULL;
    second = ask(NULL, NULL);
    assert_int_equal(second->status, 501);
    free(second);
    service.streams = streams;
    end_service();
}

static void a_stream_waits_until_it_is_known_where_the_log_is(void **unused) {
    (void)unused;
    begin_service();
    follower.answered_below = -1;
    struct pay_http_request *request = ask(NULL, NULL);
    assert_false(request->answered);
    reply(7);
    assert_true(request->answered);
    assert_int_equal(count_of(read_more(request, 4096), "event:"), 0); /* that one was before */
    reply(8);
    assert_int_equal(count_of(read_more(request, 4096), "event:"), 1);
    hang_up(request);
    end_service();
}

static void what_isnt_understood_is_refused(void **unused) {
    (void)unused;
    static const char *const queries[] = {"outcome=payed", "account_id=a%20b", "account=alice", "last_event_id=1",
                                          "outcome=paid&outcome=paid"};
    begin_service();
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct pay_http_request *request = ask(queries[i], NULL);
        assert_int_equal(request->status, 400);
        free(request);
    }
    struct pay_http_request *request = ask(NULL, "not an id");
    assert_int_equal(request->status, 400);
    free(request);
    end_service();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_begins_with_its_id_and_gives_each_result_with_the_next),
        cmocka_unit_test(it_goes_on_behind_the_id_that_it_is_given),
        cmocka_unit_test(who_is_shown_nothing_isnt_woken),
        cmocka_unit_test(a_stream_ends_at_a_gap_and_says_so),
        cmocka_unit_test(who_falls_behind_the_ring_is_ended_or_cut),
        cmocka_unit_test(stopping_ends_every_stream_with_its_id),
        cmocka_unit_test(no_more_streams_than_allowed_and_none_without_a_follower),
        cmocka_unit_test(a_stream_waits_until_it_is_known_where_the_log_is),
        cmocka_unit_test(what_isnt_understood_is_refused),
    };
    return cmocka_run_group_tests(tests, fake_start, NULL);
}
