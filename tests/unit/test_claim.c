/* Taking over a lane: R by reading, every check of PROTOCOL section 1, and the anchor between claims. */
#include "tests/unit/unit.h"

#include "core/claim.h"

/* P = 20; the last data record below it at 17; replies acknowledged up to source offset 9, the last one at log offset 109. */
static struct pay_lane_row a_row(void) {
    return (struct pay_lane_row){.partition = 3,
                                 .log_generation = 2,
                                 .next_offset = 20,
                                 .replied_offset = 10,
                                 .reply_position = 110,
                                 .owner_epoch = 5,
                                 .anchor = {true, 17, 1700000000017, 0xABCD},
                                 .same_group = true,
                                 .same_cluster = true};
}

/* Logs that fit that row, with everything answered up to the anchor's record. */
static struct pay_claim_view a_view(void) {
    return (struct pay_claim_view){.request_start = 0,
                                   .request_end = 25,
                                   .reply_start = 0,
                                   .reply_end = 118,
                                   .anchor_read = true,
                                   .anchor_seen = {true, 17, 1700000000017, 0xABCD}};
}

static struct pay_reply_mark a_mark(int64_t log_offset, int64_t source_offset, int64_t covers_from) {
    return (struct pay_reply_mark){.ours = true,
                                   .same_ledger = true,
                                   .log_offset = log_offset,
                                   .source_offset = source_offset,
                                   .covers_from = covers_from,
                                   .log_generation = 2};
}

static struct pay_claim a_claim(void) {
    struct pay_claim claim;
    struct pay_lane_row row = a_row();
    pay_claim_begin(&claim, &row);
    return claim;
}

static void read_mark(struct pay_claim *claim, struct pay_reply_mark mark) { pay_claim_reply(claim, &mark); }

static void opens_at(const struct pay_claim *claim, const struct pay_claim_view *view, int64_t resume_from) {
    struct pay_claim_verdict verdict = pay_claim_judge(claim, view);
    assert_int_equal(verdict.move, PAY_CLAIM_OPEN);
    assert_int_equal(verdict.halt, PAY_HALT_NONE);
    assert_int_equal(verdict.resume_from, resume_from);
}

static void halts_with(const struct pay_claim *claim, const struct pay_claim_view *view, enum pay_halt reason) {
    struct pay_claim_verdict verdict = pay_claim_judge(claim, view);
    assert_int_equal(verdict.move, PAY_CLAIM_HALT);
    assert_string_equal(pay_halt_name(verdict.halt), pay_halt_name(reason));
}

static void looks_again_for(const struct pay_claim *claim, struct pay_claim_view view, enum pay_halt reason) {
    struct pay_claim_verdict verdict = pay_claim_judge(claim, &view);
    assert_int_equal(verdict.move, PAY_CLAIM_LOOK_AGAIN);
    assert_int_equal(verdict.halt, reason);
    /* another truncation suspected before is no second look at this one */
    view.suspected_before = reason == PAY_HALT_LOG_TRUNCATED ? PAY_HALT_REPLY_LOG_TRUNCATED : PAY_HALT_LOG_TRUNCATED;
    assert_int_equal(pay_claim_judge(claim, &view).move, PAY_CLAIM_LOOK_AGAIN);
    view.suspected_before = reason;
    halts_with(claim, &view, reason);
}

/* --- R by reading --- */

static void replies_are_read_from_the_rows_position_or_from_the_logs_start_above_it(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    assert_int_equal(pay_claim_scan_from(&claim, 0), 110);
    assert_int_equal(pay_claim_scan_from(&claim, 110), 110);
    assert_int_equal(pay_claim_scan_from(&claim, 111), 111);
}

static void R_is_the_first_missing_reply_found_by_the_readers_rule(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    read_mark(&claim, a_mark(110, 10, 10));
    read_mark(&claim, a_mark(111, 12, 11));
    read_mark(&claim, a_mark(112, 14, 14)); /* 13 is missing: a tail reader would say 15 */
    assert_int_equal(claim.reader.next, 13);
    opens_at(&claim, &view, 13);
}

