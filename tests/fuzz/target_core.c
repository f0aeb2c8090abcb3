/*
 * target_core.c - the core's event stream: one partition, two workers, a listener, and everything that may legally happen to them.
 *
 * Input: two bytes an event (which, and its parameter): records and holes appended, claims, deliveries and redeliveries, settles that
 * commit, fail or end unknown, sends, broker writes, honest and lying acknowledgements, ends of sessions with their zombie's replies
 * still to come, empty batches, retention, listeners. An event that isn't possible now is passed over, so nearly every input is legal.
 * Then a worker claims and finishes everything.
 * Oracle: no assert of the core for any of it; decisions as the contract has them, said a second time below; R <= P <= E; P and the replied
 * pair only grow; no reply without its money; copies of a reply are equal; a claim finds no unanswered record below R; listeners
 * take each reply once and meet no gap; at the end every record is decided, answered and taken.
 */
#include "codec/reply_codec.h"
#include "core/batch.h"
#include "core/lane.h"
#include "core/reader.h"
#include "fuzz.h"

#include <stdio.h>
#include <string.h>

#define LOG_MAX 64
#define REPLIES_MAX 512
#define ORDERS 3
#define ATTEMPTS 3
#define ACCOUNTS 3 /* the last one isn't on file */
#define WORKERS 2

struct sent {
    int64_t source, covers, log_offset; /* log_offset -1: not written yet */
};

/* One worker's session. What it got, decided and sent, each in offset order. */
struct worker {
    struct pay_lane lane;
    int64_t next;              /* the consumer's position */
    int64_t claimed_processed; /* P at the claim */
    int64_t got[LOG_MAX];
    struct pay_answer answers[LOG_MAX];
    uint32_t got_count, decided_count, sent_count;
    struct sent sent[LOG_MAX];
    uint32_t written_count, acked_count;
};

struct listener {
    struct pay_reader reader;
    int64_t at; /* next offset in the reply log */
    bool taken[LOG_MAX];
    bool from_start;
};

static struct world {
    int64_t now;
    struct pay_record log[LOG_MAX];
    bool hole[LOG_MAX], decided[LOG_MAX], answered[LOG_MAX];
    int64_t start, end; /* L, E */
    struct pay_reply_mark replies[REPLIES_MAX];
    int64_t reply_start, reply_end;
    struct pay_lane_row row;
    struct pay_decision decision[ORDERS][ATTEMPTS]; /* attempt 0: not on file */
    struct pay_account accounts[ACCOUNTS];
    struct pay_answer said[LOG_MAX]; /* what each record was answered, by the books */
    struct worker workers[WORKERS];
    struct sent zombies[LOG_MAX]; /* sent by sessions that are over, may still arrive, in order */
    uint32_t zombie_count, zombie_next;
    struct listener listeners[2]; /* from the start, and from the middle */
    bool middle_started;
} w;

static struct pay_batch batch;

/* ---- the books, said a second time ---- */

static int order_of(const struct pay_record *record) { return record->request.order_id[1] - '0'; }
static struct pay_account *account_of(const char *account_id) { return &w.accounts[account_id[1] - '0']; }

static void decide_first(const struct pay_record *record, struct pay_decision *decision) {
    struct pay_account *account = account_of(record->request.account_id);
    const struct pay_request *asked = &record->request;
    *decision = (struct pay_decision){.attempt = asked->attempt,
                                      .amount_minor = asked->amount_minor,
                                      .outcome = PAY_DECLINED,
                                      .reason = PAY_UNKNOWN_ACCOUNT,
                                      .position = record->position,
                                      .decided_at_us = w.now};
    strcpy(decision->account_id, asked->account_id);
    strcpy(decision->currency, asked->currency);
    if (!account->found) return;
    decision->reason = account->state == PAY_ACCOUNT_STATE_CLOSED                            ? PAY_ACCOUNT_CLOSED
                       : account->state == PAY_ACCOUNT_STATE_FROZEN                          ? PAY_ACCOUNT_FROZEN
                       : strcmp(account->currency, asked->currency) != 0                     ? PAY_CURRENCY_MISMATCH
                       : account->balance_minor - asked->amount_minor < account->floor_minor ? PAY_INSUFFICIENT_FUNDS
                                                                                             : PAY_REASON_NONE;
    if (decision->reason == PAY_REASON_NONE) {
        decision->outcome = PAY_PAID;
        account->balance_minor -= asked->amount_minor;
    }
    decision->has_account = true;
    decision->balance_after_minor = account->balance_minor;
    decision->account_version = ++account->version;
}

