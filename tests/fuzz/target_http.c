/*
 * target_http.c - one HTTP call through everything of the intake that isn't libmicrohttpd or librdkafka: the head's rules, paths,
 * routes, bodies whole and in pieces, answers. http.h and appender.h are played by this file, in the order that http_microhttpd.c keeps.
 *
 * Input: one byte (what becomes of each append), one (how large the pieces are, whether the client stays, in which order reports
 * come), then a message as HTTP writes it, lines ended by \n alone.
 * Oracle: the head's rules said a second time; exactly one answer, of a status that the contract has, well formed, without a byte
 * that would split it; a payment is appended exactly when its body, or its line of a batch, is one (request_opinion.h), with what
 * it says, and the worker takes it; each is answered with what became of it.
 */
#include "fuzz.h"
#include "producer/http_head.h"
#include "producer/payment.h"
#include "producer/routes.h"
#include "request_opinion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX 64
#define RECORDS_MAX 64
#define BATCH_LINES_MAX 8
#define BATCH_BYTES_MAX 20000
#define REFUSAL "The budget is full."

enum fate { ACKNOWLEDGED, UNKNOWN, REFUSED, AT_ONCE /* acknowledged before the body's end */ };

struct field {
    char *name, *value;
    size_t name_length, value_length;
};

struct pay_http_request {
    char *method, *target, *version, *body;
    char path[PAY_HTTP_PATH_MAX];
    _Alignas(max_align_t) char room[PAY_HTTP_ROOM];
    struct field fields[HEADERS_MAX];
    size_t field_count, body_length, body_max;
    bool streams, gone;
    int answers;
    unsigned int status;
};

struct record {
    char order_id[PAY_ID_MAX + 1];
    enum fate fate;
    bool forgotten, told;
    struct pay_call call;
};

struct pay_appender {
    uint8_t fates;
    struct record records[RECORDS_MAX];
    size_t count;
};

static struct pay_http_request *current;

/* ---- http.h, as the routes see it ---- */

const char *pay_http_method(const struct pay_http_request *request) { return request->method; }
const char *pay_http_path(const struct pay_http_request *request) { return request->path; }
void *pay_http_room(struct pay_http_request *request) { return request->room; }
void pay_http_body_max(struct pay_http_request *request, size_t body_max) { request->body_max = body_max; }

void pay_http_stream(struct pay_http_request *request, size_t body_max) {
    request->streams = true;
    request->body_max = body_max;
}

const char *pay_http_header(const struct pay_http_request *request, const char *name) {
    for (size_t i = 0; i < request->field_count; i++)
        if (strcasecmp(request->fields[i].name, name) == 0) return request->fields[i].value;
    return NULL;
}

uint32_t pay_http_header_count(const struct pay_http_request *request, const char *name) {
    uint32_t count = 0;
    for (size_t i = 0; i < request->field_count; i++) count += strcasecmp(request->fields[i].name, name) == 0;
    return count;
}

const char *pay_http_body(const struct pay_http_request *request, size_t *ret_length) {
    *ret_length = request->body_length;
    return request->body;
}

/* ---- answers ---- */

static const char *answer_header(const struct pay_http_answer *answer, const char *name) {
    const char *value = NULL;
    for (size_t i = 0; i < answer->header_count; i++) {
        if (strcmp(answer->headers[i].name, name) != 0) continue;
        FUZZ_CHECK(value == NULL);
        value = answer->headers[i].value;
    }
    return value;
}

static void check_problem(const struct pay_http_answer *answer, const struct json_opinion *body) {
    int64_t status;
    static const char *const texts[] = {"type", "title", "detail", "code"};
    for (size_t i = 0; i < 4; i++) {
        const struct json_member *text = json_opinion_member(body, texts[i]);
        FUZZ_CHECK(text != NULL && text->kind == KIND_STRING && text->string.length > 0);
    }
    FUZZ_CHECK(json_member_integer(json_opinion_member(body, "status"), &status) && status == answer->status);
    FUZZ_CHECK(json_member_is(json_opinion_member(body, "request_id"), answer_header(answer, "X-Request-Id")));
    const struct json_member *retryable = json_opinion_member(body, "retryable");
    FUZZ_CHECK(retryable != NULL && retryable->kind == KIND_BOOLEAN && retryable->truth == (answer->status >= 500));
    FUZZ_CHECK((answer->status == 405) == (answer_header(answer, "Allow") != NULL));
    FUZZ_CHECK((answer->status == 503) == (answer_header(answer, "Retry-After") != NULL));
    FUZZ_CHECK(strcmp(answer_header(answer, "Content-Type"), "application/problem+json") == 0);
}

