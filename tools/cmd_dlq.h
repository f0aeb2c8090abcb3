/* cmd_dlq.h - the verbs of `paybuf dlq`. */
#ifndef PAY_TOOLS_CMD_DLQ_H
#define PAY_TOOLS_CMD_DLQ_H

#include "tools/command.h"

extern const struct command cmd_dlq_list, cmd_dlq_show, cmd_dlq_export, cmd_dlq_redrive, cmd_dlq_discard;

#endif
