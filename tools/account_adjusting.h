/*
 * account_adjusting.h - makes one adjustment of one account, in one transaction: the account locked, the id looked up, both written.
 *
 * Idempotent by (tenant, id): the same one again changes nothing, another content under the id is refused. When a COMMIT's outcome
 * is unknown, the message names the id to repeat it with.
 */
#ifndef PAY_TOOLS_ACCOUNT_ADJUSTING_H
#define PAY_TOOLS_ACCOUNT_ADJUSTING_H

#include "tools/account_openings.h"
#include "tools/adjustment.h"
#include "tools/tool.h"

/* What was asked, and what came of it. */
struct adjusting {
    const char *tenant, *account_id, *note;
    char id[OPENING_ID_MAX + 1];
    bool own_id; /* --id was given */
    enum adjustment_kind kind;
    int64_t amount_minor;

    bool account_found, id_found;
    struct adjusted_account before, after;
    char found_account[PAY_ID_MAX + 1], found_kind[16];
    int64_t found_amount_minor;

    enum { APPLIED, KNOWN, NOTHING, NO_ACCOUNT, REFUSED } result;
    char why[512];
};

/* Makes it, says what came of it, prints the account. */
enum pay_exit account_adjust(struct tool *tool, struct adjusting *adjusting);

#endif
