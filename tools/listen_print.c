#include "tools/listen_print.h"

#include "codec/reply_codec.h"

#include <inttypes.h>

static void print_value(FILE *file, const char *value, size_t length) {
    for (size_t i = 0; i < length; i++) fputc(value[i] == '\n' ? ' ' : value[i], file); /* ours hold none */
    fputc('\n', file);
}

static const char *color_of(enum pay_outcome outcome) {
    static const char *const colors[PAY_OUTCOME_COUNT] = {
        [PAY_PAID] = "\033[32m", [PAY_DECLINED] = "\033[33m", [PAY_CONFLICT] = "\033[35m", [PAY_INVALID] = "\033[31m"};
    return colors[outcome];
}

/* 12:31:12.123456  1-3-17  paid  o-1#1  alice  12.50 would need to know the currency's digits, so: 1250 EUR */
static void print_human(FILE *file, bool color, const struct pay_reply *reply) {
    char when[PAY_TIME_TEXT_MAX], where[PAY_POSITION_TEXT_MAX], order[PAY_ID_MAX + 16] = "-";
    pay_time_format(reply->decided_at_us, when);
    pay_position_format(&reply->position, where);
    if (reply->order_id[0] != '\0') snprintf(order, sizeof order, "%s#%" PRId32, reply->order_id, reply->attempt);
    fprintf(file, "%s  %-12s  %s%-8s%s  %-20s", when, where, color ? color_of(reply->outcome) : "",
            pay_outcome_name(reply->outcome), color ? "\033[0m" : "", order);
    if (reply->account_id[0] != '\0')
        fprintf(file, "  %s  %" PRId64 " %s", reply->account_id, reply->amount_minor, reply->currency);
    if (reply->has_balance) fprintf(file, "  balance %" PRId64, reply->balance_after_minor);
    if (reply->reason != PAY_REASON_NONE) fprintf(file, "  %s", pay_reason_name(reply->reason));
    if (reply->field != PAY_FIELD_NONE) fprintf(file, " %s", pay_field_name(reply->field));
    if (reply->duplicate) fputs("  duplicate", file);
    fputc('\n', file);
}

void listen_print(FILE *file, enum listen_format format, bool color, const char *value, size_t length) {
    struct pay_reply reply;
    if (format == LISTEN_HUMAN && pay_reply_parse(value, length, &reply))
        print_human(file, color, &reply);
    else
        print_value(file, value, length);
}
