#include "kafka/kafka_check.h"

#include "base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define REPLICAS_WANTED 3
#define IN_SYNC_WANTED 2
#define PAY_KAFKA_RETENTION_MS "2592000000" /* 30 days, for new topics */
#define RETENTION_MS_WANTED 86400000LL      /* a day: below this an ordinary outage loses requests */

#define FIX_SETTING                                                                                                    \
    "kafka-configs.sh --bootstrap-server ... --alter --entity-type topics --entity-name %s --add-config %s"

static struct pay_kafka_check *add(struct pay_kafka_report_card *card, const char *topic, const char *what, bool ok) {
    assert(card->count < PAY_KAFKA_CHECKS_MAX);
    struct pay_kafka_check *check = &card->checks[card->count++];
    memset(check, 0, sizeof *check);
    snprintf(check->name, sizeof check->name, "%s %s", topic, what);
    check->ok = ok;
    return check;
}

static void fix_by_setting(struct pay_kafka_check *check, const char *topic, const char *setting) {
    if (!check->ok) snprintf(check->fix, sizeof check->fix, FIX_SETTING, topic, setting);
}

static void check_word(struct pay_kafka_report_card *card, const char *topic, const char *name, const char *found,
                       const char *wanted) {
    struct pay_kafka_check *check = add(card, topic, name, strcmp(found, wanted) == 0);
    char setting[96];
    snprintf(check->found, sizeof check->found, "%s", found);
    snprintf(check->wanted, sizeof check->wanted, "%s", wanted);
    snprintf(setting, sizeof setting, "%s=%s", name, wanted);
    fix_by_setting(check, topic, setting);
}

/* What every one of our topics needs. */
static void check_kept(struct pay_kafka_report_card *card, const struct pay_kafka_topic *topic) {
    /* Client stamps let retention delete fresh requests and expire producer state. */
    check_word(card, topic->name, "message.timestamp.type", topic->timestamp_type, "LogAppendTime");
    /* Compaction would delete originals. */
    check_word(card, topic->name, "cleanup.policy", topic->cleanup_policy, "delete");

    struct pay_kafka_check *check = add(card, topic->name, "retention.bytes", topic->retention_bytes < 0);
    snprintf(check->found, sizeof check->found, "%" PRId64, topic->retention_bytes);
    snprintf(check->wanted, sizeof check->wanted, "unset (-1)");
    fix_by_setting(check, topic->name, "retention.bytes=-1");

    check =
        add(card, topic->name, "retention.ms", topic->retention_ms < 0 || topic->retention_ms >= RETENTION_MS_WANTED);
    check->warning = true;
    snprintf(check->found, sizeof check->found, "%" PRId64, topic->retention_ms);
    snprintf(check->wanted, sizeof check->wanted, "longer than the worst outage, at least a day");
    fix_by_setting(check, topic->name, "retention.ms=604800000");
}

static void check_copies(struct pay_kafka_report_card *card, const struct pay_kafka_topic *topic) {
    bool alone = card->brokers <= 1;
    int32_t wanted = card->brokers < REPLICAS_WANTED && !alone ? card->brokers : REPLICAS_WANTED;

    struct pay_kafka_check *check = add(card, topic->name, "replicas", topic->replicas >= wanted);
    check->warning = alone;
    snprintf(check->found, sizeof check->found, "%" PRId32, topic->replicas);
    snprintf(check->wanted, sizeof check->wanted, "at least %" PRId32, wanted);
    if (!check->ok)
        snprintf(check->fix, sizeof check->fix,
                 alone ? "one broker keeps one copy: for production use three brokers"
                       : "kafka-reassign-partitions.sh, or create the topic anew with three replicas");

    check = add(card, topic->name, "min.insync.replicas", topic->in_sync_min >= IN_SYNC_WANTED);
    check->warning = alone;
    snprintf(check->found, sizeof check->found, "%" PRId32, topic->in_sync_min);
    snprintf(check->wanted, sizeof check->wanted, "at least %d", IN_SYNC_WANTED);
    if (!alone)
        fix_by_setting(check, topic->name, "min.insync.replicas=2");
    else if (!check->ok)
        snprintf(check->fix, sizeof check->fix, "one broker keeps one copy: for production use three brokers");

    check_word(card, topic->name, "unclean.leader.election.enable", topic->unclean_election ? "true" : "false",
               "false");
}

