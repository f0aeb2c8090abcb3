/* cmd_dlq_redrive.c - paybuf dlq redrive: a letter's corrected bytes as a new request, linked with the old one. */
#include "codec/request_codec.h"
#include "tools/cmd_dlq.h"
#include "tools/dlq.h"
#include "tools/lanes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { POSITION, VALUE, TENANT, NOTE, YES };

/* clang-format off */
static const struct cli_arg args[] = {
    [POSITION] = {"POSITION", CLI_TEXT, true, .help = "of the request record, as 1-3-1234"},
    [VALUE] = {"--value", CLI_TEXT, false, "FILE", .help = "the corrected JSON; - is stdin. Without it: the letter's own bytes"},
    [TENANT] = {"--tenant", CLI_ID, false, "T", .help = "instead of the tenant that the record named"},
    [NOTE] = {"--note", CLI_TEXT, false, "TEXT", .help = "why; kept with the marker"},
    [YES] = {"--yes", CLI_FLAG, .help = "do it; without it only the request is shown"},
};
static const struct out_column columns[] = {
    {"position", "letter", false}, {"redriven_to", "redriven to", false}, {"tenant", "tenant", false}, {"order_id", "order", false}, {"attempt", "attempt", false},
    {"account_id", "account", false}, {"amount_minor", "amount", false}, {"currency", "currency", false}};
/* clang-format on */

struct redrive {
    struct dlq *dlq;
    struct dlq_entry *entry;
    char position[PAY_POSITION_TEXT_MAX];
    char value[PAY_VALUE_MAX + 1]; /* one more than allowed shows that it is too much */
    size_t value_length;
    char tenant[PAY_ID_MAX + 1]; /* "": none was named */
    struct pay_record record;    /* as a worker will judge it */
};

static enum pay_exit read_value(struct redrive *redrive, const char *path) {
    struct tool *tool = redrive->dlq->tool;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (file == NULL) return tool_fail(tool, PAY_EXIT_USAGE, "--value: %s can't be read: %s", path, strerror(errno));
    redrive->value_length = fread(redrive->value, 1, sizeof redrive->value, file);
    if (file != stdin) fclose(file);
    return PAY_EXIT_OK;
}

/* The letter's own value and tenant, where nothing else is given. */
static enum pay_exit take_letter(struct redrive *redrive, const struct cli_value *values) {
    struct pay_log_record letter;
    enum pay_exit status = dlq_fetch(redrive->dlq, redrive->entry, &letter);
    if (status != PAY_EXIT_OK) return status;
    const struct pay_header *tenant = dlq_header(&letter, "orig-tenant");
    if (values[TENANT].given)
        snprintf(redrive->tenant, sizeof redrive->tenant, "%s", values[TENANT].text);
    else if (tenant != NULL && pay_id_valid(tenant->value, tenant->length))
        snprintf(redrive->tenant, sizeof redrive->tenant, "%.*s", (int)tenant->length, (const char *)tenant->value);
    else if (redrive->entry->reason == PAY_BAD_TENANT)
        return tool_fail(redrive->dlq->tool, PAY_EXIT_USAGE,
                         "the record's tenant can't be read; --tenant T says whose "
                         "it is");
    if (values[VALUE].given) return read_value(redrive, values[VALUE].text);
    if (redrive->entry->is_stub)
        return tool_fail(redrive->dlq->tool, PAY_EXIT_USAGE,
                         "the letter is a stub, the record was too large to be kept; --value FILE gives its bytes");
    redrive->value_length = letter.value_length < sizeof redrive->value ? letter.value_length : sizeof redrive->value;
    if (redrive->value_length > 0) memcpy(redrive->value, letter.value, redrive->value_length);
    return PAY_EXIT_OK;
}

/* The key is the order_id, as every writer must choose it. */
static enum pay_exit judge(struct redrive *redrive) {
    struct pay_request request;
    struct pay_codec_error error;
    struct pay_record_bytes bytes = {.value = redrive->value, .value_length = redrive->value_length};
    if (redrive->value_length > PAY_VALUE_MAX)
        return tool_fail(redrive->dlq->tool, PAY_EXIT_FAILURE, "the value is larger than %d bytes", PAY_VALUE_MAX);
    if (!pay_request_parse(redrive->value, redrive->value_length, PAY_CODEC_TOLERANT, &request, &error))
        return tool_fail(redrive->dlq->tool, PAY_EXIT_FAILURE,
                         "it would be refused again: %s; --value FILE gives corrected bytes", error.detail);
    bytes.key = request.order_id;
    bytes.key_length = strlen(request.order_id);
    bytes.tenant = redrive->tenant;
    bytes.tenant_length = strlen(redrive->tenant);
    bytes.tenant_count = redrive->tenant[0] != '\0';
    pay_record_decode(&bytes, &redrive->record);
    if (redrive->record.invalid == PAY_REASON_NONE) return PAY_EXIT_OK;
    return tool_fail(redrive->dlq->tool, PAY_EXIT_FAILURE, "it would be refused again: %s",
                     pay_reason_name(redrive->record.invalid));
}

