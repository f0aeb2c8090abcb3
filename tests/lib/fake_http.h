/*
 * fake_http.h - http.h played in memory: a request that a test fills, and the answer that the routes gave it. The callbacks of
 * http.h are called by the test itself, in the order that http.h promises.
 *
 * Asserts what http.h asks of routes: one answer, none for a request that is gone, headers and bodies that fit.
 * Memory: what the request points at is the test's, and stays valid until the request is answered or gone; afterwards its room is
 * overwritten, so that who looks into it again is found out. Threads: one.
 */
#ifndef PAY_TESTS_LIB_FAKE_HTTP_H
#define PAY_TESTS_LIB_FAKE_HTTP_H

#include "producer/http.h"

#include <stdalign.h>

#define FAKE_HEADERS_MAX 64
#define FAKE_TEXT_MAX 200000

struct pay_http_flow {
    bool woken, cut;
};

struct pay_http_request {
    const char *method, *path;
    const char *query; /* what stands behind the `?`; NULL: nothing */
    struct pay_http_header headers[FAKE_HEADERS_MAX];
    size_t header_count;
    const char *body;
    size_t body_length;
    size_t body_max;
    bool hung_up;
    bool streams;
    bool enough; /* a piece was refused */
    bool gone;
    bool answered;
    unsigned int status;
    struct pay_http_header answer_headers[FAKE_HEADERS_MAX];
    size_t answer_header_count;
    size_t answer_length;
    struct pay_http_source source; /* of a streamed answer, until fake_read */
    bool has_source;
    struct pay_http_flow flow; /* of a lasting one */
    /* From here on not cleared by fake_request. */
    char answer_texts[4096];
    char answer[FAKE_TEXT_MAX]; /* ends with a NUL */
    alignas(max_align_t) char room[PAY_HTTP_ROOM];
};

/* headers: name, value, ..., NULL; or NULL for none. */
void fake_request(struct pay_http_request *ret_request, const char *method, const char *path,
                  const char *const *headers);
/* Takes a streamed answer, `size` bytes at a time, to its end or, of a lasting one, as far as it goes now. */
void fake_read(struct pay_http_request *request, size_t size);
/* The client hangs up while a streamed answer goes out. */
void fake_release(struct pay_http_request *request);
const char *fake_answer_header(const struct pay_http_request *request, const char *name); /* NULL: not there */

#endif