/* The records of a batch, in order, between its lines that weren't appended. */
static void check_batch_line(const struct json_opinion *line, size_t *next_record) {
    const struct pay_appender *appender = ((struct pay_exchange *)(void *)current->room)->service->appender;
    int64_t status, number;
    const struct json_member *order_id = json_opinion_member(line, "order_id"),
                             *position = json_opinion_member(line, "position");
    FUZZ_CHECK(json_opinion_object(line, 32) && json_member_integer(json_opinion_member(line, "line"), &number));
    FUZZ_CHECK(json_member_integer(json_opinion_member(line, "status"), &status) &&
               json_opinion_member(line, "code") != NULL);
    FUZZ_CHECK(position != NULL && (position->kind == KIND_STRING) == (status == 202));
    if (status < 500 && status != 202) return;
    FUZZ_CHECK(*next_record < appender->count);
    const struct record *record = &appender->records[(*next_record)++];
    FUZZ_CHECK(json_member_is(order_id, record->order_id));
    FUZZ_CHECK(status == (record->fate == UNKNOWN ? 504 : record->fate == REFUSED ? 503 : 202));
}

static void check_stream(const struct pay_http_source *source) {
    char *text = malloc(1 << 16), piece[97];
    size_t length = 0, made, next_record = 0;
    if (text == NULL) abort();
    while ((made = source->produce(source->argument, piece, 1 + length % sizeof piece)) > 0) {
        FUZZ_CHECK(made <= 1 + length % sizeof piece && length + made <= 1 << 16);
        memcpy(text + length, piece, made);
        length += made;
    }
    struct fuzz_input in = {(const uint8_t *)text, length};
    int lines = 0;
    for (int64_t before = 0, number; in.left > 0; before = number, lines++) {
        size_t line_length;
        struct json_opinion line;
        const char *start = fuzz_line(&in, &line_length);
        json_opinion_make(start, line_length, &line);
        check_batch_line(&line, &next_record);
        FUZZ_CHECK(json_member_integer(json_opinion_member(&line, "line"), &number) && number > before);
        json_opinion_free(&line);
    }
    FUZZ_CHECK(lines >= 1 && lines <= BATCH_LINES_MAX + 1);
    source->release(source->argument);
    free(text);
}

void pay_http_answer(struct pay_http_request *request, const struct pay_http_answer *answer) {
    static const unsigned int statuses[] = {200, 202, 400, 404, 405, 413, 415, 503, 504};
    struct json_opinion body;
    bool known = false;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) known = known || statuses[i] == answer->status;
    FUZZ_CHECK(known && request == current && !request->gone && ++request->answers == 1);
    request->status = answer->status;
    for (size_t i = 0; i < answer->header_count; i++)
        for (const char *at = answer->headers[i].value; *at != '\0'; at++) FUZZ_CHECK(*at >= ' ' && *at <= '~');
    FUZZ_CHECK(answer_header(answer, "X-Request-Id") != NULL && answer_header(answer, "Content-Type") != NULL);
    FUZZ_CHECK(pay_traceparent_valid(answer_header(answer, "traceparent")));
    if (answer->source != NULL) {
        FUZZ_CHECK(answer->status == 200);
        check_stream(answer->source);
        return;
    }
    json_opinion_make(answer->body, answer->body_length, &body);
    FUZZ_CHECK(json_opinion_object(&body, 32));
    if (answer->status >= 400) check_problem(answer, &body);
    if (answer->status == 202)
        FUZZ_CHECK(answer_header(answer, "Location") != NULL &&
                   json_member_is_id(json_opinion_member(&body, "order_id")));
    json_opinion_free(&body);
}

/* ---- appender.h, as the routes see it ---- */

