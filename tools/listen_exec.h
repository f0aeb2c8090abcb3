/*
 * listen_exec.h - hands a reply to a command: its value, or the line of a template, on stdin, its id in PAYBUF_REPLY_ID; exit status 0 takes it.
 * The command runs in /bin/sh, with the output of `paybuf listen`. Threads: one per listen_exec.
 */
#ifndef PAY_TOOLS_LISTEN_EXEC_H
#define PAY_TOOLS_LISTEN_EXEC_H

#include "tools/listen_deliver.h"

/* `command` must live as long as the port. */
void listen_exec_port(const char *command, struct listen_port *ret_port);

#endif
