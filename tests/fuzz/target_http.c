/*
 * target_http.c - one HTTP call through everything of the intake that isn't libmicrohttpd or librdkafka: the head's rules, paths,
 * routes, bodies whole and in pieces, answers. http.h is played by fake_http.h, appender.h by this file, in the order that
 * http_microhttpd.c keeps.
 *
 * Input: one byte (what becomes of each append), one (how large the pieces are, whether the client stays, in which order reports
 * come), then a message as HTTP writes it, lines ended by \n alone.
 * Oracle: the head's rules said a second time; exactly one answer, of a status that the contract has, well formed, without a byte
 * that would split it; a payment is appended exactly when its body, or its line of a batch, is one (request_opinion.h), with what
 * it says, and the worker takes it; each is answered with what became of it.
 */
#include "fake_http.h"
#include "fuzz.h"
#include "producer/http_head.h"
#include "producer/payment.h"
#include "producer/routes.h"
#include "request_opinion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RECORDS_MAX 64
#define BATCH_LINES_MAX 8
#define BATCH_BYTES_MAX 20000
#define REFUSAL "The budget is full."

enum fate { ACKNOWLEDGED, UNKNOWN, REFUSED, AT_ONCE /* acknowledged before the body's end */ };

struct field {
    char *name, *value;
    size_t name_length, value_length;
};

