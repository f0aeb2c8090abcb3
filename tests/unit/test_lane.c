/* One lane: its moves, what it receives, its chain of replies, honest acknowledgements, and what an empty batch would write. */
#include "tests/unit/unit.h"

#include "core/lane.h"

/* --- ways to an open lane --- */

/* P, anchor (-1: none), n with its reply's log position; opened as the claim judges. */
static struct pay_lane a_lane(int64_t processed, int64_t anchor, int64_t n) {
    struct pay_lane lane;
    struct pay_lane_row row = {.partition = 3,
                               .log_generation = 2,
                               .next_offset = processed,
                               .replied_offset = n,
                               .reply_position = 100 + n,
                               .owner = "0123456789abcde",
                               .owner_epoch = 8,
                               .anchor = {anchor >= 0, anchor, 17, 18},
                               .same_group = true,
                               .same_cluster = true};
    struct pay_claim_view view = {
        .request_end = processed + 100, .reply_end = 1000, .anchor_read = true, .anchor_seen = row.anchor};
    struct pay_claim claim;
    pay_claim_begin(&claim, &row);
    struct pay_claim_verdict verdict = pay_claim_judge(&claim, &view);
    assert_int_equal(verdict.move, PAY_CLAIM_OPEN);
    pay_lane_init(&lane, 3);
    pay_lane_assign(&lane, 0);
    pay_lane_open(&lane, &claim, &verdict, 5000);
    return lane;
}

static struct pay_lane a_fresh_lane(void) { return a_lane(0, -1, 0); }

static void settle(struct pay_lane *lane, int64_t last_record) {
    struct pay_anchor anchor = {true, last_record, 1, 2};
    pay_lane_committed(lane, last_record + 1, &anchor, lane->replied_offset, lane->reply_position);
}

static void rest(struct pay_lane *lane) {
    struct pay_anchor anchor = lane->anchor;
    pay_lane_committed(lane, pay_lane_rest_position(lane), &anchor, lane->replied_offset, lane->reply_position);
}

static bool acknowledge(struct pay_lane *lane, int64_t log_offset, int64_t source_offset) {
    return pay_lane_acknowledged(lane, false, log_offset, source_offset);
}

/* --- its moves --- */

enum step { ASSIGN, UNASSIGN, OPEN, CLAIM_AGAIN, HALT, STEPS };

static void take_step(struct pay_lane *lane, enum step step) {
    struct pay_claim claim = {.row = {.partition = 3}};
    struct pay_claim_verdict open = {.move = PAY_CLAIM_OPEN};
    switch (step) {
    case ASSIGN: pay_lane_assign(lane, 0); break;
    case UNASSIGN: pay_lane_unassign(lane); break;
    case OPEN: pay_lane_open(lane, &claim, &open, 0); break;
    case CLAIM_AGAIN: pay_lane_claim_again(lane, 0); break;
    case HALT: pay_lane_halt(lane, PAY_HALT_POISON); break;
    case STEPS: break;
    }
}

static struct pay_lane lane_in(enum pay_lane_state state) {
    struct pay_lane lane;
    pay_lane_init(&lane, 3);
    if (state == PAY_LANE_UNASSIGNED) return lane;
    pay_lane_assign(&lane, 0);
    if (state == PAY_LANE_OPEN) take_step(&lane, OPEN);
    if (state == PAY_LANE_HALTED) take_step(&lane, HALT);
    assert_int_equal(lane.state, state);
    return lane;
}

struct try {
    enum pay_lane_state from;
    enum step step;
};

static void try_step(void *argument) {
    const struct try *try = argument;
    struct pay_lane lane = lane_in(try->from);
    take_step(&lane, try->step);
}

#define FORBIDDEN (-1)

static void every_move_is_allowed_or_aborts_exactly_as_the_table_says(void **unused) {
    (void)unused;
    static const int expected[4][STEPS] = {
        /*                        assign              unassign             open           claim again         halt */
        [PAY_LANE_UNASSIGNED] = {PAY_LANE_CLAIMING, PAY_LANE_UNASSIGNED, FORBIDDEN, FORBIDDEN, FORBIDDEN},
        [PAY_LANE_CLAIMING] = {FORBIDDEN, PAY_LANE_UNASSIGNED, PAY_LANE_OPEN, PAY_LANE_CLAIMING, PAY_LANE_HALTED},
        [PAY_LANE_OPEN] = {FORBIDDEN, PAY_LANE_UNASSIGNED, FORBIDDEN, PAY_LANE_CLAIMING, PAY_LANE_HALTED},
        [PAY_LANE_HALTED] = {FORBIDDEN, PAY_LANE_UNASSIGNED, PAY_LANE_OPEN, PAY_LANE_CLAIMING, PAY_LANE_HALTED},
    };
    for (int from = 0; from < 4; from++)
        for (int step = 0; step < STEPS; step++) {
            struct try try = {(enum pay_lane_state)from, (enum step)step};
            if (expected[from][step] == FORBIDDEN) {
                if (!aborts(try_step, &try)) fail_msg("state %d: step %d was allowed", from, step);
                continue;
            }
            struct pay_lane lane = lane_in(try.from);
            take_step(&lane, try.step);
            assert_int_equal(lane.state, expected[from][step]);
        }
}

