/* The reader's rule (PROTOCOL section 5): by example, and by a small exhaustive search over what two sessions can write. */
#include "tests/unit/unit.h"

#include "core/reader.h"

/* --- by example --- */

static void a_reader_from_the_start_takes_replies_that_continue_its_integer(void **unused) {
    (void)unused;
    struct pay_reader reader;
    pay_reader_start_at(&reader, 0);
    assert_int_equal(pay_reader_take(&reader, 0, 0), PAY_READER_TAKE);
    assert_int_equal(pay_reader_take(&reader, 1, 1), PAY_READER_TAKE);
    assert_int_equal(reader.next, 2);
}

static void a_hole_in_the_request_log_is_no_gap(void **unused) {
    (void)unused;
    struct pay_reader reader;
    pay_reader_start_at(&reader, 0);
    assert_int_equal(pay_reader_take(&reader, 4, 0), PAY_READER_TAKE); /* 0..3 are control records */
    assert_int_equal(pay_reader_take(&reader, 9, 5), PAY_READER_TAKE);
    assert_int_equal(reader.next, 10);
}

static void what_was_seen_before_is_dropped_whatever_it_covers(void **unused) {
    (void)unused;
    struct pay_reader reader;
    pay_reader_start_at(&reader, 10);
    assert_int_equal(pay_reader_take(&reader, 9, 9), PAY_READER_DROP);
    assert_int_equal(pay_reader_take(&reader, 9, 0), PAY_READER_DROP);
    assert_int_equal(pay_reader_take(&reader, 0, 0), PAY_READER_DROP);
    assert_int_equal(reader.next, 10);
}

static void a_session_that_starts_again_below_is_taken_from_where_the_reader_is(void **unused) {
    (void)unused;
    struct pay_reader reader;
    pay_reader_start_at(&reader, 5);
    assert_int_equal(pay_reader_take(&reader, 3, 3), PAY_READER_DROP);
    assert_int_equal(pay_reader_take(&reader, 7, 4), PAY_READER_TAKE); /* c < n <= s: 5 and 6 are a hole */
    assert_int_equal(reader.next, 8);
}

static void a_reply_that_covers_from_beyond_is_a_gap_and_moves_nothing(void **unused) {
    (void)unused;
    struct pay_reader reader;
    pay_reader_start_at(&reader, 5);
    struct pay_reader before = reader;
    assert_int_equal(pay_reader_take(&reader, 6, 6), PAY_READER_GAP);
    assert_int_equal(pay_reader_take(&reader, 7, 7), PAY_READER_GAP);
    assert_memory_equal(&reader, &before, sizeof reader);
}

static void after_a_gap_the_missing_replies_let_the_reader_go_on_by_itself(void **unused) {
    (void)unused;
    struct pay_reader reader;
    pay_reader_start_at(&reader, 5);
    assert_int_equal(pay_reader_take(&reader, 7, 7), PAY_READER_GAP);
    assert_int_equal(pay_reader_take(&reader, 8, 8), PAY_READER_GAP);
    /* paybuf replay --reply --from 1-0-5 */
    for (int64_t s = 5; s <= 9; s++) assert_int_equal(pay_reader_take(&reader, s, s), PAY_READER_TAKE);
    assert_int_equal(reader.next, 10);
}

static void a_saved_integer_goes_on_exactly_where_it_was(void **unused) {
    (void)unused;
    struct pay_reader reader, resumed;
    pay_reader_start_at(&reader, 0);
    pay_reader_take(&reader, 0, 0);
    pay_reader_take(&reader, 3, 1);
    pay_reader_start_at(&resumed, reader.next);
    assert_int_equal(pay_reader_take(&resumed, 3, 1), PAY_READER_DROP);
    assert_int_equal(pay_reader_take(&resumed, 5, 5), PAY_READER_GAP);
    assert_int_equal(pay_reader_take(&resumed, 4, 4), PAY_READER_TAKE);
}

