/*
 * listen_follow.h - the loop of `paybuf listen`: takes what comes, writes lines, keeps the state.
 *
 * Lines are written first (a file also to the disk), the state is saved afterwards: nothing is ever lost. After SIGTERM or SIGINT a
 * restart goes on exactly behind the last line. After SIGKILL or a power cut the lines since the last saved state come again on
 * stdout, at most LISTEN_SAVE_INTERVAL_MS of them; with --to they are cut off first. The other order would lose them.
 */
#ifndef PAY_TOOLS_LISTEN_FOLLOW_H
#define PAY_TOOLS_LISTEN_FOLLOW_H

#include "tools/listen_filter.h"
#include "tools/listen_output.h"
#include "tools/listen_print.h"
#include "tools/listen_template.h"
#include "tools/tool.h"

#include <paybuf/listener.h>

struct listen {
    struct tool *tool;
    struct paybuf_listener *listener;
    struct listen_output output;
    struct listen_filter filter;
    const struct listen_template *template; /* NULL: none, `format` says */
    enum listen_format format;
    bool color;
    int64_t max, idle_ms;   /* 0: none */
    const char *state_path; /* NULL: none */
    bool dirty;             /* records were seen since the last save */
    int64_t saved_ms, came_ms;
    int64_t seen; /* records of the reply log so far */
    int64_t printed;
};

/* Until a signal, --max or --until-idle; everything printed is written and kept then. */
enum pay_exit listen_follow(struct listen *listen);

#endif