static void every_state_has_a_name(void **unused) {
    (void)unused;
    assert_string_equal(pay_lane_state_name(PAY_LANE_UNASSIGNED), "unassigned");
    assert_string_equal(pay_lane_state_name(PAY_LANE_CLAIMING), "claiming");
    assert_string_equal(pay_lane_state_name(PAY_LANE_OPEN), "open");
    assert_string_equal(pay_lane_state_name(PAY_LANE_HALTED), "halted");
}

static void an_assigned_lane_is_claimed_from_its_time_on_and_remembers_nothing(void **unused) {
    (void)unused;
    struct pay_lane lane = a_lane(10, 9, 5);
    pay_lane_suspect(&lane, PAY_HALT_LOG_TRUNCATED, 5);
    pay_lane_claim_again(&lane, 10);
    pay_lane_unassign(&lane);
    pay_lane_assign(&lane, 1234);
    assert_int_equal(lane.state, PAY_LANE_CLAIMING);
    assert_int_equal(lane.partition, 3);
    assert_int_equal(lane.claim_at_ms, 1234);
    assert_int_equal(lane.claim_attempts, 0);
    assert_int_equal(lane.suspicion, PAY_HALT_NONE);
}

static void a_lane_that_is_not_open_is_not_fetched(void **unused) {
    (void)unused;
    struct pay_lane lane = a_fresh_lane();
    lane.fetching = true;
    pay_lane_claim_again(&lane, 0);
    assert_false(lane.fetching);
    lane.fetching = true;
    pay_lane_halt(&lane, PAY_HALT_POISON);
    assert_false(lane.fetching);
    lane.fetching = true;
    pay_lane_unassign(&lane);
    assert_false(lane.fetching);
}

static void claims_in_a_row_without_an_acknowledged_reply_are_counted(void **unused) {
    (void)unused;
    struct pay_lane lane = a_fresh_lane();
    pay_lane_claim_again(&lane, 10);
    pay_lane_claim_again(&lane, 20);
    assert_int_equal(lane.claim_attempts, 2);
    assert_int_equal(lane.claim_at_ms, 20);
    take_step(&lane, OPEN);
    assert_int_equal(lane.claim_attempts, 2);
    pay_lane_receive(&lane, 0);
    settle(&lane, 0);
    pay_lane_reply_sent(&lane, 0);
    assert_true(acknowledge(&lane, 0, 0));
    assert_int_equal(lane.claim_attempts, 0);
}

static void a_halt_needs_a_reason_and_keeps_it(void **unused) {
    (void)unused;
    struct pay_lane lane = a_fresh_lane();
    pay_lane_halt(&lane, PAY_HALT_LOG_REPLACED);
    assert_int_equal(lane.halt, PAY_HALT_LOG_REPLACED);
}

static void halt_for_nothing(void *argument) { pay_lane_halt(argument, PAY_HALT_NONE); }

static void a_halt_without_a_reason_is_a_programmers_error(void **unused) {
    (void)unused;
    struct pay_lane lane = a_fresh_lane();
    assert_true(aborts(halt_for_nothing, &lane));
}

static void a_lane_whose_halt_was_lifted_opens_without_it(void **unused) {
    (void)unused;
    struct pay_lane lane = lane_in(PAY_LANE_HALTED);
    take_step(&lane, OPEN);
    assert_int_equal(lane.state, PAY_LANE_OPEN);
    assert_int_equal(lane.halt, PAY_HALT_NONE);
}

static void an_open_lane_holds_what_the_claim_found(void **unused) {
    (void)unused;
    struct pay_lane lane = a_lane(20, 17, 10);
    assert_memory_equal(lane.owner, "0123456789abcde", PAY_OWNER_SIZE);
    assert_int_equal(lane.partition, 3);
    assert_int_equal(lane.owner_epoch, 8);
    assert_int_equal(lane.log_generation, 2);
    assert_int_equal(lane.resume_from, 10);
    assert_int_equal(lane.received, 10);
    assert_int_equal(lane.processed, 20);
    assert_int_equal(lane.covers_from, 10);
    assert_int_equal(lane.replied_offset, 10);
    assert_int_equal(lane.reply_position, 110);
    assert_int_equal(lane.unreplied, 0);
    assert_int_equal(lane.anchor_seen_ms, 5000);
    assert_false(lane.fetching);
    assert_false(lane.verify_anchor);
}

static void open_beyond(void *argument) {
    struct pay_lane lane = lane_in(PAY_LANE_CLAIMING);
    struct pay_claim claim = {.row = {.next_offset = 5}};
    pay_lane_open(&lane, &claim, argument, 0);
}

static void opening_without_an_open_verdict_or_with_R_above_P_is_a_programmers_error(void **unused) {
    (void)unused;
    assert_true(aborts(open_beyond, &(struct pay_claim_verdict){.move = PAY_CLAIM_LOOK_AGAIN, .resume_from = 5}));
    assert_true(aborts(open_beyond, &(struct pay_claim_verdict){.move = PAY_CLAIM_HALT, .resume_from = 5}));
    assert_true(aborts(open_beyond, &(struct pay_claim_verdict){.move = PAY_CLAIM_OPEN, .resume_from = 6}));
}