static void a_malformed_reply_counts_as_a_gap_for_every_reader(void **unused) {
    (void)unused;
    struct pay_reader known, middle, unsynced;
    pay_reader_start_at(&known, 5);
    pay_reader_start_in_the_middle(&middle, 100);
    pay_reader_start_in_the_middle(&unsynced, 100);
    pay_reader_take(&unsynced, 5, 5);
    struct pay_reader *readers[] = {&known, &middle, &unsynced};
    for (int i = 0; i < 3; i++) {
        struct pay_reader before = *readers[i];
        assert_int_equal(pay_reader_take(readers[i], 9, 10), PAY_READER_GAP);        /* covers more than it is */
        assert_int_equal(pay_reader_take(readers[i], INT64_MAX, 0), PAY_READER_GAP); /* has no successor */
        assert_memory_equal(readers[i], &before, sizeof before);
    }
}

static void a_reader_in_the_middle_takes_its_first_reply_whatever_it_covers(void **unused) {
    (void)unused;
    struct pay_reader reader;
    pay_reader_start_in_the_middle(&reader, 20);
    assert_int_equal(pay_reader_take(&reader, 12, 12), PAY_READER_TAKE);
    assert_int_equal(reader.next, 13);
    assert_int_equal(reader.resync_count, 0);
}

static void until_it_took_a_reply_from_E0_on_a_jump_is_taken_and_counted(void **unused) {
    (void)unused;
    struct pay_reader reader;
    pay_reader_start_in_the_middle(&reader, 20);
    assert_int_equal(pay_reader_take(&reader, 3, 3), PAY_READER_TAKE);   /* a zombie's repeat */
    assert_int_equal(pay_reader_take(&reader, 12, 12), PAY_READER_TAKE); /* the owner goes on where it was */
    assert_int_equal(reader.resync_count, 1);
    assert_int_equal(pay_reader_take(&reader, 4, 4), PAY_READER_DROP);
    assert_int_equal(pay_reader_take(&reader, 13, 13), PAY_READER_TAKE);
    assert_int_equal(pay_reader_take(&reader, 19, 17), PAY_READER_TAKE);
    assert_int_equal(reader.resync_count, 2);
    assert_false(reader.synced);
}

static void from_the_first_reply_at_E0_on_a_jump_is_a_gap(void **unused) {
    (void)unused;
    struct pay_reader reader;
    pay_reader_start_in_the_middle(&reader, 20);
    assert_int_equal(pay_reader_take(&reader, 3, 3), PAY_READER_TAKE);
    assert_int_equal(pay_reader_take(&reader, 20, 18), PAY_READER_TAKE); /* the last jump */
    assert_true(reader.synced);
    assert_int_equal(reader.resync_count, 1);
    assert_int_equal(pay_reader_take(&reader, 22, 22), PAY_READER_GAP);
    assert_int_equal(pay_reader_take(&reader, 22, 21), PAY_READER_TAKE);
}

static void a_reader_whose_first_reply_lies_at_E0_or_beyond_knows_gaps_at_once(void **unused) {
    (void)unused;
    struct pay_reader reader;
    pay_reader_start_in_the_middle(&reader, 20);
    assert_int_equal(pay_reader_take(&reader, 20, 20), PAY_READER_TAKE);
    assert_int_equal(pay_reader_take(&reader, 22, 22), PAY_READER_GAP);
}

/* --- the search --- */

/*
 * Data records of the request log lie at the offsets of a `shape`, the rest are holes. An earlier session has written the first
 * `prefix` replies. Then two sessions claim at any time and append one reply at a time, each stopping wherever it likes.
 * A claim's n is 0 or the source offset of a reply in the log + 1. Readers: one from 0; and, started after every reply and for
 * every E0 that a reader can have read then (above all source offsets in the log), one in the middle.
 */
#define RECORDS 5
#define READERS_MAX 192

struct middle {
    struct pay_reader reader;
    int64_t last; /* source offset of the last reply taken, -1 none */
};

struct history {
    const int64_t *shape;
    bool in_log[RECORDS];
    int64_t largest; /* source offset in the log, -1 none */
    struct {
        bool claimed;
        int at; /* index of the next record to answer */
        int64_t covers_from;
    } session[2];
    struct pay_reader from_zero;
    struct middle middle[READERS_MAX];
    int middle_count;
};

