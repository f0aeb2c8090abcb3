/*
 * dlq.h - the dead letter topic as `paybuf dlq` works with it.
 *
 * Sequence: dlq_open; dlq_scan reads the whole topic once; then the entries, one's bytes by dlq_fetch, all of them by dlq_each;
 * dlq_close.
 * Copies of a letter (the topic is written at least once) count as one. Memory: 64 bytes a letter.
 */
#ifndef PAY_TOOLS_DLQ_H
#define PAY_TOOLS_DLQ_H

#include "tools/dlq_letter.h"
#include "tools/log_writer.h"
#include "tools/tool.h"

struct dlq_entry {
    struct pay_position position;
    int64_t offset, timestamp_ms; /* of its first copy, in `partition` of the dead letter topic */
    int32_t partition, copies;
    uint8_t reason, state; /* enum pay_reason, dlq_state */
    bool is_stub;
};

struct dlq {
    struct tool *tool;
    struct pay_kafka_reader *reader;
    struct log_writer markers;
    struct dlq_entry *entries; /* by position, after dlq_scan */
    size_t count, capacity;
    int64_t others; /* records that are neither letter nor marker */
};

enum pay_exit dlq_open(struct tool *tool, struct dlq *ret_dlq);
enum pay_exit dlq_scan(struct dlq *dlq);
struct dlq_entry *dlq_find(struct dlq *dlq, const struct pay_position *position); /* NULL: none */
/* Reads the topic again and gives every letter, partition by partition in the order of the log, until an answer isn't OK. */
typedef enum pay_exit (*dlq_letter_fn)(void *argument, struct dlq_entry *entry, const struct pay_log_record *record);
enum pay_exit dlq_each(struct dlq *dlq, dlq_letter_fn each, void *argument);
/* The letter's record; lives until the next call. */
enum pay_exit dlq_fetch(struct dlq *dlq, const struct dlq_entry *entry, struct pay_log_record *ret_record);
/* A letter that the command line names; everything was said when it isn't PAY_EXIT_OK. */
enum pay_exit dlq_named(struct dlq *dlq, const char *text, struct dlq_entry **ret_entry);
void dlq_close(struct dlq *dlq);

/* Says in the topic what became of the letter; `to` NULL unless it was redriven; `note` may be NULL. */
enum pay_exit dlq_mark(struct dlq *dlq, const struct dlq_entry *entry, enum dlq_state state, const char *to,
                       const char *note);

#endif
