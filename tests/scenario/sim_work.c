/* What outsiders append to the logs: requests good and bad, transactions, strangers. */
#include "sim_private.h"
#include "workload.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define TRANSACTION_ORDER "o-t" /* of every request that a transaction holds, and of no other */

static void pay(struct sim *sim, const struct sim_entry *entry, int32_t partition, const char *order_id) {
    static const char *const accounts[] = {"alice", "alice", "bob", "bob", "carol", "dave", "nobody"};
    workload_pay(&sim->rig, partition, order_id, 1 + (int)(sim_number(entry->a, entry->b, 2) % 3),
                 accounts[sim_number(entry->a, entry->b, 3) % 7], 100 * (1 + sim_number(entry->a, entry->b, 4) % 4));
}

static void pay_some_order(struct sim *sim, const struct sim_entry *entry, uint32_t times) {
    char order_id[16];
    snprintf(order_id, sizeof order_id, "o-%u", sim_number(entry->a, entry->b, 0) % 6);
    for (uint32_t i = 0; i < times; i++) {
        uint32_t moved = sim_number(entry->a, entry->b, 10 + i) % 4 == 0; /* the same identity on another partition */
        pay(sim, entry, sim_partition(sim, sim_number(entry->a, entry->b, 1) + moved), order_id);
    }
}

static const char *garbage(uint32_t number) {
    static const char *const bytes[] = {
        "garbage",
        "",
        "{}",
        "[1]",
        "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1.5,\"currency\":\"EUR\"}",
        "{\"order_id\":\"o-1\",\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1,\"currency\":\"EUR\"}",
        "{\"order_id\":\"o-9\",\"account_id\":\"alice\",\"amount_minor\":1,\"currency\":\"EUR\"}", /* not its key */
        "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1,\"currency\":\"eur\"}"};
    return bytes[number % (sizeof bytes / sizeof bytes[0])];
}

/* A transaction on the request log; one at a time in a partition, as for one transactional producer. */
static void begin_transaction(struct sim *sim, const struct sim_entry *entry, int32_t partition) {
    fake_broker_begin_transaction(&sim->rig.broker, TOPIC_REQUESTS, partition);
    for (uint32_t i = sim_number(entry->a, entry->b, 5) % 3; i > 0; i--) pay(sim, entry, partition, TRANSACTION_ORDER);
}

/* Aborted are the transaction's own records; others have been writing meanwhile. */
static void abort_records(struct fake_log *log) {
    for (size_t i = fake_log_seek(log, log->open_transaction); i < log->count; i++) {
        struct fake_record *record = log->records[i];
        if (record->key != NULL && strcmp(record->key, TRANSACTION_ORDER) == 0) record->aborted = true;
    }
}

static void end_transaction(struct rig *rig, uint32_t argument) {
    int32_t partition = (int32_t)(argument / 2 % rig->broker.partition_count);
    struct fake_log *log = fake_broker_log(&rig->broker, TOPIC_REQUESTS, partition);
    if (log->open_transaction < 0) return; /* a leader change took it */
    if (argument % 2 == 0) abort_records(log);
    fake_broker_end_transaction(&rig->broker, TOPIC_REQUESTS, partition, true);
}

void sim_append_work(struct sim *sim, const struct sim_entry *entry) {
    struct fake_broker *broker = &sim->rig.broker;
    int32_t partition = sim_partition(sim, entry->a);
    bool open = fake_broker_log(broker, TOPIC_REQUESTS, partition)->open_transaction >= 0;
    switch ((enum sim_work)entry->name) {
    case WORK_PAY: pay_some_order(sim, entry, 1); return;
    case WORK_STORM: pay_some_order(sim, entry, 3 + entry->b % 6); return;
    case WORK_GARBAGE:
        fake_broker_append_request(broker, partition, entry->b % 5 == 0 ? NULL : "o-1", garbage(entry->b));
        return;
    case WORK_CONTROL: fake_broker_append_control(broker, TOPIC_REQUESTS, partition); return;
    case WORK_STRANGER:
        fake_broker_append(broker, TOPIC_REPLIES, partition, "x", "a stranger's record", NULL, 0);
        return;
    case WORK_REPLY_CONTROL: fake_broker_append_control(broker, TOPIC_REPLIES, partition); return;
    case WORK_ABORTED:
    case WORK_COMMITTED:
        if (open) return;
        begin_transaction(sim, entry, partition);
        fake_broker_end_transaction(broker, TOPIC_REQUESTS, partition, entry->name == WORK_COMMITTED);
        return;
    case WORK_OPEN:
        if (open) return;
        begin_transaction(sim, entry, partition);
        rig_later(&sim->rig, 1 + entry->b % 3000, end_transaction, (uint32_t)partition * 2 + entry->b % 2);
        return;
    case WORK_KINDS: break;
    }
    assert(!"a kind of work");
}
