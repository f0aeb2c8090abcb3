/*
 * crash_point.h - dies at a chosen port call. In test builds only: the release preset doesn't compile it.
 *
 *   PAYBUF_TEST_CRASH_AT=NAME:N:MOMENT   at the N-th call of this name _exit(137): no cleanup, the kernel closes the sockets
 *   PAYBUF_TEST_CRASH_TRACE=FILE         appends a line for each call: "call NAME:N", or "poll NAME:N" for what a poll brought
 *
 * MOMENT is `before` the call; `after` it, its answer unread (a request lies in a socket, a record in librdkafka's queue); or `late`: the
 * same and LATE_MS later (the other side has acted, nobody has heard). A poll counts only when it brings something, under the name of
 * what it brought; it knows `after` alone. Counting by name keeps a point the same point from run to run, whatever the timing.
 *
 * Calling sequence: pay_crash_points once, between making the adapters and the worker; it answers the adapters themselves when neither
 * variable is set. The program goes on to use the adapters, the worker gets what came back. Threads: the worker's.
 */
#ifndef PAY_WORKER_CRASH_POINT_H
#define PAY_WORKER_CRASH_POINT_H

#include "worker/ledger.h"
#include "worker/stream.h"

/* Puts a wrapper before each port. Exits with 78 when PAYBUF_TEST_CRASH_AT can't be read. */
void pay_crash_points(struct pay_ledger **ledger, struct pay_stream **stream);

#endif
