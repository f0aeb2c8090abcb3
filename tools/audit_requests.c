#include "tools/audit_requests.h"

#include "codec/request_codec.h"

#include <string.h>

enum pay_exit audit_requests_begin(struct audit_requests *requests, struct audit *audit, struct audit_lane *lane) {
    const struct lane_view *view = &lane->view;
    const struct audit_source_ops *ops = audit->source->ops;
    *requests = (struct audit_requests){.audit = audit, .lane = lane, .open = view->request_start < view->request_end};
    if (!audit->quick) audit_digest_open(&requests->digest);
    enum pay_exit status = ops->requests_begin(audit->source, requests);
    if (status != PAY_EXIT_OK || !requests->open) return status;
    return ops->log_seek(audit->source, AUDIT_REQUESTS, view->partition, view->request_start, view->request_end);
}

void audit_requests_end(struct audit_requests *requests) {
    if (requests->audit == NULL) return;
    struct audit_source *source = requests->audit->source;
    source->ops->log_stop(source, AUDIT_REQUESTS);
    source->ops->requests_end(source);
    audit_digest_close(&requests->digest, requests->lane->requests_sha256);
    requests->audit = NULL;
}

enum pay_exit audit_requests_read(struct audit_requests *requests, struct pay_log_record *ret_raw, bool *ret_found) {
    struct audit *audit = requests->audit;
    *ret_found = false;
    while (requests->open) {
        enum pay_exit status = audit->source->ops->log_next(audit->source, AUDIT_REQUESTS, ret_raw, &requests->open);
        if (status != PAY_EXIT_OK || !requests->open) return status;
        audit_step(audit);
        requests->at = ret_raw->offset;
        if (ret_raw->offset < requests->lane->view.processed) {
            if (requests->digest.context != NULL) audit_digest_record(&requests->digest, ret_raw);
            *ret_found = true;
            return PAY_EXIT_OK;
        }
        requests->lane->tally.in_flight++;
    }
    return PAY_EXIT_OK;
}

void audit_decode(const struct audit_lane *lane, const struct pay_log_record *raw, struct pay_record *ret_record) {
    struct pay_record_bytes bytes;
    pay_record_bytes_of(raw, &bytes);
    pay_record_decode(&bytes, ret_record);
    ret_record->position = (struct pay_position){lane->view.generation, raw->partition, raw->offset};
    ret_record->timestamp_ms = raw->timestamp_ms;
}

bool audit_can_be_refused(const struct pay_record *record, const struct pay_decision *known) {
    if (record->invalid != PAY_REASON_NONE || record->request.attempt > 1) return true;
    for (; known != NULL; known = known->next)
        if (pay_position_equal(&known->position, &record->position)) return false;
    return true;
}
