#include "producer/route_batch.h"

#include "base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_LINES 64
#define BULK_BYTES 65536 /* some 400 lines: below that the wait in bulk costs more than it saves */
#define BUFFER_SIZE                                                                                                    \
    (PAY_VALUE_MAX + 2) /* an unfinished line with CR and one byte that is too much; later an answer line */

static const char too_many_lines[] =
    "The batch has too many lines; this one and all after it were not read and are certainly not stored.";
static const char too_many_bytes[] =
    "The batch has too many bytes; this line and all after it were not read and are certainly not stored.";

enum line_state { WAITING, ACCEPTED, REFUSED };

struct batch;

struct line {
    struct batch *batch;
    struct pay_call *call; /* while its record is on its way */
    const char *
        detail; /* of a refusal: static, or the line's own (then `pointer` lies behind it); NULL: the code says enough */
    const char *pointer;
    int64_t offset;
    int32_t partition;
    uint32_t number; /* in the body, from 1, blank ones counted */
    uint8_t state;
    uint8_t code; /* enum pay_problem_code of a refusal */
    bool owns_detail;
    char order_id[PAY_ID_MAX + 1]; /* "" when it isn't known */
};

/* Lines stay where they are: records on their way point at them. */
struct chunk {
    struct chunk *next;
    uint32_t count;
    struct line lines[CHUNK_LINES];
};

struct batch {
    struct pay_service *service;
    struct pay_exchange *exchange; /* dead once the answer is given */
    struct chunk *first, *last;
    uint32_t line_count, waiting, details;
    uint32_t number; /* of the line being read */
    size_t bytes;
    bool ended;    /* the body is complete */
    bool cut;      /* beyond a limit: no more lines */
    bool too_long; /* the line being read */
    /* The unfinished line while the body comes; the unfinished answer line while that goes. */
    size_t length, sent;
    struct chunk *sending;
    uint32_t sending_index;
    char buffer[BUFFER_SIZE];
};

/* --- memory ------------------------------------------------------------------------------------------------------------------- */

static void *allocate(size_t size) {
    void *memory = calloc(1, size);
    if (memory == NULL) abort(); /* out of memory: accepted payments are in the log */
    return memory;
}

static void batch_free(struct batch *batch) {
    while (batch->first != NULL) {
        struct chunk *next = batch->first->next;
        for (uint32_t i = 0; i < batch->first->count; i++) {
            if (batch->first->lines[i].owns_detail) free((void *)(uintptr_t)batch->first->lines[i].detail);
        }
        free(batch->first);
        batch->first = next;
    }
    batch->service->batches--;
    free(batch);
}

static struct line *new_line(struct batch *batch) {
    if (batch->last == NULL || batch->last->count == CHUNK_LINES) {
        struct chunk *chunk = allocate(sizeof *chunk);
        if (batch->last == NULL)
            batch->first = chunk;
        else
            batch->last->next = chunk;
        batch->last = chunk;
    }
    struct line *line = &batch->last->lines[batch->last->count++];
    line->batch = batch;
    line->number = batch->number;
    batch->line_count++;
    return line;
}

/* --- what becomes of a line --------------------------------------------------------------------------------------------------- */

/* `detail` is static. */
static void refuse(struct line *line, enum pay_problem_code code, const char *detail) {
    line->state = REFUSED;
    line->code = (uint8_t)code;
    line->detail = detail;
    line->batch->service->problems[code]++;
}

static void refuse_fault(struct line *line, const struct pay_payment_fault *fault) {
    refuse(line, fault->code, NULL);
    if (line->batch->details == PAY_BATCH_DETAILS_MAX) return;
    line->batch->details++;
    size_t detail_size = strlen(fault->detail) + 1;
    char *text = allocate(detail_size + sizeof fault->pointer);
    memcpy(text, fault->detail, detail_size);
    memcpy(text + detail_size, fault->pointer, sizeof fault->pointer);
    line->detail = text;
    line->pointer = fault->has_pointer ? text + detail_size : NULL;
    line->owns_detail = true;
}

static void answer(struct batch *batch);

static void on_done(void *owner, const struct pay_call *call, const struct pay_position *position) {
    struct line *line = owner;
    struct batch *batch = line->batch;
    line->call = NULL;
    if (position != NULL) {
        line->state = ACCEPTED;
        line->partition = position->partition;
        line->offset = position->offset;
        batch->service->accepted++;
        pay_histogram_record(&batch->service->accepted_us, pay_clock_us() - call->started_us);
    } else {
        refuse(
            line, PAY_PROBLEM_OUTCOME_UNKNOWN,
            "The payment may be stored. Send it again with the same order_id and attempt: it is decided at most once.");
    }
    batch->waiting--;
    if (batch->ended && batch->waiting == 0) answer(batch);
}

