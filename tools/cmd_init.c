/* cmd_init.c - topics, schema, roles, ledger: everything that must be there before the first payment. Safe to repeat. */
#include "pg/schema.h"
#include "tools/commands.h"
#include "tools/init_ledger.h"
#include "tools/tool.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define TOPIC_WAIT_MS 15000

enum { PARTITIONS, REPLICATION_FACTOR, FIRST_GENERATION, NEW_LEDGER, YES };

/* clang-format off */
static const struct cli_arg args[] = {
    [PARTITIONS] = {"--partitions", CLI_INTEGER, false, "N", 1, PAY_LANES_MAX, "12", "of the request and the reply topic, when they are made"},
    [REPLICATION_FACTOR] = {"--replication-factor", CLI_INTEGER, false, "N", 1, 15, NULL, "of new topics; default: 3, or as many as there are brokers"},
    [FIRST_GENERATION] = {"--first-generation", CLI_INTEGER, false, "N", 1, 1000000000, "1", "of new ledgers: keeps the positions of several apart"},
    [NEW_LEDGER] = {"--new-ledger", CLI_FLAG, .help = "a restored copy of a database becomes a ledger of its own (wants --yes)"},
    [YES] = {"--yes", CLI_FLAG, .help = "do what --new-ledger says"},
};
/* clang-format on */

static const struct out_column columns[] = {
    {"what", "WHAT", false}, {"name", "NAME", false}, {"state", "STATE", false}, {"detail", "DETAIL", false}};

static void report(struct tool *tool, const char *what, const char *name, bool created, const char *detail) {
    json_t *row = json_object();
    json_object_set_new(row, "what", json_string(what));
    json_object_set_new(row, "name", json_string(name));
    json_object_set_new(row, "state", json_string(created ? "created" : "was there"));
    json_object_set_new(row, "detail", json_string(detail));
    out_row(&tool->out, row);
}

/* ---- topics ---- */

struct topic {
    enum pay_kafka_topic_role role;
    const char *name;
    struct pay_kafka_topic found;
    bool created;
};

struct topics {
    struct topic reply, dead_letter, request; /* in the order of making: requests come last */
    int32_t partitions;
    int32_t replicas; /* -1: as many as wanted and possible */
};

static enum pay_exit look(struct tool *tool, struct pay_kafka_admin *admin, struct topics *topics) {
    struct topic *all[] = {&topics->reply, &topics->dead_letter, &topics->request};
    struct pay_error error;
    for (size_t i = 0; i < 3; i++)
        if (pay_kafka_admin_topic(admin, all[i]->name, TOOL_KAFKA_TIMEOUT_MS, &all[i]->found, &error) != PAY_OK)
            return tool_unavailable(tool, &error);
    return PAY_EXIT_OK;
}

/* How many partitions new topics get: as the ones that are there have. */
static enum pay_exit choose_partitions(struct tool *tool, struct topics *topics, const struct cli_value *asked) {
    const struct pay_kafka_topic *request = &topics->request.found, *reply = &topics->reply.found;
    topics->partitions = (int32_t)asked->number;
    if (!request->exists && !reply->exists) return PAY_EXIT_OK;
    const struct pay_kafka_topic *there = request->exists ? request : reply;
    topics->partitions = there->partitions;
    if (!asked->given || there->partitions == asked->number) return PAY_EXIT_OK;
    if (there->partitions > asked->number) {
        tool_note(tool,
                  "%s has %" PRId32 " partitions already; --partitions %" PRId64
                  " is for new topics and changes nothing",
                  there->name, there->partitions, asked->number);
        return PAY_EXIT_OK;
    }
    return tool_fail(tool, PAY_EXIT_CONFIG,
                     "%s has %" PRId32 " partitions, --partitions says %" PRId64
                     "; leave the option out, or add them first, replies before requests:\n"
                     "       kafka-topics.sh --bootstrap-server ... --alter --topic %s --partitions %" PRId64
                     "   and then the same for %s",
                     there->name, there->partitions, asked->number, topics->reply.name, asked->number,
                     topics->request.name);
}

