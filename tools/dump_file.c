#include "tools/dump_file.h"

#include "core/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_BYTES (1u << 20)
#define HEAD_BYTES 8u

static void put_u32(uint8_t *at, uint32_t number) {
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(number >> (8 * i));
}

static uint32_t get_u32(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t entry_crc(const uint8_t *length_bytes, const void *payload, size_t length) {
    return pay_crc32c(pay_crc32c(0, length_bytes, 4), payload, length);
}

static void first_line(const char *kind, char text[64]) { snprintf(text, 64, "paybuf-dump 1 %s\n", kind); }

/* ---- writing ---- */

struct dump_writer {
    FILE *file;
    char path[1024];
    struct dump_extent extent;
};

static bool write_failed(const struct dump_writer *writer, char why[DUMP_WHY_MAX]) {
    snprintf(why, DUMP_WHY_MAX, "%.400s can't be written: %s", writer->path, strerror(errno));
    return false;
}

struct dump_writer *dump_writer_open(const char *folder, const char *name, const char *kind, char why[DUMP_WHY_MAX]) {
    struct dump_writer *writer = calloc(1, sizeof *writer);
    char line[64];
    if (writer == NULL) abort();
    snprintf(writer->path, sizeof writer->path, "%s/%s", folder, name);
    writer->file = fopen(writer->path, "wxe");
    if (writer->file == NULL) {
        write_failed(writer, why);
        free(writer);
        return NULL;
    }
    setvbuf(writer->file, NULL, _IOFBF, BUFFER_BYTES);
    first_line(kind, line);
    fputs(line, writer->file);
    writer->extent.bytes = (int64_t)strlen(line);
    return writer;
}

bool dump_writer_add(struct dump_writer *writer, const void *payload, size_t length, char why[DUMP_WHY_MAX]) {
    uint8_t head[HEAD_BYTES];
    put_u32(head, (uint32_t)length);
    put_u32(head + 4, entry_crc(head, payload, length));
    writer->extent.chain = pay_crc32c(writer->extent.chain, head + 4, 4);
    writer->extent.entries++;
    writer->extent.bytes += (int64_t)(HEAD_BYTES + length);
    if (fwrite(head, HEAD_BYTES, 1, writer->file) == 1 &&
        (length == 0 || fwrite(payload, length, 1, writer->file) == 1))
        return true;
    return write_failed(writer, why);
}

bool dump_writer_close(struct dump_writer *writer, struct dump_extent *ret_extent, char why[DUMP_WHY_MAX]) {
    bool good = fflush(writer->file) == 0 && fsync(fileno(writer->file)) == 0;
    if (!good) write_failed(writer, why);
    if (fclose(writer->file) != 0 && good) good = write_failed(writer, why);
    *ret_extent = writer->extent;
    free(writer);
    return good;
}

/* ---- reading ---- */

struct dump_reader {
    int file;
    char path[1024];
    uint8_t *buffer;
    size_t capacity, used, at; /* bytes in the buffer, and the next entry in it */
    int64_t byte;              /* of the file, where the next entry begins */
    int64_t entry;             /* entries read */
    uint32_t chain;
    struct dump_mark last; /* the entry that came last */
    struct dump_extent extent;
};

static enum dump_read damaged(const struct dump_reader *reader, const char *what, char why[DUMP_WHY_MAX]) {
    snprintf(why, DUMP_WHY_MAX, "%.300s, byte %" PRId64 " (entry %" PRId64 " of %" PRId64 "): %s", reader->path,
             reader->byte, reader->entry + 1, reader->extent.entries, what);
    return DUMP_DAMAGED;
}

/* At least `wanted` bytes from `at` on, if the file has them. False: it ends before. */
static bool fill(struct dump_reader *reader, size_t wanted) {
    if (reader->used - reader->at >= wanted) return true;
    memmove(reader->buffer, reader->buffer + reader->at, reader->used - reader->at);
    reader->used -= reader->at;
    reader->at = 0;
    if (wanted > reader->capacity) {
        reader->capacity = wanted;
        reader->buffer = realloc(reader->buffer, reader->capacity);
        if (reader->buffer == NULL) abort();
    }
    while (reader->used < wanted) {
        ssize_t got = read(reader->file, reader->buffer + reader->used, reader->capacity - reader->used);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        reader->used += (size_t)got;
    }
    return true;
}

struct dump_reader *dump_reader_open(const char *folder, const char *name, const char *kind,
                                     const struct dump_extent *extent, char why[DUMP_WHY_MAX]) {
    struct dump_reader *reader = calloc(1, sizeof *reader);
    char line[64];
    if (reader == NULL) abort();
    reader->extent = *extent;
    reader->capacity = BUFFER_BYTES;
    reader->buffer = malloc(reader->capacity);
    if (reader->buffer == NULL) abort();
    snprintf(reader->path, sizeof reader->path, "%s/%s", folder, name);
    reader->file = open(reader->path, O_RDONLY | O_CLOEXEC);
    first_line(kind, line);
    if (reader->file < 0) {
        snprintf(why, DUMP_WHY_MAX, "%.400s can't be read: %s", reader->path, strerror(errno));
    } else if (!fill(reader, strlen(line)) || memcmp(reader->buffer, line, strlen(line)) != 0) {
        snprintf(why, DUMP_WHY_MAX, "%.400s, byte 0: its first line isn't that of a dump's %s", reader->path, kind);
    } else {
        reader->at = strlen(line);
        reader->byte = (int64_t)strlen(line);
        return reader;
    }
    dump_reader_close(reader);
    return NULL;
}

static enum dump_read at_end(const struct dump_reader *reader, char why[DUMP_WHY_MAX]) {
    if (reader->used > reader->at) return damaged(reader, "the file ends in the middle of an entry", why);
    if (reader->entry != reader->extent.entries) return damaged(reader, "the file ends too soon", why);
    if (reader->chain != reader->extent.chain)
        return damaged(reader,
                       "entries are missing, added or in another order than the "
                       "manifest knows",
                       why);
    return DUMP_END;
}

enum dump_read dump_reader_next(struct dump_reader *reader, const uint8_t **ret_payload, size_t *ret_length,
                                char why[DUMP_WHY_MAX]) {
    if (!fill(reader, HEAD_BYTES)) return at_end(reader, why);
    uint32_t length = get_u32(reader->buffer + reader->at);
    if (length > DUMP_ENTRY_MAX || reader->byte + HEAD_BYTES + length > reader->extent.bytes)
        return damaged(reader, "the entry's length can't be right", why);
    if (!fill(reader, HEAD_BYTES + length)) return damaged(reader, "the file ends in the middle of an entry", why);
    const uint8_t *head = reader->buffer + reader->at;
    if (entry_crc(head, head + HEAD_BYTES, length) != get_u32(head + 4))
        return damaged(reader, "the entry isn't as it was written: its checksum differs", why);
    reader->last = (struct dump_mark){reader->byte, reader->entry, reader->chain};
    reader->chain = pay_crc32c(reader->chain, head + 4, 4);
    reader->entry++;
    reader->byte += HEAD_BYTES + length;
    reader->at += HEAD_BYTES + length;
    *ret_payload = head + HEAD_BYTES;
    *ret_length = length;
    return DUMP_ENTRY;
}

struct dump_mark dump_reader_mark(const struct dump_reader *reader) {
    return reader->last;
}

bool dump_reader_return(struct dump_reader *reader, const struct dump_mark *mark, char why[DUMP_WHY_MAX]) {
    if (lseek(reader->file, (off_t)mark->byte, SEEK_SET) < 0) {
        damaged(reader, strerror(errno), why);
        return false;
    }
    reader->at = reader->used = 0;
    reader->byte = mark->byte;
    reader->entry = mark->entry;
    reader->chain = mark->chain;
    return true;
}

void dump_reader_close(struct dump_reader *reader) {
    if (reader == NULL) return;
    if (reader->file >= 0) close(reader->file);
    free(reader->buffer);
    free(reader);
}