/* Says whose line it is although another member is wrong. */
static void peek_order_id(struct line *line, const char *text, size_t length) {
    json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    const json_t *id = json_object_get(document, "order_id");
    if (json_is_string(id) && pay_id_valid(json_string_value(id), json_string_length(id)))
        memcpy(line->order_id, json_string_value(id), json_string_length(id) + 1);
    json_decref(document);
}

static void append(struct line *line, const struct pay_request *payment) {
    const char *reason;
    if (!pay_exchange_append(line->batch->exchange, payment, line, on_done, &line->call, &reason)) {
        refuse(line, PAY_PROBLEM_NOT_ACCEPTED, reason);
        return;
    }
    line->state = WAITING;
    line->batch->waiting++;
}

static void take_payment(struct line *line, const char *text, size_t length) {
    struct pay_exchange *exchange = line->batch->exchange;
    struct pay_request payment;
    struct pay_payment_fault fault;
    const struct pay_payment_parts parts = {.body = text, .body_length = length};
    if (!pay_quota_take(exchange->caller.quota, pay_clock_us(), NULL)) {
        peek_order_id(line, text, length);
        refuse(line, PAY_PROBLEM_QUOTA_EXCEEDED, "This key's quota is used up for the moment; certainly not stored.");
        return;
    }
    memcpy(payment.tenant, exchange->caller.tenant, sizeof payment.tenant);
    bool good = pay_payment_read(&parts, &payment, &fault);
    if (good)
        memcpy(line->order_id, payment.order_id, sizeof line->order_id);
    else if (fault.code == PAY_PROBLEM_BAD_FIELD)
        peek_order_id(line, text, length);
    if (good && pay_exchange_judge_token(exchange, payment.order_id, &fault))
        append(line, &payment);
    else
        refuse_fault(line, &fault);
}

/* --- the body ----------------------------------------------------------------------------------------------------------------- */

static void cut(struct batch *batch, const char *why) {
    refuse(new_line(batch), PAY_PROBLEM_TOO_LARGE, why);
    batch->cut = true;
}

static bool is_blank(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r') return false;
    }
    return true;
}

static void take_line(struct batch *batch, const char *text, size_t length) {
    if (length > 0 && text[length - 1] == '\r') length--;
    bool too_long = batch->too_long || length > PAY_VALUE_MAX;
    if (!too_long && is_blank(text, length)) return;
    if (batch->line_count == (uint32_t)batch->service->config->producer_batch_lines_max)
        cut(batch, too_many_lines);
    else if (too_long)
        refuse(new_line(batch), PAY_PROBLEM_TOO_LARGE, "A line may have at most 8192 bytes.");
    else
        take_payment(new_line(batch), text, length);
}

/* A part of a line, or its end. A line that lies whole in one piece is read where it lies. */
static void take_part(struct batch *batch, const char *bytes, size_t length, bool ends) {
    if (ends && batch->length == 0 && !batch->too_long) {
        take_line(batch, bytes, length);
    } else {
        size_t room = BUFFER_SIZE - batch->length;
        batch->too_long = batch->too_long || length > room;
        memcpy(batch->buffer + batch->length, bytes, length < room ? length : room);
        batch->length += length < room ? length : room;
        if (!ends) return;
        take_line(batch, batch->buffer, batch->length);
    }
    batch->length = 0;
    batch->too_long = false;
    batch->number++;
}

static bool has_room(struct pay_exchange *exchange) {
    if (exchange->service->batches < (uint32_t)exchange->service->config->producer_batches_max) return true;
    pay_exchange_problem(exchange, &(struct pay_problem){.code = PAY_PROBLEM_NOT_ACCEPTED,
                                                         .detail = "Too many batches are open; nothing was read."});
    return false;
}

static void check_head(struct pay_exchange *exchange) {
    if (pay_http_header_count(exchange->request, "Idempotency-Key") > 0) {
        pay_exchange_problem(exchange, &(struct pay_problem){.code = PAY_PROBLEM_BAD_REQUEST,
                                                             .detail = "A batch has many order ids, each in its line; "
                                                                       "leave Idempotency-Key out."});
        return;
    }
    has_room(exchange);
}

/* 0: it comes in chunks. (The HTTP server knows that it is a number.) */
static uint64_t announced_bytes(const struct pay_exchange *exchange) {
    const char *length = pay_http_header(exchange->request, "Content-Length");
    return length != NULL ? strtoull(length, NULL, 10) : 0;
}

/* NULL: it was answered instead. */
static struct batch *batch_of(struct pay_exchange *exchange) {
    if (exchange->state != NULL || !has_room(exchange)) return exchange->state;
    struct batch *batch = allocate(sizeof *batch);
    batch->service = exchange->service;
    batch->exchange = exchange;
    batch->number = 1;
    exchange->state = batch;
    exchange->bulk = announced_bytes(exchange) >= BULK_BYTES;
    exchange->service->batches++;
    exchange->service->batches_total++;
    return batch;
}