static void open_a_row(void *argument) {
    struct pay_lane lane = lane_in(PAY_LANE_CLAIMING);
    struct pay_claim_verdict verdict = {.move = PAY_CLAIM_OPEN, .resume_from = 5};
    struct pay_claim claim;
    pay_claim_begin(&claim, argument);
    pay_lane_open(&lane, &claim, &verdict, 0);
}

static void opening_with_more_answered_than_settled_is_a_programmers_error(void **unused) {
    (void)unused;
    assert_false(aborts(open_a_row, &(struct pay_lane_row){.next_offset = 5, .replied_offset = 5}));
    assert_true(aborts(open_a_row, &(struct pay_lane_row){.next_offset = 5, .replied_offset = 6}));
}

/* --- suspicions --- */

static void a_suspicion_is_believed_at_the_second_look_ten_seconds_later(void **unused) {
    (void)unused;
    struct pay_lane lane = lane_in(PAY_LANE_CLAIMING);
    assert_int_equal(pay_lane_suspected_before(&lane, 100000), PAY_HALT_NONE);
    pay_lane_suspect(&lane, PAY_HALT_LOG_TRUNCATED, 100000);
    assert_int_equal(pay_lane_suspected_before(&lane, 109999), PAY_HALT_NONE);
    assert_int_equal(pay_lane_suspected_before(&lane, 110000), PAY_HALT_LOG_TRUNCATED);
}

static void the_same_suspicion_again_does_not_start_its_clock_again(void **unused) {
    (void)unused;
    struct pay_lane lane = lane_in(PAY_LANE_CLAIMING);
    pay_lane_suspect(&lane, PAY_HALT_LOG_TRUNCATED, 100000);
    pay_lane_suspect(&lane, PAY_HALT_LOG_TRUNCATED, 107000);
    assert_int_equal(pay_lane_suspected_before(&lane, 110000), PAY_HALT_LOG_TRUNCATED);
}

static void another_suspicion_starts_the_clock_again_and_none_clears_it(void **unused) {
    (void)unused;
    struct pay_lane lane = lane_in(PAY_LANE_CLAIMING);
    pay_lane_suspect(&lane, PAY_HALT_LOG_TRUNCATED, 100000);
    pay_lane_suspect(&lane, PAY_HALT_REPLY_LOG_TRUNCATED, 108000);
    assert_int_equal(pay_lane_suspected_before(&lane, 110000), PAY_HALT_NONE);
    assert_int_equal(pay_lane_suspected_before(&lane, 118000), PAY_HALT_REPLY_LOG_TRUNCATED);
    pay_lane_suspect(&lane, PAY_HALT_NONE, 119000);
    assert_int_equal(pay_lane_suspected_before(&lane, 200000), PAY_HALT_NONE);
}

static void a_suspicion_lives_through_claims_and_ends_when_one_opens(void **unused) {
    (void)unused;
    struct pay_lane lane = lane_in(PAY_LANE_OPEN);
    pay_lane_suspect(&lane, PAY_HALT_LOG_TRUNCATED, 100000);
    pay_lane_claim_again(&lane, 110000);
    assert_int_equal(pay_lane_suspected_before(&lane, 110000), PAY_HALT_LOG_TRUNCATED);
    take_step(&lane, OPEN);
    assert_int_equal(pay_lane_suspected_before(&lane, 200000), PAY_HALT_NONE);
}

/* --- receiving --- */

static void records_from_P_on_are_settled(void **unused) {
    (void)unused;
    struct pay_lane lane = a_fresh_lane();
    assert_int_equal(pay_lane_receive(&lane, 0), PAY_RECEIVE_SETTLE);
    assert_int_equal(pay_lane_receive(&lane, 1), PAY_RECEIVE_SETTLE);
    assert_int_equal(lane.received, 2);
    assert_int_equal(lane.unreplied, 2);
}

static void records_from_R_to_P_are_only_answered(void **unused) {
    (void)unused;
    struct pay_lane lane = a_lane(20, 17, 10);
    assert_int_equal(pay_lane_receive(&lane, 10), PAY_RECEIVE_ANSWER);
    assert_int_equal(pay_lane_receive(&lane, 17), PAY_RECEIVE_ANSWER);
    assert_true(lane.replaying);
    assert_int_equal(pay_lane_receive(&lane, 20), PAY_RECEIVE_SETTLE);
    assert_false(lane.replaying);
    assert_int_equal(lane.unreplied, 3);
}

static void holes_are_nothing_special(void **unused) {
    (void)unused;
    struct pay_lane lane = a_fresh_lane();
    assert_int_equal(pay_lane_receive(&lane, 4), PAY_RECEIVE_SETTLE);
    assert_int_equal(pay_lane_receive(&lane, 90), PAY_RECEIVE_SETTLE);
    assert_int_equal(lane.received, 91);
}