static enum pay_exit make(struct tool *tool, struct pay_kafka_admin *admin, struct topics *topics,
                          struct topic *topic) {
    struct pay_error error;
    if (topic->found.exists) return PAY_EXIT_OK;
    enum pay_move move = pay_kafka_create_topic(admin, topic->role, topic->name, topics->partitions, topics->replicas,
                                                TOOL_KAFKA_TIMEOUT_MS, &topic->created, &error);
    return move == PAY_OK ? PAY_EXIT_OK : tool_unavailable(tool, &error);
}

/* A new topic is known to the controller at once, to the brokers a moment later. */
static enum pay_exit wait_until_known(struct tool *tool, struct pay_kafka_admin *admin, struct topics *topics) {
    for (int waited_ms = 0; waited_ms < TOPIC_WAIT_MS; waited_ms += 100) {
        enum pay_exit status = look(tool, admin, topics);
        if (status != PAY_EXIT_OK) return status;
        if (topics->request.found.exists && topics->reply.found.exists && topics->dead_letter.found.exists)
            return PAY_EXIT_OK;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return tool_fail(tool, PAY_EXIT_TEMPORARY, "the new topics aren't known to the brokers yet; run paybuf init again");
}

static bool is_about_existence(const struct pay_kafka_check *check) {
    size_t length = strlen(check->name);
    return length > 7 && strcmp(check->name + length - 7, " exists") == 0;
}

/* Existing topics stay as they are: what isn't right is named, with the command that mends it. */
static enum pay_exit check_topics(struct tool *tool, struct pay_kafka_admin *admin, const struct topics *topics,
                                  bool made) {
    static struct pay_kafka_report_card card;
    const struct pay_kafka_topic_names names = {topics->request.name, topics->reply.name, topics->dead_letter.name};
    struct pay_error error;
    if (pay_kafka_check_all(admin, &names, TOOL_KAFKA_TIMEOUT_MS, &card, &error) != PAY_OK)
        return tool_unavailable(tool, &error);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < card.count; i++) {
        const struct pay_kafka_check *check = &card.checks[i];
        if (check->ok || check->warning || (!made && is_about_existence(check))) continue;
        wrong++;
        if (!made) tool_note(tool, "%s is %s, wanted %s: %s", check->name, check->found, check->wanted, check->fix);
    }
    if (wrong == 0) return PAY_EXIT_OK;
    if (tool->config.allow_unsafe_topics) {
        if (!made) tool_note(tool, "going on all the same, because [topics] allow_unsafe says so");
        return PAY_EXIT_OK;
    }
    return tool_fail(tool, PAY_EXIT_CONFIG, "the topics can't carry payments%s; nothing was done to the database",
                     made ? " although they were just made; paybuf doctor says why" : " as they are");
}

static enum pay_exit with_admin(struct tool *tool, struct pay_kafka_admin *admin, struct topics *topics,
                                const struct cli_value *values) {
    enum pay_exit status = look(tool, admin, topics);
    if (status == PAY_EXIT_OK) status = choose_partitions(tool, topics, &values[PARTITIONS]);
    if (status == PAY_EXIT_OK) status = check_topics(tool, admin, topics, false);
    if (status == PAY_EXIT_OK) status = make(tool, admin, topics, &topics->reply);
    if (status == PAY_EXIT_OK) status = make(tool, admin, topics, &topics->dead_letter);
    if (status == PAY_EXIT_OK) status = make(tool, admin, topics, &topics->request);
    if (status == PAY_EXIT_OK) status = wait_until_known(tool, admin, topics);
    return status == PAY_EXIT_OK ? check_topics(tool, admin, topics, true) : status;
}

static enum pay_exit init_topics(struct tool *tool, const struct cli_value *values, int32_t *ret_partitions) {
    struct topics topics = {.reply = {.role = PAY_KAFKA_REPLIES, .name = tool->config.reply_topic},
                            .dead_letter = {.role = PAY_KAFKA_DEAD_LETTERS, .name = tool->config.dead_letter_topic},
                            .request = {.role = PAY_KAFKA_REQUESTS, .name = tool->config.request_topic},
                            .replicas =
                                values[REPLICATION_FACTOR].given ? (int32_t)values[REPLICATION_FACTOR].number : -1};
    struct pay_kafka_admin *admin;
    enum pay_exit status = tool_open_admin(tool, &admin);
    if (status != PAY_EXIT_OK) return status;
    status = with_admin(tool, admin, &topics, values);
    pay_kafka_admin_close(admin);
    if (status != PAY_EXIT_OK) return status;
    const struct topic *all[] = {&topics.request, &topics.reply, &topics.dead_letter};
    for (size_t i = 0; i < 3; i++) {
        char detail[96];
        snprintf(detail, sizeof detail, "%" PRId32 " partitions, %" PRId32 " replica%s", all[i]->found.partitions,
                 all[i]->found.replicas, all[i]->found.replicas == 1 ? "" : "s");
        report(tool, "topic", all[i]->name, all[i]->created, detail);
    }
    *ret_partitions = topics.request.found.partitions;
    return PAY_EXIT_OK;
}