static void repeats_of_a_zombie_do_not_move_R_back(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    read_mark(&claim, a_mark(110, 10, 10));
    read_mark(&claim, a_mark(111, 11, 11));
    read_mark(&claim, a_mark(112, 4, 4));
    read_mark(&claim, a_mark(113, 5, 5));
    read_mark(&claim, a_mark(114, 12, 12));
    opens_at(&claim, &view, 13);
    assert_int_equal(claim.replied_offset, 13);
    assert_int_equal(claim.reply_position, 115);
}

static void without_any_reply_in_the_window_R_is_the_rows_replied_offset(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    opens_at(&claim, &view, 10);
    assert_int_equal(claim.replied_offset, 10);
    assert_int_equal(claim.reply_position, 110);
}

static void when_the_anchor_is_answered_R_is_P_whatever_holes_lie_between(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    read_mark(&claim, a_mark(110, 16, 10));
    opens_at(&claim, &view, 17); /* the anchor's own reply is missing */
    read_mark(&claim, a_mark(111, 17, 17));
    opens_at(&claim, &view, 20);
    assert_int_equal(pay_claim_resume_from(&claim), 20);
    assert_int_equal(claim.reader.next,
                     18); /* covers-from of the session's first reply: n, not a position behind the hole */
}

static void without_an_anchor_nothing_can_be_unanswered_and_R_is_P(void **unused) {
    (void)unused;
    struct pay_lane_row row = a_row();
    struct pay_claim claim;
    struct pay_claim_view view = a_view();
    row.anchor = (struct pay_anchor){.present = false};
    view.anchor_read = false;
    pay_claim_begin(&claim, &row);
    opens_at(&claim, &view, 20);
}

static void where_the_reply_log_starts_above_the_rows_position_R_stays_and_only_repeats(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    view.reply_start = 113;
    read_mark(&claim, a_mark(113, 13, 13)); /* what lay before it is gone: can't be known as answered */
    read_mark(&claim, a_mark(114, 14, 14));
    opens_at(&claim, &view, 10);
}

static void records_without_our_headers_are_skipped_and_counted(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    for (int64_t i = 0; i < 3; i++)
        read_mark(&claim, (struct pay_reply_mark){.log_offset = 110 + i, .source_offset = 500});
    assert_int_equal(claim.foreign_records, 3);
    opens_at(&claim, &view, 10);
}

static void replies_of_an_earlier_generation_say_nothing_about_this_one(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    struct pay_reply_mark old = a_mark(110, 500, 10);
    old.log_generation = 1;
    read_mark(&claim, old);
    assert_int_equal(claim.largest_source_offset, -1);
    opens_at(&claim, &view, 10);
}

static void the_largest_source_offset_is_of_our_replies_in_this_generation(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_reply_mark foreign = a_mark(112, 700, 10), later = a_mark(113, 800, 10);
    foreign.same_ledger = false;
    later.log_generation = 3;
    assert_int_equal(claim.largest_source_offset, -1);
    read_mark(&claim, a_mark(110, 14, 10));
    read_mark(&claim, a_mark(111, 12, 10));
    read_mark(&claim, foreign);
    read_mark(&claim, later);
    assert_int_equal(claim.largest_source_offset, 14);
    read_mark(&claim, a_mark(114, 30, 15)); /* also of what the database doesn't know */
    assert_int_equal(claim.largest_source_offset, 30);
}

/* --- the halts of the table --- */