static bool check_exists(struct pay_kafka_report_card *card, const struct pay_kafka_topic *topic) {
    struct pay_kafka_check *check = add(card, topic->name, "exists", topic->exists);
    snprintf(check->found, sizeof check->found, topic->exists ? "yes" : "no");
    snprintf(check->wanted, sizeof check->wanted, "yes");
    if (!topic->exists) snprintf(check->fix, sizeof check->fix, "paybuf init");
    return topic->exists;
}

static void check_pair(struct pay_kafka_report_card *card) {
    const struct pay_kafka_topic *request = &card->request;
    const struct pay_kafka_topic *reply = &card->reply;
    struct pay_kafka_check *check = add(card, reply->name, "partitions", reply->partitions == request->partitions);
    snprintf(check->found, sizeof check->found, "%" PRId32, reply->partitions);
    snprintf(check->wanted, sizeof check->wanted, "%" PRId32 ", as %.40s has", request->partitions, request->name);
    if (!check->ok)
        snprintf(check->fix, sizeof check->fix,
                 "kafka-topics.sh --bootstrap-server ... --alter --topic %s --partitions %" PRId32
                 " (replies and dlq first, then requests)",
                 reply->partitions < request->partitions ? reply->name : request->name,
                 reply->partitions < request->partitions ? request->partitions : reply->partitions);

    const struct pay_kafka_topic *both[] = {request, reply};
    for (size_t i = 0; i < 2; i++) {
        bool ok = both[i]->message_bytes_max <= PAY_KAFKA_MESSAGE_BYTES_MAX &&
                  both[i]->message_bytes_max == request->message_bytes_max;
        check = add(card, both[i]->name, "max.message.bytes", ok);
        check->warning = true; /* Kafka's own default is 12 bytes over; every request and reply of ours is far below */
        snprintf(check->found, sizeof check->found, "%" PRId64, both[i]->message_bytes_max);
        snprintf(check->wanted, sizeof check->wanted, "at most %d, equal on requests and replies",
                 PAY_KAFKA_MESSAGE_BYTES_MAX);
        fix_by_setting(check, both[i]->name, "max.message.bytes=1048576");
    }
}

static void check_dead_letters(struct pay_kafka_report_card *card) {
    const struct pay_kafka_topic *topic = &card->dead_letter;
    struct pay_kafka_check *check =
        add(card, topic->name, "max.message.bytes", topic->message_bytes_max > card->request.message_bytes_max);
    check->warning = true; /* a record too large for it is kept as a stub */
    snprintf(check->found, sizeof check->found, "%" PRId64, topic->message_bytes_max);
    snprintf(check->wanted, sizeof check->wanted, "more than requests have (%" PRId64 ")",
             card->request.message_bytes_max);
    fix_by_setting(check, topic->name, "max.message.bytes=1179648");
}

enum pay_move pay_kafka_check_all(struct pay_kafka_admin *admin, const struct pay_kafka_topic_names *names,
                                  int64_t timeout_ms, struct pay_kafka_report_card *ret_card, struct pay_error *error) {
    memset(ret_card, 0, sizeof *ret_card);
    enum pay_move move = pay_kafka_admin_cluster(admin, timeout_ms, ret_card->cluster_id, sizeof ret_card->cluster_id,
                                                 &ret_card->brokers, error);
    if (move == PAY_OK) move = pay_kafka_admin_topic(admin, names->request, timeout_ms, &ret_card->request, error);
    if (move == PAY_OK) move = pay_kafka_admin_topic(admin, names->reply, timeout_ms, &ret_card->reply, error);
    if (move == PAY_OK)
        move = pay_kafka_admin_topic(admin, names->dead_letter, timeout_ms, &ret_card->dead_letter, error);
    if (move != PAY_OK) return move;

    const struct pay_kafka_topic *topics[] = {&ret_card->request, &ret_card->reply, &ret_card->dead_letter};
    bool all = true;
    for (size_t i = 0; i < 3; i++) {
        bool exists = check_exists(ret_card, topics[i]);
        all = all && exists;
        if (!exists) continue;
        check_kept(ret_card, topics[i]);
        check_copies(ret_card, topics[i]);
    }
    if (ret_card->request.exists && ret_card->reply.exists) check_pair(ret_card);
    if (all) check_dead_letters(ret_card);
    return PAY_OK;
}

