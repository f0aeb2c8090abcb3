/*
 * dump_manifest.h - the table of contents of a dump: which ledger, which moment, the ends of its logs, and its files' extents.
 *
 * MANIFEST is two lines: a JSON object, and the SHA-256 of that line. It is written last, so a dump without one isn't finished.
 * Memory: dump_manifest_free.
 * Threads: any.
 */
#ifndef PAY_TOOLS_DUMP_MANIFEST_H
#define PAY_TOOLS_DUMP_MANIFEST_H

#include "tools/audit.h"
#include "tools/dump_file.h"

struct dump_entry {
    char name[64]; /* "requests-00003.dump" */
    char kind[32]; /* "requests 3", "payments" */
    struct dump_extent extent;
};

struct dump_manifest {
    char ledger_id[37];
    char request_topic[PAY_TOPIC_MAX + 1], reply_topic[PAY_TOPIC_MAX + 1], dead_letter_topic[PAY_TOPIC_MAX + 1];
    int64_t taken_at_us;
    struct lanes lanes;
    int64_t *letters_bounds; /* start and end of each partition */
    int32_t letters_partitions;
    struct dump_entry *files;
    size_t file_count;
};

const char *dump_log_name(enum audit_log log); /* "requests" */
/* `partition` -1: the file of a table. */
void dump_file_of(const char *what, int32_t partition, struct dump_entry *ret_entry);
const struct dump_entry *dump_find(const struct dump_manifest *manifest, const char *name);
void dump_add_file(struct dump_manifest *manifest, const struct dump_entry *entry);

bool dump_manifest_save(const char *folder, const struct dump_manifest *manifest, char why[DUMP_WHY_MAX]);
bool dump_manifest_load(const char *folder, struct dump_manifest *ret_manifest, char why[DUMP_WHY_MAX]);
void dump_manifest_free(struct dump_manifest *manifest);

#endif
