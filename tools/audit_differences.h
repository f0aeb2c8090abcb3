/*
 * audit_differences.h - what the audit found wrong: the first DIFFERENCES_LISTED with their words, all of them counted.
 * Memory: plain struct. Threads: one.
 */
#ifndef PAY_TOOLS_AUDIT_DIFFERENCES_H
#define PAY_TOOLS_AUDIT_DIFFERENCES_H

#include <stdint.h>

#define DIFFERENCES_LISTED 50

struct difference {
    const char *kind; /* static: "missing_reply" */
    char where[160];  /* position, account, order */
    char detail[512];
};

struct differences {
    int64_t count;
    struct difference listed[DIFFERENCES_LISTED];
};

void difference_add(struct differences *differences, const char *kind, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Those of `more` behind those that are there. */
void differences_append(struct differences *differences, const struct differences *more);

#endif
