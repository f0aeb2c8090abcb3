/* The listener: the reader's rule over generations, gaps, repeats, restarts; and the headers of a reply. */
#include "unit.h"

#include "core/position.h"
#include "listener/listener_rule.h"

#define LEDGER "d03dbc18-12e4-46be-9a87-433a64143dd2"

/* A reply record with its headers. */
struct sample {
    struct pay_log_record record;
    struct pay_header headers[4];
    char source[21], covers[21], generation[21];
};

static struct pay_log_record *make(struct sample *sample, int64_t log_offset, int64_t generation, int64_t covers_from,
                                   int64_t source_offset) {
    sample->headers[0] =
        (struct pay_header){"source-offset", sample->source, pay_decimal_format(source_offset, sample->source)};
    sample->headers[1] =
        (struct pay_header){"covers-from", sample->covers, pay_decimal_format(covers_from, sample->covers)};
    sample->headers[2] =
        (struct pay_header){"log-generation", sample->generation, pay_decimal_format(generation, sample->generation)};
    sample->headers[3] = (struct pay_header){"ledger-id", LEDGER, sizeof LEDGER - 1};
    sample->record =
        (struct pay_log_record){.partition = 0, .offset = log_offset, .headers = sample->headers, .header_count = 4};
    return &sample->record;
}

static struct pay_listener_rule rule;
static int64_t rewind_to;

static enum pay_listener_move take(int64_t log_offset, int64_t generation, int64_t covers_from, int64_t source_offset) {
    struct sample sample;
    struct pay_reply_headers headers;
    return pay_listener_rule_take(&rule, make(&sample, log_offset, generation, covers_from, source_offset), &headers,
                                  &rewind_to);
}

static void begin_at(int64_t next) {
    struct pay_reader first;
    pay_listener_rule_free(&rule);
    pay_reader_start_at(&first, next);
    pay_listener_rule_add(&rule, &first, 0);
}

/* Store the positions, forget everything, begin from them. */
static void restart(void) {
    struct paybuf_listener_position positions[4];
    char ledger_id[PAY_LEDGER_ID_TEXT_MAX];
    size_t count = pay_listener_rule_positions(&rule, positions, 4);
    memcpy(ledger_id, rule.ledger_id, sizeof ledger_id);
    assert_in_range(count, 1, 4);
    pay_listener_rule_free(&rule);
    memcpy(rule.ledger_id, ledger_id, sizeof ledger_id);
    assert_non_null(pay_listener_rule_restore(&rule, positions, count));
}

static void replies_are_taken_once_and_repeats_dropped(void **state) {
    (void)state;
    begin_at(0);
    assert_int_equal(take(0, 1, 0, 0), PAY_LISTENER_TAKE);
    assert_int_equal(take(1, 1, 1, 1), PAY_LISTENER_TAKE);
    assert_int_equal(take(2, 1, 0, 0), PAY_LISTENER_DROP);
    assert_int_equal(take(3, 1, 0, 1), PAY_LISTENER_DROP);
    assert_int_equal(take(4, 1, 2, 5), PAY_LISTENER_TAKE); /* a hole in the request log */
    assert_int_equal(rule.counts.taken, 3);
    assert_int_equal(rule.counts.dropped, 2);
}

static void a_restart_goes_on_where_it_ended(void **state) {
    (void)state;
    begin_at(0);
    take(0, 1, 0, 0);
    take(1, 1, 1, 1);
    restart();
    assert_int_equal(rule.lanes[0].reply_offset, 2);
    assert_int_equal(take(2, 1, 1, 1), PAY_LISTENER_DROP);
    assert_int_equal(take(3, 1, 2, 2), PAY_LISTENER_TAKE);
}

static void a_gap_holds_the_lane_until_it_is_published_again(void **state) {
    (void)state;
    begin_at(0);
    take(0, 1, 0, 0);
    assert_int_equal(take(1, 1, 3, 3), PAY_LISTENER_GAP);
    assert_int_equal(take(2, 1, 4, 4), PAY_LISTENER_DROP); /* one alarm per gap */
    assert_int_equal(pay_listener_rule_open_gaps(&rule), 1);
    assert_int_equal(take(3, 1, 1, 1), PAY_LISTENER_TAKE);
    assert_int_equal(take(4, 1, 2, 2), PAY_LISTENER_TAKE_AND_REWIND);
    assert_int_equal(rewind_to, 1);
    assert_int_equal(take(1, 1, 3, 3), PAY_LISTENER_TAKE); /* read again */
    assert_int_equal(take(2, 1, 4, 4), PAY_LISTENER_TAKE);
    assert_int_equal(take(3, 1, 1, 1), PAY_LISTENER_DROP);
    assert_int_equal(pay_listener_rule_open_gaps(&rule), 0);
}

static void a_restart_reads_what_lies_behind_an_open_gap_again(void **state) {
    (void)state;
    begin_at(0);
    take(0, 1, 0, 0);
    take(1, 1, 3, 3);
    take(2, 1, 4, 4);
    restart();
    assert_int_equal(rule.lanes[0].reply_offset, 1);
    assert_int_equal(take(1, 1, 3, 3), PAY_LISTENER_GAP);
}

static void each_generation_has_its_own_integer(void **state) {
    (void)state;
    begin_at(0);
    take(0, 1, 0, 0);
    take(1, 1, 1, 9);
    assert_int_equal(take(2, 2, 0, 0), PAY_LISTENER_TAKE); /* begins at 0 again */
    assert_int_equal(take(3, 1, 0, 5), PAY_LISTENER_DROP); /* a zombie of the old one */
    assert_int_equal(take(4, 1, 10, 10), PAY_LISTENER_TAKE);
    restart();
    assert_int_equal(take(5, 2, 1, 1), PAY_LISTENER_TAKE);
    assert_int_equal(take(6, 1, 10, 10), PAY_LISTENER_DROP);
}

