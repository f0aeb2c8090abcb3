/* address.h - "host:port" as settings write it. Threads: any. */
#ifndef PAY_BASE_ADDRESS_H
#define PAY_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "host:port" -> both; false when it isn't that. IPv6 in brackets. */
bool pay_address_split(const char *address, char *ret_host, size_t host_size, uint16_t *ret_port);

#endif
