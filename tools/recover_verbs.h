/* recover_verbs.h - the verbs under `paybuf recover`. */
#ifndef PAY_TOOLS_RECOVER_VERBS_H
#define PAY_TOOLS_RECOVER_VERBS_H

#include "tools/command.h"

extern const struct command cmd_recover_cluster, cmd_recover_database, cmd_recover_group, cmd_recover_lane,
    cmd_recover_poison;

#endif