static bool take_piece(struct pay_exchange *exchange, const char *bytes, size_t length) {
    struct batch *batch = batch_of(exchange);
    if (batch == NULL) return false;
    size_t room = exchange->body_max - batch->bytes;
    bool beyond = length > room;
    if (beyond) length = room;
    batch->bytes += length;
    exchange->bulk = exchange->bulk || batch->bytes >= BULK_BYTES;
    while (length > 0 && !batch->cut) {
        const char *end = memchr(bytes, '\n', length);
        size_t part = end != NULL ? (size_t)(end - bytes) : length;
        take_part(batch, bytes, part, end != NULL);
        size_t taken = part + (end != NULL);
        bytes += taken;
        length -= taken;
    }
    if (beyond && !batch->cut) cut(batch, too_many_bytes);
    return !batch->cut;
}

static void complete(struct pay_exchange *exchange) {
    struct batch *batch = exchange->state;
    if (batch != NULL && batch->length > 0 && !batch->cut) take_part(batch, "", 0, true); /* no newline at its end */
    if (batch == NULL || batch->line_count == 0) {
        if (batch != NULL) batch_free(batch);
        exchange->state = NULL;
        pay_exchange_problem(exchange, &(struct pay_problem){.code = PAY_PROBLEM_MALFORMED_JSON,
                                                             .detail = "The batch is empty; send a payment per line."});
        return;
    }
    batch->ended = true;
    if (batch->waiting == 0) answer(batch);
}

static void gone(struct pay_exchange *exchange) {
    struct batch *batch = exchange->state;
    if (batch == NULL) return;
    for (struct chunk *chunk = batch->first; chunk != NULL && batch->waiting > 0; chunk = chunk->next) {
        for (uint32_t i = 0; i < chunk->count; i++) {
            if (chunk->lines[i].call != NULL) pay_appender_forget(batch->service->appender, chunk->lines[i].call);
        }
    }
    batch_free(batch);
}

/* --- the answer --------------------------------------------------------------------------------------------------------------- */

static size_t format_line(const struct batch *batch, const struct line *line, char *buffer, size_t size) {
    char tail[PAY_PROBLEM_TEXT_MAX], quoted[PAY_ID_MAX + 3] = "null", text[PAY_POSITION_TEXT_MAX];
    int length;
    if (line->order_id[0] != '\0') snprintf(quoted, sizeof quoted, "\"%s\"", line->order_id);
    if (line->state == ACCEPTED) {
        const struct pay_position position = {pay_service_generation(batch->service, line->partition), line->partition,
                                              line->offset};
        pay_position_format(&position, text);
        length = snprintf(buffer, size,
                          "{\"line\":%" PRIu32
                          ",\"status\":202,\"code\":\"accepted\",\"order_id\":%s,\"position\":\"%s\"}\n",
                          line->number, quoted, text);
    } else {
        const enum pay_problem_code code = (enum pay_problem_code)line->code;
        pay_problem_format_line(code, line->detail, line->pointer, tail);
        length = snprintf(buffer, size,
                          "{\"line\":%" PRIu32 ",\"status\":%u,\"code\":\"%s\",\"order_id\":%s,\"position\":null,%s}\n",
                          line->number, pay_problem_status(code), pay_problem_name(code), quoted, tail);
    }
    assert(length > 0 && (size_t)length < size);
    return (size_t)length;
}

/* The next answer line into the buffer; false: that was all. */
static bool next_line(struct batch *batch) {
    while (batch->sending != NULL && batch->sending_index == batch->sending->count) {
        batch->sending = batch->sending->next;
        batch->sending_index = 0;
    }
    if (batch->sending == NULL) return false;
    batch->length = format_line(batch, &batch->sending->lines[batch->sending_index++], batch->buffer, BUFFER_SIZE);
    batch->sent = 0;
    return true;
}

static size_t produce(void *argument, char *buffer, size_t size) {
    struct batch *batch = argument;
    size_t made = 0;
    while (made < size && (batch->sent < batch->length || next_line(batch))) {
        size_t part = batch->length - batch->sent;
        if (part > size - made) part = size - made;
        memcpy(buffer + made, batch->buffer + batch->sent, part);
        batch->sent += part;
        made += part;
    }
    return made;
}

static void release(void *argument) { batch_free(argument); }

static void answer(struct batch *batch) {
    static const struct pay_http_header type = {"Content-Type", "application/x-ndjson"};
    const struct pay_http_source source = {.produce = produce, .release = release, .argument = batch};
    batch->sending = batch->first;
    batch->length = batch->sent = 0;
    struct pay_exchange *exchange = batch->exchange;
    batch->exchange = NULL;
    pay_exchange_answer(
        exchange, &(struct pay_http_answer){.status = 200, .headers = &type, .header_count = 1, .source = &source});
}

const struct pay_handlers pay_batch_handlers = {
    .head = check_head, .piece = take_piece, .complete = complete, .gone = gone};
