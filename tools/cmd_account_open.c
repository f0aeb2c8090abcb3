/* cmd_account_open.c - paybuf account open: one account, its opening amount and its floor. */
#include "core/limits.h"
#include "tools/account_openings.h"
#include "tools/account_rows.h"
#include "tools/account_verbs.h"

#include <string.h>

enum { ACCOUNT, CURRENCY, TENANT, FLOOR, OPENING, ID };

/* clang-format off */
static const struct cli_arg args[] = {
    [ACCOUNT] = {"ACCOUNT", CLI_ID, true, .help = "its id"},
    [CURRENCY] = {"--currency", CLI_CURRENCY, true, "EUR", .help = "three capital letters"},
    [TENANT] = {"--tenant", CLI_ID, false, "T", .initial = "default", .help = "whose"},
    [FLOOR] = {"--floor-minor", CLI_INTEGER, false, "N", INT64_MIN, INT64_MAX, "0", "the balance never falls below it; negative: a credit line"},
    [OPENING] = {"--opening-minor", CLI_INTEGER, false, "N", 0, INT64_MAX, "0", "what it begins with, in minor units (cents)"},
    [ID] = {"--id", CLI_TEXT, false, "ADJUSTMENT", .help = "the adjustment's id; default: open:ACCOUNT, so that repeating is harmless"},
};
/* clang-format on */

static enum pay_exit make(struct tool *tool, struct pay_pg *pg, struct opening *opening) {
    struct openings_result result;
    struct pay_error error;
    if (openings_make(pg, opening, 1, &result, &error) != PAY_OK) {
        enum pay_exit status = tool_error(tool, &error);
        if (error.move == PAY_SESSION_OVER) tool_note(tool, "it may be open or not; the same command again is safe");
        return status;
    }
    if (result.refused[0] != '\0') return tool_fail(tool, PAY_EXIT_FAILURE, "%s", result.refused);
    if (result.known > 0) tool_note(tool, "%s was opened so before; nothing changed", opening->account_id);
    return account_print(tool, pg, NULL, opening->tenant, opening->account_id);
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    struct opening opening = {.opening_minor = values[OPENING].number, .floor_minor = values[FLOOR].number};
    char why[256];
    struct pay_pg *pg;
    snprintf(opening.tenant, sizeof opening.tenant, "%s", values[TENANT].text);
    snprintf(opening.account_id, sizeof opening.account_id, "%s", values[ACCOUNT].text);
    snprintf(opening.currency, sizeof opening.currency, "%s", values[CURRENCY].text);
    if (values[ID].given && !opening_id_valid(values[ID].text))
        return tool_fail(tool, PAY_EXIT_USAGE, "--id: 1 to %d printable characters without spaces", OPENING_ID_MAX);
    if (values[ID].given) snprintf(opening.adjustment_id, sizeof opening.adjustment_id, "%s", values[ID].text);
    if (!opening_valid(&opening, why, sizeof why)) return tool_fail(tool, PAY_EXIT_FAILURE, "%s", why);
    enum pay_exit status = tool_open_database(tool, PAY_PG_OWNER, &pg);
    if (status != PAY_EXIT_OK) return status;
    status = make(tool, pg, &opening);
    pay_pg_close(pg);
    return status;
}

const struct command cmd_account_open = {
    .name = "open",
    .summary = "open an account; the same opening again changes nothing",
    .examples = "  paybuf account open alice --currency EUR --opening-minor 100000\n"
                "  paybuf account open bob --currency EUR --floor-minor -5000          may overdraw by 50 EUR\n"
                "  paybuf account open carol --currency USD --tenant shop-7\n",
    .notes = "The opening amount belongs to the adjustment `open`, version 1. A floor other than 0 is an adjustment of "
             "its own, `floor`,\n"
             "version 2, with the id <ID>:floor.\n",
    CLI_ARGS(args),
    .run = run,
};
