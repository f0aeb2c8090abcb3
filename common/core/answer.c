#include "core/answer.h"

bool pay_answer_find(const struct pay_record *record, const struct pay_refusal *refusal,
                     const struct pay_decision *known, struct pay_answer *ret_answer) {
    if (refusal != NULL) {
        pay_answer_from_refusal(refusal->code, refusal->field, refusal->decided_at_us, ret_answer);
        return true;
    }
    if (record->invalid != PAY_REASON_NONE) return false; /* bytes that were no request always left a refusal */
    const struct pay_decision *stored = pay_known_attempt(known, record->request.attempt);
    if (stored != NULL) {
        pay_answer_from_decision(record, stored, ret_answer);
        return true;
    }
    const struct pay_decision *paid = pay_known_paid_below(known, record->request.attempt);
    if (paid != NULL) {
        pay_answer_already_paid(paid, ret_answer);
        return true;
    }
    return false;
}
