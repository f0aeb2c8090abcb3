/* What brokers and the group do by themselves, and hard work for the workers. Everything goes on in the end. */
#include "trouble_private.h"

#include "workload.h"

#include <stdio.h>

/*
 * What the old leader alone has is lost; the new one may tell too low a high watermark, shorter than the 10 s between the two
 * looks that make a truncation.
 */
bool trouble_lead_anew(struct rig *rig, uint32_t a, uint32_t b) {
    static const enum fake_topic_name topics[] = {TOPIC_REQUESTS, TOPIC_REPLIES, TOPIC_REPLIES, TOPIC_DEAD_LETTERS};
    int64_t lives_ms = 1 + b / 4 % 2000, stale_by = a / 16 % 6;
    return fake_broker_elect(&rig->broker, topics[b % 4], trouble_partition(rig, a), lives_ms, stale_by,
                             stale_by > 0 ? 1 + b / 7 % 7000 : 0);
}

/* One of the next produce requests, of whomever, gets a fate of its own. */
bool trouble_doom_a_request(struct rig *rig, uint32_t a, uint32_t b) {
    static const int64_t pauses_ms[] = {5, 150, 1200, 4000, 12000, 30000};
    return fake_broker_doom(&rig->broker, a % 4, (enum fault_fate)(1 + b % (FATE_COUNT - 1)), pauses_ms[b / 16 % 6]);
}

/* Its lanes are given to others while it believes in its assignment: the lost rebalance race. */
bool trouble_deafen_member(struct rig *rig, uint32_t a, uint32_t b) {
    struct rig_worker *worker = trouble_worker(rig, a);
    if (worker == NULL || fake_client_deaf(&rig->broker, &worker->stream->client)) return false;
    fake_broker_deafen(&rig->broker, &worker->stream->client, 1 + b % 40000);
    return true;
}

static void letters_go_on(struct rig *rig, uint32_t a) {
    (void)a;
    rig->broker.dead_letters_hang = false;
}

bool trouble_hang_dead_letters(struct rig *rig, uint32_t a, uint32_t b) {
    (void)a;
    if (rig->broker.dead_letters_hang) return false;
    rig->broker.dead_letters_hang = true;
    rig_later(rig, 1 + b % 12000, letters_go_on, 0);
    return true;
}

/* Nobody's reply: some of our headers, or all of them and one malformed. It is skipped, and counted. */
bool trouble_append_strange_reply(struct rig *rig, uint32_t a, uint32_t b) {
    static const struct pay_header headers[] = {{"source-offset", "7", 1},
                                                {"covers-from", "99", 2},
                                                {"log-generation", "x", 1},
                                                {"ledger-id", "not a ledger's id", 17}};
    fake_broker_append(&rig->broker, TOPIC_REPLIES, trouble_partition(rig, a), b % 2 == 0 ? NULL : "k", "{}", headers,
                       b / 2 % 5);
    return true;
}

/* The same identity in every partition at the same moment, from accounts that nobody else locks or that all do. */
bool trouble_ask_twice_at_once(struct rig *rig, uint32_t a, uint32_t b) {
    static const char *const accounts[] = {"alice", "bob", "dave", "nobody"};
    char order_id[24];
    if (rig->broker.partition_count < 2) return false;
    snprintf(order_id, sizeof order_id, "twice-%u", a % 4);
    for (uint32_t p = 0; p < rig->broker.partition_count; p++)
        workload_pay(rig, (int32_t)p, order_id, 1, accounts[b % 2 == 0 ? b / 2 % 4 : (b / 2 + p) % 4], 5);
    return true;
}
