/* cmd_recover_poison.c - paybuf recover poison: one record is answered `invalid` because a person says so, by its position. */
#include "base/clock.h"
#include "codec/request_codec.h"
#include "sql/pay_sql.h"
#include "tools/log_writer.h"
#include "tools/recover_lane.h"
#include "tools/recover_verbs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { POSITION, REFUSE, YES };

/* clang-format off */
static const struct cli_arg args[] = {
    [POSITION] = {"POSITION", CLI_TEXT, true, .help = "generation-partition-offset of the record, as the worker's log and paybuf recover say it"},
    [REFUSE] = {"--refuse", CLI_TEXT, false, "CODE[:FIELD]", .help = "what its reply says: malformed_json, too_large, bad_tenant, key_mismatch, bad_field:FIELD"},
    [YES] = {"--yes", CLI_FLAG, .help = "do it; without it, it only shows the record"},
};
static const struct out_column columns[] = {
    {"position", "position", false}, {"halted_reason", "halted", true}, {"appended_at", "appended at (ms since 1970)", false}, {"key", "key", false},
    {"tenant", "tenant", false}, {"account_id", "account", false}, {"amount_minor", "amount minor", false}, {"currency", "currency", false},
    {"attempt", "attempt", false}, {"value_bytes", "value bytes", false}, {"settled", "settled", false}};
/* clang-format on */

struct poison {
    struct recover recover;
    struct lane_case lane;
    struct pay_position position;
    enum pay_reason code;
    enum pay_field field;
    bool found, others_before; /* a data record at P or above lies before it */
    struct pay_record record;
    struct pay_anchor anchor;
    struct pay_log_record raw; /* as it is, for its dead letter; the reader's: nothing is read behind it */
};

/* ---- the record ---- */

static void take_record(struct poison *poison, const struct pay_log_record *record) {
    struct pay_record_bytes bytes;
    pay_record_bytes_of(record, &bytes);
    pay_record_decode(&bytes, &poison->record);
    poison->record.position = poison->position;
    poison->found = true;
    poison->anchor = (struct pay_anchor){true, record->offset, record->timestamp_ms, poison->record.crc32c};
    poison->raw = *record;
}

/* From the first record that isn't settled, or from the record itself where it is, up to it. */
static enum pay_exit read_record(struct poison *poison) {
    struct recover *recover = &poison->recover;
    const char *topic = recover->tool->config.request_topic;
    int64_t offset = poison->position.offset,
            from = poison->lane.row.next_offset < offset ? poison->lane.row.next_offset : offset;
    struct pay_kafka_read read;
    struct pay_error error;
    if (offset < poison->lane.view.request_start || offset >= poison->lane.view.request_end)
        return tool_fail(recover->tool, PAY_EXIT_NOT_FOUND, "the request log has no record there");
    if (pay_kafka_reader_seek(recover->requests, topic, poison->position.partition, from, &error) != PAY_OK)
        return tool_error(recover->tool, &error);
    for (;;) {
        enum pay_exit status = recover_read(recover, recover->requests, &read);
        if (status != PAY_EXIT_OK) return status;
        if (read.kind == PAY_KAFKA_READ_END || read.record.offset > offset) break;
        if (read.record.offset == offset) take_record(poison, &read.record);
        if (poison->found) break;
        poison->others_before = true;
    }
    return poison->found ? PAY_EXIT_OK
                         : tool_fail(recover->tool, PAY_EXIT_NOT_FOUND, "the request log has no record there");
}

static void print_record(struct poison *poison) {
    const struct pay_record *record = &poison->record;
    bool valid = record->invalid == PAY_REASON_NONE;
    char text[PAY_POSITION_TEXT_MAX];
    pay_position_format(&poison->position, text);
    json_t *object = json_object();
    json_object_set_new(object, "position", json_string(text));
    json_object_set_new(object, "halted_reason", tool_text(pay_halt_name(poison->lane.row.halted)));
    json_object_set_new(object, "appended_at", json_integer(poison->anchor.timestamp_ms));
    json_object_set_new(object, "key", tool_text(record->key[0] != '\0' ? record->key : NULL));
    json_object_set_new(object, "tenant", tool_text(record->tenant));
    json_object_set_new(object, "account_id", tool_text(valid ? record->request.account_id : NULL));
    json_object_set_new(object, "amount_minor", valid ? json_integer(record->request.amount_minor) : json_null());
    json_object_set_new(object, "currency", tool_text(valid ? record->request.currency : NULL));
    json_object_set_new(object, "attempt", valid ? json_integer(record->request.attempt) : json_null());
    json_object_set_new(object, "value_bytes", json_integer((json_int_t)poison->raw.value_length));
    json_object_set_new(object, "settled", json_boolean(poison->position.offset < poison->lane.row.next_offset));
    out_object(&poison->recover.tool->out, NULL, OUT_COLUMNS(columns), object);
}

