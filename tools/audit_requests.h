/*
 * audit_requests.h - the request records of one lane in order, as every source reads and counts them.
 *
 * Sequence: audit_requests_begin; the source's requests_next until it answers none; audit_requests_end. Records below P only;
 * those above are counted as in flight. The digest covers what was given.
 */
#ifndef PAY_TOOLS_AUDIT_REQUESTS_H
#define PAY_TOOLS_AUDIT_REQUESTS_H

#include "tools/audit.h"

struct audit_requests {
    struct audit *audit;
    struct audit_lane *lane;
    bool open;  /* the log isn't at its end yet */
    int64_t at; /* offset of the record read last */
    struct audit_digest digest;
};

enum pay_exit audit_requests_begin(struct audit_requests *requests, struct audit *audit, struct audit_lane *lane);
void audit_requests_end(struct audit_requests *requests);

/* ---- for sources ---- */

/* The next data record below P. *ret_found false: the end of the log as it was at the start. */
enum pay_exit audit_requests_read(struct audit_requests *requests, struct pay_log_record *ret_raw, bool *ret_found);

/* The worker's own judgement of the bytes; metadata and traceparent point into `raw`. */
void audit_decode(const struct audit_lane *lane, const struct pay_log_record *raw, struct pay_record *ret_record);

/* A refusal row can be the answer to bytes that are no request, to later attempts, and to a record without a row of its own among the
   known decisions of its order: it may be refused by name (paybuf recover poison). Any other shows as a row without a record. */
bool audit_can_be_refused(const struct pay_record *record, const struct pay_decision *known);

#endif