static void refuse(enum pay_reason reason, enum pay_field field, struct pay_answer *answer) {
    *answer = (struct pay_answer){.outcome = PAY_INVALID, .reason = reason, .field = field, .decided_at_us = w.now};
}

static void conflict(enum pay_reason reason, const struct pay_decision *with, struct pay_answer *answer) {
    *answer = (struct pay_answer){.outcome = PAY_CONFLICT,
                                  .reason = reason,
                                  .has_decision = true,
                                  .decision = *with,
                                  .decided_at_us = with->decided_at_us};
}

/* Decides one record and changes the books. */
static void decide(const struct pay_record *record, struct pay_answer *answer) {
    const struct pay_request *asked = &record->request;
    if (record->invalid != PAY_REASON_NONE) {
        refuse(record->invalid, record->invalid_field, answer);
        return;
    }
    struct pay_decision *of_order = w.decision[order_of(record)], *own = &of_order[asked->attempt - 1];
    bool on_file = own->attempt != 0;
    for (int i = 0; !on_file && i < asked->attempt - 1; i++) {
        if (of_order[i].attempt == 0 || of_order[i].outcome != PAY_PAID) continue;
        conflict(PAY_ALREADY_PAID, &of_order[i], answer);
        return;
    }
    if (!on_file && asked->attempt > 1 && of_order[asked->attempt - 2].attempt == 0) {
        refuse(PAY_ATTEMPT_OUT_OF_SEQUENCE, PAY_FIELD_NONE, answer);
        return;
    }
    if (!on_file) decide_first(record, own);
    if (strcmp(own->account_id, asked->account_id) != 0)
        conflict(PAY_ACCOUNT_ID_DIFFERS, own, answer);
    else if (own->amount_minor != asked->amount_minor)
        conflict(PAY_AMOUNT_MINOR_DIFFERS, own, answer);
    else if (strcmp(own->currency, asked->currency) != 0)
        conflict(PAY_CURRENCY_DIFFERS, own, answer);
    else
        *answer = (struct pay_answer){.outcome = own->outcome,
                                      .reason = own->reason,
                                      .duplicate = on_file,
                                      .has_decision = true,
                                      .decision = *own,
                                      .decided_at_us = own->decided_at_us};
}

/* Copies of a reply are equal in every member. */
static void check_same_answer(int64_t offset, const struct pay_answer *answer) {
    char expected[PAY_REPLY_TEXT_MAX], given[PAY_REPLY_TEXT_MAX];
    size_t length = pay_reply_format(&w.log[offset], &w.said[offset], expected, sizeof expected);
    FUZZ_CHECK(pay_reply_format(&w.log[offset], answer, given, sizeof given) == length);
    FUZZ_CHECK(memcmp(expected, given, length) == 0);
}

/* ---- the logs ---- */

static void append(uint8_t p, bool hole) {
    if (w.end == LOG_MAX) return;
    struct pay_record *record = &w.log[w.end];
    *record = (struct pay_record){
        .position = {1, 0, w.end}, .timestamp_ms = 1000 + w.end, .crc32c = (uint32_t)w.end * 7 + 1, .tenant = "t"};
    w.hole[w.end] = hole;
    w.decided[w.end] = w.answered[w.end] = false;
    for (int i = 0; i < 2; i++) w.listeners[i].taken[w.end] = false;
    w.end++;
    if (hole) return;
    if (p >= 240) {
        record->invalid = p >= 248 ? PAY_BAD_FIELD : PAY_KEY_MISMATCH;
        record->invalid_field = p >= 248 ? PAY_FIELD_CURRENCY : PAY_FIELD_NONE;
        return;
    }
    struct pay_request *request = &record->request;
    strcpy(request->tenant, "t");
    snprintf(request->order_id, sizeof request->order_id, "o%d", p % ORDERS);
    snprintf(request->account_id, sizeof request->account_id, "a%d", p / 9 % ACCOUNTS);
    strcpy(request->currency, p / 27 % 4 == 3 ? "USD" : "EUR");
    request->attempt = 1 + p / 3 % ATTEMPTS;
    request->amount_minor = p / 108 == 0 ? 10 : 50; /* two of them reach the floor exactly */
}