static void a_reply_of_ours_at_or_beyond_P_halts_database_rolled_back(void **unused) {
    (void)unused;
    struct pay_claim_view view = a_view();
    for (int64_t s = 18; s <= 25; s++) {
        struct pay_claim claim = a_claim();
        read_mark(&claim, a_mark(110, 17, 10));
        read_mark(&claim, a_mark(111, s, 18));
        if (s >= 20)
            halts_with(&claim, &view, PAY_HALT_DATABASE_ROLLED_BACK);
        else
            opens_at(&claim, &view, 20);
        assert_int_equal(claim.replied_offset, s >= 20 ? 18 : s + 1); /* what can't be is no pair */
    }
}

static void a_reply_of_a_later_generation_halts_database_rolled_back(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    struct pay_reply_mark later = a_mark(110, 3, 3);
    later.log_generation = 3;
    read_mark(&claim, later);
    halts_with(&claim, &view, PAY_HALT_DATABASE_ROLLED_BACK);
}

static void a_reply_beyond_P_counts_even_behind_a_gap(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    read_mark(&claim, a_mark(110, 20, 20));
    halts_with(&claim, &view, PAY_HALT_DATABASE_ROLLED_BACK);
}

static void a_request_log_that_ends_below_P_halts_log_truncated_at_the_second_look(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    view.request_end = 19;
    looks_again_for(&claim, view, PAY_HALT_LOG_TRUNCATED);
    view.request_end = 20;
    opens_at(&claim, &view, 10);
}

static void a_request_log_that_ends_at_or_below_the_anchor_halts_log_truncated_at_the_second_look(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    view.anchor_read = false;
    for (view.request_end = 15; view.request_end <= 17; view.request_end++)
        looks_again_for(&claim, view, PAY_HALT_LOG_TRUNCATED);
}

static void another_record_at_the_anchor_halts_log_replaced(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    view.anchor_seen.timestamp_ms++;
    halts_with(&claim, &view, PAY_HALT_LOG_REPLACED);
    view = a_view();
    view.anchor_seen.crc32c ^= 1;
    halts_with(&claim, &view, PAY_HALT_LOG_REPLACED);
}

static void no_record_at_the_anchor_halts_log_replaced(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    view.anchor_seen = (struct pay_anchor){.present = false};
    halts_with(&claim, &view, PAY_HALT_LOG_REPLACED);
}

static void a_request_log_that_starts_above_P_halts_requests_lost(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    read_mark(&claim, a_mark(110, 17, 10));
    view.anchor_read = false;
    view.request_start = 21;
    halts_with(&claim, &view, PAY_HALT_REQUESTS_LOST);
    view.request_start = 20; /* everything settled and answered is gone: nothing is lost */
    opens_at(&claim, &view, 20);
}

static void a_request_log_that_starts_above_R_halts_replies_lost(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    view.request_start = 11;
    halts_with(&claim, &view, PAY_HALT_REPLIES_LOST);
    view.request_start = 10;
    opens_at(&claim, &view, 10);
}

static void a_reply_log_that_ends_below_the_rows_position_halts_reply_log_truncated_at_the_second_look(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    view.reply_end = 109;
    looks_again_for(&claim, view, PAY_HALT_REPLY_LOG_TRUNCATED);
    view.reply_end = 110;
    opens_at(&claim, &view, 10);
}

static void a_reply_with_another_ledger_id_halts_foreign_ledger(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    struct pay_reply_mark foreign = a_mark(110, 10, 10);
    foreign.same_ledger = false;
    read_mark(&claim, foreign);
    halts_with(&claim, &view, PAY_HALT_FOREIGN_LEDGER);
    assert_int_equal(claim.reader.next, 10);
}

static void a_row_of_another_group_or_cluster_halts(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    claim.row.same_group = false;
    halts_with(&claim, &view, PAY_HALT_OTHER_GROUP);
    claim.row.same_cluster = false; /* the other cluster's logs say nothing: said first */
    halts_with(&claim, &view, PAY_HALT_OTHER_CLUSTER);
}

