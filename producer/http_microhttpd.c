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
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTION_MEMORY                                                                                              \
    8192 /* heads of a request and its answer; libmicrohttpd clears all of it per request: 16 KiB cost 6% of the CPU */
#define BACKLOG 1024
#define SOURCE_BLOCK 4096    /* what a streamed answer is asked for at once, where the connection's memory allows it */
#define LASTING_BUFFER 65536 /* of the kernel, per lasting answer: a client that doesn't read is found out sooner */
#define SPARE_REQUESTS_MAX 1024 /* kept for reuse: malloc and free of 9 KiB cost more than the request's own work */

enum phase { IDLE, BODY, STREAM, DUE, SENDING, PAUSED };

/* One client connection; ours, beside libmicrohttpd's. */
struct link {
    struct link *previous, *next;
    enum phase phase;
    int64_t since_ms;
    int descriptor;
    const char *target_end; /* of the request that is being read: where its target lay, and what is wrong with it */
    const char *target_wrong;
    struct pay_http_flow *flow; /* the lasting answer that it is being sent, or NULL */
};

/* A streamed answer, beside libmicrohttpd's response; its argument there. */
struct pay_http_flow {
    struct pay_http_source source;
    struct pay_http *http;
    struct MHD_Connection *connection;
    struct link *link; /* NULL: not a lasting one, or its connection is gone */
    bool cut;
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
    const char
        *chunks; /* where a chunked body lies in libmicrohttpd's buffer; NULL: it isn't one, or isn't looked at */
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

static void enter_phase(const struct pay_http *http, struct link *link, enum phase phase) {
    link->phase = phase;
    link->since_ms = http->now_ms;
}

static void enter(struct pay_http_request *request, enum phase phase) {
    enter_phase(request->http, request->link, phase);
}

/* The answer's connection, or its client, is no more. */
static void forget_flow(struct link *link) {
    if (link->flow != NULL) link->flow->link = NULL;
    link->flow = NULL;
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

/*
 * The head as it lay in libmicrohttpd's buffer. 0.9.75 takes lines that end with LF alone, puts folded lines together to another name,
 * drops lines and what follows a NUL: whoever else reads the message could read another one. But it parses in place, writing NULs over
 * separators, so where everything is CR LF each header begins two bytes behind the one before. Later versions refuse by themselves.
 */
struct head_walk {
    struct pay_http_head head;
    const char *next; /* where the next header must begin */
    bool torn;
};

static const bool parses_in_place = MHD_VERSION < 0x00097701;

static enum MHD_Result note_header(void *argument, enum MHD_ValueKind kind, const char *name, size_t name_length,
                                   const char *value, size_t value_length) {
    struct head_walk *walk = argument;
    (void)kind;
    if (value == NULL) value = "";
    pay_http_head_take(&walk->head, name, name_length, value, value_length);
    if (!parses_in_place) return MHD_YES;
    const char *behind_colon = name + name_length + 1;
    walk->torn = walk->torn || name != walk->next || value != behind_colon + strspn(behind_colon, " \t");
    walk->next = value + value_length + 2;
    return MHD_YES;
}

static bool is_torn(const struct pay_http_request *request, const char *url, const char *version, size_t size,
                    const struct head_walk *walk) {
    return walk->torn || url != request->method + strlen(request->method) + 1 ||
           version != request->link->target_end + 1 ||
           request->method + size != walk->next + 2; /* + 2: the empty line */
}

/* NULL: fine. Else the rule that is broken. */
static const char *judge_head(struct pay_http_request *request, const char *url, const char *version,
                              struct head_walk *walk) {
    static const char torn[] =
        "A line of the head is folded, has no name, holds a NUL or doesn't end with CR LF; write it "
        "as HTTP/1.1 does.";
    const struct link *link = request->link;
    if (link->target_wrong != NULL) return link->target_wrong;
    pay_http_head_begin(&walk->head, request->method, version);
    if (parses_in_place) walk->next = version + strlen(version) + 2;
    MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, note_header, walk);
    if (parses_in_place) {
        size_t size =
            MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
        if (is_torn(request, url, version, size, walk)) return torn;
        if (walk->head.transfer_encodings > 0) request->chunks = request->method + size;
    }
    return pay_http_head_judge(&walk->head);
}

/* The request line was read: the only time at which its target can be seen whole. */
static void *note_target(void *argument, const char *target, struct MHD_Connection *connection) {
    struct link *link = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    (void)argument;
    link->target_wrong = target != NULL ? pay_http_target_judge(target)
                                        : "The request line has no target; send a path, like /v1/payments.";
    link->target_end = target != NULL ? target + strlen(target) : NULL;
    return NULL;
}

/* The head is there. An answer given now is kept until the body was read and thrown away, unless that would be too much or useless. */
static enum MHD_Result on_head(struct pay_http *http, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, void **context) {
    struct head_walk walk = {.torn = false};
    const char *path;
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

