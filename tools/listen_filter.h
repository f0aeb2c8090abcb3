/* listen_filter.h - which replies `paybuf listen` shows or hands on. Those left out are passed over for good. Threads: any. */
#ifndef PAY_TOOLS_LISTEN_FILTER_H
#define PAY_TOOLS_LISTEN_FILTER_H

#include <stdbool.h>
#include <stddef.h>

struct listen_filter {
    const char *tenant, *account, *order; /* NULL: any */
    unsigned outcomes;                    /* a bit for each wanted one; 0: any */
};

/* "paid" or "paid,declined". False: one of them is no outcome. */
bool listen_filter_outcomes(const char *text, unsigned *ret_outcomes);

bool listen_filter_wants(const struct listen_filter *filter, const char *value, size_t length);

#endif