/* The intake's promise: what it accepts the worker takes, under this key. */
static void check_append(const struct pay_append *record, const struct pay_http_request *request) {
    struct pay_record_bytes bytes = {.key = record->order_id,
                                     .key_length = strlen(record->order_id),
                                     .value = record->value,
                                     .value_length = record->value_length};
    struct pay_record decoded = {.timestamp_ms = 0};
    for (size_t i = 0; i < record->header_count; i++) {
        const struct pay_header *header = &record->headers[i];
        if (strcmp(header->name, "tenant") == 0) {
            bytes.tenant = header->value;
            bytes.tenant_length = header->length;
            bytes.tenant_count++;
        } else {
            FUZZ_CHECK(strcmp(header->name, "accepted-at") == 0 ||
                       (strcmp(header->name, "traceparent") == 0 && header->length >= 55));
        }
    }
    pay_record_decode(&bytes, &decoded);
    FUZZ_CHECK(bytes.tenant_count == 1 && decoded.invalid == PAY_REASON_NONE);
    const char *key = pay_http_header(request, "Idempotency-Key");
    if (strcmp(request->method, "PUT") == 0) FUZZ_CHECK(strcmp(strrchr(request->path, '/') + 1, record->order_id) == 0);
    if (key != NULL) FUZZ_CHECK(strstr(key, record->order_id) != NULL);
}

bool pay_appender_submit(struct pay_appender *appender, const struct pay_append *record, struct pay_call **ret_call,
                         const char **ret_reason) {
    FUZZ_CHECK(appender->count < RECORDS_MAX && (appender->count == 0 || current->streams) && current->answers == 0);
    check_append(record, current);
    struct record *kept = &appender->records[appender->count];
    *kept = (struct record){.fate = (enum fate)(appender->fates >> 2 * (appender->count % 4) & 3)};
    snprintf(kept->order_id, sizeof kept->order_id, "%s", record->order_id);
    appender->count++;
    *ret_reason = REFUSAL;
    if (kept->fate == REFUSED) return false;
    kept->call = (struct pay_call){.owner = record->owner, .done = record->done};
    *ret_call = &kept->call;
    return true;
}

void pay_appender_forget(struct pay_appender *appender, struct pay_call *call) {
    (void)appender;
    struct record *record = (struct record *)(void *)((char *)call - offsetof(struct record, call));
    FUZZ_CHECK(!record->told && !record->forgotten);
    record->forgotten = true;
}

static void report(struct record *record) {
    const struct pay_position position = {1, 3, 1234};
    if (record->told || record->forgotten || record->fate == REFUSED) return;
    record->told = true;
    record->call.done(record->call.owner, &record->call, record->fate == UNKNOWN ? NULL : &position);
}

static void report_all(struct pay_appender *appender, bool backwards, bool only_at_once) {
    for (size_t i = 0; i < appender->count; i++) {
        struct record *record = &appender->records[backwards ? appender->count - 1 - i : i];
        if (!only_at_once || record->fate == AT_ONCE) report(record);
    }
}

/* ---- the head's rules, said a second time ---- */

static bool only(const char *text, size_t length, const char *allowed) {
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\0' || strchr(allowed, text[i]) == NULL) return false;
    return true;
}

#define DIGITS "0123456789"
#define TOKEN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" DIGITS "!#$%&'*+-.^_`|~"

static bool named(const struct field *field, const char *name) {
    return field->name_length == strlen(name) && strncasecmp(field->name, name, field->name_length) == 0;
}

static const struct field *find(const struct pay_http_request *request, const char *name, uint32_t *ret_count) {
    const struct field *found = NULL;
    *ret_count = 0;
    for (size_t i = 0; i < request->field_count; i++) {
        if (!named(&request->fields[i], name)) continue;
        if (found == NULL) found = &request->fields[i];
        ++*ret_count;
    }
    return found;
}

static bool head_is_fine(const struct pay_http_request *request, bool http_1_1) {
    static const char *const once[] = {"Host", "Content-Length", "Transfer-Encoding", "Content-Type", "Authorization"};
    uint32_t count[5];
    const struct field *field[5];
    for (int i = 0; i < 5; i++) {
        field[i] = find(request, once[i], &count[i]);
        if (count[i] > 1) return false;
    }
    for (size_t i = 0; i < request->field_count; i++) {
        const struct field *any = &request->fields[i];
        if (any->name_length == 0 || !only(any->name, any->name_length, TOKEN)) return false;
        for (size_t j = 0; j < any->value_length; j++) {
            unsigned char c = (unsigned char)any->value[j];
            if (c == 0x7f || (c < 0x20 && c != '\t')) return false;
        }
    }
    const struct field *host = field[0], *length = field[1], *coding = field[2];
    if (http_1_1 && host == NULL) return false;
    if (host != NULL && strcspn(host->value, " \t,/@") != host->value_length) return false;
    if (length != NULL && (length->value_length == 0 || !only(length->value, length->value_length, DIGITS)))
        return false;
    if (coding != NULL && (length != NULL || !http_1_1)) return false;
    return coding == NULL || (coding->value_length == 7 && strncasecmp(coding->value, "chunked", 7) == 0);
}