    const char *wrong = judge_head(request, url, version, &walk);
    if (wrong == NULL) wrong = pay_http_target_path(url, pay_http_header(request, "Host"), &path);
    if (wrong == NULL) wrong = pay_http_path_decode(path, request->path, sizeof request->path);
    if (wrong != NULL)
        on_fault(request, PAY_HTTP_BAD_HEAD, wrong);
    else
        http->options.head(http->options.argument, request);
    if (!request->answered && walk.head.length > request->body_max) on_fault(request, PAY_HTTP_BODY_TOO_LARGE, NULL);
    request->passed = !request->answered;
    if (request->passed) return MHD_YES;
    bool now = request->close || walk.head.expects || walk.head.length > PAY_HTTP_DISCARD_MAX;
    return now ? queue_answer(request) : MHD_YES;
}

static enum MHD_Result on_body(struct pay_http_request *request, const char *piece, size_t *length) {
    size_t taken = *length;
    *length = 0;
    if (request->chunks != NULL && !pay_http_chunk_begins_well(request->chunks, piece)) return MHD_NO;
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
    forget_flow(request->link);
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
    forget_flow(link);
    link->previous->next = link->next;
    link->next->previous = link->previous;
    http->link_count--;
    free(link);
    *socket_context = NULL;
}

/* 0.9.75 misses the end of a connection that came together with its last bytes (it takes a short read for an empty socket). */
static bool has_hung_up(const struct link *link) {
    char byte;
    ssize_t length = recv(link->descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR);
}

/* libmicrohttpd's own time-out starts again with every byte, so a client could hold a connection for ever; these don't. */
void pay_http_tick(struct pay_http *http, int64_t now_ms) {
    static const int64_t limits_ms[] = {
        [IDLE] = PAY_HTTP_IDLE_MS, [BODY] = PAY_HTTP_BODY_MS,    [STREAM] = PAY_HTTP_STREAM_MS,
        [DUE] = INT64_MAX,         [SENDING] = PAY_HTTP_SEND_MS, [PAUSED] = INT64_MAX};
    http->now_ms = now_ms;
    /* Full, or out of descriptors, the library listens again only when a run begins with room, and nothing else may start one. */
    http->due = true;
    for (struct link *link = http->links.next; link != &http->links; link = link->next) {
        int64_t age_ms = now_ms - link->since_ms;
        bool quiet = link->phase != DUE && link->phase != SENDING;
        bool over = age_ms > limits_ms[link->phase] || (quiet && age_ms > PAY_HTTP_QUIET_MS && has_hung_up(link));
        if (over && link->flow != NULL)
            pay_http_cut(link->flow);
        else if (over)
            shutdown(link->descriptor, SHUT_RDWR); /* wakes libmicrohttpd, which closes it */
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
            on_connection, http, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, http, MHD_OPTION_URI_LOG_CALLBACK,
            note_target, http, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
#if MHD_VERSION >= 0x00097701 /* before, judge_head is stricter than the library can be */
            MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
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

struct header_search {
    const char *name;
    uint32_t index; /* wanted */
    const char *value;
    uint32_t count; /* seen */
};

static enum MHD_Result search_header(void *argument, enum MHD_ValueKind kind, const char *name, const char *value) {
    struct header_search *search = argument;
    (void)kind;
    if (strcasecmp(name, search->name) != 0) return MHD_YES;
    if (search->count++ == search->index) search->value = value != NULL ? value : "";
    return MHD_YES;
}

uint32_t pay_http_header_count(const struct pay_http_request *request, const char *name) {
    struct header_search search = {.name = name};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, search_header, &search);
    return search.count;
}

const char *pay_http_header_at(const struct pay_http_request *request, const char *name, uint32_t index) {
    struct header_search search = {.name = name, .index = index};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, search_header, &search);
    return search.value;
}

bool pay_http_has_hung_up(const struct pay_http_request *request) { return has_hung_up(request->link); }

const char *pay_http_body(const struct pay_http_request *request, size_t *ret_length) {
    *ret_length = request->body_length;
    return request->body_length > 0 ? request->body : "";
}

struct query_walk {
    void (*each)(void *argument, const char *name, const char *value);
    void *argument;
};

static enum MHD_Result give_parameter(void *argument, enum MHD_ValueKind kind, const char *name, const char *value) {
    const struct query_walk *walk = argument;
    (void)kind;
    walk->each(walk->argument, name, value);
    return MHD_YES;
}

void pay_http_query_each(const struct pay_http_request *request,
                         void (*each)(void *argument, const char *name, const char *value), void *argument) {
    struct query_walk walk = {each, argument};
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, give_parameter, &walk);
}

