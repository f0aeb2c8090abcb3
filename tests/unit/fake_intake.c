#include "fake_intake.h"
#include "temp_file.h"

struct fake_log fake_log;

/* --- appender.h --------------------------------------------------------------------------------------------------------------- */

static void take_header(struct fake_record *record, const struct pay_header *header) {
    char *to = strcmp(header->name, "tenant") == 0        ? record->tenant
               : strcmp(header->name, "traceparent") == 0 ? record->traceparent
                                                          : NULL;
    if (to == NULL) return;
    memcpy(to, header->value, header->length);
    to[header->length] = '\0';
}

bool pay_appender_submit(struct pay_appender *appender, const struct pay_append *append, struct pay_call **ret_call,
                         const char **ret_reason) {
    (void)appender;
    if (fake_log.count >= fake_log.room) {
        *ret_reason = "The budget is full.";
        return false;
    }
    assert_true(fake_log.count < FAKE_RECORDS_MAX);
    struct fake_record *record = &fake_log.records[fake_log.count++];
    memset(record, 0, sizeof *record);
    strcpy(record->key, append->order_id);
    memcpy(record->value, append->value, append->value_length);
    for (size_t i = 0; i < append->header_count; i++) take_header(record, &append->headers[i]);
    record->bulk = append->bulk;
    record->call = (struct pay_call){.owner = append->owner, .done = append->done};
    *ret_call = &record->call;
    return true;
}

void pay_appender_forget(struct pay_appender *appender, struct pay_call *call) {
    (void)appender;
    assert_non_null(call->owner);
    call->owner = NULL;
}

static void tell(uint32_t index, const struct pay_position *position) {
    struct pay_call *call = &fake_log.records[index].call;
    void *owner = call->owner;
    assert_true(index < fake_log.count);
    call->owner = NULL;
    if (owner != NULL) call->done(owner, call, position);
}

void fake_acknowledge(uint32_t index) {
    tell(index, &(struct pay_position){.generation = 1, .partition = 0, .offset = (int64_t)index});
}

void fake_lose(uint32_t index) { tell(index, NULL); }
bool fake_is_waited_for(uint32_t index) { return fake_log.records[index].call.owner != NULL; }

/* --- a request ---------------------------------------------------------------------------------------------------------------- */

void fake_service(struct pay_service *ret_service, struct pay_config *ret_config) {
    memset(ret_service, 0, sizeof *ret_service);
    pay_config_defaults(ret_config);
    ret_service->config = ret_config;
    ret_service->appender = (struct pay_appender *)(void *)&fake_log;
    fake_log.count = 0;
    fake_log.room = FAKE_RECORDS_MAX;
}

void fake_keys(struct pay_service *service, const char *lines) {
    struct temp_file file = {""};
    char message[512];
    temp_file_write(&file, lines);
    service->auth = pay_auth_open(file.path, message, sizeof message);
    temp_file_remove(&file);
    if (service->auth == NULL) fail_msg("%s", message);
}

void fake_service_close(struct pay_service *service) {
    pay_auth_close(service->auth);
    pay_order_tokens_close(service->tokens);
}

int fake_start(void **state) {
    (void)state;
    pay_codec_init();
    return 0;
}

void fake_serve(struct pay_service *service, struct pay_http_request *request, const char *body, size_t length,
                size_t piece) {
    request->body_max = PAY_VALUE_MAX;
    pay_routes_head(service, request);
    if (request->answered) return;
    request->body = body;
    request->body_length = length;
    for (size_t at = 0; request->streams && at < length && !request->enough && !request->answered; at += piece) {
        size_t part = length - at < piece ? length - at : piece;
        request->enough = !pay_routes_piece(service, request, body + at, part);
    }
    if (!request->answered) pay_routes_complete(service, request);
}