static void a_redelivery_is_dropped_and_not_counted(void **unused) {
    (void)unused;
    struct pay_lane lane = a_lane(20, 17, 10);
    pay_lane_receive(&lane, 12);
    assert_int_equal(pay_lane_receive(&lane, 12), PAY_RECEIVE_DROP);
    assert_int_equal(pay_lane_receive(&lane, 11), PAY_RECEIVE_DROP);
    assert_int_equal(pay_lane_receive(&lane, 9), PAY_RECEIVE_DROP);
    assert_int_equal(lane.unreplied, 1);
    assert_int_equal(lane.received, 13);
}

static void what_lies_below_R_is_dropped(void **unused) {
    (void)unused;
    struct pay_lane lane = a_lane(20, 17, 18); /* answered up to the anchor: R = P */
    assert_int_equal(pay_lane_receive(&lane, 19), PAY_RECEIVE_DROP);
    assert_int_equal(pay_lane_receive(&lane, 20), PAY_RECEIVE_SETTLE);
}

static void the_last_record_below_P_must_be_the_anchor(void **unused) {
    (void)unused;
    struct pay_lane lane = a_lane(20, 17, 10);
    pay_lane_receive(&lane, 10);
    pay_lane_receive(&lane, 16);
    assert_int_equal(pay_lane_receive(&lane, 20), PAY_RECEIVE_NOT_ANCHOR); /* 17 is missing */
    lane = a_lane(20, 17, 10);
    pay_lane_receive(&lane, 17);
    pay_lane_receive(&lane, 18);
    assert_int_equal(pay_lane_receive(&lane, 20), PAY_RECEIVE_NOT_ANCHOR); /* 18 was no data record */
    lane = a_lane(20, 17, 10);
    assert_int_equal(pay_lane_receive(&lane, 21), PAY_RECEIVE_NOT_ANCHOR); /* nothing came at all */
}

static void the_end_of_the_partition_ends_the_replay_as_a_record_does(void **unused) {
    (void)unused;
    struct pay_lane lane = a_lane(20, 17, 10);
    pay_lane_receive(&lane, 17);
    assert_true(pay_lane_receive_end(&lane, 20));
    assert_int_equal(pay_lane_receive(&lane, 25), PAY_RECEIVE_SETTLE);
    lane = a_lane(20, 17, 10);
    pay_lane_receive(&lane, 16);
    assert_false(pay_lane_receive_end(&lane, 20));
    lane = a_lane(20, 17, 10);
    assert_false(pay_lane_receive_end(&lane, 22));
    lane = a_lane(20, 17, 10);
    pay_lane_receive(&lane, 19); /* its end is where the last record left off */
    assert_false(pay_lane_receive_end(&lane, 20));
    lane = a_lane(20, 17, 17);
    pay_lane_receive(&lane, 17); /* the anchor itself is the first that isn't answered */
    assert_true(pay_lane_receive_end(&lane, 20));
}

static void an_end_below_P_says_nothing_about_the_anchor_yet(void **unused) {
    (void)unused;
    struct pay_lane lane = a_lane(20, 17, 10);
    pay_lane_receive(&lane, 10);
    assert_true(pay_lane_receive_end(&lane, 15)); /* the last stable offset hangs back */
    assert_int_equal(pay_lane_receive(&lane, 17), PAY_RECEIVE_ANSWER);
    assert_int_equal(pay_lane_receive(&lane, 20), PAY_RECEIVE_SETTLE);
}

static void without_a_replay_nothing_has_to_be_the_anchor(void **unused) {
    (void)unused;
    struct pay_lane answered = a_lane(20, 17, 18), empty = a_lane(20, -1, 0);
    assert_false(answered.replaying || empty.replaying);
    assert_true(pay_lane_receive_end(&answered, 20));
    assert_int_equal(pay_lane_receive(&answered, 20), PAY_RECEIVE_SETTLE);
    assert_int_equal(pay_lane_receive(&empty, 20), PAY_RECEIVE_SETTLE);
}

/* A lane opened by hand with a replay although no data record can lie between R and P: a claim doesn't do so. */
static struct pay_lane a_strange_lane(int64_t anchor, int64_t resume_from) {
    struct pay_lane lane = lane_in(PAY_LANE_CLAIMING);
    struct pay_lane_row row = {
        .next_offset = 20, .replied_offset = resume_from, .anchor = {anchor >= 0, anchor, 17, 18}};
    struct pay_claim_verdict verdict = {.move = PAY_CLAIM_OPEN, .resume_from = resume_from};
    struct pay_claim claim;
    pay_claim_begin(&claim, &row);
    pay_lane_open(&lane, &claim, &verdict, 0);
    return lane;
}

static void with_the_anchor_absent_or_below_R_no_record_may_come_below_P(void **unused) {
    (void)unused;
    static const struct {
        int64_t anchor, resume_from, record;
    } cases[] = {{-1, 10, 10}, {-1, 10, 19}, {-1, 0, 0}, {9, 10, 10}, {0, 10, 19}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pay_lane lane = a_strange_lane(cases[i].anchor, cases[i].resume_from);
        assert_int_equal(pay_lane_receive(&lane, 20), PAY_RECEIVE_SETTLE);
        lane = a_strange_lane(cases[i].anchor, cases[i].resume_from);
        pay_lane_receive(&lane, cases[i].record);
        assert_int_equal(pay_lane_receive(&lane, 20), PAY_RECEIVE_NOT_ANCHOR);
    }
}

