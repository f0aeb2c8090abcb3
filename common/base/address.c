#include "base/address.h"

#include <stdlib.h>
#include <string.h>

bool pay_address_split(const char *address, char *ret_host, size_t host_size, uint16_t *ret_port) {
    const char *host = address, *colon = strrchr(address, ':');
    if (colon == NULL || colon == address) return false;
    size_t host_length = (size_t)(colon - address);
    if (address[0] == '[') {
        if (host_length < 3 || colon[-1] != ']') return false;
        host++;
        host_length -= 2;
    } else if (memchr(address, ':', host_length) != NULL) {
        return false; /* IPv6 without brackets: which colon is the port's? */
    }
    const char *digits = colon + 1;
    size_t digit_count = strlen(digits);
    if (host_length >= host_size || digit_count == 0 || digit_count > 5 || strspn(digits, "0123456789") != digit_count)
        return false;
    long port = strtol(digits, NULL, 10);
    if (port > 65535) return false;
    memcpy(ret_host, host, host_length);
    ret_host[host_length] = '\0';
    *ret_port = (uint16_t)port;
    return true;
}
