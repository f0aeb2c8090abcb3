#include "tools/init_ledger.h"

#include "pg/schema.h"
#include "sql/pay_sql.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct extent {
    bool found;
    char ledger_id[37];
    int64_t lanes, last_generation, accounts, payments;
};

static bool take_extent(void *argument, const struct pay_pg_row *row) {
    struct extent *extent = argument;
    extent->found = true;
    snprintf(extent->ledger_id, sizeof extent->ledger_id, "%s", pay_pg_column(row, 0));
    extent->lanes = pay_pg_column_int8(row, 1);
    extent->last_generation = pay_pg_column_int8(row, 2);
    extent->accounts = pay_pg_column_int8(row, 3);
    extent->payments = pay_pg_column_int8(row, 4);
    return true;
}

/* Replies in the topic are another ledger's: the workers would halt at once, and the old ledger's readers would be disturbed. */
static enum pay_exit refuse_replies(struct tool *tool) {
    const char *topic = tool->config.reply_topic;
    struct pay_kafka_reader *reader;
    struct pay_error error;
    int32_t partitions;
    enum pay_exit status = tool_partitions(tool, topic, &partitions);
    if (status == PAY_EXIT_OK) status = tool_open_reader(tool, false, &reader);
    if (status != PAY_EXIT_OK) return status;
    for (int32_t p = 0; p < partitions && status == PAY_EXIT_OK; p++) {
        int64_t start, end;
        if (pay_kafka_reader_bounds(reader, topic, p, TOOL_KAFKA_TIMEOUT_MS, &start, &end, &error) != PAY_OK)
            status = tool_unavailable(tool, &error);
        else if (end > 0)
            status = tool_fail(tool, PAY_EXIT_CONFIG,
                               "%s holds replies already, so these topics belong to another ledger, perhaps to the one "
                               "that this database is a copy of; "
                               "name new ones in [topics], or another cluster in [kafka]",
                               topic);
    }
    pay_kafka_reader_close(reader);
    return status;
}

static enum pay_move change(struct pay_pg *pg, char ledger_id[37], struct pay_error *error) {
    bool found;
    enum pay_move move = pay_pg_begin(pg, false, error);
    if (move == PAY_OK) move = pay_pg_script(pg, "SET LOCAL ROLE paybuf_owner", error);
    if (move == PAY_OK) move = pay_pg_exec(pg, pay_sql_tools_delete_lanes, NULL, NULL, NULL, NULL, error);
    if (move == PAY_OK) move = pay_pg_exec_value(pg, pay_sql_tools_new_ledger, NULL, ledger_id, 37, &found, error);
    if (move == PAY_OK) return pay_pg_commit(pg, error);
    pay_pg_rollback(pg);
    return move;
}

static enum pay_exit read_extent(struct tool *tool, struct pay_pg *pg, struct extent *extent) {
    struct pay_error error;
    return pay_pg_exec(pg, pay_sql_tools_ledger_extent, NULL, take_extent, extent, NULL, &error) == PAY_OK
               ? PAY_EXIT_OK
               : tool_error(tool, &error);
}

static enum pay_exit check_topic(struct tool *tool, struct pay_pg *pg) {
    struct pay_pg_args args;
    struct pay_error error;
    char other[PAY_TOPIC_MAX + 1];
    bool found;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, tool->config.request_topic);
    if (pay_pg_exec_value(pg, pay_sql_other_topic, &args, other, sizeof other, &found, &error) != PAY_OK)
        return tool_error(tool, &error);
    if (!found) return PAY_EXIT_OK;
    return tool_fail(tool, PAY_EXIT_CONFIG,
                     "these books belong to the topic %s, not to %s: one ledger has one request topic. Name that one "
                     "in [topics], another "
                     "[database] url, or --new-ledger if this is a restored copy",
                     other, tool->config.request_topic);
}

static enum pay_exit ask_for_yes(struct tool *tool, struct pay_pg *pg) {
    struct extent extent = {0};
    enum pay_exit status = read_extent(tool, pg, &extent);
    if (status != PAY_EXIT_OK || !extent.found) return status;
    return tool_fail(tool, PAY_EXIT_USAGE,
                     "--new-ledger would give ledger %s (%" PRId64 " lanes, about %" PRId64 " accounts and %" PRId64
                     " payments) a new id, and begin its "
                     "positions at generation %" PRId64
                     ", offset 0. Add --yes if this database is a restored copy and its topics are new",
                     extent.ledger_id, extent.lanes, extent.accounts, extent.payments, extent.last_generation + 1);
}

enum pay_exit init_check_books(struct tool *tool, struct pay_pg *pg, bool new_ledger, bool yes) {
    struct pay_error error;
    char there[8] = "";
    bool found;
    if (pay_pg_exec_value(pg, "SELECT to_regclass('paybuf.processed_offset') IS NOT NULL", NULL, there, sizeof there,
                          &found, &error) != PAY_OK)
        return tool_error(tool, &error);
    if (strcmp(there, "t") != 0) return PAY_EXIT_OK;
    if (!new_ledger) return check_topic(tool, pg);
    return yes ? PAY_EXIT_OK : ask_for_yes(tool, pg);
}

enum pay_exit init_new_ledger(struct tool *tool, struct pay_pg *pg, struct init_generation *generation) {
    struct extent extent = {0};
    struct pay_error error;
    char ledger_id[37] = "";
    enum pay_exit status = read_extent(tool, pg, &extent);
    if (status != PAY_EXIT_OK || !extent.found) return status; /* an empty database gets a new id anyway */
    if (generation->first <= extent.last_generation) generation->first = extent.last_generation + 1;
    status = refuse_replies(tool);
    if (status != PAY_EXIT_OK) return status;
    if (change(pg, ledger_id, &error) != PAY_OK) return tool_error(tool, &error);
    tool_note(tool, "was ledger %s, is ledger %s from now on", extent.ledger_id, ledger_id);
    return PAY_EXIT_OK;
}

/* *generation is what new lanes get: the ledger's own where it has lanes. */
static enum pay_exit choose_generation(struct tool *tool, struct pay_pg *pg, struct init_generation *generation) {
    struct pay_pg_args args;
    struct pay_error error;
    char text[24];
    bool found;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, tool->config.request_topic);
    if (pay_pg_exec_value(pg, pay_sql_tools_generation, &args, text, sizeof text, &found, &error) != PAY_OK)
        return tool_error(tool, &error);
    if (!found) return PAY_EXIT_OK;
    int64_t own = strtoll(text, NULL, 10);
    if (generation->asked && own != generation->first)
        tool_note(tool, "this ledger began with generation %" PRId64 "; --first-generation %" PRId64 " changes nothing",
                  own, generation->first);
    generation->first = own;
    return PAY_EXIT_OK;
}

enum pay_exit init_lanes(struct tool *tool, struct pay_pg *pg, int32_t partitions, struct init_generation *generation,
                         char ledger_id[37], bool *ret_created, int64_t *ret_lanes_created) {
    struct pay_error error;
    enum pay_exit status = choose_generation(tool, pg, generation);
    if (status != PAY_EXIT_OK) return status;
    struct pay_schema_ledger ledger = {
        .topic = tool->config.request_topic, .partitions = (uint32_t)partitions, .first_generation = generation->first};
    if (pay_schema_init_ledger(pg, &ledger, &error) != PAY_OK) return tool_error(tool, &error);
    memcpy(ledger_id, ledger.ledger_id, sizeof ledger.ledger_id);
    *ret_created = ledger.created;
    *ret_lanes_created = ledger.partitions_created;
    return PAY_EXIT_OK;
}
