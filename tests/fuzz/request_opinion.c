#include "request_opinion.h"

#include <string.h>

static bool integer_within(const struct json_member *member, int64_t most) {
    int64_t number;
    return json_member_integer(member, &number) && number >= 1 && number <= most;
}

static bool is_currency(const struct json_member *member) {
    return member != NULL && member->kind == KIND_STRING && member->string.length == 3 &&
           strspn(member->string.bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
}

static bool is_metadata(const struct json_member *member) {
    return member == NULL || member->kind == KIND_NULL || (member->kind == KIND_OBJECT && member->length <= 2048);
}

struct judgement judge_request(const struct json_opinion *opinion, size_t length) {
    struct judgement bad = {.reason = PAY_BAD_FIELD};
    const struct json_member *order_id = json_opinion_member(opinion, "order_id"),
                             *attempt = json_opinion_member(opinion, "attempt"),
                             *account_id = json_opinion_member(opinion, "account_id"),
                             *amount = json_opinion_member(opinion, "amount_minor"),
                             *currency = json_opinion_member(opinion, "currency"),
                             *metadata = json_opinion_member(opinion, "metadata");
    if (length > 8192) return (struct judgement){.reason = PAY_TOO_LARGE};
    if (!json_opinion_object(opinion, 32)) return (struct judgement){.reason = PAY_MALFORMED_JSON};
    size_t known = 0;
    for (enum pay_field field = PAY_FIELD_NONE + 1; field < PAY_FIELD_COUNT; field++)
        known += json_opinion_member(opinion, pay_field_name(field)) != NULL;
    if (!json_member_is_id(order_id))
        bad.field = PAY_FIELD_ORDER_ID;
    else if (attempt != NULL && !integer_within(attempt, 99))
        bad.field = PAY_FIELD_ATTEMPT;
    else if (!json_member_is_id(account_id))
        bad.field = PAY_FIELD_ACCOUNT_ID;
    else if (!integer_within(amount, INT64_C(9007199254740991)))
        bad.field = PAY_FIELD_AMOUNT_MINOR;
    else if (!is_currency(currency))
        bad.field = PAY_FIELD_CURRENCY;
    else if (!is_metadata(metadata))
        bad.field = PAY_FIELD_METADATA;
    else
        return (struct judgement){.reason = PAY_REASON_NONE, .unknown = opinion->count > known};
    return bad;
}