static struct {
    bool early_high_watermark; /* E0 was read before the start position was fixed */
    bool beyond;               /* a session starts behind what nobody answered */
    int64_t histories, gaps, resyncs;
} search;

static void started_by_a_reader(struct history *history) {
    int64_t top = history->shape[RECORDS - 1] + 1;
    for (int64_t e0 = search.early_high_watermark ? 0 : history->largest + 1; e0 <= top; e0++) {
        assert_true(history->middle_count < READERS_MAX);
        struct middle *middle = &history->middle[history->middle_count++];
        middle->last = -1;
        pay_reader_start_in_the_middle(&middle->reader, e0);
    }
}

static int index_of(const struct history *history, int64_t source_offset) {
    for (int i = 0; i < RECORDS; i++)
        if (history->shape[i] == source_offset) return i;
    return -1;
}

static void read_from_zero(struct history *history, int64_t s, int64_t c) {
    int64_t before = history->from_zero.next;
    switch (pay_reader_take(&history->from_zero, s, c)) {
    case PAY_READER_DROP: assert_true(s < before); break;
    case PAY_READER_GAP: search.gaps++; break;
    case PAY_READER_TAKE: /* exactly the first record not yet taken */
        for (int i = 0; i < RECORDS; i++)
            if (history->shape[i] >= before) {
                assert_int_equal(history->shape[i], s);
                break;
            }
        break;
    }
}

static void read_in_the_middle(struct history *history, struct middle *middle, int64_t s, int64_t c) {
    bool synced = middle->reader.synced;
    switch (pay_reader_take(&middle->reader, s, c)) {
    case PAY_READER_DROP: break;
    case PAY_READER_GAP: search.gaps++; break;
    case PAY_READER_TAKE:
        assert_true(s > middle->last);                                                           /* each at most once */
        if (synced) assert_int_equal(index_of(history, s), index_of(history, middle->last) + 1); /* and none left out */
        middle->last = s;
        break;
    }
    search.resyncs += middle->reader.resync_count;
}

static void append(struct history *history, int who) {
    int64_t s = history->shape[history->session[who].at++], c = history->session[who].covers_from;
    history->session[who].covers_from = s + 1;
    history->in_log[index_of(history, s)] = true;
    if (s > history->largest) history->largest = s;
    read_from_zero(history, s, c);
    for (int i = 0; i < history->middle_count; i++) read_in_the_middle(history, &history->middle[i], s, c);
    started_by_a_reader(history);
}

static void claim(struct history *history, int who, int at) {
    history->session[who].claimed = true;
    history->session[who].at = at;
    history->session[who].covers_from = at == 0 ? 0 : history->shape[at - 1] + 1;
}

static void explore(const struct history *before) {
    search.histories++;
    if (!search.early_high_watermark && !search.beyond) {
        assert_int_equal(search.gaps, 0);
        assert_int_equal(before->from_zero.next, before->largest + 1); /* took all that is there */
        for (int i = 0; i < before->middle_count; i++)
            if (before->middle[i].reader.synced) assert_int_equal(before->middle[i].reader.next, before->largest + 1);
    }
    for (int who = 0; who < 2; who++) {
        if (!before->session[who].claimed) {
            for (int at = 0; at < RECORDS; at++) {
                if (at > 0 && !before->in_log[at - 1] && !search.beyond) continue;
                struct history after = *before;
                claim(&after, who, at);
                append(&after, who); /* a claim that writes nothing changes nothing */
                explore(&after);
            }
        } else if (before->session[who].at < RECORDS) {
            struct history after = *before;
            append(&after, who);
            explore(&after);
        }
    }
}

static void search_everything(void) {
    static const int64_t shapes[][RECORDS] = {{0, 1, 2, 3, 4}, {1, 2, 5, 6, 7}, {0, 3, 4, 8, 9}};
    search.histories = search.gaps = search.resyncs = 0;
    for (size_t shape = 0; shape < sizeof shapes / sizeof shapes[0]; shape++)
        for (int prefix = 0; prefix < RECORDS; prefix++) {
            struct history history = {.shape = shapes[shape], .largest = -1};
            pay_reader_start_at(&history.from_zero, 0);
            started_by_a_reader(&history);
            claim(&history, 0, 0);
            while (history.session[0].at < prefix) append(&history, 0);
            history.session[0].claimed = false;
            explore(&history);
        }
}