static void a_halted_row_stays_halted_with_its_own_reason(void **unused) {
    (void)unused;
    struct pay_claim_view view = a_view();
    for (int reason = PAY_HALT_NONE + 1; reason < PAY_HALT_COUNT; reason++) {
        struct pay_claim claim = a_claim();
        claim.row.halted = (enum pay_halt)reason;
        halts_with(&claim, &view, (enum pay_halt)reason);
    }
}

static void a_row_that_contradicts_itself_halts_broken_invariant(void **unused) {
    (void)unused;
    struct pay_claim claim;
    struct pay_claim_view view = a_view();
    struct pay_lane_row row = a_row();
    row.replied_offset = 21; /* answered, but not settled */
    pay_claim_begin(&claim, &row);
    halts_with(&claim, &view, PAY_HALT_BROKEN_INVARIANT);
    row = a_row();
    row.anchor.offset = view.anchor_seen.offset = 20; /* the last record below P isn't below P */
    pay_claim_begin(&claim, &row);
    halts_with(&claim, &view, PAY_HALT_BROKEN_INVARIANT);
}

static void lost_commits_halt_the_whole_ledger_even_where_a_foreign_reply_lies_beside(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    struct pay_reply_mark foreign = a_mark(110, 10, 10);
    foreign.same_ledger = false;
    read_mark(&claim, foreign);
    read_mark(&claim, a_mark(111, 20, 20));
    halts_with(&claim, &view, PAY_HALT_DATABASE_ROLLED_BACK);
}

/* --- the anchor --- */

static void the_anchor_is_wanted_exactly_where_the_log_still_holds_its_offset(void **unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    assert_true(pay_claim_wants_anchor(&claim, &view));
    view.request_start = 17;
    assert_true(pay_claim_wants_anchor(&claim, &view));
    view.request_start = 18;
    assert_false(pay_claim_wants_anchor(&claim, &view));
    view = a_view();
    view.request_end = 18;
    assert_true(pay_claim_wants_anchor(&claim, &view));
    view.request_end = 17;
    assert_false(pay_claim_wants_anchor(&claim, &view));
    view = a_view();
    claim.row.anchor.present = false;
    assert_false(pay_claim_wants_anchor(&claim, &view));
}

static void L_above_the_anchor_is_fine_while_P_is_not_below_L(void **unused) {
    (void)unused;
    struct pay_anchor anchor = {true, 17, 1, 2};
    struct pay_claim_view view = {.request_start = 18, .request_end = 25};
    assert_int_equal(pay_anchor_judge(20, &anchor, &view).move, PAY_CLAIM_OPEN);
    view.request_start = 20;
    assert_int_equal(pay_anchor_judge(20, &anchor, &view).move, PAY_CLAIM_OPEN);
    view.request_start = 21;
    assert_int_equal(pay_anchor_judge(20, &anchor, &view).halt, PAY_HALT_REQUESTS_LOST);
}

static void between_claims_a_replaced_or_truncated_log_is_found_the_same_way(void **unused) {
    (void)unused;
    struct pay_anchor anchor = {true, 17, 1, 2};
    struct pay_claim_view view = {.request_end = 25, .anchor_read = true, .anchor_seen = {true, 17, 1, 2}};
    assert_int_equal(pay_anchor_judge(20, &anchor, &view).move, PAY_CLAIM_OPEN);
    view.anchor_seen.crc32c = 3;
    assert_int_equal(pay_anchor_judge(20, &anchor, &view).move, PAY_CLAIM_HALT);
    assert_int_equal(pay_anchor_judge(20, &anchor, &view).halt, PAY_HALT_LOG_REPLACED);
    view.request_end = 3;
    assert_int_equal(pay_anchor_judge(20, &anchor, &view).move, PAY_CLAIM_LOOK_AGAIN);
    assert_int_equal(pay_anchor_judge(20, &anchor, &view).halt, PAY_HALT_LOG_TRUNCATED);
}

