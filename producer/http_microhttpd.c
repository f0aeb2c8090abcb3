/*
 * http_microhttpd.c - http.h on libmicrohttpd (0.9.75 and 1.0), driven from our own loop: the only file of the intake that knows it.
 *
 * MHD_USE_EPOLL without an internal thread: with one, 0.9.75 stalls when exactly k x 128 connections are ready at once (PITFALLS);
 * MHD_run never waits, so here it can't. libmicrohttpd calls on_request several times for one request: with the head, with each
 * piece of the body, at its end, and again after a suspended connection was resumed.
 */
#include "producer/http.h"

#include "base/clock.h"
#include "base/listen.h"
#include "producer/http_head.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTION_MEMORY                                                                                              \
    8192 /* heads of a request and its answer; libmicrohttpd clears all of it per request: 16 KiB cost 6% of the CPU */
#define BACKLOG 1024
#define SOURCE_BLOCK 4096 /* what a streamed answer is asked for at once, where the connection's memory allows it */
#define SPARE_REQUESTS_MAX 1024 /* kept for reuse: malloc and free of 9 KiB cost more than the request's own work */

enum phase { IDLE, BODY, STREAM, DUE, SENDING };

/* One client connection; ours, beside libmicrohttpd's. */
struct link {
    struct link *previous, *next;
    enum phase phase;
    int64_t since_ms;
    int descriptor;
};

struct pay_http_request {
    struct pay_http *http;
    struct MHD_Connection *connection;
    struct link *link;
    struct MHD_Response *response; /* given, not yet queued */
    unsigned int status;
    const char *method;
    bool passed;    /* `head` came and let it pass */
    bool completed; /* `complete` was called */
    bool answered;
    bool suspended;
    bool close; /* a fault: the answer goes out at once and the connection ends */
    bool streams;
    bool enough; /* `piece` wants no more */
    size_t body_max;
    size_t discarded;
    struct pay_http_request *next_spare;
    size_t body_length, body_room;
    char *body;
    /* From here on not cleared for the next request. */
    char path[PAY_HTTP_PATH_MAX];
    alignas(max_align_t) char room[PAY_HTTP_ROOM];
};

struct pay_http {
    struct MHD_Daemon *daemon;
    struct pay_http_options options;
    uint16_t port;
    bool due;
    bool draining;
    int64_t now_ms;
    struct link links; /* a ring; this one is its anchor */
    uint32_t link_count;
    struct pay_http_request *spare;
    uint32_t spare_count;
};

/* --- memory ------------------------------------------------------------------------------------------------------------------- */

static struct pay_http_request *request_new(struct pay_http *http) {
    struct pay_http_request *request = http->spare;
    if (request == NULL) return calloc(1, sizeof *request);
    http->spare = request->next_spare;
    http->spare_count--;
    char *body = request->body;
    size_t room = request->body_room;
    memset(request, 0, offsetof(struct pay_http_request, path));
    request->body = body;
    request->body_room = room;
    return request;
}

static void request_free(struct pay_http_request *request) {
    struct pay_http *http = request->http;
    if (request->response != NULL) MHD_destroy_response(request->response);
    if (http->spare_count < SPARE_REQUESTS_MAX) {
        request->next_spare = http->spare;
        http->spare = request;
        http->spare_count++;
        return;
    }
    free(request->body);
    free(request);
}

static bool body_append(struct pay_http_request *request, const char *piece, size_t length) {
    size_t wanted = request->body_length + length;
    if (wanted > request->body_room) {
        size_t room = wanted <= 1024 ? 1024 : request->body_max; /* most payments are small; the others get it all */
        char *body = realloc(request->body, room);
        if (body == NULL) return false;
        request->body = body;
        request->body_room = room;
    }
    memcpy(request->body + request->body_length, piece, length);
    request->body_length = wanted;
    return true;
}

static void enter(struct pay_http_request *request, enum phase phase) {
    request->link->phase = phase;
    request->link->since_ms = request->http->now_ms;
}

/* --- one request -------------------------------------------------------------------------------------------------------------- */

