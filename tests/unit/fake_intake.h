/*
 * fake_intake.h - both neighbours of the intake's routes, played in memory: an HTTP server (http.h) that carries one request at a
 * time, and a log (appender.h) that takes records, refuses them, and acknowledges when the test says so.
 */
#ifndef PAY_TESTS_UNIT_FAKE_INTAKE_H
#define PAY_TESTS_UNIT_FAKE_INTAKE_H

#include "producer/routes.h"

#include <stdalign.h>

#define FAKE_HEADERS_MAX 16
#define FAKE_RECORDS_MAX 256
#define FAKE_TEXT_MAX 200000

struct pay_http_request {
    const char *method, *path;
    struct pay_http_header headers[FAKE_HEADERS_MAX];
    size_t header_count;
    const char *body;
    size_t body_length;
    size_t body_max;
    bool streams;
    bool enough; /* a piece was refused */
    bool answered;
    unsigned int status;
    struct pay_http_header answer_headers[FAKE_HEADERS_MAX];
    size_t answer_header_count;
    char answer_texts[4096];
    char answer[FAKE_TEXT_MAX];
    size_t answer_length;
    struct pay_http_source source; /* of a streamed answer, until fake_read */
    bool has_source;
    alignas(max_align_t) char room[PAY_HTTP_ROOM];
};

struct fake_record {
    char key[PAY_ID_MAX + 1];
    char value[PAY_REQUEST_TEXT_MAX];
    char tenant[PAY_ID_MAX + 1], traceparent[PAY_TRACEPARENT_MAX + 1];
    struct pay_call call;
};

struct fake_log {
    struct fake_record records[FAKE_RECORDS_MAX];
    uint32_t count;
    uint32_t room; /* records it takes until it refuses */
};

extern struct fake_log fake_log;

/* A service without keys and tokens on an empty log; *ret_config is its configuration. */
void fake_service(struct pay_service *ret_service, struct pay_config *ret_config);

/* headers: name, value, ..., NULL. */
void fake_request(struct pay_http_request *ret_request, const char *method, const char *path,
                  const char *const *headers);
/* head, the body (whole, or in pieces of `piece` bytes when it streams), its end; as the server would. */
void fake_serve(struct pay_service *service, struct pay_http_request *request, const char *body, size_t length,
                size_t piece);
/* Takes a streamed answer, `size` bytes at a time. */
void fake_read(struct pay_http_request *request, size_t size);
const char *fake_answer_header(const struct pay_http_request *request, const char *name); /* NULL: not there */

/* What becomes of record number `index`: acknowledged at (partition 0, offset index), or unknown. */
void fake_acknowledge(uint32_t index);
void fake_lose(uint32_t index);
bool fake_is_waited_for(uint32_t index);

#endif
