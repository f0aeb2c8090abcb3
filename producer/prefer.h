/*
 * prefer.h - the Prefer request header (RFC 7240), as far as this server knows preferences: wait=n.
 * Pure. Threads: any.
 */
#ifndef PAY_PRODUCER_PREFER_H
#define PAY_PRODUCER_PREFER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Looks for the preference `wait` in one field line. True: it is there, and *ret_seconds is its number, 0 where that is
 * malformed or missing; later lines and repeats aren't to be looked at then. Other preferences and parameters are passed over.
 */
bool pay_prefer_wait(const char *line, int64_t *ret_seconds);

#endif