static int64_t next_record(int64_t from) {
    while (from < w.end && w.hole[from]) from++;
    return from;
}

static void land(const struct sent *sent, int64_t *ret_log_offset) {
    FUZZ_CHECK(sent->source < w.row.next_offset && w.decided[sent->source]); /* money before message */
    w.answered[sent->source] = true;
    *ret_log_offset = w.reply_end;
    w.replies[w.reply_end] = (struct pay_reply_mark){true, true, w.reply_end, sent->source, sent->covers, 1};
    w.reply_end++;
}

static void write_foreign(void) {
    if (w.reply_end == REPLIES_MAX) return;
    w.replies[w.reply_end] = (struct pay_reply_mark){.log_offset = w.reply_end};
    w.reply_end++;
}

/* ---- sessions ---- */

static void end_session(struct worker *worker, bool revoked) {
    if (worker->lane.state == PAY_LANE_UNASSIGNED) return;
    if (w.zombie_next == w.zombie_count) w.zombie_next = w.zombie_count = 0;
    for (uint32_t i = worker->written_count; i < worker->sent_count && w.zombie_count < LOG_MAX; i++)
        w.zombies[w.zombie_count++] = worker->sent[i];
    if (revoked)
        pay_lane_unassign(&worker->lane);
    else
        pay_lane_claim_again(&worker->lane, w.now);
    worker->got_count = worker->decided_count = worker->sent_count = worker->written_count = worker->acked_count = 0;
}

static void check_claim(const struct pay_claim *claim, const struct pay_claim_verdict *verdict) {
    FUZZ_CHECK(verdict->move == PAY_CLAIM_OPEN);
    FUZZ_CHECK(verdict->resume_from <= w.row.next_offset && verdict->resume_from >= w.start);
    for (int64_t i = w.start; i < verdict->resume_from; i++) FUZZ_CHECK(w.hole[i] || w.answered[i]);
    FUZZ_CHECK(claim->replied_offset >= w.row.replied_offset && claim->reply_position >= w.row.reply_position);
    for (int64_t i = claim->reader.next; i < w.end; i++) FUZZ_CHECK(!w.answered[i]);
}

static void claim_lane(struct worker *worker) {
    struct pay_claim claim;
    struct pay_claim_view view = {
        .request_start = w.start, .request_end = w.end, .reply_start = w.reply_start, .reply_end = w.reply_end};
    if (worker->lane.state == PAY_LANE_OPEN) end_session(worker, false);
    if (worker->lane.state == PAY_LANE_UNASSIGNED) pay_lane_assign(&worker->lane, w.now);
    w.row.owner_epoch++;
    w.row.owner[0] = (uint8_t)(worker - w.workers);
    pay_claim_begin(&claim, &w.row);
    for (int64_t i = pay_claim_scan_from(&claim, w.reply_start); i < w.reply_end; i++)
        pay_claim_reply(&claim, &w.replies[i]);
    if (pay_claim_wants_anchor(&claim, &view)) {
        const struct pay_record *seen = &w.log[w.row.anchor.offset];
        view.anchor_read = true;
        view.anchor_seen = (struct pay_anchor){true, w.row.anchor.offset, seen->timestamp_ms, seen->crc32c};
    }
    struct pay_claim_verdict verdict = pay_claim_judge(&claim, &view);
    check_claim(&claim, &verdict);
    pay_lane_open(&worker->lane, &claim, &verdict, w.now);
    worker->next = verdict.resume_from;
    worker->claimed_processed = w.row.next_offset;
}