static void an_end_at_or_below_the_anchor_counts_whatever_P_says(void **unused) {
    (void)unused;
    struct pay_anchor anchor = {true, 17, 1, 2};
    struct pay_claim_view view = {.request_end = 17};
    assert_int_equal(pay_anchor_judge(10, &anchor, &view).halt, PAY_HALT_LOG_TRUNCATED);
}

static void without_an_anchor_only_the_bounds_are_judged(void **unused) {
    (void)unused;
    struct pay_anchor none = {.present = false};
    struct pay_claim_view view = {.request_end = 0};
    assert_int_equal(pay_anchor_judge(0, &none, &view).move, PAY_CLAIM_OPEN);
    assert_int_equal(pay_anchor_judge(1, &none, &view).halt, PAY_HALT_LOG_TRUNCATED);
}

static void judge_unread(void *unused) {
    (void)unused;
    struct pay_claim claim = a_claim();
    struct pay_claim_view view = a_view();
    view.anchor_read = false;
    pay_claim_judge(&claim, &view);
}

static void judging_without_having_read_a_wanted_anchor_is_a_programmers_error(void **unused) {
    (void)unused;
    assert_true(aborts(judge_unread, NULL));
}

/* --- every small combination against the table, written down a second time --- */

struct combination {
    int64_t p, l, e, n, reply_end;
    int64_t anchor; /* -1: none */
    bool anchor_same;
};

/* Bit per halt reason that the table demands. */
static unsigned violated(const struct combination *c) {
    unsigned bits = 0;
    bool readable = c->anchor >= c->l && c->anchor < c->e;
    int64_t r = c->anchor < c->n ? c->p : c->n; /* anchor -1 is below every n */
    if (c->p > c->e || (c->anchor >= 0 && c->e <= c->anchor)) bits |= 1u << PAY_HALT_LOG_TRUNCATED;
    if (c->anchor >= 0 && readable && !c->anchor_same) bits |= 1u << PAY_HALT_LOG_REPLACED;
    if (c->p < c->l) bits |= 1u << PAY_HALT_REQUESTS_LOST;
    if (r < c->l) bits |= 1u << PAY_HALT_REPLIES_LOST;
    if (c->reply_end < 2) bits |= 1u << PAY_HALT_REPLY_LOG_TRUNCATED;
    return bits;
}

static void judge_combination(const struct combination *c) {
    struct pay_lane_row row = {.log_generation = 1,
                               .next_offset = c->p,
                               .replied_offset = c->n,
                               .reply_position = 2,
                               .anchor = {c->anchor >= 0, c->anchor, 5, 6},
                               .same_group = true,
                               .same_cluster = true};
    struct pay_claim_view view = {.request_start = c->l,
                                  .request_end = c->e,
                                  .reply_end = c->reply_end,
                                  .anchor_seen = {true, c->anchor, 5, c->anchor_same ? 6 : 7}};
    struct pay_claim claim;
    unsigned bits = violated(c);
    pay_claim_begin(&claim, &row);
    view.anchor_read = pay_claim_wants_anchor(&claim, &view);
    struct pay_claim_verdict verdict = pay_claim_judge(&claim, &view);
    if (bits == 0) {
        assert_int_equal(verdict.move, PAY_CLAIM_OPEN);
        assert_int_equal(verdict.resume_from, c->anchor < c->n ? c->p : c->n);
        assert_true(verdict.resume_from >= c->l && verdict.resume_from <= c->p && c->p <= c->e); /* R <= P <= E */
        return;
    }
    bool truncation = verdict.halt == PAY_HALT_LOG_TRUNCATED || verdict.halt == PAY_HALT_REPLY_LOG_TRUNCATED;
    assert_true(bits >> verdict.halt & 1);
    assert_int_equal(verdict.move, truncation ? PAY_CLAIM_LOOK_AGAIN : PAY_CLAIM_HALT);
    if (!truncation) return;
    view.suspected_before = verdict.halt;
    assert_int_equal(pay_claim_judge(&claim, &view).move, PAY_CLAIM_HALT);
}