static void check_length(const struct pay_http_request *request, uint64_t length) {
    uint32_t count;
    const struct field *said = find(request, "Content-Length", &count);
    unsigned __int128 number = 0;
    for (size_t i = 0; said != NULL && i < said->value_length && number <= UINT64_MAX; i++)
        number = number * 10 + (unsigned int)(said->value[i] - '0');
    FUZZ_CHECK(length == (number > UINT64_MAX ? UINT64_MAX : (uint64_t)number));
}

/* ---- one call ---- */

static void free_fields(struct pay_http_request *request) {
    while (request->field_count > 0) {
        request->field_count--;
        free(request->fields[request->field_count].name);
        free(request->fields[request->field_count].value);
    }
}

static char *word(const char **at, const char *end) {
    const char *start = *at;
    while (*at < end && **at != ' ') ++*at;
    char *text = fuzz_text(start, (size_t)(*at - start));
    if (*at < end) ++*at;
    return text;
}

static void read_message(struct fuzz_input *in, struct pay_http_request *request) {
    size_t length;
    const char *line = fuzz_line(in, &length), *end = line + length;
    request->method = word(&line, end);
    request->target = word(&line, end);
    request->version = word(&line, end);
    while (in->left > 0 && request->field_count < HEADERS_MAX) {
        line = fuzz_line(in, &length);
        if (length == 0) break;
        const char *colon = memchr(line, ':', length), *value = colon != NULL ? colon + 1 : line + length;
        struct field *field = &request->fields[request->field_count++];
        end = line + length;
        while (value < end && (*value == ' ' || *value == '\t')) value++;
        field->name_length = colon != NULL ? (size_t)(colon - line) : length;
        field->value_length = (size_t)(end - value);
        field->name = fuzz_text(line, field->name_length); /* a NUL in it: the lengths tell, as with libmicrohttpd */
        field->value = fuzz_text(value, field->value_length);
        if (strlen(field->name) < field->name_length || strlen(field->value) < field->value_length) {
            free(field->name);
            free(field->value);
            field->name = fuzz_copy(line, field->name_length);
            field->value = fuzz_copy(value, field->value_length);
        }
    }
    request->body_length = in->left;
    request->body = fuzz_copy(in->next, in->left);
}

/* As on_head of http_microhttpd.c does it. */
static void judge_head(struct pay_service *service, struct pay_http_request *request) {
    struct pay_http_head head = {.http_1_1 = strcmp(request->version, "HTTP/1.1") == 0};
    for (size_t i = 0; i < request->field_count; i++) {
        const struct field *field = &request->fields[i];
        pay_http_head_take(&head, field->name, field->name_length, field->value, field->value_length);
    }
    const char *wrong = pay_http_head_judge(&head);
    FUZZ_CHECK((wrong == NULL) == head_is_fine(request, head.http_1_1));
    if (wrong != NULL) {
        free_fields(request); /* some are no C strings, which is all that routes can look at */
    } else {
        check_length(request, head.length);
        request->target[strcspn(request->target, "?")] = '\0';
        wrong = pay_http_path_decode(request->target, request->path, sizeof request->path);
    }
    if (wrong != NULL)
        pay_routes_fault(service, request, PAY_HTTP_BAD_HEAD, wrong);
    else
        pay_routes_head(service, request);
    if (request->answers == 0 && head.length > request->body_max)
        pay_routes_fault(service, request, PAY_HTTP_BODY_TOO_LARGE, NULL);
}

enum { CLIENT_HANGS_UP = 16, CLIENT_LEAVES = 32, BACKWARDS = 64 };

/* As on_body does it. False: the client hung up in the middle. */
static bool read_body(struct pay_service *service, struct pay_http_request *request, uint8_t how) {
    static const size_t sizes[16] = {SIZE_MAX, 1, 2, 3, 7, 16, 50, 100, 107, 108, 109, 500, 1000, 4096, 8192, 9000};
    bool enough = false;
    size_t at = 0;
    while (at < request->body_length && !enough && request->answers == 0) {
        size_t length = request->body_length - at;
        if (length > sizes[how % 16]) length = sizes[how % 16];
        if (request->streams) {
            char *piece = fuzz_copy(request->body + at, length);
            enough = !pay_routes_piece(service, request, piece, length);
            free(piece);
        } else if (at + length > request->body_max) {
            pay_routes_fault(service, request, PAY_HTTP_BODY_TOO_LARGE, NULL);
        }
        at += length;
        report_all(service->appender, false, true);
        if (how & CLIENT_HANGS_UP && request->answers == 0) return false;
    }
    return true;
}