static void deliver(struct worker *worker) {
    int64_t offset = next_record(worker->next);
    worker->next = offset;
    if (offset == w.end) {
        FUZZ_CHECK(pay_lane_receive_end(&worker->lane, offset));
        return;
    }
    FUZZ_CHECK(pay_lane_has_room(&worker->lane));
    enum pay_lane_receive expected = offset < worker->claimed_processed ? PAY_RECEIVE_ANSWER : PAY_RECEIVE_SETTLE;
    FUZZ_CHECK(pay_lane_receive(&worker->lane, offset) == expected);
    worker->got[worker->got_count++] = offset;
    worker->next = offset + 1;
}

static void deliver_again(struct worker *worker, uint8_t p) {
    if (worker->lane.received == 0) return;
    struct pay_lane before = worker->lane;
    int64_t offset = p % worker->lane.received;
    FUZZ_CHECK(pay_lane_receive(&worker->lane, offset) == PAY_RECEIVE_DROP);
    FUZZ_CHECK(pay_lane_receive_end(&worker->lane, offset));
    FUZZ_CHECK(worker->lane.received == before.received && worker->lane.unreplied == before.unreplied);
}

/* ---- settling ---- */

static void fill_known(void) {
    for (uint32_t i = 0; i < batch.order_count; i++) {
        const struct pay_decision *of_order = w.decision[batch.orders[i].order_id[1] - '0'];
        FUZZ_CHECK(i == 0 || strcmp(batch.orders[i - 1].order_id, batch.orders[i].order_id) < 0);
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            if (of_order[attempt].attempt == 0) continue;
            struct pay_decision *known = pay_batch_add_known(&batch, i), *next = known->next;
            *known = of_order[attempt];
            known->next = next;
        }
    }
}

static void fill_accounts(void) {
    for (uint32_t i = 0; i < batch.account_count; i++) {
        struct pay_account *locked = &batch.accounts[i];
        const struct pay_account *row = account_of(locked->account_id);
        FUZZ_CHECK(i == 0 || strcmp(batch.accounts[i - 1].account_id, locked->account_id) < 0); /* the lock order */
        if (row->found) *locked = *row;
    }
}

/* The first `limit` records of one kind that are received and not decided. */
static void make_batch(const struct worker *worker, uint32_t limit) {
    pay_batch_reset(&batch);
    for (uint32_t i = worker->decided_count; i < worker->got_count; i++) {
        *pay_batch_next(&batch) = w.log[worker->got[i]];
        pay_batch_commit_next(&batch, worker->got[i] < worker->claimed_processed);
    }
    FUZZ_CHECK(pay_batch_slice(&batch, limit));
}

static void look_up(struct worker *worker) {
    uint32_t orphan;
    pay_batch_prepare(&batch);
    fill_known();
    for (uint32_t i = 0; i < batch.end; i++) {
        const struct pay_answer *said = &w.said[batch.records[i].position.offset];
        if (said->outcome != PAY_INVALID) continue;
        struct pay_refusal *refusal = pay_batch_add_refusal(&batch, i);
        refusal->code = said->reason;
        refusal->field = said->field;
        refusal->decided_at_us = said->decided_at_us;
    }
    FUZZ_CHECK(pay_batch_find_answers(&batch, &orphan));
    for (uint32_t i = 0; i < batch.end; i++) {
        check_same_answer(batch.records[i].position.offset, &batch.answers[i]);
        worker->answers[worker->decided_count++] = batch.answers[i];
    }
}

static void decide_slice(void) {
    pay_batch_prepare(&batch);
    fill_known();
    fill_accounts();
    pay_batch_decide(&batch, w.now);
}

