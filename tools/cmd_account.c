/* cmd_account.c - paybuf account: the branch of the tree. */
#include "tools/account_verbs.h"
#include "tools/commands.h"

static const struct command *const verbs[] = {
    &cmd_account_open,
    &cmd_account_topup,
    &cmd_account_debit,
    &cmd_account_floor,
    &cmd_account_freeze,
    &cmd_account_unfreeze,
    &cmd_account_close,
    &cmd_account_show,
    &cmd_account_list,
    &cmd_account_import,
    NULL,
};

const struct command cmd_account = {
    .name = "account",
    .summary = "open accounts, top them up, freeze and close them",
    .examples = "  paybuf account open alice --currency EUR --opening-minor 100000\n"
                "  paybuf account topup alice 5000 --id bank-transfer-4711\n"
                "  paybuf account freeze alice\n"
                "  paybuf account show alice --history 20\n"
                "  paybuf account import accounts.ndjson\n",
    .children = verbs,
};
