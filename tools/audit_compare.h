/* audit_compare.h - is this reply, byte for byte, what the request record and the stored rows make? */
#ifndef PAY_TOOLS_AUDIT_COMPARE_H
#define PAY_TOOLS_AUDIT_COMPARE_H

#include "core/decide.h"
#include "tools/audit.h"

/* Value, key and headers, given what it says itself that it covers from. The first difference of a reply is told. */
void audit_compare(struct audit *audit, const struct pay_record *record, const struct pay_answer *answer,
                   int64_t covers_from, const struct pay_log_record *reply);

/* --quick: what the reply says of itself. */
void audit_count_by_reply(struct audit_tally *tally, const struct pay_log_record *reply);

#endif