static void in_every_interleaving_of_two_sessions_no_reader_misses_repeats_or_stops(void **unused) {
    (void)unused;
    search.early_high_watermark = search.beyond = false;
    search_everything();
    assert_true(search.histories > 30000);
    assert_true(search.resyncs > 0); /* the rule's middle part was needed */
}

static void a_high_watermark_read_before_the_start_was_fixed_can_stop_a_reader(void **unused) {
    (void)unused;
    search.early_high_watermark = true;
    search_everything();
    search.early_high_watermark = false;
    assert_true(search.gaps > 0);
}

static void when_a_session_starts_behind_what_nobody_answered_the_reader_from_zero_stops_and_skips_nothing(
    void **unused) {
    (void)unused;
    search.beyond = true;
    search_everything(); /* read_from_zero asserts that nothing is skipped */
    search.beyond = false;
    assert_true(search.gaps > 0);
}

static void a_session_that_begins_its_chain_behind_a_hole_would_stop_readers(void **unused) {
    (void)unused;
    struct pay_reader reader;
    pay_reader_start_at(&reader, 0);
    assert_int_equal(pay_reader_take(&reader, 1, 0), PAY_READER_TAKE);
    /* 2 and 3 are control records; the next session's P is 4, its n is 2 */
    assert_int_equal(pay_reader_take(&reader, 4, 4), PAY_READER_GAP);
    assert_int_equal(pay_reader_take(&reader, 4, 2), PAY_READER_TAKE);
}

static void no_log_however_broken_makes_a_reader_take_what_does_not_continue_it(void **unused) {
    (void)unused;
    uint64_t random = 4711;
    for (int run = 0; run < 500; run++) {
        struct pay_reader reader;
        pay_reader_start_at(&reader, 0);
        for (int i = 0; i < 60; i++) {
            int64_t s = random_below(&random, 30), c = random_below(&random, 30), n = reader.next;
            enum pay_reader_move move = pay_reader_take(&reader, s, c);
            assert_int_equal(move, s < n ? PAY_READER_DROP : c <= n ? PAY_READER_TAKE : PAY_READER_GAP);
            assert_int_equal(reader.next, move == PAY_READER_TAKE ? s + 1 : n);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_from_the_start_takes_replies_that_continue_its_integer),
        cmocka_unit_test(a_hole_in_the_request_log_is_no_gap),
        cmocka_unit_test(what_was_seen_before_is_dropped_whatever_it_covers),
        cmocka_unit_test(a_session_that_starts_again_below_is_taken_from_where_the_reader_is),
        cmocka_unit_test(a_reply_that_covers_from_beyond_is_a_gap_and_moves_nothing),
        cmocka_unit_test(after_a_gap_the_missing_replies_let_the_reader_go_on_by_itself),
        cmocka_unit_test(a_saved_integer_goes_on_exactly_where_it_was),
        cmocka_unit_test(a_malformed_reply_counts_as_a_gap_for_every_reader),
        cmocka_unit_test(a_reader_in_the_middle_takes_its_first_reply_whatever_it_covers),
        cmocka_unit_test(until_it_took_a_reply_from_E0_on_a_jump_is_taken_and_counted),
        cmocka_unit_test(from_the_first_reply_at_E0_on_a_jump_is_a_gap),
        cmocka_unit_test(a_reader_whose_first_reply_lies_at_E0_or_beyond_knows_gaps_at_once),
        cmocka_unit_test(in_every_interleaving_of_two_sessions_no_reader_misses_repeats_or_stops),
        cmocka_unit_test(a_high_watermark_read_before_the_start_was_fixed_can_stop_a_reader),
        cmocka_unit_test(
            when_a_session_starts_behind_what_nobody_answered_the_reader_from_zero_stops_and_skips_nothing),
        cmocka_unit_test(a_session_that_begins_its_chain_behind_a_hole_would_stop_readers),
        cmocka_unit_test(no_log_however_broken_makes_a_reader_take_what_does_not_continue_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
