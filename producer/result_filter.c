#include "producer/result_filter.h"

#include "codec/reply_codec.h"

#include <string.h>

void pay_result_facts_read(const char *value, size_t length, struct pay_result_facts *ret_facts) {
    struct pay_reply reply;
    *ret_facts = (struct pay_result_facts){.odd = true};
    if (length > PAY_REPLY_TEXT_MAX || memchr(value, '\n', length) != NULL || memchr(value, '\r', length) != NULL)
        return;
    if (!pay_reply_parse(value, length, &reply)) return;
    ret_facts->odd = false;
    ret_facts->outcome = reply.outcome;
    memcpy(ret_facts->tenant, reply.tenant, sizeof ret_facts->tenant);
    memcpy(ret_facts->account_id, reply.account_id, sizeof ret_facts->account_id);
}

bool pay_result_filter_fits(const struct pay_result_filter *filter, const struct pay_result_facts *facts) {
    if (facts->odd || strcmp(filter->tenant, facts->tenant) != 0) return false;
    if (filter->account_id[0] != '\0' && strcmp(filter->account_id, facts->account_id) != 0) return false;
    return filter->outcomes == 0 || (filter->outcomes & 1u << facts->outcome) != 0;
}

bool pay_result_outcomes_parse(const char *text, uint32_t *ret_outcomes) {
    uint32_t outcomes = 0;
    for (;;) {
        size_t length = strcspn(text, ",");
        enum pay_outcome outcome;
        if (!pay_outcome_from_name(text, length, &outcome)) return false;
        outcomes |= 1u << outcome;
        if (text[length] == '\0') break;
        text += length + 1;
    }
    *ret_outcomes = outcomes;
    return true;
}