/* ---- may it be refused? ---- */

struct on_file {
    int64_t refusals, decisions;
};

static bool take_on_file(void *argument, const struct pay_pg_row *row) {
    *(struct on_file *)argument = (struct on_file){pay_pg_column_int8(row, 0), pay_pg_column_int8(row, 1)};
    return true;
}

/* Only what stands in the way: the record that the lane is halted at, with nothing on file that answers it. */
static enum pay_exit check(struct poison *poison) {
    const struct tool *tool = poison->recover.tool;
    enum pay_halt halted = poison->lane.row.halted;
    struct on_file on_file = {0};
    struct pay_pg_args sql_args;
    if (halted != PAY_HALT_POISON && halted != PAY_HALT_BROKEN_INVARIANT)
        return tool_fail(tool, PAY_EXIT_DIFFERENCES,
                         "its lane isn't halted for poison or broken_invariant, so nothing is refused here");
    if (poison->lane.found != PAY_HALT_NONE)
        return tool_fail(tool, PAY_EXIT_DIFFERENCES,
                         "its lane has another trouble, %s; first: paybuf recover lane %" PRId32,
                         pay_halt_name(poison->lane.found), poison->position.partition);
    if (poison->others_before)
        return tool_fail(tool, PAY_EXIT_DIFFERENCES,
                         "it isn't the first record that waits in this lane, so it isn't the one that stops it");
    if (poison->position.offset < poison->lane.resume_from && poison->position.offset < poison->lane.row.next_offset)
        return tool_fail(tool, PAY_EXIT_DIFFERENCES, "it is settled and answered");
    pay_pg_args_begin(&sql_args);
    pay_pg_args_int8(&sql_args, poison->position.generation);
    pay_pg_args_int4(&sql_args, poison->position.partition);
    pay_pg_args_int8(&sql_args, poison->position.offset);
    pay_pg_args_text(&sql_args, poison->record.request.tenant);
    pay_pg_args_text(&sql_args, poison->record.request.order_id);
    enum pay_exit status = recover_exec(&poison->recover, pay_sql_recover_on_file, &sql_args, take_on_file, &on_file);
    if (status == PAY_EXIT_OK &&
        (on_file.refusals > 0 || (halted == PAY_HALT_BROKEN_INVARIANT && on_file.decisions > 0)))
        status =
            tool_fail(tool, PAY_EXIT_DIFFERENCES,
                      "a row on file answers it already; paybuf recover lane %" PRId32 " --yes lets the lane try again",
                      poison->position.partition);
    return status;
}

static bool parse_code(const char *text, enum pay_reason *ret_code, enum pay_field *ret_field) {
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : strlen(text);
    *ret_field = PAY_FIELD_NONE;
    if (!pay_reason_from_name(text, length, ret_code) || *ret_code < PAY_TOO_LARGE || *ret_code > PAY_KEY_MISMATCH)
        return false;
    if (*ret_code != PAY_BAD_FIELD) return colon == NULL;
    return colon != NULL && pay_field_from_name(colon + 1, strlen(colon + 1), ret_field);
}

/* ---- doing it ---- */

/* Acknowledged before the reply can be: the lane is still halted. Killed behind it, the letter is sent again. */
static enum pay_exit send_letter(struct poison *poison) {
    struct tool *tool = poison->recover.tool;
    struct log_writer writer = {tool, tool->config.dead_letter_topic, NULL};
    struct pay_dead_letter letter;
    bool stub;
    pay_dead_letter_make(&poison->raw, &poison->position, poison->code, &letter);
    enum pay_exit status = writer_letter(&writer, &letter, &stub);
    if (status == PAY_EXIT_OK && stub)
        tool_note(tool, "%s takes no record of its size: its dead letter is a stub with size and SHA-256",
                  tool->config.dead_letter_topic);
    writer_close(&writer);
    pay_dead_letter_free(&letter);
    return status;
}

