/* test_route_batch.c - a payment per line: each its own fate and its own answer, in order, however the bytes come. */
#include "fake_intake.h"
#include "producer/route_batch.h"
#include "unit.h"

#include <jansson.h>

#define REST "\"account_id\":\"alice\",\"amount_minor\":5,\"currency\":\"EUR\"}"
#define LINE(id) "{\"order_id\":\"" id "\"," REST

static const char *const ndjson[] = {"Content-Type", "application/x-ndjson", NULL};
static struct pay_service service;
static struct pay_config config;
static struct pay_http_request request;
static json_t *lines[FAKE_RECORDS_MAX];
static size_t line_count;

static int begin(void **state) {
    (void)state;
    fake_service(&service, &config);
    line_count = 0;
    return 0;
}

static int end(void **state) {
    (void)state;
    for (size_t i = 0; i < line_count; i++) json_decref(lines[i]);
    if (request.has_source) fake_read(&request, 100);
    fake_service_close(&service);
    return service.batches != 0;
}

static void send(const char *body, size_t piece) {
    fake_request(&request, "POST", "/v1/payments:batch", ndjson);
    fake_serve(&service, &request, body, strlen(body), piece);
}

static void acknowledge_all(void) {
    for (uint32_t i = 0; i < fake_log.count; i++) fake_acknowledge(i);
}

