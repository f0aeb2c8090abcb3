/* cmd_dlq_redrive.c - paybuf dlq redrive: letters as new requests, linked with the old ones: one by its name, or many. */
#include "tools/cmd_dlq.h"
#include "tools/dlq_redrive_many.h"

#include <errno.h>
#include <string.h>

enum { POSITION = DLQ_PICK_COUNT, VALUE, TENANT, CORRECTED, AGAIN, RATE, NOTE, YES };

/* clang-format off */
static const struct cli_arg args[] = {
    DLQ_PICK_ARGS,
    [POSITION] = {"POSITION", CLI_TEXT, false, .help = "one letter: of the request record, as 1-3-1234"},
    [VALUE] = {"--value", CLI_TEXT, false, "FILE", .help = "one letter: the corrected JSON; - is stdin. Without it: the letter's own bytes"},
    [TENANT] = {"--tenant", CLI_ID, false, "T", .help = "instead of the tenant that the record named"},
    [CORRECTED] = {"--corrected", CLI_TEXT, false, "FILE", .help = "many: lines of dlq export whose values are corrected; - is stdin"},
    [AGAIN] = {"--again", CLI_FLAG, .help = "also letters that were redriven already"},
    [RATE] = {"--rate", CLI_INTEGER, false, "N", 1, 1000000, NULL, "many: at most so many a second"},
    [NOTE] = {"--note", CLI_TEXT, false, "TEXT", .help = "why; kept with the marker"},
    [YES] = {"--yes", CLI_FLAG, .help = "do it; without it only what would be sent is shown"},
};
static const struct out_column columns[] = {
    {"position", "letter", false}, {"redriven_to", "redriven to", false}, {"tenant", "tenant", false}, {"order_id", "order", false}, {"attempt", "attempt", false},
    {"account_id", "account", false}, {"amount_minor", "amount", false}, {"currency", "currency", false}};
/* clang-format on */

static void print(struct redrive *redrive, const char *to) {
    const struct pay_request *request = &redrive->record.request;
    json_t *row =
        json_pack("{s:s,s:s,s:s,s:i,s:s,s:I,s:s}", "position", redrive->position, "tenant", redrive->record.tenant,
                  "order_id", request->order_id, "attempt", (int)request->attempt, "account_id", request->account_id,
                  "amount_minor", (json_int_t)request->amount_minor, "currency", request->currency);
    json_object_set_new(row, "redriven_to", tool_text(to));
    out_object(&redrive->dlq->tool->out, NULL, OUT_COLUMNS(columns), row);
}

static enum pay_exit read_value(const struct tool *tool, const char *path, char value[static PAY_VALUE_MAX + 1],
                                size_t *ret_length) {
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (file == NULL) return tool_fail(tool, PAY_EXIT_USAGE, "--value: %s can't be read: %s", path, strerror(errno));
    *ret_length = fread(value, 1, PAY_VALUE_MAX + 1, file);
    if (file != stdin) fclose(file);
    return PAY_EXIT_OK;
}

static enum pay_exit prepare_one(struct redrive *redrive, struct dlq_entry *entry, const char *path) {
    static char value[PAY_VALUE_MAX + 1];
    const struct tool *tool = redrive->dlq->tool;
    struct pay_log_record letter;
    size_t length = 0;
    enum pay_exit status = dlq_fetch(redrive->dlq, entry, &letter);
    if (status == PAY_EXIT_OK && path != NULL) status = read_value(tool, path, value, &length);
    if (status != PAY_EXIT_OK) return status;
    status = redrive_prepare(redrive, entry, &letter, path != NULL ? value : NULL, length);
    return status == PAY_EXIT_OK ? status : tool_fail(tool, status, "%s", redrive->why);
}

static enum pay_exit redrive_one(struct redrive *redrive, const struct dlq_pick *pick, const struct cli_value *values) {
    struct tool *tool = redrive->dlq->tool;
    struct dlq_entry *entry;
    char to[PAY_POSITION_TEXT_MAX];
    enum pay_exit status = dlq_named(redrive->dlq, values[POSITION].text, &entry);
    if (status != PAY_EXIT_OK) return status;
    if (!pick->states[entry->state])
        return tool_fail(tool, PAY_EXIT_FAILURE, "the letter of %s was %s already; paybuf dlq list --all shows it",
                         values[POSITION].text, dlq_state_name((enum dlq_state)entry->state));
    status = prepare_one(redrive, entry, values[VALUE].text);
    if (status != PAY_EXIT_OK) return status;
    if (!values[YES].given) {
        print(redrive, NULL);
        return tool_fail(tool, PAY_EXIT_USAGE, "this would be sent; --yes does it");
    }
    status = redrive_send(redrive, to);
    if (status == PAY_EXIT_OK) print(redrive, to);
    return status;
}

static enum pay_exit check_arguments(const struct tool *tool, const struct cli_value *values) {
    bool one = values[POSITION].given, many = dlq_pick_given(values) || values[CORRECTED].given;
    if (one == many)
        return tool_fail(tool, PAY_EXIT_USAGE,
                         "either one POSITION, or which ones: --reason, --partition, --since ..., --corrected FILE");
    if (many && values[VALUE].given)
        return tool_fail(tool, PAY_EXIT_USAGE, "--value is for one POSITION; --corrected FILE has a value for each");
    return PAY_EXIT_OK;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    static struct redrive redrive;
    struct dlq dlq;
    struct dlq_pick pick;
    const struct redrive_how how = {values[YES].given, values[RATE].number, values[CORRECTED].text};
    enum pay_exit status = check_arguments(tool, values);
    if (status == PAY_EXIT_OK) status = dlq_pick_read(tool, values, &pick);
    if (status != PAY_EXIT_OK) return status;
    pick.states[DLQ_REDRIVEN] = values[AGAIN].given;
    status = dlq_open(tool, &dlq);
    redrive_begin(&redrive, &dlq, values[TENANT].text, values[NOTE].text);
    if (status == PAY_EXIT_OK) status = dlq_scan(&dlq);
    if (status == PAY_EXIT_OK)
        status = values[POSITION].given ? redrive_one(&redrive, &pick, values) : redrive_many(&redrive, &pick, &how);
    redrive_end(&redrive);
    dlq_close(&dlq);
    return status;
}

const struct command cmd_dlq_redrive = {
    .name = "redrive",
    .summary = "send letters as new requests, corrected or as they are",
    .examples = "  paybuf dlq show 1-3-1234 -o json | jq -r .value > fixed.json; $EDITOR fixed.json\n"
                "  paybuf dlq redrive 1-3-1234 --value fixed.json            is it a request now? what would be sent?\n"
                "  paybuf dlq redrive 1-3-1234 --value fixed.json --yes\n"
                "  paybuf dlq redrive --reason bad_tenant --tenant shop      how many are requests then?\n"
                "  paybuf dlq redrive --reason bad_tenant --tenant shop --rate 100 --yes\n"
                "  paybuf dlq export --reason bad_field | jq -c '.value |= sub(\"EURO\"; \"EUR\")' > fixed.ndjson\n"
                "  paybuf dlq redrive --corrected fixed.ndjson --yes\n",
    .notes =
        "A request is appended with the header redriven-from (the letter's position), the letter gets a marker "
        "with redriven-to:\n"
        "the link is kept on both sides. What a worker would refuse again isn't sent. Twice is safe: the same order "
        "and attempt is\n"
        "never paid twice. Many: what is redriven is passed over, so the same command goes on after an interruption; "
        "4 when some\n"
        "would be refused again and stay open.\n",
    CLI_ARGS(args),
    .run = run,
};
