/* commands.h - the verbs; each in its own cmd_<verb>.c. */
#ifndef PAY_TOOLS_COMMANDS_H
#define PAY_TOOLS_COMMANDS_H

#include "tools/command.h"

extern const struct command cmd_account, cmd_audit, cmd_dlq, cmd_doctor, cmd_dump, cmd_init, cmd_listen, cmd_pay,
    cmd_recover, cmd_replay, cmd_show, cmd_status;

#endif