static void every_small_combination_opens_exactly_when_the_table_finds_nothing(void **unused) {
    (void)unused;
    int opened = 0, judged = 0;
    struct combination c;
    for (c.p = 0; c.p <= 4; c.p++)
        for (c.anchor = -1; c.anchor < c.p; c.anchor++)
            for (c.l = 0; c.l <= 5; c.l++)
                for (c.e = c.l; c.e <= 5; c.e++)
                    for (c.n = 0; c.n <= c.p; c.n++)
                        for (c.reply_end = 1; c.reply_end <= 3; c.reply_end++)
                            for (int same = 0; same < 2; same++) {
                                c.anchor_same = same;
                                judge_combination(&c);
                                judged++;
                                opened += violated(&c) == 0;
                            }
    assert_true(judged > 5000 && opened > 300 && opened < judged);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read_from_the_rows_position_or_from_the_logs_start_above_it),
        cmocka_unit_test(R_is_the_first_missing_reply_found_by_the_readers_rule),
        cmocka_unit_test(repeats_of_a_zombie_do_not_move_R_back),
        cmocka_unit_test(without_any_reply_in_the_window_R_is_the_rows_replied_offset),
        cmocka_unit_test(when_the_anchor_is_answered_R_is_P_whatever_holes_lie_between),
        cmocka_unit_test(without_an_anchor_nothing_can_be_unanswered_and_R_is_P),
        cmocka_unit_test(where_the_reply_log_starts_above_the_rows_position_R_stays_and_only_repeats),
        cmocka_unit_test(records_without_our_headers_are_skipped_and_counted),
        cmocka_unit_test(replies_of_an_earlier_generation_say_nothing_about_this_one),
        cmocka_unit_test(the_largest_source_offset_is_of_our_replies_in_this_generation),
        cmocka_unit_test(a_reply_of_ours_at_or_beyond_P_halts_database_rolled_back),
        cmocka_unit_test(a_reply_of_a_later_generation_halts_database_rolled_back),
        cmocka_unit_test(a_reply_beyond_P_counts_even_behind_a_gap),
        cmocka_unit_test(a_request_log_that_ends_below_P_halts_log_truncated_at_the_second_look),
        cmocka_unit_test(a_request_log_that_ends_at_or_below_the_anchor_halts_log_truncated_at_the_second_look),
        cmocka_unit_test(another_record_at_the_anchor_halts_log_replaced),
        cmocka_unit_test(no_record_at_the_anchor_halts_log_replaced),
        cmocka_unit_test(a_request_log_that_starts_above_P_halts_requests_lost),
        cmocka_unit_test(a_request_log_that_starts_above_R_halts_replies_lost),
        cmocka_unit_test(a_reply_log_that_ends_below_the_rows_position_halts_reply_log_truncated_at_the_second_look),
        cmocka_unit_test(a_reply_with_another_ledger_id_halts_foreign_ledger),
        cmocka_unit_test(a_row_of_another_group_or_cluster_halts),
        cmocka_unit_test(a_halted_row_stays_halted_with_its_own_reason),
        cmocka_unit_test(a_row_that_contradicts_itself_halts_broken_invariant),
        cmocka_unit_test(lost_commits_halt_the_whole_ledger_even_where_a_foreign_reply_lies_beside),
        cmocka_unit_test(the_anchor_is_wanted_exactly_where_the_log_still_holds_its_offset),
        cmocka_unit_test(L_above_the_anchor_is_fine_while_P_is_not_below_L),
        cmocka_unit_test(between_claims_a_replaced_or_truncated_log_is_found_the_same_way),
        cmocka_unit_test(an_end_at_or_below_the_anchor_counts_whatever_P_says),
        cmocka_unit_test(without_an_anchor_only_the_bounds_are_judged),
        cmocka_unit_test(judging_without_having_read_a_wanted_anchor_is_a_programmers_error),
        cmocka_unit_test(every_small_combination_opens_exactly_when_the_table_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
