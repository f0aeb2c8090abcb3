/*
 * sorter.h - sorts more than memory holds: entries of a key and data, given back in the order of memcmp of their keys.
 *
 * Sequence: sorter_open; sorter_add per entry; sorter_finish; sorter_next until it answers false; sorter_close. Entries with
 * equal keys come in no promised order: put into the key whatever must order them. What doesn't fit into `memory_bytes` is
 * sorted in runs and written to a file without a name in `folder`, which a crash leaves behind as nothing; finishing merges the
 * runs.
 * Memory: memory_bytes, 24 bytes for each entry in them, and 64 KiB a run.
 * Errors: a full disk is said by sorter_failed, after sorter_add, _finish or _next answered false.
 * Threads: one.
 */
#ifndef PAY_TOOLS_SORTER_H
#define PAY_TOOLS_SORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sorter;

struct sorter_entry {
    const uint8_t *key, *data; /* live until the next call */
    size_t key_length, data_length;
};

struct sorter *sorter_open(const char *folder, size_t memory_bytes);
bool sorter_add(struct sorter *sorter, const void *key, size_t key_length, const void *data, size_t data_length);
bool sorter_finish(struct sorter *sorter);
bool sorter_next(struct sorter *sorter, struct sorter_entry *ret_entry);
/* NULL: nothing went wrong; else why. */
const char *sorter_failed(const struct sorter *sorter);
void sorter_close(struct sorter *sorter); /* NULL is fine */

/* ---- keys whose memcmp order is the order of their parts ---- */

struct sort_key {
    uint8_t bytes[512];
    size_t length;
};

void sort_key_text(struct sort_key *key, const char *text); /* shorter first, as COLLATE "C" */
void sort_key_number(struct sort_key *key, int64_t number);

#endif