static void an_end_of_an_earlier_fetch_is_ignored(void **unused) {
    (void)unused;
    struct pay_lane lane = a_fresh_lane();
    pay_lane_receive(&lane, 7);
    assert_true(pay_lane_receive_end(&lane, 5));
    assert_int_equal(lane.received, 8);
    assert_int_equal(lane.end_position, 0);
}

static void receive_a_record(void *argument) { pay_lane_receive(argument, 0); }
static void receive_an_end(void *argument) { pay_lane_receive_end(argument, 0); }

static void receiving_on_a_lane_that_is_not_open_is_a_programmers_error(void **unused) {
    (void)unused;
    struct pay_lane lane = lane_in(PAY_LANE_CLAIMING);
    assert_true(aborts(receive_a_record, &lane));
    assert_true(aborts(receive_an_end, &lane));
}

static void a_lane_has_room_until_its_unreplied_window_is_full(void **unused) {
    (void)unused;
    struct pay_lane lane = a_fresh_lane();
    for (int64_t offset = 0; offset < PAY_LANE_UNREPLIED_MAX; offset++) {
        assert_true(pay_lane_has_room(&lane));
        pay_lane_receive(&lane, offset);
    }
    assert_false(pay_lane_has_room(&lane));
    settle(&lane, PAY_LANE_UNREPLIED_MAX - 1);
    pay_lane_reply_sent(&lane, 0);
    assert_true(acknowledge(&lane, 0, 0));
    assert_true(pay_lane_has_room(&lane));
}

/* --- settling --- */

static void a_commit_moves_P_the_anchor_and_the_pair_of_the_row(void **unused) {
    (void)unused;
    struct pay_lane lane = a_fresh_lane();
    pay_lane_receive(&lane, 0);
    pay_lane_receive(&lane, 3);
    settle(&lane, 3);
    assert_int_equal(lane.processed, 4);
    assert_int_equal(lane.anchor.offset, 3);
    assert_false(pay_lane_rest_due(&lane));
}

static void while_it_replays_an_empty_batch_may_write_the_pair_and_leaves_P(void **unused) {
    (void)unused;
    struct pay_lane lane = a_lane(20, 17, 10);
    pay_lane_receive(&lane, 10);
    pay_lane_reply_sent(&lane, 10);
    assert_true(acknowledge(&lane, 200, 10));
    assert_true(pay_lane_rest_due(&lane));
    assert_int_equal(pay_lane_rest_position(&lane), 20);
    rest(&lane);
    assert_int_equal(lane.processed, 20);
    assert_int_equal(lane.settled_replied_offset, 11);
    assert_false(pay_lane_rest_due(&lane));
    pay_lane_receive(&lane, 17);
    assert_int_equal(pay_lane_receive(&lane, 20), PAY_RECEIVE_SETTLE);
}

struct commit {
    struct pay_lane lane;
    int64_t processed, anchor, replied_offset;
};

static void commit(void *argument) {
    struct commit *c = argument;
    struct pay_anchor anchor = {c->anchor >= 0, c->anchor, 1, 2};
    pay_lane_committed(&c->lane, c->processed, &anchor, c->replied_offset, 0);
}

static void committing_back_or_beyond_what_was_received_is_a_programmers_error(void **unused) {
    (void)unused;
    struct commit c = {.lane = a_lane(20, 17, 18), .processed = 20, .anchor = 17, .replied_offset = 18};
    pay_lane_receive(&c.lane, 20);
    assert_false(aborts(commit, &c));
    c.processed = 19;
    assert_true(aborts(commit, &c));
    c.processed = 22;
    assert_true(aborts(commit, &c));
    c.lane = a_lane(20, 17, 10); /* while it replays nothing is settled, so P stands still */
    c.replied_offset = 10;
    c.processed = 20;
    assert_false(aborts(commit, &c));
    c.processed = 21;
    assert_true(aborts(commit, &c));
    c.processed = 21;
    c.anchor = 21;
    assert_true(aborts(commit, &c));
    c.anchor = 20;
    c.replied_offset = 19;
    assert_true(aborts(commit, &c));
    c = (struct commit){.lane = a_fresh_lane(), .processed = 0, .anchor = -1};
    assert_false(aborts(commit, &c));
    pay_lane_claim_again(&c.lane, 0);
    assert_true(aborts(commit, &c));
}

/* --- the chain of replies --- */

static void each_reply_covers_from_the_end_of_the_one_before(void **unused) {
    (void)unused;
    struct pay_lane lane = a_fresh_lane();
    static const int64_t offsets[] = {0, 1, 5, 6, 40};
    static const int64_t covers[] = {0, 1, 2, 6, 7};
    for (int i = 0; i < 5; i++) pay_lane_receive(&lane, offsets[i]);
    settle(&lane, 40);
    for (int i = 0; i < 5; i++) assert_int_equal(pay_lane_reply_sent(&lane, offsets[i]), covers[i]);
}