static enum pay_exit generation_of(struct tool *tool, int32_t partition, int64_t *ret_generation) {
    struct lanes lanes = {0};
    struct pay_pg *pg = NULL;
    enum pay_exit status = tool_open_database(tool, PAY_PG_READER, &pg);
    if (status == PAY_EXIT_OK) status = lanes_read(tool, pg, &lanes);
    *ret_generation = partition < lanes.count && lanes.all[partition].has_row ? lanes.all[partition].generation : 1;
    lanes_free(&lanes);
    pay_pg_close(pg);
    return status;
}

/* First the request, then the marker: a crash between them leaves a letter that is open and a request that may come twice. */
static enum pay_exit send(struct redrive *redrive, const char *note, char to[PAY_POSITION_TEXT_MAX]) {
    struct tool *tool = redrive->dlq->tool;
    const struct pay_request *request = &redrive->record.request;
    struct pay_position position;
    const struct pay_header headers[] = {
        {"redriven-from", redrive->position, strlen(redrive->position)},
        {"tenant", redrive->tenant, strlen(redrive->tenant)},
    };
    const struct pay_kafka_message message = {.partition = -1,
                                              .key = request->order_id,
                                              .key_length = strlen(request->order_id),
                                              .value = redrive->value,
                                              .value_length = redrive->value_length,
                                              .headers = headers,
                                              .header_count = redrive->tenant[0] != '\0' ? 2 : 1};
    enum pay_exit status =
        dlq_append(tool, tool->config.request_topic, &message, &position.partition, &position.offset);
    if (status == PAY_EXIT_OK) status = generation_of(tool, position.partition, &position.generation);
    if (status != PAY_EXIT_OK) return status;
    pay_position_format(&position, to);
    return dlq_mark(redrive->dlq, redrive->entry, DLQ_REDRIVEN, to, note);
}

static void print(struct redrive *redrive, const char *to) {
    const struct pay_request *request = &redrive->record.request;
    json_t *row =
        json_pack("{s:s,s:s,s:s,s:i,s:s,s:I,s:s}", "position", redrive->position, "tenant", redrive->record.tenant,
                  "order_id", request->order_id, "attempt", (int)request->attempt, "account_id", request->account_id,
                  "amount_minor", (json_int_t)request->amount_minor, "currency", request->currency);
    json_object_set_new(row, "redriven_to", tool_text(to));
    out_object(&redrive->dlq->tool->out, NULL, OUT_COLUMNS(columns), row);
}

static enum pay_exit redrive(struct redrive *redrive, const struct cli_value *values) {
    struct tool *tool = redrive->dlq->tool;
    char to[PAY_POSITION_TEXT_MAX];
    enum pay_exit status = dlq_named(redrive->dlq, values[POSITION].text, &redrive->entry);
    if (status != PAY_EXIT_OK) return status;
    pay_position_format(&redrive->entry->position, redrive->position);
    if (redrive->entry->state != DLQ_OPEN)
        return tool_fail(tool, PAY_EXIT_FAILURE, "the letter of %s was %s already; paybuf dlq list --all shows it",
                         redrive->position, dlq_state_name((enum dlq_state)redrive->entry->state));
    status = take_letter(redrive, values);
    if (status == PAY_EXIT_OK) status = judge(redrive);
    if (status != PAY_EXIT_OK) return status;
    if (!values[YES].given) {
        print(redrive, NULL);
        return tool_fail(tool, PAY_EXIT_USAGE, "this would be sent; --yes does it");
    }
    status = send(redrive, values[NOTE].text, to);
    if (status == PAY_EXIT_OK) print(redrive, to);
    return status;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    static struct redrive one;
    struct dlq dlq;
    one = (struct redrive){.dlq = &dlq};
    enum pay_exit status = dlq_open(tool, &dlq);
    if (status == PAY_EXIT_OK) status = dlq_scan(&dlq);
    if (status == PAY_EXIT_OK) status = redrive(&one, values);
    dlq_close(&dlq);
    return status;
}

const struct command cmd_dlq_redrive = {
    .name = "redrive",
    .summary = "send a letter's corrected bytes as a new request",
    .examples = "  paybuf dlq show 1-3-1234 -o json | jq -r .value > fixed.json; $EDITOR fixed.json\n"
                "  paybuf dlq redrive 1-3-1234 --value fixed.json            is it a request now? what would be sent?\n"
                "  paybuf dlq redrive 1-3-1234 --value fixed.json --yes\n"
                "  paybuf dlq redrive 1-3-1234 --tenant shop --yes           only the tenant was wrong\n",
    .notes =
        "The request is appended with the header redriven-from (the letter's position), the letter gets a marker "
        "with redriven-to:\n"
        "the link is kept on both sides. What a worker would refuse again isn't sent. Twice is safe: the same order "
        "and attempt is\n"
        "never paid twice.\n",
    CLI_ARGS(args),
    .run = run,
};
