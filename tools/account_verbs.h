/* account_verbs.h - the verbs below `paybuf account`. */
#ifndef PAY_TOOLS_ACCOUNT_VERBS_H
#define PAY_TOOLS_ACCOUNT_VERBS_H

#include "tools/command.h"

extern const struct command cmd_account_open, cmd_account_import, cmd_account_show, cmd_account_list;
extern const struct command cmd_account_topup, cmd_account_debit, cmd_account_freeze, cmd_account_unfreeze,
    cmd_account_close, cmd_account_floor;

#endif