static enum MHD_Result queue_answer(struct pay_http_request *request) {
    struct MHD_Response *response = request->response;
    request->response = NULL;
    enter(request, SENDING);
    enum MHD_Result queued = MHD_queue_response(request->connection, request->status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result on_fault(struct pay_http_request *request, enum pay_http_fault fault, const char *detail) {
    request->close = fault == PAY_HTTP_BAD_HEAD;
    request->http->options.fault(request->http->options.argument, request, fault, detail);
    assert(request->answered);
    return MHD_YES;
}

static enum MHD_Result note_header(void *argument, enum MHD_ValueKind kind, const char *name, size_t name_length,
                                   const char *value, size_t value_length) {
    (void)kind;
    pay_http_head_take(argument, name, name_length, value != NULL ? value : "", value_length);
    return MHD_YES;
}

/* The head is there. An answer given now is kept until the body was read and thrown away, unless that would be too much or useless. */
static enum MHD_Result on_head(struct pay_http *http, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, void **context) {
    struct pay_http_head head = {.http_1_1 = strcmp(version, "HTTP/1.1") == 0};
    struct pay_http_request *request = request_new(http);
    if (request == NULL) return MHD_NO;
    *context = request;
    request->http = http;
    request->connection = connection;
    request->link = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    request->method = method;
    request->path[0] = '\0';
    request->body_max = http->options.body_max;
    enter(request, BODY);

    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, note_header, &head);
    const char *wrong = pay_http_head_judge(&head);
    if (wrong == NULL) wrong = pay_http_path_decode(url, request->path, sizeof request->path);
    if (wrong != NULL)
        on_fault(request, PAY_HTTP_BAD_HEAD, wrong);
    else
        http->options.head(http->options.argument, request);
    if (!request->answered && head.length > request->body_max) on_fault(request, PAY_HTTP_BODY_TOO_LARGE, NULL);
    request->passed = !request->answered;
    if (request->passed) return MHD_YES;
    bool now = request->close || head.expects || head.length > PAY_HTTP_DISCARD_MAX;
    return now ? queue_answer(request) : MHD_YES;
}

static enum MHD_Result on_body(struct pay_http_request *request, const char *piece, size_t *length) {
    size_t taken = *length;
    *length = 0;
    if (request->answered || request->enough) {
        size_t most = PAY_HTTP_DISCARD_MAX +
                      (request->answered ? 0 : request->body_max); /* an answer is owed for its beginning */
        request->discarded += taken;
        return request->discarded <= most ? MHD_YES : MHD_NO; /* more than that: just close */
    }
    if (request->streams) {
        const struct pay_http_options *options = &request->http->options;
        request->enough = !options->piece(options->argument, request, piece, taken);
        return MHD_YES;
    }
    if (taken > request->body_max - request->body_length) return on_fault(request, PAY_HTTP_BODY_TOO_LARGE, NULL);
    return body_append(request, piece, taken) ? MHD_YES : MHD_NO;
}

static enum MHD_Result on_end(struct pay_http_request *request) {
    if (request->response != NULL) return queue_answer(request);
    if (request->completed) return MHD_YES;
    request->completed = true;
    request->http->options.complete(request->http->options.argument, request);
    if (request->response != NULL) return queue_answer(request);
    enter(request, DUE);
    request->suspended = true;
    MHD_suspend_connection(request->connection);
    return MHD_YES;
}

static enum MHD_Result on_request(void *argument, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *piece, size_t *length,
                                  void **context) {
    if (*context == NULL) return on_head(argument, connection, url, method, version, context);
    struct pay_http_request *request = *context;
    return *length > 0 ? on_body(request, piece, length) : on_end(request);
}

/* The answer is sent, or the connection is gone. */
static void on_completed(void *argument, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode how) {
    struct pay_http_request *request = *context;
    (void)argument;
    (void)connection;
    (void)how;
    if (request == NULL) return;
    *context = NULL;
    if (request->passed && !request->answered) request->http->options.gone(request->http->options.argument, request);
    enter(request, IDLE);
    request_free(request);
}

/* --- one connection ----------------------------------------------------------------------------------------------------------- */

static void on_connection(void *argument, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what) {
    struct pay_http *http = argument;
    struct link *link = *socket_context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        link = calloc(1, sizeof *link);
        if (link == NULL) abort(); /* 40 bytes: the machine is out of memory, and accepted payments are in the log */
        link->descriptor = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        link->since_ms = http->now_ms;
        link->next = &http->links;
        link->previous = http->links.previous;
        link->previous->next = link;
        http->links.previous = link;
        http->link_count++;
        *socket_context = link;
        return;
    }
    if (link == NULL) return;
    link->previous->next = link->next;
    link->next->previous = link->previous;
    http->link_count--;
    free(link);
    *socket_context = NULL;
}

