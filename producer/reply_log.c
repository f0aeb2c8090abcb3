#include "producer/reply_log.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define FETCH_WAIT_MS 10
#define FETCH_BYTES 65536 /* a search looks at single records */

enum pay_move pay_reply_log_open(struct pay_reply_log *ret_log, const struct pay_kafka_options *kafka,
                                 const char *topic, struct pay_error *error) {
    const struct pay_kafka_reader_options options = {
        .kafka = *kafka, .fetch_wait_ms = FETCH_WAIT_MS, .fetch_bytes = FETCH_BYTES};
    *ret_log = (struct pay_reply_log){.topic = topic, .partition = -1};
    return pay_kafka_reader_open(&options, &ret_log->reader, error);
}

void pay_reply_log_close(struct pay_reply_log *log) {
    pay_kafka_reader_close(log->reader);
    log->reader = NULL;
}

bool pay_reply_log_owns(struct pay_reply_log *log, const struct pay_log_record *record,
                        struct pay_reply_headers *ret_headers) {
    if (!pay_reply_headers_read(record, ret_headers)) return false;
    if (log->ledger_id[0] == '\0') memcpy(log->ledger_id, ret_headers->ledger_id, sizeof log->ledger_id);
    return strcmp(log->ledger_id, ret_headers->ledger_id) == 0;
}

static enum pay_move late(const struct pay_reply_log *log, struct pay_error *error) {
    *error = (struct pay_error){.move = PAY_AGAIN};
    snprintf(error->text, sizeof error->text, "the reply log (%s) didn't answer in time", log->topic);
    return PAY_AGAIN;
}

static enum pay_move go_to(struct pay_reply_log *log, int64_t offset, struct pay_error *error) {
    if (log->next == offset) return PAY_OK;
    log->next = offset;
    return pay_kafka_reader_seek(log->reader, log->topic, log->partition, offset, error);
}

static enum pay_move look(void *argument, int64_t from, int64_t end, struct pay_reply_mark *ret_mark, bool *ret_none,
                          struct pay_error *error) {
    struct pay_reply_log *log = argument;
    struct pay_kafka_read read;
    struct pay_reply_headers headers;
    enum pay_move move = go_to(log, from, error);
    if (move != PAY_OK) return move;
    for (;;) {
        int64_t left_ms = log->deadline_ms - pay_clock_ms();
        if (left_ms <= 0) return late(log, error);
        pay_kafka_reader_next(log->reader, left_ms, &read);
        if (read.kind == PAY_KAFKA_READ_TROUBLE && read.record.partition >= 0) {
            log->next = -1; /* stands still until the next seek */
            return *error = read.error, error->move = PAY_AGAIN;
        }
        if (read.kind == PAY_KAFKA_READ_END) return *ret_none = true, PAY_OK;
        if (read.kind != PAY_KAFKA_READ_RECORD) continue;
        log->next = read.record.offset + 1;
        if (read.record.offset >= end) return *ret_none = true, PAY_OK;
        if (!pay_reply_log_owns(log, &read.record, &headers)) continue;
        log->record = read.record;
        *ret_mark = (struct pay_reply_mark){read.record.offset, headers.log_generation, headers.source_offset,
                                            headers.covers_from};
        *ret_none = false;
        return PAY_OK;
    }
}

static void begin_partition(struct pay_reply_log *log, int32_t partition) {
    if (log->partition == partition) return;
    if (log->partition >= 0) pay_kafka_reader_stop(log->reader, log->topic, log->partition);
    log->partition = partition;
    log->next = -1;
}

enum pay_move pay_reply_log_find(struct pay_reply_log *log, int32_t partition, const struct pay_place *wanted,
                                 int64_t guess, bool answered, enum pay_reply_found *ret_found,
                                 struct pay_reply_mark *ret_mark, struct pay_error *error) {
    struct pay_reply_search search = {
        .wanted = *wanted, .guess = guess, .answered = answered, .look = look, .argument = log};
    enum pay_move move = pay_kafka_reader_bounds(log->reader, log->topic, partition, log->deadline_ms - pay_clock_ms(),
                                                 &search.start, &search.end, error);
    if (move != PAY_OK) return move;
    begin_partition(log, partition);
    move = pay_reply_search(&search, ret_found, ret_mark, error);
    if (move == PAY_OK && *ret_found == PAY_REPLY_AHEAD) ret_mark->log_offset = search.end;
    if (move == PAY_OK && *ret_found == PAY_REPLY_GONE) ret_mark->log_offset = search.start;
    return move;
}

enum pay_move pay_reply_log_read(struct pay_reply_log *log, const struct pay_reply_mark *mark,
                                 struct pay_error *error) {
    struct pay_reply_mark again;
    bool none;
    enum pay_move move = look(log, mark->log_offset, mark->log_offset + 1, &again, &none, error);
    return move == PAY_OK && none ? late(log, error) : move;
}
