/* The consumer group: members, who is silent, who gets what. Eager. */
#include "fake_broker.h"
#include "fake_broker_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A free slot; else that of a dead member, which loses what is left of its session timeout. */
static struct fake_member *find_slot(struct fake_broker *broker) {
    struct fake_member *dead = NULL;
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        struct fake_member *member = &broker->members[i];
        if (member->state == MEMBER_OUT) return member;
        if (member->client == NULL && (dead == NULL || member->heard_us < dead->heard_us)) dead = member;
    }
    assert(dead != NULL && "more members than FAKE_MEMBERS_MAX");
    return dead;
}

struct fake_member *fake_broker_join(struct fake_broker *broker, struct fake_client *client) {
    struct fake_member *member = find_slot(broker);
    *member = (struct fake_member){.state = MEMBER_JOINED, .client = client, .heard_us = broker->clock->now_us};
    broker->rebalancing = true;
    return member;
}

struct fake_member *fake_broker_member(struct fake_broker *broker, const struct fake_client *client) {
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        if (broker->members[i].state != MEMBER_OUT && broker->members[i].client == client) return &broker->members[i];
    }
    return NULL;
}

void fake_broker_leave(struct fake_broker *broker, struct fake_member *member) {
    if (member == NULL) return;
    member->state = MEMBER_OUT;
    member->client = NULL;
    broker->rebalancing = true;
}

void fake_broker_rebalance(struct fake_broker *broker) { broker->rebalancing = true; }

void fake_broker_trouble(struct fake_broker *broker, int32_t partition) {
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        struct fake_client *client = broker->clients[i];
        if (client != NULL && client->trouble_count < FAKE_TROUBLES_MAX)
            client->troubles[client->trouble_count++] = partition;
    }
}

void fake_broker_deafen(struct fake_broker *broker, struct fake_client *client, int64_t ms) {
    client->deaf_until_us = broker->clock->now_us + ms * 1000;
}

bool fake_client_deaf(const struct fake_broker *broker, const struct fake_client *client) {
    return broker->clock->now_us < client->deaf_until_us;
}

static bool is_silent(const struct fake_broker *broker, const struct fake_member *member) {
    return member->client == NULL || member->client->frozen || fake_client_deaf(broker, member->client);
}

/* Who is silent for too long is out; it finds out by itself. */
static void expire_members(struct fake_broker *broker) {
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        struct fake_member *member = &broker->members[i];
        if (member->state == MEMBER_OUT) continue;
        if (!is_silent(broker, member)) member->heard_us = broker->clock->now_us;
        if (broker->clock->now_us - member->heard_us < broker->session_timeout_ms * 1000) continue;
        if (member->client != NULL) member->client->lost = true;
        fake_broker_leave(broker, member);
    }
}

/* Everybody gives everything back first; true when all have. */
static bool all_joined(struct fake_broker *broker) {
    bool all = true;
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        struct fake_member *member = &broker->members[i];
        if (member->state == MEMBER_ASSIGNING) member->state = MEMBER_JOINED;
        if (member->state == MEMBER_STABLE) member->state = MEMBER_REVOKING;
        if (member->state != MEMBER_OUT && member->state != MEMBER_JOINED) all = false;
    }
    return all;
}

/* The range assignor over members in order of their slots. */
static void assign(struct fake_broker *broker) {
    struct fake_member *members[FAKE_MEMBERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        if (broker->members[i].state == MEMBER_JOINED) members[count++] = &broker->members[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t each = broker->partition_count / count, more = broker->partition_count % count;
        uint32_t from = i * each + (i < more ? i : more), to = from + each + (i < more ? 1 : 0);
        memset(members[i]->assigned, 0, sizeof members[i]->assigned);
        for (uint32_t partition = from; partition < to; partition++) members[i]->assigned[partition] = true;
        members[i]->state = MEMBER_ASSIGNING;
    }
    broker->rebalancing = false;
    broker->rebalances++;
}

void fake_broker_run_group(struct fake_broker *broker) {
    expire_members(broker);
    if (broker->rebalancing && all_joined(broker)) assign(broker);
}

int64_t fake_broker_group_due_us(const struct fake_broker *broker) {
    int64_t due = INT64_MAX;
    for (uint32_t i = 0; i < FAKE_MEMBERS_MAX; i++) {
        const struct fake_member *member = &broker->members[i];
        if (member->state == MEMBER_OUT || !is_silent(broker, member)) continue;
        int64_t out_us = member->heard_us + broker->session_timeout_ms * 1000;
        if (out_us < due) due = out_us;
    }
    return due;
}