/* 0.9.75 misses the end of a connection that came together with its last bytes (it takes a short read for an empty socket). */
static bool has_hung_up(const struct link *link) {
    char byte;
    return recv(link->descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* libmicrohttpd's own time-out starts again with every byte, so a client could hold a connection for ever; these don't. */
void pay_http_tick(struct pay_http *http, int64_t now_ms) {
    static const int64_t limits_ms[] = {[IDLE] = PAY_HTTP_IDLE_MS,
                                        [BODY] = PAY_HTTP_BODY_MS,
                                        [STREAM] = PAY_HTTP_STREAM_MS,
                                        [DUE] = INT64_MAX,
                                        [SENDING] = PAY_HTTP_SEND_MS};
    http->now_ms = now_ms;
    for (struct link *link = http->links.next; link != &http->links; link = link->next) {
        int64_t age_ms = now_ms - link->since_ms;
        bool reading = link->phase == IDLE || link->phase == BODY || link->phase == STREAM;
        bool over = age_ms > limits_ms[link->phase] || (reading && age_ms > PAY_HTTP_QUIET_MS && has_hung_up(link));
        if (over) shutdown(link->descriptor, SHUT_RDWR); /* wakes libmicrohttpd, which closes it */
    }
}

/* --- the server --------------------------------------------------------------------------------------------------------------- */

/* Paths are decoded by our own strict rule (http_head.c), where %00 can't cut one short. */
static size_t keep_escapes(void *argument, struct MHD_Connection *connection, char *text) {
    (void)argument;
    (void)connection;
    return strlen(text);
}

struct pay_http *pay_http_open(const struct pay_http_options *options, char *ret_message, size_t message_size) {
    int fd = pay_listen(options->address, BACKLOG, ret_message, message_size);
    if (fd < 0) return NULL;
    struct pay_http *http = calloc(1, sizeof *http);
    if (http != NULL) {
        http->options = *options;
        http->links.next = http->links.previous = &http->links;
        http->port = pay_listen_port(fd);
        http->now_ms = pay_clock_ms();
        http->daemon = MHD_start_daemon(
            MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, fd,
            MHD_OPTION_CONNECTION_LIMIT, (unsigned int)options->connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
            (unsigned int)options->connections_per_address_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
            (size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
            on_connection, http, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, http, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
#if MHD_VERSION >= 0x00097701
            MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
#else
            MHD_OPTION_STRICT_FOR_CLIENT, 1,
#endif
            MHD_OPTION_END);
        if (http->daemon != NULL) return http;
    }
    snprintf(ret_message, message_size, "can't start the HTTP server on %s: out of memory or file descriptors",
             options->address);
    close(fd);
    free(http);
    return NULL;
}

void pay_http_close(struct pay_http *http) {
    if (http == NULL) return;
    MHD_stop_daemon(http->daemon);
    while (http->spare != NULL) {
        struct pay_http_request *next = http->spare->next_spare;
        free(http->spare->body);
        free(http->spare);
        http->spare = next;
    }
    free(http);
}

void pay_http_run(struct pay_http *http) {
    MHD_UNSIGNED_LONG_LONG wait_ms;
    http->now_ms = pay_clock_ms();
    http->due = false;
    MHD_run(http->daemon);
    /* Bytes that are read already (pipelined requests) don't make the descriptor readable again. */
    if (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES && wait_ms == 0) http->due = true;
}

void pay_http_stop_accepting(struct pay_http *http) {
    if (http->draining) return;
    http->draining = true;
    int fd = MHD_quiesce_daemon(http->daemon);
    if (fd >= 0) close(fd);
}

uint32_t pay_http_busy(const struct pay_http *http) {
    uint32_t busy = 0;
    for (const struct link *link = http->links.next; link != &http->links; link = link->next)
        busy += link->phase != IDLE;
    return busy;
}

const char *pay_http_library_version(void) {
    static char text[48];
    snprintf(text, sizeof text, "libmicrohttpd %s", MHD_get_version());
    return text;
}

bool pay_http_due(const struct pay_http *http) { return http->due; }
uint16_t pay_http_port(const struct pay_http *http) { return http->port; }
uint32_t pay_http_connections(const struct pay_http *http) { return http->link_count; }

int pay_http_descriptor(const struct pay_http *http) {
    return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

/* --- what routes see ---------------------------------------------------------------------------------------------------------- */

const char *pay_http_method(const struct pay_http_request *request) { return request->method; }
const char *pay_http_path(const struct pay_http_request *request) { return request->path; }
void *pay_http_room(struct pay_http_request *request) { return request->room; }
void pay_http_body_max(struct pay_http_request *request, size_t body_max) { request->body_max = body_max; }

void pay_http_stream(struct pay_http_request *request, size_t body_max) {
    request->body_max = body_max;
    request->streams = true;
    enter(request, STREAM);
}

const char *pay_http_header(const struct pay_http_request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

struct header_count {
    const char *name;
    uint32_t count;
};

static enum MHD_Result count_header(void *argument, enum MHD_ValueKind kind, const char *name, const char *value) {
    struct header_count *wanted = argument;
    (void)kind;
    (void)value;
    wanted->count += strcasecmp(name, wanted->name) == 0;
    return MHD_YES;
}

uint32_t pay_http_header_count(const struct pay_http_request *request, const char *name) {
    struct header_count wanted = {.name = name};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, count_header, &wanted);
    return wanted.count;
}

const char *pay_http_body(const struct pay_http_request *request, size_t *ret_length) {
    *ret_length = request->body_length;
    return request->body_length > 0 ? request->body : "";
}

static ssize_t read_source(void *argument, uint64_t position, char *buffer, size_t size) {
    const struct pay_http_source *source = argument;
    (void)position;
    size_t length = source->produce(source->argument, buffer, size);
    assert(length <= size);
    return length > 0 ? (ssize_t)length : MHD_CONTENT_READER_END_OF_STREAM;
}

static void release_source(void *argument) {
    struct pay_http_source *source = argument;
    source->release(source->argument);
    free(source);
}

static struct MHD_Response *make_response(const struct pay_http_answer *answer) {
    struct MHD_Response *response = NULL;
    if (answer->source == NULL) {
        response = MHD_create_response_from_buffer(answer->body_length, (void *)(uintptr_t)answer->body,
                                                   MHD_RESPMEM_MUST_COPY);
    } else {
        struct pay_http_source *source = malloc(sizeof *source);
        if (source == NULL) abort(); /* see on_connection */
        *source = *answer->source;
        response =
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, SOURCE_BLOCK, read_source, source, release_source);
    }
    if (response == NULL) abort(); /* see on_connection */
    return response;
}

void pay_http_answer(struct pay_http_request *request, const struct pay_http_answer *answer) {
    assert(!request->answered);
    struct MHD_Response *response = make_response(answer);
    for (size_t i = 0; i < answer->header_count; i++)
        MHD_add_response_header(response, answer->headers[i].name, answer->headers[i].value);
    if (answer->close || request->close || request->http->draining)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    request->response = response;
    request->status = answer->status;
    request->answered = true;
    if (!request->suspended) return; /* the callback that runs now queues it */
    request->suspended = false;
    request->http->due = true;
    MHD_resume_connection(request->connection);
}
