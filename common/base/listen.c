#include "base/listen.h"

#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Addresses of "host:port", or NULL and the reason. */
static struct addrinfo *look_up(const char *address, char *ret_message, size_t message_size) {
    char host[128], port_text[8];
    uint16_t port;
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    if (!pay_address_split(address, host, sizeof host, &port)) {
        snprintf(ret_message, message_size,
                 "'%s' is no address to listen on; write host:port, for example 127.0.0.1:8080 or [::1]:8080", address);
        return NULL;
    }
    snprintf(port_text, sizeof port_text, "%u", port);
    int status = getaddrinfo(host, port_text, &hints, &found);
    if (status != 0) {
        snprintf(ret_message, message_size, "can't listen on %s: '%s' isn't an address of this machine (%s)", address,
                 host, gai_strerror(status));
        return NULL;
    }
    return found;
}

static int listen_on(const struct addrinfo *at, int backlog) {
    int on = 1;
    int fd = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol);
    if (fd < 0) return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, backlog) == 0) return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

int pay_listen(const char *address, int backlog, char *ret_message, size_t message_size) {
    struct addrinfo *found = look_up(address, ret_message, message_size);
    if (found == NULL) return -1;
    int fd = -1, why = 0;
    for (const struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = listen_on(at, backlog);
        if (fd < 0) why = errno;
    }
    freeaddrinfo(found);
    if (fd < 0) {
        const char *cure = why == EADDRINUSE ? "; another process has this port: end it, or choose another port"
                           : why == EACCES   ? "; ports below 1024 need rights: choose a higher one"
                                             : "";
        snprintf(ret_message, message_size, "can't listen on %s: %s%s", address, strerror(why), cure);
    }
    return fd;
}

uint16_t pay_listen_port(int descriptor) {
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof own;
    if (getsockname(descriptor, (struct sockaddr *)&own, &size) != 0) return 0;
    if (own.ss_family == AF_INET) return ntohs(((const struct sockaddr_in *)&own)->sin_port);
    if (own.ss_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)&own)->sin6_port);
    return 0;
}

static bool is_loopback(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
    }
    if (address->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
    }
    return false;
}

bool pay_listen_is_loopback(const char *address) {
    char ignored[256];
    struct addrinfo *found = look_up(address, ignored, sizeof ignored);
    bool loopback = found != NULL;
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
        loopback = loopback && is_loopback(at->ai_addr);
    if (found != NULL) freeaddrinfo(found);
    return loopback;
}
