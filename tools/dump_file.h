/*
 * dump_file.h - one file of a dump: a first line that names its kind, then entries, each with its own checksum.
 *
 *   paybuf-dump 1 KIND\n
 *   entry: length uint32, crc32c uint32 (of the length's four bytes and the payload), payload; little endian
 *
 * A file's chain is the CRC32C over all its entries' checksums in order; with count and bytes it lies in the manifest, so an
 * entry that is missing, twice or at another place is noticed as well as an altered byte.
 *
 * Writer: dump_writer_open, _add, _close (fsync).
 * Reader: dump_reader_open, _next until it answers no entry, _close.
 * Errors: `why` says which file, which byte, which entry.
 * Memory: a buffer of 1 MiB, or one entry where that is larger.
 * Threads: one per reader or writer.
 */
#ifndef PAY_TOOLS_DUMP_FILE_H
#define PAY_TOOLS_DUMP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DUMP_ENTRY_MAX (64u << 20)
#define DUMP_WHY_MAX 512

/* What the manifest says about a file. */
struct dump_extent {
    int64_t entries, bytes;
    uint32_t chain;
};

struct dump_writer;
struct dump_writer *dump_writer_open(const char *folder, const char *name, const char *kind, char why[DUMP_WHY_MAX]);
bool dump_writer_add(struct dump_writer *writer, const void *payload, size_t length, char why[DUMP_WHY_MAX]);
/* Frees it either way. */
bool dump_writer_close(struct dump_writer *writer, struct dump_extent *ret_extent, char why[DUMP_WHY_MAX]);

struct dump_reader;
struct dump_reader *dump_reader_open(const char *folder, const char *name, const char *kind,
                                     const struct dump_extent *extent, char why[DUMP_WHY_MAX]);

enum dump_read { DUMP_ENTRY, DUMP_END, DUMP_DAMAGED };
/* The payload lives until the next call. DAMAGED: *why; nothing behind it can be trusted. */
enum dump_read dump_reader_next(struct dump_reader *reader, const uint8_t **ret_payload, size_t *ret_length,
                                char why[DUMP_WHY_MAX]);
/* Where the entry lies that came last, and going on there again (for what was read before only). */
struct dump_mark {
    int64_t byte, entry;
    uint32_t chain;
};
struct dump_mark dump_reader_mark(const struct dump_reader *reader);
bool dump_reader_return(struct dump_reader *reader, const struct dump_mark *mark, char why[DUMP_WHY_MAX]);
void dump_reader_close(struct dump_reader *reader); /* NULL is fine */

#endif
