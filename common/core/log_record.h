/*
 * log_record.h - a record of a log, and its headers, as readers get it and publishers give it.
 * Memory: nothing is owned; who fills it says how long the pointers live. Threads: any.
 */
#ifndef PAY_CORE_LOG_RECORD_H
#define PAY_CORE_LOG_RECORD_H

#include <stddef.h>
#include <stdint.h>

struct pay_header {
    const char *name;
    const void *value; /* NULL: a header without a value */
    size_t length;
};

struct pay_log_record {
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    const void *key; /* NULL: no key */
    size_t key_length;
    const void *value; /* NULL: no value */
    size_t value_length;
    const struct pay_header *headers; /* all of them, in the log's order */
    size_t header_count;
};

#endif
