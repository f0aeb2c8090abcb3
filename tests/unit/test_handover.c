/*
 * Claim, lane and reader together, in random histories: a lane changes hands at any step, zombies publish what they had on the
 * wire, acknowledgements and commits get lost, control records leave holes, retention shortens the reply log.
 * (The whole worker against nasty fakes is the scenario rung's; here only the core's three pieces must fit together.)
 */
#include "tests/unit/unit.h"

#include "core/lane.h"

#define HISTORIES 5000
#define STEPS 160
#define OFFSETS_MAX 400
#define REPLIES_MAX 4000
#define SESSIONS_MAX 64
#define MIDDLES 4

struct sent {
    int64_t source_offset, covers_from;
};

struct session {
    struct pay_lane lane;
    int64_t received[OFFSETS_MAX];     /* records, in order */
    int received_count, settled, sent; /* how many of them are settled and sent */
    struct sent wire[OFFSETS_MAX];     /* sent replies; [landed, wire_count) are on the wire */
    int wire_count, landed, acknowledged;
    int64_t log_offset[OFFSETS_MAX]; /* of what landed */
};

static struct {
    uint64_t random;
    bool data[OFFSETS_MAX]; /* the request log: a data record, or a hole */
    int64_t end;            /* E */
    struct pay_lane_row row;
    struct sent replies[REPLIES_MAX];
    int64_t reply_start, reply_end;
    struct session sessions[SESSIONS_MAX];
    int session_count; /* the last one owns the lane; the others are zombies */
    struct pay_reader from_zero, middle[MIDDLES];
    int middle_count;
    int taken[OFFSETS_MAX]; /* by the reader from zero */
} world;

static uint64_t claims, replays, resyncs, repeats;

static uint32_t dice(uint32_t sides) { return random_below(&world.random, sides); }
static struct session *owner(void) { return &world.sessions[world.session_count - 1]; }

static int64_t timestamp_of(int64_t offset) { return 1700000000000 + offset; }
static struct pay_anchor anchor_at(int64_t offset) {
    return (struct pay_anchor){true, offset, timestamp_of(offset), (uint32_t)offset * 31};
}

static void new_request(void) {
    if (world.end < OFFSETS_MAX) world.data[world.end++] = dice(4) != 0;
}

/* --- the reply log and its readers --- */

static void append_reply(const struct sent *sent) {
    int64_t s = sent->source_offset, c = sent->covers_from;
    assert_true(world.reply_end < REPLIES_MAX);
    assert_true(s < world.row.next_offset); /* money before message */
    world.replies[world.reply_end++] = *sent;
    switch (pay_reader_take(&world.from_zero, s, c)) {
    case PAY_READER_TAKE: world.taken[s]++; break;
    case PAY_READER_DROP: repeats++; break;
    case PAY_READER_GAP: fail_msg("the reader from zero stopped at %d", (int)s);
    }
    for (int i = 0; i < world.middle_count; i++)
        assert_int_not_equal(pay_reader_take(&world.middle[i], s, c), PAY_READER_GAP);
}

static void new_reader_in_the_middle(void) {
    if (world.middle_count < MIDDLES) pay_reader_start_in_the_middle(&world.middle[world.middle_count++], world.end);
}

/* --- a session --- */

static void read_reply_log(struct pay_claim *claim) {
    for (int64_t i = pay_claim_scan_from(claim, world.reply_start); i < world.reply_end; i++)
        pay_claim_reply(claim, &(struct pay_reply_mark){.ours = true,
                                                        .same_ledger = true,
                                                        .log_offset = i,
                                                        .source_offset = world.replies[i].source_offset,
                                                        .covers_from = world.replies[i].covers_from,
                                                        .log_generation = 1});
}

static void claim_the_lane(void) {
    struct pay_claim claim;
    struct pay_claim_view view = {
        .request_end = world.end, .reply_start = world.reply_start, .reply_end = world.reply_end};
    struct session *session = &world.sessions[world.session_count++];
    *session = (struct session){.received_count = 0};
    claims++;
    world.row.owner_epoch++;
    pay_claim_begin(&claim, &world.row);
    read_reply_log(&claim);
    view.anchor_read = pay_claim_wants_anchor(&claim, &view);
    if (view.anchor_read && world.data[world.row.anchor.offset]) view.anchor_seen = anchor_at(world.row.anchor.offset);
    struct pay_claim_verdict verdict = pay_claim_judge(&claim, &view);
    if (verdict.move != PAY_CLAIM_OPEN) fail_msg("a healthy lane: %s", pay_halt_name(verdict.halt));
    assert_true(verdict.resume_from <= world.row.next_offset && world.row.next_offset <= world.end); /* R <= P <= E */
    for (int64_t offset = 0; offset < verdict.resume_from; offset++) /* all below R is answered */
        if (world.data[offset]) assert_int_equal(world.taken[offset], 1);
    pay_lane_init(&session->lane, 0);
    pay_lane_assign(&session->lane, 0);
    pay_lane_open(&session->lane, &claim, &verdict, 0);
    replays += session->lane.replaying;
}

static void receive_next(void) {
    struct session *session = owner();
    int64_t offset = session->lane.received;
    while (offset < world.end && !world.data[offset]) offset++;
    if (dice(10) == 0 && session->lane.received > 0)
        assert_int_equal(pay_lane_receive(&session->lane, dice((uint32_t)session->lane.received)), PAY_RECEIVE_DROP);
    if (offset == world.end) {
        assert_true(pay_lane_receive_end(&session->lane, world.end));
        return;
    }
    bool below = offset < world.row.next_offset && offset < session->lane.claimed_processed;
    assert_int_equal(pay_lane_receive(&session->lane, offset), below ? PAY_RECEIVE_ANSWER : PAY_RECEIVE_SETTLE);
    session->received[session->received_count++] = offset;
    if (below) session->settled = session->received_count;
}