static void a_start_in_the_middle_survives_a_restart_before_and_after_its_first_reply(void **state) {
    (void)state;
    struct pay_reader first;
    pay_listener_rule_free(&rule);
    pay_reader_start_in_the_middle(&first, 100);
    pay_listener_rule_add(&rule, &first, 50);
    restart();
    assert_int_equal(rule.lanes[0].reply_offset, 50);
    assert_int_equal(take(50, 1, 3, 7), PAY_LISTENER_TAKE); /* a zombie's repeat */
    restart();
    assert_int_equal(take(51, 1, 90, 90), PAY_LISTENER_TAKE); /* a jump, not a gap: not synced yet */
    assert_int_equal(rule.counts.resyncs, 1);
    assert_int_equal(take(52, 1, 91, 100), PAY_LISTENER_TAKE);
    restart();
    assert_int_equal(take(53, 1, 105, 105), PAY_LISTENER_GAP);
}

static void other_ledgers_and_strange_records_are_left_out(void **state) {
    (void)state;
    struct sample sample;
    struct pay_reply_headers headers;
    begin_at(0);
    take(0, 1, 0, 0);
    struct pay_log_record *record = make(&sample, 1, 1, 1, 1);
    sample.headers[3] = (struct pay_header){"ledger-id", "another", 7};
    assert_int_equal(pay_listener_rule_take(&rule, record, &headers, &rewind_to), PAY_LISTENER_FOREIGN);
    record = make(&sample, 2, 1, 1, 1);
    record->header_count = 3;
    assert_int_equal(pay_listener_rule_take(&rule, record, &headers, &rewind_to), PAY_LISTENER_SKIP);
    assert_int_equal(take(3, 1, 1, 1), PAY_LISTENER_TAKE);
}

static void a_reply_says_which_n_it_replaces_and_its_row_replaces_that_of_its_generation(void **state) {
    (void)state;
    struct paybuf_listener_position position;
    begin_at(0);
    take(0, 1, 0, 3);
    take(1, 1, 4, 9);
    const struct pay_listener_reader *reader = pay_listener_rule_reader(&rule.lanes[0], 1);
    position = pay_listener_rule_position(&rule.lanes[0], reader);
    assert_int_equal(reader->replaced, 4);
    assert_int_equal(position.generation, 1);
    assert_int_equal(position.next, 10);
    assert_int_equal(position.reply_offset, 2);
    take(2, 1, 4, 9); /* a copy moves nothing */
    assert_int_equal(reader->replaced, 4);
}

static void rows_of_several_generations_read_on_where_the_latest_says(void **state) {
    (void)state;
    const struct paybuf_listener_position rows[] = {{2, 0, 5, 70, 0}, {1, 0, 9, 1000, 0}}; /* the log was made anew */
    pay_listener_rule_free(&rule);
    assert_non_null(pay_listener_rule_restore(&rule, rows, 2));
    assert_int_equal(rule.lanes[0].reply_offset, 70);
    assert_int_equal(take(70, 1, 0, 8), PAY_LISTENER_DROP);
    assert_int_equal(take(71, 2, 5, 5), PAY_LISTENER_TAKE);
}

static void headers_are_ours_only_when_all_four_are_there_once_and_well_formed(void **state) {
    (void)state;
    struct sample sample;
    struct pay_reply_headers headers;
    assert_true(pay_reply_headers_read(make(&sample, 0, 2, 3, 4), &headers));
    assert_int_equal(headers.source_offset, 4);
    assert_int_equal(headers.covers_from, 3);
    assert_int_equal(headers.log_generation, 2);
    assert_string_equal(headers.ledger_id, LEDGER);
    assert_false(pay_reply_headers_read(make(&sample, 0, 0, 3, 4), &headers)); /* generations begin at 1 */
    for (size_t i = 0; i < 4; i++) {
        make(&sample, 0, 1, 3, 4);
        sample.headers[i].value = NULL;
        assert_false(pay_reply_headers_read(&sample.record, &headers));
        make(&sample, 0, 1, 3, 4);
        sample.headers[i].length = 0;
        assert_false(pay_reply_headers_read(&sample.record, &headers));
        make(&sample, 0, 1, 3, 4);
        sample.headers[i].name = "else";
        assert_false(pay_reply_headers_read(&sample.record, &headers));
        make(&sample, 0, 1, 3, 4);
        sample.headers[i] = sample.headers[(i + 1) % 4]; /* twice */
        assert_false(pay_reply_headers_read(&sample.record, &headers));
    }
}

static int release(void **state) {
    (void)state;
    pay_listener_rule_free(&rule);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_taken_once_and_repeats_dropped),
        cmocka_unit_test(a_restart_goes_on_where_it_ended),
        cmocka_unit_test(a_gap_holds_the_lane_until_it_is_published_again),
        cmocka_unit_test(a_restart_reads_what_lies_behind_an_open_gap_again),
        cmocka_unit_test(each_generation_has_its_own_integer),
        cmocka_unit_test(a_start_in_the_middle_survives_a_restart_before_and_after_its_first_reply),
        cmocka_unit_test(other_ledgers_and_strange_records_are_left_out),
        cmocka_unit_test(a_reply_says_which_n_it_replaces_and_its_row_replaces_that_of_its_generation),
        cmocka_unit_test(rows_of_several_generations_read_on_where_the_latest_says),
        cmocka_unit_test(headers_are_ours_only_when_all_four_are_there_once_and_well_formed),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
