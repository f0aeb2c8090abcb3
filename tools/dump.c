#include "tools/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct dumping {
    struct audit *audit;
    const char *folder;
    struct dump_manifest *manifest;
    struct dump_writer *writer;
    struct dump_bytes bytes;
    char why[DUMP_WHY_MAX];
    bool failed;
};

static enum pay_exit cant_write(struct dumping *dumping) {
    return tool_fail(dumping->audit->tool, PAY_EXIT_FAILURE,
                     "%s; the dump isn't finished: remove the folder and begin again", dumping->why);
}

static bool begin_file(struct dumping *dumping, const char *what, int32_t partition, struct dump_entry *ret_entry) {
    dump_file_of(what, partition, ret_entry);
    dumping->writer = dump_writer_open(dumping->folder, ret_entry->name, ret_entry->kind, dumping->why);
    dumping->failed = dumping->writer == NULL;
    return !dumping->failed;
}

static enum pay_exit end_file(struct dumping *dumping, struct dump_entry *entry, enum pay_exit status) {
    char why[DUMP_WHY_MAX];
    bool closed = dump_writer_close(dumping->writer, &entry->extent, why);
    if (status == PAY_EXIT_OK && !dumping->failed && !closed) {
        dumping->failed = true;
        memcpy(dumping->why, why, sizeof dumping->why);
    }
    if (status == PAY_EXIT_OK && dumping->failed) return cant_write(dumping);
    dump_add_file(dumping->manifest, entry);
    return status;
}

static bool add(struct dumping *dumping) {
    dumping->failed = !dump_writer_add(dumping->writer, dumping->bytes.bytes, dumping->bytes.length, dumping->why);
    dumping->bytes.length = 0;
    return !dumping->failed;
}

static enum pay_exit write_log(struct dumping *dumping, enum audit_log log, int32_t partition, int64_t start,
                               int64_t end) {
    struct audit_source *source = dumping->audit->source;
    struct pay_log_record record;
    struct dump_entry entry;
    enum pay_exit status = PAY_EXIT_OK;
    bool found = start < end;
    if (!begin_file(dumping, dump_log_name(log), partition, &entry)) return cant_write(dumping);
    if (found) status = source->ops->log_seek(source, log, partition, start, end);
    while (found && status == PAY_EXIT_OK) {
        status = source->ops->log_next(source, log, &record, &found);
        if (status != PAY_EXIT_OK || !found) break;
        if (log == AUDIT_REQUESTS) audit_step(dumping->audit);
        dump_encode_record(&dumping->bytes, &record);
        if (!add(dumping)) break;
    }
    source->ops->log_stop(source, log);
    return end_file(dumping, &entry, status);
}

static bool write_row(void *argument, const struct audit_row *row) {
    struct dumping *dumping = argument;
    dump_encode_row(&dumping->bytes, row);
    return add(dumping);
}

static enum pay_exit write_table(struct dumping *dumping, enum audit_table table) {
    struct audit_source *source = dumping->audit->source;
    struct dump_entry entry;
    if (!begin_file(dumping, audit_table_name(table), -1, &entry)) return cant_write(dumping);
    return end_file(dumping, &entry, source->ops->rows(source, table, write_row, dumping));
}

/* Logs before tables: retention deletes from logs, the snapshot waits. */
static enum pay_exit write_files(struct dumping *dumping) {
    struct audit *audit = dumping->audit;
    enum pay_exit status = PAY_EXIT_OK;
    for (int32_t i = 0; i < audit->lane_count && status == PAY_EXIT_OK; i++) {
        const struct lane_view *view = &audit->lanes[i].view;
        status = write_log(dumping, AUDIT_REQUESTS, view->partition, view->request_start, view->request_end);
        if (status == PAY_EXIT_OK)
            status = write_log(dumping, AUDIT_REPLIES, view->partition, view->reply_start, view->reply_end);
    }
    for (int32_t p = 0; p < audit->letters_partitions && status == PAY_EXIT_OK; p++)
        status = write_log(dumping, AUDIT_LETTERS, p, audit->letters_bounds[2 * p], audit->letters_bounds[2 * p + 1]);
    for (int table = 0; table < AUDIT_TABLE_COUNT && status == PAY_EXIT_OK; table++)
        status = write_table(dumping, (enum audit_table)table);
    return status;
}

static void describe(const struct audit *audit, struct dump_manifest *manifest) {
    *manifest =
        (struct dump_manifest){.taken_at_us = audit->taken_at_us, .letters_partitions = audit->letters_partitions};
    memcpy(manifest->ledger_id, audit->ledger_id, sizeof manifest->ledger_id);
    memcpy(manifest->request_topic, audit->request_topic, sizeof manifest->request_topic);
    memcpy(manifest->reply_topic, audit->reply_topic, sizeof manifest->reply_topic);
    memcpy(manifest->dead_letter_topic, audit->dead_letter_topic, sizeof manifest->dead_letter_topic);
    manifest->lanes.count = audit->lane_count;
    manifest->lanes.all = calloc((size_t)audit->lane_count + 1, sizeof *manifest->lanes.all);
    manifest->letters_bounds = calloc((size_t)audit->letters_partitions + 1, 2 * sizeof *manifest->letters_bounds);
    if (manifest->lanes.all == NULL || manifest->letters_bounds == NULL) abort();
    for (int32_t i = 0; i < audit->lane_count; i++) manifest->lanes.all[i] = audit->lanes[i].view;
    memcpy(manifest->letters_bounds, audit->letters_bounds,
           (size_t)audit->letters_partitions * 2 * sizeof *manifest->letters_bounds);
}

enum pay_exit dump_write(struct audit *audit, const char *folder, struct dump_manifest *ret_manifest) {
    struct dumping dumping = {.audit = audit, .folder = folder, .manifest = ret_manifest};
    describe(audit, ret_manifest);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return tool_fail(audit->tool, PAY_EXIT_FAILURE, "the folder %s can't be made: %s", folder, strerror(errno));
    enum pay_exit status = write_files(&dumping);
    if (status == PAY_EXIT_OK && !dump_manifest_save(folder, ret_manifest, dumping.why)) status = cant_write(&dumping);
    dump_bytes_free(&dumping.bytes);
    return status;
}
