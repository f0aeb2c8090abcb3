#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void workload_accounts(struct rig *rig) {
    struct fake_database *database = &rig->database;
    fake_database_open_account(database, "default", "alice", "EUR", 10000, 0);
    fake_database_open_account(database, "default", "bob", "EUR", 500, 0);
    fake_database_open_account(database, "default", "carol", "EUR", 9000, 0);
    fake_database_adjust(database, "default", "carol", "freeze", 0);
    fake_database_open_account(database, "default", "dave", "USD", 9000, 0);
}

int64_t workload_pay(struct rig *rig, int32_t partition, const char *order_id, int attempt, const char *account_id,
                     int64_t amount_minor) {
    char value[WORKLOAD_TEXT_MAX];
    snprintf(value, sizeof value,
             "{\"order_id\":\"%s\",\"attempt\":%d,\"account_id\":\"%s\",\"amount_minor\":%lld,\"currency\":\"EUR\"}",
             order_id, attempt, account_id, (long long)amount_minor);
    return fake_broker_append_request(&rig->broker, partition, order_id, value);
}

void workload_first_part(struct rig *rig) {
    workload_pay(rig, 0, "o-1", 1, "alice", 1000); /* paid */
    workload_pay(rig, 1, "o-4", 1, "alice", 2000); /* paid */
    workload_pay(rig, 0, "o-1", 1, "alice", 1000); /* duplicate */
    workload_pay(rig, 1, "o-4", 1, "alice", 2001); /* conflict */
    fake_broker_append_request(&rig->broker, 0, "o-2", "garbage");
    workload_pay(rig, 1, "o-5", 2, "alice", 10);   /* attempt out of sequence */
    workload_pay(rig, 0, "o-3", 1, "bob", 600);    /* declined */
    workload_pay(rig, 1, "o-1", 1, "alice", 1000); /* the same identity on the other partition */
}

void workload_second_part(struct rig *rig) {
    workload_pay(rig, 0, "o-3", 2, "bob", 60);    /* paid at the second attempt */
    workload_pay(rig, 1, "o-6", 1, "nobody", 10); /* unknown account */
    workload_pay(rig, 0, "o-3", 3, "bob", 5);     /* already paid */
    fake_broker_append_request(
        &rig->broker, 1, NULL,
        "{\"order_id\":\"o-7\",\"account_id\":\"alice\",\"amount_minor\":1.5,\"currency\":\"EUR\"}");
}

void workload_many(struct rig *rig, int32_t partition, const char *prefix, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        char order_id[64];
        snprintf(order_id, sizeof order_id, "%s-%u", prefix, i);
        workload_pay(rig, partition, order_id, 1, "alice", 1);
    }
}

const char *workload_reply(struct rig *rig, int32_t partition, int64_t offset) {
    const struct fake_log *log = fake_broker_log(&rig->broker, TOPIC_REPLIES, partition);
    for (size_t i = log->count; i > 0; i--) {
        const struct pay_header *header = fake_record_header(log->records[i - 1], "source-offset");
        if (header != NULL && strtoll(header->value, NULL, 10) == offset) return log->records[i - 1]->value;
    }
    return "";
}

uint32_t workload_reply_count(struct rig *rig, int32_t partition) {
    return (uint32_t)fake_broker_log(&rig->broker, TOPIC_REPLIES, partition)->count;
}
