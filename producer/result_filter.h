/* result_filter.h - which results a stream shows. Pure. Memory: plain values. Threads: any. */
#ifndef PAY_PRODUCER_RESULT_FILTER_H
#define PAY_PRODUCER_RESULT_FILTER_H

#include "core/limits.h"
#include "core/outcome.h"

#include <stddef.h>
#include <stdint.h>

struct pay_result_filter {
    char tenant[PAY_ID_MAX + 1];
    char account_id[PAY_ID_MAX + 1]; /* "": any */
    uint32_t outcomes;               /* 1 << outcome; 0: any */
};

/* What is asked about a reply. */
struct pay_result_facts {
    bool odd; /* not a reply that this program can read, or of several lines: nobody sees it */
    enum pay_outcome outcome;
    char tenant[PAY_ID_MAX + 1];
    char account_id[PAY_ID_MAX + 1];
};

void pay_result_facts_read(const char *value, size_t length, struct pay_result_facts *ret_facts);
bool pay_result_filter_fits(const struct pay_result_filter *filter, const struct pay_result_facts *facts);
/* "paid,declined" into outcomes. False: a word that is no outcome. */
bool pay_result_outcomes_parse(const char *text, uint32_t *ret_outcomes);

#endif
