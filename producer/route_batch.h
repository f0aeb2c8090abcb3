/*
 * route_batch.h - POST /v1/payments:batch: a payment per line (NDJSON), each appended as it arrives, each with its own answer line.
 *
 * Promises:
 *   1. One answer line per line that isn't blank, in the same order; it has the number of its line.
 *   2. A line that is refused (400, 413, 429, 503) is certainly not stored and doesn't stop the others; 504 may be stored.
 *   3. A line is given to the log at most once, before the next one is looked at; no answer byte comes before the last line's fate.
 *   4. Beyond batch_lines_max or batch_bytes_max nothing is read any more: one last answer line, 413, says from where on.
 *   5. A client that hangs up leaves its records on their way, as with a single payment.
 * Bounds: batches_max at once; each has its unfinished line (8 KiB) and 120 bytes for every line it had so far; why a line
 * was refused is kept in full for the first PAY_BATCH_DETAILS_MAX. Times: PAY_HTTP_STREAM_MS for the body, the deadline of the
 * last record, PAY_HTTP_SEND_MS for the answer.
 */
#ifndef PAY_PRODUCER_ROUTE_BATCH_H
#define PAY_PRODUCER_ROUTE_BATCH_H

#include "producer/route.h"

#define PAY_BATCH_DETAILS_MAX 100

extern const struct pay_handlers pay_batch_handlers;

#endif
