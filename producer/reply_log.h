/*
 * reply_log.h - the reply log behind the intake's memory: finds and reads single replies, for threads that may wait for a broker.
 *
 * Every call ends within the deadline; AGAIN then. Ours are replies of the ledger that was given, or of the first one met.
 * Memory: a Kafka handle; a record lives until the next call. Threads: one, which may be another one than opened it.
 */
#ifndef PAY_PRODUCER_REPLY_LOG_H
#define PAY_PRODUCER_REPLY_LOG_H

#include "codec/reply_headers.h"
#include "kafka/kafka_reader.h"
#include "producer/reply_search.h"

struct pay_reply_log {
    struct pay_kafka_reader *reader;
    const char *topic;
    char ledger_id[PAY_LEDGER_ID_TEXT_MAX]; /* "": none met yet */
    int64_t deadline_ms;                    /* of pay_clock_ms */
    int32_t partition;                      /* being read, and where it stands; -1: none */
    int64_t next;
    struct pay_log_record record; /* the last one looked at */
};

/* `topic` must outlive it. Asks nobody. */
enum pay_move pay_reply_log_open(struct pay_reply_log *ret_log, const struct pay_kafka_options *kafka,
                                 const char *topic, struct pay_error *error);
void pay_reply_log_close(struct pay_reply_log *log);

/* Is it a reply of ours? Then its headers. */
bool pay_reply_log_owns(struct pay_reply_log *log, const struct pay_log_record *record,
                        struct pay_reply_headers *ret_headers);

/* pay_reply_search in this partition as it is now; guess -1: none. With AHEAD the mark's log_offset is the log's end,
   with GONE its start. */
enum pay_move pay_reply_log_find(struct pay_reply_log *log, int32_t partition, const struct pay_place *wanted,
                                 int64_t guess, bool answered, enum pay_reply_found *ret_found,
                                 struct pay_reply_mark *ret_mark, struct pay_error *error);

/* The reply at a mark, into log->record. */
enum pay_move pay_reply_log_read(struct pay_reply_log *log, const struct pay_reply_mark *mark, struct pay_error *error);

#endif
