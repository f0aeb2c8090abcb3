/* The listener: the reader's rule over generations, gaps, repeats, restarts; and the headers of a reply. */
#include "unit.h"

#include "core/position.h"
#include "tools/listener.h"

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

static struct listener listener;
static int64_t rewind_to;

static enum listen_move take(int64_t log_offset, int64_t generation, int64_t covers_from, int64_t source_offset) {
    struct sample sample;
    struct pay_reply_headers headers;
    return listener_take(&listener, make(&sample, log_offset, generation, covers_from, source_offset), &headers,
                         &rewind_to);
}

static void begin_at(int64_t next) {
    struct pay_reader first;
    listener_free(&listener);
    pay_reader_start_at(&first, next);
    listener_add_lane(&listener, &first, 0);
}

/* Save, forget everything, load. */
static void restart(void) {
    struct state state;
    listener_state(&listener, &state);
    listener_free(&listener);
    memcpy(listener.ledger_id, state.ledger_id, sizeof listener.ledger_id);
    assert_true(listener_add_saved_lane(&listener, &state));
    state_free(&state);
}

static void replies_are_taken_once_and_repeats_dropped(void **state) {
    (void)state;
    begin_at(0);
    assert_int_equal(take(0, 1, 0, 0), LISTEN_TAKE);
    assert_int_equal(take(1, 1, 1, 1), LISTEN_TAKE);
    assert_int_equal(take(2, 1, 0, 0), LISTEN_DROP);
    assert_int_equal(take(3, 1, 0, 1), LISTEN_DROP);
    assert_int_equal(take(4, 1, 2, 5), LISTEN_TAKE); /* a hole in the request log */
    assert_int_equal(listener.taken, 3);
    assert_int_equal(listener.dropped, 2);
}

static void a_restart_goes_on_where_it_ended(void **state) {
    (void)state;
    begin_at(0);
    take(0, 1, 0, 0);
    take(1, 1, 1, 1);
    restart();
    assert_int_equal(listener.lanes[0].reply_offset, 2);
    assert_int_equal(take(2, 1, 1, 1), LISTEN_DROP);
    assert_int_equal(take(3, 1, 2, 2), LISTEN_TAKE);
}

static void a_gap_holds_the_lane_until_it_is_published_again(void **state) {
    (void)state;
    begin_at(0);
    take(0, 1, 0, 0);
    assert_int_equal(take(1, 1, 3, 3), LISTEN_GAP);
    assert_int_equal(take(2, 1, 4, 4), LISTEN_DROP); /* one alarm per gap */
    assert_int_equal(listener_open_gaps(&listener), 1);
    assert_int_equal(take(3, 1, 1, 1), LISTEN_TAKE);
    assert_int_equal(take(4, 1, 2, 2), LISTEN_TAKE_AND_REWIND);
    assert_int_equal(rewind_to, 1);
    assert_int_equal(take(1, 1, 3, 3), LISTEN_TAKE); /* read again */
    assert_int_equal(take(2, 1, 4, 4), LISTEN_TAKE);
    assert_int_equal(take(3, 1, 1, 1), LISTEN_DROP);
    assert_int_equal(listener_open_gaps(&listener), 0);
}

static void a_restart_reads_what_lies_behind_an_open_gap_again(void **state) {
    (void)state;
    begin_at(0);
    take(0, 1, 0, 0);
    take(1, 1, 3, 3);
    take(2, 1, 4, 4);
    restart();
    assert_int_equal(listener.lanes[0].reply_offset, 1);
    assert_int_equal(take(1, 1, 3, 3), LISTEN_GAP);
}

static void each_generation_has_its_own_integer(void **state) {
    (void)state;
    begin_at(0);
    take(0, 1, 0, 0);
    take(1, 1, 1, 9);
    assert_int_equal(take(2, 2, 0, 0), LISTEN_TAKE); /* begins at 0 again */
    assert_int_equal(take(3, 1, 0, 5), LISTEN_DROP); /* a zombie of the old one */
    assert_int_equal(take(4, 1, 10, 10), LISTEN_TAKE);
    restart();
    assert_int_equal(take(5, 2, 1, 1), LISTEN_TAKE);
    assert_int_equal(take(6, 1, 10, 10), LISTEN_DROP);
}

static void a_start_in_the_middle_survives_a_restart_before_and_after_its_first_reply(void **state) {
    (void)state;
    struct pay_reader first;
    listener_free(&listener);
    pay_reader_start_in_the_middle(&first, 100);
    listener_add_lane(&listener, &first, 50);
    restart();
    assert_int_equal(listener.lanes[0].reply_offset, 50);
    assert_int_equal(take(50, 1, 3, 7), LISTEN_TAKE); /* a zombie's repeat */
    restart();
    assert_int_equal(take(51, 1, 90, 90), LISTEN_TAKE); /* a jump, not a gap: not synced yet */
    assert_int_equal(listener.resyncs, 1);
    assert_int_equal(take(52, 1, 91, 100), LISTEN_TAKE);
    restart();
    assert_int_equal(take(53, 1, 105, 105), LISTEN_GAP);
}

static void other_ledgers_and_strange_records_are_left_out(void **state) {
    (void)state;
    struct sample sample;
    struct pay_reply_headers headers;
    begin_at(0);
    take(0, 1, 0, 0);
    struct pay_log_record *record = make(&sample, 1, 1, 1, 1);
    sample.headers[3] = (struct pay_header){"ledger-id", "another", 7};
    assert_int_equal(listener_take(&listener, record, &headers, &rewind_to), LISTEN_FOREIGN);
    record = make(&sample, 2, 1, 1, 1);
    record->header_count = 3;
    assert_int_equal(listener_take(&listener, record, &headers, &rewind_to), LISTEN_SKIP);
    assert_int_equal(take(3, 1, 1, 1), LISTEN_TAKE);
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
    listener_free(&listener);
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
        cmocka_unit_test(headers_are_ours_only_when_all_four_are_there_once_and_well_formed),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