static ssize_t read_source(void *argument, uint64_t position, char *buffer, size_t size) {
    struct pay_http_flow *flow = argument;
    (void)position;
    if (flow->cut) return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t length = flow->source.produce(flow->source.argument, buffer, size);
    if (flow->link != NULL) enter_phase(flow->http, flow->link, length == PAY_HTTP_LATER ? PAUSED : SENDING);
    if (length == PAY_HTTP_LATER) {
        assert(flow->link != NULL);
        MHD_suspend_connection(flow->connection);
        return 0;
    }
    assert(length <= size);
    return length > 0 ? (ssize_t)length : MHD_CONTENT_READER_END_OF_STREAM;
}

static void release_source(void *argument) {
    struct pay_http_flow *flow = argument;
    if (flow->link != NULL) forget_flow(flow->link);
    flow->source.release(flow->source.argument);
    free(flow);
}

static struct MHD_Response *make_streamed(struct pay_http_request *request, const struct pay_http_source *source) {
    struct pay_http_flow *flow = calloc(1, sizeof *flow);
    if (flow == NULL) abort(); /* see on_connection */
    flow->source = *source;
    flow->http = request->http;
    flow->connection = request->connection;
    if (source->ret_flow != NULL) {
        *source->ret_flow = flow;
        const int bytes = LASTING_BUFFER, gone_ms = PAY_HTTP_SEND_MS;
        flow->link = request->link;
        flow->link->flow = flow;
        setsockopt(flow->link->descriptor, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        setsockopt(flow->link->descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &gone_ms, sizeof gone_ms);
    }
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, SOURCE_BLOCK, read_source, flow, release_source);
}

static struct MHD_Response *make_response(struct pay_http_request *request, const struct pay_http_answer *answer) {
    struct MHD_Response *response =
        answer->source != NULL ? make_streamed(request, answer->source)
                               : MHD_create_response_from_buffer(answer->body_length, (void *)(uintptr_t)answer->body,
                                                                 MHD_RESPMEM_MUST_COPY);
    if (response == NULL) abort(); /* see on_connection */
    return response;
}

void pay_http_wake(struct pay_http_flow *flow) {
    if (flow->link == NULL || flow->link->phase != PAUSED) return;
    enter_phase(flow->http, flow->link, SENDING);
    flow->http->due = true;
    MHD_resume_connection(flow->connection);
}

void pay_http_cut(struct pay_http_flow *flow) {
    flow->cut = true;
    if (flow->link == NULL) return;
    shutdown(flow->link->descriptor, SHUT_RDWR); /* wakes libmicrohttpd, which closes it */
    pay_http_wake(flow);
}

void pay_http_answer(struct pay_http_request *request, const struct pay_http_answer *answer) {
    assert(!request->answered);
    struct MHD_Response *response = make_response(request, answer);
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
