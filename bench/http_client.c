#include "http_client.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECONNECT_US 200000    /* while the server is away */
#define TIMEOUT_LOOK_US 100000 /* how often the connections are looked over for answers that are late */
#define EVENTS_MAX 256

enum state { DOWN, CONNECTING, READY, WAITING };

struct connection {
    int fd;
    enum state state;
    bool wants_out;        /* EPOLLOUT is asked for */
    int64_t connect_at_us; /* DOWN: not before */
    int64_t sent_us;
    size_t out_length, out_done, in_length;
    char out[PAY_HTTP_REQUEST_MAX];
    char in[PAY_HTTP_ANSWER_MAX];
};

struct pay_http_client {
    struct pay_http_client_options options;
    int epoll;
    uint32_t down, connected;
    int64_t looked_us;
    struct sockaddr_storage address;
    socklen_t address_length;
    char host[300];
    char trouble[160];
    struct connection *connections;
};

static void set_trouble(struct pay_http_client *client, const char *what, const char *why) {
    snprintf(client->trouble, sizeof client->trouble, "%s: %s", what, why);
}

/* "http://host:port/whatever" -> address. */
static bool resolve(struct pay_http_client *client, const char *url, char *ret_message, size_t message_size) {
    char host[256], port[8] = "80";
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (strncmp(url, "http://", 7) != 0) {
        snprintf(ret_message, message_size, "'%s' isn't an address that starts with http://", url);
        return false;
    }
    url += 7;
    snprintf(client->host, sizeof client->host, "%.*s", (int)strcspn(url, "/"), url);
    snprintf(host, sizeof host, "%.*s", (int)strcspn(url, "/"), url);
    char *colon = strrchr(host, ':');
    if (colon != NULL && colon[1] != ']' && strchr(colon, ']') == NULL) {
        snprintf(port, sizeof port, "%s", colon + 1);
        *colon = '\0';
    }
    char *name = host;
    if (name[0] == '[') name++, name[strcspn(name, "]")] = '\0';
    int failed = getaddrinfo(name, port, &hints, &found);
    if (failed != 0) {
        snprintf(ret_message, message_size, "the address %s isn't understood: %s", client->host, gai_strerror(failed));
        return false;
    }
    memcpy(&client->address, found->ai_addr, found->ai_addrlen);
    client->address_length = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static void watch(struct pay_http_client *client, struct connection *connection, int operation, bool out) {
    struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0u),
                                .data.u32 = (uint32_t)(connection - client->connections)};
    connection->wants_out = out;
    if (epoll_ctl(client->epoll, operation, connection->fd, &event) != 0)
        set_trouble(client, "epoll_ctl", strerror(errno));
}

static void hand_over(struct pay_http_client *client, struct connection *connection, struct pay_http_answer *answer) {
    answer->connection = (uint32_t)(connection - client->connections);
    answer->sent_us = connection->sent_us;
    answer->came_us = pay_clock_us();
    client->options.on_answer(client->options.argument, answer);
}

/* Closes; a request under way is answered with status 0. */
static void break_connection(struct pay_http_client *client, struct connection *connection, int64_t again_us) {
    enum state was = connection->state;
    if (was == DOWN) return;
    close(connection->fd);
    if (was != CONNECTING) client->connected--;
    client->down++;
    connection->fd = -1;
    connection->state = DOWN;
    connection->connect_at_us = again_us;
    if (was == WAITING)
        hand_over(client, connection, &(struct pay_http_answer){.status = 0, .retry_after_ms = -1, .body = ""});
}

static void break_for(struct pay_http_client *client, struct connection *connection, const char *what,
                      const char *why) {
    set_trouble(client, what, why);
    break_connection(client, connection, pay_clock_us() + RECONNECT_US);
}

static void start_connecting(struct pay_http_client *client, struct connection *connection) {
    int yes = 1;
    connection->fd = socket(client->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    connection->connect_at_us = pay_clock_us() + RECONNECT_US;
    if (connection->fd < 0) {
        set_trouble(client, "socket", strerror(errno));
        return;
    }
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(connection->fd, (struct sockaddr *)&client->address, client->address_length) != 0 &&
        errno != EINPROGRESS) {
        set_trouble(client, "connect", strerror(errno));
        close(connection->fd);
        connection->fd = -1;
        return;
    }
    client->down--;
    connection->state = CONNECTING;
    watch(client, connection, EPOLL_CTL_ADD, true);
}

