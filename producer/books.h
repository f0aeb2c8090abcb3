/*
 * books.h - answers questions about payments from PostgreSQL and the logs, for a thread that may wait.
 *
 * By order: the row on file as the reply that its first record got (without its metadata, which aren't on file); or, with the rule of
 * settled.h, that there is none; or neither. By position: the reply itself, from the reply log.
 * Promises: every call ends within a few times PAY_BOOKS_CALL_MS; the high watermarks are asked for after the questions were given,
 * P is read after them, the rows after P. A database that is away is asked again at most twice a second.
 * Memory: one connection, one Kafka handle. Threads: one. Reads only; a crash leaves nothing.
 */
#ifndef PAY_PRODUCER_BOOKS_H
#define PAY_PRODUCER_BOOKS_H

#include "base/settings.h"
#include "codec/reply_codec.h"
#include "core/error.h"
#include "kafka/kafka_conf.h"

#define PAY_BOOKS_CALL_MS 2000
#define PAY_BOOKS_QUESTIONS_MAX 64 /* answered together */

enum pay_books_end {
    PAY_BOOKS_OPEN, /* not answered yet */
    PAY_BOOKS_FOUND,
    PAY_BOOKS_QUEUED,     /* not settled, or it can't be excluded */
    PAY_BOOKS_NOWHERE,    /* certainly not there */
    PAY_BOOKS_GONE,       /* older than the reply log keeps */
    PAY_BOOKS_MISSING,    /* the reply log lacks what the books say was answered: reason says where */
    PAY_BOOKS_UNAVAILABLE /* the database or the broker: reason says why, for the log */
};

struct pay_question {
    char tenant[PAY_ID_MAX + 1];
    char order_id[PAY_ID_MAX + 1];
    int32_t attempt; /* 0: the latest */
    bool by_position;
    struct pay_position position;
    bool answered;  /* by position: the asker knows that its reply was published */
    bool rows_only; /* by order: look no further than the rows */

    enum pay_books_end end;
    char reason[PAY_ERROR_TEXT_MAX];
    char key[PAY_ID_MAX + 1]; /* the reply's; "" where it has none */
    char value[PAY_REPLY_TEXT_MAX];
    size_t length;
};

struct pay_books;

/* The settings must outlive it. Asks nobody. NULL: *error. */
struct pay_books *pay_books_open(const struct pay_config *config, const struct pay_kafka_options *kafka,
                                 struct pay_error *error);
void pay_books_answer(struct pay_books *books, struct pay_question *const *questions, uint32_t count);
void pay_books_close(struct pay_books *books); /* NULL is fine */

#endif