static void read_answer(size_t size) {
    assert_true(request.answered);
    assert_int_equal(request.status, 200);
    assert_string_equal(fake_answer_header(&request, "Content-Type"), "application/x-ndjson");
    fake_read(&request, size);
    for (char *at = request.answer; *at != '\0'; at = strchr(at, '\n') + 1) {
        assert_true(line_count < FAKE_RECORDS_MAX);
        lines[line_count] = json_loadb(at, (size_t)(strchr(at, '\n') - at), JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(lines[line_count++]);
    }
}

static void assert_line(size_t index, int number, int status, const char *code, const char *order_id,
                        const char *position) {
    assert_true(index < line_count);
    const json_t *line = lines[index], *id = json_object_get(line, "order_id"), *at = json_object_get(line, "position");
    assert_int_equal(json_integer_value(json_object_get(line, "line")), number);
    assert_int_equal(json_integer_value(json_object_get(line, "status")), status);
    assert_string_equal(json_string_value(json_object_get(line, "code")), code);
    assert_int_equal(json_is_null(id), order_id == NULL);
    if (order_id != NULL) assert_string_equal(json_string_value(id), order_id);
    assert_int_equal(json_is_null(at), position == NULL);
    if (position != NULL) assert_string_equal(json_string_value(at), position);
}

static void each_line_is_a_record_and_an_answer_in_the_same_order(void **state) {
    (void)state;
    send(LINE("a") "\n" LINE("b") "\n" LINE("c") "\n", 1000);
    assert_int_equal(fake_log.count, 3);
    assert_false(request.answered);
    fake_acknowledge(2);
    fake_acknowledge(0);
    assert_false(request.answered);
    fake_acknowledge(1);
    read_answer(100);
    assert_int_equal(line_count, 3);
    assert_line(0, 1, 202, "accepted", "a", "1-0-0");
    assert_line(1, 2, 202, "accepted", "b", "1-0-1");
    assert_line(2, 3, 202, "accepted", "c", "1-0-2");
    assert_int_equal(service.accepted, 3);
}

static void the_last_line_is_waited_for_whichever_it_is(void **state) {
    (void)state;
    for (uint32_t last = 0; last < 3; last++) {
        fake_log.count = 0;
        fake_request(&request, "POST", "/v1/payments:batch", ndjson);
        pay_routes_head(&service, &request);
        pay_routes_piece(&service, &request, LINE("a") "\n" LINE("b") "\n" LINE("c") "\n", 3 * sizeof LINE("a"));
        for (uint32_t i = 0; i < 3; i++)
            if (i != last) fake_acknowledge(i);
        pay_routes_complete(&service, &request);
        assert_false(request.answered);
        fake_acknowledge(last);
        assert_true(request.answered);
        fake_read(&request, 100);
    }
}

static void however_the_bytes_come_it_is_the_same(void **state) {
    (void)state;
    static char first[FAKE_TEXT_MAX];
    for (size_t piece = 1; piece < 200; piece += piece < 12 ? 1 : 17) {
        fake_log.count = 0;
        send("\r\n" LINE("a") "\r\n\n  " LINE("b") " \n{]\n" LINE("c"), piece);
        acknowledge_all();
        assert_int_equal(fake_log.count, 3);
        assert_true(request.answered);
        fake_read(&request, piece); /* and however they go */
        if (piece == 1)
            strcpy(first, request.answer);
        else
            assert_string_equal(request.answer, first);
    }
}

static void blank_lines_have_no_answer_and_the_last_newline_may_be_missing(void **state) {
    (void)state;
    send("\n\n" LINE("a") "\n \t\r\n" LINE("b"), 7);
    acknowledge_all();
    read_answer(100);
    assert_int_equal(line_count, 2);
    assert_line(0, 3, 202, "accepted", "a", "1-0-0");
    assert_line(1, 5, 202, "accepted", "b", "1-0-1");
}

static void a_bad_line_doesnt_stop_the_others(void **state) {
    (void)state;
    send(
        LINE(
            "a") "\nnonsense\n{\"order_id\":\"x\",\"account_id\":\"alice\",\"amount_minor\":1.5,\"currency\":\"EUR\"}\n"
                 "{" REST "\n" LINE("b"),
        1000);
    acknowledge_all();
    read_answer(100);
    assert_int_equal(line_count, 5);
    assert_line(0, 1, 202, "accepted", "a", "1-0-0");
    assert_line(1, 2, 400, "malformed_json", NULL, NULL);
    assert_line(2, 3, 400, "bad_field", "x", NULL);
    assert_line(3, 4, 400, "bad_field", NULL, NULL);
    assert_line(4, 5, 202, "accepted", "b", "1-0-1");
    const json_t *error = json_array_get(json_object_get(lines[2], "errors"), 0);
    assert_string_equal(json_string_value(json_object_get(error, "pointer")), "/amount_minor");
    assert_true(json_is_false(json_object_get(lines[2], "retryable")));
    assert_true(json_string_length(json_object_get(lines[1], "detail")) > 0);
}

static void a_budget_that_is_full_in_the_middle_refuses_those_lines_only(void **state) {
    (void)state;
    fake_log.room = 2;
    send(LINE("a") "\n" LINE("b") "\n" LINE("c") "\n" LINE("d") "\n", 90);
    acknowledge_all();
    read_answer(100);
    assert_line(1, 2, 202, "accepted", "b", "1-0-1");
    assert_line(2, 3, 503, "not_accepted", "c", NULL);
    assert_line(3, 4, 503, "not_accepted", "d", NULL);
    assert_true(json_is_true(json_object_get(lines[3], "retryable")));
    assert_int_equal(fake_log.count, 2);
}

static void a_line_whose_record_is_lost_is_unknown(void **state) {
    (void)state;
    send(LINE("a") "\n" LINE("b") "\n", 1000);
    fake_acknowledge(0);
    fake_lose(1);
    read_answer(100);
    assert_line(0, 1, 202, "accepted", "a", "1-0-0");
    assert_line(1, 2, 504, "outcome_unknown", "b", NULL);
}

static char *long_line(size_t length) {
    char *line = malloc(length + 1);
    assert_non_null(line);
    memset(line, ' ', length);
    memcpy(line, LINE("long"), sizeof LINE("long") - 2);
    line[length - 1] = '}';
    line[length] = '\0';
    return line;
}

static void a_line_of_8192_bytes_is_taken_and_a_longer_one_isnt(void **state) {
    (void)state;
    char *fits = long_line(8192), *doesnt = long_line(8193), *huge = long_line(20000), *body = malloc(64000);
    char blanks[9001];
    snprintf(blanks, sizeof blanks, "%9000s", "");
    for (size_t piece = 500; piece <= 64000; piece *= 2) {
        line_count = 0;
        fake_log.count = 0;
        snprintf(body, 64000, "%s\r\n%s\n%s\n%s\n%s%s\n", fits, doesnt, huge, LINE("a"), LINE("b"), blanks);
        send(body, piece);
        acknowledge_all();
        read_answer(100);
        assert_int_equal(line_count, 5);
        assert_line(4, 5, 413, "too_large", NULL, NULL);
        assert_line(0, 1, 202, "accepted", "long", "1-0-0");
        assert_line(1, 2, 413, "too_large", NULL, NULL);
        assert_line(2, 3, 413, "too_large", NULL, NULL);
        assert_line(3, 4, 202, "accepted", "a", "1-0-1");
        for (size_t i = 0; i < line_count; i++) json_decref(lines[i]);
    }
    line_count = 0;
    free(fits);
    free(doesnt);
    free(huge);
    free(body);
}

static void beyond_the_lines_allowed_one_answer_says_from_where_on(void **state) {
    (void)state;
    config.producer_batch_lines_max = 2;
    send(LINE("a") "\n" LINE("b") "\n\n" LINE("c") "\n" LINE("d") "\n", 40);
    acknowledge_all();
    read_answer(100);
    assert_int_equal(line_count, 3);
    assert_line(2, 4, 413, "too_large", NULL, NULL);
    assert_int_equal(fake_log.count, 2);
    assert_true(request.enough);
}

static void exactly_the_lines_allowed_are_fine(void **state) {
    (void)state;
    config.producer_batch_lines_max = 2;
    send(LINE("a") "\n" LINE("b") "\n\n", 40);
    acknowledge_all();
    read_answer(100);
    assert_int_equal(line_count, 2);
}

static void beyond_the_bytes_allowed_one_answer_says_from_where_on(void **state) {
    (void)state;
    const size_t size = sizeof LINE("a"); /* with its newline */
    config.producer_batch_bytes_max = (int64_t)(2 * size + 10);
    for (size_t piece = 7; piece < 400; piece += 31) {
        line_count = 0;
        fake_log.count = 0;
        send(LINE("a") "\n" LINE("b") "\n" LINE("c") "\n" LINE("d") "\n", piece);
        acknowledge_all();
        read_answer(100);
        assert_int_equal(line_count, 3);
        assert_line(2, 3, 413, "too_large", NULL, NULL);
        assert_int_equal(fake_log.count, 2);
        for (size_t i = 0; i < line_count; i++) json_decref(lines[i]);
    }
    line_count = 0;
}

static void many_bad_lines_keep_their_codes_but_not_all_their_details(void **state) {
    (void)state;
    static char body[200 * 16 + 1];
    body[0] = '\0';
    for (int i = 0; i < 200; i++) strcat(body, "{\"order_id\":1}\n");
    send(body, 1000);
    read_answer(1000);
    assert_int_equal(line_count, 200);
    assert_non_null(json_object_get(lines[PAY_BATCH_DETAILS_MAX - 1], "errors"));
    assert_null(json_object_get(lines[PAY_BATCH_DETAILS_MAX], "errors"));
    for (int i = 0; i < 200; i++) assert_line((size_t)i, i + 1, 400, "bad_field", NULL, NULL);
}

static void a_batch_without_a_line_is_refused(void **state) {
    (void)state;
    static const char *const bodies[] = {"", "\n", " \r\n\n"};
    for (size_t i = 0; i < 3; i++) {
        send(bodies[i], 100);
        assert_int_equal(request.status, 400);
        assert_non_null(strstr(request.answer, "malformed_json"));
    }
}

static void an_idempotency_key_makes_no_sense_for_many(void **state) {
    (void)state;
    fake_request(&request, "POST", "/v1/payments:batch",
                 (const char *const[]){"Content-Type", "application/x-ndjson", "Idempotency-Key", "a", NULL});
    fake_serve(&service, &request, LINE("a"), sizeof LINE("a") - 1, 10);
    assert_int_equal(request.status, 400);
    assert_int_equal(fake_log.count, 0);
}

static void too_many_batches_at_once_are_refused_before_they_are_read(void **state) {
    (void)state;
    config.producer_batches_max = 1;
    service.batches = 1;
    send(LINE("a") "\n", 10);
    assert_int_equal(request.status, 503);
    assert_non_null(strstr(request.answer, "not_accepted"));
    assert_non_null(fake_answer_header(&request, "Retry-After"));
    assert_int_equal(fake_log.count, 0);
    service.batches = 0;
}

static void a_client_that_hangs_up_in_the_middle_leaves_its_records_on_their_way(void **state) {
    (void)state;
    fake_request(&request, "POST", "/v1/payments:batch", ndjson);
    pay_routes_head(&service, &request);
    assert_true(pay_routes_piece(&service, &request, LINE("a") "\n" LINE("b") "\n{\"or", sizeof LINE("a") * 2 + 5));
    fake_acknowledge(0);
    assert_int_equal(service.batches, 1);
    pay_routes_gone(&service, &request);
    assert_false(fake_is_waited_for(1));
    fake_acknowledge(1);
    assert_false(request.answered);
    assert_int_equal(service.batches, 0);
}

static void a_client_that_hangs_up_while_it_waits_does_too(void **state) {
    (void)state;
    send(LINE("a") "\n" LINE("b") "\n", 1000);
    fake_acknowledge(0);
    pay_routes_gone(&service, &request);
    assert_false(fake_is_waited_for(1));
}

static void a_client_that_never_comes_to_send_costs_nothing(void **state) {
    (void)state;
    fake_request(&request, "POST", "/v1/payments:batch", ndjson);
    pay_routes_head(&service, &request);
    pay_routes_gone(&service, &request);
    assert_int_equal(service.batches, 0);
}

static void every_line_counts_against_the_quota(void **state) {
    (void)state;
    fake_keys(&service, "k acme pay be2974546978e3739e6d6da85c4be9f334ce32df2b9fd4b6ff1b55c0d57e9d44 rate=1 burst=2\n");
    fake_request(&request, "POST", "/v1/payments:batch",
                 (const char *const[]){"Content-Type", "application/x-ndjson", "Authorization", "Bearer key-1", NULL});
    static const char body[] = LINE("a") "\n" LINE("b") "\n" LINE("c") "\n";
    fake_serve(&service, &request, body, sizeof body - 1, 1000);
    acknowledge_all();
    read_answer(100);
    assert_line(1, 2, 202, "accepted", "b", "1-0-1");
    assert_line(2, 3, 429, "quota_exceeded", "c", NULL);
    assert_string_equal(fake_log.records[1].tenant, "acme");
}

static void lines_of_a_large_batch_are_appended_in_bulk(void **state) {
    (void)state;
    static const char *const announced[] = {"65535", "65536"};
    for (int large = 0; large < 2; large++) {
        fake_log.count = 0;
        fake_request(
            &request, "POST", "/v1/payments:batch",
            (const char *const[]){"Content-Type", "application/x-ndjson", "Content-Length", announced[large], NULL});
        fake_serve(&service, &request, LINE("a") "\n", sizeof LINE("a"), 1000);
        assert_int_equal(fake_log.records[0].bulk, large);
        acknowledge_all();
        fake_read(&request, 100);
    }
}

static void lines_of_a_batch_in_chunks_are_from_where_it_is_large(void **state) {
    (void)state;
    static const char line[] = LINE("a") "\n";
    static char body[2 * sizeof line + 65536];
    memset(body, '\n', sizeof body);
    memcpy(body, line, sizeof line - 1);
    memcpy(body + sizeof body - sizeof line, line, sizeof line - 1);
    fake_request(&request, "POST", "/v1/payments:batch", ndjson);
    fake_serve(&service, &request, body, sizeof body, 8192);
    assert_int_equal(fake_log.count, 2);
    assert_false(fake_log.records[0].bulk);
    assert_true(fake_log.records[1].bulk);
    acknowledge_all();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_line_is_a_record_and_an_answer_in_the_same_order),
        TEST(the_last_line_is_waited_for_whichever_it_is),
        TEST(however_the_bytes_come_it_is_the_same),
        TEST(blank_lines_have_no_answer_and_the_last_newline_may_be_missing),
        TEST(a_bad_line_doesnt_stop_the_others),
        TEST(a_budget_that_is_full_in_the_middle_refuses_those_lines_only),
        TEST(a_line_whose_record_is_lost_is_unknown),
        TEST(a_line_of_8192_bytes_is_taken_and_a_longer_one_isnt),
        TEST(beyond_the_lines_allowed_one_answer_says_from_where_on),
        TEST(exactly_the_lines_allowed_are_fine),
        TEST(beyond_the_bytes_allowed_one_answer_says_from_where_on),
        TEST(many_bad_lines_keep_their_codes_but_not_all_their_details),
        TEST(a_batch_without_a_line_is_refused),
        TEST(an_idempotency_key_makes_no_sense_for_many),
        TEST(too_many_batches_at_once_are_refused_before_they_are_read),
        TEST(a_client_that_hangs_up_in_the_middle_leaves_its_records_on_their_way),
        TEST(a_client_that_hangs_up_while_it_waits_does_too),
        TEST(a_client_that_never_comes_to_send_costs_nothing),
        TEST(every_line_counts_against_the_quota),
        TEST(lines_of_a_large_batch_are_appended_in_bulk),
        TEST(lines_of_a_batch_in_chunks_are_from_where_it_is_large),
    };
    return cmocka_run_group_tests(tests, fake_start, NULL);
}