static void a_sessions_first_reply_covers_from_the_n_of_its_claim_not_from_R(void **unused) {
    (void)unused;
    struct pay_lane lane = a_lane(20, 17, 18); /* 18 and 19 are holes; R = P = 20, n = 18 */
    pay_lane_receive(&lane, 20);
    settle(&lane, 20);
    assert_int_equal(pay_lane_reply_sent(&lane, 20), 18);
}

struct reply {
    struct pay_lane lane;
    int64_t source_offset;
};

static void send_reply(void *argument) {
    struct reply *reply = argument;
    pay_lane_reply_sent(&reply->lane, reply->source_offset);
}

static void a_message_before_the_money_is_a_programmers_error(void **unused) {
    (void)unused;
    struct reply reply = {a_fresh_lane(), 0};
    pay_lane_receive(&reply.lane, 0);
    assert_true(aborts(send_reply, &reply));
    settle(&reply.lane, 0);
    assert_false(aborts(send_reply, &reply));
}

static void a_reply_out_of_order_or_twice_is_a_programmers_error(void **unused) {
    (void)unused;
    struct reply reply = {a_fresh_lane(), 1};
    for (int64_t offset = 0; offset < 3; offset++) pay_lane_receive(&reply.lane, offset);
    settle(&reply.lane, 2);
    pay_lane_reply_sent(&reply.lane, 1);
    assert_true(aborts(send_reply, &reply));
    reply.source_offset = 0;
    assert_true(aborts(send_reply, &reply));
    reply.source_offset = 2;
    assert_false(aborts(send_reply, &reply));
}

static void a_reply_on_a_lane_that_is_not_open_is_a_programmers_error(void **unused) {
    (void)unused;
    struct reply reply = {a_fresh_lane(), 0};
    pay_lane_receive(&reply.lane, 0);
    settle(&reply.lane, 0);
    pay_lane_claim_again(&reply.lane, 0);
    assert_true(aborts(send_reply, &reply));
}

/* --- acknowledgements --- */

/* Offsets 0, 1, 2 are settled and sent. */
static struct pay_lane a_waiting_lane(void) {
    struct pay_lane lane = a_fresh_lane();
    for (int64_t offset = 0; offset < 3; offset++) pay_lane_receive(&lane, offset);
    settle(&lane, 2);
    for (int64_t offset = 0; offset < 3; offset++) pay_lane_reply_sent(&lane, offset);
    return lane;
}

static void honest_acknowledgements_move_the_pair_and_the_window(void **unused) {
    (void)unused;
    struct pay_lane lane = a_waiting_lane();
    for (int64_t offset = 0; offset < 3; offset++) {
        assert_true(acknowledge(&lane, 50 + 2 * offset, offset));
        assert_int_equal(lane.replied_offset, offset + 1);
        assert_int_equal(lane.reply_position, 51 + 2 * offset);
        assert_int_equal(lane.unreplied, 2 - offset);
    }
}

static void refused(struct pay_lane lane, bool failed, int64_t log_offset, int64_t source_offset) {
    struct pay_lane before = lane;
    assert_false(pay_lane_acknowledged(&lane, failed, log_offset, source_offset));
    assert_memory_equal(&lane, &before, sizeof lane);
}

static void a_failed_report_is_no_acknowledgement_whatever_its_offset(void **unused) {
    (void)unused;
    refused(a_waiting_lane(), true, 50, 0);
    refused(a_waiting_lane(), true, -1001, 0);
}

static void success_without_an_offset_is_no_acknowledgement(void **unused) {
    (void)unused;
    refused(a_waiting_lane(), false, -1001, 0);
    refused(a_waiting_lane(), false, -1, 0);
}

static void an_offset_that_does_not_increase_is_no_acknowledgement(void **unused) {
    (void)unused;
    struct pay_lane lane = a_waiting_lane();
    assert_true(acknowledge(&lane, 50, 0));
    refused(lane, false, 50, 1);
    refused(lane, false, 49, 1);
    assert_true(acknowledge(&lane, 51, 1));
}

static void the_first_acknowledgement_may_lie_at_log_offset_zero(void **unused) {
    (void)unused;
    struct pay_lane lane = a_waiting_lane();
    assert_true(acknowledge(&lane, 0, 0));
    assert_int_equal(lane.reply_position, 1);
}

static void a_report_of_what_was_not_sent_or_is_acknowledged_already_is_none(void **unused) {
    (void)unused;
    struct pay_lane lane = a_waiting_lane();
    refused(lane, false, 50, 3);
    refused(lane, false, 50, -1);
    assert_true(acknowledge(&lane, 50, 0));
    assert_true(acknowledge(&lane, 51, 1));
    refused(lane, false, 52, 0);
    refused(lane, false, 52, 1);
}