/* What the transaction wrote, against the books that decided the same records one by one. */
static void check_written(void) {
    uint32_t inserts = 0, refusals = 0;
    for (uint32_t i = 0; i < batch.end; i++) {
        int64_t offset = batch.records[i].position.offset;
        FUZZ_CHECK(!w.decided[offset]);
        decide(&w.log[offset], &w.said[offset]);
        w.decided[offset] = true;
        check_same_answer(offset, &batch.answers[i]);
        inserts += w.said[offset].has_decision &&
                   pay_position_equal(&w.said[offset].decision.position, &w.log[offset].position);
        refusals += w.said[offset].outcome == PAY_INVALID;
    }
    FUZZ_CHECK(batch.insert_count == inserts && batch.refusal_count == refusals);
    for (uint32_t i = 0; i < batch.account_count; i++) {
        const struct pay_account *row = account_of(batch.accounts[i].account_id);
        FUZZ_CHECK(batch.accounts[i].balance_minor == row->balance_minor && batch.accounts[i].version == row->version);
        FUZZ_CHECK(!row->found || row->balance_minor >= row->floor_minor);
    }
    for (uint32_t i = 1; i < batch.insert_count; i++) /* in primary key order */
        FUZZ_CHECK(batch.inserts[i - 1].order < batch.inserts[i].order ||
                   (batch.inserts[i - 1].order == batch.inserts[i].order &&
                    batch.inserts[i - 1].decision->attempt < batch.inserts[i].decision->attempt));
}

static void write_row(const struct pay_lane *lane, int64_t processed, const struct pay_anchor *anchor) {
    FUZZ_CHECK(processed >= w.row.next_offset && processed <= w.end);
    FUZZ_CHECK(lane->replied_offset >= w.row.replied_offset && lane->reply_position >= w.row.reply_position);
    w.row.next_offset = processed;
    w.row.anchor = *anchor;
    w.row.replied_offset = lane->replied_offset;
    w.row.reply_position = lane->reply_position;
}

static bool fenced(struct worker *worker) {
    if (worker->lane.owner_epoch == w.row.owner_epoch) return false;
    end_session(worker, false);
    return true;
}

enum ending { COMMITTED, FAILED, LOST_UNWRITTEN, LOST_WRITTEN };

static void settle(struct worker *worker, uint8_t p) {
    struct pay_lane *lane = &worker->lane;
    if (worker->decided_count == worker->got_count) return;
    make_batch(worker, 1 + p % 8);
    if (batch.settled[0]) {
        look_up(worker);
        return;
    }
    if (fenced(worker)) return;
    enum ending ending = (enum ending)(p / 8 % 4);
    decide_slice();
    if (p & 128) { /* redone, and with fewer records */
        pay_batch_shrink(&batch, 1 + p % 3);
        decide_slice();
    }
    if (ending == FAILED) return;
    if (ending != LOST_UNWRITTEN) {
        const struct pay_record *last = &batch.records[batch.end - 1];
        struct pay_anchor anchor = {true, last->position.offset, last->timestamp_ms, last->crc32c};
        check_written();
        write_row(lane, last->position.offset + 1, &anchor);
        if (ending == COMMITTED) {
            pay_lane_committed(lane, last->position.offset + 1, &anchor, lane->replied_offset, lane->reply_position);
            for (uint32_t i = 0; i < batch.end; i++) worker->answers[worker->decided_count++] = batch.answers[i];
            return;
        }
    }
    end_session(worker, false);
}

static void rest(struct worker *worker) {
    struct pay_lane *lane = &worker->lane;
    if (!pay_lane_rest_due(lane) || fenced(worker)) return;
    int64_t processed = pay_lane_rest_position(lane);
    for (int64_t i = w.row.next_offset; i < processed; i++) FUZZ_CHECK(w.hole[i]);
    struct pay_anchor anchor = lane->anchor;
    write_row(lane, processed, &anchor);
    pay_lane_committed(lane, processed, &anchor, lane->replied_offset, lane->reply_position);
    FUZZ_CHECK(!pay_lane_rest_due(lane));
}

/* ---- publishing ---- */