/* A call as it was sent, and what the routes see of it. */
struct message {
    char *method, *target, *version, *body;
    size_t body_length;
    char path[PAY_HTTP_PATH_MAX];
    struct field fields[FAKE_HEADERS_MAX];
    size_t field_count;
    struct pay_http_request request;
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

static const struct pay_http_request *current;

/* ---- answers ---- */

static void check_headers(const struct pay_http_request *request) {
    for (size_t i = 0; i < request->answer_header_count; i++) {
        for (const char *at = request->answer_headers[i].value; *at != '\0'; at++) FUZZ_CHECK(*at >= ' ' && *at <= '~');
        for (size_t j = 0; j < i; j++)
            FUZZ_CHECK(strcasecmp(request->answer_headers[i].name, request->answer_headers[j].name) != 0);
    }
    FUZZ_CHECK(fake_answer_header(request, "X-Request-Id") != NULL);
    FUZZ_CHECK(fake_answer_header(request, "Content-Type") != NULL);
    FUZZ_CHECK(pay_traceparent_valid(fake_answer_header(request, "traceparent")));
}

static void check_problem(const struct pay_http_request *request, const struct json_opinion *body) {
    int64_t status;
    static const char *const texts[] = {"type", "title", "detail", "code"};
    for (size_t i = 0; i < 4; i++) {
        const struct json_member *text = json_opinion_member(body, texts[i]);
        FUZZ_CHECK(text != NULL && text->kind == KIND_STRING && text->string.length > 0);
    }
    FUZZ_CHECK(json_member_integer(json_opinion_member(body, "status"), &status) && status == request->status);
    FUZZ_CHECK(json_member_is(json_opinion_member(body, "request_id"), fake_answer_header(request, "X-Request-Id")));
    const struct json_member *retryable = json_opinion_member(body, "retryable");
    FUZZ_CHECK(retryable != NULL && retryable->kind == KIND_BOOLEAN &&
               retryable->truth == (request->status == 503 || request->status == 504));
    FUZZ_CHECK((request->status == 405) == (fake_answer_header(request, "Allow") != NULL));
    FUZZ_CHECK((request->status == 503) == (fake_answer_header(request, "Retry-After") != NULL));
    FUZZ_CHECK(strcmp(fake_answer_header(request, "Content-Type"), "application/problem+json") == 0);
}

/* The records of a batch, in order, between its lines that weren't appended. */
static void check_batch_line(const struct json_opinion *line, const struct pay_appender *appender,
                             size_t *next_record) {
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

static void check_batch(struct pay_http_request *request, const struct pay_appender *appender) {
    size_t next_record = 0;
    int lines = 0;
    struct fuzz_input in = {(const uint8_t *)request->answer, request->answer_length};
    for (int64_t before = 0, number; in.left > 0; before = number, lines++) {
        size_t line_length;
        struct json_opinion line;
        const char *start = fuzz_line(&in, &line_length);
        json_opinion_make(start, line_length, &line);
        check_batch_line(&line, appender, &next_record);
        FUZZ_CHECK(json_member_integer(json_opinion_member(&line, "line"), &number) && number > before);
        json_opinion_free(&line);
    }
    FUZZ_CHECK(lines >= 1 && lines <= BATCH_LINES_MAX + 1);
}

static void check_answer(struct pay_http_request *request, const struct pay_appender *appender, size_t read_size) {
    static const unsigned int statuses[] = {200, 202, 400, 404, 405, 413, 415, 501, 503, 504};
    struct json_opinion body;
    bool known = false;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) known = known || statuses[i] == request->status;
    FUZZ_CHECK(known);
    check_headers(request);
    if (request->has_source) {
        FUZZ_CHECK(request->status == 200);
        fake_read(request, read_size);
        check_batch(request, appender);
        return;
    }
    json_opinion_make(request->answer, request->answer_length, &body);
    FUZZ_CHECK(json_opinion_object(&body, 32));
    if (request->status >= 400) check_problem(request, &body);
    if (request->status == 202)
        FUZZ_CHECK(fake_answer_header(request, "Location") != NULL &&
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
    FUZZ_CHECK(appender->count < RECORDS_MAX && (appender->count == 0 || current->streams) && !current->answered);
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
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define TOKEN LETTERS DIGITS "!#$%&'*+-.^_`|~"

static bool named(const struct field *field, const char *name) {
    return field->name_length == strlen(name) && strncasecmp(field->name, name, field->name_length) == 0;
}

static const struct field *find(const struct message *message, const char *name, uint32_t *ret_count) {
    const struct field *found = NULL;
    *ret_count = 0;
    for (size_t i = 0; i < message->field_count; i++) {
        if (!named(&message->fields[i], name)) continue;
        if (found == NULL) found = &message->fields[i];
        ++*ret_count;
    }
    return found;
}

static bool host_is_fine(const char *text, size_t length) {
    size_t at = 0;
    if (length > 0 && text[0] == '[') {
        const char *end = memchr(text, ']', length);
        if (end == NULL || end == text + 1 || !only(text + 1, (size_t)(end - text - 1), "0123456789abcdefABCDEF:."))
            return false;
        at = (size_t)(end - text) + 1;
    } else {
        const char *colon = memchr(text, ':', length);
        at = colon != NULL ? (size_t)(colon - text) : length;
        if (at == 0 || !only(text, at, LETTERS DIGITS ".-_~")) return false;
    }
    return at == length || (text[at] == ':' && length - at <= 6 && only(text + at + 1, length - at - 1, DIGITS));
}

static bool lines_are_fine(const struct message *message) {
    for (size_t i = 0; i < message->field_count; i++) {
        const struct field *any = &message->fields[i];
        if (any->name_length == 0 || !only(any->name, any->name_length, TOKEN)) return false;
        for (size_t j = 0; j < any->value_length; j++) {
            unsigned char c = (unsigned char)any->value[j];
            if (c == 0x7f || (c < 0x20 && c != '\t')) return false;
        }
        if (named(any, "Expect") && (any->value_length != 12 || strncasecmp(any->value, "100-continue", 12) != 0))
            return false;
    }
    return true;
}

static bool head_is_fine(const struct message *message, bool http_1_1) {
    static const char *const once[] = {"Host", "Content-Length", "Transfer-Encoding", "Content-Type", "Authorization"};
    uint32_t count[5];
    const struct field *field[5];
    for (int i = 0; i < 5; i++) {
        field[i] = find(message, once[i], &count[i]);
        if (count[i] > 1) return false;
    }
    const struct field *host = field[0], *length = field[1], *coding = field[2];
    if (!http_1_1 && strcmp(message->version, "HTTP/1.0") != 0) return false;
    if (message->method[0] == '\0' || !only(message->method, strlen(message->method), TOKEN)) return false;
    if (!lines_are_fine(message) || (http_1_1 && host == NULL)) return false;
    if (host != NULL && !host_is_fine(host->value, host->value_length)) return false;
    if (length != NULL && (length->value_length == 0 || !only(length->value, length->value_length, DIGITS)))
        return false;
    if (coding != NULL && (length != NULL || !http_1_1)) return false;
    return coding == NULL || (coding->value_length == 7 && strncasecmp(coding->value, "chunked", 7) == 0);
}

static void check_length(const struct message *message, uint64_t length) {
    uint32_t count;
    const struct field *said = find(message, "Content-Length", &count);
    unsigned __int128 number = 0;
    for (size_t i = 0; said != NULL && i < said->value_length && number <= UINT64_MAX; i++)
        number = number * 10 + (unsigned int)(said->value[i] - '0');
    FUZZ_CHECK(length == (number > UINT64_MAX ? UINT64_MAX : (uint64_t)number));
}

/* ---- one call ---- */

static void free_fields(struct message *message) {
    while (message->field_count > 0) {
        message->field_count--;
        free(message->fields[message->field_count].name);
        free(message->fields[message->field_count].value);
    }
}

static char *word(const char **at, const char *end) {
    const char *start = *at;
    while (*at < end && **at != ' ') ++*at;
    char *text = fuzz_text(start, (size_t)(*at - start));
    if (*at < end) ++*at;
    return text;
}

static void read_message(struct fuzz_input *in, struct message *message) {
    size_t length;
    const char *line = fuzz_line(in, &length), *end = line + length;
    message->method = word(&line, end);
    message->target = word(&line, end);
    message->version = word(&line, end);
    while (in->left > 0 && message->field_count < FAKE_HEADERS_MAX) {
        line = fuzz_line(in, &length);
        if (length == 0) break;
        const char *colon = memchr(line, ':', length), *value = colon != NULL ? colon + 1 : line + length;
        struct field *field = &message->fields[message->field_count++];
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
    message->body_length = in->left;
    message->body = fuzz_copy(in->next, in->left);
}

/* As on_head of http_microhttpd.c does it. */
static const char *read_head(struct message *message, uint64_t *ret_length) {
    struct pay_http_head head;
    struct pay_http_request *request = &message->request;
    const char *path;
    const char *wrong = pay_http_target_judge(message->target);
    *ret_length = 0;
    if (wrong != NULL) return wrong;
    pay_http_head_begin(&head, message->method, message->version);
    for (size_t i = 0; i < message->field_count; i++) {
        const struct field *field = &message->fields[i];
        pay_http_head_take(&head, field->name, field->name_length, field->value, field->value_length);
    }
    wrong = pay_http_head_judge(&head);
    FUZZ_CHECK((wrong == NULL) == head_is_fine(message, head.http_1_1));
    *ret_length = head.length;
    if (wrong != NULL) return wrong; /* some fields are no C strings, which is all that routes can look at */
    check_length(message, head.length);
    for (size_t i = 0; i < message->field_count; i++)
        request->headers[request->header_count++] =
            (struct pay_http_header){message->fields[i].name, message->fields[i].value};
    char *query = strchr(message->target, '?');
    if (query != NULL) {
        *query = '\0';
        request->query = query + 1;
    }
    wrong = pay_http_target_path(message->target, pay_http_header(request, "Host"), &path);
    if (wrong == NULL) wrong = pay_http_path_decode(path, message->path, sizeof message->path);
    return wrong;
}

static void judge_head(struct pay_service *service, struct message *message) {
    struct pay_http_request *request = &message->request;
    uint64_t length;
    const char *wrong = read_head(message, &length);
    if (wrong != NULL)
        pay_routes_fault(service, request, PAY_HTTP_BAD_HEAD, wrong);
    else
        pay_routes_head(service, request);
    if (!request->answered && length > request->body_max)
        pay_routes_fault(service, request, PAY_HTTP_BODY_TOO_LARGE, NULL);
}

enum { CLIENT_HANGS_UP = 16, CLIENT_LEAVES = 32, BACKWARDS = 64 };

/* As on_body does it. False: the client hung up in the middle. */
static bool read_body(struct pay_service *service, struct message *message, uint8_t how) {
    static const size_t sizes[16] = {SIZE_MAX, 1, 2, 3, 7, 16, 50, 100, 107, 108, 109, 500, 1000, 4096, 8192, 9000};
    struct pay_http_request *request = &message->request;
    size_t at = 0;
    while (at < message->body_length && !request->enough && !request->answered) {
        size_t length = message->body_length - at;
        if (length > sizes[how % 16]) length = sizes[how % 16];
        if (request->streams) {
            char *piece = fuzz_copy(message->body + at, length);
            request->enough = !pay_routes_piece(service, request, piece, length);
            free(piece);
        } else if (at + length > request->body_max) {
            pay_routes_fault(service, request, PAY_HTTP_BODY_TOO_LARGE, NULL);
        }
        at += length;
        report_all(service->appender, false, true);
        if (how & CLIENT_HANGS_UP && !request->answered) return false;
    }
    request->body = message->body;
    request->body_length = message->body_length;
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
    FUZZ_CHECK(request->gone != request->answered);
    if (request->gone || request->streams) return;
    FUZZ_CHECK((status == 202 || status == 503 || status == 504) == (appender->count == 1));
    if (appender->count == 0) return;
    enum fate fate = appender->records[0].fate;
    FUZZ_CHECK(status == (fate == UNKNOWN ? 504u : fate == REFUSED ? 503u : 202u));
}

static void call(struct pay_service *service, struct message *message, uint8_t how) {
    struct pay_http_request *request = &message->request;
    judge_head(service, message);
    if (request->answered) return;
    if (!read_body(service, message, how)) {
        leave(service, request);
        return;
    }
    if (request->answered) return;
    pay_routes_complete(service, request);
    check_appended(request, service->appender);
    if (!request->answered && how & CLIENT_LEAVES) {
        leave(service, request);
        return;
    }
    report_all(service->appender, how & BACKWARDS, false);
}

static void free_message(struct message *message) {
    free_fields(message);
    free(message->method);
    free(message->target);
    free(message->version);
    free(message->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct pay_config config;
    static struct pay_appender appender;
    static struct message message;
    static struct pay_service service;
    struct pay_http_request *request = &message.request;
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
    uint8_t how = fuzz_byte(&in);
    message.path[0] = '\0';
    read_message(&in, &message);
    fake_request(request, message.method, message.path, NULL);
    request->body_max = PAY_VALUE_MAX;
    current = request;
    call(&service, &message, how);
    check_status(request, &appender);
    if (request->answered) check_answer(request, &appender, 1 + size % 97);
    FUZZ_CHECK(service.batches == 0);
    free_message(&message);
    return 0;
}