static enum pay_exit refuse(struct poison *poison) {
    struct recover *recover = &poison->recover;
    struct pay_lane_row row = poison->lane.row;
    struct pay_pg_args sql_args;
    struct pay_error error;
    if (pay_pg_begin(recover->pg, false, &error) != PAY_OK) return tool_error(recover->tool, &error);
    if (poison->position.offset >= row.next_offset) {
        row.next_offset = poison->position.offset + 1;
        row.anchor = poison->anchor;
    }
    enum pay_exit status = recover_set_lane(&poison->lane, &row);
    pay_pg_args_begin(&sql_args);
    pay_pg_args_int8(&sql_args, poison->position.generation);
    pay_pg_args_int4(&sql_args, poison->position.partition);
    pay_pg_args_int8(&sql_args, poison->position.offset);
    pay_pg_args_text(&sql_args, pay_reason_name(poison->code));
    pay_pg_args_text(&sql_args, pay_field_name(poison->field));
    if (status == PAY_EXIT_OK) status = recover_exec(recover, pay_sql_recover_refuse, &sql_args, NULL, NULL);
    if (status == PAY_EXIT_OK && pay_pg_commit(recover->pg, &error) != PAY_OK) return tool_error(recover->tool, &error);
    if (status != PAY_EXIT_OK) pay_pg_rollback(recover->pg);
    return status;
}

static enum pay_exit work(struct poison *poison, const struct cli_value *values) {
    struct tool *tool = poison->recover.tool;
    enum pay_exit status = lane_case_read(&poison->lane, &poison->recover, poison->position.partition, true);
    if (status == PAY_EXIT_OK && poison->lane.row.log_generation != poison->position.generation)
        status = tool_fail(tool, PAY_EXIT_NOT_FOUND, "that lane is in log generation %" PRId64,
                           poison->lane.row.log_generation);
    if (status == PAY_EXIT_OK) status = read_record(poison);
    if (status != PAY_EXIT_OK) return status;
    print_record(poison);
    status = check(poison);
    if (status != PAY_EXIT_OK) return status;
    if (poison->lane.row.halted == PAY_HALT_BROKEN_INVARIANT)
        tool_note(tool, "it was settled once and its row is gone. If it was paid, the money is still missing in the "
                        "account: paybuf audit names the "
                        "hole in the account's versions; give it back with paybuf account topup");
    if (!values[YES].given || !values[REFUSE].given)
        return tool_fail(tool, PAY_EXIT_DIFFERENCES,
                         "nothing was changed. To refuse it: paybuf recover poison %s --refuse CODE --yes",
                         values[POSITION].text);
    status = send_letter(poison);
    if (status == PAY_EXIT_OK) status = refuse(poison);
    if (status == PAY_EXIT_OK)
        tool_note(tool, "done: it is answered invalid, %s; workers take the lane within 10 s",
                  pay_reason_name(poison->code));
    return status;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    static struct poison poison;
    poison = (struct poison){.recover = {.tool = tool}};
    if (!pay_position_parse(values[POSITION].text, strlen(values[POSITION].text), &poison.position))
        return tool_fail(tool, PAY_EXIT_USAGE, "'%s' is no position; one looks like 1-3-4711", values[POSITION].text);
    if (values[REFUSE].given && !parse_code(values[REFUSE].text, &poison.code, &poison.field))
        return tool_fail(tool, PAY_EXIT_USAGE,
                         "--refuse takes malformed_json, too_large, bad_tenant, key_mismatch, or bad_field:FIELD "
                         "(order_id, attempt, account_id, amount_minor, currency, metadata)");
    enum pay_exit status = recover_look(&poison.recover);
    if (status == PAY_EXIT_OK && poison.position.partition >= poison.recover.lane_count)
        status = tool_fail(tool, PAY_EXIT_NOT_FOUND, "%s has no partition %" PRId32, tool->config.request_topic,
                           poison.position.partition);
    if (status == PAY_EXIT_OK && poison.recover.halted)
        status = tool_fail(tool, PAY_EXIT_DIFFERENCES, "the whole ledger is halted; first: paybuf recover database");
    if (status == PAY_EXIT_OK) status = work(&poison, values);
    recover_close(&poison.recover);
    return status;
}

const struct command cmd_recover_poison = {
    .name = "poison",
    .summary = "one record stops its lane: answer it `invalid`, by its position",
    .examples =
        "  paybuf recover poison 1-3-4711                                         shows the record\n"
        "  paybuf recover poison 1-3-4711 --refuse bad_field:metadata --yes       refuses it, and the lane goes on\n",
    .notes = "First mend what refuses the record (a constraint or trigger added by hand), and let the lane try again: "
             "paybuf recover lane 3 --yes.\n"
             "What can't be mended is skipped by name: the record gets a refusal row and a dead letter, its reply says "
             "`invalid` with this code,\n"
             "no money moves. Only the record that the lane is halted at can be refused.\n",
    CLI_ARGS(args),
    .run = run,
};