static void finish_connecting(struct pay_http_client *client, struct connection *connection) {
    int failed = 0;
    socklen_t length = sizeof failed;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &failed, &length);
    if (failed != 0) {
        break_for(client, connection, "connect", strerror(failed));
        return;
    }
    client->connected++;
    connection->state = READY;
    connection->in_length = 0;
    watch(client, connection, EPOLL_CTL_MOD, false);
}

static void push_out(struct pay_http_client *client, struct connection *connection) {
    ssize_t written = send(connection->fd, connection->out + connection->out_done,
                           connection->out_length - connection->out_done, MSG_NOSIGNAL);
    if (written < 0 && errno != EAGAIN && errno != EINTR) {
        break_for(client, connection, "send", strerror(errno));
        return;
    }
    if (written > 0) connection->out_done += (size_t)written;
    bool more = connection->out_done < connection->out_length;
    if (more != connection->wants_out) watch(client, connection, EPOLL_CTL_MOD, more);
}

/* What the head of an answer says; false: it isn't complete yet. */
struct head {
    int status;
    size_t length; /* of the head itself */
    size_t body_length;
    int64_t retry_after_ms;
    bool closes, chunked, malformed;
};

static bool header_is(const char *line, size_t length, const char *name, const char **ret_value) {
    size_t name_length = strlen(name);
    if (length <= name_length || line[name_length] != ':' || strncasecmp(line, name, name_length) != 0) return false;
    *ret_value = line + name_length + 1;
    while (**ret_value == ' ') (*ret_value)++;
    return true;
}

static void read_header(struct head *head, const char *line, size_t length) {
    const char *value;
    switch (line[0] | 0x20) {
    case 'c':
        if (header_is(line, length, "Content-Length", &value))
            head->body_length = (size_t)strtoull(value, NULL, 10);
        else if (header_is(line, length, "Connection", &value))
            head->closes = strncasecmp(value, "close", 5) == 0;
        return;
    case 'r':
        if (header_is(line, length, "Retry-After", &value))
            head->retry_after_ms = (int64_t)strtoll(value, NULL, 10) * 1000;
        return;
    case 't':
        if (header_is(line, length, "Transfer-Encoding", &value)) head->chunked = true;
        return;
    default: return;
    }
}

/* The CR of the line that ends the head; NULL: not there yet. */
static const char *find_blank_line(const char *text, size_t length) {
    const char *end = text + length, *newline = text;
    while ((newline = memchr(newline, '\n', (size_t)(end - newline))) != NULL) {
        newline++;
        if (end - newline >= 2 && newline[0] == '\r' && newline[1] == '\n') return newline;
    }
    return NULL;
}

/* `text` ends with a NUL behind `length`, so that the number readers stop. */
static bool read_head(const char *text, size_t length, struct head *ret_head) {
    const char *end = find_blank_line(text, length);
    struct head head = {.retry_after_ms = -1};
    if (end == NULL) return false;
    head.length = (size_t)(end - text) + 2;
    head.malformed = length < 12 || memcmp(text, "HTTP/1.", 7) != 0;
    if (!head.malformed) {
        head.status = (int)strtol(text + 9, NULL, 10);
        head.closes = text[7] == '0';
    }
    for (const char *line = (const char *)memchr(text, '\n', head.length) + 1; line < end;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        read_header(&head, line, (size_t)(next - line));
        line = next + 1;
    }
    *ret_head = head;
    return true;
}

/* An answer that is complete goes out; the connection is ready for the next request before that, as the callback may send it. */
static void take_answer(struct pay_http_client *client, struct connection *connection) {
    struct head head;
    connection->in[connection->in_length] = '\0';
    bool full = connection->in_length == sizeof connection->in - 1;
    if (!read_head(connection->in, connection->in_length, &head)) {
        if (full) break_for(client, connection, "answer", "its head is too long");
        return;
    }
    if (head.malformed || head.chunked) {
        break_for(client, connection, "answer",
                  head.chunked ? "chunked, which this client doesn't read" : "no HTTP/1 answer");
        return;
    }
    if (connection->in_length < head.length + head.body_length) {
        if (full) break_for(client, connection, "answer", "it is too long");
        return;
    }
    if (head.status == 100) { /* 100 Continue: the answer proper follows */
        connection->in_length -= head.length;
        memmove(connection->in, connection->in + head.length, connection->in_length);
        if (connection->in_length > 0) take_answer(client, connection);
        return;
    }
    struct pay_http_answer answer = {.status = head.status,
                                     .retry_after_ms = head.retry_after_ms,
                                     .body = connection->in + head.length,
                                     .body_length = head.body_length};
    connection->in_length = 0;
    connection->state = READY;
    if (head.closes) break_connection(client, connection, 0);
    hand_over(client, connection, &answer);
}

