#include "fake_http.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

const char *pay_http_method(const struct pay_http_request *request) { return request->method; }
const char *pay_http_path(const struct pay_http_request *request) { return request->path; }
void *pay_http_room(struct pay_http_request *request) { return request->room; }
void pay_http_body_max(struct pay_http_request *request, size_t body_max) { request->body_max = body_max; }

void pay_http_stream(struct pay_http_request *request, size_t body_max) {
    request->body_max = body_max;
    request->streams = true;
}

static const char *find(const struct pay_http_header *headers, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(headers[i].name, name) == 0) return headers[i].value;
    return NULL;
}

const char *pay_http_header(const struct pay_http_request *request, const char *name) {
    return find(request->headers, request->header_count, name);
}

uint32_t pay_http_header_count(const struct pay_http_request *request, const char *name) {
    uint32_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) count += strcasecmp(request->headers[i].name, name) == 0;
    return count;
}

const char *pay_http_header_at(const struct pay_http_request *request, const char *name, uint32_t index) {
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0 && index-- == 0) return request->headers[i].value;
    return NULL;
}

bool pay_http_has_hung_up(const struct pay_http_request *request) { return request->hung_up; }

const char *pay_http_body(const struct pay_http_request *request, size_t *ret_length) {
    assert(!request->streams);
    *ret_length = request->body_length;
    return request->body;
}

/* One parameter; `text` is changed. */
static void give_parameter(char *text, void (*each)(void *argument, const char *name, const char *value),
                           void *argument) {
    char *value = strchr(text, '=');
    if (value != NULL) *value++ = '\0';
    each(argument, text, value);
}

void pay_http_query_each(const struct pay_http_request *request,
                         void (*each)(void *argument, const char *name, const char *value), void *argument) {
    char text[16384], *rest = NULL;
    if (request->query == NULL) return;
    assert(strlen(request->query) < sizeof text);
    strcpy(text, request->query);
    for (char *part = strtok_r(text, "&", &rest); part != NULL; part = strtok_r(NULL, "&", &rest))
        give_parameter(part, each, argument);
}

void pay_http_wake(struct pay_http_flow *flow) { flow->woken = true; }
void pay_http_cut(struct pay_http_flow *flow) { flow->cut = true; }

static const char *keep(struct pay_http_request *request, size_t *at, const char *text) {
    char *kept = request->answer_texts + *at;
    *at += strlen(text) + 1;
    assert(*at <= sizeof request->answer_texts);
    return strcpy(kept, text);
}

void pay_http_answer(struct pay_http_request *request, const struct pay_http_answer *answer) {
    size_t at = 0;
    assert(!request->answered && !request->gone);
    assert(answer->header_count <= FAKE_HEADERS_MAX && answer->body_length < FAKE_TEXT_MAX);
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
        if (request->source.ret_flow != NULL) *request->source.ret_flow = &request->flow;
    } else if (answer->body_length > 0) {
        memcpy(request->answer, answer->body, answer->body_length);
    }
    request->answer_length = request->has_source ? 0 : answer->body_length;
    request->answer[request->answer_length] = '\0';
    memset(request->room, 0xa5, sizeof request->room);
}

void fake_request(struct pay_http_request *ret_request, const char *method, const char *path,
                  const char *const *headers) {
    memset(ret_request, 0, offsetof(struct pay_http_request, answer_texts));
    memset(ret_request->room, 0x5a, sizeof ret_request->room); /* nobody may count on zeros */
    ret_request->answer[0] = '\0';
    ret_request->method = method;
    ret_request->path = path;
    for (size_t i = 0; headers != NULL && headers[i] != NULL; i += 2)
        ret_request->headers[ret_request->header_count++] = (struct pay_http_header){headers[i], headers[i + 1]};
}

void fake_release(struct pay_http_request *request) {
    assert(request->has_source);
    request->has_source = false;
    request->source.release(request->source.argument);
}

void fake_read(struct pay_http_request *request, size_t size) {
    const struct pay_http_source *source = &request->source;
    size_t got;
    assert(request->has_source);
    request->flow.woken = false;
    while ((got = source->produce(source->argument, request->answer + request->answer_length, size)) > 0) {
        assert(got <= size || (got == PAY_HTTP_LATER && source->ret_flow != NULL));
        if (got == PAY_HTTP_LATER) break;
        request->answer_length += got;
        assert(request->answer_length + size < FAKE_TEXT_MAX);
    }
    request->answer[request->answer_length] = '\0';
    if (got == 0) fake_release(request);
}

const char *fake_answer_header(const struct pay_http_request *request, const char *name) {
    return find(request->answer_headers, request->answer_header_count, name);
}
