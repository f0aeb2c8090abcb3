/*
 * http.h - the seam behind which the HTTP library can be replaced: requests come in whole, answers may come later.
 *
 * The server has no thread: wait for its descriptor, call pay_http_run when that is readable or pay_http_due says so, and
 * pay_http_tick once a second. Every call from one thread.
 *
 * A request goes through the callbacks in this order:
 *   fault     the message is dangerous or broken (see pay_http_fault); answer it; the connection closes afterwards;
 *   head      method, path and headers are known, the body isn't read: answer now, or return without an answer to have the body read;
 *             pay_http_body_max and pay_http_stream say how;
 *   piece     only of a streamed body, as often as bytes come;
 *   complete  the body is there: answer now, or keep the pointer and answer later, even from outside of any callback;
 *   gone      only for a request that `head` let pass and that ends without an answer: the pointer is dead after this.
 * Exactly one answer per request. Until it is answered (or gone) the request, its room and its body stay valid; afterwards nothing of
 * it does, but the source of a streamed answer (and its flow) lives until its `release`.
 *
 * Promises: checks before the body everything that request smuggling needs: Content-Length, Transfer-Encoding, Host, Content-Type,
 * Authorization at most once, never Content-Length beside Transfer-Encoding, no coding but chunked, header names and values without
 * odd bytes; enforces body_max while the body streams in; connections that are idle, slow to send or slow to read are closed;
 * a client that goes away while its answer is due is only noticed when it comes, or by pay_http_has_hung_up.
 * Bounds: connections_max (more wait in the kernel's queue) and connections_per_address_max (more are closed), 8 KiB per connection,
 * which a request's head must fit into, and body_max per request that has a body; a streamed body is kept nowhere.
 */
#ifndef PAY_PRODUCER_HTTP_H
#define PAY_PRODUCER_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAY_HTTP_IDLE_MS 60000   /* between two requests, the head of the next included */
#define PAY_HTTP_BODY_MS 20000   /* from the head to the end of the body */
#define PAY_HTTP_STREAM_MS 60000 /* the same for a streamed body */
#define PAY_HTTP_SEND_MS 20000   /* until the client has taken the answer; of a lasting one: what was produced last */
#define PAY_HTTP_QUIET_MS 1500   /* a connection that is quiet for so long is looked at: has the client hung up? */
#define PAY_HTTP_DISCARD_MAX 1048576 /* a body that is refused is read so far, so that the client sees the answer */
#define PAY_HTTP_PATH_MAX 512
#define PAY_HTTP_ROOM 640 /* bytes of the caller's own beside each request */

struct pay_http;
struct pay_http_request;
struct pay_http_flow; /* a lasting answer under way */

enum pay_http_fault {
    PAY_HTTP_BAD_HEAD,      /* 400 and close; `detail` says which rule */
    PAY_HTTP_BODY_TOO_LARGE /* 413 */
};

struct pay_http_options {
    const char *address;
    uint32_t connections_max;
    uint32_t connections_per_address_max; /* 0: no limit of its own */
    size_t body_max;                      /* unless `head` says otherwise */
    void (*fault)(void *argument, struct pay_http_request *request, enum pay_http_fault fault, const char *detail);
    void (*head)(void *argument, struct pay_http_request *request);
    /* False: enough; what comes now is thrown away unread, up to body_max + PAY_HTTP_DISCARD_MAX, then the connection is closed. */
    bool (*piece)(void *argument, struct pay_http_request *request, const char *bytes, size_t length);
    void (*complete)(void *argument, struct pay_http_request *request);
    void (*gone)(void *argument, struct pay_http_request *request);
    void *argument;
};

