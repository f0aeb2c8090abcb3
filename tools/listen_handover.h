/*
 * listen_handover.h - `paybuf listen --exec` and `--forward-to`: each receiver is a listener of its own, with a thread and a state
 * file of its own, so that a dead one holds up nobody. Threads: begins and ends its own; the caller's is the main one.
 */
#ifndef PAY_TOOLS_LISTEN_HANDOVER_H
#define PAY_TOOLS_LISTEN_HANDOVER_H

#include "tools/listen_filter.h"
#include "tools/listen_open.h"
#include "tools/listen_template.h"

struct listen_handover {
    const char *command;     /* or */
    const char *urls;        /* one or several, with spaces between */
    const char *secret_path; /* with urls */
    const char *state_path;  /* NULL: none. With urls each has state_path and ".", and eight digits of its own */
    struct listen_from from;
    struct listen_filter filter;
    const struct listen_template *template; /* NULL: none. With a command only */
    int64_t max, idle_ms;                   /* 0: none; of each receiver */
};

/* Until a signal, max or idle; OK, or the first receiver's that wasn't. */
enum pay_exit listen_hand_over(struct tool *tool, const struct listen_handover *handover);

#endif