uint32_t pay_kafka_check_failures(const struct pay_kafka_report_card *card, struct pay_error *error) {
    uint32_t failures = 0;
    size_t length = 0;
    for (uint32_t i = 0; i < card->count; i++) {
        const struct pay_kafka_check *check = &card->checks[i];
        if (check->ok || check->warning) continue;
        if (failures++ == 0) {
            error->move = PAY_REFUSE;
            snprintf(error->code, sizeof error->code, "precondition");
            length = (size_t)snprintf(error->text, sizeof error->text,
                                      "topics aren't as the protocol needs them (paybuf doctor says how to fix it): ");
        }
        if (length < sizeof error->text)
            length += (size_t)snprintf(error->text + length, sizeof error->text - length, "%s%s is %s, wanted %s",
                                       failures > 1 ? "; " : "", check->name, check->found, check->wanted);
    }
    return failures;
}

/* The controller has it; the broker that is asked hears of it a moment later. */
static enum pay_move wait_until_known(struct pay_kafka_admin *admin, const char *name, int32_t partitions,
                                      int64_t timeout_ms, struct pay_error *error) {
    int64_t until = pay_clock_ms() + timeout_ms;
    struct pay_kafka_topic topic;
    do {
        enum pay_move move = pay_kafka_admin_topic(admin, name, timeout_ms, &topic, error);
        if (move != PAY_OK || (topic.exists && topic.partitions >= partitions)) return move;
        poll(NULL, 0, 20);
    } while (pay_clock_ms() < until);
    *error = (struct pay_error){.move = PAY_AGAIN, .code = "timeout"};
    snprintf(error->text, sizeof error->text,
             "topic %s: created, but the brokers don't show it yet; repeat the command", name);
    return PAY_AGAIN;
}

enum pay_move pay_kafka_create_topic(struct pay_kafka_admin *admin, enum pay_kafka_topic_role role, const char *name,
                                     int32_t partitions, int32_t replicas, int64_t timeout_ms, bool *ret_created,
                                     struct pay_error *error) {
    char cluster[64];
    int32_t brokers = 0;
    enum pay_move move = pay_kafka_admin_cluster(admin, timeout_ms, cluster, sizeof cluster, &brokers, error);
    if (move != PAY_OK) return move;
    if (replicas < 0) replicas = brokers < REPLICAS_WANTED ? brokers : REPLICAS_WANTED;
    char in_sync[12], bytes[12];
    snprintf(in_sync, sizeof in_sync, "%d", replicas >= IN_SYNC_WANTED ? IN_SYNC_WANTED : 1);
    snprintf(bytes, sizeof bytes, "%d",
             role == PAY_KAFKA_DEAD_LETTERS ? PAY_KAFKA_DEAD_LETTER_BYTES_MAX : PAY_KAFKA_MESSAGE_BYTES_MAX);
    const struct pay_kafka_topic_setting settings[] = {
        {"message.timestamp.type", "LogAppendTime"}, {"cleanup.policy", "delete"},     {"retention.bytes", "-1"},
        {"unclean.leader.election.enable", "false"}, {"min.insync.replicas", in_sync}, {"max.message.bytes", bytes},
        {"retention.ms", PAY_KAFKA_RETENTION_MS},
    };
    const struct pay_kafka_new_topic topic = {name, partitions, replicas, settings,
                                              sizeof settings / sizeof settings[0]};
    move = pay_kafka_admin_create(admin, &topic, timeout_ms, ret_created, error);
    return move == PAY_OK && *ret_created ? wait_until_known(admin, name, partitions, timeout_ms, error) : move;
}
