/*
 * kafka_internal.h - for the files of this folder only: the one header that shows librdkafka's types.
 *
 * A pay_kafka_handle is one rd_kafka_t with its event queue and an eventfd that tells when the queue got something.
 * Its callbacks run only in the thread that polls it (log.queue, no background thread). pay_kafka_handle_release gives it to
 * the reaper: from then on nothing of it reaches the program any more.
 */
#ifndef PAY_KAFKA_KAFKA_INTERNAL_H
#define PAY_KAFKA_KAFKA_INTERNAL_H

#include "kafka/kafka_conf_internal.h"

struct pay_kafka_handle {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue; /* everything of this handle comes here */
    int wake_fd;             /* eventfd, readable when the queue went from empty to not empty */
    pay_kafka_log_fn log;
    void *log_argument;
    bool has_trouble; /* the last error that is about the handle, not about a record or partition */
    struct pay_error trouble;
    bool fatal;
};

/* Makes the handle and starts its threads. `fixed` ends with a NULL name; `events` are RD_KAFKA_EVENT_* bits besides LOG and ERROR. */
enum pay_move pay_kafka_handle_open(const struct pay_kafka_options *options, enum pay_kafka_role role,
                                    const struct pay_kafka_fixed *fixed, int events,
                                    struct pay_kafka_handle **ret_handle, struct pay_error *error);

/* For tests, which look at what it was opened with. */
struct pay_kafka_publisher;
struct pay_kafka_reader;
const struct pay_kafka_handle *pay_kafka_publisher_handle(const struct pay_kafka_publisher *publisher);
const struct pay_kafka_handle *pay_kafka_reader_handle(const struct pay_kafka_reader *reader);

/* Stops the wake-ups and lets the reaper destroy it. The caller has let go of topics, messages and events of it. NULL is fine. */
void pay_kafka_handle_release(struct pay_kafka_handle *handle);

/* The next event that isn't a log line or an error of the handle (those are taken in here); NULL: none. Never blocks with 0. */
rd_kafka_event_t *pay_kafka_handle_poll(struct pay_kafka_handle *handle, int timeout_ms);

/* Empties the eventfd. Call it when a poll found nothing, and poll once more: what came in between wakes or is seen. */
void pay_kafka_handle_drain(const struct pay_kafka_handle *handle);

/* The program's next move after `code`. */
enum pay_move pay_kafka_move(rd_kafka_resp_err_t code);

/* Fills *error: "what: why (librdkafka's words)"; answers its move. `detail` may be NULL. */
enum pay_move pay_kafka_fail(struct pay_error *error, rd_kafka_resp_err_t code, const char *what, const char *detail);
void pay_kafka_code(char code[32], rd_kafka_resp_err_t err);

#endif