static void more_acknowledgements_than_sent_replies_are_none(void **unused) {
    (void)unused;
    struct pay_lane lane = a_lane(0, -1, 0);
    for (int64_t offset = 0; offset < 3; offset++) pay_lane_receive(&lane, offset);
    settle(&lane, 2);
    pay_lane_reply_sent(&lane, 2); /* as if 0 and 1 were holes */
    assert_true(acknowledge(&lane, 50, 1));
    refused(lane, false, 51, 2);
}

struct report {
    struct pay_lane lane;
};

static void acknowledge_more_than_received(void *argument) {
    struct report *report = argument;
    report->lane.unreplied = 0;
    acknowledge(&report->lane, 50, 0);
}

static void more_acknowledgements_than_records_are_a_programmers_error(void **unused) {
    (void)unused;
    assert_true(aborts(acknowledge_more_than_received, &(struct report){a_waiting_lane()}));
}

static void acknowledge_now(void *argument) {
    struct report *report = argument;
    acknowledge(&report->lane, 50, 0);
}

static void an_acknowledgement_on_a_lane_that_is_not_open_is_a_programmers_error(void **unused) {
    (void)unused;
    struct report report = {a_waiting_lane()};
    assert_false(aborts(acknowledge_now, &report));
    pay_lane_claim_again(&report.lane, 0);
    assert_true(aborts(acknowledge_now, &report));
}

static void a_new_session_accepts_offsets_anew(void **unused) {
    (void)unused;
    struct pay_lane lane = a_lane(20, 17, 10);
    pay_lane_receive(&lane, 10);
    pay_lane_reply_sent(&lane, 10);
    assert_true(acknowledge(&lane, 110, 10));
}

/* --- at rest --- */

static void at_rest_P_is_the_position_at_the_end_of_the_partition(void **unused) {
    (void)unused;
    struct pay_lane lane = a_fresh_lane();
    pay_lane_receive(&lane, 0);
    pay_lane_receive_end(&lane, 4); /* 1..3 are control records */
    settle(&lane, 0);
    assert_int_equal(pay_lane_rest_position(&lane), 4);
    assert_true(pay_lane_rest_due(&lane));
    rest(&lane);
    assert_int_equal(lane.processed, 4);
    assert_int_equal(lane.anchor.offset, 0);
    assert_false(pay_lane_rest_due(&lane));
}

static void a_record_that_waits_to_be_settled_is_never_skipped_by_an_end_behind_it(void **unused) {
    (void)unused;
    struct pay_lane lane = a_fresh_lane();
    pay_lane_receive(&lane, 0);
    pay_lane_receive(&lane, 1);
    pay_lane_receive_end(&lane, 9);
    assert_int_equal(pay_lane_rest_position(&lane), 0);
    assert_false(pay_lane_rest_due(&lane));
    settle(&lane, 0);
    assert_int_equal(pay_lane_rest_position(&lane), 1); /* 1 waits still */
    assert_false(pay_lane_rest_due(&lane));
    settle(&lane, 1);
    assert_int_equal(pay_lane_rest_position(&lane), 9);
}

static void an_end_before_a_later_record_counts_no_more(void **unused) {
    (void)unused;
    struct pay_lane lane = a_fresh_lane();
    pay_lane_receive_end(&lane, 4);
    assert_int_equal(pay_lane_rest_position(&lane), 4);
    pay_lane_receive(&lane, 4);
    assert_int_equal(pay_lane_rest_position(&lane), 0);
    settle(&lane, 4);
    assert_int_equal(pay_lane_rest_position(&lane), 5);
    assert_false(pay_lane_rest_due(&lane));
}

static void an_end_at_P_changes_nothing(void **unused) {
    (void)unused;
    struct pay_lane lane = a_lane(20, 17, 18);
    pay_lane_receive_end(&lane, 20);
    assert_int_equal(pay_lane_rest_position(&lane), 20);
    assert_false(pay_lane_rest_due(&lane));
}

static void an_acknowledged_reply_makes_an_empty_batch_due(void **unused) {
    (void)unused;
    struct pay_lane lane = a_waiting_lane();
    assert_false(pay_lane_rest_due(&lane));
    assert_true(acknowledge(&lane, 50, 0));
    assert_true(pay_lane_rest_due(&lane));
    rest(&lane);
    assert_false(pay_lane_rest_due(&lane));
}

