#include "tools/audit.h"

#include "base/clock.h"

const char *audit_where(const struct audit_lane *lane, int64_t offset, char text[PAY_POSITION_TEXT_MAX]) {
    const struct pay_position position = {lane->view.generation, lane->view.partition, offset};
    pay_position_format(&position, text);
    return text;
}

/* Trouble of the handle mends itself within the silence; trouble of a partition is an offset that isn't there any more. */
enum pay_exit audit_read(struct audit *audit, struct pay_kafka_reader *reader, struct pay_kafka_read *ret_read) {
    struct pay_error last = {.move = PAY_AGAIN, .text = "the broker delivers nothing"};
    for (int64_t until_ms = pay_clock_ms() + AUDIT_SILENCE_MS; pay_clock_ms() < until_ms;) {
        pay_kafka_reader_next(reader, 1000, ret_read);
        switch (ret_read->kind) {
        case PAY_KAFKA_READ_RECORD:
        case PAY_KAFKA_READ_END: return PAY_EXIT_OK;
        case PAY_KAFKA_READ_TROUBLE:
            last = ret_read->error;
            if (ret_read->record.partition >= 0 || last.move == PAY_REFUSE) return tool_unavailable(audit->tool, &last);
            break;
        case PAY_KAFKA_READ_NOTHING: break;
        }
    }
    return tool_unavailable(audit->tool, &last);
}
