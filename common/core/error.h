/*
 * error.h - an error that carries the caller's next move (librdkafka's idea, taken to its end).
 *
 * Library code fills it and never logs; the program logs once and does `move`.
 * Memory: plain value, no ownership. Threads: any.
 */
#ifndef PAY_CORE_ERROR_H
#define PAY_CORE_ERROR_H

#include <stddef.h>

enum pay_move {
    PAY_OK,    /* no error */
    PAY_AGAIN, /* busy or timed out without harm: the same call again, later */
    PAY_REDO, /* the transaction was rolled back (deadlock, serialization, lock timeout, unique race): the whole batch again */
    PAY_SPLIT,        /* refused because of its data or size: halve the batch; a single record three times: poison */
    PAY_FENCED,       /* a lane in the batch isn't mine any more; nothing was written */
    PAY_HALTED,       /* the ledger is halted, or its incarnation isn't mine; nothing was written */
    PAY_SESSION_OVER, /* connection lost, outcome unknown, or a state I don't understand: reconnect and claim again */
    PAY_REFUSE        /* configuration or precondition: don't go on, say why */
};

#define PAY_ERROR_TEXT_MAX 384

struct pay_error {
    enum pay_move move;
    char code[32];                 /* SQLSTATE or librdkafka's error name; "" when neither */
    char text[PAY_ERROR_TEXT_MAX]; /* what, why, what to do; one line */
};

#endif
