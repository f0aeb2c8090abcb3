/* cmd_account_adjust.c - topup, debit, floor, freeze, unfreeze, close: the same arguments, with or without an amount. */
#include "base/clock.h"
#include "tools/account_adjusting.h"
#include "tools/account_verbs.h"

enum { ACCOUNT, TENANT, ID, NOTE, AMOUNT };

/* clang-format off */
#define COMMON_ARGS                                                                                                         \
    [ACCOUNT] = {"ACCOUNT", CLI_ID, true, .help = "its id"},                                                                \
    [TENANT] = {"--tenant", CLI_ID, false, "T", .initial = "default", .help = "whose"},                                     \
    [ID] = {"--id", CLI_TEXT, false, "ADJUSTMENT", .help = "the same id again changes nothing; default: a random one"},     \
    [NOTE] = {"--note", CLI_TEXT, false, "TEXT", .help = "kept with it"}

static const struct cli_arg plain_args[] = {COMMON_ARGS};
static const struct cli_arg amount_args[] = {
    COMMON_ARGS, [AMOUNT] = {"AMOUNT_MINOR", CLI_INTEGER, true, NULL, 1, INT64_MAX, NULL, "in minor units (cents), at least 1"}};
static const struct cli_arg floor_args[] = {
    COMMON_ARGS, [AMOUNT] = {"FLOOR_MINOR", CLI_INTEGER, true, NULL, INT64_MIN, INT64_MAX, NULL, "the new floor, at most the balance"}};
/* clang-format on */

static void random_id(enum adjustment_kind kind, char id[OPENING_ID_MAX + 1]) {
    unsigned char bytes[12];
    int length = snprintf(id, OPENING_ID_MAX + 1, "%s:", adjustment_kind_name(kind));
    pay_random(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) length += snprintf(id + length, 3, "%02x", bytes[i]);
}

static enum pay_exit run_kind(struct tool *tool, const struct cli_value *values, enum adjustment_kind kind,
                              bool amount) {
    struct adjusting adjusting = {.tenant = values[TENANT].text,
                                  .account_id = values[ACCOUNT].text,
                                  .note = values[NOTE].text,
                                  .own_id = values[ID].given,
                                  .kind = kind,
                                  .amount_minor = amount ? values[AMOUNT].number : 0};
    if (values[ID].given && !opening_id_valid(values[ID].text))
        return tool_fail(tool, PAY_EXIT_USAGE, "--id: 1 to %d printable characters without spaces", OPENING_ID_MAX);
    if (values[ID].given)
        snprintf(adjusting.id, sizeof adjusting.id, "%s", values[ID].text);
    else
        random_id(kind, adjusting.id);
    return account_adjust(tool, &adjusting);
}

static enum pay_exit run_topup(struct tool *tool, const struct cli_value *values) {
    return run_kind(tool, values, ADJUST_CREDIT, true);
}
static enum pay_exit run_debit(struct tool *tool, const struct cli_value *values) {
    return run_kind(tool, values, ADJUST_DEBIT, true);
}
static enum pay_exit run_floor(struct tool *tool, const struct cli_value *values) {
    return run_kind(tool, values, ADJUST_FLOOR, true);
}
static enum pay_exit run_freeze(struct tool *tool, const struct cli_value *values) {
    return run_kind(tool, values, ADJUST_FREEZE, false);
}
static enum pay_exit run_unfreeze(struct tool *tool, const struct cli_value *values) {
    return run_kind(tool, values, ADJUST_UNFREEZE, false);
}
static enum pay_exit run_close(struct tool *tool, const struct cli_value *values) {
    return run_kind(tool, values, ADJUST_CLOSE, false);
}

const struct command cmd_account_topup = {
    .name = "topup",
    .summary = "add money (adjustment `credit`)",
    .examples = "  paybuf account topup alice 5000 --id bank-transfer-4711\n"
                "  paybuf account topup alice 5000                             a new adjustment each time\n",
    .notes = "With --id a repeated command is harmless; without it a command whose outcome is unknown names the id to "
             "repeat it with.\n",
    CLI_ARGS(amount_args),
    .run = run_topup,
};
const struct command cmd_account_debit = {
    .name = "debit",
    .summary = "take money out, not below the floor (adjustment `debit`)",
    .examples = "  paybuf account debit alice 5000 --id payout-12 --note 'paid out by bank transfer'\n",
    CLI_ARGS(amount_args),
    .run = run_debit,
};
const struct command cmd_account_floor = {
    .name = "floor",
    .summary = "set what the balance may not fall below",
    .examples = "  paybuf account floor alice -20000          may overdraw by 200 EUR\n"
                "  paybuf account floor alice 0\n",
    CLI_ARGS(floor_args),
    .run = run_floor,
};
const struct command cmd_account_freeze = {
    .name = "freeze",
    .summary = "decline its payments until it is unfrozen",
    .examples = "  paybuf account freeze alice --note 'card reported stolen'\n",
    CLI_ARGS(plain_args),
    .run = run_freeze,
};
const struct command cmd_account_unfreeze = {
    .name = "unfreeze",
    .summary = "let it pay again",
    .examples = "  paybuf account unfreeze alice\n",
    CLI_ARGS(plain_args),
    .run = run_unfreeze,
};
const struct command cmd_account_close = {
    .name = "close",
    .summary = "decline its payments for ever; what is left can still be debited",
    .examples = "  paybuf account close alice\n",
    CLI_ARGS(plain_args),
    .run = run_close,
};
