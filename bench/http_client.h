/*
 * http_client.h - many keep-alive HTTP/1.1 connections to one server, one request at a time on each, in one epoll set.
 *
 * Sequence: open; wait until connections are ready; send on a ready one; wait, which hands the answer over (and sending the next
 * request from inside that call is fine); close.
 *
 * Promises: each send is followed by exactly one answer. Status 0 says that the connection broke, or that nothing came in time:
 * whether the server acted is then unknown. Broken connections are made again by themselves, a few times a second while the server
 * is away. Nothing blocks but wait.
 * Not here: TLS, chunked answers (status 0, and `trouble` says so), pipelining.
 *
 * Memory: about 7 KiB a connection, allocated at open. Threads: one.
 */
#ifndef PAY_BENCH_HTTP_CLIENT_H
#define PAY_BENCH_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAY_HTTP_REQUEST_MAX 3072
#define PAY_HTTP_ANSWER_MAX 4096

struct pay_http_client;

struct pay_http_answer {
    uint32_t connection;
    int status;             /* 0: none came */
    int64_t retry_after_ms; /* -1: the answer doesn't say */
    const char *body;       /* until the callback returns; not NUL-terminated */
    size_t body_length;
    int64_t sent_us, came_us; /* pay_clock_us */
};

typedef void (*pay_http_answer_fn)(void *argument, const struct pay_http_answer *answer);

struct pay_http_client_options {
    const char *url; /* http://host:port, numbers or a name; a path is ignored */
    uint32_t connections;
    int64_t timeout_ms; /* of one answer */
    pay_http_answer_fn on_answer;
    void *argument;
};

/* NULL: *ret_message says why. */
struct pay_http_client *pay_http_client_open(const struct pay_http_client_options *options, char *ret_message,
                                             size_t message_size);
void pay_http_client_close(struct pay_http_client *client); /* no more answers; NULL is fine */

bool pay_http_client_ready(const struct pay_http_client *client, uint32_t connection);
uint32_t pay_http_client_connected(const struct pay_http_client *client);

/* On a ready connection. `bytes` is a whole request, copied. */
void pay_http_client_send(struct pay_http_client *client, uint32_t connection, const char *bytes, size_t length);

/* Handles what came; waits at most timeout_ms for it (0: not at all). Answers how many connections had something. */
uint32_t pay_http_client_wait(struct pay_http_client *client, int64_t timeout_ms);

/* The epoll descriptor, to be waited for beside others; then call wait with 0. */
int pay_http_client_descriptor(const struct pay_http_client *client);

/* host:port, for the Host header. */
const char *pay_http_client_host(const struct pay_http_client *client);
/* The last thing that went wrong with a connection, "" when nothing did. */
const char *pay_http_client_trouble(const struct pay_http_client *client);

#endif
