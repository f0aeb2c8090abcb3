/* listen.h - a listening TCP socket for "host:port". Threads: any. */
#ifndef PAY_BASE_LISTEN_H
#define PAY_BASE_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Non-blocking, close-on-exec, address reused. -1: *ret_message says what, why and what to do. */
int pay_listen(const char *address, int backlog, char *ret_message, size_t message_size);
/* The port it really has (when 0 was asked for). */
uint16_t pay_listen_port(int descriptor);
/* True when every address that the name stands for is the machine's own loopback. */
bool pay_listen_is_loopback(const char *address);

#endif
