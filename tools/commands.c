/* commands.c - the verbs, in the order in which people meet them. */
#include "tools/commands.h"

static const struct command *const verbs[] = {
    &cmd_init,  &cmd_doctor, &cmd_account, &cmd_pay,     &cmd_show, &cmd_listen, &cmd_status,
    &cmd_audit, &cmd_dump,   &cmd_replay,  &cmd_recover, &cmd_dlq,  NULL,
};

const struct command paybuf_commands = {
    .name = "paybuf",
    .summary = "the command line of the payment buffer",
    .examples = "  paybuf init                                            topics, tables, ledger; safe to repeat\n"
                "  paybuf doctor                                          is everything as the promises need it?\n"
                "  paybuf account open alice --currency EUR --opening-minor 100000\n"
                "  paybuf pay --order-id o-1 --account alice --amount-minor 1250 --currency EUR --wait 5\n"
                "  paybuf show o-1                                        what was decided about it\n"
                "  paybuf listen --state listen.state                     every reply, each once\n"
                "  paybuf status                                          lanes, lag, what is halted and why\n"
                "  paybuf audit                                           the proof: 0 differences\n"
                "  paybuf recover                                         something is halted: what now?\n",
    .children = verbs,
};
