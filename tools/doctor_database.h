/* doctor_database.h - the database's part of `paybuf doctor`. */
#ifndef PAY_TOOLS_DOCTOR_DATABASE_H
#define PAY_TOOLS_DOCTOR_DATABASE_H

#include "tools/tool.h"

enum doctor_state { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_FAILED };

struct doctor {
    struct tool *tool;
    char cluster_id[64];
    int failures, warnings;
    json_t *to_mend; /* rows that aren't ok */
    void (*add)(struct doctor *doctor, const char *check, enum doctor_state state, const char *found,
                const char *wanted, const char *fix);
};

/* PAY_EXIT_OK when everything could be looked at, whatever was found. */
enum pay_exit doctor_database(struct doctor *doctor);

#endif