/* NULL: *ret_message says why. */
struct pay_http *pay_http_open(const struct pay_http_options *options, char *ret_message, size_t message_size);
uint16_t pay_http_port(const struct pay_http *http);
int pay_http_descriptor(const struct pay_http *http);
void pay_http_run(struct pay_http *http);                  /* never blocks */
bool pay_http_due(const struct pay_http *http);            /* answers were given since the last run */
void pay_http_tick(struct pay_http *http, int64_t now_ms); /* closes what is idle or slow */
void pay_http_stop_accepting(
    struct pay_http *http); /* new connections are refused by the kernel; answers say Connection: close */
uint32_t pay_http_connections(const struct pay_http *http); /* open now */
uint32_t pay_http_busy(
    const struct pay_http *http); /* ... that are sending a request, waiting for an answer, or being sent one */
/* Every request must have been answered; what isn't sent by now is lost. NULL is fine. */
void pay_http_close(struct pay_http *http);

/* "libmicrohttpd 0.9.75", for --version. Static. */
const char *pay_http_library_version(void);

/* --- a request --- */
const char *pay_http_method(const struct pay_http_request *request);
const char *pay_http_path(const struct pay_http_request *request); /* decoded, without the query; never NULL */
const char *pay_http_header(const struct pay_http_request *request,
                            const char *name); /* NULL when absent; the first of several */
uint32_t pay_http_header_count(const struct pay_http_request *request, const char *name);
const char *pay_http_header_at(const struct pay_http_request *request, const char *name,
                               uint32_t index);                                        /* of several, from 0 */
const char *pay_http_body(const struct pay_http_request *request, size_t *ret_length); /* valid from `complete` on */
/* Each parameter behind the path's `?`, in the order sent, not decoded; value NULL: it has no `=`. */
void pay_http_query_each(const struct pay_http_request *request,
                         void (*each)(void *argument, const char *name, const char *value), void *argument);
/* The client has closed its side while its answer is due: nobody may be there any more. Asks the kernel. */
bool pay_http_has_hung_up(const struct pay_http_request *request);
/* PAY_HTTP_ROOM bytes of the caller's own, aligned for anything; whatever the request before left in them. */
void *pay_http_room(struct pay_http_request *request);
/* Both only within `head`. A Content-Length beyond body_max is PAY_HTTP_BODY_TOO_LARGE; the pieces of a stream count themselves. */
void pay_http_body_max(struct pay_http_request *request, size_t body_max);
void pay_http_stream(struct pay_http_request *request, size_t body_max);

struct pay_http_header {
    const char *name;
    const char *value;
};

/*
 * A body that is made while it is sent. Each `produce` writes 1..size bytes (size may be small) and answers how many, 0 at the end.
 * `release` comes once, when all is sent or given up; both come from within pay_http_run or pay_http_close.
 *
 * With ret_flow the answer is a lasting one: `produce` may answer PAY_HTTP_LATER, and isn't called again before pay_http_wake; it takes
 * no time of PAY_HTTP_SEND_MS meanwhile, and a client that hangs up is noticed within PAY_HTTP_QUIET_MS and a tick; one that is gone without
 * a word, PAY_HTTP_SEND_MS after it was sent something.
 */
#define PAY_HTTP_LATER SIZE_MAX

struct pay_http_source {
    size_t (*produce)(void *argument, char *buffer, size_t size);
    void (*release)(void *argument);
    void *argument;
    struct pay_http_flow **ret_flow; /* set by pay_http_answer; NULL: not a lasting one */
};

/* Both until `release`, also from outside of any callback, and never call back themselves. */
void pay_http_wake(struct pay_http_flow *flow);
void pay_http_cut(struct pay_http_flow *flow); /* ends the connection at once, whatever is still unsent */

struct pay_http_answer {
    unsigned int status;
    const char *body; /* copied */
    size_t body_length;
    const struct pay_http_header *headers;
    size_t header_count;
    bool close;                           /* and close the connection */
    const struct pay_http_source *source; /* instead of body, copied; NULL: body */
};

void pay_http_answer(struct pay_http_request *request, const struct pay_http_answer *answer);

#endif
