/*
 * audit_requests.h - the request records of one lane in order, each with the answer that the stored rows give it.
 *
 * Sequence: requests_begin; requests_next until it answers none; requests_end. Records below P only; those above are counted as in
 * flight. Rows are looked up in batches, in the audit's snapshot.
 * Memory: a request's record and answer live until the next call. Threads: one.
 */
#ifndef PAY_TOOLS_AUDIT_REQUESTS_H
#define PAY_TOOLS_AUDIT_REQUESTS_H

#include "core/batch.h"
#include "tools/audit.h"

struct audit_request {
    int64_t offset;
    const struct pay_record *record; /* NULL with --quick */
    bool has_answer;                 /* false: settled, and no reason on file */
    struct pay_answer answer;
};

struct audit_requests {
    struct audit *audit;
    struct audit_lane *lane;
    struct pay_batch *batch; /* NULL with --quick */
    char *arena;             /* metadata and traceparents of the batch's records */
    size_t arena_used;
    uint32_t at, end; /* records of the slice not given out yet */
    bool open;        /* the log isn't at its end yet */
};

enum pay_exit requests_begin(struct audit_requests *requests, struct audit *audit, struct audit_lane *lane);
enum pay_exit requests_next(struct audit_requests *requests, struct audit_request *ret_request, bool *ret_found);
void requests_end(struct audit_requests *requests);

#endif
