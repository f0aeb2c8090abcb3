#include "tools/dlq_redrive.h"

#include <stdarg.h>
#include <string.h>

void redrive_begin(struct redrive *redrive, struct dlq *dlq, const char *tenant, const char *note) {
    *redrive = (struct redrive){.dlq = dlq,
                                .given_tenant = tenant,
                                .note = note,
                                .requests = {dlq->tool, dlq->tool->config.request_topic, NULL}};
}

void redrive_end(struct redrive *redrive) {
    writer_close(&redrive->requests);
    lanes_free(&redrive->lanes);
}

static enum pay_exit __attribute__((format(printf, 3, 4)))
unfit(struct redrive *redrive, enum pay_exit status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(redrive->why, sizeof redrive->why, format, arguments);
    va_end(arguments);
    return status;
}

static enum pay_exit take_tenant(struct redrive *redrive, const struct pay_log_record *letter) {
    const struct pay_header *tenant = dlq_header(letter, "orig-tenant");
    redrive->tenant[0] = '\0';
    if (redrive->given_tenant != NULL)
        snprintf(redrive->tenant, sizeof redrive->tenant, "%s", redrive->given_tenant);
    else if (tenant != NULL && pay_id_valid(tenant->value, tenant->length))
        snprintf(redrive->tenant, sizeof redrive->tenant, "%.*s", (int)tenant->length, (const char *)tenant->value);
    else if (redrive->entry->reason == PAY_BAD_TENANT)
        return unfit(redrive, PAY_EXIT_USAGE, "the record's tenant can't be read; --tenant T says whose it is");
    return PAY_EXIT_OK;
}

/* The key is the order_id, as every writer must choose it. */
static enum pay_exit judge(struct redrive *redrive) {
    struct pay_request request;
    struct pay_codec_error error;
    struct pay_record_bytes bytes = {.value = redrive->value, .value_length = redrive->value_length};
    if (redrive->value_length > PAY_VALUE_MAX)
        return unfit(redrive, PAY_EXIT_FAILURE, "the value is larger than %d bytes", PAY_VALUE_MAX);
    if (!pay_request_parse(redrive->value, redrive->value_length, PAY_CODEC_TOLERANT, &request, &error))
        return unfit(redrive, PAY_EXIT_FAILURE, "it would be refused again: %s; --value FILE gives corrected bytes",
                     error.detail);
    bytes.key = request.order_id;
    bytes.key_length = strlen(request.order_id);
    bytes.tenant = redrive->tenant;
    bytes.tenant_length = strlen(redrive->tenant);
    bytes.tenant_count = redrive->tenant[0] != '\0';
    pay_record_decode(&bytes, &redrive->record);
    if (redrive->record.invalid == PAY_REASON_NONE) return PAY_EXIT_OK;
    return unfit(redrive, PAY_EXIT_FAILURE, "it would be refused again: %s", pay_reason_name(redrive->record.invalid));
}

enum pay_exit redrive_prepare(struct redrive *redrive, struct dlq_entry *entry, const struct pay_log_record *letter,
                              const void *value, size_t value_length) {
    redrive->entry = entry;
    pay_position_format(&entry->position, redrive->position);
    enum pay_exit status = take_tenant(redrive, letter);
    if (status != PAY_EXIT_OK) return status;
    if (value == NULL && entry->is_stub)
        return unfit(redrive, PAY_EXIT_USAGE,
                     "the letter is a stub, the record was too large to be kept; --value FILE gives its bytes");
    if (value == NULL) value = letter->value, value_length = letter->value_length;
    redrive->value_length = value_length < sizeof redrive->value ? value_length : sizeof redrive->value;
    if (redrive->value_length > 0) memcpy(redrive->value, value, redrive->value_length);
    return judge(redrive);
}

static enum pay_exit read_generations(struct redrive *redrive) {
    struct tool *tool = redrive->dlq->tool;
    struct pay_pg *pg = NULL;
    if (redrive->lanes.count > 0) return PAY_EXIT_OK;
    enum pay_exit status = tool_open_database(tool, PAY_PG_READER, &pg);
    if (status == PAY_EXIT_OK) status = lanes_read(tool, pg, &redrive->lanes);
    pay_pg_close(pg);
    return status;
}

static int64_t generation_of(const struct lanes *lanes, int32_t partition) {
    return partition < lanes->count && lanes->all[partition].has_row ? lanes->all[partition].generation : 1;
}

enum pay_exit redrive_send(struct redrive *redrive, char to[static PAY_POSITION_TEXT_MAX]) {
    const char *order_id = redrive->record.request.order_id;
    struct pay_position position;
    const struct pay_header headers[] = {
        {"redriven-from", redrive->position, strlen(redrive->position)},
        {"tenant", redrive->tenant, strlen(redrive->tenant)},
    };
    const struct pay_kafka_message message = {.partition = -1,
                                              .key = order_id,
                                              .key_length = strlen(order_id),
                                              .value = redrive->value,
                                              .value_length = redrive->value_length,
                                              .headers = headers,
                                              .header_count = redrive->tenant[0] != '\0' ? 2 : 1};
    enum pay_exit status = read_generations(redrive); /* before the request: behind it only the marker may be missing */
    if (status == PAY_EXIT_OK)
        status = writer_append(&redrive->requests, &message, &position.partition, &position.offset);
    if (status != PAY_EXIT_OK) return status;
    position.generation = generation_of(&redrive->lanes, position.partition);
    pay_position_format(&position, to);
    return dlq_mark(redrive->dlq, redrive->entry, DLQ_REDRIVEN, to, redrive->note);
}