/* ---- database ---- */

static enum pay_exit init_schema(struct tool *tool, struct pay_pg *pg) {
    struct pay_schema_report done = {0};
    struct pay_error error;
    char detail[96];
    if (pay_schema_apply(pg, &done, &error) != PAY_OK || pay_schema_check(pg, &error) != PAY_OK)
        return tool_error(tool, &error);
    snprintf(detail, sizeof detail,
             "version %d, %d migration%s applied; roles paybuf_owner, paybuf_worker, paybuf_reader", done.version,
             done.applied, done.applied == 1 ? "" : "s");
    report(tool, "schema", "paybuf", done.applied > 0, detail);
    return PAY_EXIT_OK;
}

static enum pay_exit init_books(struct tool *tool, struct pay_pg *pg, int32_t partitions,
                                const struct cli_value *values) {
    struct init_generation generation = {values[FIRST_GENERATION].number, values[FIRST_GENERATION].given};
    char ledger_id[37], detail[96];
    bool created = false;
    int64_t lanes = 0;
    enum pay_exit status = PAY_EXIT_OK;
    if (values[NEW_LEDGER].given) {
        status = init_new_ledger(tool, pg, &generation);
        generation.asked = false;
    }
    if (status == PAY_EXIT_OK) status = init_lanes(tool, pg, partitions, &generation, ledger_id, &created, &lanes);
    if (status != PAY_EXIT_OK) return status;
    snprintf(detail, sizeof detail, "%" PRId64 " of %" PRId32 " lanes new, generation %" PRId64, lanes, partitions,
             generation.first);
    report(tool, "ledger", ledger_id, created || lanes > 0, detail);
    return PAY_EXIT_OK;
}

/* What can be refused is refused before anything is made. */
static enum pay_exit init_all(struct tool *tool, struct pay_pg *pg, const struct cli_value *values) {
    int32_t partitions = 0;
    enum pay_exit status = init_check_books(tool, pg, values[NEW_LEDGER].given, values[YES].given);
    if (status == PAY_EXIT_OK) status = init_topics(tool, values, &partitions);
    if (status == PAY_EXIT_OK) status = init_schema(tool, pg);
    return status == PAY_EXIT_OK ? init_books(tool, pg, partitions, values) : status;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    struct pay_pg *pg;
    enum pay_exit status = tool_open_database(tool, PAY_PG_AS_LOGIN, &pg);
    if (status != PAY_EXIT_OK) return status;
    out_list(&tool->out, NULL, OUT_COLUMNS(columns));
    status = init_all(tool, pg, values);
    pay_pg_close(pg);
    return status;
}

const struct command cmd_init = {
    .name = "init",
    .summary = "make topics, tables and roles; safe to repeat",
    .examples =
        "  paybuf init                                  one ledger with 12 partitions\n"
        "  paybuf init --partitions 48\n"
        "  paybuf init --first-generation 1000          a second ledger whose positions never equal the first one's\n"
        "  paybuf init --new-ledger --yes               on a restored copy of a database, before anything else\n",
    .notes = "Topics: message.timestamp.type=LogAppendTime, cleanup.policy=delete, retention.bytes=-1, retention.ms 30 "
             "days,\n"
             "max.message.bytes 1 MiB (the dead letter topic a little more). Existing topics are never changed: where "
             "one doesn't\n"
             "match, init says which setting and how to mend it, and stops with 78 before it touches the database.\n"
             "The login needs to create roles once, or an administrator makes them (the message says how).\n",
    CLI_ARGS(args),
    .run = run,
};
