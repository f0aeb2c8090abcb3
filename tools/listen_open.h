/* listen_open.h - where `paybuf listen` begins, and what it says at its end: one listener of the library, with a state file. */
#ifndef PAY_TOOLS_LISTEN_OPEN_H
#define PAY_TOOLS_LISTEN_OPEN_H

#include "tools/state_file.h"
#include "tools/tool.h"

#include <paybuf/listener.h>

#define LISTEN_SAVE_INTERVAL_MS 200 /* of a state, while replies keep coming */
#define LISTEN_WAIT_MS 100          /* how long a stop may go unseen */

struct listen_from {
    enum paybuf_listener_start start;
    int64_t time_ms;
};

/* "start", "now", or a time as 2026-11-21T12:00:00Z. */
bool listen_from_parse(const char *text, struct listen_from *ret_from);

/* Goes on where the file at `state_path` (NULL: none) says. *ret_output_bytes: what it says of --to, -1: nothing. Everything is said. */
enum pay_exit listen_open(struct tool *tool, const struct listen_from *from, const char *state_path,
                          struct paybuf_listener **ret_listener, int64_t *ret_output_bytes);

/* Where it stands, for a state file without lines. */
void listen_state(const struct paybuf_listener *listener, struct state *ret_state);

/* --until-idle, after `quiet_ms` without a reply: true when it is over; *status where the end wasn't reached within a minute. */
bool listen_is_idle(const struct tool *tool, const struct paybuf_listener *listener, int64_t quiet_ms, int64_t idle_ms,
                    enum pay_exit *status);

/* Tells what was odd; answers `status`, or DIFFERENCES where it is OK and a gap is open or a reply of another ledger was seen. */
enum pay_exit listen_conclude(const struct tool *tool, const struct paybuf_listener *listener, enum pay_exit status);

#endif
