/*
 * dlq_redrive.h - a letter as a new request: what would be sent, whether a worker would take it, and sending it with the link kept
 * on both sides.
 *
 * Sequence: redrive_begin; per letter redrive_prepare and, where that is PAY_EXIT_OK, redrive_send; redrive_end.
 * A crash between request and marker leaves one letter that is open and a request that comes again: the same order and attempt is
 * never paid twice.
 * Memory: a letter's bytes are copied. Threads: one.
 */
#ifndef PAY_TOOLS_DLQ_REDRIVE_H
#define PAY_TOOLS_DLQ_REDRIVE_H

#include "codec/request_codec.h"
#include "tools/dlq.h"
#include "tools/lanes.h"

struct redrive {
    struct dlq *dlq;
    const char *given_tenant; /* instead of what the records named; NULL */
    const char *note;         /* NULL */
    struct log_writer requests;
    struct lanes lanes; /* their generations; read before the first request */
    /* The letter at hand. */
    struct dlq_entry *entry;
    char position[PAY_POSITION_TEXT_MAX];
    char value[PAY_VALUE_MAX + 1]; /* one more than allowed shows that it is too much */
    size_t value_length;
    char tenant[PAY_ID_MAX + 1]; /* "": none was named */
    struct pay_record record;    /* as a worker will judge it */
    char why[256];               /* it can't be sent */
};

void redrive_begin(struct redrive *redrive, struct dlq *dlq, const char *tenant, const char *note);

/* `value` instead of the letter's own bytes, NULL: those. PAY_EXIT_OK, or nobody would take it, for the reason in redrive->why. */
enum pay_exit redrive_prepare(struct redrive *redrive, struct dlq_entry *entry, const struct pay_log_record *letter,
                              const void *value, size_t value_length);

/* First the request, then the marker. Where it lies now in `to`. */
enum pay_exit redrive_send(struct redrive *redrive, char to[static PAY_POSITION_TEXT_MAX]);

void redrive_end(struct redrive *redrive);

#endif
