/*
 * admin.h - the admin port: /livez, /readyz, /metrics, /version, driven from the program's own loop (no thread).
 * Memory: pay_admin owns its server. Threads: the loop's.
 */
#ifndef PAY_BASE_ADMIN_H
#define PAY_BASE_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct pay_admin;

struct pay_admin_source {
    /* True when ready; else why not, in a sentence, into `reason`. */
    bool (*ready)(void *argument, char *reason, size_t reason_size);
    /* Writes Prometheus text. */
    void (*metrics)(void *argument, FILE *out);
    void *argument;
    const char *version_json; /* body of /version */
};

/* Listens on "host:port". NULL: *ret_message says why. */
struct pay_admin *pay_admin_open(const char *address, const struct pay_admin_source *source, char *ret_message,
                                 size_t message_size);
int pay_admin_descriptor(struct pay_admin *admin); /* wait for reading on it */
void pay_admin_run(struct pay_admin *admin);       /* serves what is ready; never blocks */
void pay_admin_close(struct pay_admin *admin);     /* NULL is fine */

#endif