static void send(struct worker *worker) {
    if (worker->sent_count == worker->decided_count) return;
    int64_t source = worker->got[worker->sent_count];
    check_same_answer(source, &worker->answers[worker->sent_count]);
    int64_t covers = pay_lane_reply_sent(&worker->lane, source);
    FUZZ_CHECK(covers <= source);
    worker->sent[worker->sent_count++] = (struct sent){source, covers, -1};
}

static void write_reply(struct worker *worker) {
    if (worker->written_count == worker->sent_count || w.reply_end == REPLIES_MAX) return;
    struct sent *sent = &worker->sent[worker->written_count++];
    land(sent, &sent->log_offset);
}

static void acknowledge(struct worker *worker) {
    if (worker->acked_count == worker->written_count) return;
    const struct sent *sent = &worker->sent[worker->acked_count++];
    FUZZ_CHECK(pay_lane_acknowledged(&worker->lane, false, sent->log_offset, sent->source));
}

static void lie(struct worker *worker, uint8_t p) {
    struct pay_lane before = worker->lane;
    if (worker->acked_count == worker->sent_count) return;
    int64_t source = worker->sent[worker->acked_count].source;
    const struct {
        bool failed;
        int64_t log_offset, source;
    } lies[] = {
        {true, w.reply_end, source},
        {false, -1001, source},
        {false, before.last_ack_offset, source},
        {false, w.reply_end, before.replied_offset - 1}, /* acknowledged before */
        {false, w.reply_end, before.covers_from},        /* not sent */
    };
    size_t which = p / 2 % (sizeof lies / sizeof *lies);
    bool taken = pay_lane_acknowledged(&worker->lane, lies[which].failed, lies[which].log_offset, lies[which].source);
    FUZZ_CHECK(!taken && worker->lane.replied_offset == before.replied_offset);
    end_session(worker, false);
}

static void zombie(void) {
    int64_t ignored;
    if (w.zombie_next < w.zombie_count && w.reply_end < REPLIES_MAX) land(&w.zombies[w.zombie_next++], &ignored);
}

/* ---- listeners ---- */

static void listen(struct listener *listener) {
    if (listener->at == w.reply_end) return;
    const struct pay_reply_mark *mark = &w.replies[listener->at++];
    if (!mark->ours) return;
    int64_t before = listener->reader.next;
    enum pay_reader_move move = pay_reader_take(&listener->reader, mark->source_offset, mark->covers_from);
    FUZZ_CHECK(move != PAY_READER_GAP && listener->reader.next >= before);
    FUZZ_CHECK((move == PAY_READER_TAKE) != listener->taken[mark->source_offset] || !listener->from_start);
    if (move == PAY_READER_DROP) return;
    FUZZ_CHECK(!listener->taken[mark->source_offset]);
    listener->taken[mark->source_offset] = true;
    for (int64_t i = before; listener->from_start && i < mark->source_offset; i++) FUZZ_CHECK(w.hole[i]);
}

static void start_in_the_middle(void) {
    w.listeners[1] = (struct listener){.at = w.reply_end};
    pay_reader_start_in_the_middle(&w.listeners[1].reader, w.end);
    w.middle_started = true;
}

/* Only what every claim and the listener have behind them. */
static void retain(void) {
    w.start = w.row.replied_offset;
    int64_t until = w.row.reply_position;
    for (int i = 0; i < 2; i++)
        if ((i == 0 || w.middle_started) && w.listeners[i].at < until) until = w.listeners[i].at;
    if (until > w.reply_start) w.reply_start = until;
}

static void adjust(uint8_t p) {
    struct pay_account *account = &w.accounts[p % 2];
    if (p / 2 % 4 == 3)
        account->balance_minor += p;
    else if (account->state != PAY_ACCOUNT_STATE_CLOSED)
        account->state = (enum pay_account_state)(p / 2 % 3);
    account->version++;
}

/* ---- the run ---- */

static void check_lanes(void) {
    for (int i = 0; i < WORKERS; i++) {
        const struct pay_lane *lane = &w.workers[i].lane;
        if (lane->state != PAY_LANE_OPEN) continue;
        FUZZ_CHECK(lane->replied_offset <= lane->covers_from && lane->covers_from <= lane->processed);
        FUZZ_CHECK(lane->processed <= w.row.next_offset && w.row.next_offset <= w.end);
        FUZZ_CHECK(lane->unreplied == w.workers[i].got_count - w.workers[i].acked_count);
    }
}