static void a_claim_that_found_more_replies_than_the_row_knew_makes_an_empty_batch_due(void **unused) {
    (void)unused;
    struct pay_lane lane = lane_in(PAY_LANE_CLAIMING);
    struct pay_lane_row row = {
        .log_generation = 1, .next_offset = 5, .replied_offset = 3, .reply_position = 3, .anchor = {true, 4, 1, 2}};
    struct pay_claim claim;
    pay_claim_begin(&claim, &row);
    pay_claim_reply(&claim, &(struct pay_reply_mark){.ours = true,
                                                     .same_ledger = true,
                                                     .log_offset = 3,
                                                     .source_offset = 3,
                                                     .covers_from = 3,
                                                     .log_generation = 1});
    struct pay_claim_verdict verdict = {.move = PAY_CLAIM_OPEN, .resume_from = pay_claim_resume_from(&claim)};
    pay_lane_open(&lane, &claim, &verdict, 0);
    assert_true(pay_lane_rest_due(&lane));
    assert_int_equal(lane.replied_offset, 4);
    assert_int_equal(lane.covers_from, 4);
    /* the same record again at a new place in the log moves only the position */
    lane.settled_replied_offset = 4;
    assert_true(pay_lane_rest_due(&lane));
    lane.settled_reply_position = 4;
    assert_false(pay_lane_rest_due(&lane));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_move_is_allowed_or_aborts_exactly_as_the_table_says),
        cmocka_unit_test(every_state_has_a_name),
        cmocka_unit_test(an_assigned_lane_is_claimed_from_its_time_on_and_remembers_nothing),
        cmocka_unit_test(a_lane_that_is_not_open_is_not_fetched),
        cmocka_unit_test(claims_in_a_row_without_an_acknowledged_reply_are_counted),
        cmocka_unit_test(a_halt_needs_a_reason_and_keeps_it),
        cmocka_unit_test(a_halt_without_a_reason_is_a_programmers_error),
        cmocka_unit_test(a_lane_whose_halt_was_lifted_opens_without_it),
        cmocka_unit_test(an_open_lane_holds_what_the_claim_found),
        cmocka_unit_test(opening_without_an_open_verdict_or_with_R_above_P_is_a_programmers_error),
        cmocka_unit_test(opening_with_more_answered_than_settled_is_a_programmers_error),
        cmocka_unit_test(a_suspicion_is_believed_at_the_second_look_ten_seconds_later),
        cmocka_unit_test(the_same_suspicion_again_does_not_start_its_clock_again),
        cmocka_unit_test(another_suspicion_starts_the_clock_again_and_none_clears_it),
        cmocka_unit_test(a_suspicion_lives_through_claims_and_ends_when_one_opens),
        cmocka_unit_test(records_from_P_on_are_settled),
        cmocka_unit_test(records_from_R_to_P_are_only_answered),
        cmocka_unit_test(holes_are_nothing_special),
        cmocka_unit_test(a_redelivery_is_dropped_and_not_counted),
        cmocka_unit_test(what_lies_below_R_is_dropped),
        cmocka_unit_test(the_last_record_below_P_must_be_the_anchor),
        cmocka_unit_test(the_end_of_the_partition_ends_the_replay_as_a_record_does),
        cmocka_unit_test(an_end_below_P_says_nothing_about_the_anchor_yet),
        cmocka_unit_test(without_a_replay_nothing_has_to_be_the_anchor),
        cmocka_unit_test(with_the_anchor_absent_or_below_R_no_record_may_come_below_P),
        cmocka_unit_test(an_end_of_an_earlier_fetch_is_ignored),
        cmocka_unit_test(receiving_on_a_lane_that_is_not_open_is_a_programmers_error),
        cmocka_unit_test(a_lane_has_room_until_its_unreplied_window_is_full),
        cmocka_unit_test(a_commit_moves_P_the_anchor_and_the_pair_of_the_row),
        cmocka_unit_test(while_it_replays_an_empty_batch_may_write_the_pair_and_leaves_P),
        cmocka_unit_test(committing_back_or_beyond_what_was_received_is_a_programmers_error),
        cmocka_unit_test(each_reply_covers_from_the_end_of_the_one_before),
        cmocka_unit_test(a_sessions_first_reply_covers_from_the_n_of_its_claim_not_from_R),
        cmocka_unit_test(a_message_before_the_money_is_a_programmers_error),
        cmocka_unit_test(a_reply_out_of_order_or_twice_is_a_programmers_error),
        cmocka_unit_test(a_reply_on_a_lane_that_is_not_open_is_a_programmers_error),
        cmocka_unit_test(honest_acknowledgements_move_the_pair_and_the_window),
        cmocka_unit_test(a_failed_report_is_no_acknowledgement_whatever_its_offset),
        cmocka_unit_test(success_without_an_offset_is_no_acknowledgement),
        cmocka_unit_test(an_offset_that_does_not_increase_is_no_acknowledgement),
        cmocka_unit_test(the_first_acknowledgement_may_lie_at_log_offset_zero),
        cmocka_unit_test(a_report_of_what_was_not_sent_or_is_acknowledged_already_is_none),
        cmocka_unit_test(more_acknowledgements_than_sent_replies_are_none),
        cmocka_unit_test(more_acknowledgements_than_records_are_a_programmers_error),
        cmocka_unit_test(an_acknowledgement_on_a_lane_that_is_not_open_is_a_programmers_error),
        cmocka_unit_test(a_new_session_accepts_offsets_anew),
        cmocka_unit_test(at_rest_P_is_the_position_at_the_end_of_the_partition),
        cmocka_unit_test(a_record_that_waits_to_be_settled_is_never_skipped_by_an_end_behind_it),
        cmocka_unit_test(an_end_before_a_later_record_counts_no_more),
        cmocka_unit_test(an_end_at_P_changes_nothing),
        cmocka_unit_test(an_acknowledged_reply_makes_an_empty_batch_due),
        cmocka_unit_test(a_claim_that_found_more_replies_than_the_row_knew_makes_an_empty_batch_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