static void write_row(struct session *session, int64_t processed, const struct pay_anchor *anchor) {
    struct pay_lane_row *row = &world.row;
    assert_true(processed >= row->next_offset && processed <= world.end);
    row->next_offset = processed;
    row->anchor = *anchor;
    row->replied_offset = session->lane.replied_offset;
    row->reply_position = session->lane.reply_position;
    if (dice(12) == 0) {
        claim_the_lane(); /* the commit is unknown to its session */
        return;
    }
    pay_lane_committed(&session->lane, processed, anchor, row->replied_offset, row->reply_position);
}

static void settle_some(void) {
    struct session *session = owner();
    int waiting = session->received_count - session->settled;
    if (waiting > 0) {
        session->settled += 1 + (int)dice((uint32_t)waiting);
        int64_t last = session->received[session->settled - 1];
        struct pay_anchor anchor = anchor_at(last);
        write_row(session, last + 1, &anchor);
    } else if (pay_lane_rest_due(&session->lane)) {
        struct pay_anchor anchor = session->lane.anchor;
        write_row(session, pay_lane_rest_position(&session->lane), &anchor);
    }
}

static void send_next(struct session *session) {
    if (session->sent == session->settled) return;
    int64_t s = session->received[session->sent];
    if (s >= session->lane.processed) return; /* its commit isn't known here */
    session->sent++;
    session->wire[session->wire_count++] = (struct sent){s, pay_lane_reply_sent(&session->lane, s)};
}

static void land_next(struct session *session) {
    if (session->landed == session->wire_count) return;
    session->log_offset[session->landed] = world.reply_end;
    append_reply(&session->wire[session->landed++]);
}

static void acknowledge_next(struct session *session) {
    if (session->acknowledged == session->landed) return;
    int i = session->acknowledged++;
    assert_true(pay_lane_acknowledged(&session->lane, false, session->log_offset[i], session->wire[i].source_offset));
}

static void zombie_step(void) {
    if (world.session_count < 2) return;
    struct session *zombie = &world.sessions[dice((uint32_t)world.session_count - 1)];
    switch (dice(4)) {
    case 0:
        if (dice(4) != 0) break;
        zombie->wire_count = zombie->landed; /* its connection dies, and it with it */
        zombie->sent = zombie->settled;
        break;
    case 1: send_next(zombie); break;
    default: land_next(zombie);
    }
}

static void shorten_reply_log(void) {
    if (dice(6) == 0) world.reply_start += dice((uint32_t)(world.reply_end - world.reply_start) + 1);
}

static void step(void) {
    switch (dice(18)) {
    case 0:
    case 1: new_request(); break;
    case 2:
    case 3:
    case 4: receive_next(); break;
    case 5:
    case 6: settle_some(); break;
    case 7:
    case 8: send_next(owner()); break;
    case 9:
    case 10: land_next(owner()); break;
    case 11: acknowledge_next(owner()); break;
    case 12:
    case 13:
    case 14:
    case 15:
    case 16: zombie_step(); break;
    default:
        if (dice(3) == 0 && world.session_count < SESSIONS_MAX / 2)
            claim_the_lane();
        else if (dice(2) == 0)
            new_reader_in_the_middle();
        else
            shorten_reply_log();
    }
}

/* No more trouble: the owner does all that is left. */
static void finish(void) {
    while (owner()->lane.received < world.end || owner()->lane.end_position < world.end) receive_next();
    while (owner()->sent < owner()->received_count || owner()->acknowledged < owner()->wire_count ||
           pay_lane_rest_due(&owner()->lane)) {
        int session_count = world.session_count;
        settle_some();
        if (world.session_count != session_count)
            while (owner()->lane.received < world.end || owner()->lane.end_position < world.end) receive_next();
        send_next(owner());
        land_next(owner());
        acknowledge_next(owner());
    }
}

static void live_through(uint64_t seed) {
    memset(world.data, 0, sizeof world.data);
    memset(world.taken, 0, sizeof world.taken);
    world.random = seed;
    world.end = world.reply_start = world.reply_end = 0;
    world.session_count = world.middle_count = 0;
    world.row = (struct pay_lane_row){.log_generation = 1, .same_group = true, .same_cluster = true};
    pay_reader_start_at(&world.from_zero, 0);
    claim_the_lane();
    for (int i = 0; i < STEPS; i++) step();
    finish();
}

static void however_a_lane_changes_hands_every_reader_takes_each_reply_once(void **unused) {
    (void)unused;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        live_through(seed);
        assert_int_equal(world.row.next_offset, world.end); /* at rest: P = E, no record between R and P */
        int64_t largest = -1;
        for (int64_t offset = 0; offset < world.end; offset++) {
            assert_int_equal(world.taken[offset], world.data[offset]);
            if (world.data[offset]) largest = offset;
        }
        assert_int_equal(world.from_zero.next, largest + 1);
        assert_int_equal(world.row.replied_offset, largest + 1);
        for (int i = 0; i < world.middle_count; i++) {
            if (world.middle[i].synced) assert_int_equal(world.middle[i].next, largest + 1);
            resyncs += (uint64_t)world.middle[i].resync_count;
        }
    }
    assert_true(claims > 3 * HISTORIES && replays > 2 * HISTORIES && repeats > HISTORIES && resyncs > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(however_a_lane_changes_hands_every_reader_takes_each_reply_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