static void pull_in(struct pay_http_client *client, struct connection *connection) {
    ssize_t got = recv(connection->fd, connection->in + connection->in_length,
                       sizeof connection->in - 1 - connection->in_length, 0);
    if (got > 0) {
        connection->in_length += (size_t)got;
        if (connection->state == WAITING)
            take_answer(client, connection);
        else
            break_for(client, connection, "answer", "bytes that nobody asked for");
    } else if (got == 0) {
        bool in_use = connection->state == WAITING;
        if (in_use) set_trouble(client, "answer", "the server closed the connection");
        break_connection(client, connection, in_use ? pay_clock_us() + RECONNECT_US : 0);
    } else if (errno != EAGAIN && errno != EINTR) {
        break_for(client, connection, "recv", strerror(errno));
    }
}

static void handle_event(struct pay_http_client *client, const struct epoll_event *event) {
    struct connection *connection = &client->connections[event->data.u32];
    if (connection->state == CONNECTING)
        finish_connecting(client, connection);
    else if (connection->state != DOWN && (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        pull_in(client, connection);
    if (connection->state == WAITING && connection->wants_out && (event->events & EPOLLOUT) != 0)
        push_out(client, connection);
}

static void look_after(struct pay_http_client *client) {
    int64_t now_us = pay_clock_us();
    if (client->down == 0 && now_us - client->looked_us < TIMEOUT_LOOK_US) return;
    client->looked_us = now_us;
    for (uint32_t i = 0; i < client->options.connections; i++) {
        struct connection *connection = &client->connections[i];
        if (connection->state == DOWN && connection->connect_at_us <= now_us)
            start_connecting(client, connection);
        else if (connection->state == WAITING && now_us - connection->sent_us > client->options.timeout_ms * 1000)
            break_for(client, connection, "answer", "none came in time");
    }
}

struct pay_http_client *pay_http_client_open(const struct pay_http_client_options *options, char *ret_message,
                                             size_t message_size) {
    struct pay_http_client *client = calloc(1, sizeof *client);
    assert(options->connections > 0 && options->on_answer != NULL);
    if (client == NULL || (client->connections = calloc(options->connections, sizeof *client->connections)) == NULL) {
        snprintf(ret_message, message_size, "out of memory for %u connections", options->connections);
        free(client);
        return NULL;
    }
    client->options = *options;
    client->down = options->connections;
    for (uint32_t i = 0; i < options->connections; i++) client->connections[i].fd = -1;
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (client->epoll < 0) snprintf(ret_message, message_size, "epoll_create1: %s", strerror(errno));
    if (client->epoll < 0 || !resolve(client, options->url, ret_message, message_size)) {
        pay_http_client_close(client);
        return NULL;
    }
    look_after(client);
    return client;
}

void pay_http_client_close(struct pay_http_client *client) {
    if (client == NULL) return;
    for (uint32_t i = 0; i < client->options.connections; i++)
        if (client->connections[i].fd >= 0) close(client->connections[i].fd);
    if (client->epoll >= 0) close(client->epoll);
    free(client->connections);
    free(client);
}

bool pay_http_client_ready(const struct pay_http_client *client, uint32_t connection) {
    return client->connections[connection].state == READY;
}

uint32_t pay_http_client_connected(const struct pay_http_client *client) { return client->connected; }

void pay_http_client_send(struct pay_http_client *client, uint32_t index, const char *bytes, size_t length) {
    struct connection *connection = &client->connections[index];
    assert(connection->state == READY && length <= sizeof connection->out);
    memcpy(connection->out, bytes, length);
    connection->out_length = length;
    connection->out_done = 0;
    connection->state = WAITING;
    connection->sent_us = pay_clock_us();
    push_out(client, connection);
}

uint32_t pay_http_client_wait(struct pay_http_client *client, int64_t timeout_ms) {
    struct epoll_event events[EVENTS_MAX];
    look_after(client);
    int count = epoll_wait(client->epoll, events, EVENTS_MAX, (int)timeout_ms);
    for (int i = 0; i < count; i++) handle_event(client, &events[i]);
    return count > 0 ? (uint32_t)count : 0;
}

int pay_http_client_descriptor(const struct pay_http_client *client) { return client->epoll; }
const char *pay_http_client_host(const struct pay_http_client *client) { return client->host; }
const char *pay_http_client_trouble(const struct pay_http_client *client) { return client->trouble; }