static void leave(struct pay_service *service, struct pay_http_request *request) {
    pay_routes_gone(service, request);
    request->gone = true;
}

static bool is_payment(const char *text, size_t length, bool blanks_stay) {
    struct json_opinion opinion;
    while (!blanks_stay && length > 0 && memchr(" \t\r", text[length - 1], 3) != NULL) length--;
    while (!blanks_stay && length > 0 && memchr(" \t\r", *text, 3) != NULL) text++, length--;
    json_opinion_make(text, length, &opinion);
    struct judgement judgement = judge_request(&opinion, length);
    json_opinion_free(&opinion);
    return judgement.reason == PAY_REASON_NONE && !judgement.unknown;
}

/* Every payment of the body was appended, and nothing else; only asked where no limit and no second name of the order is in play. */
static void check_appended(const struct pay_http_request *request, const struct pay_appender *appender) {
    size_t payments = 0;
    if (request->body_length > request->body_max) return;
    if (request->streams) {
        struct fuzz_input in = {(const uint8_t *)request->body, request->body_length};
        for (int line = 0; in.left > 0; line++) {
            size_t length;
            const char *text = fuzz_line(&in, &length);
            if (line == BATCH_LINES_MAX || length > PAY_VALUE_MAX) return;
            payments += is_payment(text, length, false);
        }
    } else if (strcmp(request->method, "POST") == 0 && strcmp(request->path, "/v1/payments") == 0 &&
               pay_http_header(request, "Idempotency-Key") == NULL) {
        payments = is_payment(request->body, request->body_length, true);
    } else {
        return;
    }
    FUZZ_CHECK(appender->count == payments);
}

static void check_status(const struct pay_http_request *request, const struct pay_appender *appender) {
    unsigned int status = request->status;
    FUZZ_CHECK(request->gone ? request->answers == 0 : request->answers == 1);
    if (request->gone || request->streams) return;
    FUZZ_CHECK((status == 202 || status == 503 || status == 504) == (appender->count == 1));
    if (appender->count == 0) return;
    enum fate fate = appender->records[0].fate;
    FUZZ_CHECK(status == (fate == UNKNOWN ? 504u : fate == REFUSED ? 503u : 202u));
}

static void call(struct pay_service *service, struct pay_http_request *request, uint8_t how) {
    judge_head(service, request);
    if (request->answers != 0) return;
    if (!read_body(service, request, how)) {
        leave(service, request);
        return;
    }
    if (request->answers != 0) return;
    pay_routes_complete(service, request);
    check_appended(request, service->appender);
    if (request->answers == 0 && how & CLIENT_LEAVES) {
        leave(service, request);
        return;
    }
    report_all(service->appender, how & BACKWARDS, false);
}

static void free_message(struct pay_http_request *request) {
    free_fields(request);
    free(request->method);
    free(request->target);
    free(request->version);
    free(request->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct pay_config config;
    static struct pay_appender appender;
    static struct pay_http_request request;
    static struct pay_service service;
    struct fuzz_input in = {data, size};
    if (config.producer_batch_lines_max == 0) {
        pay_codec_init();
        pay_config_defaults(&config);
        config.producer_batch_lines_max = BATCH_LINES_MAX;
        config.producer_batch_bytes_max = BATCH_BYTES_MAX;
    }
    appender.fates = fuzz_byte(&in);
    appender.count = 0;
    service = (struct pay_service){.config = &config, .appender = &appender};
    memset(&request, 0, offsetof(struct pay_http_request, room));
    memset(request.room, 0xA5, sizeof request.room); /* whatever the request before left */
    memset((char *)&request + offsetof(struct pay_http_request, fields), 0,
           sizeof request - offsetof(struct pay_http_request, fields));
    request.body_max = PAY_VALUE_MAX;
    current = &request;
    uint8_t how = fuzz_byte(&in);
    read_message(&in, &request);
    call(&service, &request, how);
    check_status(&request, &appender);
    FUZZ_CHECK(service.batches == 0);
    free_message(&request);
    return 0;
}
