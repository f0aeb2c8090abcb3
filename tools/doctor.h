/* doctor.h - what the parts of `paybuf doctor` share: one way to say a line. */
#ifndef PAY_TOOLS_DOCTOR_H
#define PAY_TOOLS_DOCTOR_H

#include "tools/tool.h"

enum doctor_state { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_FAILED };

struct doctor {
    struct tool *tool;
    const struct pay_kafka_report_card *card; /* zeroed where the cluster couldn't be asked */
    int failures, warnings;
    json_t *to_mend; /* rows that aren't ok */
    void (*add)(struct doctor *doctor, const char *check, enum doctor_state state, const char *found,
                const char *wanted, const char *fix);
};

#endif
