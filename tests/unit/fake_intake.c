#include "fake_intake.h"
#include "unit.h"

#include <strings.h>

struct fake_log fake_log;

/* --- http.h ------------------------------------------------------------------------------------------------------------------- */

const char *pay_http_method(const struct pay_http_request *request) { return request->method; }
const char *pay_http_path(const struct pay_http_request *request) { return request->path; }
void *pay_http_room(struct pay_http_request *request) { return request->room; }
void pay_http_body_max(struct pay_http_request *request, size_t body_max) { request->body_max = body_max; }

void pay_http_stream(struct pay_http_request *request, size_t body_max) {
    request->body_max = body_max;
    request->streams = true;
}

const char *pay_http_header(const struct pay_http_request *request, const char *name) {
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0) return request->headers[i].value;
    return NULL;
}

uint32_t pay_http_header_count(const struct pay_http_request *request, const char *name) {
    uint32_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) count += strcasecmp(request->headers[i].name, name) == 0;
    return count;
}

const char *pay_http_body(const struct pay_http_request *request, size_t *ret_length) {
    assert_false(request->streams);
    *ret_length = request->body_length;
    return request->body;
}

static const char *keep(struct pay_http_request *request, size_t *at, const char *text) {
    char *kept = request->answer_texts + *at;
    *at += strlen(text) + 1;
    assert_true(*at <= sizeof request->answer_texts);
    return strcpy(kept, text);
}

void pay_http_answer(struct pay_http_request *request, const struct pay_http_answer *answer) {
    size_t at = 0;
    assert_false(request->answered);
    assert_true(answer->header_count <= FAKE_HEADERS_MAX);
    request->answered = true;
    request->status = answer->status;
    request->answer_header_count = answer->header_count;
    for (size_t i = 0; i < answer->header_count; i++) {
        request->answer_headers[i].name = keep(request, &at, answer->headers[i].name);
        request->answer_headers[i].value = keep(request, &at, answer->headers[i].value);
    }
    request->has_source = answer->source != NULL;
    if (request->has_source) {
        request->source = *answer->source;
        return;
    }
    assert_true(answer->body_length < FAKE_TEXT_MAX);
    memcpy(request->answer, answer->body, answer->body_length);
    request->answer[answer->body_length] = '\0';
    request->answer_length = answer->body_length;
    memset(request->room, 0xa5, sizeof request->room); /* dead from here on */
}

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

void fake_request(struct pay_http_request *ret_request, const char *method, const char *path,
                  const char *const *headers) {
    memset(ret_request, 0, sizeof *ret_request);
    memset(ret_request->room, 0x5a, sizeof ret_request->room); /* nobody may count on zeros */
    ret_request->method = method;
    ret_request->path = path;
    for (size_t i = 0; headers != NULL && headers[i] != NULL; i += 2)
        ret_request->headers[ret_request->header_count++] = (struct pay_http_header){headers[i], headers[i + 1]};
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

void fake_read(struct pay_http_request *request, size_t size) {
    size_t got;
    assert_true(request->has_source);
    while ((got = request->source.produce(request->source.argument, request->answer + request->answer_length, size)) >
           0) {
        assert_true(got <= size);
        request->answer_length += got;
        assert_true(request->answer_length + size < FAKE_TEXT_MAX);
    }
    request->answer[request->answer_length] = '\0';
    request->source.release(request->source.argument);
    request->has_source = false;
}

const char *fake_answer_header(const struct pay_http_request *request, const char *name) {
    for (size_t i = 0; i < request->answer_header_count; i++)
        if (strcasecmp(request->answer_headers[i].name, name) == 0) return request->answer_headers[i].value;
    return NULL;
}