static void event(uint8_t which, uint8_t p) {
    struct worker *worker = &w.workers[p & 1];
    bool open = worker->lane.state == PAY_LANE_OPEN;
    w.now++;
    switch (which % 20) {
    case 0:
    case 1: append(p, false); break;
    case 2: append(p, true); break;
    case 3: claim_lane(worker); break;
    case 4: end_session(worker, p & 2); break;
    case 5: listen(&w.listeners[0]); break;
    case 6:
        if (w.middle_started) listen(&w.listeners[1]);
        break;
    case 7: start_in_the_middle(); break;
    case 8: write_foreign(); break;
    case 9: zombie(); break;
    case 10: retain(); break;
    case 11: adjust(p); break;
    case 12:
        if (open) deliver_again(worker, p);
        break;
    case 13:
        if (open) lie(worker, p);
        break;
    case 14:
        if (open) rest(worker);
        break;
    case 15:
        if (open) settle(worker, (uint8_t)(p >> 1));
        break;
    case 16:
        if (open) send(worker);
        break;
    case 17:
        if (open) write_reply(worker);
        break;
    case 18:
        if (open) acknowledge(worker);
        break;
    default:
        if (open) deliver(worker);
        break;
    }
    check_lanes();
}

static void begin(void) {
    memset(&w.row, 0, sizeof w.row);
    memset(w.decision, 0, sizeof w.decision);
    w.now = 1;
    w.start = w.end = w.reply_start = w.reply_end = 0;
    w.zombie_count = w.zombie_next = 0;
    w.middle_started = false;
    w.row.log_generation = 1;
    w.row.same_group = w.row.same_cluster = true;
    for (int i = 0; i < ACCOUNTS; i++) {
        w.accounts[i] = (struct pay_account){
            .tenant = "t", .currency = "EUR", .found = i < ACCOUNTS - 1, .balance_minor = i < ACCOUNTS - 1 ? 100 : 0};
        snprintf(w.accounts[i].account_id, sizeof w.accounts[i].account_id, "a%d", i);
    }
    for (int i = 0; i < WORKERS; i++) {
        pay_lane_init(&w.workers[i].lane, 0);
        w.workers[i].got_count = w.workers[i].decided_count = w.workers[i].sent_count = 0;
        w.workers[i].written_count = w.workers[i].acked_count = 0;
    }
    w.listeners[0] = (struct listener){.from_start = true};
    pay_reader_start_at(&w.listeners[0].reader, 0);
}

/* Nothing disturbs any more: one claim must be enough for everything. */
static void finish(void) {
    struct worker *worker = &w.workers[0];
    while (w.zombie_next < w.zombie_count && w.reply_end < REPLIES_MAX) zombie();
    if (w.reply_end > REPLIES_MAX - 2 * LOG_MAX) return; /* no room for the end */
    claim_lane(worker);
    while (next_record(worker->next) < w.end) deliver(worker);
    deliver(worker);
    while (worker->decided_count < worker->got_count) settle(worker, 7);
    while (worker->acked_count < worker->got_count) {
        send(worker);
        write_reply(worker);
        acknowledge(worker);
    }
    rest(worker);
    check_lanes();
    FUZZ_CHECK(w.row.next_offset == w.end && w.row.replied_offset == worker->lane.replied_offset);
    while (w.listeners[0].at < w.reply_end) listen(&w.listeners[0]);
    while (w.middle_started && w.listeners[1].at < w.reply_end) listen(&w.listeners[1]);
    for (int64_t i = 0; i < w.end; i++)
        FUZZ_CHECK(w.hole[i] || (w.decided[i] && w.answered[i] && w.listeners[0].taken[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    begin();
    for (size_t i = 0; i + 1 < size && i < 2000; i += 2) event(data[i], data[i + 1]);
    finish();
    return 0;
}
