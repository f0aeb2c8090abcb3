#include "tools/listen_filter.h"

#include "codec/reply_codec.h"

#include <string.h>

bool listen_filter_outcomes(const char *text, unsigned *ret_outcomes) {
    unsigned outcomes = 0;
    for (;;) {
        enum pay_outcome outcome;
        size_t length = strcspn(text, ",");
        if (!pay_outcome_from_name(text, length, &outcome)) return false;
        outcomes |= 1u << outcome;
        if (text[length] == '\0') break;
        text += length + 1;
    }
    *ret_outcomes = outcomes;
    return true;
}

static bool is(const char *wanted, const char *found) { return wanted == NULL || strcmp(wanted, found) == 0; }

bool listen_filter_wants(const struct listen_filter *filter, const char *value, size_t length) {
    struct pay_reply reply;
    if (filter->tenant == NULL && filter->account == NULL && filter->order == NULL && filter->outcomes == 0)
        return true;
    if (!pay_reply_parse(value, length, &reply)) return false;
    return is(filter->tenant, reply.tenant) && is(filter->account, reply.account_id) &&
           is(filter->order, reply.order_id) && (filter->outcomes == 0 || (filter->outcomes >> reply.outcome & 1) != 0);
}
